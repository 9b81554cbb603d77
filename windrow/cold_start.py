"""What a function's handler does once, while Lambda waits for its imports."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Import without looking for garbage, neither meanwhile nor at once afterwards.

    Python's collector otherwise runs some eighty times during a handler's imports and finds next to nothing, as
    modules, classes and functions stay. It is on again afterwards, unless it was off before. All that there is then
    counts as old, as if the collector had looked at it twice: its next full run is the first to look at it. Nothing
    stays frozen: DuckDB would report leaks when the process ends.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.freeze()
            gc.unfreeze()
            gc.enable()
