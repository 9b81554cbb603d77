"""A run of 200,000 readings while the stream is split and merged, entries fail and answers get lost, against moto.

request   0 . . . . 10 . . . . 20 . . . . 30 . . . . 40
                    split     timeout    merge      timeout      and 5% of all entries fail
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.exceptions import ReadTimeoutError
from moto import mock_aws
from moto.kinesis.models import Stream

from producers.fleet import FleetSpec, readings
from producers.pace import Pace
from producers.sender import Sender, Wire
from producers.shards import ShardMap
from producers.writer import Writer
from tests.simulation.scripted_stream import hash_key_of
from windrow.aws import Place
from windrow.block import decode_block, is_block
from windrow.kinesis import KinesisStream, OutgoingRecord, Shard, StreamRecord
from windrow.kpl import deaggregate
from windrow.reading import Reading
from windrow.reading_json import parse_readings

PLACE = Place("test-resharding", None, "us-east-1")
READINGS = 200_000
SPLIT_AT, MERGE_AT = 10, 30
TIMEOUTS = {20, 40}
FAILING = 0.05
# Requests of some records, so that there are enough of them for everything to happen.
TARGET_BYTES = 51_200
FLEET = FleetSpec(seed=5, sensors=2_000, start_ms=1_763_640_000_000, end_ms=1_763_640_000_000 + 1_000_000)


class Troubled:
    """boto3's client, with what happens to the stream and to the requests on their way; `doubled`: stored unheard."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._random = np.random.default_rng(11)
        self.requests = 0
        self.doubled: list[bytes] = []
        self.copied: set[tuple[str, str]] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def put_records(self, *, StreamName: str, Records: list[Any]) -> Any:  # noqa: N803
        number, self.requests = self.requests, self.requests + 1
        if number == SPLIT_AT:
            split_first(self._client, StreamName)
        if number == MERGE_AT:
            merge_last(self._client, StreamName)
            merged = max(shard.shard_id for shard in open_shards(self._client, StreamName))
            self.copied = {
                place_of(record) for record in held_in(self._client, StreamName) if record.shard_id == merged
            }
        failing = self._random.random(len(Records)) < FAILING
        passed = [record for record, fails in zip(Records, failing, strict=True) if not fails]
        taken = iter(self._client.put_records(StreamName=StreamName, Records=passed)["Records"] if passed else [])
        if number in TIMEOUTS:
            self.doubled += [record["Data"] for record in passed]
            raise ReadTimeoutError(endpoint_url="https://kinesis")
        failure = {"ErrorCode": "InternalFailure", "ErrorMessage": "injected"}
        return {"Records": [failure if fails else next(taken) for fails in failing]}


def open_shards(client: Any, stream: str) -> list[Shard]:
    return ShardMap(KinesisStream(client, name=stream, place=PLACE).list_shards()).shards


def held_in(client: Any, stream: str) -> list[StreamRecord]:
    """Everything from the horizon on."""
    return list(KinesisStream(client, name=stream, place=PLACE).records_between(0, 4_000_000_000_000))


def place_of(record: StreamRecord) -> tuple[str, str]:
    return record.shard_id, record.sequence_number


def split_first(client: Any, stream: str) -> None:
    shard = open_shards(client, stream)[0]
    middle = (shard.first_hash_key + shard.last_hash_key) // 2
    client.split_shard(StreamName=stream, ShardToSplit=shard.shard_id, NewStartingHashKey=str(middle))


def merge_last(client: Any, stream: str) -> None:
    *_, left, right = open_shards(client, stream)
    client.merge_shards(StreamName=stream, ShardToMerge=left.shard_id, AdjacentShardToMerge=right.shard_id)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """moto's Kinesis with one stream of three shards, of which only open ones take records."""

    def open_shard(stream: Stream, partition_key: str, explicit_hash_key: str | None) -> Any:
        record = OutgoingRecord(partition_key=partition_key, body=b"", explicit_hash_key=explicit_hash_key)
        hash_key = hash_key_of(record)
        shards = (shard for shard in stream.shards.values() if shard.is_open)
        return next(shard for shard in shards if shard.starting_hash <= hash_key <= shard.ending_hash)

    monkeypatch.setattr(Stream, "get_shard_for_key", open_shard)
    with mock_aws():
        kinesis = boto3.client("kinesis", region_name=PLACE.region)
        kinesis.create_stream(StreamName="readings", ShardCount=3)
        yield kinesis


