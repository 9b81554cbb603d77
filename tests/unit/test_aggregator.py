"""The aggregator: which record a reading goes into, where that record goes, and how long it may be."""

import numpy as np
import pytest

from producers import shards
from producers.aggregator import Aggregator
from producers.block_aggregator import BlockAggregator
from producers.shards import ShardMap
from tests.simulation.scripted_stream import even_shards, hash_key_of
from windrow.aws.stream import HASH_KEY_MAX, RECORD_BYTES_MAX, OutgoingRecord, Shard
from windrow.columns.strings import Strings
from windrow.errors import WindrowError
from windrow.quantities import TEMPERATURE, Quantity
from windrow.reading import Reading, Readings
from windrow.wire.block.block import decode_block
from windrow.wire.json.encode import encode_readings
from windrow.wire.json.strict import parse_reading
from windrow.wire.kpl import MAGIC, OUTER_PARTITION_KEY, UserRecord, deaggregate

ONE_SHARD = ShardMap(even_shards(1))


def collect(aggregator: Aggregator, pairs: list[tuple[str, bytes]]) -> list[OutgoingRecord]:
    """All records that these (key, payload) pairs become."""
    full = aggregator.add_payloads(
        Strings.of(key for key, _ in pairs), np.arange(len(pairs)), [payload for _, payload in pairs]
    )
    return full + aggregator.flush()


def counts(records: list[OutgoingRecord]) -> list[int]:
    return [record.readings for record in records]


def test_a_reading_goes_to_the_shard_that_its_sensor_id_hashes_to() -> None:
    """Every key of an aggregate hashes into the range that the outer record is pinned to."""
    shards = even_shards(5)
    readings = Readings.of((f"sensor-{number % 40}", number, 0, 20_000) for number in range(2_000))

    aggregator = Aggregator(ShardMap(shards), target_bytes=4_000)
    records = aggregator.add(readings) + aggregator.flush()

    by_id = {shard.shard_id: shard for shard in shards}
    assert {record.shard_id for record in records} == set(by_id)
    for record in records:
        shard = by_id[record.shard_id]
        user_records = deaggregate(record.body)
        assert user_records is not None
        keys = [hash_key_of(OutgoingRecord(partition_key=one.partition_key, body=b"")) for one in user_records]
        assert all(shard.first_hash_key <= key <= shard.last_hash_key for key in [*keys, hash_key_of(record)])


