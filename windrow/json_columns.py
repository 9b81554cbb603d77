"""Readings of a batch of JSON payloads as columns, as far as the payloads have one of a few layouts."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from windrow.json_layout import Columns, Layout
from windrow.payloads import Payloads
from windrow.reading import Readings
from windrow.strings import Strings
from windrow.words import Integers

# How often a payload is taken as the example of a layout. Fleets have a handful of makes and versions.
EXAMPLES_MAX = 16
# So few payloads are read as fast one by one.
ROWS_MIN = 32
# Multiples of the golden ratio visit a range evenly, however many there are: no run of bad payloads meets them all.
_GOLDEN = 0.618_033_988_749_895


@dataclass(frozen=True, slots=True, eq=False)
class FoundReadings:
    """n readings, and the payloads that they came from: rows, int64[n], ascending."""

    readings: Readings
    rows: Integers


def read_common_layouts(
    payloads: Payloads, is_reading: Callable[[bytes], bool], *, length_max: int
) -> tuple[FoundReadings, Integers]:
    """The readings that were read together, and the ascending numbers of the payloads that were not: int64[m].

    `is_reading` says whether a payload is one by the strict definition; payloads beyond `length_max` are not tried.
    """
    pending = np.flatnonzero(payloads.lengths <= length_max)
    is_read = np.zeros(len(payloads), bool)
    read: list[Columns] = []
    for attempt in range(EXAMPLES_MAX):
        if len(pending) < ROWS_MIN:
            break
        example = payloads[int(pending[int(attempt * _GOLDEN % 1 * len(pending))])]
        layout = Layout.of(example) if is_reading(example) else None
        if layout is not None:
            columns = layout.read(payloads, pending)
            read.append(columns)
            is_read[columns.rows] = True
            pending = pending[~is_read[pending]]
    found = _found(payloads, Columns.concat(read))
    is_other = np.ones(len(payloads), bool)
    is_other[found.rows] = False
    return found, np.flatnonzero(is_other)


def _found(payloads: Payloads, columns: Columns) -> FoundReadings:
    """The readings of `columns` whose ids are UTF-8, by ascending row."""
    unsure = np.flatnonzero(columns.id_is_ascii == 0)
    is_utf8 = np.ones(len(columns.rows), bool)
    is_utf8[unsure] = _ids(payloads, columns.id_start[unsure], columns.id_length[unsure]).are_utf8()
    columns = columns.take(is_utf8)
    distinct, sensor = _ids(payloads, columns.id_start, columns.id_length).rank()
    readings = Readings(
        sensor_ids=distinct,
        sensor=sensor.astype(np.int32),
        event_time_ms=columns.event_time_ms,
        sequence=columns.sequence,
        temperature_milli_c=columns.temperature_milli_c.astype(np.int32),
    )
    if (columns.rows[1:] > columns.rows[:-1]).all():
        return FoundReadings(readings, columns.rows)
    order = np.argsort(columns.rows)
    return FoundReadings(readings.take(order), columns.rows[order])


def _ids(payloads: Payloads, starts: Integers, lengths: Integers) -> Strings:
    return Strings.of_slices(payloads.octets, starts, lengths)
