"""Events that are legal and as expensive as 6 MB can be; `python -m tests.limits.hostile NAME` processes one.

It prints, as JSON, what the batch came to and the peak of the process's memory. Nothing is kept of what is written.
"""

import itertools
import json
import resource
import sys
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import pyarrow as pa

from bench.measure import peak_mb
from processors.batch import Consumer, process_batch
from processors.chunk import INVOKE_PAYLOAD_BYTES_MAX, EncodedRecord, fill
from processors.event import Record, encode_record
from processors.judge_blocks import BAD_ROWS_ALWAYS, BAD_ROWS_MAX
from processors.puts import Puts
from tests.horizon import LATENESS_HORIZON_MS
from tests.unit.arrow_blocks import block_of, table, with_dictionary
from tests.unit.stream_records import ARRIVAL_MS, STREAM_ARN
from windrow.columns.strings import Strings
from windrow.quantities import TEMPERATURE_MAX_MILLI
from windrow.reading import (
    READINGS_PER_RECORD_MAX,
    SENSOR_ID_CHARACTERS_MAX,
    Readings,
)
from windrow.window import WINDOW_MS
from windrow.wire.block.block import BLOCK_READINGS_PER_BYTE_MAX, encode_block
from windrow.wire.kpl import seal

# Of an event's bytes, three quarters are payload: the rest is base64.
PAYLOAD_BYTES = INVOKE_PAYLOAD_BYTES_MAX * 3 // 4 - 10_000
RECORD_BYTES = 1_000_000
# The template's timeout, in CPU time: what others do on the machine does not count.
REMAINING_MS = 117_000


