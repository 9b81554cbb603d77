"""Merging the rows of windows into rows of an hour, and those of hours into rows of a day: a pure function.

Only exact state is merged: counts, sums, 128-bit sums of squares, extremes, first and last, integrals, covered
milliseconds, histograms, conflicts; never an average. So any grouping gives the same rows:

    merge([a, b, c]) == merge([merge([a, b]), c]) == merge([c, b, a])

Percentiles come from the merged histogram: the middle of the bin that holds the nearest rank, clamped to the minimum
and the maximum. It differs from the exact value by at most PERCENTILE_ERROR_MILLI_C.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from windrow.columns import order
from windrow.columns.arrays import Int32s, Int64s
from windrow.columns.strings import Strings, offsets_of
from windrow.rows.rollup import HISTOGRAM_BIN_MILLI_C, PERCENTILES, Rollup

PERCENTILE_ERROR_MILLI_C = HISTOGRAM_BIN_MILLI_C // 2
# Added to 32-bit numbers and to instants: then none is negative, and they sort as unsigned numbers.
_BIAS_32 = 1 << 31
_BIAS_TIME = 1 << 50


def merge(start_ms: int, parts: Sequence[Rollup]) -> Rollup:
    """Merge the rows of disjoint parts, at least one, of the period that starts at `start_ms`."""
    ids, place = Strings.concat([part.sensor_ids for part in parts]).rank()
    rows = _SensorRows(parts, place, len(ids))
    high, low = rows.sum_squares()
    readings = rows.sums("readings")
    minimum, maximum = rows.reduced("min_milli_c", np.minimum), rows.reduced("max_milli_c", np.maximum)
    offsets, bins, counts = _histogram(parts, place, len(ids))
    first, last = rows.earliest(), rows.latest()
    return Rollup(
        start_ms=start_ms,
        sensor_ids=ids,
        readings=readings,
        sum_milli_c=rows.sums("sum_milli_c"),
        sum_squares_high=high,
        sum_squares_low=low,
        min_milli_c=minimum,
        max_milli_c=maximum,
        first_milli_c=rows.column("first_milli_c")[first],
        first_time_ms=rows.column("first_time_ms")[first],
        last_milli_c=rows.column("last_milli_c")[last],
        last_time_ms=rows.column("last_time_ms")[last],
        percentiles_milli_c=tuple(
            np.clip(_middle_of_rank(percent, readings, offsets, bins, counts), minimum, maximum)
            for percent in PERCENTILES
        ),
        integral_milli_c_ms=rows.sums("integral_milli_c_ms"),
        covered_ms=rows.sums("covered_ms").astype(np.int32),
        histogram_offsets=offsets,
        histogram_bins=bins,
        histogram_counts=counts,
        conflicts=rows.sums("conflicts"),
    )


def merge_streams(start_ms: int, streams: Iterable[Iterator[Rollup]]) -> Iterator[Rollup]:
    """Merge streams of rows, each ascending by sensor id, keeping one batch of each stream in memory."""
    for complete in id_ranges(streams, ids_of=lambda rows: rows.sensor_ids):
        yield merge(start_ms, [part for _, part in complete])


class Batch(Protocol):
    """Rows that ascend by id and can be cut."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def between(self, start: int, end: int) -> Self:
        """Return the rows `start:end`."""


AnyBatch = TypeVar("AnyBatch", bound=Batch)


def id_ranges(
    streams: Iterable[Iterator[AnyBatch]], *, ids_of: Callable[[AnyBatch], Strings]
) -> Iterator[list[tuple[int, AnyBatch]]]:
    """Read streams of batches in step: yield, for ascending ranges of ids, (number of the stream, its rows) if any.

    Each round ends at the least of the last ids of the current batches: up to it, all ids are complete.
    """
    heads = [_StreamHead(number, stream, ids_of) for number, stream in enumerate(streams)]
    while heads := [head for head in heads if head.has_rows()]:
        bound = min(head.last_id for head in heads)
        complete = [(head.number, head.take_through(bound)) for head in heads]
        yield [(number, part) for number, part in complete if len(part)]


