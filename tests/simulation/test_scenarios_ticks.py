"""The schedule and the dispatcher: killed, doubled, missed, late, overtaken; and what others delete.

10:07 ── tick ──── tick' (doubled, three requests behind)
10:12 ── missed
...
16:12 ── tick: oldest first, all that was missed
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from dispatcher.report import RollOutcome
from tests.simulation.faults import Rates
from tests.simulation.process import Fate
from tests.simulation.scenes import (
    AT_ONCE,
    FIRST,
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    WINDOW_MS,
    Setup,
    World,
    facts,
    faults_of,
    put_facts,
    rows_bytes,
    settled_faults,
)
from tests.simulation.simulated_s3 import Delete, Get, Put
from tests.simulation.verdict import rows_faults_of
from windrow.lake.layout import PARTIALS, lineage_key, rows_key
from windrow.lake.store import StoredObject

SETUP = Setup(shards=2, options=AT_ONCE, lateness_horizon_hours=6)
WITHOUT_UNIONS = replace(SETUP, united_above_partials=1_000)


def before_the_tick(world: World) -> None:
    """Two windows to roll for the first time, and one, of five hours ago, to roll again."""
    world.pass_ms(MINUTE_MS)
    put_facts(world, facts(2, first_ms=START_MS - 5 * HOUR_MS))
    world.tick()
    put_facts(world, facts(3, first_ms=START_MS - 5 * HOUR_MS + 1_000))
    for shard in (0, 1):
        put_facts(world, facts(12, first_ms=START_MS + shard)[shard::2], shard=shard)
    world.drain()


@pytest.fixture(scope="module")
def prepared() -> Iterator[World]:
    """A world in which the next tick has something to do."""
    with World(1, SETUP) as world:
        before_the_tick(world)
        yield world


@contextmanager
def resumed(prepared: World, *, is_kms: bool = False) -> Iterator[World]:
    """Another world that goes on where `prepared` is, with buckets of its own."""
    with World(1, replace(SETUP, is_kms=is_kms)) as world:
        world.mappings[0].stop()
        world.time.now_ms = prepared.now_ms
        world.s3.buckets = prepared.s3.copy().buckets
        world.stream.shards, world.ledger = prepared.stream.shards, prepared.ledger
        world.monitor.begin()
        yield world


def requests_of_a_tick(prepared: World) -> int:
    """How many requests the next tick makes when nothing disturbs it."""
    with resumed(prepared) as world:
        world.tick()
        return sum(world.monitor.reports[-1].s3_calls.values())


def faults_when_killed(prepared: World, number: int, *, is_kms: bool = False) -> list[str]:
    """What is wrong at the tick after one that dies before this request, which is after the one before it."""
    with resumed(prepared, is_kms=is_kms) as world:
        world.dispatcher.next_fate = Fate(dies_at=number)
        world.tick()
        world.tick()
        return rows_faults_of(world) + world.monitor.faults


@pytest.mark.parametrize(("is_kms", "step"), [(False, 1), (True, 5)], ids=["SSE-S3", "SSE-KMS"])
def test_dispatcher_killed_at_every_operation(prepared: World, is_kms: bool, step: int) -> None:
    """Whichever request is its last, the next tick makes the rows right."""
    requests = requests_of_a_tick(prepared)
    assert requests > 60
    found = {number: faults_when_killed(prepared, number, is_kms=is_kms) for number in range(1, requests + 1, step)}
    assert {number: faults for number, faults in found.items() if faults} == {}


@pytest.mark.parametrize("apart_ms", [0, 1, 7, 20, 50, 120, 400, 1_000])
def test_two_dispatchers_at_once(apart_ms: int) -> None:
    """The schedule fires twice; both roll the same windows, a few requests apart. (All interleavings of two
    dispatchers and a consumer: test_two_dispatchers.py.)"""
    with World(apart_ms, SETUP) as world:
        before_the_tick(world)
        world.pass_ms(world.schedule.next_ms(world.now_ms) - world.now_ms)
        runs = [world.schedule.fire(world.now_ms, late_ms=late_ms) for late_ms in (0, apart_ms)]
        put_facts(world, facts(2, first_ms=START_MS + 99))
        world.time.run(world.now_ms + HOUR_MS, is_over=lambda: all(run.is_done for run in runs))
        world.tick()
        assert rows_faults_of(world) == []
        assert settled_faults(world) == []


def test_a_dispatcher_that_stalls_for_an_hour_writes_nothing_old() -> None:
    """A run that wakes up as a zombie when others have rolled since finds its observations outdated and starts over."""
    assert faults_of_zombie_dispatcher() == []


def faults_of_zombie_dispatcher() -> list[str]:
    """What is wrong when runs at a thousandth of their speed overlap with all the ticks after them."""
    with World(5, SETUP, Rates(zombie=1.0)) as world:
        before_the_tick(world)
        for number in range(12):
            if number in (0, 2, 3):
                world.dispatcher.next_fate = Fate(slowness=(300, 700, 1_500)[number // 2])
            world.tick()
            put_facts(world, facts(2, first_ms=START_MS + number), shard=number % 2)
            put_facts(world, facts(1, first_ms=START_MS - 5 * HOUR_MS + number))
        world.pass_ms(6 * HOUR_MS)
        return settled_faults(world)


def test_missed_six_hours_then_doubled() -> None:
    """Every window of the outage is rolled by the next tick; its double, at the same instant, changes nothing."""
    assert faults_of_missed_hours(6) == []


def faults_of_missed_hours(hours: int) -> list[str]:
    """What is wrong after a tick and its double, the first for so many hours, and at the end."""
    with World(1, SETUP) as world:
        for number in range(12 * hours):
            put_facts(world, facts(2, first_ms=world.now_ms), shard=number % 2)
            world.pass_ms(WINDOW_MS)
        assert rows_bytes(world) == {}
        world.pass_ms(world.schedule.next_ms(world.now_ms) - world.now_ms)
        runs = [world.schedule.fire(world.now_ms) for _ in range(2)]
        world.time.run(world.now_ms + HOUR_MS, is_over=lambda: all(run.is_done for run in runs))
        faults = rows_faults_of(world)
        faults += [] if len(rows_bytes(world)) == 12 * hours else [f"{len(rows_bytes(world))} windows have rows"]
        return faults + settled_faults(world)


def test_missed_eighteen_hours_with_too_little_time_for_one_run() -> None:
    """A run that is out of time defers the rest, and the next ticks go on."""
    with World(1, SETUP, Rates(s3_slow=1.0)) as world:
        for number in range(216):
            put_facts(world, facts(2, first_ms=world.now_ms), shard=number % 2)
            world.pass_ms(WINDOW_MS)
        for _ in range(4):
            world.tick()
        outcomes = [report.outcomes for report in world.monitor.reports]
        assert outcomes[0][RollOutcome.DEFERRED] > 0
        assert settled_faults(world) == []


def test_ticks_come_late_and_in_another_order() -> None:
    """Each tick takes its time from the event; an old one after a new one finds nothing to do, or does it."""
    with World(1, SETUP) as world:
        before_the_tick(world)
        first = world.schedule.next_ms(world.now_ms)
        world.pass_ms(30 * MINUTE_MS)
        for scheduled_ms in (first + 3 * WINDOW_MS, first, first + WINDOW_MS, first + 2 * WINDOW_MS):
            world.tick(scheduled_ms)
        assert rows_faults_of(world) == []
        assert settled_faults(world) == []


def test_deleted_and_overwritten_results_heal() -> None:
    """Rows and lineages are a function of the partials: whatever becomes of them, the next tick writes them again."""
    assert faults_of_damaged_results() == []


def faults_of_damaged_results() -> list[str]:
    """What is wrong after rows are deleted, rows are overwritten, and a lineage is deleted."""
    with World(1, SETUP) as world:
        before_the_tick(world)
        world.tick()
        world.tick()
        before = rows_bytes(world)
        world.s3.apply(Delete("results", rows_key(FIRST)))
        world.tick()
        faults = [] if rows_bytes(world) == before else ["deleted rows did not come back"]
        world.s3.buckets["results"].pop(rows_key(FIRST))
        world.s3.apply(Put("results", rows_key(FIRST), b"what is this?", if_absent=True))
        world.tick()
        faults += [] if rows_bytes(world) == before else ["overwritten rows did not come back"]
        world.s3.apply(Delete("results", lineage_key(FIRST)))
        world.monitor.forget(lineage_key(FIRST))
        world.tick()
        return faults + settled_faults(world)


def test_a_partial_that_is_taken_away_freezes_its_window_and_never_shrinks_it() -> None:
    """Expired or deleted, it leaves the rows as they are and is told; put back, the window goes on."""
    assert faults_of_taken_partial() == []


def faults_of_taken_partial() -> list[str]:
    """What is wrong while a partial of a rolled window without a united set is away, and when it is back."""
    with World(1, WITHOUT_UNIONS) as world:
        before_the_tick(world)
        world.tick()
        before = rows_bytes(world)
        prefix = f"{PARTIALS}dt=2026-11-20/hour=10/1000-"
        key = min(key for key in world.s3.buckets["lake"] if key.startswith(prefix))
        stored = world.s3.apply(Get("lake", key))
        assert isinstance(stored, StoredObject)
        world.s3.apply(Delete("lake", key))
        put_facts(world, facts(2, first_ms=START_MS + 77))
        world.tick()
        faults = [] if rows_bytes(world)[rows_key(FIRST)] == before[rows_key(FIRST)] else ["the rows changed"]
        frozen = world.monitor.reports[-1].outcomes[RollOutcome.FROZEN]
        faults += [] if frozen == 1 else [f"{frozen} windows are frozen"]
        world.s3.apply(Put("lake", key, stored.body, if_absent=True))
        return faults + settled_faults(world)


def test_a_window_that_was_frozen_goes_on_at_the_tick_after_its_partial_is_back() -> None:
    """The marker of what came meanwhile has stayed: an old window need not wait for the sweep."""
    assert faults_of_marker_of_frozen_window() == []


def faults_of_marker_of_frozen_window() -> list[str]:
    """What is wrong with the rows at that tick."""
    with World(1, WITHOUT_UNIONS) as world:
        before_the_tick(world)
        world.tick()
        key = min(key for key in world.s3.buckets["lake"] if key.startswith(f"{PARTIALS}dt=2026-11-20/hour=05/0500-"))
        stored = world.s3.buckets["lake"].pop(key)
        put_facts(world, facts(2, first_ms=START_MS - 5 * HOUR_MS + 77))
        world.drain()
        world.tick()
        faults = [] if world.monitor.reports[-1].outcomes[RollOutcome.FROZEN] else ["it is not frozen"]
        world.s3.buckets["lake"][key] = stored
        world.tick()
        return faults + rows_faults_of(world)


def test_a_partial_that_vanishes_during_the_roll() -> None:
    """Listed and gone when it is read: the roll starts over with a listing that does not name it."""
    assert faults_of_vanished_partial() == []


def faults_of_vanished_partial() -> list[str]:
    """What is wrong when a partial is away from the moment the dispatcher reads it until a minute later."""
    with World(1, SETUP) as world:
        before_the_tick(world)
        apply = world.s3.apply
        away: dict[str, StoredObject] = {}

        def vanishing(operation: object) -> object:
            if isinstance(operation, Get) and operation.key.startswith(PARTIALS) and not away:
                away[operation.key] = world.s3.buckets["lake"].pop(operation.key)
                world.time.later(MINUTE_MS, lambda: world.s3.buckets["lake"].update(away))
            return apply(operation)  # type: ignore[arg-type]

        world.s3.apply = vanishing  # type: ignore[method-assign, assignment]
        world.tick()
        world.s3.apply = apply  # type: ignore[method-assign]
        world.pass_ms(2 * MINUTE_MS)
        assert away
        return settled_faults(world)


def test_a_window_without_readings_is_known_to_be_empty() -> None:
    """It gets a lineage and no rows; a reading that comes later makes it revision two."""
    with World(1, SETUP) as world:
        world.pass_ms(6 * MINUTE_MS)
        world.tick()
        assert rows_key(FIRST) not in rows_bytes(world)
        put_facts(world, facts(2))
        world.drain()
        world.tick()
        assert faults_of(world) == []
