"""What a function's handler does once, while Lambda waits for its imports."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Import without looking for garbage, and never look at what was imported again.

    Python's collector otherwise runs some sixty times during a handler's imports and finds next to nothing, as modules,
    classes and functions stay. Garbage in circles that an import leaves behind is kept. A collector that was off stays
    off.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
