"""Partials: the readings of one window as a set, and the union that merges them.

An element of the set is (sensor_id, event_time_ms, sequence, value_milli). Union is set union:

    union([a, b]) == union([b, a])                      commutative
    union([a, union([b, c])]) == union([union([a, b]), c])   associative
    union([a, a]) == a                                  idempotent

so redelivering, reordering or regrouping the same readings never changes the result. A partial is always in canonical
form (distinct elements, ascending), so equal sets have equal columns, equal digests and equal bytes.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from windrow.columns import order
from windrow.columns.strings import Strings, offsets_of
from windrow.reading import Readings
from windrow.window import WINDOW_MS, Window

DIGEST_BYTES = 16
# Part of the digested bytes; changes whenever the canonical serialization does.
_DIGEST_DOMAIN = b"windrow partial 2"


@dataclass(frozen=True, slots=True, eq=False)
class Partial:
    """The set of n distinct readings of k sensors, all of one window.

    sensor_ids: k distinct ids in ascending byte order; offsets: int64[k + 1], the readings of sensor i are
    `offsets[i]:offsets[i + 1]`, at least one; event_time_ms, sequence: int64[n] and value_milli: int32[n],
    ascending by (event time, sequence, temperature) within a sensor.
    """

    window: Window
    sensor_ids: Strings
    offsets: npt.NDArray[np.int64]
    event_time_ms: npt.NDArray[np.int64]
    sequence: npt.NDArray[np.int64]
    value_milli: npt.NDArray[np.int32]

    @classmethod
    def of(cls, window: Window, readings: Readings) -> Self:
        """Make the set of `readings`; ValueError unless all lie in `window`."""
        time = readings.event_time_ms
        if len(readings) and not (window.start_ms <= int(time.min()) and int(time.max()) < window.end_ms):
            raise ValueError(f"readings outside the window that starts at {window.start_ms}")
        ids, place = readings.sensor_ids.rank()
        sensor = readings.sensor if ids is readings.sensor_ids else place[readings.sensor]
        return cls._of_columns(window, ids, sensor, time - window.start_ms, readings.sequence, readings.value_milli)

    @classmethod
    def of_groups(
        cls,
        window: Window,
        sensor_ids: Strings,
        *,
        readings: npt.NDArray[np.integer],
        offset_ms: npt.NDArray[np.integer],
        sequence: npt.NDArray[np.integer],
        value_milli: npt.NDArray[np.int32],
    ) -> Self:
        """Make the set of groups of readings, one group for each of `sensor_ids`, which may repeat.

        readings: int[k], the size of each group; offset_ms (within the window), sequence and value_milli: all
        groups one after another, in any order within a group.
        """
        ids, place = sensor_ids.rank()
        return cls._of_columns(window, ids, np.repeat(place, readings), offset_ms, sequence, value_milli)

    @classmethod
    def _of_columns(
        cls,
        window: Window,
        ids: Strings,
        sensor: npt.NDArray[np.integer],
        offset_ms: npt.NDArray[np.integer],
        sequence: npt.NDArray[np.integer],
        value_milli: npt.NDArray[np.int32],
    ) -> Self:
        """Make the set of the rows of four columns; `sensor` is the position among the ascending `ids`."""
        columns = (sensor, offset_ms, sequence, value_milli)
        sensor, offset_ms, sequence, value = order.distinct([column.astype(np.int64, copy=False) for column in columns])
        count = np.bincount(sensor, minlength=len(ids))
        is_present = count > 0
        if not is_present.all():
            ids, count = ids.take(np.flatnonzero(is_present)), count[is_present]
        event_time_ms = offset_ms + window.start_ms
        return cls(window, ids, offsets_of(count), event_time_ms, sequence, value.astype(np.int32))

    def __len__(self) -> int:
        """Return the number of readings."""
        return len(self.event_time_ms)

    def __eq__(self, other: object) -> bool:
        """Return whether both are the same set of the same window."""
        return isinstance(other, Partial) and all(
            np.array_equal(own, its) for own, its in zip(self._canonical(), other._canonical(), strict=False)
        )

    def __hash__(self) -> int:
        """Hash the digest: equal sets have equal hashes."""
        return hash(self.digest)

    @property
    def sensors(self) -> int:
        """The number of sensors."""
        return len(self.sensor_ids)

    @property
    def readings_per_sensor(self) -> npt.NDArray[np.int64]:
        """The number of readings of each sensor: int64[k]."""
        return np.diff(self.offsets)

    def of_sensors(self, start: int, end: int) -> "Partial":
        """Return the part of the set with the sensors `start:end`; shares the columns."""
        first, last = self.offsets[start], self.offsets[end]
        return Partial(
            self.window,
            self.sensor_ids.between(start, end),
            self.offsets[start : end + 1] - first,
            self.event_time_ms[first:last],
            self.sequence[first:last],
            self.value_milli[first:last],
        )

    @property
    def readings(self) -> Readings:
        """The set as a batch of readings."""
        sensor = np.repeat(np.arange(self.sensors, dtype=np.int32), self.readings_per_sensor)
        return Readings(self.sensor_ids, sensor, self.event_time_ms, self.sequence, self.value_milli)

    @property
    def digest(self) -> str:
        """The first 128 bits of SHA-256 over the canonical columns, in hexadecimal: the name of this content."""
        digest = hashlib.sha256(_DIGEST_DOMAIN)
        for column in self._canonical():
            digest.update(column.data)
        return digest.hexdigest()[: 2 * DIGEST_BYTES]

    def _canonical(self) -> Iterator[npt.NDArray[Any]]:
        """Yield the columns, little-endian, as narrow as any set allows; sequences only if one is not 0."""
        has_sequence = bool(self.sequence.any())
        yield np.array([self.window.start_ms, self.sensors, len(self), has_sequence], "<i8")
        yield self.sensor_ids.lengths.astype("<i4")
        yield np.ascontiguousarray(self.sensor_ids.octets)
        yield self.readings_per_sensor.astype("<i4")
        yield (self.event_time_ms - self.window.start_ms).astype("<i4")
        yield np.ascontiguousarray(self.value_milli, "<i4")
        if has_sequence:
            yield np.ascontiguousarray(self.sequence, "<i8")


def partials_of(readings: Readings) -> list[Partial]:
    """Split `readings` into one partial for each window they fall into, ascending by window."""
    if len(readings) == 0:
        return []
    time = readings.event_time_ms
    first, last = Window.containing(int(time.min())), Window.containing(int(time.max()))
    if first == last:  # usually true: a batch spans seconds, a window minutes
        return [Partial.of(first, readings)]
    return list(_partials_of_windows(readings))


def _partials_of_windows(readings: Readings) -> Iterator[Partial]:
    """Do the same for readings of many windows; the work that all share is done once."""
    ids, place = readings.sensor_ids.rank()
    index = readings.event_time_ms // WINDOW_MS
    by_window = np.argsort(index, kind="stable")
    index = index[by_window]
    starts = np.flatnonzero(np.diff(index, prepend=index[0] - 1))
    for rows, which in zip(np.split(by_window, starts[1:]), index[starts].tolist(), strict=True):
        window = Window.from_index(which)
        yield Partial._of_columns(  # noqa: SLF001 - the same module
            window,
            ids,
            place[readings.sensor[rows]],
            readings.event_time_ms[rows] - window.start_ms,
            readings.sequence[rows],
            readings.value_milli[rows],
        )


def union(window: Window, partials: Sequence[Partial]) -> Partial:
    """Compute the union of `partials`, all of `window`; the union of none is the empty partial."""
    for partial in partials:
        if partial.window != window:
            raise ValueError(f"a partial of {partial.window} in the union of {window}")
    none = np.zeros(0, np.int64)
    return Partial.of_groups(
        window,
        Strings.concat([partial.sensor_ids for partial in partials]),
        readings=np.concatenate([none, *(partial.readings_per_sensor for partial in partials)]),
        offset_ms=np.concatenate([none, *(partial.event_time_ms for partial in partials)]) - window.start_ms,
        sequence=np.concatenate([none, *(partial.sequence for partial in partials)]),
        value_milli=np.concatenate([none.astype(np.int32), *(partial.value_milli for partial in partials)]),
    )
