"""Fast reading of a batch of JSON payloads as columns, for the payloads that have one of a few common layouts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from windrow.columns.arrays import Int64s
from windrow.columns.payloads import Payloads
from windrow.columns.strings import Strings
from windrow.reading import Readings, are_sensor_ids
from windrow.wire.json.layout import Layout
from windrow.wire.json.parts import ParsedColumns

# How many payloads are tried as the example of a layout. Fleets have a handful of makes and versions.
EXAMPLES_MAX = 16
# Fewer payloads than this are read just as fast one by one.
ROWS_MIN = 32
# Multiples of the golden ratio spread evenly over a range, however many there are: no run of bad payloads hits all.
_GOLDEN = 0.618_033_988_749_895


@dataclass(frozen=True, slots=True, eq=False)
class FoundReadings:
    """n readings, and `rows`, the payloads they came from: int64[n], ascending."""

    readings: Readings
    rows: Int64s


def read_common_layouts(
    payloads: Payloads, is_reading: Callable[[bytes], bool], *, length_max: int
) -> tuple[FoundReadings, Int64s]:
    """Return the readings of payloads with common layouts, and the ascending numbers of all other payloads: int64[m].

    `is_reading` decides whether a payload is a reading by the strict definition; payloads longer than `length_max` are
    not tried.
    """
    pending = np.flatnonzero(payloads.lengths <= length_max)
    is_read = np.zeros(len(payloads), bool)
    read: list[FoundReadings] = []
    for attempt in range(EXAMPLES_MAX):
        if len(pending) < ROWS_MIN:
            break
        example = example_of(payloads, pending, attempt)
        layout = Layout.of(example) if is_reading(example) else None
        for read_some in (layout.read_alike, layout.read) if layout else ():
            columns = read_some(payloads, pending)
            read.append(_found(payloads, columns))
            is_read[columns.rows] = True
            pending = pending[~is_read[pending]]
    found = _joined([one for one in read if len(one.rows)])
    is_other = np.ones(len(payloads), bool)
    is_other[found.rows] = False
    return found, np.flatnonzero(is_other)


def example_of(payloads: Payloads, pending: Int64s, attempt: int) -> bytes:
    """Return the payload among `pending` that is tried as the example in this attempt."""
    return payloads[int(pending[int(attempt * _GOLDEN % 1 * len(pending))])]


def _found(payloads: Payloads, columns: ParsedColumns) -> FoundReadings:
    """Return the readings of `columns` whose ids are sensor ids in UTF-8 without escapes, ascending by row."""
    distinct, sensor = Strings.of_slices(payloads.octets, columns.id_start, columns.id_length).rank()
    is_id = distinct.are_utf8() & distinct.are_plain() & are_sensor_ids(distinct)
    if not is_id.all():
        columns, sensor = columns.take(is_id[sensor]), (np.cumsum(is_id) - 1)[sensor[is_id[sensor]]]
        distinct = distinct.take(np.flatnonzero(is_id))
    readings = Readings(
        sensor_ids=distinct,
        sensor=sensor.astype(np.int32),
        event_time_ms=columns.event_time_ms,
        sequence=columns.sequence,
        value_milli=columns.value_milli.astype(np.int32),
    )
    return FoundReadings(readings, columns.rows)


def _joined(found: Sequence[FoundReadings]) -> FoundReadings:
    """Join all readings, ascending by row."""
    if len(found) == 1:
        return found[0]
    rows = np.concatenate([np.zeros(0, np.int64), *(one.rows for one in found)])
    order = np.argsort(rows)
    return FoundReadings(Readings.concat([one.readings for one in found]).take(order), rows[order])
