"""A stream that distributes records by itself (AUTO): the readings of an aggregate lie in any shard.

aggregate {a, b, c} ──▶ shard 0   though a, b and c hash to shard 2
the same, sent again ──▶ shard 1   one set of readings, whoever delivers it
"""

from dataclasses import replace

import pytest

from producers.shards import ShardMap
from tests.simulation.faults import Rates
from tests.simulation.scenes import DIRECT, FANOUT, MINUTE_MS, Options, World, facts, parcels, settled_faults
from tests.simulation.world import Setup
from windrow.aws.stream import HASH_KEY_MAX
from windrow.wire.kpl import deaggregate

SETUPS = [
    pytest.param(replace(DIRECT, shards=4, target_bytes=400), id="direct"),
    pytest.param(replace(FANOUT, shards=4, target_bytes=400), id="fanout"),
]


def strays(world: World) -> int:
    """User records in aggregates that a consumer by the KCL would skip: their keys hash to another shard."""
    count = 0
    for record in world.stream.records:
        shard = world.stream.shards[record.shard_id]
        for one in deaggregate(record.body) or []:
            count += not shard.first_hash_key <= ShardMap.hash_key_of(one.partition_key) <= shard.last_hash_key
    return count


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("setup", SETUPS)
def test_aggregates_in_any_shard_count_exactly(setup: Setup, seed: int) -> None:
    """With refused entries, killed consumers, and a producer that sends again what it was not told is stored."""
    with World(seed, setup, Rates(put_entry_failed=0.2, killed=0.2)) as world:
        world.stream.ignores_keys = True
        for _ in range(6):
            world.pass_ms(MINUTE_MS)
            world.send(parcels(world, facts(40, first_ms=world.now_ms - MINUTE_MS, step_ms=1_500, sensors=20)))
        assert strays(world) > 50
        assert settled_faults(world) == []


@pytest.mark.parametrize("seed", range(3))
def test_the_strategy_changes_under_way(seed: int) -> None:
    """To AUTO and back, amid splits, with a mapping that begins again at the horizon."""
    with World(seed, replace(DIRECT, shards=2, target_bytes=400, options=Options(window_ms=30_000))) as world:
        for number in range(6):
            world.stream.ignores_keys = number % 3 == 1
            world.pass_ms(MINUTE_MS)
            world.send(parcels(world, facts(40, first_ms=world.now_ms - MINUTE_MS, step_ms=1_500, sensors=20)))
            if number == 2:
                world.stream.split("shardId-000000000000", at_hash_key=HASH_KEY_MAX // 4)
        world.mappings[0].restart(Options(window_ms=10_000), from_horizon=True)
        assert strays(world) > 10
        assert settled_faults(world) == []
