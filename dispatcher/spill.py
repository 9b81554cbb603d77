"""The partials of one window, sorted into ranges of sensor ids: in memory while they are few, else on local disk.

    partials ──▶ held in memory ──▶ too many: splitters are sampled ──▶ file 0 │ file 1 │ ... │ file n
    ranges   ◀── one union each, ascending: the ranges one after another are the window in order

Partials ascend by id, so a partial is cut by a few binary searches, and its parts are copied as they are. What the
ids of a range begin with, which is most of them, stays out of its file: a new page costs more than the copy. Files
have no name: whatever happens to the process, nothing of them is left. Memory follows READINGS_HELD_MAX alone.
"""

import dataclasses
import itertools
import struct
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from windrow.partial import Partial, union
from windrow.strings import Strings, offsets_of
from windrow.window import Window

READINGS_HELD_MAX = 1 << 18
"""Readings in memory at once; their union takes about 150 bytes each. More than that go to disk."""
RANGES_MAX = 128
"""Ranges, and so open files, of one split. A range that still holds too much is split again."""
SAMPLES_PER_RANGE = 64
DEPTH_MAX = 4
"""Splits within splits: 128^4 ranges of half a million readings are more than any disk. One sensor cannot be split."""
_BUFFER_BYTES = 65_536  # of each file: parts are a few KB
_HEADER = struct.Struct("<qqq5s")
_KINDS: tuple[np.dtype[np.integer], ...] = (np.dtype("u1"), np.dtype("u2"), np.dtype("i4"), np.dtype("i8"))


