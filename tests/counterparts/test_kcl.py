"""The KCL as consumer: it hands out every reading that our producer sent, as one user record with its keys."""

import base64
import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra import embedded
from infra.waiting import poll
from tests.counterparts import maven
from tests.counterparts.conftest import floor_to_window, now_ms
from tests.counterparts.kpl_feed import FEED_SECONDS_MAX, feed, given
from tests.counterparts.table import Counterpart
from windrow import Producer
from windrow.aws.clients import Place, client
from windrow.aws.kinesis import KinesisStream
from windrow.wire.kpl import UserRecord, deaggregate

COUNTERPART = Counterpart(
    "the KCL", "3.4.2", "user records of our producer and of the KPL, also while shards split and merge"
)

READ = Path(__file__).parent / "kcl" / "Read.java"
READ_SECONDS_MAX = 240
IDLE_SECONDS, READING_SECONDS_MAX = 15, 200
READINGS = 10_000
PIECES, PIECE_READINGS, PIECE_SECONDS = 20, 500, 0.5
KPL_READINGS, KPL_RATE, RESHARD_SECONDS = 30_000, 1_500, 3.0
ALL = set(range(PIECES * PIECE_READINGS))
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
        _put(producer, range(READINGS))
        assert producer.flush()
    handed = _read(place, stream, tmp_path)
    assert Counter(map(_number, handed)) == Counter(range(READINGS))
    assert Counter(handed) == Counter(_as_we_read(KinesisStream.at(place, stream)))


@pytest.mark.parametrize("for_kcl", [False, True], ids=["as usual", "for the KCL"])
def test_the_kcl_while_shards_split_and_merge(
    home: Path, tmp_path: Path, for_kcl: bool, record_property: Callable[[str, object], None]
) -> None:
    """Reading meanwhile, and started afterwards: nothing is missing if it was sent for the KCL, else something may be.

    It leaves out a whole aggregate that has a user record of another shard, which is what the shards of before make.
    """
    place = embedded.place(home)
    kinesis = client("kinesis", place)
    stream = f"kcl-resharded-{str(for_kcl).lower()}"
    _create(place, stream)
    meanwhile, afterwards = tmp_path / "meanwhile", tmp_path / "afterwards"
    with Producer.to_stream(
        stream, region=place.region, endpoint_url=place.endpoint_url, for_kcl=for_kcl, linger_seconds=0.2
    ) as producer:
        _put(producer, range(PIECE_READINGS))
        with _reading(place, stream, meanwhile):
            assert poll(lambda: meanwhile.exists() and meanwhile.stat().st_size > 0, seconds_max=90, pause_seconds=0.5)
            for piece in range(1, PIECES):
                if piece in RESHARDS:
                    RESHARDS[piece](kinesis, stream)
                _put(producer, range(piece * PIECE_READINGS, (piece + 1) * PIECE_READINGS))
                time.sleep(PIECE_SECONDS)
            assert producer.flush()
    with _reading(place, stream, afterwards):
        pass
    assert set(map(_number, _as_we_read(KinesisStream.at(place, stream)))) == ALL
    missing = {}
    for found in (meanwhile, afterwards):
        handed = _handed(found)
        assert len({one.shard_id for one in handed}) > 2 + 2, "nothing was read of the children"
        missing[found.name] = len(ALL - set(map(_number, handed)))
    record_property("found", f"missing of {len(ALL)} readings: {missing}")
    if for_kcl:
        assert not any(missing.values()), missing
    else:  # what it looks up in time while it reads differs from run to run
        assert missing[afterwards.name] > 0


