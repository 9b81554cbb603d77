"""Sending readings as objects: each once, whatever becomes of the answers, and the producer's promises kept."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from processors.upload import judge_upload
from producers import Producer, Wire
from producers.spool import Spool
from producers.uploader import Uploader
from tests.horizon import LATENESS_HORIZON_MS
from tests.unit.producers_to import NOON_MS, put, reading
from tests.uploading import BUCKET
from windrow.errors import UsageError, WindrowError
from windrow.lake.uploads import UploadedObject
from windrow.reading import BadReading, Reading, Readings


class Bucket:
    """A bucket that takes each key once. `faults` are asked in turn: "away" refuses, "unheard" loses the answer."""

    def __init__(self, *faults: str) -> None:
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.faults = list(faults)
        self.puts = 0

    def put_once(self, key: str, body: bytes, *, content_type: str) -> str | None:
        self.puts += 1
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "away":
            raise WindrowError("nothing answers")
        is_new = key not in self.objects
        self.objects.setdefault(key, (body, content_type))
        if fault == "unheard":
            raise WindrowError("no answer in time")
        return "v" if is_new else None

    def readings(self) -> list[Reading]:
        """What the stage makes of all objects."""
        found: list[Reading] = []
        for key, (body, content_type) in self.objects.items():
            judged = judge_upload(
                UploadedObject(
                    bucket=BUCKET,
                    key=key,
                    version="v",
                    written_ms=NOON_MS,
                    content_type=content_type,
                    size_bytes=len(body),
                    body=body,
                ),
                horizon_ms=LATENESS_HORIZON_MS,
            )
            assert judged.rejected == ()
            found += judged.judged.readings
        return sorted(found, key=lambda one: one.sequence)


def uploader_to(bucket: Bucket, *, wire: Wire = Wire.JSON, object_readings_max: int = 100) -> Uploader:
    return Uploader(bucket, name="gateway-7", wire=wire, object_readings_max=object_readings_max)


def producer_to(
    bucket: Bucket, *, spool: Path | None = None, make: Callable[[Bucket], Uploader] = uploader_to
) -> Producer:
    kept = None if spool is None else Spool(spool)
    return Producer(lambda: make(bucket), spool=kept, linger_seconds=3_600, probe_seconds_min=0.01)


@pytest.mark.parametrize("wire", list(Wire))
def test_what_is_sent_is_what_the_stage_reads(wire: Wire) -> None:
    """In objects of bounded size, under the gateway's name, in either form."""
    bucket = Bucket()
    uploader = uploader_to(bucket, wire=wire)

    uploader.send(Readings.of(map(reading, range(250))))
    uploader.flush()

    assert bucket.readings() == [reading(number) for number in range(250)]
    assert len(bucket.objects) == 3
    ending = ".jsonl.gz" if wire is Wire.JSON else ".arrow"
    assert all(key.startswith("uploads/gateway-7/") and key.endswith(ending) for key in bucket.objects)
    counters = uploader.counters
    assert (counters.records, counters.readings, counters.requests, counters.ambiguous) == (3, 250, 3, 0)
    assert counters.bytes == sum(len(body) for body, _ in bucket.objects.values())


def test_an_object_waits_until_it_is_full_or_flushed() -> None:
    """Few readings make no object yet."""
    bucket = Bucket()
    uploader = uploader_to(bucket)

    uploader.send(Readings.of(map(reading, range(99))))
    assert bucket.puts == 0
    uploader.send(Readings.of([reading(99)]))

    assert len(bucket.objects) == 1


def test_an_upload_whose_answer_was_lost_is_found_to_be_there() -> None:
    """The name is that of the content, so the second try makes no second object."""
    bucket = Bucket("unheard")
    uploader = uploader_to(bucket)
    uploader.send(Readings.of([reading(1)]))

    with pytest.raises(WindrowError, match="no answer"):
        uploader.flush()
    uploader.flush()

    assert (len(bucket.objects), bucket.puts, uploader.counters.ambiguous) == (1, 2, 1)
    assert uploader.counters.readings == 1
    uploader.flush()
    assert bucket.puts == 2