def tiny_user_records() -> Iterator[bytes]:
    """Hundreds of thousands of empty payloads, as many in each record as are allowed."""
    one = b"\x1a\x04\x08\x00\x1a\x00"
    for _ in range(PAYLOAD_BYTES // (len(one) * READINGS_PER_RECORD_MAX)):
        yield seal(b"\x0a\x01a" + one * READINGS_PER_RECORD_MAX)


def too_many_user_records() -> Iterator[bytes]:
    """More than are allowed in each record."""
    one = b"\x1a\x04\x08\x00\x1a\x00"
    for _ in range(PAYLOAD_BYTES // RECORD_BYTES):
        yield seal(b"\x0a\x01a" + one * (RECORD_BYTES // len(one)))


def many_readings() -> Iterator[bytes]:
    """As many readings as JSON can spell, each of a sensor and a window of its own."""
    yield from _aggregates(
        b'{"sensor_id":"%x","event_time":%d,"temperature":1}' % (n, ARRIVAL_MS - n * 7_000) for n in range(10**6)
    )


def unusual_readings() -> Iterator[bytes]:
    """Legal JSON that no fast way can take: escapes, exponents, fields that are ignored."""
    yield from _aggregates(
        b'{"x":[{}],"sensor_id":"\\u00e9%x","event_time":%d,"temperature":1e-1}' % (n, ARRIVAL_MS - n)
        for n in range(10**6)
    )


def bad_readings() -> Iterator[bytes]:
    """JSON that breaks one rule in every payload, with the longest ids there are."""
    sensor_id = ("\U0001f321" * SENSOR_ID_CHARACTERS_MAX).encode()
    yield from _aggregates(
        b'{"sensor_id":"%s","event_time":%d,"temperature":9e9}' % (sensor_id, n) for n in range(10**6)
    )


def nested() -> Iterator[bytes]:
    """As deep and as long as a payload may be."""
    yield from _aggregates(b"[" * 65_536 for _ in range(PAYLOAD_BYTES // 65_600))


def one_long_record() -> Iterator[bytes]:
    """A record as long as an event can carry."""
    yield b"{" * PAYLOAD_BYTES


def blocks_of_bad_readings(bad: int = BAD_ROWS_MAX) -> Iterator[bytes]:
    """Small blocks, most of whose readings are quarantined by themselves, each with the longest id there is."""
    count = READINGS_PER_RECORD_MAX
    readings = Readings(
        Strings.of(["\U0001f321" * SENSOR_ID_CHARACTERS_MAX]),
        np.zeros(count, np.int32),
        np.full(count, ARRIVAL_MS, np.int64),
        np.arange(count),
        np.where(np.arange(count) < bad, np.int32(TEMPERATURE_MAX_MILLI + 1), np.int32(0)),
    )
    block = encode_block(readings)
    yield from (block for _ in range(PAYLOAD_BYTES // len(block)))


def blocks_of_nothing_but_bad_readings() -> Iterator[bytes]:
    """More than are quarantined by themselves."""
    return blocks_of_bad_readings(READINGS_PER_RECORD_MAX)


def small_blocks_of_bad_readings(bad: int = BAD_ROWS_MAX) -> Iterator[bytes]:
    """As many blocks as fit, no reading of which counts; or of which the first do not."""
    sensor_id = "\U0001f321" * SENSOR_ID_CHARACTERS_MAX
    too_hot = TEMPERATURE_MAX_MILLI + 1
    block = encode_block(
        Readings.of([(sensor_id, ARRIVAL_MS, n, too_hot if n < bad else 0) for n in range(BAD_ROWS_MAX)])
    )
    yield from (block for _ in range(PAYLOAD_BYTES // len(block)))


def small_blocks_with_bad_readings() -> Iterator[bytes]:
    """As many blocks as fit, with as many bad readings as are quarantined by themselves."""
    return small_blocks_of_bad_readings(BAD_ROWS_ALWAYS)


def blocks_of_many_sensors() -> Iterator[bytes]:
    """Blocks of as many sensors as there can be, with ids that are long to sort, over all windows that count."""
    count = READINGS_PER_RECORD_MAX
    ids = [f"{n:06}" for n in range(count - 1)] + ["\U0001f321" * SENSOR_ID_CHARACTERS_MAX]
    windows = LATENESS_HORIZON_MS // WINDOW_MS
    readings = Readings(
        Strings.of(ids),
        np.arange(count, dtype=np.int32),
        ARRIVAL_MS - np.arange(count) % windows * WINDOW_MS,
        np.arange(count),
        np.zeros(count, np.int32),
    )
    block = encode_block(readings)
    yield from (block for _ in range(PAYLOAD_BYTES // len(block)))


def blocks_of_repeated_readings() -> Iterator[bytes]:
    """Blocks as small as so many readings may be: the same ones over and over, and padding."""
    count = READINGS_PER_RECORD_MAX
    columns = with_dictionary(table(Readings.of([("roof", ARRIVAL_MS, 0, 0)])), pa.int32()).take([0] * count)
    padding = "x" * (count // BLOCK_READINGS_PER_BYTE_MAX)
    block = block_of(columns.combine_chunks().replace_schema_metadata({"padding": padding}))
    yield from (block for _ in range(PAYLOAD_BYTES // len(block)))


BAD_PAYLOADS: dict[str, Callable[[int], bytes]] = {
    "empty": lambda _: b"",
    "no fields": lambda _: b"{}",
    "nonsense": lambda _: b"x" * 60,
    "cut off": lambda n: b'{"sensor_id":"%06x","event_time":%d,"temperature":1' % (n, ARRIVAL_MS - n),
    "no temperature": lambda n: b'{"sensor_id":"%06x","event_time":%d,"temperatura":1}' % (n, ARRIVAL_MS - n),
    "too hot": lambda n: b'{"sensor_id":"%06x","event_time":%d,"temperature":99999}' % (n, ARRIVAL_MS - n),
    "unknown unit": lambda n: b'{"sensor_id":"%06x","event_time":%d,"temperature":1,"unit":"R"}' % (n, ARRIVAL_MS - n),
    "no time": lambda n: b'{"sensor_id":"%06x","event_time":"monday","temperature":1}' % n,
    "years late": lambda n: b'{"sensor_id":"%06x","event_time":%d,"temperature":1}' % (n, 1_000 + n),
    "a key twice": lambda n: b'{"sensor_id":"%06x","event_time":%d,"temperature":1,"x":1,"x":2}' % (n, ARRIVAL_MS - n),
}
"""What payload n of a gateway is that sends nothing else: the shortest that are bad in each way, which cost most."""


def good_payload(number: int) -> bytes:
    """A reading as short as most of BAD_PAYLOADS."""
    return b'{"sensor_id":"%06x","event_time":%d,"temperature":1}' % (number, ARRIVAL_MS - number)


def spoiled_records(shape: str, *, total_bytes: int, record_bytes: int = 50_000) -> list[bytes]:
    """Aggregates of nothing but bad payloads of a shape; of good ones if the shape is "good"."""
    payload_of = good_payload if shape == "good" else BAD_PAYLOADS[shape]
    payloads = map(payload_of, itertools.count())
    return list(itertools.islice(_aggregates(payloads, record_bytes), -(-total_bytes // record_bytes)))


SCENES: dict[str, Callable[[], Iterator[bytes]]] = {
    scene.__name__: scene
    for scene in (
        tiny_user_records,
        too_many_user_records,
        many_readings,
        unusual_readings,
        bad_readings,
        nested,
        one_long_record,
        blocks_of_bad_readings,
        blocks_of_nothing_but_bad_readings,
        small_blocks_of_bad_readings,
        small_blocks_with_bad_readings,
        blocks_of_many_sensors,
        blocks_of_repeated_readings,
    )
}


def _aggregates(payloads: Iterator[bytes], record_bytes: int = RECORD_BYTES) -> Iterator[bytes]:
    """Aggregates of so many bytes, as many as an event can carry."""
    body, total = b"\x0a\x01a", 0
    for payload in payloads:
        data = b"\x08\x00\x1a" + _varint(len(payload)) + payload
        user_record = b"\x1a" + _varint(len(data)) + data
        if len(body) + len(user_record) > record_bytes:
            yield seal(body)
            total += len(body)
            body = b"\x0a\x01a"
        if total + len(body) + len(user_record) > PAYLOAD_BYTES - 1_000:
            break
        body += user_record
    yield seal(body)


def _varint(number: int) -> bytes:
    octets = bytearray()
    while number > 127:
        octets.append(number & 127 | 128)
        number >>= 7
    return bytes([*octets, number])


class Nowhere:
    """A store that takes everything and keeps nothing; the consumer does nothing but put."""

    def put(self, *_: object, **__: object) -> str:
        """Done."""
        return ""


def event_of(scene: str) -> bytes:
    """The event of a scene, as Lambda would hand it over: as many of its records as fit."""
    records = (
        Record(
            stream_arn=STREAM_ARN,
            shard="shardId-000000000000",
            sequence_number=str(number),
            arrival_ms=ARRIVAL_MS,
            partition_key="a",
            payload=payload,
        )
        for number, payload in enumerate(SCENES[scene](), start=1)
    )
    encoded = (EncodedRecord(record.sequence_number, encode_record(record)) for record in records)
    return next(fill(encoded)).event()


def main(scene: str) -> None:
    """Process the event of a scene and print what it took."""
    consumer = Consumer(lake=cast("Any", Nowhere()), horizon_ms=LATENESS_HORIZON_MS, puts=Puts(4))
    event = event_of(scene)
    before_mb = peak_mb()
    began_ms = _cpu_ms()
    result = process_batch(
        json.loads(event), remaining_ms=lambda: REMAINING_MS - (_cpu_ms() - began_ms), consumer=consumer
    )
    plans = [written.plan for written in result.written]
    told = {
        "event_bytes": len(event),
        "slices": len(plans),
        "records": sum(plan.records for plan in plans),
        "readings": sum(plan.readings for plan in plans),
        "quarantined": sum(sum(plan.quarantined.values()) for plan in plans),
        "unprocessed": result.unprocessed,
        "cpu_ms": _cpu_ms() - began_ms,
        "before_mb": before_mb,
        "peak_mb": peak_mb(),
    }
    sys.stdout.write("\n" + json.dumps(told) + "\n")


def _cpu_ms() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return round(1_000 * (used.ru_utime + used.ru_stime))


if __name__ == "__main__":
    main(sys.argv[1])
