"""History in the lake: a backfill that dies anywhere, and ticks that find all of it, whatever is left when they end.

backfill   partials of group 1, its marker, partials of group 2, its marker, ...
ticks      read the markers, roll every window that one names, delete a marker when all of its windows have rolled
"""

import contextlib
from collections.abc import Iterator
from unittest.mock import patch

import pytest

from dispatcher import tick
from dispatcher.report import RollOutcome, TickReport
from dispatcher.tick import Tick
from processors import backfill
from processors.backfill import plan_backfill, write_backfill
from tests.simulation.lake import (
    LAKE,
    LIFETIMES,
    RESULTS,
    SCHEDULED,
    buckets,
    lineage_of,
    markers_of,
    next_tick,
    rows_of,
)
from tests.simulation.simulated_s3 import Crash, Delete, Get, Operation, Perform, Put, S3State, crashing, recording
from windrow.lake import backfill_marker
from windrow.lake.backfill_marker import backfill_markers, decode_backfill_marker
from windrow.lake.layout import (
    AGGREGATES,
    BACKFILL_MARKERS,
    PARTIALS,
    WINDOWS,
    MarkerKey,
    backfill_marker_key,
    lineage_key,
)
from windrow.reading import Reading, Readings
from windrow.rows.partial import Partial
from windrow.window import WINDOW_MS, Window

DAY_MS = 24 * 3_600_000
BEGIN_MS = SCHEDULED - 900 * DAY_MS
"""Years before any window that a tick would look at by itself."""
HISTORY = Readings.of([Reading("freezer", BEGIN_MS + n * 11 * DAY_MS, 0, -18_000 + n) for n in range(5)])
GROUP = 2
ROOTS = (AGGREGATES, WINDOWS)


@contextlib.contextmanager
def small_groups() -> Iterator[None]:
    """Three markers for five windows, and writes one after another."""
    with patch.object(backfill_marker, "WINDOWS_MAX", GROUP), patch.object(backfill, "WRITERS", 1):
        yield


@pytest.fixture(autouse=True)
def _small_groups() -> Iterator[None]:
    with small_groups():
        yield


def fill(perform: Perform, readings: Readings = HISTORY) -> tuple[Partial, ...]:
    """One whole backfill, as the command makes it."""
    found = buckets(perform)
    plan = plan_backfill([readings], found.results)
    write_backfill(plan.create, found.lake)
    return plan.create


def settle(state: S3State, scheduled_time_ms: int = SCHEDULED) -> list[TickReport]:
    """Ticks until one finds nothing to roll any more."""
    reports = []
    for _ in range(8):
        reports.append(one_tick(state.apply, scheduled_time_ms))
        if not any(one.outcome is RollOutcome.ROLLED for one in reports[-1].windows):
            break
        scheduled_time_ms = next_tick(scheduled_time_ms)
    return reports


def one_tick(perform: Perform, scheduled_time_ms: int, *, backlog: int = 100) -> TickReport:
    """A tick that has time for so many windows of the backlog."""
    begun = iter([True] * (backlog + 60))
    live = Tick(
        buckets=buckets(perform),
        lifetimes=LIFETIMES,
        scheduled_time_ms=scheduled_time_ms,
        time_left=lambda: next(begun, False),
    )
    return live.run()


def expected() -> tuple[Partial, ...]:
    """The partials of a backfill that nothing disturbs."""
    return fill(S3State().apply)


def faults(state: S3State) -> list[str]:
    """What is wrong: a window of the history without rows made of its partial, and a marker that is left."""
    found = [f"{key} is left" for key in markers_of(state)]
    for partial in expected():
        if state.apply(Get(RESULTS, lineage_key(partial.window))) is None:
            found.append(f"{partial.window} was never rolled")
        elif lineage_of(state, partial.window).digests != (partial.digest,) or not rows_of(state, partial.window):
            found.append(f"{partial.window} has other rows")
    return found


def assert_whole(state: S3State) -> None:
    """Nothing is wrong."""
    assert faults(state) == []


def faults_of_backfill() -> list[str]:
    """A backfill dies before the last window of a group, a tick comes by, and the backfill is run again."""
    with small_groups():
        state = S3State()
        place = [n for n, one in enumerate(operations()) if isinstance(one, Put)][1]
        with contextlib.suppress(Crash):
            fill(crashing(state.apply, at=place, after=False))
        one_tick(state.apply, SCHEDULED - WINDOW_MS)
        fill(state.apply)
        settle(state)
        return faults(state)


def faults_of_half_a_group() -> list[str]:
    """A tick gets through one window of a group, for the other's partial is not to be seen yet; the next has it."""
    with small_groups():
        state = S3State()
        fill(state.apply)
        last = expected()[1]
        key = next(name for name in state.buckets[LAKE] if last.digest in name)
        partial = state.buckets[LAKE][key]
        state.apply(Delete(LAKE, key))
        one_tick(state.apply, SCHEDULED)
        state.apply(Put(LAKE, key, partial.body))
        settle(state, next_tick(SCHEDULED))
        return faults(state)


def operations() -> list[Operation]:
    """Every request of an undisturbed backfill."""
    done: list[Operation] = []
    fill(recording(S3State().apply, done))
    return done


