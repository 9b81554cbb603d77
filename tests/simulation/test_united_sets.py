"""The united set of a window: what a late partial costs, and what becomes of it when something is missing."""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from functools import partial as bind

import pytest

import dispatcher.patch
import dispatcher.roll
import dispatcher.rows
from dispatcher.additions import Additions
from dispatcher.due import DueReason, DueWindow
from dispatcher.observation import Buckets, Observation, observe_lineage
from dispatcher.report import RollOutcome, TickReport
from dispatcher.roll import roll_window
from dispatcher.roller import Roller
from dispatcher.spill import Spill
from dispatcher.tick import Tick
from tests.rows_file import encode_rollup
from tests.simulation.lake import (
    FIRST,
    LAKE,
    LIFETIMES,
    OLD,
    RESULTS,
    SCHEDULED,
    SECOND,
    Row,
    buckets,
    lineage_of,
    marker_put,
    markers_of,
    next_tick,
    partial_of,
    partial_put,
    report_of,
    rows_of,
    tick,
    united_of,
)
from tests.simulation.remembered import codecs_remembered
from tests.simulation.simulated_s3 import (
    Answer,
    Crash,
    Delete,
    Get,
    ListPage,
    Operation,
    Perform,
    Put,
    S3State,
    SimulatedStore,
    crashing,
    recording,
)
from tests.simulation.test_two_dispatchers import Scenario, faults_of, once_rolled
from windrow.lake.layout import PARTIALS, UNIONS, MarkerKey, lineage_key, partials_prefix, rows_key
from windrow.lake.store import CountingStore, StoredObject, etag_of
from windrow.period import HOUR_MS
from windrow.rows.partial import Partial
from windrow.rows.rollup import roll
from windrow.rows.united_parquet import encode_range
from windrow.window import WINDOW_MS

WINDOW = OLD
PARTS: list[list[Row]] = [[(name, 1_000 * at, 0, 20_000 + at)] for at, name in enumerate("abcdefgh")]
LATE_ROWS: list[Row] = [("d", 77, 0, 1), ("d", 3_000, 0, 20_004)]
"""One more reading of a sensor that is there, and another value of one."""
LATER: list[Row] = [("g", 78, 0, 2)]
LATE_TICK = next_tick(SCHEDULED)
HOURLY = dataclasses.replace(LIFETIMES, late_roll_ms=HOUR_MS)


