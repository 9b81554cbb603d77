"""Blocks: many readings in one payload, as an Arrow IPC stream with zstd, for gateways that control both ends.

    93 77 69 6e 64 72 6f 77   the magic: no JSON and no KPL aggregate begins with this
    01                        the version of what follows
    ...                       an Arrow IPC stream of one record batch (see docs/blocks.md)

    sensor_id      utf8, or a dictionary of utf8 with int8, int16 or int32 indices: series, see windrow.quantities
    event_time_ms  int64, epoch milliseconds
    value_milli    int32, thousandths of the unit; of a degree Celsius behind a bare sensor id
    sequence       int64; may be left out when all are 0

A block with a broken format is bad as a whole, because the meaning of its parts is unknown. In a well-formed block a
reading that breaks a limit is bad by itself, and `to_json_payloads` encodes it as a JSON payload with the same meaning.
"""

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from windrow.columns import arrow
from windrow.columns.strings import Strings
from windrow.quantities import parts_of, split_series
from windrow.reading import (
    READINGS_PER_RECORD_MAX,
    SENSOR_ID_CHARACTERS_MAX,
    SERIES_CHARACTERS_MAX,
    BadReading,
    Readings,
    Reason,
)
from windrow.wire.block import BLOCK_MAGIC
from windrow.wire.block import buffers as ipc_buffers
from windrow.wire.block.flatbuffers import BadStream
from windrow.wire.block.stream import ColumnSchema, EncodedBatch, length_of_stream, parse_stream
from windrow.wire.json.values import value_field

BLOCK_VERSION = 1
# All buffers of a block when decompressed. READINGS_PER_RECORD_MAX readings take 3 MB without their ids; the rest is
# room for an id of 100 bytes with each of them.
BLOCK_DECOMPRESSED_BYTES_MAX = 16 * 1024 * 1024
# Distinct readings take at least a byte each, however well they compress. More than this to a byte are the same few
# readings over and over, and a batch of such blocks would take minutes.
BLOCK_READINGS_PER_BYTE_MAX = 4

_HEAD = BLOCK_MAGIC + bytes([BLOCK_VERSION])
_NUMBERS = (("event_time_ms", "int64"), ("value_milli", "int32"), ("sequence", "int64"))
_PLACES: dict[str, type[np.signedinteger[Any]]] = {"int8": np.int8, "int16": np.int16, "int32": np.int32}


def length_of_block(octets: bytes, start: int) -> int | None:
    """Return the length of the block that begins at `start`, with whatever comes behind it; None if there is none.

    Of its content only the framing is looked at.
    """
    if not octets.startswith(_HEAD, start):
        return None
    try:
        return len(_HEAD) + length_of_stream(octets, start + len(_HEAD))
    except BadStream:
        return None


def encode_block(readings: Readings) -> bytes:
    """Encode `readings` as a block; ValueError unless there are 1 to READINGS_PER_RECORD_MAX.

    They are stored in their order; sorted by sensor and time they compress best. Readings that repeat each other
    thousands of times make a block that `decode_block` refuses.
    """
    if not 1 <= len(readings) <= READINGS_PER_RECORD_MAX:
        raise ValueError(f"{len(readings)} readings in a block, not 1 to {READINGS_PER_RECORD_MAX}")
    sensor_ids, place = readings.sensor_ids, readings.sensor
    is_used = np.zeros(len(sensor_ids), bool)
    is_used[place] = True
    if not is_used.all():
        sensor_ids = sensor_ids.take(np.flatnonzero(is_used))
        place = (np.cumsum(is_used, dtype=np.int32) - 1)[place]
    columns = {
        "sensor_id": arrow.dictionary_column(sensor_ids, place),
        "event_time_ms": arrow.column(readings.event_time_ms),
        "value_milli": arrow.column(readings.value_milli),
    }
    if readings.sequence.any():
        columns["sequence"] = arrow.column(readings.sequence)
    return _HEAD + arrow.write_ipc_stream(columns)


def decode_block(payload: bytes) -> Readings:
    """Decode every reading of a block, in its order; `windrow.reading.is_sound` tells which of them break no limit.

    Raises BadReading for a block that breaks the format or a limit. Memory is bounded by the limits, whatever the bytes
    are.
    """
    return read_block(open_block(payload))