class Spill:
    """Add partials, then take the ranges, once; leaving the context gives the disk back."""

    def __init__(
        self, window: Window, *, bytes_expected: int, held_max: int = READINGS_HELD_MAX, depth: int = 0
    ) -> None:
        """Expect partials of `window` that come to `bytes_expected`, by the same measure as `add` is told."""
        self._window = window
        self._bytes_expected = bytes_expected
        self._held_max = held_max
        self._depth = depth
        self._held: list[Partial] = []
        self._held_readings = 0
        self._held_bytes = 0
        self._splitters: list[bytes] = []
        self._files: list[_RangeFile] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files, which frees their space."""
        self._stack.close()

    @property
    def is_on_disk(self) -> bool:
        """Whether it came to that."""
        return bool(self._files)

    def add(self, partial: Partial, *, size_bytes: int) -> None:
        """Take one partial, which made up `size_bytes` of what is expected."""
        if self._files:
            self._write(partial)
            return
        self._held.append(partial)
        self._held_readings += len(partial)
        self._held_bytes += size_bytes
        if self._held_readings > self._held_max:
            # The digests' order makes what is held a fair sample of what is to come.
            expected = self._held_readings * max(self._bytes_expected, self._held_bytes) // self._held_bytes
            self._split(self._held, readings=self._held_readings, readings_expected=expected)
            held, self._held = self._held, []
            for early in held:
                self._write(early)

    def ranges(self) -> Iterator[Partial]:
        """The union of everything added, as partials of ascending ranges of sensors; none of them is empty."""
        if not self._files:
            held, self._held = self._held, []
            united = union(self._window, held)
            if len(united):
                yield united
        for file in self._files:
            yield from self._range(file)

    def _range(self, file: "_RangeFile") -> Iterator[Partial]:
        if file.readings > 2 * self._held_max and self._depth < DEPTH_MAX:
            yield from self._finer_ranges(file)
            return
        if file.readings:
            yield file.united(self._window)
        file.close()

    def _finer_ranges(self, file: "_RangeFile") -> Iterator[Partial]:
        """What was held when the ranges were chosen was no fair sample: this one is sampled as a whole, and split."""
        with Spill(self._window, bytes_expected=0, held_max=self._held_max, depth=self._depth + 1) as finer:
            finer._split(file.read(self._window), readings=file.readings)
            for part in file.read(self._window):
                finer.add(part, size_bytes=0)
            file.close()
            yield from finer.ranges()

    def _split(self, sample: Iterable[Partial], *, readings: int, readings_expected: int = 0) -> None:
        """Choose the ranges by `sample`, which has so many `readings`."""
        # Half of what a range may hold, so that an uneven one seldom has to be split again.
        ranges = min(2 * max(readings, readings_expected) // self._held_max + 1, RANGES_MAX)
        self._splitters = _splitters(sample, ranges, step=max(1, readings // (ranges * SAMPLES_PER_RANGE)))
        for prefix in _prefixes(self._splitters):
            file = self._stack.enter_context(tempfile.TemporaryFile(buffering=_BUFFER_BYTES))  # noqa: SIM115 - so it is closed
            self._files.append(_RangeFile(file, prefix))

    def _write(self, partial: Partial) -> None:
        if not len(partial):
            return
        bounds = [0, *partial.sensor_ids.positions_of(self._splitters), partial.sensors]
        columns = _Columns.of(partial)
        octets = _octets_after(partial.sensor_ids, bounds, [file.prefix for file in self._files])
        for file, (start, end), ids in zip(self._files, itertools.pairwise(bounds), octets, strict=True):
            if start < end:
                file.write(columns, start, end, ids)


def _splitters(sample: Iterable[Partial], ranges: int, *, step: int) -> list[bytes]:
    """At most `ranges` - 1 ascending sensor ids; range i has the ids from splitter i - 1 on, below splitter i.

    Every `step`-th reading counts, so that a range is measured by its readings.
    """
    sampled: list[bytes] = []
    for partial in sample:
        sensors = np.searchsorted(partial.offsets, np.arange(0, len(partial), step), side="right") - 1
        sampled += [partial.sensor_ids.octets_at(sensor) for sensor in sensors.tolist()]
    sampled.sort()
    chosen = {sampled[len(sampled) * number // ranges] for number in range(1, ranges)}
    # Nothing lies below the least id, so it would only make an empty range.
    return sorted(chosen - {sampled[0]})


def _prefixes(splitters: Sequence[bytes]) -> list[bytes]:
    """What all ids of each range begin with: that of both of its bounds, and nothing where it has but one."""
    return list(itertools.starmap(_common_prefix, itertools.pairwise([b"", *splitters, b""])))


def _common_prefix(one: bytes, other: bytes) -> bytes:
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return one[: sum(1 for _ in same)]


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """A partial of k ids and n readings as it is written: each column as narrow as its numbers allow.

    bounds: int64[k + 1], where the readings of each id are; lengths, readings: [k]; offset_ms, sequence, value: [n].
    """

    bounds: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.integer]
    readings: npt.NDArray[np.integer]
    offset_ms: npt.NDArray[np.integer]
    sequence: npt.NDArray[np.integer]
    value: npt.NDArray[np.integer]
    kinds: bytes

    @classmethod
    def of(cls, partial: Partial) -> Self:
        """The columns of a partial; the octets of its ids are no part of them."""
        lengths, readings = _narrow(partial.sensor_ids.lengths), _narrow(partial.readings_per_sensor)
        offset_ms = _narrow(partial.event_time_ms - partial.window.start_ms)
        sequence, value = _narrow(partial.sequence), _narrow(partial.temperature_milli_c)
        kinds = bytes(_KINDS.index(column.dtype) for column in (lengths, readings, offset_ms, sequence, value))
        return cls(partial.offsets, lengths, readings, offset_ms, sequence, value, kinds)


def _narrow(values: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """The values, at least one, as the narrowest of _KINDS that holds them all."""
    least, greatest = int(values.min()), int(values.max())
    kind = next(kind for kind in _KINDS if np.iinfo(kind).min <= least and greatest <= np.iinfo(kind).max)
    return values.astype(kind)


def _octets_after(ids: Strings, bounds: Sequence[int], prefixes: Sequence[bytes]) -> list[bytes]:
    """The octets of the ids of each range, without the prefix that they have in common."""
    ranges = list(zip(itertools.pairwise(bounds), map(len, prefixes), strict=True))
    width = ids.width
    if width:
        matrix = ids.octets.reshape(-1, width)
        return [matrix[start:end, cut:].tobytes() for (start, end), cut in ranges]
    cuts = np.repeat([cut for _, cut in ranges], np.diff(bounds))
    short = Strings.of_slices(ids.octets, ids.offsets[:-1] + cuts, ids.lengths - cuts)
    return [short.octets[short.offsets[start] : short.offsets[end]].tobytes() for (start, end), _ in ranges]


class _RangeFile:
    """Parts of partials, one after another: a header, the columns, and the octets of the ids behind their `prefix`."""

    def __init__(self, file: IO[bytes], prefix: bytes) -> None:
        self._file = file
        self.prefix = prefix
        self.readings = 0

    def write(self, columns: _Columns, start: int, end: int, octets: bytes) -> None:
        """The part with the sensors `start:end`, whose ids have these `octets` behind the prefix."""
        first, last = columns.bounds[start], columns.bounds[end]
        parts: list[bytes | memoryview] = [
            _HEADER.pack(end - start, len(octets), last - first, columns.kinds),
            columns.lengths[start:end].data,
            columns.readings[start:end].data,
            columns.offset_ms[first:last].data,
            columns.sequence[first:last].data,
            columns.value[first:last].data,
            octets,
        ]
        self._file.write(b"".join(parts))
        self.readings += int(last - first)

    def united(self, window: Window) -> Partial:
        """The union of all parts."""
        self._file.seek(0)
        return self._union(window, self._file.read())

    def read(self, window: Window) -> Iterator[Partial]:
        """The parts in the order they were written, one in memory at a time."""
        self._file.seek(0)
        while header := self._file.read(_HEADER.size):
            yield self._union(window, header + self._file.read(_columns_bytes(*_HEADER.unpack(header))))

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()

    def _union(self, window: Window, raw: bytes) -> Partial:
        parts = list(_parts(raw))
        lengths, readings, offset_ms, sequence, value, octets = map(np.concatenate, zip(*parts, strict=True))
        short = Partial.of_groups(
            window,
            Strings(offsets_of(lengths.astype(np.int64) - len(self.prefix)), octets),
            readings=readings,
            offset_ms=offset_ms,
            sequence=sequence,
            temperature_milli_c=value,
        )
        return dataclasses.replace(short, sensor_ids=short.sensor_ids.after(self.prefix))


def _columns_bytes(sensors: int, octets: int, readings: int, kinds: bytes) -> int:
    sizes = [_KINDS[kind].itemsize for kind in kinds]
    return octets + sensors * sum(sizes[:2]) + readings * sum(sizes[2:])


def _parts(raw: bytes) -> Iterator[list[npt.NDArray[Any]]]:
    """The columns of each part, and last the octets."""
    position = 0
    while position < len(raw):
        sensors, octets, readings, kinds = _HEADER.unpack_from(raw, position)
        position += _HEADER.size
        columns = []
        for kind, count in zip(kinds, (sensors, sensors, readings, readings, readings), strict=True):
            columns.append(np.frombuffer(raw, _KINDS[kind], count, position))
            position += columns[-1].nbytes
        columns.append(np.frombuffer(raw, np.uint8, octets, position))
        position += octets
        yield columns
