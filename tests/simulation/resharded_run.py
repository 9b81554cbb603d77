"""A run of 200,000 readings while the stream is split and merged, entries fail and answers get lost, over real sockets.

request   0 . . . . 30 . . . . 40 . . . . 50 . . . . 60 . . . . 80 or more
                    split     timeout    merge      timeout      and 5% of all entries fail

It runs against any stand-in for Kinesis. Afterwards everything is read from TRIM_HORIZON.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError

from producers.fleet import FleetSpec, readings
from producers.sender import Sender, Wire
from producers.shards import ShardMap
from producers.writer import Writer, WriterCounters
from tests.simulation.scripted_stream import hash_key_of
from tests.simulation.silent_endpoint import SilentEndpoint, silent_endpoint
from windrow.aws.clients import Place, client, client_config
from windrow.aws.kinesis import KinesisStream
from windrow.aws.stream import OutgoingRecord, Shard
from windrow.reading import Reading
from windrow.wire.block import is_block
from windrow.wire.block.block import decode_block
from windrow.wire.json.strict import parse_readings
from windrow.wire.kpl import deaggregate

READINGS = 200_000
SPLIT_AT, MERGE_AT = 30, 50
TIMEOUTS = {40, 60}
TIMEOUT_SECONDS = 0.5
FAILING = 0.05
LOOK_SECONDS = 0.01
# Small records in small requests, so that there are enough of both for everything to happen.
TARGET_BYTES = 12_800
REQUEST_BYTES = {Wire.JSON: 400_000, Wire.BLOCKS: 36_000}
FLEET = FleetSpec(seed=5, sensors=2_000, start_ms=1_763_640_000_000, end_ms=1_763_640_000_000 + 1_000_000)


class Troubled:
    """boto3's client, with what happens to the stream and to the requests on their way.

    failed: how many entries; doubled: the bodies of records that were stored without an answer; lost, copied: bodies
    that a reshard took away or stored again, as Kinesis never does and stand-ins do.
    """

    def __init__(self, kinesis: Any, silent: SilentEndpoint, place: Place) -> None:
        self._client = kinesis
        self._silent = silent
        once = {"mode": "standard", "total_max_attempts": 1}
        self._unheard = boto3.session.Session().client(
            "kinesis",
            region_name=place.region,
            endpoint_url=silent.endpoint_url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=client_config("kinesis", place).merge(Config(read_timeout=TIMEOUT_SECONDS, retries=once)),
        )
        self._random = np.random.default_rng(11)
        self.requests = 0
        self.failed = 0
        self.doubled: list[bytes] = []
        self.lost: Counter[bytes] = Counter()
        self.copied: Counter[bytes] = Counter()

    def put_records(self, *, StreamName: str, Records: list[Any]) -> Any:  # noqa: N803
        assert Records
        number, self.requests = self.requests, self.requests + 1
        if number == SPLIT_AT:
            self._reshard(split_first, StreamName)
        if number == MERGE_AT:
            self._reshard(merge_last, StreamName)
        if number in TIMEOUTS:
            self._put_unheard(StreamName, Records)
        failing = self._random.random(len(Records)) < FAILING
        self.failed += int(failing.sum())
        passed = [record for record, fails in zip(Records, failing, strict=True) if not fails]
        taken = iter(self._client.put_records(StreamName=StreamName, Records=passed)["Records"] if passed else [])
        failure = {"ErrorCode": "InternalFailure", "ErrorMessage": "injected"}
        return {"Records": [failure if fails else next(taken) for fails in failing]}

    def _put_unheard(self, stream: str, records: list[Any]) -> None:
        """The stream takes all of it; raises ReadTimeoutError."""
        try:
            self._unheard.put_records(StreamName=stream, Records=records)
        except ReadTimeoutError:
            assert all("SequenceNumber" in entry for entry in self._silent.next_answer()["Records"])
            self.doubled += [record["Data"] for record in records]
            raise
        raise AssertionError("the silent endpoint has answered")

    def _reshard(self, change: Callable[[Any, str], None], stream: str) -> None:
        before = Counter(_all(held_in(self._client, stream)))
        change(self._client, stream)
        after = Counter(_all(held_in(self._client, stream)))
        self.lost += before - after
        self.copied += after - before


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What was sent, what the producer counted, what happened on the way, and what each shard held at the end."""

    sent: Counter[Reading]
    counters: WriterCounters
    troubled: Troubled
    held: dict[str, list[bytes]]

    def found(self) -> Counter[Reading]:
        """Every reading in the stream, as often as Kinesis would hold it."""
        bodies = Counter(_all(self.held)) + self.troubled.lost - self.troubled.copied
        return readings_of(bodies.elements())


