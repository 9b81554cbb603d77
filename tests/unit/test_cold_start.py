"""Imports of a handler happen without the garbage collector, which is afterwards as it was."""

import gc
from collections.abc import Iterator

import pytest

from windrow.cold_start import importing


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Leave the collector on."""
    yield
    gc.enable()


def test_nothing_is_collected_while_importing() -> None:
    """Off within, on afterwards; what was imported is collected once nobody holds it."""
    frozen = gc.get_freeze_count()
    with importing():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() == frozen


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
