"""The producer against moto's server while the stream is resharded, entries fail and answers get lost."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from moto.kinesis.models import Stream
from moto.server import ThreadedMotoServer

from producers.fleet import FleetSpec, readings
from producers.sender import Sender, Wire
from producers.shards import ShardMap
from producers.writer import Writer
from tests.simulation import resharded_run
from tests.simulation.scripted_stream import hash_key_of
from windrow.aws.clients import EMBEDDED, Place, client
from windrow.aws.kinesis import KinesisStream
from windrow.aws.stream import OutgoingRecord
from windrow.reading import Reading
from windrow.wire.json.strict import parse_readings
from windrow.wire.kpl import deaggregate

NAME = "resharded"


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Place]:
    """moto's server, on a free port; of its shards only open ones take records, each up to its last hash key."""
    caplog.set_level("WARNING", logger="werkzeug")  # else a line for each request

    def open_shard(stream: Stream, partition_key: str, explicit_hash_key: str | None) -> Any:
        record = OutgoingRecord(partition_key=partition_key, body=b"", explicit_hash_key=explicit_hash_key)
        hash_key = hash_key_of(record)
        shards = (shard for shard in stream.shards.values() if shard.is_open)
        return next(shard for shard in shards if shard.starting_hash <= hash_key <= shard.ending_hash)

    monkeypatch.setattr(Stream, "get_shard_for_key", open_shard)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Place(EMBEDDED, f"http://{host}:{port}", "us-east-1")  # by this name it gets keys that are nobody's
    server.stop()


@pytest.fixture
def stream(place: Place) -> Iterator[KinesisStream]:
    """A stream of three shards."""
    kinesis = client("kinesis", place)
    kinesis.create_stream(StreamName=NAME, ShardCount=3)
    yield KinesisStream.at(place, NAME)
    kinesis.delete_stream(StreamName=NAME)


@pytest.mark.slow
@pytest.mark.parametrize("wire", list(Wire))
def test_every_reading_is_there_and_only_ambiguous_requests_double_any(
    place: Place, stream: KinesisStream, wire: Wire
) -> None:
    """Read from the horizon: nothing lost, and what is there twice is what was stored without an answer."""
    done = resharded_run.run(place, NAME, wire)
    assert not done.troubled.lost
    resharded_run.assert_nothing_is_missing_and_only_timeouts_double(done)
    opened = ShardMap(stream.list_shards()).shards
    assert [len(shard.parents) for shard in opened] == [1, 1, 2]
    resharded_run.assert_later_records_are_in_their_shards(opened, done.held)


def test_for_kcl_consumers_every_reading_is_in_the_shard_of_its_key(place: Place, stream: KinesisStream) -> None:
    """What was under way during a split is sent again to its own shard, so that dropping strays drops nothing."""
    sender = Sender(
        Writer(stream, rate_limit=None),
        ShardMap(stream.list_shards()),
        list_shards=stream.list_shards,
        resends_strays=True,
        sleep=lambda _seconds: None,
        clock=itertools.count().__next__,
    )
    start_ms = resharded_run.FLEET.start_ms
    fleet = FleetSpec(seed=5, sensors=200, start_ms=start_ms, end_ms=start_ms + 60_000)
    sent: set[Reading] = set()
    for number, batch in enumerate(readings(fleet)):
        sender.send(batch)
        sent.update(batch)
        if number == 0:
            resharded_run.split_first(client("kinesis", place), NAME)
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
