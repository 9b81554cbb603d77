"""The partials of one window, split into ranges of sensor ids: in memory while they are few, else on local disk.

    partials ──▶ held in memory ──▶ too many: splitters are sampled ──▶ file 0 │ file 1 │ ... │ file n
    ranges   ◀── one union each, ascending: the ranges one after another are the window in order

Partials ascend by id, so a partial is cut by a few binary searches, and its parts are copied as they are, those of a
few partials at once. The prefix that all ids of a range share, usually most of their bytes, is not written to its file:
a new page costs more than the copy. Files have no name, so nothing of them is left, whatever happens to the process.
READINGS_HELD_MAX alone bounds the memory.
"""

import dataclasses
import itertools
import struct
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from dispatcher.ceiling import Use
from windrow.columns.strings import Strings, offsets_of
from windrow.rows.partial import Partial, union
from windrow.window import Window

READINGS_HELD_MAX = 1 << 18
"""Readings that are held in memory; their union takes about 150 bytes each. Beyond that they go to disk, as one block
for each range: smaller blocks would cost more than what is in them."""
RANGES_MAX = 128
"""Ranges, and so open files, of one split. A range that is still too large is split again."""
SAMPLES_PER_RANGE = 64
DEPTH_MAX = 4
"""Nested splits: 128^4 ranges of READINGS_HELD_MAX are more than any disk holds. One sensor cannot be split."""
# The header of a block: number of ids, their bytes, number of readings, and the types of its columns.
_HEADER = struct.Struct("<qqq5s")
_KINDS: tuple[np.dtype[np.integer], ...] = (np.dtype("u1"), np.dtype("u2"), np.dtype("i4"), np.dtype("i8"))