def test_amazon_s_own_pair_while_shards_split_and_merge(
    home: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """The KPL writes, the KCL reads: what is missing is told; the KPL says that all is stored, and we read all of it.

    How much the KCL leaves out differs from run to run, so nothing is demanded of it but to invent nothing.
    """
    place = embedded.place(home)
    stream = "kcl-resharded-kpl"
    _create(place, stream)
    readings = given(0, KPL_READINGS, floor_to_window(now_ms()))
    meanwhile, afterwards = tmp_path / "meanwhile", tmp_path / "afterwards"
    with _reading(place, stream, meanwhile), ThreadPoolExecutor(1) as pool:
        resharding = pool.submit(_reshard_as_records_come, place, stream)
        feed(place, stream, readings, tmp_path, options=(f"rate={KPL_RATE}",))
        resharding.result()
    with _reading(place, stream, afterwards):
        pass
    everything = {one.sequence for one in readings}
    assert set(map(_number, _as_we_read(KinesisStream.at(place, stream)))) == everything
    missing = {}
    for found in (meanwhile, afterwards):
        handed = _handed(found)
        assert len({one.shard_id for one in handed}) > 2 + 2, "nothing was read of the children"
        numbers = set(map(_number, handed))
        assert numbers <= everything
        missing[found.name] = len(everything - numbers)
    record_property("found", f"of the KPL's {len(everything)} readings: {missing}")


def _reshard_as_records_come(place: Place, stream: str) -> None:
    """Split and merge a few seconds apart, from when the first record is there."""
    kinesis, ours = client("kinesis", place), KinesisStream.at(place, stream)
    assert poll(
        lambda: any(True for _ in ours.records_between(0, 2**53)), seconds_max=FEED_SECONDS_MAX, pause_seconds=0.5
    )
    for change in RESHARDS.values():
        time.sleep(RESHARD_SECONDS)
        change(kinesis, stream)


def _create(place: Place, stream: str) -> None:
    kinesis = client("kinesis", place)
    kinesis.create_stream(StreamName=stream, ShardCount=2)
    kinesis.get_waiter("stream_exists").wait(StreamName=stream)


def _split(kinesis: Any, stream: str) -> None:
    """Split the first open shard in the middle."""
    shard = _open_shards(kinesis, stream)[0]
    first, last = (int(shard["HashKeyRange"][end]) for end in ("StartingHashKey", "EndingHashKey"))
    middle = str((first + last) // 2)
    kinesis.split_shard(StreamName=stream, ShardToSplit=shard["ShardId"], NewStartingHashKey=middle)
    kinesis.get_waiter("stream_exists").wait(StreamName=stream, WaiterConfig={"Delay": 1})


def _merge(kinesis: Any, stream: str) -> None:
    """Merge the first two open shards."""
    first, second, *_ = _open_shards(kinesis, stream)
    kinesis.merge_shards(StreamName=stream, ShardToMerge=first["ShardId"], AdjacentShardToMerge=second["ShardId"])
    kinesis.get_waiter("stream_exists").wait(StreamName=stream, WaiterConfig={"Delay": 1})


def _open_shards(kinesis: Any, stream: str) -> list[Any]:
    """Return the shards that take records, by their hash keys."""
    shards = kinesis.list_shards(StreamName=stream)["Shards"]
    is_open = [one for one in shards if "EndingSequenceNumber" not in one["SequenceNumberRange"]]
    return sorted(is_open, key=lambda one: int(one["HashKeyRange"]["StartingHashKey"]))


def _put(producer: Producer, numbers: range) -> None:
    """Put a reading for each number, which is its sequence number."""
    start_ms = floor_to_window(now_ms())
    for number in numbers:
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
    with _reading(place, stream, found):
        pass
    return _handed(found)


@contextmanager
def _reading(place: Place, stream: str, found: Path) -> Iterator[None]:
    """Have the KCL read meanwhile, and at the end wait until nothing comes any more."""
    command, environment = maven.command(
        READ,
        str(place.endpoint_url),
        stream,
        f"reads-{stream}-{found.name}",
        str(IDLE_SECONDS),
        str(READING_SECONDS_MAX),
        str(found),
        options=OPTIONS,
    )
    with found.with_suffix(".log").open("w+") as log:
        reader = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield
            reader.wait(READ_SECONDS_MAX)
        finally:
            reader.kill()
        log.seek(0)
        assert reader.returncode == 0, log.read()[-2_000:]


def _handed(found: Path) -> list[Handed]:
    handed = []
    for line in found.read_text().splitlines():
        shard, number, _, key, hash_key, data = line.split("\t")
        handed.append(Handed(shard, number, key, None if hash_key == "null" else hash_key, base64.b64decode(data)))
    return handed


RESHARDS = {4: _split, 8: _split, 12: _merge, 16: _merge}
