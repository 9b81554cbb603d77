"""The roll: the rows of a window as a pure function of the set of its readings.

Every number is an exact integer. For one identity with several values the greatest wins, and `conflicts` counts the
others. Over the n winners of a sensor, ordered by (event time, sequence):

- percentile p: the nearest rank, i.e. the ceil(p / 100 * n)-th smallest value, so always a value that was read;
- integral: every reading's value times the milliseconds it is held, until the next reading, the window's end or
  HOLD_MS_MAX after it, whichever is first; `covered_ms` is the sum of those milliseconds;
- histogram: counts of floor(temperature / HISTOGRAM_BIN_MILLI_C), empty bins left out.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from windrow.partial import Partial
from windrow.strings import Strings, offsets_of
from windrow.window import Window

PERCENTILES = (5, 25, 50, 75, 95, 99)
HOLD_MS_MAX = 60_000
HISTOGRAM_BIN_MILLI_C = 500
_ROWS_DOMAIN = b"windrow rows 1"

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Rollup:
    """The rows of a window, one per sensor, ascending by sensor id (octets): columns of k values.

    Temperatures are in m°C, times in ms since the epoch. The sum of squares is
    `sum_squares_high * 2**64 + sum_squares_low`. The histogram of sensor i is `histogram_offsets[i]:[i + 1]` of
    `histogram_bins` (ascending) and `histogram_counts`.
    """

    window: Window
    sensor_ids: Strings
    readings: Int64s
    sum_milli_c: Int64s
    sum_squares_high: Int64s
    sum_squares_low: npt.NDArray[np.uint64]
    min_milli_c: Int32s
    max_milli_c: Int32s
    first_milli_c: Int32s
    first_time_ms: Int64s
    last_milli_c: Int32s
    last_time_ms: Int64s
    percentiles_milli_c: tuple[Int32s, ...]
    integral_milli_c_ms: Int64s
    covered_ms: Int32s
    histogram_offsets: Int64s
    histogram_bins: Int32s
    histogram_counts: Int32s
    conflicts: Int64s

    def __len__(self) -> int:
        """How many rows, which is how many sensors."""
        return len(self.sensor_ids)

    @property
    def rows_sha256(self) -> str:
        """SHA-256 over the logical columns: equal exactly when every row is equal, whatever the file's bytes."""
        digest = hashlib.sha256(_ROWS_DOMAIN)
        digest.update(np.array([self.window.start_ms, len(self)], "<i8").tobytes())
        digest.update(self.sensor_ids.offsets.astype("<i8", copy=False).tobytes())
        digest.update(self.sensor_ids.octets.tobytes())
        columns: tuple[npt.NDArray[Any], ...] = (
            *(self.readings, self.sum_milli_c, self.sum_squares_high, self.sum_squares_low),
            *(self.min_milli_c, self.max_milli_c),
            *(self.first_milli_c, self.first_time_ms, self.last_milli_c, self.last_time_ms),
            *self.percentiles_milli_c,
            *(self.integral_milli_c_ms, self.covered_ms),
            *(self.histogram_offsets, self.histogram_bins, self.histogram_counts),
            self.conflicts,
        )
        for column in columns:
            digest.update(column.astype(column.dtype.newbyteorder("<"), copy=False).tobytes())
        return digest.hexdigest()


def roll(partial: Partial) -> Rollup:
    """The rows of `partial`'s window; of the empty partial, no rows."""
    winners, conflicts = _resolve_conflicts(partial)
    offsets, value = winners.offsets, winners.temperature_milli_c
    first, last = offsets[:-1], offsets[1:] - 1
    ordered = _sorted_within(value, winners.readings_per_sensor)
    high, low = _sum_squares(value, first)
    held_ms = _held_ms(winners)
    histogram_offsets, bins, counts = _histogram(ordered, offsets)
    return Rollup(
        window=partial.window,
        sensor_ids=winners.sensor_ids,
        readings=winners.readings_per_sensor,
        sum_milli_c=_sums(value.astype(np.int64), first),
        sum_squares_high=high,
        sum_squares_low=low,
        min_milli_c=ordered[first],
        max_milli_c=ordered[last],
        first_milli_c=value[first],
        first_time_ms=winners.event_time_ms[first],
        last_milli_c=value[last],
        last_time_ms=winners.event_time_ms[last],
        percentiles_milli_c=tuple(_nearest_rank(ordered, offsets, percent) for percent in PERCENTILES),
        integral_milli_c_ms=_sums(value * held_ms, first),
        covered_ms=_sums(held_ms, first).astype(np.int32),
        histogram_offsets=histogram_offsets,
        histogram_bins=bins,
        histogram_counts=counts,
        conflicts=conflicts,
    )


