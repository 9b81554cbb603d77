"""Readings of files that share their identity: counted before anything is sent, and numbered apart if that is wanted.

Readings are put on disk in parts by their time once they are many, so memory does not grow with the files.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from windrow.columns.arrays import Int64s
from windrow.columns.strings import Strings
from windrow.reading import Readings

_PARTS = 64
_HELD_ROWS = 1 << 19
_EXAMPLES = 3
_ROW = np.dtype([("time", "<i8"), ("sequence", "<i8"), ("position", "<i8"), ("series", "<i4"), ("value", "<i4")])
_Rows = npt.NDArray[np.void]
_MIX = np.uint64(0x9E37_79B9_7F4A_7C15)


@dataclass(frozen=True, slots=True)
class SharedIdentity:
    """Readings with one identity: how many, and how many different values they have."""

    sensor_id: str
    quantity: str
    event_time_ms: int
    readings: int
    values: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedIdentities:
    """All readings that share their identity with another: how many, of how many identities.

    conflicting: how many of these readings have an identity with different values. examples: the first ones by time,
    those with different values before the others.
    """

    readings: int = 0
    identities: int = 0
    conflicting: int = 0
    examples: tuple[SharedIdentity, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Numbering:
    """Sequences by order of appearance: `ordinals` of the readings at `positions`, ascending; 0 at all others.

    Sixteen bytes for each reading that has an equal one before it.
    """

    positions: Int64s
    ordinals: Int64s

    def sequences(self, first: int, count: int) -> Int64s:
        """Return the sequences of the readings at `first` and the following positions: int64[count]."""
        sequences = np.zeros(count, np.int64)
        start, end = np.searchsorted(self.positions, [first, first + count])
        sequences[self.positions[start:end] - first] = self.ordinals[start:end]
        return sequences


class IdentityBook:
    """The identities of all readings of some files, in the order of their appearance, each with its position."""

    def __init__(self, folder: Path) -> None:
        """Keep what is too much for memory in `folder`, which must exist."""
        self._folder = folder
        self._held: list[_Rows] = []
        self._held_rows = 0
        self._has_parts = False
        self._series: dict[tuple[str, str], int] = {}
        self._positions = 0

    def add(self, quantity: str, readings: Readings) -> None:
        """Note readings of `quantity`; the first one ever has position 0."""
        series = self._numbers(quantity, readings.sensor_ids)
        rows = np.empty(len(readings), _ROW)
        rows["time"], rows["sequence"], rows["value"] = (
            readings.event_time_ms, readings.sequence, readings.value_milli,
        )  # fmt: skip
        rows["series"] = series[readings.sensor]
        rows["position"] = np.arange(self._positions, self._positions + len(readings))
        self._positions += len(readings)
        self._held.append(rows)
        self._held_rows += len(rows)
        if self._held_rows >= _HELD_ROWS:
            self._spill()

    def shared(self) -> SharedIdentities:
        """Count the readings that share their identity."""
        readings = identities = conflicting = 0
        examples: list[tuple[bool, int, int, int, int]] = []
        for rows in self._parts():
            first, size, values = _groups(rows)
            is_conflict = values > 1
            readings, identities = readings + int(size.sum()), identities + len(size)
            conflicting += int(size[is_conflict].sum())
            order = np.lexsort([rows["time"][first], ~is_conflict])[:_EXAMPLES].tolist()
            examples += [
                (
                    not is_conflict[at],
                    int(rows["time"][first[at]]),
                    int(rows["series"][first[at]]),
                    int(size[at]),
                    int(values[at]),
                )
                for at in order
            ]
        names = list(self._series)
        return SharedIdentities(
            readings=readings,
            identities=identities,
            conflicting=conflicting,
            examples=tuple(
                SharedIdentity(names[series][1], names[series][0], time, size, values)
                for _, time, series, size, values in sorted(examples)[:_EXAMPLES]
            ),
        )

    def numbering(self) -> Numbering:
        """Number the readings of each identity 0, 1, 2 by their appearance."""
        positions: list[Int64s] = [np.zeros(0, np.int64)]
        ordinals: list[Int64s] = [np.zeros(0, np.int64)]
        for rows in self._parts():
            first, size, _ = _groups(rows)
            at = np.repeat(first, size) + _counts(size)
            positions.append(rows["position"][at])
            ordinals.append(_counts(size))
        where, numbers = np.concatenate(positions), np.concatenate(ordinals)
        order = np.argsort(where)
        order = order[numbers[order] > 0]
        return Numbering(where[order], numbers[order])

    def _numbers(self, quantity: str, ids: Strings) -> npt.NDArray[np.int32]:
        numbers = (self._series.setdefault((quantity, one), len(self._series)) for one in ids.to_list())
        return np.fromiter(numbers, np.int32, len(ids))

    def _spill(self) -> None:
        rows = np.concatenate(self._held)
        part = (rows["time"].view(np.uint64) * _MIX) >> np.uint64(58)
        order = np.argsort(part.astype(np.uint8), kind="stable")
        bounds = np.searchsorted(part[order], np.arange(_PARTS + 1, dtype=np.uint64))
        for number in range(_PARTS):
            some = rows[order[bounds[number] : bounds[number + 1]]]
            if len(some):
                with self._path(number).open("ab") as file:
                    file.write(some.tobytes())
        self._held, self._held_rows, self._has_parts = [], 0, True

    def _parts(self) -> Iterator[_Rows]:
        """Yield all rows that may share their identity, sorted by it and then by position; equal times in one part."""
        if not self._has_parts:
            if self._held:
                yield _sorted(np.concatenate(self._held))
            return
        if self._held:
            self._spill()
        for number in range(_PARTS):
            if self._path(number).exists():
                yield _sorted(np.fromfile(self._path(number), _ROW))

    def _path(self, number: int) -> Path:
        return self._folder / f"identities-{number}"


def _sorted(rows: _Rows) -> _Rows:
    """Return the rows whose time, sequence and series may not be alone, sorted by these and by position."""
    key = rows["time"].view(np.uint64) * _MIX
    key ^= rows["sequence"].view(np.uint64) * (_MIX << np.uint64(1) | np.uint64(1))
    key += rows["series"].astype(np.uint64) * np.uint64(0xC2B2_AE3D_27D4_EB4F)
    ascending = np.sort(key)
    again = ascending[1:][ascending[1:] == ascending[:-1]]
    if not len(again):
        return rows[:0]
    some = rows[np.isin(key, again)]
    return some[np.lexsort([some["position"], some["series"], some["sequence"], some["time"]])]


def _groups(rows: _Rows) -> tuple[Int64s, Int64s, Int64s]:
    """Return where each identity of two or more sorted rows begins, how many rows it has, how many values."""
    if not len(rows):
        return (np.zeros(0, np.int64),) * 3
    is_first = np.ones(len(rows), bool)
    is_first[1:] = False
    for name in ("time", "sequence", "series"):
        is_first[1:] |= rows[name][1:] != rows[name][:-1]
    first = np.flatnonzero(is_first)
    size = np.diff(np.append(first, len(rows)))
    group = np.cumsum(is_first) - 1
    pairs = np.unique(np.stack([group, rows["value"].astype(np.int64)]), axis=1)
    values = np.bincount(pairs[0], minlength=len(first))
    shared = size > 1
    return first[shared], size[shared], values[shared]


def _counts(sizes: Int64s) -> Int64s:
    """Return 0, 1, ... for each size, one after the other: int64[sum]."""
    ends = np.cumsum(sizes)
    counts: Int64s = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - sizes, sizes)
    return counts
