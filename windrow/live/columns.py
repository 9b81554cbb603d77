"""The newest values of many series as columns: picked out of partials, merged, and as messages.

`newest` of a set of readings depends on the set alone, so merging is associative, commutative and idempotent:

    newest(a + b) == newest(newest(a) + newest(b))
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pybase64

from windrow.columns.arrays import Int64s
from windrow.live.newest import KEPT_SECONDS, NewestValue
from windrow.quantities import parts_of
from windrow.reading import Readings, is_sound
from windrow.rows.partial import Partial

MESSAGE_BYTES_MAX = 262_144
"""What SNS takes ("Amazon SNS quotas"), and SQS as well."""
# In base64, four bytes for three; the rest is room for the frame of a block. The columns then fit even where nothing
# of them can be compressed. Usually they take a sixth of it.
_COLUMN_BYTES_MAX = MESSAGE_BYTES_MAX * 3 // 4 - 16_384
_ROW_BYTES = 8 + 8 + 4 + 4 + 4  # time, sequence, value, place among the ids, end of the id


def newest_of_partials(partials: Sequence[Partial], *, now_ms: int) -> Readings:
    """Return the newest reading of each series in `partials`, but for windows of before KEPT_SECONDS."""
    kept_ms = now_ms - KEPT_SECONDS * 1_000
    recent = [partial for partial in partials if partial.window.end_ms > kept_ms]
    parts = [_last_of_each(partial) for partial in recent]
    return parts[0] if len(parts) == 1 else newest(parts)


def newest(batches: Sequence[Readings]) -> Readings:
    """Return the newest reading of each series in `batches`."""
    readings = Readings.concat(batches)
    by_series = np.lexsort((readings.value_milli, readings.sequence, readings.event_time_ms, readings.sensor))
    sensor = readings.sensor[by_series]
    return readings.take(by_series[np.append(sensor[1:] != sensor[:-1], True)[: len(sensor)]])


def latest(readings: Readings, *, count: int) -> Readings:
    """Return `count` of the readings at most: those of the latest event times."""
    if len(readings) <= count:
        return readings
    return readings.take(np.sort(np.argpartition(readings.event_time_ms, -count)[-count:]))


def values_of(readings: Readings) -> Iterator[NewestValue]:
    """Iterate over readings as values."""
    series = [parts_of(one) for one in readings.sensor_ids.to_list()]
    columns = (readings.sensor, readings.event_time_ms, readings.sequence, readings.value_milli)
    for sensor, time_ms, sequence, milli in zip(*(column.tolist() for column in columns), strict=True):
        sensor_id, quantity = series[sensor]
        yield NewestValue(sensor_id, quantity, time_ms, sequence, milli)


def encode_messages(readings: Readings) -> list[str]:
    """Encode readings as messages of MESSAGE_BYTES_MAX at most: blocks in base64, as SNS takes text alone."""
    from windrow.wire.block.block import encode_block  # noqa: PLC0415 - only a stage that pushes loads it

    ends = np.cumsum(readings.sensor_ids.lengths[readings.sensor] + _ROW_BYTES)
    cuts = list(_cuts(ends))
    blocks = [encode_block(readings.take(np.arange(start, end))) for start, end in pairwise(cuts)]
    return [pybase64.b64encode_as_string(block) for block in blocks]


def decode_message(text: str) -> Readings:
    """Decode a message; ValueError says what is wrong with it."""
    from windrow.wire.block.block import decode_block  # noqa: PLC0415 - see above

    if len(text) > MESSAGE_BYTES_MAX:
        raise ValueError(f"{len(text)} characters, at most {MESSAGE_BYTES_MAX}")
    readings = decode_block(pybase64.b64decode(text, validate=True))
    sound = is_sound(readings)
    if not sound.all():
        raise ValueError(f"{np.count_nonzero(~sound)} of {len(readings)} values are none of a reading")
    return readings


def _last_of_each(partial: Partial) -> Readings:
    """Return the last reading of each series of a partial, which is the newest: its rows ascend by the same order."""
    last = partial.offsets[1:] - 1
    return Readings(
        partial.sensor_ids,
        np.arange(partial.sensors, dtype=np.int32),
        partial.event_time_ms[last],
        partial.sequence[last],
        partial.value_milli[last],
    )


def _cuts(ends: Int64s) -> Iterator[int]:
    """Yield where to cut rows whose columns end at these bytes: 0, then as far as a message has room each time."""
    start, before = 0, 0
    while start < len(ends):
        yield start
        start = int(np.searchsorted(ends, before + _COLUMN_BYTES_MAX, side="right"))
        before = int(ends[start - 1])
    yield len(ends)