def run(place: Place, name: str, wire: Wire) -> Run:
    """Send all readings to the stream `name`, which must be empty and have at least two shards."""
    kinesis = client("kinesis", place)
    with silent_endpoint(place.endpoint_url or "") as silent:
        troubled = Troubled(client("kinesis", place, repeats=False), silent, place)
        sent, counters = _send(KinesisStream(kinesis, name=name, place=place, put_client=troubled), wire)
    return Run(sent=sent, counters=counters, troubled=troubled, held=held_in(kinesis, name))


def _send(stream: KinesisStream, wire: Wire) -> tuple[Counter[Reading], WriterCounters]:
    """As fast as the stand-in takes it; the clock is made up, and runs when it is looked at or slept by."""
    seconds = 0.0

    def sleep(length: float) -> None:
        nonlocal seconds
        seconds += length

    def clock() -> float:
        sleep(LOOK_SECONDS)
        return seconds

    uniform = np.random.default_rng(7).random
    writer = Writer(
        stream, clock=clock, sleep=sleep, uniform=uniform, rate_limit=None, waiting_bytes_max=REQUEST_BYTES[wire]
    )
    sender = Sender(
        writer,
        ShardMap(stream.list_shards()),
        wire=wire,
        target_bytes=TARGET_BYTES,
        list_shards=stream.list_shards,
        clock=clock,
    )
    sent: Counter[Reading] = Counter()
    for batch in readings(FLEET, batch_samples_max=2_000):
        sender.send(batch)
        if wire is Wire.BLOCKS:
            sender.cut()
        sent.update(batch)
    sender.flush()
    return sent, sender.counters


def assert_nothing_is_missing_and_only_timeouts_double(done: Run) -> None:
    """All that was sent is there; what is there twice is what was stored without an answer, all of that."""
    assert done.sent.total() == pytest.approx(READINGS, rel=0.01)
    assert done.troubled.requests > max(TIMEOUTS)
    found = done.found()
    assert found.keys() == done.sent.keys()
    assert found - done.sent == readings_of(done.troubled.doubled)
    counters = done.counters
    assert counters.ambiguous == len(done.troubled.doubled) > 0
    assert counters.retried == done.troubled.failed + counters.ambiguous
    assert done.troubled.failed > 0
    assert counters.misplaced > 0
    assert counters.readings == done.sent.total()


def assert_later_records_are_in_their_shards(opened: Iterable[Shard], held: dict[str, list[bytes]]) -> None:
    """After the reshards the aggregates in the shards that they opened hold only keys of those shards, at their end."""
    for shard in opened:
        for one in deaggregate(held[shard.shard_id][-1]) or []:
            key = hash_key_of(OutgoingRecord(partition_key=one.partition_key, body=b""))
            assert shard.first_hash_key <= key <= shard.last_hash_key


def open_shards(kinesis: Any, stream: str) -> list[Shard]:
    """In the order of their hash keys."""
    place = Place("test-resharding", None, "us-east-1")
    return ShardMap(KinesisStream(kinesis, name=stream, place=place).list_shards()).shards


def split_first(kinesis: Any, stream: str) -> None:
    shard = open_shards(kinesis, stream)[0]
    middle = (shard.first_hash_key + shard.last_hash_key) // 2
    kinesis.split_shard(StreamName=stream, ShardToSplit=shard.shard_id, NewStartingHashKey=str(middle))


def merge_last(kinesis: Any, stream: str) -> None:
    *_, left, right = open_shards(kinesis, stream)
    kinesis.merge_shards(StreamName=stream, ShardToMerge=left.shard_id, AdjacentShardToMerge=right.shard_id)


def held_in(kinesis: Any, stream: str) -> dict[str, list[bytes]]:
    """The bodies in each shard, open or closed, from TRIM_HORIZON to the tip."""
    shards = [shard["ShardId"] for shard in kinesis.list_shards(StreamName=stream)["Shards"]]
    return {shard_id: _held_in_shard(kinesis, stream, shard_id) for shard_id in shards}


def _held_in_shard(kinesis: Any, stream: str, shard_id: str) -> list[bytes]:
    where = {"StreamName": stream, "ShardId": shard_id, "ShardIteratorType": "TRIM_HORIZON"}
    iterator = kinesis.get_shard_iterator(**where)["ShardIterator"]
    bodies: list[bytes] = []
    while iterator is not None:
        page = kinesis.get_records(ShardIterator=iterator)
        if not page["Records"] and not page["MillisBehindLatest"]:
            break
        bodies += [record["Data"] for record in page["Records"]]
        iterator = page.get("NextShardIterator")
    return bodies


def _all(held: dict[str, list[bytes]]) -> list[bytes]:
    return [body for bodies in held.values() for body in bodies]


def readings_of(bodies: Iterable[bytes]) -> Counter[Reading]:
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
