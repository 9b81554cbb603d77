"""Fast reading of a batch of JSON payloads as columns, for the payloads that have one of a few common layouts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from windrow.columns.arrays import Int64s
from windrow.columns.payloads import Payloads
from windrow.columns.strings import Strings
from windrow.reading import Readings, are_sensor_ids
from windrow.wire.json.cursor import Cursor
from windrow.wire.json.layout import Layout
from windrow.wire.json.parts import LayoutPart, ParsedColumns

# How many payloads are tried as the example of a layout. Fleets have a handful of makes and versions.
EXAMPLES_MAX = 16
# Fewer payloads than this are read just as fast one by one.
ROWS_MIN = 32
# To read a payload by itself takes as long as so many looks at others, or at fewer that begin as the layout says but
# end otherwise. A layout that fewer have is not worth it. A sample is looked at first, and after so many layouts in a
# row of a few payloads the search ends.
_LOOKS_WORTH_ONE, _BEGINNINGS_WORTH_ONE = 40, 6
_SAMPLE = 256
_FRUITLESS_MAX = 4
# Multiples of the golden ratio spread evenly over a range, however many there are: no run of bad payloads hits all.
_GOLDEN = 0.618_033_988_749_895


@dataclass(frozen=True, slots=True, eq=False)
class FoundReadings:
    """n readings, and `rows`, the payloads they came from: int64[n], ascending."""

    readings: Readings
    rows: Int64s


class Search:
    """The search for layouts among payloads, which ends when it finds only those of a few."""

    def __init__(self) -> None:
        """Begin it."""
        self._tries = self._fruitless = 0

    def goes_on(self, pending: Int64s) -> bool:
        """Return whether to try another payload of those that are left as an example; count it as tried."""
        self._tries += 1
        return self._tries <= EXAMPLES_MAX and self._fruitless < _FRUITLESS_MAX and len(pending) >= ROWS_MIN

    def example(self, payloads: Payloads, pending: Int64s) -> bytes:
        """Return the payload that is to be tried."""
        return payloads[int(pending[int((self._tries - 1) * _GOLDEN % 1 * len(pending))])]

    def is_fruitful(
        self, payloads: Payloads, pending: Int64s, parts: Sequence[LayoutPart], number_read: Callable[[Int64s], int]
    ) -> bool:
        """Return whether a layout of these parts is worth looking at all of `pending`; count it if not.

        number_read: how many of some payloads have it.
        """
        if len(pending) <= 2 * _SAMPLE:
            return True
        some = pending[:: len(pending) // _SAMPLE]
        read = number_read(some)
        is_fruitful = read * _BEGINNINGS_WORTH_ONE >= len(some)
        if not is_fruitful and read * _LOOKS_WORTH_ONE >= len(some):
            is_fruitful = read * _BEGINNINGS_WORTH_ONE >= _number_begun(payloads, some, parts)
        self._fruitless = 0 if is_fruitful else self._fruitless + 1
        return is_fruitful

    def found(self, count: int, *, of: int) -> None:
        """Note how many payloads were read of those that were looked at: too few, and the search ends soon.

        The example alone is too few.
        """
        self._fruitless = 0 if count > 1 and count * _LOOKS_WORTH_ONE >= of else self._fruitless + 1


def _number_begun(payloads: Payloads, rows: Int64s, parts: Sequence[LayoutPart]) -> int:
    """Count the payloads that have the first half of the parts."""
    cursor = Cursor(payloads.octets, payloads.starts[rows])
    for part in parts[: len(parts) // 2]:
        part.read(cursor)
    return int(np.count_nonzero(cursor.is_accepted))


def read_common_layouts(
    payloads: Payloads, is_reading: Callable[[bytes], bool], *, length_max: int
) -> tuple[FoundReadings, Int64s]:
    """Return the readings of payloads with common layouts, and the ascending numbers of all other payloads: int64[m].

    `is_reading` decides whether a payload is a reading by the strict definition; payloads longer than `length_max` are
    not tried.
    """
    pending = np.flatnonzero(payloads.lengths <= length_max)
    read: list[ParsedColumns] = []
    search = Search()
    while search.goes_on(pending):
        example = search.example(payloads, pending)
        layout = Layout.of(example) if is_reading(example) else None
        if layout is None:
            continue
        alike = layout.read_alike(payloads, pending)  # so fast that no sample is worth its time
        if len(alike.rows):
            search.found(len(alike.rows), of=len(pending))
            read.append(alike)
            pending = _left(pending, alike)
        if search.is_fruitful(payloads, pending, layout.parts, partial(_number_read, layout, payloads)):
            read.append(layout.read(payloads, pending))
            if not len(alike.rows):
                search.found(len(read[-1].rows), of=len(pending))
            pending = _left(pending, read[-1])
    found = _joined([_found(payloads, columns) for columns in read if len(columns.rows)])
    is_other = np.ones(len(payloads), bool)
    is_other[found.rows] = False
    return found, np.flatnonzero(is_other)


def _left(pending: Int64s, read: ParsedColumns) -> Int64s:
    """Return those of the ascending `pending` that were not read, ascending."""
    if not len(read.rows):
        return pending
    is_left = np.zeros(pending[-1] + 1, bool)
    is_left[pending] = True
    is_left[read.rows] = False
    return np.flatnonzero(is_left)


def _number_read(layout: Layout, payloads: Payloads, rows: Int64s) -> int:
    return len(layout.read(payloads, rows).rows)


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
