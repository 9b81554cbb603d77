"""The partials of one window, sorted into ranges of sensor ids: in memory while they are few, else on local disk.

    partials ──▶ held in memory ──▶ too many: splitters are sampled ──▶ file 0 │ file 1 │ ... │ file n
    ranges   ◀── one union each, ascending: the ranges one after another are the window in order

Partials ascend by id, so a partial is cut by a few binary searches, and its parts are copied as they are. Files have
no name: whatever happens to the process, nothing of them is left. Memory follows READINGS_HELD_MAX alone.
"""

import struct
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from windrow.partial import Partial, union
from windrow.strings import Strings, offsets_of
from windrow.window import Window

READINGS_HELD_MAX = 1 << 19
"""Readings in memory at once; their union takes about 150 bytes each. More than that go to disk."""
RANGES_MAX = 64
"""Ranges, and so open files, of one split. A range that still holds too much is split again."""
SAMPLES_PER_RANGE = 64
DEPTH_MAX = 4
"""Splits within splits: 64^4 ranges of a million readings are more than any disk. One sensor cannot be split."""
_BUFFER_BYTES = 131_072  # of each file: parts are a few KB
_HEADER = struct.Struct("<qqq?")


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
        for _ in range(len(self._splitters) + 1):
            file = self._stack.enter_context(tempfile.TemporaryFile(buffering=_BUFFER_BYTES))  # noqa: SIM115 - so it is closed
            self._files.append(_RangeFile(file))

    def _write(self, partial: Partial) -> None:
        bounds = [0, *partial.sensor_ids.positions_of(self._splitters), partial.sensors]
        columns = _Columns.of(partial)
        for file, start, end in zip(self._files, bounds[:-1], bounds[1:], strict=True):
            if start < end:
                file.write(columns, start, end)


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


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """A partial as it is written: 8 bytes a reading, 16 with sequences.

    Of k ids: id_bounds: int64[k + 1], where their octets are; bounds: int64[k + 1], where their readings are.
    """

    id_bounds: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.int64]
    id_octets: npt.NDArray[np.int32]
    octets: npt.NDArray[np.uint8]
    readings: npt.NDArray[np.int32]
    offset_ms: npt.NDArray[np.int32]
    value: npt.NDArray[np.int32]
    sequence: npt.NDArray[np.int64] | None

    @classmethod
    def of(cls, partial: Partial) -> Self:
        """The columns of a partial; sequences only if there are any."""
        return cls(
            id_bounds=partial.sensor_ids.offsets,
            bounds=partial.offsets,
            id_octets=partial.sensor_ids.lengths.astype(np.int32),
            octets=np.ascontiguousarray(partial.sensor_ids.octets),
            readings=partial.readings_per_sensor.astype(np.int32),
            offset_ms=(partial.event_time_ms - partial.window.start_ms).astype(np.int32),
            value=np.ascontiguousarray(partial.temperature_milli_c),
            sequence=np.ascontiguousarray(partial.sequence) if partial.sequence.any() else None,
        )


class _RangeFile:
    """Parts of partials, one after another: a header, then the columns."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.readings = 0

    def write(self, columns: _Columns, start: int, end: int) -> None:
        """The part with the sensors `start:end`."""
        id_start, id_end = columns.id_bounds[start], columns.id_bounds[end]
        first, last = columns.bounds[start], columns.bounds[end]
        parts: list[bytes | memoryview] = [
            _HEADER.pack(end - start, id_end - id_start, last - first, columns.sequence is not None),
            columns.id_octets[start:end].data,
            columns.octets[id_start:id_end].data,
            columns.readings[start:end].data,
            columns.offset_ms[first:last].data,
            columns.value[first:last].data,
        ]
        if columns.sequence is not None:
            parts.append(columns.sequence[first:last].data)
        self._file.write(b"".join(parts))
        self.readings += int(last - first)

    def united(self, window: Window) -> Partial:
        """The union of all parts."""
        self._file.seek(0)
        parts = list(_parts(self._file.read()))
        id_octets, octets, readings, offset_ms, value = (np.concatenate([part[n] for part in parts]) for n in range(5))
        sequence = [np.zeros(len(part[4]), np.int64) if part[5] is None else part[5] for part in parts]
        return Partial.of_groups(
            window,
            Strings(offsets_of(id_octets), octets),
            readings=readings,
            offset_ms=offset_ms,
            sequence=np.concatenate(sequence),
            temperature_milli_c=value,
        )

    def read(self, window: Window) -> Iterator[Partial]:
        """The parts in the order they were written, one in memory at a time."""
        self._file.seek(0)
        while header := self._file.read(_HEADER.size):
            (part,) = _parts(header + self._file.read(_columns_bytes(*_HEADER.unpack(header))))
            id_octets, octets, readings, offset_ms, value, sequence = part
            yield Partial(
                window,
                Strings(offsets_of(id_octets), octets),
                offsets_of(readings),
                offset_ms + np.int64(window.start_ms),
                np.zeros(len(value), np.int64) if sequence is None else sequence,
                value,
            )

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()


def _columns_bytes(sensors: int, octets: int, readings: int, has_sequence: bool) -> int:  # noqa: FBT001 - as packed
    return 8 * sensors + octets + readings * (16 if has_sequence else 8)


def _parts(raw: bytes) -> Iterator[tuple[Any, ...]]:
    """The columns of each part: octets of each id, octets, readings of each id, offsets, values, sequences or None."""
    position = 0

    def take(count: int, kind: type[np.generic]) -> npt.NDArray[Any]:
        nonlocal position
        taken = np.frombuffer(raw, kind, count, position)
        position += taken.nbytes
        return taken

    while position < len(raw):
        sensors, octets, readings, has_sequence = _HEADER.unpack_from(raw, position)
        position += _HEADER.size
        yield (
            take(sensors, np.int32),
            take(octets, np.uint8),
            take(sensors, np.int32),
            take(readings, np.int32),
            take(readings, np.int32),
            take(readings, np.int64) if has_sequence else None,
        )