class _StreamHead(Generic[AnyBatch]):
    """A stream of batches and the current one."""

    def __init__(self, number: int, stream: Iterator[AnyBatch], ids_of: Callable[[AnyBatch], Strings]) -> None:
        self.number = number
        self._rest = stream
        self._ids_of = ids_of
        self._batch: AnyBatch | None = None

    def has_rows(self) -> bool:
        """Return whether there are rows left, after reading the next batch if the current one is used up."""
        while self._batch is None or not len(self._batch):
            self._batch = next(self._rest, None)
            if self._batch is None:
                return False
        return True

    @property
    def last_id(self) -> bytes:
        batch = self._current()
        return self._ids_of(batch).octets_at(len(batch) - 1)

    def take_through(self, bound: bytes) -> AnyBatch:
        """Take the rows of the ids up to and including `bound`, possibly none."""
        batch = self._current()
        (end,) = self._ids_of(batch).positions_of([bound + b"\0"])
        self._batch = batch.between(end, len(batch))
        return batch.between(0, end)

    def _current(self) -> AnyBatch:
        assert self._batch is not None  # noqa: S101 - has_rows comes first
        return self._batch


class _SensorRows:
    """The rows of all parts, grouped by sensor."""

    def __init__(self, parts: Sequence[Rollup], place: Int64s, sensors: int) -> None:
        self._parts = parts
        self._place = place.astype(np.uint64)
        self._order = order.ascending([self._place])
        self._first = offsets_of(np.bincount(place, minlength=sensors))

    def column(self, name: str) -> npt.NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in self._parts])

    def reduced(self, name: str, reduce: np.ufunc) -> npt.NDArray[Any]:
        return self._reduced(self.column(name), reduce)

    def sums(self, name: str) -> Int64s:
        return self._reduced(self.column(name).astype(np.int64), np.add)

    def sum_squares(self) -> tuple[Int64s, npt.NDArray[np.uint64]]:
        """Add up in 128 bits: the low words are added in halves of 32 bits, to keep their carries."""
        low = self.column("sum_squares_low")
        lower = self._reduced((low & np.uint64(0xFFFFFFFF)).astype(np.int64), np.add)
        upper = self._reduced((low >> np.uint64(32)).astype(np.int64), np.add) + (lower >> 32)
        high = self.sums("sum_squares_high") + (upper >> 32)
        word = (upper & 0xFFFFFFFF).astype(np.uint64) << np.uint64(32) | (lower & 0xFFFFFFFF).astype(np.uint64)
        return high, word

    def earliest(self) -> Int64s:
        """Return the row of each sensor whose first reading is the earliest."""
        return self._by("first")[self._first[:-1]]

    def latest(self) -> Int64s:
        """Return the row of each sensor whose last reading is the latest."""
        return self._by("last")[self._first[1:] - 1]

    def _by(self, which: str) -> Int64s:
        time = (self.column(f"{which}_time_ms") + _BIAS_TIME).astype(np.uint64)
        value = (self.column(f"{which}_milli_c").astype(np.int64) + _BIAS_32).astype(np.uint64)
        return order.ascending([self._place, time, value])

    def _reduced(self, values: npt.NDArray[Any], reduce: np.ufunc) -> npt.NDArray[Any]:
        reduced: npt.NDArray[Any] = reduce.reduceat(values[self._order], self._first[:-1]) if len(values) else values
        return reduced


def _histogram(parts: Sequence[Rollup], place: Int64s, sensors: int) -> tuple[Int64s, Int32s, Int32s]:
    """Return the offsets of each sensor's bins, the bins, and their added counts."""
    lengths = np.concatenate([np.diff(part.histogram_offsets) for part in parts])
    bins = np.concatenate([part.histogram_bins for part in parts]).astype(np.int64)
    counts = np.concatenate([part.histogram_counts for part in parts]).astype(np.int64)
    key = (np.repeat(place, lengths) << 32) + bins + _BIAS_32
    ascending = order.ascending([key.astype(np.uint64)])
    key, counts = key[ascending], counts[ascending]
    starts = np.flatnonzero(order.is_new(key))
    key = key[starts]
    summed = np.add.reduceat(counts, starts) if len(starts) else counts
    offsets = np.searchsorted(key >> 32, np.arange(sensors + 1))
    return offsets, ((key & 0xFFFFFFFF) - _BIAS_32).astype(np.int32), summed.astype(np.int32)


def _middle_of_rank(percent: int, readings: Int64s, offsets: Int64s, bins: Int32s, counts: Int32s) -> Int32s:
    """Return the middle of the bin that holds the nearest rank: the ceil(percent / 100 * n)-th smallest value."""
    running = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    rank = (percent * readings + 99) // 100
    holding = np.searchsorted(running, running[offsets[:-1]] + rank) - 1
    middle: Int32s = bins[holding] * np.int32(HISTOGRAM_BIN_MILLI_C) + np.int32(PERCENTILE_ERROR_MILLI_C)
    return middle
