"""The definition of a reading: its identity, its limits, and batches of readings as columns."""

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from windrow.columns.strings import Strings
from windrow.quantities import (
    SERIES_SUFFIX_CHARACTERS_MAX,
    TEMPERATURE,
    TEMPERATURE_MAX_MILLI,
    TEMPERATURE_MIN_MILLI,
    Quantity,
    parts_of,
    series_of,
    split_series,
)
from windrow.timestamps import INSTANT_MS_MAX, INSTANT_MS_MIN

SENSOR_ID_CHARACTERS_MAX = 128
SEQUENCE_MAX = 2**63 - 1
# Measured against the arrival of the record that carries the reading, never against a clock.
EARLINESS_MS_MAX = 300_000
# Readings, good or bad, in one record of the stream: its user records and the rows of its blocks. A record of 1 MiB
# holds up to 20,000 readings as JSON; the rest is room for blocks.
READINGS_PER_RECORD_MAX = 131_072
# No sensor sends more digits, and 10**999 is still a cheap integer.
NUMBER_CHARACTERS_MAX = 64
EXPONENT_MAX = 999
# Enough for any integer of NUMBER_CHARACTERS_MAX digits. Counting bits is cheap, converting to decimal is not.
NUMBER_BITS_MAX = 4 * NUMBER_CHARACTERS_MAX

_EXPONENT = re.compile(r"[eE]([+-]?\d+)$")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
SERIES_CHARACTERS_MAX = SENSOR_ID_CHARACTERS_MAX + SERIES_SUFFIX_CHARACTERS_MAX


class Reason(StrEnum):
    """Why a payload was rejected; the `reason` column of the table `quarantine`."""

    RECORD_MALFORMED = "record_malformed"  # the stream record itself: base64, missing fields
    AGGREGATE_DIGEST = "aggregate_digest"  # begins with the KPL magic, but the MD5 differs
    AGGREGATE_MALFORMED = "aggregate_malformed"  # MD5 right, but the protobuf or a key index is not
    AGGREGATE_EMPTY = "aggregate_empty"  # a sound aggregate without a single user record
    TOO_MANY_READINGS = "too_many_readings"  # in one record or block
    RECORD_PAYLOADS = "record_payloads"  # too many of its payloads are bad to quarantine each by itself
    UPLOAD_UNREADABLE = "upload_unreadable"  # of no known form, damaged, or not what its content type says
    UPLOAD_TOO_LARGE = "upload_too_large"  # as it is stored, when decompressed, or by its readings
    UPLOAD_FOREIGN = "upload_foreign"  # a sensor is in it for which its uploader may not write
    UPLOAD_PAYLOADS = "upload_payloads"  # too many of its payloads are bad to quarantine each by itself
    BLOCK_MALFORMED = "block_malformed"  # begins like a block, but breaks the format
    BLOCK_TOO_LARGE = "block_too_large"  # when decompressed
    BLOCK_READINGS = "block_readings"  # too many of its readings are bad to quarantine each by itself
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
    NO_CONTRACT = "no_contract"  # no kind of payload in the stage's contract means it
    QUANTITY = "quantity"  # no name of a quantity
    VALUE = "value"  # a quantity's value is no number
    MISSING_VALUE = "missing_value"  # a value by which the device says that it has none
    VALUE_RANGE = "value_range"  # outside the quantity's bounds, or no thousandths of 32 bits
    SEQUENCE = "sequence"
    TOO_EARLY = "too_early"
    TOO_LATE = "too_late"


