"""The readings that come to a united set, cut by its ranges: in memory while they are few, else on local disk."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from tempfile import TemporaryFile
from types import TracebackType
from typing import Self

from dispatcher.ceiling import Use
from dispatcher.spill import READINGS_HELD_MAX, RangeFile, blocks, prefixes_of
from windrow.rows.partial import Partial
from windrow.window import Window


class Additions:
    """Add partials, then ask for those of each range. Leaving the context frees the disk."""

    def __init__(
        self, window: Window, splitters: Sequence[bytes], *, held_max: int = READINGS_HELD_MAX, use: Use | None = None
    ) -> None:
        """Cut at `splitters`, ascending sensor ids: range i has the ids in `splitters[i - 1] <= id < splitters[i]`.

        Whatever goes to disk is told to `use`, which may raise BeyondCeiling.
        """
        self.use = use or Use()
        self._window = window
        self._splitters = splitters
        self._held_max = held_max
        self._held: list[tuple[Partial, list[int]]] = []
        self._held_readings = 0
        self._files: list[RangeFile] = []
        self._stack = ExitStack()
        self._readings: Counter[int] = Counter()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files, which frees their space."""
        self._stack.close()

    @property
    def readings(self) -> Mapping[int, int]:
        """The number of readings added to each range that has any; one that was added twice counts twice."""
        return self._readings

    def add(self, partial: Partial) -> None:
        """Take one partial."""
        bounds = [0, *partial.sensor_ids.positions_of(self._splitters), partial.sensors]
        at = partial.offsets[bounds].tolist()
        self._readings.update({number: at[number + 1] - at[number] for number in range(len(at) - 1)})
        self._readings += Counter()  # drops the zeros
        self._held.append((partial, bounds))
        self._held_readings += len(partial)
        if self._held_readings > self._held_max:
            self._write_held()

    def of_range(self, number: int) -> Iterator[Partial]:
        """Yield the additions of one range, in any number of parts; files are read many blocks at a time."""
        if self._files:
            self._write_held()
            yield from self._files[number].read(self._window, self._held_max)
            return
        for partial, bounds in self._held:
            start, end = bounds[number : number + 2]
            if start < end:
                yield partial.of_sensors(start, end)

    def _write_held(self) -> None:
        prefixes = prefixes_of(self._splitters)
        if not self._files:
            for prefix in prefixes:
                opened = self._stack.enter_context(TemporaryFile())  # noqa: SIM115 - so it is closed
                self._files.append(RangeFile(opened, prefix, self.use))
        held = [partial for partial, _ in self._held]
        self._held, self._held_readings = [], 0
        if held:
            for file, (readings, block) in zip(self._files, blocks(held, self._splitters, prefixes), strict=True):
                file.write(block, readings=readings)
