"""Modules that a test loads once more, as a new process would."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def restored(*modules: ModuleType) -> Iterator[None]:
    """After this, each module has its names of before, whoever has reloaded it meanwhile.

    Otherwise two classes of one name are about, and a break of one of them is not seen by who has imported the other.
    """
    before = [(vars(module), dict(vars(module))) for module in modules]
    try:
        yield
    finally:
        for names, kept in before:
            names.clear()
            names.update(kept)