WRITES = range(5 + 3)


def test_a_marker_follows_what_it_names() -> None:
    """One request a window and one a group; whoever finds a marker finds its partials."""
    puts = [one for one in operations() if isinstance(one, Put)]
    assert [one.key.startswith(BACKFILL_MARKERS) for one in puts] == [False, False, True] * 2 + [False, True]
    assert len(puts) == len(WRITES)
    seen: set[str] = set()
    for one in puts:
        if one.key.startswith(BACKFILL_MARKERS):
            assert {marker.digest for marker in decode_backfill_marker(bytes(one.body))} <= seen
        else:
            seen.add(one.key.rpartition("-")[2].removesuffix(".parquet"))


def test_history_is_rolled_by_its_markers_alone() -> None:
    """It is beyond the reach of every tick: without the markers nobody would find it."""
    state = S3State()
    fill(state.apply)
    assert len(markers_of(state)) == 3
    bare = state.copy()
    for key in markers_of(bare):
        bare.apply(Delete(LAKE, key))
    assert settle(state)
    assert_whole(state)
    settle(bare)
    assert rows_of(bare, expected()[0].window) is None


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", WRITES)
def test_a_backfill_that_dies_is_finished_by_the_next(at: int, *, after: bool) -> None:
    """At any write, before it or after; a tick comes in between, and rolls what has its marker."""
    whole = operations()
    position = [n for n, one in enumerate(whole) if isinstance(one, Put)][at]
    state = S3State()
    with pytest.raises(Crash):
        fill(crashing(state.apply, at=position, after=after))
    one_tick(state.apply, SCHEDULED - WINDOW_MS)
    fill(state.apply)
    settle(state)
    assert_whole(state)


def tick_writes() -> Iterator[int]:
    """The places of the writes and deletions in a tick over the history, but for what it does for live windows."""
    state, done = S3State(), list[Operation]()
    fill(state.apply)
    one_tick(recording(state.apply, done), SCHEDULED)
    old = {partial.window.start_ms for partial in expected()}
    days = {key.split("dt=")[1][:10] for key in state.buckets[LAKE] if key.startswith(PARTIALS)}
    assert len(days) == len(old)
    for place, one in enumerate(done):
        of_history = isinstance(one, Put) and any(f"{root}dt={day}" in one.key for root in ROOTS for day in days)
        if of_history or (isinstance(one, Delete) and one.key.startswith(BACKFILL_MARKERS)):
            yield place


@pytest.mark.slow
def test_a_tick_that_dies_leaves_the_rest_to_the_next() -> None:
    """At any write for the history, and at the deletion of any marker: none goes before all its windows have rows."""
    places = list(tick_writes())
    assert len(places) == 3 * 5 + 3  # rows, lineage, and the lineage once the silence is known; markers
    for at in places:
        state = S3State()
        fill(state.apply)
        with contextlib.suppress(Crash):
            one_tick(crashing(state.apply, at=at, after=False), SCHEDULED)
        settle(state, next_tick(SCHEDULED))
        assert_whole(state)


def test_a_marker_stays_until_the_last_of_its_windows_has_rolled() -> None:
    """Whatever a tick leaves of a group, a later one finds by the same marker; and dying in between changes nothing."""
    assert faults_of_half_a_group() == []
    assert faults_of_backfill() == []


def test_what_is_no_marker_is_named_and_stays() -> None:
    """Cut short, empty or foreign, it makes nothing due; the others are read."""
    state = S3State()
    fill(state.apply)
    window = Window(BEGIN_MS // WINDOW_MS * WINDOW_MS)
    bad = {backfill_marker_key(window, f"{n:032x}"): body for n, body in enumerate((b"", b"\xff\n", b"x\n", b"no end"))}
    for key, body in bad.items():
        state.apply(Put(LAKE, key, body))
    report = one_tick(state.apply, SCHEDULED)
    assert set(report.unknown_keys) == set(bad)
    assert markers_of(state) == sorted(bad)


def test_more_markers_than_a_tick_reads_wait_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the history, a tick's plan is bounded."""
    monkeypatch.setattr(tick, "BACKFILL_MARKERS_MAX", 1)
    state, read = S3State(), list[Operation]()
    fill(state.apply)
    one_tick(recording(state.apply, read), SCHEDULED)
    assert sum(isinstance(one, Get) and one.key.startswith(BACKFILL_MARKERS) for one in read) == 1
    assert len(markers_of(state)) == 2
    settle(state, next_tick(SCHEDULED))
    assert_whole(state)


def test_text_and_markers_are_two_forms_of_one_thing() -> None:
    """Decoding gives what was encoded, whatever the order, and the same set has the same key."""
    markers = [
        MarkerKey(window=Window(BEGIN_MS // WINDOW_MS * WINDOW_MS + n * WINDOW_MS), digest=f"{n:032x}")
        for n in range(5)
    ]
    one, other = list(backfill_markers(markers)), list(backfill_markers(markers[::-1] + markers))
    assert one == other
    assert [len(some) for _, _, some in one] == [2, 2, 1]
    for _, text, some in one:
        assert decode_backfill_marker(text) == set(some)
    assert list(backfill_markers([])) == []
