"""Imports of a handler happen without the garbage collector, which is afterwards as it was."""

import gc
from collections.abc import Iterator

import pytest

from windrow.cold_start import importing


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Leave the collector on, with nothing frozen that was not before."""
    yield
    gc.unfreeze()
    gc.enable()


def test_nothing_is_collected_while_importing_and_what_is_there_is_never_looked_at_again() -> None:
    """Off within, on afterwards; every object that was tracked is out of the collector's sight."""
    gc.unfreeze()
    with importing():
        assert not gc.isenabled()
        imported: list[object] = []
        assert any(one is imported for one in gc.get_objects())
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
    assert not any(one is imported for one in gc.get_objects())


def test_a_failed_import_leaves_the_collector_on() -> None:
    """The error comes through, and the collector works again."""
    with pytest.raises(ModuleNotFoundError), importing():
        import windrow.no_such_module  # noqa: F401, PLC0415
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    """Whoever turned it off before keeps it off."""
    gc.disable()
    with importing():
        pass
    assert not gc.isenabled()
