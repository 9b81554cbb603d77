"""A split and a merge on the embedded stack, as far as it models them: it loses what the closed shards held.

So everything is read before each reshard, and what is sent after it, by the shards of before, is looked for.
moto's server, whose closed shards lose nothing, takes the same run in tests/simulation/test_resharded_run.py.
"""

from collections import Counter
from collections.abc import Iterator

import pytest

from producers.fleet import FleetSpec, readings
from producers.sender import Sender, Wire
from producers.shards import ShardMap
from tests.simulation import resharded_run
from windrow.aws.clients import Place, client
from windrow.aws.kinesis import KinesisStream
from windrow.reading import Reading
from windrow.wire.json.strict import parse_readings
from windrow.wire.kpl import deaggregate

NAME = "reshard-test"
FLEET = FleetSpec(seed=1, sensors=500, start_ms=1_763_640_000_000, end_ms=1_763_640_060_000)


@pytest.fixture
def stream(place: Place) -> Iterator[KinesisStream]:
    """A stream of two shards that nobody consumes."""
    kinesis = client("kinesis", place)
    kinesis.create_stream(StreamName=NAME, ShardCount=2)
    kinesis.get_waiter("stream_exists").wait(StreamName=NAME)
    yield KinesisStream.at(place, NAME)
    kinesis.delete_stream(StreamName=NAME)


def held(stream: KinesisStream) -> Counter[Reading]:
    """Every reading in the stream's shards."""
    found: Counter[Reading] = Counter()
    for record in stream.records_between(0, 4_000_000_000_000):
        user_records = deaggregate(record.body)
        payloads = [record.body] if user_records is None else [one.payload for one in user_records]
        found.update(parse_readings(payloads).readings)
    return found


def test_readings_sent_by_old_shards_arrive_in_the_new_ones(place: Place, stream: KinesisStream) -> None:
    """Before, after a split, and after a merge: each time all that was sent, once, and the new shards are known."""
    kinesis = client("kinesis", place)
    sender = Sender.to_stream(stream)
    before, during, after = (
        [batch.take(batch.sequence % 3 == which) for batch in readings(FLEET)] for which in range(3)
    )
    expected: Counter[Reading] = Counter()
    for batches, reshard in ((before, "split"), (during, "merge"), (after, "")):
        for batch in batches:
            sender.send(batch)
            sender.flush()
            expected.update(batch)
        assert held(stream) == expected
        shards = sorted(stream.list_shards(), key=lambda shard: shard.first_hash_key)
        if reshard == "split":
            middle = (shards[0].first_hash_key + shards[0].last_hash_key) // 2
            lost = shards[0].shard_id
            kinesis.split_shard(StreamName=NAME, ShardToSplit=lost, NewStartingHashKey=str(middle))
            expected = held(stream)
        elif reshard == "merge":
            pair = [shard.shard_id for shard in shards[-2:]]
            kinesis.merge_shards(StreamName=NAME, ShardToMerge=pair[0], AdjacentShardToMerge=pair[1])
            expected = held(stream)
    assert sender.counters.misplaced > 0


@pytest.mark.slow
@pytest.mark.parametrize("wire", list(Wire))
def test_every_reading_is_there_and_only_ambiguous_requests_double_any(
    place: Place, stream: KinesisStream, wire: Wire
) -> None:
    """Over 200,000 readings, where what was read before each reshard counts as there: nothing lost, no other double."""
    done = resharded_run.run(place, NAME, wire)
    resharded_run.assert_nothing_is_missing_and_only_timeouts_double(done)
    assert done.troubled.lost
    assert not done.troubled.copied
    opened = ShardMap(stream.list_shards()).shards
    assert [len(shard.parents) for shard in opened] == [1, 2]
    resharded_run.assert_later_records_are_in_their_shards(opened, done.held)