class BadReading(ValueError):  # noqa: N818 - the domain's noun
    """A payload that breaks the definition of a reading; `reason` is for counting, `detail` is for people."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of one quantity, by default the temperature.

    Its identity is (sensor_id, quantity, event_time_ms, sequence); its value is in thousandths of the quantity's unit.
    """

    sensor_id: str
    event_time_ms: int
    sequence: int
    value_milli: int
    quantity: Quantity = TEMPERATURE

    @property
    def series(self) -> str:
        """The series that the reading belongs to."""
        return series_of(self.sensor_id, self.quantity)


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """n readings as columns, in any order, possibly with duplicates.

    sensor_ids: k series, possibly with duplicates, each as `windrow.quantities` spells it: the bare sensor id for a
    temperature; sensor: int32[n], positions in `sensor_ids`; event_time_ms: int64[n]; sequence: int64[n];
    value_milli: int32[n].
    """

    sensor_ids: Strings
    sensor: npt.NDArray[np.int32]
    event_time_ms: npt.NDArray[np.int64]
    sequence: npt.NDArray[np.int64]
    value_milli: npt.NDArray[np.int32]

    @classmethod
    def from_columns(
        cls,
        *,
        sensor_ids: Strings,
        event_time_ms: npt.NDArray[np.int64],
        sequence: npt.NDArray[np.int64],
        value_milli: npt.NDArray[np.int32],
    ) -> Self:
        """Make readings from columns with one id per reading; equal ids are stored once."""
        distinct, sensor = sensor_ids.rank()
        return cls(distinct, sensor.astype(np.int32), event_time_ms, sequence, value_milli)

    @classmethod
    def of(cls, rows: Iterable[Reading | tuple[str, int, int, int] | tuple[str, int, int, int, Quantity]]) -> Self:
        """Make readings from tuples with the fields of `Reading`, for small numbers.

        ValueError names a value that is not an integer of its column's width; nothing is truncated.
        """
        readings = [row if isinstance(row, Reading) else Reading(*row) for row in rows]
        return cls.from_columns(
            sensor_ids=Strings.of(reading.series for reading in readings),
            event_time_ms=_integers("q", [reading.event_time_ms for reading in readings], name="event_time_ms"),
            sequence=_integers("q", [reading.sequence for reading in readings], name="sequence"),
            value_milli=_integers("i", [reading.value_milli for reading in readings], name="value_milli"),
        )

    @classmethod
    def concat(cls, batches: Sequence["Readings"]) -> Self:
        """Join the readings of `batches`, one batch after another."""
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
            np.concatenate([batch.value_milli for batch in batches]),
        )

    def __len__(self) -> int:
        """Return the number of readings."""
        return len(self.sensor)

    def __iter__(self) -> Iterator[Reading]:
        """Iterate over the readings one by one, for tests and small numbers."""
        parts = [parts_of(series) for series in self.sensor_ids.to_list()]
        columns = (self.sensor, self.event_time_ms, self.sequence, self.value_milli)
        for sensor, time, sequence, value in zip(*(column.tolist() for column in columns), strict=True):
            sensor_id, quantity = parts[sensor]
            yield Reading(sensor_id, time, sequence, value, quantity)

    def take(self, positions: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> "Readings":
        """Return the readings at `positions` (or where the mask is true); all `sensor_ids` are kept."""
        return Readings(
            self.sensor_ids,
            self.sensor[positions],
            self.event_time_ms[positions],
            self.sequence[positions],
            self.value_milli[positions],
        )


def check_sensor_id(sensor_id: str) -> None:
    """Raise BadReading unless `sensor_id` is 1 to 128 characters, none of them a control character or a surrogate."""
    if not 1 <= len(sensor_id) <= SENSOR_ID_CHARACTERS_MAX:
        raise BadReading(Reason.SENSOR_ID, f"{len(sensor_id)} characters, not 1 to {SENSOR_ID_CHARACTERS_MAX}")
    try:
        sensor_id.encode()
    except UnicodeEncodeError as error:
        raise BadReading(Reason.SENSOR_ID, "a lone surrogate") from error
    control = _CONTROL.search(sensor_id)
    if control:
        detail = f"control character U+{ord(control[0]):04X} at character {control.start()}"
        raise BadReading(Reason.SENSOR_ID, detail)


def check_event_time_ms(event_time_ms: int) -> None:
    """Raise BadReading unless the instant lies in the years 1 to 9999."""
    if not INSTANT_MS_MIN <= event_time_ms <= INSTANT_MS_MAX:
        raise BadReading(Reason.EVENT_TIME, f"event_time {_brief(event_time_ms)} is outside the years 1 to 9999")


def check_sequence(sequence: int) -> None:
    """Raise BadReading unless `sequence` is from 0 to SEQUENCE_MAX."""
    if not 0 <= sequence <= SEQUENCE_MAX:
        raise BadReading(Reason.SEQUENCE, f"sequence {_brief(sequence)} is not from 0 to 2^63-1")


def check_value_milli(value_milli: int, *, written_as: str, quantity: Quantity = TEMPERATURE) -> None:
    """Raise BadReading unless the value is within the limits of its quantity; `written_as` is how its sender wrote it.

    A temperature is from -273.15 to 10,000 °C; of any other unit thousandths fit into 32 bits.
    """
    if quantity.min_milli <= value_milli <= quantity.max_milli:
        return
    if quantity == TEMPERATURE:
        raise BadReading(Reason.TEMPERATURE_RANGE, f"{written_as} is outside -273.15 to 10,000 °C")
    detail = f"{written_as} has no thousandths of {quantity.unit} in 32 bits: choose a larger unit"
    raise BadReading(Reason.VALUE_RANGE, detail)


def exact_decimal(number: str) -> Fraction:
    """Parse a decimal number exactly; BadReading if it is so long or so large that computing with it would be slow.

    `number` is finite: digits, with a point, a sign or an exponent as in JSON and Python.
    """
    if len(number) > NUMBER_CHARACTERS_MAX:
        detail = f"a number of {len(number)} characters, at most {NUMBER_CHARACTERS_MAX}"
        raise BadReading(Reason.TEMPERATURE, detail)
    exponent = _EXPONENT.search(number)
    if exponent and abs(int(exponent[1])) > EXPONENT_MAX:
        raise BadReading(Reason.TEMPERATURE, f"an exponent beyond {EXPONENT_MAX}")
    return Fraction(number)


def are_sensor_ids(strings: Strings) -> npt.NDArray[np.bool_]:
    """Return which of the strings, all of them UTF-8, `check_sensor_id` accepts: bool[k]."""
    characters = strings.characters
    are_sensor_ids: npt.NDArray[np.bool_] = (characters >= 1) & (characters <= SENSOR_ID_CHARACTERS_MAX)
    return are_sensor_ids & ~strings.have_controls()


def are_series(strings: Strings) -> npt.NDArray[np.bool_]:
    """Return which of the strings, all of them UTF-8, are a sensor id with or without a quantity: bool[k]."""
    return are_sensor_ids(split_series(strings).sensor_ids)


def is_sound(readings: Readings, *, is_id: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.bool_]:
    """Return which readings the checks above accept: bool[n]. Lateness and earliness are not checked.

    is_id: which of `sensor_ids` are series, bool[k], if that is known already.
    """
    if is_id is None:
        is_id = are_series(readings.sensor_ids)
    time = readings.event_time_ms
    sound: npt.NDArray[np.bool_] = (time >= INSTANT_MS_MIN) & (time <= INSTANT_MS_MAX) & (readings.sequence >= 0)
    sound &= _are_values_within_limits(readings)
    return sound if is_id.all() else sound & is_id[readings.sensor]


def _are_values_within_limits(readings: Readings) -> npt.NDArray[np.bool_]:
    """Return which values are within the limits of their quantity: bool[n]; 32 bits are the limits of all but one."""
    value = readings.value_milli
    are_within: npt.NDArray[np.bool_] = (value >= TEMPERATURE_MIN_MILLI) & (value <= TEMPERATURE_MAX_MILLI)
    if are_within.all():
        return are_within
    parts = split_series(readings.sensor_ids)
    is_other: npt.NDArray[np.bool_] = np.array([one != TEMPERATURE for one in parts.quantities])[parts.kind]
    return are_within | is_other[readings.sensor]


def _integers(code: str, values: Sequence[int], *, name: str) -> npt.NDArray[Any]:
    """Make a column of 64 bits ("q") or 32 bits ("i"): unlike numpy, `array` refuses anything but integers."""
    try:
        return np.array(array(code, values))
    except (TypeError, OverflowError) as error:
        for row, value in enumerate(values):
            try:
                array(code, [value])
            except (TypeError, OverflowError):
                detail = f"row {row}: {name} {value!r:.80} is not an integer of {8 * array(code).itemsize} bits"
                raise ValueError(detail) from error
        raise


def _brief(number: int) -> str:
    return str(number) if number.bit_length() <= NUMBER_BITS_MAX else f"of {number.bit_length()} bits"


def _distinct_columns(columns: Sequence[Strings]) -> tuple[list[Strings], list[int]]:
    """Return `columns` without immediate repetitions (common in blocks of one gateway), and the position of each."""
    distinct = [columns[0]]
    which = [0]
    for column in columns[1:]:
        last = distinct[-1]
        if not (np.array_equal(column.octets, last.octets) and np.array_equal(column.offsets, last.offsets)):
            distinct.append(column)
        which.append(len(distinct) - 1)
    return distinct, which
