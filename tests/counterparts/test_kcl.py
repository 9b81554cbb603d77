"""The KCL as consumer: it hands out every reading that our producer sent, as one user record with its keys."""

import base64
import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra import embedded
from tests.counterparts import maven
from tests.counterparts.conftest import floor_to_window, now_ms
from windrow import Producer
from windrow.aws.clients import Place, client
from windrow.aws.kinesis import KinesisStream
from windrow.wire.kpl import UserRecord, deaggregate

READ = Path(__file__).parent / "kcl" / "Read.java"
READ_SECONDS_MAX = 240
IDLE_SECONDS, READING_SECONDS_MAX = 8, 150
READINGS = 10_000
# MiniStack has no cbor2, and answers a request in CBOR with an error.
OPTIONS = ("-Daws.cborEnabled=false",)


@dataclass(frozen=True, slots=True)
class Handed:
    """A user record as the KCL hands it out."""

    shard_id: str
    sequence_number: str
    partition_key: str
    hash_key: str | None
    data: bytes


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that stand-ins take, for the producer, which finds its own."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")


@pytest.mark.parametrize("for_kcl", [False, True], ids=["as usual", "for the KCL"])
def test_the_kcl_hands_out_every_reading_once(home: Path, tmp_path: Path, for_kcl: bool) -> None:
    """And sees shards, sequence numbers, partition keys and hash keys as our own reader does."""
    place = embedded.place(home)
    stream = f"kcl-{str(for_kcl).lower()}"
    _create(place, stream)
    with Producer.to_stream(stream, region=place.region, endpoint_url=place.endpoint_url, for_kcl=for_kcl) as producer:
        _put(producer)
        assert producer.flush()
    handed = _read(place, stream, tmp_path)
    assert Counter(map(_number, handed)) == Counter(range(READINGS))
    assert Counter(handed) == Counter(_as_we_read(KinesisStream.at(place, stream)))


def _create(place: Place, stream: str) -> None:
    kinesis = client("kinesis", place)
    kinesis.create_stream(StreamName=stream, ShardCount=2)
    kinesis.get_waiter("stream_exists").wait(StreamName=stream)


def _put(producer: Producer) -> None:
    """Put READINGS readings; the sequence numbers each."""
    start_ms = floor_to_window(now_ms())
    for number in range(READINGS):
        sensor = f"site-{number % 7}/sensor-{number % 211:04}"
        producer.put(sensor, number % 1000 / 10, event_time=start_ms + number, sequence=number)


def _number(handed: Handed) -> int:
    number: int = json.loads(handed.data)["sequence"]
    return number


def _as_we_read(stream: KinesisStream) -> Iterator[Handed]:
    """Yield the user records of a stream by our own reader."""
    for record in stream.records_between(0, 2**53):
        key = record.partition_key
        for one in deaggregate(record.body) or [UserRecord(key, record.body)]:
            yield Handed(record.shard_id, record.sequence_number, one.partition_key, one.explicit_hash_key, one.payload)


def _read(place: Place, stream: str, folder: Path) -> list[Handed]:
    """Return what the KCL hands out of a stream until nothing comes any more."""
    found = folder / "records"
    limits = str(IDLE_SECONDS), str(READING_SECONDS_MAX)
    command, environment = maven.command(
        READ, str(place.endpoint_url), stream, f"reads-{stream}", *limits, str(found), options=OPTIONS
    )
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=READ_SECONDS_MAX
    )
    assert ended.returncode == 0, ended.stderr[-2_000:]
    handed = []
    for line in found.read_text().splitlines():
        shard, number, _, key, hash_key, data = line.split("\t")
        handed.append(Handed(shard, number, key, None if hash_key == "null" else hash_key, base64.b64decode(data)))
    return handed