@pytest.fixture(autouse=True)
def _remembered() -> Iterator[None]:
    """The codecs are not what is tested here, and the same ticks run again and again."""
    with codecs_remembered():
        yield


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges of two readings or so, held on disk."""
    for module in (dispatcher.rows, dispatcher.patch):
        monkeypatch.setattr(module, "Spill", lambda window, **how: Spill(window, **how | {"held_max": 2}))
    monkeypatch.setattr(dispatcher.patch, "Additions", bind(Additions, held_max=1))
    monkeypatch.setattr(dispatcher.patch, "ROLLED_PIECE_ROWS", 2)


pytestmark = pytest.mark.usefixtures("_small")


def rolled(parts: list[list[Row]] = PARTS) -> S3State:
    """The window with these partials, rolled."""
    state = S3State()
    for number, rows in enumerate(parts):
        state.apply(partial_put(WINDOW, rows, first=number))
    tick(state.apply, SCHEDULED)
    return state


def arrive(state: S3State, rows: list[Row], *, first: int = 100) -> None:
    """A late partial and its marker."""
    state.apply(partial_put(WINDOW, rows, first=first, late=len(rows)))
    state.apply(marker_put(WINDOW, rows))


def keys_of(state: S3State, root: str) -> list[str]:
    """The keys in the lake under a root."""
    return sorted(key for key in state.buckets[LAKE] if key.startswith(root))


def expire_partials(state: S3State) -> None:
    """All partials are gone."""
    for key in keys_of(state, PARTIALS):
        state.apply(Delete(LAKE, key))


def everything(*late: list[Row]) -> Partial:
    """The set of all readings of the window."""
    return partial_of(WINDOW, [row for rows in (*PARTS, *late) for row in rows])


def is_right(state: S3State, *late: list[Row]) -> bool:
    """Whether the rows, to the byte, and the united set are those of all readings."""
    expected = everything(*late)
    return (
        rows_of(state, WINDOW) == encode_rollup(roll(expected))
        and united_of(state, lineage_of(state, WINDOW)) == expected
    )


def ticked(state: S3State, scheduled_time_ms: int = LATE_TICK) -> tuple[TickReport, list[Operation]]:
    """The report of one more tick, and what it asked of S3."""
    operations: list[Operation] = []
    return tick(recording(state.apply, operations), scheduled_time_ms), operations


def test_late_partial_reads_its_own_range_and_no_other_partial() -> None:
    """Two objects of readings are read, and one is written; the range that it replaces is deleted with the marker."""
    state = rolled()
    before = keys_of(state, UNIONS)
    assert len(before) > 2
    arrive(state, LATE_ROWS)
    report, operations = ticked(state)
    assert report_of(report, WINDOW).outcome is RollOutcome.ROLLED
    read = [one.key for one in operations if isinstance(one, Get) and one.key.startswith((PARTIALS, UNIONS))]
    assert sum(key.startswith(PARTIALS) for key in read) == 1
    assert sum(key.startswith(UNIONS) for key in read) == 1
    assert is_right(state, LATE_ROWS)
    assert len(set(before) - set(keys_of(state, UNIONS))) == 1
    assert not markers_of(state)


def test_roll_for_a_late_partial_makes_at_most_ten_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many partials the window has; a LIST of the day's rows and a DELETE are shared by all rolls of a tick."""
    for module in (dispatcher.rows, dispatcher.patch):
        monkeypatch.setattr(module, "Spill", Spill)
    state = rolled([[(f"sensor-{number}", number, 0, number)] for number in range(1_001)])
    arrive(state, [("sensor-7", 299_000, 0, 7)])
    lake, results = (CountingStore(SimulatedStore(state.apply, name)) for name in (LAKE, RESULTS))
    rows_etag = etag_of(SimulatedStore(state.apply, RESULTS), rows_key(WINDOW))
    due = DueWindow(window=WINDOW, reasons=(DueReason.MARKED,))

    def look(both: Buckets, window: object) -> Observation:
        return observe_lineage(both, WINDOW, rows_etag=rows_etag)

    roller = Roller(buckets=Buckets(lake=lake, results=results), lifetimes=LIFETIMES, scheduled_time_ms=LATE_TICK)
    assert roll_window(roller, due, first_look=look).outcome is RollOutcome.ROLLED
    calls = lake.calls + results.calls
    assert calls.total() <= 10, calls
    roller.clear()
    assert (lake.calls + results.calls).total() == calls.total() + 1


@pytest.mark.parametrize(("partials", "is_united"), [(4, False), (5, True)])
def test_window_of_few_partials_has_no_united_set(partials: int, is_united: bool) -> None:
    """Reading four again is as cheap, and freezing goes on as without."""
    state = rolled(PARTS[:partials])
    assert (lineage_of(state, WINDOW).united is not None) == is_united
    assert bool(keys_of(state, UNIONS)) == is_united


def test_partials_that_are_all_known_change_the_lineage_alone() -> None:
    """Another cut of the same readings: rows and ranges stay, to the key, and the duplicates are counted."""
    state = rolled()
    before, ranges = lineage_of(state, WINDOW), keys_of(state, UNIONS)
    arrive(state, [*PARTS[0], *PARTS[5]])
    report, _ = ticked(state)
    assert report_of(report, WINDOW).outcome is RollOutcome.RECORDED
    assert keys_of(state, UNIONS) == ranges
    after = lineage_of(state, WINDOW)
    assert (after.revision, after.duplicates_removed) == (before.revision, before.duplicates_removed + 2)
    assert is_right(state)


def test_window_goes_on_from_its_united_set_when_its_partials_have_expired() -> None:
    """Settled while nothing comes, and exact when something does, twice, even if the rows are lost meanwhile."""
    state = rolled()
    expire_partials(state)
    arrive(state, LATE_ROWS)
    report, _ = ticked(state)
    assert report_of(report, WINDOW).outcome is RollOutcome.ROLLED
    assert is_right(state, LATE_ROWS)
    expire_partials(state)
    state.apply(Delete(RESULTS, rows_key(WINDOW)))
    arrive(state, LATER, first=101)
    ticked(state, LATE_TICK + WINDOW_MS)
    assert is_right(state, LATE_ROWS, LATER)
    assert not markers_of(state)
    state.apply(marker_put(WINDOW, LATER))
    report, _ = ticked(state, LATE_TICK + 2 * WINDOW_MS)
    assert report_of(report, WINDOW).outcome is RollOutcome.SETTLED