@pytest.mark.parametrize("shards", [1, 5])
@pytest.mark.parametrize("rows_at_once", [1, 7, 16_384])
def test_readings_become_the_records_that_their_payloads_become(
    shards: int, rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the byte, although they are encoded shard by shard and some at a time; over several batches, some of few."""
    monkeypatch.setattr("producers.aggregator._ROWS_AT_ONCE", rows_at_once)
    monkeypatch.setattr("producers.aggregator._ROWS_FOR_A_KEY", 0)
    shard_map = ShardMap(even_shards(shards))
    ours, payloads = Aggregator(shard_map, target_bytes=3_000), Aggregator(shard_map, target_bytes=3_000)
    for count in (700, 1, 3, 900, 0, 2):
        readings = Readings.of((f"sensor-{number * 7 % 40}", number, 0, 20_000 + number) for number in range(count))
        full = ours.add(readings)
        assert full == payloads.add_payloads(readings.sensor_ids, readings.sensor, encode_readings(readings))
    assert ours.flush() == payloads.flush()


def test_a_reading_that_cannot_be_encoded_is_named_by_its_row() -> None:
    """As the caller counts, not as shards order them; and nothing is taken."""
    aggregator = Aggregator(ShardMap(even_shards(5)))
    rows = [(f"sensor-{number}", number, 0 if number != 3 else -1, 20_000) for number in range(40)]
    with pytest.raises(ValueError, match="row 3: sequence -1"):
        aggregator.add(Readings.of(rows))
    assert not len(aggregator)


@pytest.mark.parametrize("wire", ["json", "blocks"])
def test_all_quantities_of_a_sensor_go_one_way(wire: str) -> None:
    """Its partition key is the bare sensor id, however much it measures, and is once in an aggregate's table."""
    humidity, power = Quantity("humidity", "%"), Quantity("power", "W")
    kinds = (TEMPERATURE, humidity, power)
    readings = Readings.of(
        Reading(f"sensor-{number % 40}", number, 0, number, kinds[number // 40 % 3]) for number in range(480)
    )
    shard_map = ShardMap(even_shards(5))
    aggregator = Aggregator(shard_map) if wire == "json" else BlockAggregator(shard_map)
    found: dict[tuple[str, Quantity], set[str]] = {}
    for record in aggregator.add(readings) + aggregator.flush():
        if wire == "json":
            user_records = deaggregate(record.body) or []
            assert {one.partition_key for one in user_records} <= {f"sensor-{number}" for number in range(40)}
            assert all(record.body.count(f"\n\x08sensor-{n}".encode()) <= 1 for n in range(10))
            contents = [parse_reading(one.payload) for one in user_records]
            assert [one.partition_key for one in user_records] == [one.sensor_id for one in contents]
        else:
            contents = list(decode_block(record.body))
        for one in contents:
            found.setdefault((one.sensor_id, one.quantity), set()).add(record.shard_id or "")
    assert len(found) == 120
    for number in range(40):
        name = f"sensor-{number}"
        ours = shard_map.shards[shard_map.places_of([name.encode()])[0]].shard_id
        assert {ours} == found[name, TEMPERATURE] == found[name, humidity] == found[name, power]


def test_every_reading_comes_back_in_order_under_its_own_key() -> None:
    """Decoded with an independent walk over records, the payloads are those that went in, sensor by sensor."""
    readings = Readings.of((f"sensor-{number % 7}", number, number, number) for number in range(500))
    aggregator = Aggregator(ShardMap(even_shards(3)), target_bytes=2_000)

    seen: dict[str, list[bytes]] = {}
    for record in aggregator.add(readings) + aggregator.flush():
        for one in deaggregate(record.body) or []:
            assert parse_reading(one.payload).sensor_id == one.partition_key
            seen.setdefault(one.partition_key, []).append(one.payload)

    expected: dict[str, list[bytes]] = {}
    for reading, payload in zip(readings, encode_readings(readings), strict=True):
        expected.setdefault(reading.sensor_id, []).append(payload)
    assert seen == expected


def test_a_single_reading_is_sent_plain_under_its_own_key() -> None:
    """As the KPL does: no envelope, no explicit hash key, its own partition key."""
    (record,) = collect(Aggregator(ONE_SHARD), [("roof", b"payload")])
    assert (record.partition_key, record.body, record.explicit_hash_key) == ("roof", b"payload", None)
    assert record.readings == 1


def test_a_single_payload_that_looks_like_an_aggregate_is_wrapped() -> None:
    """Sent plain it would be taken apart, or refused, at the other end; the limit holds for what wraps it."""
    payload = MAGIC + b"x" * 100
    (record,) = collect(Aggregator(ONE_SHARD), [("roof", payload)])
    assert deaggregate(record.body) == [UserRecord("roof", payload)]
    collect(Aggregator(ONE_SHARD, record_bytes_max=record.size_bytes), [("roof", payload)])
    with pytest.raises(WindrowError, match="'roof'"):
        collect(Aggregator(ONE_SHARD, record_bytes_max=record.size_bytes - 1), [("roof", payload)])


def test_an_aggregate_has_the_outer_key_of_the_kpl() -> None:
    """What decides the shard is the explicit hash key, the first of the shard's range."""
    (record,) = collect(Aggregator(ONE_SHARD), [("roof", b"1"), ("cellar", b"2")])
    assert (record.partition_key, record.explicit_hash_key) == (OUTER_PARTITION_KEY, "0")


@pytest.mark.parametrize("key_length", [1, 127, 128, 256])
@pytest.mark.parametrize("payload_length", [0, 1, 100, 127, 128, 16_381, 20_000])
def test_a_record_is_filled_to_the_last_byte(key_length: int, payload_length: int) -> None:
    """With exactly the bytes that the aggregate takes as the target it is one record, with one byte less it is not.

    The lengths are those at which protobuf's varints grow.
    """
    pairs = [(f"{number}{'k' * (key_length - 1)}", b"p" * payload_length) for number in range(3)]
    (whole,) = collect(Aggregator(ONE_SHARD, target_bytes=RECORD_BYTES_MAX), pairs)

    exact = collect(Aggregator(ONE_SHARD, target_bytes=whole.size_bytes), pairs)
    short = collect(Aggregator(ONE_SHARD, target_bytes=whole.size_bytes - 1), pairs)

    assert counts(exact) == [3]
    assert counts(short) == [2, 1]


def test_many_keys_are_counted_exactly_too() -> None:
    """The index of the 129th key takes two bytes; the size is still that of the record, to the byte."""
    pairs = [(f"sensor-{number:04}", b"p" * 10) for number in range(300)]
    (whole,) = collect(Aggregator(ONE_SHARD), pairs)
    assert counts(collect(Aggregator(ONE_SHARD, target_bytes=whole.size_bytes), pairs)) == [300]
    assert counts(collect(Aggregator(ONE_SHARD, target_bytes=whole.size_bytes - 1), pairs)) == [299, 1]


def test_a_key_is_stored_once_per_aggregate() -> None:
    """The second payload of a sensor does not pay for its id again."""
    (record,) = collect(Aggregator(ONE_SHARD), [("k" * 200, b"1"), ("k" * 200, b"2")])
    assert record.body.count(b"k" * 200) == 1
    assert record.size_bytes < 250


def test_every_aggregate_pays_for_its_own_keys() -> None:
    """A key that the record before held already is counted again in the next one."""
    pairs = [("k" * 200, b"p" * 40)] * 40
    (of_three,) = collect(Aggregator(ONE_SHARD), pairs[:3])
    assert counts(collect(Aggregator(ONE_SHARD, target_bytes=of_three.size_bytes), pairs)) == [3] * 13 + [1]


def test_an_aggregate_holds_a_bounded_number_of_payloads() -> None:
    """The count bounds it, however small the payloads are."""
    records = collect(Aggregator(ONE_SHARD, user_records_max=4), [("a", b"")] * 10)
    assert counts(records) == [4, 4, 2]


def test_a_payload_longer_than_the_target_is_sent_plain() -> None:
    """It goes alone; its neighbours are aggregated before and after it."""
    pairs = [("a", b"1"), ("a", b"2"), ("a", b"x" * 5_000), ("a", b"3"), ("a", b"4")]
    records = collect(Aggregator(ONE_SHARD, target_bytes=1_000), pairs)
    assert counts(records) == [2, 1, 2]
    assert records[1].body == b"x" * 5_000


def test_a_payload_may_fill_the_record_limit_and_no_more() -> None:
    """1 MiB with its key is sent; one byte more is refused by name, and nothing vanishes."""
    fitting = b"x" * (RECORD_BYTES_MAX - len("roof"))
    assert [record.size_bytes for record in collect(Aggregator(ONE_SHARD), [("roof", fitting)])] == [RECORD_BYTES_MAX]
    with pytest.raises(WindrowError, match="'roof'"):
        collect(Aggregator(ONE_SHARD), [("roof", fitting + b"x")])


def test_a_larger_limit_of_the_stream_is_not_used() -> None:
    """A function cannot receive a record of 10 MiB: base64 makes it longer than an invocation's payload."""
    aggregator = Aggregator(ONE_SHARD, target_bytes=10 * RECORD_BYTES_MAX, record_bytes_max=10 * RECORD_BYTES_MAX)
    records = collect(aggregator, [("a", b"x" * 300_000)] * 4)
    assert counts(records) == [3, 1]


def test_flush_leaves_nothing_behind() -> None:
    """A second flush has nothing to give."""
    aggregator = Aggregator(ONE_SHARD)
    assert len(collect(aggregator, [("a", b"1")])) == 1
    assert aggregator.flush() == []


def test_closed_shards_are_no_targets() -> None:
    """After a split the children take all keys, and the parent none."""
    parent = Shard(shard_id="shardId-0", first_hash_key=0, last_hash_key=HASH_KEY_MAX, is_open=False)
    children = [
        Shard(shard_id="shardId-2", first_hash_key=2**127, last_hash_key=HASH_KEY_MAX),
        Shard(shard_id="shardId-1", first_hash_key=0, last_hash_key=2**127 - 1),
    ]
    shard_map = ShardMap([parent, *children])
    assert [shard.shard_id for shard in shard_map.shards] == ["shardId-1", "shardId-2"]
    assert set(shard_map.places_of([b"%d" % number for number in range(100)])) == {0, 1}


@pytest.mark.parametrize("kept", [[0], [1], [], [0, 2], [0, 1, 1, 2]])
def test_shards_that_do_not_tile_the_hash_keys_are_refused(kept: list[int]) -> None:
    """In the middle of a reshard a list may have a gap or an overlap; a reading must not go astray."""
    shards = even_shards(3)
    with pytest.raises(WindrowError, match="do not cover all hash keys"):
        ShardMap([shards[place] for place in kept])


def test_ranges_that_differ_in_their_lowest_bits_are_told_apart() -> None:
    """All 128 bits of a hash key decide, also where many shards share the upper half."""
    key = hash_key_of(OutgoingRecord(partition_key="roof", body=b""))
    bounds = [0, key - 1, key, key + 1, key + 2]
    lasts = [*(bound - 1 for bound in bounds[1:]), HASH_KEY_MAX]
    shards = [
        Shard(shard_id=f"shardId-{number:012}", first_hash_key=first, last_hash_key=last)
        for number, (first, last) in enumerate(zip(bounds, lasts, strict=True))
    ]
    shard_map = ShardMap(shards)
    assert shard_map.places_of([b"roof"]) == [2]
    assert shard_map.hash_key_of("roof") == key


def test_old_payloads_are_flushed_alone() -> None:
    """By age: the shard whose oldest payload waited long enough, and no other; a full record begins a new age."""
    now = 0.0
    shard_map = ShardMap(even_shards(2))
    aggregator = Aggregator(shard_map, clock=lambda: now, target_bytes=120)
    names = [f"sensor-{number}" for number in range(20)]
    here, there = (next(name for name in names if shard_map.places_of([name.encode()]) == [place]) for place in (0, 1))

    def add(name: str) -> list[OutgoingRecord]:
        return aggregator.add_payloads(Strings.of([name]), np.zeros(1, np.int64), [b"p" * 30])

    add(here)
    now = 5.0
    add(there)
    now = 10.0
    assert [record.partition_key for record in aggregator.flush_older(6.0)] == [here]
    assert aggregator.flush_older(6.0) == []
    assert len(add(there) + add(there)) == 1
    now = 12.0
    assert aggregator.flush_older(6.0) == []
    assert [record.partition_key for record in aggregator.flush_older(2.0)] == [there]
    assert len(aggregator) == 0


def test_a_change_of_shards_moves_what_waits_for_closed_ones() -> None:
    """After a split and a merge every payload is in the shard of its key, in order; what waits for others stays."""
    old, new = even_shards(4), even_shards(4)
    left, right = old[0], old[1]
    middle = (left.first_hash_key + left.last_hash_key) // 2
    split = [
        Shard(shard_id="shardId-4", first_hash_key=left.first_hash_key, last_hash_key=middle),
        Shard(shard_id="shardId-5", first_hash_key=middle + 1, last_hash_key=left.last_hash_key),
    ]
    merged = Shard(shard_id="shardId-6", first_hash_key=new[2].first_hash_key, last_hash_key=new[3].last_hash_key)
    after = ShardMap([*split, right, merged])
    aggregator = Aggregator(ShardMap(old))
    pairs = [(f"sensor-{number % 40}", b"%d" % number) for number in range(200)]
    keys = Strings.of(key for key, _ in pairs)
    assert aggregator.add_payloads(keys, np.arange(len(pairs)), [payload for _, payload in pairs]) == []
    assert aggregator.remap(after) == []
    seen: dict[str, list[bytes]] = {}
    for record in aggregator.flush():
        shard = next(shard for shard in after.shards if shard.shard_id == record.shard_id)
        assert shard.first_hash_key <= hash_key_of(record) <= shard.last_hash_key
        for one in deaggregate(record.body) or []:
            assert after.shards[after.places_of([one.partition_key.encode()])[0]] == shard
            seen.setdefault(one.partition_key, []).append(one.payload)
    assert seen == {key: [payload for name, payload in pairs if name == key] for key, _ in pairs}


def test_many_columns_of_keys_are_known_and_the_oldest_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fleet's groups come in turn; what is remembered of them is bounded, and forgetting changes nothing."""
    monkeypatch.setattr(shards, "ROUTED_KEYS_MAX", 25)
    aggregator = Aggregator(ShardMap(even_shards(3)))
    columns = [Strings.of(f"sensor-{column}-{number}" for number in range(10)) for column in range(4)]
    for column in columns * 3:
        aggregator.add_payloads(column, np.arange(10), [b"x"] * 10)
        assert sum(len(keys) for keys, _ in aggregator._routes._routes.values()) <= 25
    assert sum(record.readings for record in aggregator.flush()) == 120
