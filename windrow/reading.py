"""What a reading is: its identity, its limits, and batches of readings as columns."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np
import numpy.typing as npt

from windrow.strings import Strings

SENSOR_ID_CHARACTERS_MAX = 128
SEQUENCE_MAX = 2**63 - 1
# Nothing is colder than absolute zero; nothing a fleet of sensors measures is hotter than 10,000 °C.
TEMPERATURE_MIN_MILLI_C = -273_150
TEMPERATURE_MAX_MILLI_C = 10_000_000
# Against the arrival of the record that carries the reading, never against a clock.
LATENESS_HORIZON_MS = 7 * 24 * 3_600_000
EARLINESS_MS_MAX = 300_000
# Readings, or payloads that might be one, in one record of the stream: its user records, and the rows of its blocks. A
# record of 1 MiB holds up to 20,000 readings as JSON; the rest is room for blocks.
READINGS_PER_RECORD_MAX = 131_072


class Reason(StrEnum):
    """Why a payload is no reading, or its reading does not count; the `reason` column of `quarantine`."""

    RECORD_MALFORMED = "record_malformed"  # the stream record itself: base64, missing fields
    AGGREGATE_DIGEST = "aggregate_digest"  # begins with the KPL magic, but the MD5 differs
    AGGREGATE_MALFORMED = "aggregate_malformed"  # MD5 right, but the protobuf or a key index is not
    TOO_MANY_READINGS = "too_many_readings"  # in one record or block
    BLOCK_MALFORMED = "block_malformed"  # begins as a block, but breaks its form
    BLOCK_TOO_LARGE = "block_too_large"  # when decompressed
    BLOCK_READINGS = "block_readings"  # so many of its readings do not count that they are kept as the block
    PAYLOAD_TOO_LONG = "payload_too_long"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    TOO_DEEP = "too_deep"
    DUPLICATE_KEY = "duplicate_key"
    NOT_AN_OBJECT = "not_an_object"
    MISSING_FIELD = "missing_field"
    SENSOR_ID = "sensor_id"
    EVENT_TIME = "event_time"
    TEMPERATURE = "temperature"
    TEMPERATURE_RANGE = "temperature_range"
    UNIT = "unit"
    SEQUENCE = "sequence"
    TOO_EARLY = "too_early"
    TOO_LATE = "too_late"


class BadReading(ValueError):  # noqa: N818 - the domain's noun
    """A payload that breaks the definition of a reading; `reason` is for counting, `detail` for people."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading. Its identity is (sensor_id, event_time_ms, sequence); its value the temperature."""

    sensor_id: str
    event_time_ms: int
    sequence: int
    temperature_milli_c: int


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """n readings as columns, in any order, duplicates and all.

    sensor_ids: k ids, two of which may be equal; sensor: int32[n], which of them; event_time_ms: int64[n];
    sequence: int64[n]; temperature_milli_c: int32[n].
    """

    sensor_ids: Strings
    sensor: npt.NDArray[np.int32]
    event_time_ms: npt.NDArray[np.int64]
    sequence: npt.NDArray[np.int64]
    temperature_milli_c: npt.NDArray[np.int32]

    @classmethod
    def from_columns(
        cls,
        *,
        sensor_ids: Strings,
        event_time_ms: npt.NDArray[np.int64],
        sequence: npt.NDArray[np.int64],
        temperature_milli_c: npt.NDArray[np.int32],
    ) -> Self:
        """Readings from columns with one id per reading; equal ids are made one."""
        distinct, sensor = sensor_ids.rank()
        return cls(distinct, sensor.astype(np.int32), event_time_ms, sequence, temperature_milli_c)

    @classmethod
    def of(cls, rows: Iterable[Reading | tuple[str, int, int, int]]) -> Self:
        """Readings from (sensor_id, event_time_ms, sequence, temperature_milli_c), one by one: for small numbers."""
        readings = [row if isinstance(row, Reading) else Reading(*row) for row in rows]
        return cls.from_columns(
            sensor_ids=Strings.of(reading.sensor_id for reading in readings),
            event_time_ms=np.array([reading.event_time_ms for reading in readings], np.int64),
            sequence=np.array([reading.sequence for reading in readings], np.int64),
            temperature_milli_c=np.array([reading.temperature_milli_c for reading in readings], np.int32),
        )

    @classmethod
    def concat(cls, batches: Sequence["Readings"]) -> Self:
        """The readings of all `batches`, one batch after another."""
        if not batches:
            return cls.of([])
        ids, which = _distinct_columns([batch.sensor_ids for batch in batches])
        distinct, place = Strings.concat(ids).rank()
        places = np.split(place.astype(np.int32), np.cumsum([len(column) for column in ids])[:-1])
        return cls(
            distinct,
            np.concatenate([places[column][batch.sensor] for batch, column in zip(batches, which, strict=True)]),
            np.concatenate([batch.event_time_ms for batch in batches]),
            np.concatenate([batch.sequence for batch in batches]),
            np.concatenate([batch.temperature_milli_c for batch in batches]),
        )

    def __len__(self) -> int:
        """How many readings."""
        return len(self.sensor)

    def __iter__(self) -> Iterator[Reading]:
        """The readings one by one, for tests and small numbers."""
        ids = self.sensor_ids.to_list()
        columns = (self.sensor, self.event_time_ms, self.sequence, self.temperature_milli_c)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return (Reading(ids[sensor], time, sequence, value) for sensor, time, sequence, value in rows)

    def take(self, positions: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> "Readings":
        """The readings at `positions` (or where the mask is true); keeps all `sensor_ids`."""
        return Readings(
            self.sensor_ids,
            self.sensor[positions],
            self.event_time_ms[positions],
            self.sequence[positions],
            self.temperature_milli_c[positions],
        )


def _distinct_columns(columns: Sequence[Strings]) -> tuple[list[Strings], list[int]]:
    """`columns` without those that repeat the one before, as blocks of one gateway do; and for each its place there."""
    distinct = [columns[0]]
    which = [0]
    for column in columns[1:]:
        last = distinct[-1]
        if not (np.array_equal(column.octets, last.octets) and np.array_equal(column.offsets, last.offsets)):
            distinct.append(column)
        which.append(len(distinct) - 1)
    return distinct, which
