"""Time: late and early readings, window edges, wrong clocks.

event time    ──|── window ──|──────────────────────── horizon ────|
arrival              ^ on time   ^ late   ^ a day late     ^ final  ^ beyond: quarantine
"""

from dataclasses import replace

import pytest

from tests.simulation.scenes import (
    AT_ONCE,
    DAY_MS,
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
from tests.simulation.verdict import rows_faults_of
from windrow.lake.layout import lineage_key, rows_key
from windrow.rows.lineage import Lineage

SETUP = Setup(shards=1, options=AT_ONCE, lateness_horizon_hours=48)
HORIZON_MS = 48 * HOUR_MS
EARLINESS_MS = 300_000


def lineage_of(world: World) -> Lineage:
    """The lineage of the first window."""
    return Lineage.from_json(world.s3.buckets["results"][lineage_key(FIRST)].body)


def first_window(world: World) -> None:
    """Readings in the first window, and the ticks that settle it and the next one."""
    world.pass_ms(MINUTE_MS)
    put_facts(world, facts(3))
    world.tick()
    world.tick()


@pytest.mark.parametrize("late_ms", [1_000, 3 * MINUTE_MS, HOUR_MS, DAY_MS], ids=["1 s", "3 min", "1 h", "1 day"])
def test_late_reading_joins_its_own_window_at_the_next_tick(late_ms: int) -> None:
    """It changes that window alone, whose revision rises by one; every other rows object stays to the byte."""
    assert faults_of_late_reading(late_ms) == []


def faults_of_late_reading(late_ms: int) -> list[str]:
    """What is wrong at the next tick after a reading that is this late, and at the end."""
    with World(1, SETUP) as world:
        first_window(world)
        world.pass_ms(late_ms)
        put_facts(world, facts(2, first_ms=world.now_ms - MINUTE_MS))
        world.tick()
        world.tick()
        before, revision = rows_bytes(world), lineage_of(world).revision
        put_facts(world, [("late", FIRST.end_ms - 1, 0, 1)])
        world.drain()
        world.tick()
        faults = rows_faults_of(world)
        changed = {key for key, body in rows_bytes(world).items() if before.get(key) != body}
        faults += [] if changed == {rows_key(FIRST)} else [f"changed: {sorted(changed)}"]
        faults += [] if lineage_of(world).revision == revision + 1 else ["the revision did not rise by one"]
        return faults + settled_faults(world)


@pytest.mark.parametrize("behind_ms", [1_000, 2 * MINUTE_MS, 4 * MINUTE_MS], ids=["1 s", "2 min", "4 min"])
def test_reading_behind_the_first_tick_is_not_forgotten_when_no_other_tick_runs_for_hours(behind_ms: int) -> None:
    """A marker tells the next tick, for which the window is no longer among the last ones."""
    assert faults_of_reading_behind_the_last_tick(behind_ms) == []


def faults_of_reading_behind_the_last_tick(behind_ms: int) -> list[str]:
    """What is wrong at the first tick in three hours, when a reading came this long after the window's only tick."""
    with World(1, SETUP) as world:
        first_window(world)
        world.pass_ms(behind_ms)
        put_facts(world, [("behind", FIRST.end_ms - 1, 0, 1)])
        world.pass_ms(3 * HOUR_MS)
        world.tick()
        return rows_faults_of(world) + settled_faults(world)


def test_reading_that_is_redelivered_after_its_window_is_final_still_counts() -> None:
    """Final means that nothing can arrive any more by itself; an operator's redrive still can, by its marker."""
    with World(1, replace(SETUP, lateness_horizon_hours=1)) as world:
        first_window(world)
        world.consumer.breaks = lambda _: True
        world.mappings[0].restart(replace(AT_ONCE, retries_max=0))
        put_facts(world, [("given up", FIRST.start_ms + 5, 0, 1)])
        world.drain()
        world.consumer.breaks = lambda _: False
        while not lineage_of(world).is_final:
            world.pass_ms(WINDOW_MS)
            world.sweep()
        assert lineage_of(world).readings == 3
        world.redrive()
        world.tick()
        assert lineage_of(world).readings == 4
        assert lineage_of(world).is_final
        assert [fault for fault in faults_of(world) if "clean run" not in fault] == []


def test_horizon_is_exact_to_the_millisecond() -> None:
    """A reading as late as the horizon counts, a millisecond more and it is in quarantine as too late."""
    assert faults_of_horizon() == []


def faults_of_horizon() -> list[str]:
    """What is wrong after readings around the horizon; the ledger judges them by their records' arrival."""
    with World(1, SETUP) as world:
        world.pass_ms(MINUTE_MS + 7)
        for offset in (-1, 0, 1):
            put_facts(world, [(f"s{offset}", world.now_ms - HORIZON_MS + offset, 0, offset)])
        faults = settled_faults(world)
        late = world.ledger.expectation(list(world.stream.records), horizon_ms=HORIZON_MS).quarantine.values()
        return faults if [reason for reason, _, _ in late] == ["too_late"] else [*faults, "not one is too late"]


def test_earliness_is_exact_to_the_millisecond() -> None:
    """A reading five minutes ahead of its record's arrival counts, a millisecond more and it is too early."""
    assert faults_of_earliness() == []


def faults_of_earliness() -> list[str]:
    """What is wrong after readings around the limit of earliness."""
    with World(1, SETUP) as world:
        world.pass_ms(MINUTE_MS + 7)
        for offset in (-1, 0, 1):
            put_facts(world, [(f"s{offset}", world.now_ms + EARLINESS_MS + offset, 0, offset)])
        faults = settled_faults(world)
        early = world.ledger.expectation(list(world.stream.records), horizon_ms=HORIZON_MS).quarantine.values()
        return faults if [reason for reason, _, _ in early] == ["too_early"] else [*faults, "not one is too early"]


def test_beyond_the_horizon_goes_to_quarantine_however_often_it_is_delivered() -> None:
    """Judged by its arrival: a replay days later judges as the first delivery did."""
    with World(1, replace(SETUP, lateness_horizon_hours=1, stream_retention_hours=168)) as world:
        first_window(world)
        put_facts(world, [("too late", START_MS - DAY_MS, 0, 1)])
        world.drain()
        world.pass_ms(2 * DAY_MS)
        world.replay()
        world.tick()
        assert settled_faults(world) == []


@pytest.mark.parametrize("edge_ms", [-1, 0, 1])
def test_window_edges(edge_ms: int) -> None:
    """Windows are half-open: a millisecond decides between two of them, at both ends."""
    with World(1, SETUP) as world:
        world.pass_ms(WINDOW_MS + MINUTE_MS)
        put_facts(
            world, [("a", FIRST.start_ms + edge_ms, 0, 1), ("b", FIRST.end_ms + edge_ms, 0, 2)], is_aggregated=True
        )
        assert settled_faults(world) == []
        starts = sorted(world.ledger.expectation(list(world.stream.records), horizon_ms=HORIZON_MS).facts)
        assert starts == [
            (FIRST.start_ms if edge_ms >= 0 else FIRST.start_ms - WINDOW_MS) + at for at in (0, WINDOW_MS)
        ]


YEAR_MS = 365 * DAY_MS


@pytest.mark.parametrize("skew_ms", [YEAR_MS, -YEAR_MS, HOUR_MS, -HOUR_MS], ids=["+1 year", "-1 year", "+1 h", "-1 h"])
def test_clock_a_year_ahead_and_behind(skew_ms: int) -> None:
    """The functions' clocks decide when a window is looked at, never what is counted."""
    assert faults_of_skew(skew_ms) == []


def faults_of_skew(skew_ms: int) -> list[str]:
    """What is wrong at the end when the functions' clocks are this far ahead, with readings late and on time."""
    with World(1, replace(SETUP, consumer_skew_ms=skew_ms)) as world:
        first_window(world)
        put_facts(world, [("late", START_MS - 5 * HOUR_MS, 0, 1), ("now", world.now_ms, 0, 1)])
        world.drain()
        world.tick()
        return settled_faults(world)


def test_consumer_behind_writes_no_marker_and_the_sweep_finds_its_window_within_a_day() -> None:
    """The worst a slow clock does: a late reading for an old window waits for its turn."""
    assert faults_of_sweep() == []


def faults_of_sweep() -> list[str]:
    """What is wrong at the end when a reading for an old window comes without a marker."""
    with World(1, replace(SETUP, consumer_skew_ms=-YEAR_MS)) as world:
        first_window(world)
        put_facts(world, [("late", START_MS - 5 * HOUR_MS, 0, 1)])
        world.drain()
        world.tick()
        put_facts(world, [("later still", START_MS - 5 * HOUR_MS, 1, 1)])
        world.drain()
        world.tick()
        assert len(rows_faults_of(world)) == 1
        return settled_faults(world)


@pytest.mark.parametrize("ahead_ms", [4 * MINUTE_MS, 6 * MINUTE_MS, DAY_MS, -DAY_MS])
def test_sensor_whose_clock_is_wrong(ahead_ms: int) -> None:
    """A sensor's own clock decides what its readings are; five minutes ahead is the most that counts."""
    with World(1, SETUP) as world:
        first_window(world)
        put_facts(world, facts(4, first_ms=world.now_ms + ahead_ms, step_ms=1_000))
        world.drain()
        world.pass_ms(10 * MINUTE_MS)
        assert settled_faults(world) == []