def damaged(body: bytes) -> bytes:
    """One bit is another."""
    return body[:-20] + bytes([body[-20] ^ 1]) + body[-19:]


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "gone": lambda _: None,
    "damaged": damaged,
    "cut off": lambda body: body[:100],
    "readings of others": lambda _: encode_range(partial_of(WINDOW, [("a", 5, 0, 5)])),
}


def damage(state: S3State, how: Callable[[bytes], bytes | None]) -> None:
    """Whatever range holds the sensor of LATE_ROWS, it is damaged: all of them are."""
    for key in keys_of(state, UNIONS):
        body = how(state.buckets[LAKE].pop(key).body)
        if body is not None:
            state.apply(Put(LAKE, key, body))


@pytest.mark.parametrize("how", DAMAGES.values(), ids=DAMAGES)
def test_unusable_range_is_made_good_from_the_partials(how: Callable[[bytes], bytes | None]) -> None:
    """Rows and united set are those of all readings, as if nothing had been there."""
    state = rolled()
    damage(state, how)
    arrive(state, LATE_ROWS)
    report, operations = ticked(state)
    assert report_of(report, WINDOW).outcome is RollOutcome.ROLLED
    assert sum(isinstance(one, Get) and one.key.startswith(PARTIALS) for one in operations) > len(PARTS)
    assert is_right(state, LATE_ROWS)


@pytest.mark.parametrize("how", DAMAGES.values(), ids=DAMAGES)
def test_window_is_frozen_if_partials_and_ranges_are_gone(how: Callable[[bytes], bytes | None]) -> None:
    """Rows and marker stay, and the report names what is missing."""
    state = rolled()
    rows = rows_of(state, WINDOW)
    expire_partials(state)
    damage(state, how)
    arrive(state, LATE_ROWS)
    report, _ = ticked(state)
    told = report_of(report, WINDOW)
    assert told.outcome is RollOutcome.FROZEN
    assert "8 of its partials are gone" in told.detail
    assert rows_of(state, WINDOW) == rows
    assert markers_of(state)


@pytest.mark.parametrize("body", [None, b"what is this?"])
def test_rows_that_are_not_those_of_the_lineage_are_made_from_the_united_set(body: bytes | None) -> None:
    """All ranges are read, and no partial."""
    state = rolled()
    state.buckets[RESULTS].pop(rows_key(WINDOW))
    if body is not None:
        state.apply(Put(RESULTS, rows_key(WINDOW), body))
    state.apply(marker_put(WINDOW, PARTS[0]))
    _, operations = ticked(state)
    assert not [one for one in operations if isinstance(one, Get) and one.key.startswith(PARTIALS)]
    assert is_right(state)


def test_rows_that_cannot_be_read_are_made_from_the_united_set() -> None:
    """They have the ETag of the lineage and no form that this release reads."""
    state = rolled()
    stored = state.buckets[RESULTS][rows_key(WINDOW)]
    state.buckets[RESULTS][rows_key(WINDOW)] = StoredObject(b"rows of another age", stored.etag)
    arrive(state, LATE_ROWS)
    ticked(state)
    assert is_right(state, LATE_ROWS)


def roll_alone(perform: Perform) -> None:
    """The roll of the window, and no other, with all that it deletes."""
    roller = Roller(buckets=buckets(perform), lifetimes=LIFETIMES, scheduled_time_ms=LATE_TICK)
    marker = MarkerKey(window=WINDOW, digest=partial_of(WINDOW, LATE_ROWS).digest)
    roll_window(roller, DueWindow(window=WINDOW, reasons=(DueReason.MARKED,), markers=(marker,)))
    roller.clear()