def readings_of(bodies: Sequence[bytes]) -> Counter[Reading]:
    """Every reading in these records, as often as it is there."""
    found: Counter[Reading] = Counter()
    for body in bodies:
        user_records = deaggregate(body)
        payloads = [body] if user_records is None else [one.payload for one in user_records]
        blocks = [payload for payload in payloads if is_block(payload)]
        parsed = parse_readings([payload for payload in payloads if not is_block(payload)])
        assert not parsed.bad
        found.update(parsed.readings)
        for block in blocks:
            found.update(decode_block(block))
    return found


@pytest.mark.parametrize("wire", list(Wire))
def test_every_reading_is_there_and_only_ambiguous_requests_double_any(client: Any, wire: Wire) -> None:
    """Read from the horizon: nothing lost, and what is there twice is what was stored without an answer."""
    troubled = Troubled(client)
    stream = KinesisStream(troubled, name="readings", place=PLACE)
    # Paced in small portions, so that many requests go; the clock and the pauses are made up.
    seconds = 0.0

    def sleep(length: float) -> None:
        nonlocal seconds
        seconds += length

    writer = Writer(
        stream,
        clock=lambda: seconds,
        sleep=sleep,
        pace=Pace(bytes_per_second=200_000 if wire is Wire.JSON else 5_000, records_per_second=1_000),
        waiting_bytes_max=1_000_000 if wire is Wire.JSON else 20_000,
    )
    sender = Sender(
        writer,
        ShardMap(stream.list_shards()),
        wire=wire,
        target_bytes=TARGET_BYTES,
        list_shards=stream.list_shards,
        clock=lambda: seconds,
    )
    sent: Counter[Reading] = Counter()
    for batch in readings(FLEET, batch_samples_max=2_000):
        sender.send(batch)
        if wire is Wire.BLOCKS:
            sender.cut()
        sent.update(batch)
    sender.flush()

    held = [record for record in held_in(client, "readings") if place_of(record) not in troubled.copied]
    found = readings_of([record.body for record in held])
    assert sent.total() == pytest.approx(READINGS, rel=0.01)
    assert troubled.requests > max(TIMEOUTS)
    assert found.keys() == sent.keys()
    assert found - sent == readings_of(troubled.doubled)
    counters = sender.counters
    assert counters.ambiguous >= len(troubled.doubled) > 0
    assert counters.misplaced > 0
    assert counters.readings == sent.total()
    assert len(open_shards(client, "readings")) == 3
    assert_later_records_are_in_their_shards(client, held)


def assert_later_records_are_in_their_shards(client: Any, held: Sequence[StreamRecord]) -> None:
    """After the reshards the aggregates in the shards that they opened hold only keys of those shards, at their end."""
    for shard in open_shards(client, "readings"):
        if not shard.parents:
            continue
        last = [record for record in held if record.shard_id == shard.shard_id][-1]
        for one in deaggregate(last.body) or []:
            key = hash_key_of(OutgoingRecord(partition_key=one.partition_key, body=b""))
            assert shard.first_hash_key <= key <= shard.last_hash_key


def test_for_kcl_consumers_every_reading_is_in_the_shard_of_its_key(client: Any) -> None:
    """What was under way during a split is sent again to its own shard, so that dropping strays drops nothing."""
    stream = KinesisStream(client, name="readings", place=PLACE)
    sender = Sender(
        Writer(stream, pace=None),
        ShardMap(stream.list_shards()),
        list_shards=stream.list_shards,
        resends_strays=True,
        sleep=lambda _seconds: None,
        clock=iter(range(10**6)).__next__,
    )
    fleet = FleetSpec(seed=5, sensors=200, start_ms=FLEET.start_ms, end_ms=FLEET.start_ms + 60_000)
    sent: set[Reading] = set()
    for number, batch in enumerate(readings(fleet)):
        sender.send(batch)
        sent.update(batch)
        if number == 0:
            split_first(client, "readings")
    sender.flush()
    ranges = {shard.shard_id: shard for shard in stream.list_shards()}
    kept: set[Reading] = set()
    for record in stream.records_between(0, 4_000_000_000_000):
        shard = ranges[record.shard_id]
        for one in deaggregate(record.body) or []:
            key = hash_key_of(OutgoingRecord(partition_key=one.partition_key, body=b""))
            if shard.first_hash_key <= key <= shard.last_hash_key:
                kept.update(parse_readings([one.payload]).readings)
    assert kept == sent
