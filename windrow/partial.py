"""Partials: the readings of one window as a set, and the union that merges them.

An element of the set is (sensor_id, event_time_ms, sequence, temperature_milli_c). Union is set union:

    union([a, b]) == union([b, a])                      commutative
    union([a, union([b, c])]) == union([union([a, b]), c])   associative
    union([a, a]) == a                                  idempotent

so no redelivery, reordering or other cut of the same readings can change what is merged. A partial is always in
canonical form (distinct elements, ascending), so equal sets have equal columns, equal digests and equal bytes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from windrow.reading import Readings
from windrow.strings import Strings, offsets_of
from windrow.window import WINDOW_MS, Window

DIGEST_BYTES = 16
# Changes whenever the canonical serialization does; part of what the digest is taken over.
_DIGEST_DOMAIN = b"windrow partial 1"


@dataclass(frozen=True, slots=True, eq=False)
class Partial:
    """n readings of k sensors, all of one window, each element once.

    sensor_ids: k distinct ids in ascending octet order; offsets: int64[k + 1], the readings of sensor i are
    `offsets[i]:offsets[i + 1]`, at least one; event_time_ms, sequence: int64[n] and temperature_milli_c: int32[n],
    ascending by (event time, sequence, temperature) within a sensor.
    """

    window: Window
    sensor_ids: Strings
    offsets: npt.NDArray[np.int64]
    event_time_ms: npt.NDArray[np.int64]
    sequence: npt.NDArray[np.int64]
    temperature_milli_c: npt.NDArray[np.int32]

    @classmethod
    def of(cls, window: Window, readings: Readings) -> Self:
        """The set of `readings`, all of which must lie in `window`; else ValueError."""
        time = readings.event_time_ms
        if len(readings) and not (window.start_ms <= int(time.min()) and int(time.max()) < window.end_ms):
            raise ValueError(f"readings outside the window that starts at {window.start_ms}")
        ids, place = readings.sensor_ids.rank()
        sensor = place[readings.sensor]
        sequence, value = readings.sequence, readings.temperature_milli_c
        order = _order(sensor, time - window.start_ms, sequence, value)
        order = order[_is_new(sensor[order], time[order], sequence[order], value[order])]
        count = np.bincount(sensor[order], minlength=len(ids))
        present = np.flatnonzero(count)
        return cls(window, ids.take(present), offsets_of(count[present]), time[order], sequence[order], value[order])

    def __len__(self) -> int:
        """How many distinct readings."""
        return len(self.event_time_ms)

    def __eq__(self, other: object) -> bool:
        """Whether both are the same set of the same window."""
        return isinstance(other, Partial) and self._canonical() == other._canonical()

    def __hash__(self) -> int:
        """Equal sets have equal hashes."""
        return hash(self._canonical())

    @property
    def sensors(self) -> int:
        """How many sensors."""
        return len(self.sensor_ids)

    @property
    def readings_per_sensor(self) -> npt.NDArray[np.int64]:
        """How many readings each sensor has: int64[k]."""
        return np.diff(self.offsets)

    @property
    def readings(self) -> Readings:
        """The elements as a batch of readings."""
        sensor = np.repeat(np.arange(self.sensors, dtype=np.int32), self.readings_per_sensor)
        return Readings(self.sensor_ids, sensor, self.event_time_ms, self.sequence, self.temperature_milli_c)

    @property
    def digest(self) -> str:
        """128 bits of BLAKE2b over the canonical set, in hexadecimal: the name of this content."""
        return hashlib.blake2b(self._canonical(), digest_size=DIGEST_BYTES).hexdigest()

    def _canonical(self) -> bytes:
        columns = (
            np.array([self.window.start_ms, self.sensors, len(self)], "<i8"),
            self.sensor_ids.offsets.astype("<i8", copy=False),
            self.sensor_ids.octets,
            self.offsets.astype("<i8", copy=False),
            self.event_time_ms.astype("<i8", copy=False),
            self.sequence.astype("<i8", copy=False),
            self.temperature_milli_c.astype("<i4", copy=False),
        )
        return b"".join([_DIGEST_DOMAIN, *(column.tobytes() for column in columns)])


def partials_of(readings: Readings) -> list[Partial]:
    """One partial for each window that `readings` fall into, ascending by window."""
    index = readings.event_time_ms // WINDOW_MS
    return [Partial.of(Window.from_index(which), readings.take(index == which)) for which in np.unique(index).tolist()]


def union(window: Window, partials: Sequence[Partial]) -> Partial:
    """The union of `partials`, all of `window`; of none, the empty partial."""
    for partial in partials:
        if partial.window != window:
            raise ValueError(f"a partial of {partial.window} in the union of {window}")
    return Partial.of(window, Readings.concat([partial.readings for partial in partials]))


def _is_new(*columns: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Where a row of `columns` differs from the row before it: bool[n]."""
    is_new = np.ones(len(columns[0]), bool)
    is_new[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return is_new


def _order(
    sensor: npt.NDArray[np.int64],
    offset_ms: npt.NDArray[np.int64],
    sequence: npt.NDArray[np.int64],
    value: npt.NDArray[np.int32],
) -> npt.NDArray[np.int64]:
    """The order of the readings by (sensor, time, sequence, value): int64[n].

    Sensor and time within the window share one key of 63 bits, so that readings without sequences that have
    equal identities only by chance need one sort instead of four.
    """
    identity = sensor.astype(np.int64) * WINDOW_MS + offset_ms
    order = np.argsort(identity, kind="stable")
    ordered = identity[order]
    if np.all(ordered[1:] != ordered[:-1]):
        return order
    return np.lexsort((value, sequence, identity))