@pytest.mark.parametrize("has_partials", [True, False])
@pytest.mark.parametrize("after", [True, False])
def test_dispatcher_that_dies_anywhere_leaves_what_the_next_tick_completes(*, has_partials: bool, after: bool) -> None:
    """Before or after each request; the rows at rest never shrink, and in the end all is right and nothing is left."""
    initial = rolled()
    if not has_partials:
        expire_partials(initial)
    arrive(initial, LATE_ROWS)
    at = 0
    while True:
        state = initial.copy()
        try:
            roll_alone(crashing(state.apply, at=at, after=after))
        except Crash:
            at += 1
        else:
            break
        ticked(state, LATE_TICK + WINDOW_MS)
        # What a dead run wrote and nobody names is left to the lifecycle; it must not count.
        lineage = lineage_of(state, WINDOW)
        named = {f"{one.fingerprint}-{one.digest}" for one in (lineage.united.ranges if lineage.united else ())}
        for key in keys_of(state, UNIONS):
            if not any(name in key for name in named):
                state.apply(Delete(LAKE, key))
        assert is_right(state, LATE_ROWS), at
        assert not markers_of(state), at
    assert at > 10


def only_united() -> S3State:
    """A window of which the united set and one new partial are left."""
    state = once_rolled()
    for rows, first, shard in ((FIRST, 1, 0), (SECOND, 2, 1)):
        state.apply(Delete(LAKE, partial_put(WINDOW, rows, first=first, shard=shard).key))
    return state


@pytest.mark.parametrize("start", [once_rolled, only_united])
def test_two_dispatchers_in_every_order(start: Callable[[], S3State]) -> None:
    """Every interleaving and every crash of two rolls that go on from one united set heals at the next tick.

    Neither is told that its window is frozen, though the other deletes the range that it is about to read.
    """
    assert faults_of_two_that_roll_from_a_united_set(start) == []


def faults_of_two_that_roll_from_a_united_set(start: Callable[[], S3State] = only_united) -> list[str]:
    """What is wrong in any order of them, at most three things."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispatcher.rows, "UNITED_ABOVE_PARTIALS", 0)
        found = (fault for fault in faults_of(Scenario(start, arrives=False), dispatcher.roll) if fault)
        return list(itertools.islice(found, 3))


def faults_of_missing_ranges() -> list[str]:
    """What is wrong when partials and ranges are gone and nothing comes."""
    state = rolled()
    expire_partials(state)
    damage(state, lambda _: None)
    state.apply(marker_put(WINDOW, PARTS[0]))
    outcome = report_of(ticked(state)[0], WINDOW).outcome
    return [] if outcome is RollOutcome.FROZEN else [f"it is {outcome}"]


def faults_of_strange_ranges() -> list[str]:
    """What is wrong when a range is not what its key says, and when the partials are gone, too."""
    faults = []
    for has_partials in (True, False):
        state = rolled()
        rows = rows_of(state, WINDOW)
        if not has_partials:
            expire_partials(state)
        damage(state, DAMAGES["readings of others"])
        arrive(state, LATE_ROWS)
        ticked(state)
        is_sound = is_right(state, LATE_ROWS) if has_partials else rows_of(state, WINDOW) == rows
        faults += [] if is_sound else [f"the rows are wrong, partials: {has_partials}"]
    return faults


def faults_of_strange_rows() -> list[str]:
    """What is wrong after a late partial when somebody wrote other rows in place of a window's."""
    state = rolled()
    other = encode_rollup(roll(partial_of(WINDOW, [("a", 5, 0, 5), ("h", 5, 0, 5)])))
    state.apply(Put(RESULTS, rows_key(WINDOW), other))
    arrive(state, LATE_ROWS)
    ticked(state)
    return [] if is_right(state, LATE_ROWS) else ["the rows are wrong"]


def faults_of_several_late_partials() -> list[str]:
    """What is wrong when late partials come one after another, and nothing but the united set is left each time."""
    state = rolled()
    faults = []
    late = ([("d", number, 0, number), ("z", number, 0, number)] for number in (80, 70, 90))
    arrived: list[list[Row]] = []
    for number, rows in enumerate(late):
        expire_partials(state)
        arrive(state, rows, first=100 + number)
        arrived.append(rows)
        ticked(state, LATE_TICK + number * WINDOW_MS)
        faults += [] if is_right(state, *arrived) else [f"wrong after {number + 1}"]
    return faults


def faults_of_a_dispatcher_that_dies_before_its_lineage() -> list[str]:
    """What is wrong when all partials have expired and the run dies before the lineage of a late roll is written."""
    state = rolled()
    expire_partials(state)
    arrive(state, LATE_ROWS)

    def dying(operation: Operation) -> Answer:
        if isinstance(operation, Put) and operation.key == lineage_key(WINDOW):
            raise Crash
        return state.apply(operation)

    with contextlib.suppress(Crash):
        tick(dying, LATE_TICK)
    ticked(state, LATE_TICK + WINDOW_MS)
    faults = [] if rows_of(state, WINDOW) == encode_rollup(roll(everything(LATE_ROWS))) else ["the rows are wrong"]
    return faults + ([f"{len(markers_of(state))} markers are left"] if markers_of(state) else [])


