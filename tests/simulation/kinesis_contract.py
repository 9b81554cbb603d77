"""What a Kinesis must do, as windrow uses it. Subclass it where a stream can be made; all places run the same tests."""

import hashlib
from typing import Any

import pytest

from windrow.aws.kinesis import KinesisStream
from windrow.aws.stream import HASH_KEY_MAX, OutgoingRecord, Stored

MIDDLE = (HASH_KEY_MAX + 1) // 2


def record(body: bytes, *, key: str = "key", explicit: int | None = None) -> OutgoingRecord:
    """A record with these bytes."""
    return OutgoingRecord(partition_key=key, body=body, explicit_hash_key=None if explicit is None else str(explicit))


class KinesisContract:
    """The tests; `stream` must be the adapter over an empty stream of two shards that `client` speaks to.

    What a stand-in is known to do otherwise than the API reference says is switched off by name.
    """

    last_hash_key_belongs = True
    """A shard's EndingHashKey is its last, not the first beyond it."""
    closed_shards_refuse = True
    """A record never goes to a closed shard."""

    def test_two_shards_share_the_hash_keys(self, stream: KinesisStream) -> None:
        """A new stream's shards are open, have no parents, and tile the range."""
        shards = sorted(stream.list_shards(), key=lambda shard: shard.first_hash_key)
        assert [(shard.is_open, shard.parents) for shard in shards] == [(True, ()), (True, ())]
        assert [shard.first_hash_key for shard in shards] == [0, shards[0].last_hash_key + 1]
        assert shards[-1].last_hash_key == HASH_KEY_MAX

    def test_record_goes_where_its_explicit_hash_key_says(self, stream: KinesisStream) -> None:
        """Both ends of every shard's range belong to it."""
        for shard in stream.list_shards():
            for hash_key in (shard.first_hash_key, shard.last_hash_key - (not self.last_hash_key_belongs)):
                [answer] = stream.put_records([record(b"x", explicit=hash_key)]).entries
                assert isinstance(answer, Stored)
                assert answer.shard_id == shard.shard_id

    @pytest.mark.parametrize("key", ["a", "b", "sensor-1", "ä", "日本", "x" * 256])
    def test_record_without_one_goes_where_the_md5_of_its_key_says(self, stream: KinesisStream, key: str) -> None:
        """The MD5 of the key's UTF-8, as a 128-bit integer, lies in the range of the shard that takes the record."""
        [answer] = stream.put_records([record(b"x", key=key)]).entries
        assert isinstance(answer, Stored)
        hash_key = int(hashlib.md5(key.encode(), usedforsecurity=False).hexdigest(), 16)
        [shard] = [shard for shard in stream.list_shards() if shard.shard_id == answer.shard_id]
        assert shard.first_hash_key <= hash_key <= shard.last_hash_key

    def test_answers_come_in_the_order_of_the_records(self, stream: KinesisStream) -> None:
        """Answer i is about record i, whatever order they were stored in."""
        sent = [record(bytes([number]), explicit=(number % 2) * MIDDLE) for number in range(20)]
        answers = stream.put_records(sent).entries
        read = {(held.shard_id, held.sequence_number): held.body for held in stream.records_between(0, 2**45)}
        for one, answer in zip(sent, answers, strict=True):
            assert isinstance(answer, Stored)
            assert read[answer.shard_id, answer.sequence_number] == one.body

    def test_sequence_numbers_rise_within_a_shard(self, stream: KinesisStream) -> None:
        """Each request's records have higher numbers than those of the requests before it, as integers."""
        last = -1
        for number in range(12):
            [answer] = stream.put_records([record(bytes([number]), explicit=0)]).entries
            assert isinstance(answer, Stored)
            assert int(answer.sequence_number) > last
            last = int(answer.sequence_number)

    def test_records_are_read_as_they_were_written(self, stream: KinesisStream) -> None:
        """Bytes and partition key come back, in sequence, with a time of arrival."""
        sent = [record(bytes(range(number)), key=f"key-{number}", explicit=0) for number in range(1, 30)]
        for one in sent:
            stream.put_records([one])
        read = list(stream.records_between(0, 2**45))
        assert [(held.body, held.partition_key) for held in read] == [(one.body, one.partition_key) for one in sent]
        assert [int(held.sequence_number) for held in read] == sorted(int(held.sequence_number) for held in read)
        assert all(held.arrival_ms > 0 for held in read)

    def test_reading_stops_before_the_end_that_was_asked_for(self, stream: KinesisStream) -> None:
        """The range of arrivals is half-open."""
        stream.put_records([record(b"x", explicit=0)])
        [held] = stream.records_between(0, 2**45)
        assert list(stream.records_between(0, held.arrival_ms)) == []
        assert len(list(stream.records_between(held.arrival_ms, held.arrival_ms + 1))) == 1

    def test_unknown_stream_is_named(self, stream: KinesisStream) -> None:
        """A wrong name is an error that says so."""
        stream.name = "nowhere"
        with pytest.raises(Exception, match="nowhere"):
            stream.list_shards()


class ReshardingContract(KinesisContract):
    """What splits and merges do, where the place can."""

    def test_split_closes_the_parent_and_opens_two_children(self, stream: KinesisStream, client: Any) -> None:
        """The children share the parent's hash keys, name it, and come after it; its records stay."""
        [first, _] = stream.list_shards()
        stream.put_records([record(b"before", explicit=0)])
        middle = (first.first_hash_key + first.last_hash_key) // 2
        client.split_shard(StreamName=stream.name, ShardToSplit=first.shard_id, NewStartingHashKey=str(middle))
        shards = {shard.shard_id: shard for shard in stream.list_shards()}
        children = [shard for shard in shards.values() if shard.parents == (first.shard_id,)]
        assert not shards[first.shard_id].is_open
        assert [child.is_open for child in children] == [True, True]
        ranges = sorted((child.first_hash_key, child.last_hash_key) for child in children)
        assert ranges == [(first.first_hash_key, middle - 1), (middle, first.last_hash_key)]
        [answer] = stream.put_records([record(b"after", explicit=middle)]).entries
        assert isinstance(answer, Stored)
        if self.closed_shards_refuse:
            assert shards[answer.shard_id].first_hash_key == middle
        read = [held.body for held in stream.records_between(0, 2**45)]
        assert read == [b"before", b"after"]

    def test_merge_closes_both_parents_and_opens_a_child(self, stream: KinesisStream, client: Any) -> None:
        """The child has the hash keys of both and names both."""
        first, second = sorted(stream.list_shards(), key=lambda shard: shard.first_hash_key)
        client.merge_shards(StreamName=stream.name, ShardToMerge=first.shard_id, AdjacentShardToMerge=second.shard_id)
        shards = {shard.shard_id: shard for shard in stream.list_shards()}
        [child] = [shard for shard in shards.values() if shard.parents]
        assert set(child.parents) == {first.shard_id, second.shard_id}
        assert (child.first_hash_key, child.last_hash_key, child.is_open) == (0, HASH_KEY_MAX, True)
        assert not shards[first.shard_id].is_open
        assert not shards[second.shard_id].is_open
