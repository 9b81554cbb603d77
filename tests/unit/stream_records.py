"""Stream records for tests of the processors: shards, aggregates and readings around one arrival time."""

from collections.abc import Iterable

from processors.event import Record
from windrow.reading import Reading, Readings
from windrow.window import Window
from windrow.wire.json.encode import encode_readings
from windrow.wire.kpl import UserRecord, aggregate

STREAM_ARN = "arn:aws:kinesis:eu-central-1:123456789012:stream/windrow-test"
SHARD = "shardId-000000000000"
# 2026-11-20T10:05:00Z, the start of a window.
WINDOW = Window(1_795_169_100_000)
ARRIVAL_MS = WINDOW.start_ms + 60_000


def record(
    payload: bytes,
    *,
    number: int = 1,
    arrival_ms: int = ARRIVAL_MS,
    shard: str = SHARD,
    stream_arn: str = STREAM_ARN,
) -> Record:
    """A record of the test stream with `number` as its sequence number."""
    return Record(
        stream_arn=stream_arn,
        shard=shard,
        sequence_number=str(number),
        arrival_ms=arrival_ms,
        partition_key="a",
        payload=payload,
    )


def reading(sensor_id: str = "roof", *, at_ms: int = 0, milli: int = 21_437, sequence: int = 0) -> Reading:
    """A reading `at_ms` after the start of WINDOW."""
    return Reading(sensor_id, WINDOW.start_ms + at_ms, sequence, milli)


def encoded(readings: Iterable[Reading]) -> list[bytes]:
    """Each reading as its JSON payload."""
    return encode_readings(Readings.of(readings))


def aggregated(payloads: Iterable[bytes]) -> bytes:
    """One KPL aggregate of `payloads`."""
    return aggregate([UserRecord("key", payload) for payload in payloads])
