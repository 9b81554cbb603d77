"""Merging the rows of windows into rows of an hour, and those of hours into rows of a day: a pure function.

Only exact state is merged: counts, sums, 128-bit sums of squares, extremes, first and last, integrals, covered
milliseconds, histograms, conflicts; never an average. So any grouping gives the same rows:

    merge([a, b, c]) == merge([merge([a, b]), c]) == merge([c, b, a])

Percentiles come from the merged histogram: the middle of the bin that holds the nearest rank, clamped to the minimum
and the maximum. It differs from the exact value by at most PERCENTILE_ERROR_MILLI.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from windrow.columns import order
from windrow.columns.arrays import Int32s, Int64s
from windrow.columns.strings import Strings
from windrow.rows.rollup import HISTOGRAM_BIN_MILLI, PERCENTILES, Rollup

PERCENTILE_ERROR_MILLI = HISTOGRAM_BIN_MILLI // 2
# A table of all bins of all sensors may have this many times the entries that are added up in it.
_TABLE_WASTE_MAX = 8


def merge(start_ms: int, parts: Sequence[Rollup]) -> Rollup:
    """Merge the rows of disjoint parts, at least one, of the period that starts at `start_ms`."""
    ids, places = Strings.unite([part.sensor_ids for part in parts])
    rows = _SensorRows(parts, places, len(ids))
    high, low = rows.sum_squares()
    readings = rows.sums("readings")
    minimum = rows.reduced("min_milli", np.minimum, identity=np.iinfo(np.int32).max)
    maximum = rows.reduced("max_milli", np.maximum, identity=np.iinfo(np.int32).min)
    offsets, bins, counts = _histogram(parts, places, len(ids))
    first_time_ms, first_milli = rows.earliest()
    last_time_ms, last_milli = rows.latest()
    return Rollup(
        start_ms=start_ms,
        sensor_ids=ids,
        readings=readings,
        sum_milli=rows.sums("sum_milli"),
        sum_squares_high=high,
        sum_squares_low=low,
        min_milli=minimum,
        max_milli=maximum,
        first_milli=first_milli,
        first_time_ms=first_time_ms,
        last_milli=last_milli,
        last_time_ms=last_time_ms,
        percentiles_milli=tuple(
            np.clip(_middle_of_rank(percent, readings, offsets, bins, counts), minimum, maximum).astype(np.int32)
            for percent in PERCENTILES
        ),
        integral_milli_ms=rows.sums("integral_milli_ms"),
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

    @classmethod
    def concat(cls, parts: Sequence[Any], /) -> Self:
        """Join parts, at least one, of which each ends before the next begins."""


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
        self._least_rows = 1

    def has_rows(self) -> bool:
        """Return whether there are rows left, after reading on if less than half a batch is.

        So every round has at least that many rows of each stream, wherever their batches end.
        """
        while self._batch is None or len(self._batch) < self._least_rows:
            following = next(self._rest, None)
            if following is None:
                self._least_rows = 1
                return self._batch is not None and len(self._batch) > 0
            self._least_rows = max(self._least_rows, len(following) // 2)
            is_first = self._batch is None or not len(self._batch)
            self._batch = following if is_first else type(following).concat([self._batch, following])
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
    """The rows of all parts, grouped by sensor.

    `places` are the sensors of each part's rows, which differ within a part: so a part is added with one gather and one
    scatter for each column, and nothing is sorted.
    """

    def __init__(self, parts: Sequence[Rollup], places: Sequence[Int64s], sensors: int) -> None:
        self._parts = list(zip(parts, places, strict=True))
        self._sensors = sensors

    def sums(self, name: str) -> Int64s:
        total = np.zeros(self._sensors, np.int64)
        for part, place in self._parts:
            total[place] += getattr(part, name)
        return total

    def reduced(self, name: str, reduce: np.ufunc, *, identity: int) -> Int32s:
        found = np.full(self._sensors, identity, np.int32)
        for part, place in self._parts:
            found[place] = reduce(found[place], getattr(part, name))
        return found

    def sum_squares(self) -> tuple[Int64s, npt.NDArray[np.uint64]]:
        """Add up in 128 bits: the low words are added in halves of 32 bits, to keep their carries."""
        lower, upper = np.zeros(self._sensors, np.int64), np.zeros(self._sensors, np.int64)
        for part, place in self._parts:
            lower[place] += (part.sum_squares_low & np.uint64(0xFFFFFFFF)).astype(np.int64)
            upper[place] += (part.sum_squares_low >> np.uint64(32)).astype(np.int64)
        upper += lower >> 32
        high = self.sums("sum_squares_high") + (upper >> 32)
        word = (upper & 0xFFFFFFFF).astype(np.uint64) << np.uint64(32) | (lower & 0xFFFFFFFF).astype(np.uint64)
        return high, word

    def earliest(self) -> tuple[Int64s, Int32s]:
        """Return time and value of the earliest first reading of each sensor, the least value of those at one time."""
        return self._first_by("first", np.less)

    def latest(self) -> tuple[Int64s, Int32s]:
        """Return time and value of the latest last reading of each sensor, the greatest value of those at one time."""
        return self._first_by("last", np.greater)

    def _first_by(self, which: str, is_better: np.ufunc) -> tuple[Int64s, Int32s]:
        worst = np.iinfo(np.int64).max if is_better is np.less else np.iinfo(np.int64).min
        time_ms, milli = np.full(self._sensors, worst, np.int64), np.zeros(self._sensors, np.int32)
        for part, place in self._parts:
            own_ms, own = getattr(part, f"{which}_time_ms"), getattr(part, f"{which}_milli")
            known_ms, known = time_ms[place], milli[place]
            wins = is_better(own_ms, known_ms) | ((own_ms == known_ms) & is_better(own, known))
            time_ms[place] = np.where(wins, own_ms, known_ms)
            milli[place] = np.where(wins, own, known)
        return time_ms, milli


def _histogram(parts: Sequence[Rollup], places: Sequence[Int64s], sensors: int) -> tuple[Int64s, Int32s, Int32s]:
    """Return the offsets of each sensor's bins, the bins, and their added counts."""
    bins = [part.histogram_bins.astype(np.int64) for part in parts]
    entries = sum(map(len, bins))
    if not entries:
        return np.zeros(sensors + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32)
    least = min(int(one.min()) for one in bins if len(one))
    width = max(int(one.max()) for one in bins if len(one)) - least + 1
    keys = [
        np.repeat(place, np.diff(part.histogram_offsets)) * width + one - least
        for part, place, one in zip(parts, places, bins, strict=True)
    ]
    if sensors * width <= _TABLE_WASTE_MAX * entries:
        # A table of all bins of all sensors; no bin occurs twice in a part.
        table = np.zeros(sensors * width, np.int64)
        for key, part in zip(keys, parts, strict=True):
            table[key] += part.histogram_counts
        key = np.flatnonzero(table)
        summed = table[key]
    else:
        key = np.concatenate(keys)
        ascending = order.ascending([key.astype(np.uint64)])
        key = key[ascending]
        starts = np.flatnonzero(order.is_new(key))
        counts = np.concatenate([part.histogram_counts for part in parts]).astype(np.int64)[ascending]
        key, summed = key[starts], np.add.reduceat(counts, starts)
    offsets = np.searchsorted(key, np.arange(sensors + 1) * width)
    return offsets, (key % width + least).astype(np.int32), summed.astype(np.int32)


def _middle_of_rank(percent: int, readings: Int64s, offsets: Int64s, bins: Int32s, counts: Int32s) -> Int64s:
    """Return the middle of the bin that holds the nearest rank: the ceil(percent / 100 * n)-th smallest value.

    In 64 bits, because the middle of the last bin is beyond the greatest value of 32 bits.
    """
    running = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    rank = (percent * readings + 99) // 100
    holding = np.searchsorted(running, running[offsets[:-1]] + rank) - 1
    middle: Int64s = bins[holding].astype(np.int64) * HISTOGRAM_BIN_MILLI + PERCENTILE_ERROR_MILLI
    return middle