class Spill:
    """A window's readings on their way to ranges: add partials, then take the ranges, once.

    Leaving the context frees the disk.
    """

    def __init__(
        self,
        window: Window,
        *,
        bytes_expected: int,
        held_max: int = READINGS_HELD_MAX,
        depth: int = 0,
        use: Use | None = None,
    ) -> None:
        """Expect partials of `window` of `bytes_expected` in total, in the measure of `size_bytes` in `add`.

        `add` and `ranges` raise BeyondCeiling if `use` does.
        """
        self._use = use or Use()
        self._window = window
        self._bytes_expected = bytes_expected
        self._held_max = held_max
        self._depth = depth
        self._held: list[Partial] = []
        self._held_readings = 0
        self._held_bytes = 0
        self._splitters: list[bytes] = []
        self._files: list[RangeFile] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files, which frees their space."""
        self._stack.close()

    def add(self, partial: Partial, *, size_bytes: int) -> None:
        """Take one partial, which is `size_bytes` of what is expected."""
        self._held.append(partial)
        self._held_readings += len(partial)
        self._held_bytes += size_bytes
        if self._held_readings > self._held_max:
            if not self._files:
                # Partials come in the order of their digests, so those held are a fair sample of all.
                expected = self._held_readings * max(self._bytes_expected, self._held_bytes) // self._held_bytes
                self._split(self._held, readings=self._held_readings, readings_expected=expected)
            self._write_held()

    def ranges(self) -> Iterator[Partial]:
        """Return the union of everything added, as partials of ascending ranges of sensors; none of them is empty."""
        if self._files:
            self._write_held()
        else:
            held, self._held = self._held, []
            united = union(self._window, held)
            if len(united):
                yield united
        for file in self._files:
            yield from self._range(file)

    def _range(self, file: "RangeFile") -> Iterator[Partial]:
        if file.readings > 2 * self._held_max and self._depth < DEPTH_MAX:
            yield from self._finer_ranges(file)
            return
        yield from self._whole(file)

    def _whole(self, file: "RangeFile") -> Iterator[Partial]:
        if file.readings:
            self._use.unite(file.readings, lambda: next(file.read(self._window, 1)).sensor_ids.octets_at(0).decode())
            yield file.united(self._window)
        file.close()

    def _finer_ranges(self, file: "RangeFile") -> Iterator[Partial]:
        """Split a range that is too large, because the sample was not fair: this time all of it is the sample."""
        with Spill(
            self._window, bytes_expected=0, held_max=self._held_max, depth=self._depth + 1, use=self._use
        ) as finer:
            finer._split(file.read(self._window, self._held_max), readings=file.readings)
            if len(finer._files) == 1:  # nearly all of it is of one sensor
                yield from self._whole(file)
                return
            for part in file.read(self._window, self._held_max):
                finer.add(part, size_bytes=0)
            file.close()
            yield from finer.ranges()

    def _split(self, sample: Iterable[Partial], *, readings: int, readings_expected: int = 0) -> None:
        """Choose ranges by a sample of so many `readings`, and open a file for each."""
        # Half of what a range may hold, so an uneven one seldom needs another split.
        ranges = min(2 * max(readings, readings_expected) // self._held_max + 1, RANGES_MAX)
        self._splitters = _splitters(sample, ranges, step=max(1, readings // (ranges * SAMPLES_PER_RANGE)))
        for prefix in prefixes_of(self._splitters):
            file = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - so it is closed
            self._files.append(RangeFile(file, prefix, self._use))

    def _write_held(self) -> None:
        held = [partial for partial in self._held if len(partial)]
        self._held, self._held_readings = [], 0
        if held:
            cut = blocks(held, self._splitters, [file.prefix for file in self._files])
            for file, (readings, block) in zip(self._files, cut, strict=True):
                file.write(block, readings=readings)


def _splitters(sample: Iterable[Partial], ranges: int, *, step: int) -> list[bytes]:
    """Return at most `ranges` - 1 ascending sensor ids: range i has the ids in `splitters[i - 1] <= id < splitters[i]`.

    Every `step`-th reading is sampled, so the size of a range is that in readings.
    """
    sampled: list[bytes] = []
    for partial in sample:
        sensors = np.searchsorted(partial.offsets, np.arange(0, len(partial), step), side="right") - 1
        sampled += [partial.sensor_ids.octets_at(sensor) for sensor in sensors.tolist()]
    sampled.sort()
    chosen = {sampled[len(sampled) * number // ranges] for number in range(1, ranges)}
    # Nothing lies below the least id: as a splitter it would make an empty range.
    return sorted(chosen - {sampled[0]})


def prefixes_of(splitters: Sequence[bytes]) -> list[bytes]:
    """Return the prefix that all ids of each range share: that of its two bounds, or b"" if it has only one."""
    return list(itertools.starmap(_common_prefix, itertools.pairwise([b"", *splitters, b""])))


def _common_prefix(one: bytes, other: bytes) -> bytes:
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return one[: sum(1 for _ in same)]


def blocks(
    partials: Sequence[Partial], splitters: Sequence[bytes], prefixes: Sequence[bytes]
) -> Iterator[tuple[int, bytes]]:
    """Yield, for each range, how many readings `partials` have in it, and these as one block.

    A block is a header and columns: the length of each id in bytes and its number of readings; offset (ms), sequence
    and value (m°C) of each reading; the bytes of the ids after the prefix of the range.
    """
    id_bounds = [[0, *partial.sensor_ids.positions_of(splitters), partial.sensors] for partial in partials]
    bounds = [partial.offsets[places].tolist() for partial, places in zip(partials, id_bounds, strict=True)]
    suffixes = [_suffixes(partial.sensor_ids, at, prefixes) for partial, at in zip(partials, id_bounds, strict=True)]
    columns = (
        _narrow([partial.sensor_ids.lengths for partial in partials]),
        _narrow([partial.readings_per_sensor for partial in partials]),
        _narrow([partial.event_time_ms - partial.window.start_ms for partial in partials]),
        _narrow([partial.sequence for partial in partials]),
        _narrow([partial.value_milli for partial in partials]),
    )
    kinds = bytes(_KINDS.index(column[0].dtype) for column in columns)
    for number in range(len(prefixes)):
        ids = [(at[number], at[number + 1]) for at in id_bounds]
        readings = [(at[number], at[number + 1]) for at in bounds]
        parts: list[bytes | memoryview] = [
            part[start:end].data
            for column, slices in zip(columns, (ids, ids, readings, readings, readings), strict=True)
            for part, (start, end) in zip(column, slices, strict=True)
        ]
        own = b"".join(each[number] for each in suffixes)
        count = _extent(readings)
        yield count, b"".join([_HEADER.pack(_extent(ids), len(own), count, kinds), *parts, own])


def _extent(slices: Iterable[tuple[int, int]]) -> int:
    return sum(end - start for start, end in slices)


def _narrow(parts: Sequence[npt.NDArray[np.integer]]) -> list[npt.NDArray[np.integer]]:
    """Convert the parts of a column, none of them empty, to the narrowest of _KINDS that holds all values."""
    least, greatest = min(int(part.min()) for part in parts), max(int(part.max()) for part in parts)
    kind = next(kind for kind in _KINDS if np.iinfo(kind).min <= least and greatest <= np.iinfo(kind).max)
    return [part.astype(kind) for part in parts]


def _suffixes(ids: Strings, bounds: Sequence[int], prefixes: Sequence[bytes]) -> list[bytes]:
    """Return the bytes of the ids of each range, without their common prefix."""
    ranges = list(zip(itertools.pairwise(bounds), map(len, prefixes), strict=True))
    width = ids.width
    if width:
        matrix = ids.octets.reshape(-1, width)
        return [matrix[start:end, cut:].tobytes() for (start, end), cut in ranges]
    cuts = np.repeat([cut for _, cut in ranges], np.diff(bounds))
    short = Strings.of_slices(ids.octets, ids.offsets[:-1] + cuts, ids.lengths - cuts)
    return [short.octets[short.offsets[start] : short.offsets[end]].tobytes() for (start, end), _ in ranges]


class RangeFile:
    """The file of one range: blocks, one after another."""

    def __init__(self, file: IO[bytes], prefix: bytes, use: Use) -> None:
        """Write to `file`, and tell `use` of it; all ids of the range begin with `prefix`."""
        self._file = file
        self._use = use
        self._size_bytes = 0
        self.prefix = prefix
        self.readings = 0

    def write(self, block: bytes, *, readings: int) -> None:
        """Append a block of so many `readings`."""
        if readings:
            self._use.write(len(block))
            self._size_bytes += len(block)
            self._file.write(block)
            self.readings += readings

    def united(self, window: Window) -> Partial:
        """Return the union of all blocks."""
        self._file.seek(0)
        return self._union(window, self._file.read())

    def read(self, window: Window, readings: int) -> Iterator[Partial]:
        """Read the blocks in the order they were written, united by as many as have `readings` together.

        A block of a large window has a few hundred readings, and each union takes some time, however small.
        """
        self._file.seek(0)
        raw, count = [], 0
        while header := self._file.read(_HEADER.size):
            sizes = _HEADER.unpack(header)
            raw += [header, self._file.read(_columns_bytes(*sizes))]
            count += sizes[2]
            if count >= readings:
                yield self._union(window, b"".join(raw))
                raw, count = [], 0
        if raw:
            yield self._union(window, b"".join(raw))

    def close(self) -> None:
        """Close the file, which frees its space."""
        self._use.write(-self._size_bytes)
        self._size_bytes = 0
        self._file.close()

    def _union(self, window: Window, raw: bytes) -> Partial:
        columns = zip(*_columns(raw), strict=True)
        lengths, readings, offset_ms, sequence, value, octets = map(np.concatenate, columns)
        short = Partial.of_groups(
            window,
            Strings(offsets_of(lengths.astype(np.int64) - len(self.prefix)), octets),
            readings=readings,
            offset_ms=offset_ms,
            sequence=sequence,
            value_milli=value,
        )
        return dataclasses.replace(short, sensor_ids=short.sensor_ids.with_prefix(self.prefix))


def _columns_bytes(sensors: int, octets: int, readings: int, kinds: bytes) -> int:
    sizes = [_KINDS[kind].itemsize for kind in kinds]
    return octets + sensors * sum(sizes[:2]) + readings * sum(sizes[2:])


def _columns(raw: bytes) -> Iterator[list[npt.NDArray[Any]]]:
    """Read the columns of each block, and last the bytes of its ids."""
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