def open_block(payload: bytes) -> EncodedBatch:
    """Parse a block without decompressing anything; raises BadReading if it breaks the format or a limit."""
    if not payload.startswith(_HEAD):
        version = payload[len(BLOCK_MAGIC) : len(_HEAD)].hex() or "none"
        raise BadReading(Reason.BLOCK_MALFORMED, f"version {version}, this release reads {BLOCK_VERSION:02x}")
    try:
        batch = parse_stream(payload[len(_HEAD) :])
    except BadStream as error:
        raise BadReading(Reason.BLOCK_MALFORMED, str(error)) from error
    if batch.decompressed_bytes > BLOCK_DECOMPRESSED_BYTES_MAX:
        detail = f"{batch.decompressed_bytes} bytes decompressed, at most {BLOCK_DECOMPRESSED_BYTES_MAX}"
        raise BadReading(Reason.BLOCK_TOO_LARGE, detail)
    if batch.rows > READINGS_PER_RECORD_MAX:
        raise BadReading(Reason.TOO_MANY_READINGS, f"{batch.rows} readings, at most {READINGS_PER_RECORD_MAX}")
    if batch.rows > BLOCK_READINGS_PER_BYTE_MAX * len(payload):
        detail = f"{batch.rows} readings in {len(payload)} bytes, at most {BLOCK_READINGS_PER_BYTE_MAX} a byte"
        raise BadReading(Reason.BLOCK_TOO_LARGE, detail)
    if batch.rows == 0:
        raise BadReading(Reason.BLOCK_MALFORMED, "no readings")
    _check_columns(batch.columns)
    return batch


def read_block(batch: EncodedBatch) -> Readings:
    """Decode the readings of a block that `open_block` has parsed; raises BadReading if its buffers are broken."""
    try:
        sensor_ids, sensor = _sensors(batch)
        time = ipc_buffers.numbers(batch.values[1], np.int64, batch.rows)
        milli = ipc_buffers.numbers(batch.values[2], np.int32, batch.rows)
        sequence = np.zeros(batch.rows, np.int64)
        if len(batch.values) > len(_NUMBERS):
            sequence = ipc_buffers.numbers(batch.values[3], np.int64, batch.rows)
    except BadStream as error:
        raise BadReading(Reason.BLOCK_MALFORMED, str(error)) from error
    return Readings(sensor_ids, sensor, time, sequence, milli)


def to_json_payloads(readings: Readings, positions: npt.NDArray[np.integer]) -> list[bytes]:
    """Encode the readings at `positions` as JSON payloads with the same meaning, whether they break limits or not."""
    chosen = readings.take(positions)
    used = np.unique(chosen.sensor)
    fields = dict(zip(used.tolist(), map(_series_fields, readings.sensor_ids.take(used).to_list()), strict=True))
    columns = (chosen.sensor, chosen.event_time_ms, chosen.value_milli, chosen.sequence)
    return [
        f'{{"sensor_id":{fields[sensor][0]},"event_time":{time_ms},{fields[sensor][1]}'
        f"{'-' if milli < 0 else ''}{abs(milli) // 1000}.{abs(milli) % 1000:03},"
        f'"sequence":{sequence}}}'.encode()
        for sensor, time_ms, milli, sequence in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _series_fields(series: str) -> tuple[str, str]:
    """Return the id in JSON, and the fields up to the value."""
    sensor_id, quantity = parts_of(series)
    return json.dumps(sensor_id, ensure_ascii=False), value_field(quantity)


def _check_columns(columns: tuple[ColumnSchema, ...]) -> None:
    ids, *numbers = columns or (ColumnSchema("", "", None),)
    is_id = ids.name == "sensor_id" and ids.kind == "utf8" and (ids.index is None or ids.index in _PLACES)
    declared = tuple((column.name, column.kind) for column in numbers if column.index is None)
    if not is_id or len(declared) < len(numbers) or declared not in (_NUMBERS, _NUMBERS[:-1]):
        raise BadReading(Reason.BLOCK_MALFORMED, "other columns than those of a block")


def _sensors(batch: EncodedBatch) -> tuple[Strings, npt.NDArray[np.int32]]:
    """Return the ids, and which of them each reading has: int32[n]."""
    if batch.columns[0].index is None:
        ids = ipc_buffers.strings(batch.values[0])
        _check_ids(ids)
        distinct, place = ids.rank()
        return distinct, place.astype(np.int32)
    ids = ipc_buffers.strings(batch.dictionaries[0])
    _check_ids(ids)
    places = ipc_buffers.numbers(batch.values[0], _PLACES[batch.columns[0].index], batch.rows)
    if int(places.min()) < 0 or int(places.max()) >= len(ids):
        raise BadStream("a place outside the dictionary")
    return ids, places.astype(np.int32, copy=False)


def _check_ids(ids: Strings) -> None:
    """Refuse ids of a forbidden length: a long one, repeated in every reading, would take any amount of memory.

    Other faults of an id are faults of its readings only.
    """
    characters = ids.characters
    if len(ids) and characters.max() > SENSOR_ID_CHARACTERS_MAX:
        if characters.max() > SERIES_CHARACTERS_MAX:
            raise BadStream(f"a sensor id and a quantity of {characters.max()} characters")
        characters = split_series(ids).sensor_ids.characters
    if len(ids) and not (characters.min() >= 1 and characters.max() <= SENSOR_ID_CHARACTERS_MAX):
        detail = f"a sensor id of {characters.max()} characters" if characters.min() else "an empty sensor id"
        raise BadStream(f"{detail}, not 1 to {SENSOR_ID_CHARACTERS_MAX}")
