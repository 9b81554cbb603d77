"""A tick that dies, loses an acknowledgement or is refused at any S3 request, and the tick after it."""

import contextlib
import json
from collections.abc import Iterator
from functools import cache

import pytest

from dispatcher.report import RollOutcome
from tests.simulation.lake import (
    FIRST,
    LATE,
    OLD,
    RECENT,
    SCHEDULED,
    SECOND,
    contents,
    marker_put,
    next_tick,
    partial_put,
    report_of,
    tick,
    window_at,
)
from tests.simulation.remembered import codecs_remembered
from tests.simulation.simulated_s3 import (
    Answer,
    Crash,
    Operation,
    Put,
    S3State,
    crashing,
    losing_acknowledgement,
    recording,
    unavailable,
)
from windrow.lake.layout import silences_key
from windrow.lake.store import StoreError

NEW = window_at("05:00")
NO_MORE_RECENT = window_at("08:05")


@pytest.fixture(autouse=True)
def _remembered() -> Iterator[None]:
    """The codecs are not what is tested here, and the same ticks run again and again."""
    with codecs_remembered():
        yield


@cache
def before() -> S3State:
    """One window never rolled, one rolled with a late partial since, one just ended; the other recent ones empty."""
    state = S3State()
    state.apply(partial_put(OLD, FIRST))
    tick(state.apply, SCHEDULED - 2 * 3_600_000)
    state.apply(partial_put(OLD, LATE, first=2, late=2))
    state.apply(marker_put(OLD, LATE))
    for window in (NEW, RECENT):
        state.apply(partial_put(window, FIRST))
        state.apply(partial_put(window, SECOND, first=2, shard=1))
    return state


def before_the_tick() -> S3State:
    """The same, to be changed."""
    return before().copy()


def clean_run() -> S3State:
    """What an undisturbed tick leaves."""
    state = before_the_tick()
    tick(state.apply, SCHEDULED)
    return state


def operations_of_a_tick() -> list[Operation]:
    """Every S3 request of an undisturbed tick."""
    operations: list[Operation] = []
    tick(recording(before_the_tick().apply, operations), SCHEDULED)
    return operations


OPERATIONS = operations_of_a_tick()


def lasting(state: S3State) -> dict[str, object]:
    """Results and markers, but for the times of the ticks that wrote them and for windows without readings.

    A window without readings that a tick missed waits for its turn in the sweep, and so does the silence of the oldest
    recent window, which has none, and at the next tick is recent no more.
    """
    parsed = {key: timeless(body) if ".json" in key else body for key, body in contents(state).items()}
    return {
        key: value
        for key, value in parsed.items()
        if key != silences_key(NO_MORE_RECENT) and (not isinstance(value, list) or value[0]["readings"])
    }


def timeless(body: bytes) -> list[dict[str, object]]:
    """The lines of a lineage without the times of the ticks that wrote them."""
    return [json.loads(line) | {"scheduled_time": ""} for line in body.splitlines()]


def test_the_tick_of_these_tests_does_everything_a_tick_can_do() -> None:
    """The requests whose every crash is tried: all kinds, and more than one window written."""
    kinds = {type(operation).__name__ for operation in OPERATIONS}
    assert kinds == {"ListPage", "Get", "Put", "Delete"}
    assert sum(isinstance(operation, Put) and "aggregates/" in operation.key for operation in OPERATIONS) == 3


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_crash_at_any_request_then_the_same_tick_again_leaves_the_same_bytes(after: bool) -> None:
    """A killed run whose event is delivered once more ends, to the byte, as if it had never been killed."""
    expected = contents(clean_run())
    for position in range(len(OPERATIONS)):
        state = before_the_tick()
        with pytest.raises(Crash):
            tick(crashing(state.apply, at=position, after=after), SCHEDULED)
        tick(state.apply, SCHEDULED)
        assert contents(state) == expected, OPERATIONS[position]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_crash_at_any_request_then_the_next_tick_leaves_the_same_rows_and_lineage(after: bool) -> None:
    """Without a second delivery the next scheduled tick does it, and only the times in the lineages are later."""
    assert faults_of_killed_ticks(after=after) == []


def faults_of_killed_ticks(*, after: bool) -> list[str]:
    """The first request at which a kill leaves, after the next tick, something otherwise than a clean run does."""
    clean = clean_run()
    tick(clean.apply, next_tick(SCHEDULED))
    expected = lasting(clean)
    for position, operation in enumerate(OPERATIONS):
        state = before_the_tick()
        with contextlib.suppress(Crash):  # a mutant may make fewer requests
            tick(crashing(state.apply, at=position, after=after), SCHEDULED)
        tick(state.apply, next_tick(SCHEDULED))
        if lasting(state) != expected:
            return [f"killed at request {position}, {operation}"]
    return []


def test_lost_acknowledgement_of_any_write_changes_nothing() -> None:
    """A write that is stored, retried and refused because of itself makes the roll start over and find itself done."""
    expected = contents(clean_run())
    for position in range(sum(isinstance(operation, Put) for operation in OPERATIONS)):
        state = before_the_tick()
        report = tick(losing_acknowledgement(state.apply, at=position), SCHEDULED)
        assert contents(state) == expected
        assert report.outcomes.keys() <= {RollOutcome.ROLLED, RollOutcome.SETTLED}


def test_unavailable_store_fails_one_window_and_heals_at_the_next_tick() -> None:
    """A request that S3 refuses for good stops its window alone, or the whole plan; the next tick makes it good."""
    clean = clean_run()
    tick(clean.apply, next_tick(SCHEDULED))
    expected = lasting(clean)
    for position in range(len(OPERATIONS)):
        state = before_the_tick()
        try:
            report = tick(unavailable(state.apply, at=position), SCHEDULED)
        except StoreError:
            pass
        else:
            failed = [one for one in (*report.windows, *report.periods) if one.outcome is RollOutcome.FAILED]
            # A silence that could not be worked out is logged, and waits.
            assert len(failed) <= 1
        tick(state.apply, next_tick(SCHEDULED))
        assert lasting(state) == expected, OPERATIONS[position]


def test_vanished_partial_makes_the_roll_start_over() -> None:
    """A partial that expires between listing and reading is no failure: the next listing does not name it."""
    state = before_the_tick()
    gone = partial_put(NEW, SECOND, first=2, shard=1).key

    def expiring(operation: Operation) -> Answer:
        if getattr(operation, "key", "") == gone:
            state.buckets["lake"].pop(gone, None)
        return state.apply(operation)

    report = tick(expiring, SCHEDULED)
    assert report_of(report, NEW).outcome is RollOutcome.ROLLED
    assert report_of(report, NEW).readings == len(FIRST)
