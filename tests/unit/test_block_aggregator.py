"""Blocks: which readings share one, where it goes, and how long it may be."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.block_aggregator import BlockAggregator
from producers.shards import ShardMap
from tests.property import strategies
from tests.simulation.scripted_stream import even_shards, hash_key_of
from tests.simulation.test_scenarios_limits import hard_to_compress
from windrow.aws.stream import OutgoingRecord
from windrow.errors import WindrowError
from windrow.reading import Reading, Readings
from windrow.wire.block.block import decode_block, encode_block

LONE_BLOCK_BYTES_MAX = 2_200
"""What a block of one reading takes at most here; most of it is Arrow's own."""


def contents(record: OutgoingRecord) -> list[Reading]:
    return list(decode_block(record.body))


@pytest.mark.slow
@given(
    batches=st.lists(strategies.batches(), max_size=4),
    shards=st.integers(1, 4),
    block_readings=st.integers(1, 50),
    record_bytes_max=st.integers(2_000, 4_000),
)
def test_every_reading_comes_back_once_in_order_from_its_own_shard(
    batches: list[list[Reading]], shards: int, block_readings: int, record_bytes_max: int
) -> None:
    """Any batches, shards and limits."""
    shard_map = ShardMap(even_shards(shards))
    aggregator = BlockAggregator(shard_map, block_readings=block_readings, record_bytes_max=record_bytes_max)
    records = [record for batch in batches for record in aggregator.add(Readings.of(batch))] + aggregator.flush()
    by_id = {shard.shard_id: shard for shard in shard_map.shards}
    expected = [reading for batch in batches for reading in batch]
    for record in records:
        shard = by_id[record.shard_id]
        assert record.size_bytes <= record_bytes_max
        assert 1 <= len(contents(record)) == record.readings <= block_readings
        for key in [hash_key_of(record), *(_hash_key(one) for one in contents(record))]:
            assert shard.first_hash_key <= key <= shard.last_hash_key
    for shard_id, shard in by_id.items():
        mine = [one for one in expected if shard.first_hash_key <= _hash_key(one) <= shard.last_hash_key]
        assert [one for record in records if record.shard_id == shard_id for one in contents(record)] == mine
    assert len(aggregator) == 0


@pytest.mark.slow
@given(count=st.integers(2, 70), seed=st.integers(0, 2**32), readings_per_record=st.integers(1, 9))
def test_a_block_that_is_too_long_is_parted_and_loses_nothing(count: int, seed: int, readings_per_record: int) -> None:
    """Ids that do not compress, and a limit that a few of them fill: every part fits, and all readings are there."""
    readings = hard_to_compress(count, seed=seed)
    limit_bytes = 1 + max(len(encode_block(Readings.of(readings[:readings_per_record]))), LONE_BLOCK_BYTES_MAX)
    aggregator = BlockAggregator(ShardMap(even_shards(1)), record_bytes_max=limit_bytes)

    records = aggregator.add(Readings.of(readings)) + aggregator.flush()

    assert [one for record in records for one in contents(record)] == readings
    assert all(record.size_bytes <= limit_bytes for record in records)
    assert all(record.readings == len(contents(record)) for record in records)


def test_a_change_of_shards_moves_what_waits() -> None:
    """Nothing is lost, and it goes where its sensors hash to now."""
    aggregator = BlockAggregator(ShardMap(even_shards(1)))
    readings = [Reading(f"sensor-{number}", number, 0, number) for number in range(100)]
    assert aggregator.add(Readings.of(readings)) == []
    after = ShardMap(shard for shard in even_shards(3))
    assert aggregator.remap(after) == []
    records = aggregator.flush()
    assert len(records) == 3
    assert Counter(one for record in records for one in contents(record)) == Counter(readings)


def test_old_readings_are_flushed_alone() -> None:
    """By age: the shard that waited long enough, and no other."""
    now = 0.0
    aggregator = BlockAggregator(ShardMap(even_shards(2)), clock=lambda: now)
    here, there = _one_per_shard()
    aggregator.add(Readings.of([here]))
    now = 5.0
    aggregator.add(Readings.of([there]))
    now = 10.0
    assert [contents(record) for record in aggregator.flush_older(10.0)] == [[here]]
    assert [contents(record) for record in aggregator.flush_older(5.0)] == [[there]]


def test_a_reading_that_no_record_can_hold_is_told() -> None:
    """Only a limit far below the stream's can cause it."""
    aggregator = BlockAggregator(ShardMap(even_shards(1)), record_bytes_max=100)
    aggregator.add(Readings.of([Reading("a", 1, 0, 1)]))
    with pytest.raises(WindrowError, match="a block of one reading takes"):
        aggregator.flush()


def _hash_key(reading: Reading) -> int:
    return hash_key_of(OutgoingRecord(partition_key=reading.sensor_id, body=b""))


def _one_per_shard() -> tuple[Reading, Reading]:
    shard_map = ShardMap(even_shards(2))
    readings = [Reading(f"sensor-{number}", 1, 0, 1) for number in range(20)]
    first, second = (
        next(one for one in readings if shard_map.places_of([one.sensor_id.encode()]) == [place]) for place in (0, 1)
    )
    return first, second
