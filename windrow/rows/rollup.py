"""The roll: computing the rows of a window as a pure function of the set of its readings.

Every number is an exact integer. If an identity has several values, the greatest wins, and `conflicts` counts the
others. Over the n winners of a sensor, ordered by (event time, sequence):

- percentile p: the nearest rank, i.e. the ceil(p / 100 * n)-th smallest value, so always a value that was measured;
- integral: every reading's value times the milliseconds it is held, until the next reading, the window's end or
  HOLD_MS_MAX after it, whichever is first; `covered_ms` is the sum of those milliseconds;
- histogram: counts of floor(value / HISTOGRAM_BIN_MILLI), in thousandths, empty bins left out.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from windrow.columns.arrays import Int32s, Int64s
from windrow.columns.strings import Strings, offsets_of
from windrow.rows.partial import Partial

PERCENTILES = (5, 25, 50, 75, 95, 99)
HOLD_MS_MAX = 60_000
HISTOGRAM_BIN_MILLI = 500
BATCH_ROWS = 1 << 17
"""Rows are hashed and written in batches of this size, the last one shorter: memory depends on it, not on the fleet."""
# Part of the bytes under rows_sha256; changes whenever the canonical serialization does.
_ROWS_DOMAIN = b"windrow rows 2"


@dataclass(frozen=True, slots=True, eq=False)
class Rollup:
    """Rows of the window (or hour, or day) that starts at `start_ms`: one per series, ascending by series (bytes).

    Columns of k values, in thousandths of the series' unit; times in ms since the epoch. `sensor_ids` are series, as in
    windrow.quantities: bare ids for temperatures. The sum of squares is
    `sum_squares_high * 2**64 + sum_squares_low`. The histogram of sensor i is `histogram_offsets[i]:[i + 1]` of
    `histogram_bins` (ascending) and `histogram_counts`.
    """

    start_ms: int
    sensor_ids: Strings
    readings: Int64s
    sum_milli: Int64s
    sum_squares_high: Int64s
    sum_squares_low: npt.NDArray[np.uint64]
    min_milli: Int32s
    max_milli: Int32s
    first_milli: Int32s
    first_time_ms: Int64s
    last_milli: Int32s
    last_time_ms: Int64s
    percentiles_milli: tuple[Int32s, ...]
    integral_milli_ms: Int64s
    covered_ms: Int32s
    histogram_offsets: Int64s
    histogram_bins: Int32s
    histogram_counts: Int32s
    conflicts: Int64s

    def __len__(self) -> int:
        """Return the number of rows, which is the number of sensors."""
        return len(self.sensor_ids)

    @property
    def rows_sha256(self) -> str:
        """SHA-256 over the logical columns: equal exactly if all rows are equal, whatever the bytes of the file."""
        digest = RowsDigest(self.start_ms)
        for batch in batches_of([self]):
            digest.add(batch)
        return digest.hexdigest()

    def between(self, start: int, end: int) -> "Rollup":
        """Return the rows `start:end`; shares the columns."""
        first, last = self.histogram_offsets[start], self.histogram_offsets[end]
        own: dict[str, Any] = {
            "start_ms": self.start_ms,
            "sensor_ids": self.sensor_ids.between(start, end),
            "percentiles_milli": tuple(values[start:end] for values in self.percentiles_milli),
            "histogram_offsets": self.histogram_offsets[start : end + 1] - first,
            "histogram_bins": self.histogram_bins[first:last],
            "histogram_counts": self.histogram_counts[first:last],
        }
        return Rollup(**own | {name: getattr(self, name)[start:end] for name in _PLAIN})

    @classmethod
    def concat(cls, parts: Sequence["Rollup"]) -> "Rollup":
        """Join the rows of `parts`, at least one; the ids must ascend from each part to the next."""
        if len(parts) == 1:
            return parts[0]
        own: dict[str, Any] = {
            "start_ms": parts[0].start_ms,
            "sensor_ids": Strings.concat([part.sensor_ids for part in parts]),
            "percentiles_milli": tuple(
                np.concatenate(columns) for columns in zip(*(part.percentiles_milli for part in parts), strict=True)
            ),
            "histogram_offsets": offsets_of(np.concatenate([np.diff(part.histogram_offsets) for part in parts])),
        }
        joined = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in (*_PLAIN, "histogram_bins", "histogram_counts")
        }
        return cls(**own | joined)


_PLAIN = tuple(
    field.name
    for field in fields(Rollup)
    if not field.name.startswith(("start_ms", "sensor_ids", "percentiles", "histogram"))
)
"""The fields that are one array with a value for each row."""


class RowsDigest:
    """SHA-256 over rows that arrive in the batches of `batches_of`."""

    def __init__(self, start_ms: int) -> None:
        """Start with no rows."""
        self._digest = hashlib.sha256(_ROWS_DOMAIN)
        self._add(np.array([start_ms], np.int64))

    def add(self, batch: Rollup) -> None:
        """Add the next rows."""
        self._add(np.array([len(batch)], np.int64))
        self._add(batch.sensor_ids.offsets)
        self._add(batch.sensor_ids.octets)
        columns: tuple[npt.NDArray[Any], ...] = (
            *(batch.readings, batch.sum_milli, batch.sum_squares_high, batch.sum_squares_low),
            *(batch.min_milli, batch.max_milli),
            *(batch.first_milli, batch.first_time_ms, batch.last_milli, batch.last_time_ms),
            *batch.percentiles_milli,
            *(batch.integral_milli_ms, batch.covered_ms),
            *(batch.histogram_offsets, batch.histogram_bins, batch.histogram_counts),
            batch.conflicts,
        )
        for column in columns:
            self._add(column)

    def hexdigest(self) -> str:
        """Return the hash of all rows so far, in hexadecimal."""
        return self._digest.hexdigest()

    def _add(self, column: npt.NDArray[Any]) -> None:
        # Little-endian and contiguous, on any machine.
        self._digest.update(np.ascontiguousarray(column, column.dtype.newbyteorder("<")).data)


def batches_of(parts: Iterable[Rollup], *, rows: int = BATCH_ROWS) -> Iterator[Rollup]:
    """Regroup `parts` into batches of `rows` rows, the last one shorter, none empty, however the parts are divided."""
    held: list[Rollup] = []
    held_rows = 0
    for part in parts:
        start = 0
        while held_rows + len(part) - start >= rows:
            end = start + rows - held_rows
            yield Rollup.concat([*held, part.between(start, end)])
            held, held_rows, start = [], 0, end
        if start < len(part):
            held.append(part.between(start, len(part)))
            held_rows += len(part) - start
    if held:
        yield Rollup.concat(held)


def roll(partial: Partial) -> Rollup:
    """Compute the rows of the window of `partial`; the empty partial gives no rows."""
    winners, conflicts = winners_of(partial)
    offsets, value = winners.offsets, winners.value_milli
    first, last = offsets[:-1], offsets[1:] - 1
    ordered = _sorted_within(value, winners.readings_per_sensor)
    high, low = _sum_squares(value, first)
    held_ms = held_ms_of(winners)
    histogram_offsets, bins, counts = _histogram(ordered, offsets)
    return Rollup(
        start_ms=partial.window.start_ms,
        sensor_ids=winners.sensor_ids,
        readings=winners.readings_per_sensor,
        sum_milli=_sums(value.astype(np.int64), first),
        sum_squares_high=high,
        sum_squares_low=low,
        min_milli=ordered[first],
        max_milli=ordered[last],
        first_milli=value[first],
        first_time_ms=winners.event_time_ms[first],
        last_milli=value[last],
        last_time_ms=winners.event_time_ms[last],
        percentiles_milli=tuple(_nearest_rank(ordered, offsets, percent) for percent in PERCENTILES),
        integral_milli_ms=_sums(value * held_ms, first),
        covered_ms=_sums(held_ms, first).astype(np.int32),
        histogram_offsets=histogram_offsets,
        histogram_bins=bins,
        histogram_counts=counts,
        conflicts=conflicts,
    )


def winners_of(partial: Partial) -> tuple[Partial, Int64s]:
    """Return the partial with only the greatest value of each identity, and the number of other values of each sensor.

    The readings ascend by value within an identity, so the greatest is the one before the next identity.
    """
    time, sequence = partial.event_time_ms, partial.sequence
    is_winner = np.ones(len(partial), bool)
    is_winner[:-1] = (time[1:] != time[:-1]) | (sequence[1:] != sequence[:-1])
    is_winner[partial.offsets[1:] - 1] = True
    if is_winner.all():
        return partial, np.zeros(partial.sensors, np.int64)
    readings = _sums(is_winner.astype(np.int64), partial.offsets[:-1])
    winners = Partial(
        partial.window,
        partial.sensor_ids,
        offsets_of(readings),
        time[is_winner],
        sequence[is_winner],
        partial.value_milli[is_winner],
    )
    return winners, partial.readings_per_sensor - readings


def _sums(values: Int64s, first: Int64s) -> Int64s:
    return np.add.reduceat(values, first) if len(first) else np.zeros(0, np.int64)


def _sum_squares(value: Int32s, first: Int64s) -> tuple[Int64s, npt.NDArray[np.uint64]]:
    """Add up squares in 128 bits: a square takes 63 bits, so its halves of 32 bits add up without overflow."""
    square = value.astype(np.int64) ** 2
    upper, lower = _sums(square >> 32, first), _sums(square & 0xFFFFFFFF, first)
    upper += lower >> 32
    low = (upper.astype(np.uint64) << np.uint64(32)) | (lower & 0xFFFFFFFF).astype(np.uint64)
    return upper >> 32, low


def _sorted_within(value: Int32s, readings: Int64s) -> Int32s:
    """Sort the values within each sensor."""
    key = np.repeat((np.arange(len(readings)) << 32) + 2**31, readings)
    ordered = key + value
    ordered.sort()
    ordered -= key
    return ordered.astype(np.int32)


def _nearest_rank(ordered: Int32s, offsets: Int64s, percent: int) -> Int32s:
    rank = (percent * np.diff(offsets) + 99) // 100
    ranked: Int32s = ordered[offsets[:-1] + rank - 1]
    return ranked


def held_ms_of(winners: Partial, hold_ms_max: int = HOLD_MS_MAX) -> Int64s:
    """Return how long the value of each reading is held in the window, in ms: int64[n]; at most `hold_ms_max`."""
    until = np.empty(len(winners), np.int64)
    until[:-1] = winners.event_time_ms[1:]
    until[winners.offsets[1:] - 1] = winners.window.end_ms
    held_ms: Int64s = np.minimum(until - winners.event_time_ms, hold_ms_max)
    return held_ms


def _histogram(ordered: Int32s, offsets: Int64s) -> tuple[Int64s, Int32s, Int32s]:
    """Return the offsets of each sensor's bins, the bins that are not empty, and their counts."""
    if not len(ordered):
        return np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32)
    bins = ordered // HISTOGRAM_BIN_MILLI
    is_first = np.ones(len(bins), bool)
    is_first[1:] = bins[1:] != bins[:-1]
    is_first[offsets[:-1]] = True
    starts = np.flatnonzero(is_first)
    counts = np.diff(starts, append=len(bins))
    return np.searchsorted(starts, offsets), bins[starts], counts.astype(np.int32)
