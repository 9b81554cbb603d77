"""The event that the consumer benches read: what a Lambda mapping hands over for a shard of a busy fleet."""

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from processors.event import Record
from tests.consuming import encode_event
from windrow.columns.strings import Strings
from windrow.reading import Readings
from windrow.window import WINDOW_MS
from windrow.wire.block.block import encode_block
from windrow.wire.json.encode import encode_readings
from windrow.wire.kpl import UserRecord, aggregate

READINGS = 40_000
RECORD_BYTES = 50_000
READINGS_PER_BLOCK = 20_000  # with few sensors about as many bytes as an aggregate has
WINDOW_START_MS = 1_795_169_100_000
# Every record arrives within seconds of its readings, before the window ends.
ARRIVAL_MS = WINDOW_START_MS + WINDOW_MS
_STREAM_ARN = "arn:aws:kinesis:eu-central-1:123456789012:stream/fleet"


def event(*, sensors: int, faulty: float = 0.0) -> Any:
    """The parsed event of READINGS JSON readings of `sensors` in aggregates, in order of time; a part is `faulty`."""
    fleet = readings(sensors)
    return event_in_aggregates(fleet, _spoil(encode_readings(fleet), faulty))


def event_in_aggregates(fleet: Readings, payloads: Sequence[bytes]) -> Any:
    """The parsed event of these payloads, one for each reading of the fleet, in aggregates of RECORD_BYTES."""
    ids = fleet.sensor_ids.to_list()
    user_records = [UserRecord(ids[which], body) for which, body in zip(fleet.sensor, payloads, strict=True)]
    return event_of(map(aggregate, _chunks(user_records)))


def plain_event(*, sensors: int, aggregated: float = 0.0, records: int = 10_000) -> Any:
    """The parsed event of so many records of one JSON reading each; that part of the readings is aggregated instead."""
    fleet = readings(sensors, count=records)
    payloads = encode_readings(fleet)
    ids = fleet.sensor_ids.to_list()
    first = round(aggregated * records)
    user_records = [UserRecord(ids[which], body) for which, body in zip(fleet.sensor[:first], payloads, strict=False)]
    return event_of([*(map(aggregate, _chunks(user_records)) if first else ()), *payloads[first:]])


def block_event(fleet: Readings) -> Any:
    """The parsed event of these readings in blocks of READINGS_PER_BLOCK."""
    starts = range(0, len(fleet), READINGS_PER_BLOCK)
    return event_of(
        encode_block(fleet.take(np.arange(len(fleet))[start : start + READINGS_PER_BLOCK])) for start in starts
    )


def event_of(payloads: Iterable[bytes]) -> Any:
    """The parsed event of one record for each of these."""
    records = [
        Record(
            stream_arn=_STREAM_ARN,
            shard="shardId-000000000003",
            sequence_number=f"4965{number:052}",
            arrival_ms=ARRIVAL_MS,
            partition_key="a",
            payload=payload,
        )
        for number, payload in enumerate(payloads)
    ]
    return json.loads(encode_event(records))


def readings(sensors: int, *, count: int = READINGS) -> Readings:
    """That many readings, evenly over one window; ids as `windrow simulate` spells them."""
    rng = np.random.default_rng(7)
    number = np.arange(count)
    sensor = number % sensors
    return Readings(
        sensor_ids=Strings.of(f"site-{which % 10:02}/sensor-{which:06}" for which in range(sensors)),
        sensor=sensor.astype(np.int32),
        event_time_ms=WINDOW_START_MS + number * WINDOW_MS // count,
        sequence=176_500_000 + number // sensors,
        value_milli=(18_000 + sensor * 37 % 9_000 + rng.normal(0, 60, count)).astype(np.int32),
    )


def _spoil(payloads: list[bytes], faulty: float) -> list[bytes]:
    """A part of the payloads made bad, in several ways; the same ones every time."""
    rng = random.Random(7)  # noqa: S311 - not for secrets
    spoiled = [
        lambda body: body[:-9],
        lambda body: body.replace(b"temperature", b"humidity"),
        lambda body: body.replace(b'"temperature":', b'"temperature":9999'),
        lambda body: body.replace(b'"sequence":', b'"sequence":-'),
        lambda body: body.replace(b"site", b"s\xfft"),
    ]
    return [rng.choice(spoiled)(body) if rng.random() < faulty else body for body in payloads]


def _chunks(user_records: Sequence[UserRecord]) -> Iterator[list[UserRecord]]:
    chunk: list[UserRecord] = []
    size_bytes = 0
    keys: set[str] = set()
    for record in user_records:
        size_bytes += len(record.payload) + 7 + (0 if record.partition_key in keys else len(record.partition_key) + 2)
        if size_bytes > RECORD_BYTES:
            yield chunk
            chunk, keys, size_bytes = [], set(), len(record.payload) + 7 + len(record.partition_key) + 2
        chunk.append(record)
        keys.add(record.partition_key)
    yield chunk
