"""Laws of aggregation: whatever goes in comes out, once, in order, within limits and within its shard."""

import base64
import itertools
from collections import defaultdict

import numpy as np
from aws_kinesis_agg.deaggregator import deaggregate_records
from hypothesis import given
from hypothesis import strategies as st

from producers.aggregator import Aggregator
from producers.shards import ShardMap
from tests.simulation.scripted_stream import even_shards, hash_key_of
from windrow.aws.stream import HASH_KEY_MAX, OutgoingRecord, Shard
from windrow.columns.strings import Strings
from windrow.wire.kpl import MAGIC, deaggregate

_keys = st.one_of(
    st.sampled_from(["a", "b", "c"]), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)
)
_payloads = st.one_of(st.just(MAGIC), st.binary(max_size=40), st.integers(100, 400).map(lambda length: b"x" * length))
_pairs = st.lists(st.tuples(_keys, _payloads), max_size=80)


@st.composite
def _shards(draw: st.DrawFn) -> list[Shard]:
    """A tiling of the hash keys at any bounds."""
    bounds = sorted(draw(st.sets(st.integers(1, HASH_KEY_MAX), max_size=5)))
    firsts, lasts = [0, *bounds], [*(bound - 1 for bound in bounds), HASH_KEY_MAX]
    return [
        Shard(shard_id=f"shardId-{number:012}", first_hash_key=first, last_hash_key=last)
        for number, (first, last) in enumerate(zip(firsts, lasts, strict=True))
    ]


def _aggregate(aggregator: Aggregator, pairs: list[tuple[str, bytes]], cuts: list[int]) -> list[OutgoingRecord]:
    """The records of `pairs`, handed over in batches that end at `cuts`."""
    bounds = sorted({0, len(pairs), *(cut % (len(pairs) + 1) for cut in cuts)})
    records = []
    for start, end in itertools.pairwise(bounds):
        batch = pairs[start:end]
        keys = Strings.of(key for key, _ in batch)
        records += aggregator.add_payloads(keys, np.arange(len(batch)), [payload for _, payload in batch])
    return records + aggregator.flush()


def _user_records(record: OutgoingRecord) -> list[tuple[str, bytes]]:
    user_records = deaggregate(record.body)
    if user_records is None:
        return [(record.partition_key, record.body)]
    return [(one.partition_key, one.payload) for one in user_records]


def _by_key(pairs: list[tuple[str, bytes]]) -> dict[str, list[bytes]]:
    grouped = defaultdict(list)
    for key, payload in pairs:
        grouped[key].append(payload)
    return grouped


@given(pairs=_pairs, shards=_shards(), target_bytes=st.integers(30, 600), cuts=st.lists(st.integers(0, 80), max_size=4))
def test_every_payload_comes_back_once_and_in_order_from_its_own_shard(
    pairs: list[tuple[str, bytes]], shards: list[Shard], target_bytes: int, cuts: list[int]
) -> None:
    """Any payloads, keys, shards, target and batches."""
    records = _aggregate(Aggregator(ShardMap(shards), target_bytes=target_bytes), pairs, cuts)

    by_id = {shard.shard_id: shard for shard in shards}
    for record in records:
        user_records = _user_records(record)
        shard = by_id[record.shard_id]
        keys = [hash_key_of(OutgoingRecord(partition_key=key, body=b"")) for key, _ in user_records]
        assert all(shard.first_hash_key <= key <= shard.last_hash_key for key in [*keys, hash_key_of(record)])
        assert record.size_bytes <= target_bytes or len(user_records) == 1
        assert record.readings == len(user_records)
    assert _by_key([pair for record in records for pair in _user_records(record)]) == _by_key(pairs)


@given(pairs=_pairs, target_bytes=st.integers(30, 600))
def test_records_are_as_full_as_their_target_allows(pairs: list[tuple[str, bytes]], target_bytes: int) -> None:
    """The first payload of the next record would not have fitted into the one before."""
    shards = even_shards(1)
    records = _aggregate(Aggregator(ShardMap(shards), target_bytes=target_bytes), pairs, [])
    for record, following in itertools.pairwise(records):
        merged = [*_user_records(record), _user_records(following)[0]]
        (together,) = _aggregate(Aggregator(ShardMap(shards), target_bytes=10**6), merged, [])
        assert together.size_bytes > target_bytes


@given(pairs=_pairs.filter(lambda pairs: len(pairs) > 1))
def test_another_implementation_reads_the_same(pairs: list[tuple[str, bytes]]) -> None:
    """aws-kinesis-agg's deaggregator gives the same keys and payloads."""
    (record,) = _aggregate(Aggregator(ShardMap(even_shards(1)), target_bytes=10**6), pairs, [])
    names = ["eventID", "eventName", "eventSource", "eventSourceARN", "eventVersion", "invokeIdentityArn", "awsRegion"]
    kinesis = {
        "data": base64.b64encode(record.body),
        "partitionKey": record.partition_key,
        "sequenceNumber": "1",
        "kinesisSchemaVersion": "1.0",
        "approximateArrivalTimestamp": 0.0,
    }
    theirs = [one["kinesis"] for one in deaggregate_records([{**dict.fromkeys(names, ""), "kinesis": kinesis}])]
    assert [(one["partitionKey"], base64.b64decode(one["data"])) for one in theirs] == pairs