def test_what_the_bucket_refused_stays_and_can_be_given_up() -> None:
    """In order, with what came later; discard says how much that is, and nothing of it is sent any more."""
    bucket = Bucket("away", "away")
    uploader = uploader_to(bucket, object_readings_max=10)
    with pytest.raises(WindrowError, match="nothing answers"):
        uploader.send(Readings.of(map(reading, range(25))))
    with pytest.raises(WindrowError, match="nothing answers"):
        uploader.flush()

    uploader.send(Readings.of([reading(25)]))
    uploader.flush()

    assert bucket.readings() == [reading(number) for number in range(26)]
    uploader.send(Readings.of([reading(26)]))
    assert uploader.discard() == 1
    uploader.flush()
    assert len(bucket.readings()) == 26


def test_equal_readings_have_equal_names() -> None:
    """On any day: nothing of the clock is in an object."""
    first, second = Bucket(), Bucket()
    for bucket in (first, second):
        uploader = uploader_to(bucket)
        uploader.send(Readings.of(map(reading, range(5))))
        uploader.flush()

    assert first.objects == second.objects
    ((body, _),) = first.objects.values()
    assert len(gzip.decompress(body).splitlines()) == 5


def test_a_producer_without_a_spool_keeps_what_the_bucket_refuses() -> None:
    """`flush` raises, and the next one sends all of it."""
    bucket = Bucket("away")
    with producer_to(bucket) as producer:
        put(producer, range(3))
        with pytest.raises(WindrowError, match="nothing answers"):
            producer.flush()
        put(producer, range(3, 5))
        assert producer.flush()
        assert bucket.readings() == [reading(number) for number in range(5)]


@pytest.mark.parametrize("fault", ["away", "unheard"])
def test_a_spool_outlives_its_process(fault: str, tmp_path: Path) -> None:
    """What was put and not acknowledged is uploaded by the next producer with the same spool."""
    bucket = Bucket(*[fault] * 50)
    with producer_to(bucket, spool=tmp_path) as producer:
        put(producer, range(3))
        assert producer.flush() is False
        assert producer.is_away
        put(producer, range(3, 6))
    bucket.faults.clear()

    with producer_to(bucket, spool=tmp_path) as producer:
        assert producer.flush()

    assert sorted(set(bucket.readings()), key=lambda one: one.sequence) == [reading(number) for number in range(6)]


def test_a_foreign_sensor_is_refused_before_it_is_taken() -> None:
    """The stage would refuse all that is in an object with it; of columns, no row is taken."""
    bucket = Bucket()
    own, foreign = reading(1), Reading("other-1", NOON_MS, 2, 20_000)
    prefixes = (own.sensor_id[:3], "x")
    with Producer(lambda: uploader_to(bucket), linger_seconds=3_600, sensors=prefixes) as producer:
        with pytest.raises(BadReading, match="'other-1' is none of this gateway's sensors"):
            producer.put(foreign.sensor_id, 20, event_time=NOON_MS, quantity="humidity", unit="%")
        with pytest.raises(BadReading, match="other-1"):
            producer.put_readings(Readings.of([own, foreign]))
        producer.put_readings(Readings.of([own]))
        assert producer.flush()
    assert bucket.readings() == [own]


def test_credentials_are_read_before_anything_is_sent(tmp_path: Path) -> None:
    """A producer by token without them is none."""
    with pytest.raises(UsageError, match="has no credentials of a gateway"):
        Producer.to_uploads_by_token(tmp_path / "roof.json")


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b", "ä", "x" * 101])
def test_a_name_that_is_no_part_of_a_key_is_refused(name: str) -> None:
    """It names the gateway in every key."""
    with pytest.raises(UsageError, match="no name for a gateway"):
        Producer.to_uploads("bucket", name=name)