def _resolve_conflicts(partial: Partial) -> tuple[Partial, Int64s]:
    """The partial with the greatest value of each identity, and per sensor how many other values there were.

    The readings ascend by value within an identity, so the greatest is the one before the next identity.
    """
    sensor = np.repeat(np.arange(partial.sensors), partial.readings_per_sensor)
    time, sequence = partial.event_time_ms, partial.sequence
    is_winner = np.ones(len(partial), bool)
    is_winner[:-1] = (sensor[1:] != sensor[:-1]) | (time[1:] != time[:-1]) | (sequence[1:] != sequence[:-1])
    readings = np.bincount(sensor[is_winner], minlength=partial.sensors).astype(np.int64)
    winners = Partial(
        partial.window,
        partial.sensor_ids,
        offsets_of(readings),
        time[is_winner],
        sequence[is_winner],
        partial.temperature_milli_c[is_winner],
    )
    return winners, partial.readings_per_sensor - readings


def _sums(values: Int64s, first: Int64s) -> Int64s:
    return np.add.reduceat(values, first) if len(first) else np.zeros(0, np.int64)


def _sum_squares(value: Int32s, first: Int64s) -> tuple[Int64s, npt.NDArray[np.uint64]]:
    """Sums of squares in 128 bits: a square takes 47 bits, so its halves of 32 bits add up without overflow."""
    square = value.astype(np.int64) ** 2
    upper, lower = _sums(square >> 32, first), _sums(square & 0xFFFFFFFF, first)
    upper += lower >> 32
    low = (upper.astype(np.uint64) << np.uint64(32)) | (lower & 0xFFFFFFFF).astype(np.uint64)
    return upper >> 32, low


def _sorted_within(value: Int32s, readings: Int64s) -> Int32s:
    """The values, ascending within each sensor."""
    key = np.repeat(np.arange(len(readings), dtype=np.int64), readings) << 32
    ordered: Int64s = np.sort(key + value + 2**31) - key - 2**31
    return ordered.astype(np.int32)


def _nearest_rank(ordered: Int32s, offsets: Int64s, percent: int) -> Int32s:
    rank = (percent * np.diff(offsets) + 99) // 100
    ranked: Int32s = ordered[offsets[:-1] + rank - 1]
    return ranked


def _held_ms(winners: Partial) -> Int64s:
    """How long each reading's value is held, in ms: int64[n]."""
    until = np.empty(len(winners), np.int64)
    until[:-1] = winners.event_time_ms[1:]
    until[winners.offsets[1:] - 1] = winners.window.end_ms
    held_ms: Int64s = np.minimum(until - winners.event_time_ms, HOLD_MS_MAX)
    return held_ms


def _histogram(ordered: Int32s, offsets: Int64s) -> tuple[Int64s, Int32s, Int32s]:
    """Offsets of each sensor's bins, the bins that are not empty, and their counts."""
    if not len(ordered):
        return np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32)
    bins = ordered // HISTOGRAM_BIN_MILLI_C
    is_first = np.ones(len(bins), bool)
    is_first[1:] = bins[1:] != bins[:-1]
    is_first[offsets[:-1]] = True
    starts = np.flatnonzero(is_first)
    counts = np.diff(starts, append=len(bins))
    return np.searchsorted(starts, offsets), bins[starts], counts.astype(np.int32)
