"""Imports of a handler happen without the garbage collector, which is afterwards as it was."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from windrow.cold_start import importing


class Imported:
    """An object that may hold itself."""

    itself: "Imported | None" = None


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Leave the collector on."""
    yield
    gc.enable()


def test_nothing_is_collected_while_importing() -> None:
    """Off within, on afterwards; nothing more is frozen than was."""
    frozen = gc.get_freeze_count()
    with importing():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() <= frozen


def test_what_was_imported_counts_as_old() -> None:
    """The next run over the young does not look at it; a full run does, and frees what nobody holds."""
    with importing():
        imported = Imported()
    assert not any(one is imported for one in gc.get_objects(generation=0))
    assert not any(one is imported for one in gc.get_objects(generation=1))
    imported.itself = imported
    seen = weakref.ref(imported)
    del imported
    assert seen() is not None
    gc.collect()
    assert seen() is None


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