@pytest.mark.parametrize(
    "faults_of_it",
    [
        faults_of_missing_ranges,
        faults_of_strange_ranges,
        faults_of_strange_rows,
        faults_of_several_late_partials,
        faults_of_a_dispatcher_that_dies_before_its_lineage,
    ],
)
def test_scenario_of_the_mutants_ends_well(faults_of_it: Callable[[], list[str]]) -> None:
    """What a mutant must fail, the product passes."""
    assert faults_of_it() == []


def hourly_tick(state: S3State, scheduled_time_ms: int) -> tuple[TickReport, list[Operation]]:
    """One more tick of a stage that rolls marked old windows once an hour."""
    operations: list[Operation] = []
    both = buckets(recording(state.apply, operations))
    return Tick(buckets=both, lifetimes=HOURLY, scheduled_time_ms=scheduled_time_ms).run(), operations


def late_ticks() -> Iterator[int]:
    """The ticks after the first."""
    return iter(range(LATE_TICK, SCHEDULED + 3 * HOUR_MS, WINDOW_MS))


def test_marked_old_window_is_rolled_at_most_once_an_hour() -> None:
    """Meanwhile its marker waits at the cost of one GET a tick, and then one roll takes all that came."""
    state = rolled()
    outcomes = []
    for number, scheduled in enumerate(late_ticks()):
        arrive(state, [("d", 500 + number, 0, number)], first=200 + number)
        report, operations = hourly_tick(state, scheduled)
        outcomes.append(report_of(report, WINDOW).outcome)
        listed = [one for one in operations if isinstance(one, ListPage) and one.prefix == partials_prefix(WINDOW)]
        assert bool(listed) == (outcomes[-1] is RollOutcome.ROLLED)
    every_hour = [RollOutcome.WAITING] * 11 + [RollOutcome.ROLLED]
    assert outcomes == (every_hour * 3)[: len(outcomes)]


def test_late_partial_waits_for_an_hour_and_no_longer() -> None:
    """It is in the rows of the first tick that comes an hour after the last roll."""
    assert faults_of_a_late_roll_that_waits() == []


def faults_of_a_late_roll_that_waits() -> list[str]:
    """What is wrong an hour after the roll before, when a late partial has waited since."""
    state = rolled()
    arrive(state, LATE_ROWS)
    early = report_of(hourly_tick(state, LATE_TICK)[0], WINDOW).outcome
    hourly_tick(state, SCHEDULED + HOUR_MS)
    return ([] if early is RollOutcome.WAITING else [f"at first it is {early}"]) + (
        [] if is_right(state, LATE_ROWS) else ["the rows are wrong after an hour"]
    )


def test_window_that_ended_less_than_an_hour_ago_does_not_wait() -> None:
    """Its rows are as fresh as every tick can make them."""
    state = S3State()
    scheduled = WINDOW.end_ms + 120_000
    for number in range(10):
        rows: list[Row] = [("d", 500 + number, 0, number)]
        state.apply(partial_put(WINDOW, rows, first=number))
        state.apply(marker_put(WINDOW, rows))
        report, _ = hourly_tick(state, scheduled + number * WINDOW_MS)
        assert report_of(report, WINDOW).outcome is RollOutcome.ROLLED


def test_lost_rows_do_not_wait_and_neither_does_a_marker_of_what_is_rolled() -> None:
    """Only new readings of an old window wait."""
    state = rolled()
    state.apply(marker_put(WINDOW, PARTS[0]))
    report, _ = hourly_tick(state, LATE_TICK)
    assert report_of(report, WINDOW).outcome is RollOutcome.SETTLED
    assert not markers_of(state)
    arrive(state, LATE_ROWS)
    state.apply(Delete(RESULTS, rows_key(WINDOW)))
    report, _ = hourly_tick(state, LATE_TICK + WINDOW_MS)
    assert report_of(report, WINDOW).outcome is RollOutcome.ROLLED
    assert is_right(state, LATE_ROWS)
