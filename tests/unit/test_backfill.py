"""Backfill: history becomes partials of windows that were never rolled, and nothing else is touched."""

from collections.abc import Iterator

import pytest

from processors import backfill
from processors.backfill import ORIGIN, plan_backfill, write_backfill
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from windrow.errors import UsageError
from windrow.lake.backfill_marker import decode_backfill_marker
from windrow.lake.layout import (
    BACKFILL_MARKERS,
    MARKERS,
    PARTIALS,
    MarkerKey,
    day_prefix,
    lineage_key,
    parse_partial_key,
)
from windrow.lake.layout import WINDOWS as WINDOWS_ROOT
from windrow.lake.store import Body, ListedObject, StoreError
from windrow.reading import Reading, Readings
from windrow.rows.partial import partials_of
from windrow.rows.partial_parquet import decode_partial
from windrow.window import WINDOW_MS, Window

START_MS = 1_763_640_000_000
READINGS = Readings.of(Reading(f"s{n % 3}", START_MS + n * 60_000, 0, n) for n in range(20))
WINDOWS = [Window(START_MS + n * WINDOW_MS) for n in range(4)]


def store() -> SimulatedStore:
    return SimulatedStore(S3State().apply, "bucket")


def keys(lake: SimulatedStore, prefix: str) -> list[str]:
    return [found.key for found in lake.list_objects(prefix)]


def marked(lake: SimulatedStore) -> set[MarkerKey]:
    """All that the markers of backfills stand for; there are no others."""
    stored = [lake.get(key) for key in keys(lake, MARKERS)]
    assert all(key.startswith(BACKFILL_MARKERS) for key in keys(lake, MARKERS))
    return {marker for one in stored if one is not None for marker in decode_backfill_marker(one.body)}


def test_each_window_becomes_one_partial_and_a_marker() -> None:
    """In any order and any batches, with duplicates, they are those that the consumer would write."""
    lake = store()
    half = Readings.of(list(READINGS)[:13])
    plan = plan_backfill([READINGS, half], store())
    assert write_backfill(plan.create, lake) == 4
    expected = {partial.digest for partial in partials_of(READINGS)}
    found = [parse_partial_key(key) for key in keys(lake, PARTIALS)]
    assert {key.digest for key in found} == expected == {marker.digest for marker in marked(lake)}
    assert [key.window for key in found] == WINDOWS
    assert all(key.origin == ORIGIN for key in found)
    for key in keys(lake, PARTIALS):
        stored = lake.get(key)
        assert stored is not None
        assert decode_partial(stored.body)[0].digest in expected
    assert plan.readings == 20


def test_a_window_that_has_a_lineage_stays_as_it_is() -> None:
    """Its partials may have expired; adding to it would freeze it."""
    results = store()
    results.put(lineage_key(WINDOWS[1]), b"{}")
    plan = plan_backfill([READINGS], results)
    assert [partial.window for partial in plan.create] == [WINDOWS[0], *WINDOWS[2:]]
    assert plan.kept == ((WINDOWS[1], 5),)
    assert (plan.readings, plan.readings_left_out) == (15, 5)


def test_a_backfill_may_be_run_again() -> None:
    """What is there already has the same name."""
    lake = store()
    plan = plan_backfill([READINGS], store())
    write_backfill(plan.create[:2], lake)
    assert write_backfill(plan_backfill([READINGS], store()).create, lake) == 2
    assert len(keys(lake, PARTIALS)) == 4


def test_a_recording_that_is_too_large_is_refused_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded."""
    monkeypatch.setattr(backfill, "READINGS_MAX", 19)
    with pytest.raises(UsageError, match="more than 19 readings"):
        plan_backfill([READINGS], store())


class _Listed(SimulatedStore):
    """A store that notes what is listed, and refuses to write one key."""

    def __init__(self, state: S3State, *, broken: str = "") -> None:
        super().__init__(state.apply, "bucket")
        self.listed: list[str] = []
        self._broken = broken

    def list_objects(self, prefix: str) -> Iterator[ListedObject]:
        self.listed.append(prefix)
        return super().list_objects(prefix)

    def put(self, key: str, body: Body, *, if_match: str | None = None, if_absent: bool = False) -> str:
        if self._broken and self._broken in key:
            raise StoreError(f"{key} cannot be written")
        return super().put(key, body, if_match=if_match, if_absent=if_absent)


def test_lineages_are_listed_by_day_and_only_where_there_are_some() -> None:
    """A request for each window of years of history would take a quarter of an hour."""
    hourly = Readings.of(Reading("s", START_MS + n * 3_600_000, 0, n) for n in range(24 * 60))
    results = _Listed(S3State())
    rolled = Window.containing(START_MS + 3_600_000 * 30)
    results.put(lineage_key(rolled), b"{}")
    plan = plan_backfill([hourly], results)
    assert (len(plan.create), plan.kept) == (24 * 60 - 1, ((rolled, 1),))
    assert results.listed == [day_prefix(WINDOWS_ROOT, rolled.start_ms)]


def test_a_write_that_fails_is_told_and_the_rest_can_be_written_later() -> None:
    """Nothing is lost in a thread."""
    state = S3State()
    plan = plan_backfill([READINGS], store())
    broken = next(one.digest for one in plan.create if one.window == WINDOWS[2])
    with pytest.raises(StoreError, match="cannot be written"):
        write_backfill(plan.create, _Listed(state, broken=broken))
    lake = _Listed(state)
    written = len(keys(lake, PARTIALS))
    assert write_backfill(plan.create, lake) == 4 - written > 0
    assert len(keys(lake, PARTIALS)) == len(marked(lake)) == 4


def test_nothing_comes_of_nothing() -> None:
    """An empty recording is no error."""
    assert plan_backfill([], store()).create == ()
