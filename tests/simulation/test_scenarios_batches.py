"""The mapping: how a batch is cut, retried, bisected, delivered twice, and read anew.

records      1 2 3 4 5 6 7 8
batch       |1 2 3 4 5 6 7 8|   fails at 6
bisect      |1 2 3 4|5 6 7 8|   fails again
                    |5 6|7 8|   ...
"""

from dataclasses import replace

import pytest

from tests.simulation.faults import Rates
from tests.simulation.process import Fate
from tests.simulation.scenes import (
    AT_ONCE,
    DIRECT,
    EACH_ALONE,
    HOUR_MS,
    MINUTE_MS,
    RECORDS,
    START_MS,
    Options,
    Setup,
    World,
    eight_records,
    facts,
    holding,
    parcels,
    put_facts,
    rows_bytes,
    settled_faults,
)


@pytest.mark.parametrize("index", range(RECORDS))
def test_bisect_at_every_index(index: int) -> None:
    """A record that fails every batch it shares is isolated by halving, and the rows are those of one batch."""
    with World(1, DIRECT) as world:
        world.pass_ms(10 * MINUTE_MS)
        held = eight_records(world)
        world.consumer.breaks = holding(held[index], alone_too=False)
        world.drain()
        assert any(step.symbol == "/" for step in world.timeline.steps)
        assert settled_faults(world) == []


@pytest.mark.parametrize("back", [1, 2, RECORDS])
@pytest.mark.parametrize("size", [1, 3, RECORDS])
def test_restart_with_other_boundaries(size: int, back: int) -> None:
    """A new poller begins at an older checkpoint and cuts batches of another size: other objects, the same rows."""
    with World(1, replace(DIRECT, options=replace(AT_ONCE, batch_records_max=2))) as world:
        world.pass_ms(10 * MINUTE_MS)
        eight_records(world)
        world.drain()
        world.tick()
        before = rows_bytes(world)
        world.mappings[0].restart(Options(window_ms=5_000, batch_records_max=size), checkpoints_back=back)
        world.drain()
        world.tick()
        assert before
        assert rows_bytes(world) == before
        assert settled_faults(world) == []


def test_restart_while_an_invocation_runs() -> None:
    """The old poller's invocation and the new poller's overlap; both write, and it counts once."""
    with World(1, DIRECT) as world:
        world.pass_ms(10 * MINUTE_MS)
        world.consumer.next_fate = Fate(slowness=1_000)
        eight_records(world)
        world.pass_ms(12_000)
        assert world.consumer.running == 1
        world.mappings[0].restart(Options(window_ms=0, batch_records_max=3))
        world.drain()
        assert settled_faults(world) == []


@pytest.mark.parametrize("modes", [("direct", "direct"), ("direct", "fanout"), ("fanout", "fanout")])
def test_two_mappings(modes: tuple[str, str]) -> None:
    """Two stacks read one stream at once, cut otherwise; every reading is delivered twice and counted once."""
    with World(1, replace(DIRECT, modes=modes)) as world:
        world.pass_ms(10 * MINUTE_MS)
        world.mappings[1].restart(Options(window_ms=0, batch_records_max=3))
        eight_records(world)
        world.drain()
        assert settled_faults(world) == []


def test_parallelization_factor_ten() -> None:
    """Ten batches of one shard at once, in no order among each other."""
    options = Options(window_ms=1_000, parallelization_factor=10, batch_records_max=2)
    with World(2, Setup(shards=1, options=options, target_bytes=200), Rates(killed=0.3)) as world:
        gateway = world.gateway()
        for number in range(5):
            world.pass_ms(MINUTE_MS)
            sent = facts(9, first_ms=START_MS + number * MINUTE_MS, step_ms=5_000, sensors=9)
            world.send(parcels(world, sent), gateway)
        world.drain()
        assert settled_faults(world) == []


def test_rewind_to_the_horizon() -> None:
    """The mapping is made anew and reads the whole stream again: not one byte of a row changes."""
    with World(1, DIRECT) as world:
        world.pass_ms(10 * MINUTE_MS)
        eight_records(world)
        world.drain()
        world.tick()
        before = rows_bytes(world)
        world.mappings[0].restart(Options(window_ms=0, batch_records_max=5), from_horizon=True)
        world.drain()
        world.tick()
        assert rows_bytes(world) == before
        assert settled_faults(world) == []


def test_an_hour_of_failures_blocks_no_other_shard() -> None:
    """One shard's batch fails for an hour; the other shard's windows are right meanwhile."""
    with World(1, replace(DIRECT, shards=2, options=EACH_ALONE)) as world:
        world.pass_ms(6 * MINUTE_MS)
        blocked = put_facts(world, facts(1), shard=0)
        put_facts(world, facts(3, step_ms=1_000, sensors=2), shard=1)
        until_ms = world.now_ms + HOUR_MS
        world.consumer.breaks = lambda event: world.now_ms < until_ms and holding(blocked[0], alone_too=True)(event)
        world.tick()
        assert len(rows_bytes(world)) == 1
        world.drain()
        assert settled_faults(world) == []
