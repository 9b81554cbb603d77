"""The strict reader of JSON readings, which defines what a valid payload is: exactly one object.

    {"sensor_id": "roof-7", "event_time": 1763640300000, "temperature": 21.437, "unit": "C", "sequence": 17}

    {"sensor_id": "roof-7", "event_time": 1763640300000, "quantity": "humidity", "value": 55.09, "unit": "%"}

A payload without `temperature` is of another `quantity`, whose `unit` it names; the value is in thousandths of it. With
`temperature`, `unit` is C, F or K, default C. `sequence` (default 0) may be left out. `event_time` is integer epoch
milliseconds or an RFC 3339 string. Fields of other names are ignored. Numbers are read as exact decimals and never pass
through binary floating point.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from windrow.columns.payloads import Payloads
from windrow.quantities import TEMPERATURE, Quantity
from windrow.reading import (
    BadReading,
    Reading,
    Readings,
    Reason,
    check_event_time_ms,
    check_sensor_id,
    check_sequence,
    check_value_milli,
    exact_decimal,
)
from windrow.timestamps import parse_rfc3339_ms
from windrow.wire.json.fast import read_common_layouts
from windrow.wire.json.values import JsonNumber, check_nesting, integer_of, json_type, parse_value

# A reading takes about 100 bytes; the rest is room for ignored fields.
PAYLOAD_BYTES_MAX = 65_536


@dataclass(frozen=True, slots=True)
class BadPayload:
    """A payload that is no reading: its position in the batch, the reason, and the detail for people."""

    index: int
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, eq=False)
class ParsedReadings:
    """The readings of a batch of payloads, and the payloads that are no readings.

    source: int64[n], ascending, the position of the payload that reading i came from; bad: ascending by position.
    """

    readings: Readings
    source: npt.NDArray[np.int64]
    bad: tuple[BadPayload, ...]


def parse_readings(payloads: Payloads | Sequence[bytes]) -> ParsedReadings:
    """Parse every payload as `parse_reading` does; a bad one never affects its neighbours.

    Payloads of common layouts are read together, as columns; the others one by one.
    """
    column = payloads if isinstance(payloads, Payloads) else Payloads.of(payloads)
    found, others = read_common_layouts(column, _is_reading, length_max=PAYLOAD_BYTES_MAX)
    good: list[Reading] = []
    source: list[int] = []
    bad: list[BadPayload] = []
    for index in others.tolist():
        try:
            good.append(parse_reading(column[index]))
            source.append(index)
        except BadReading as error:
            bad.append(BadPayload(index, error.reason, error.detail))
    if not good:
        return ParsedReadings(found.readings, found.rows, tuple(bad))
    rows = np.concatenate([found.rows, np.array(source, np.int64)])
    order = np.argsort(rows)
    return ParsedReadings(Readings.concat([found.readings, Readings.of(good)]).take(order), rows[order], tuple(bad))


def _is_reading(payload: bytes) -> bool:
    try:
        parse_reading(payload)
    except BadReading:
        return False
    return True


def parse_reading(payload: bytes) -> Reading:
    """Parse one payload; raises BadReading and nothing else."""
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise BadReading(Reason.PAYLOAD_TOO_LONG, f"{len(payload)} bytes, at most {PAYLOAD_BYTES_MAX}")
    fields = _parse_object(payload)
    sensor_id = _sensor_id(_required(fields, "sensor_id"))
    event_time_ms = _event_time_ms(_required(fields, "event_time"))
    sequence = _sequence(fields["sequence"]) if "sequence" in fields else 0
    if "temperature" in fields or "quantity" not in fields:
        milli = _temperature_milli(_required(fields, "temperature"), fields.get("unit", "C"))
        return Reading(sensor_id, event_time_ms, sequence, milli)
    if fields["quantity"] == TEMPERATURE.name:
        milli = _temperature_milli(_required(fields, "value"), fields.get("unit", "C"))
        return Reading(sensor_id, event_time_ms, sequence, milli)
    quantity = _quantity(fields["quantity"], _required(fields, "unit"))
    return Reading(sensor_id, event_time_ms, sequence, _value_milli(_required(fields, "value"), quantity), quantity)


def _parse_object(payload: bytes) -> dict[str, object]:
    parsed = parse_value(payload)
    if not isinstance(parsed, dict):
        raise BadReading(Reason.NOT_AN_OBJECT, f"a JSON {json_type(parsed)}")
    check_nesting(parsed)
    return parsed


def _required(fields: dict[str, object], name: str) -> object:
    if name not in fields:
        raise BadReading(Reason.MISSING_FIELD, name)
    return fields[name]


def _sensor_id(value: object) -> str:
    if not isinstance(value, str) or isinstance(value, JsonNumber):
        raise BadReading(Reason.SENSOR_ID, f"a JSON {json_type(value)}, not a string")
    check_sensor_id(value)
    return value


def _event_time_ms(value: object) -> int:
    if isinstance(value, JsonNumber):
        event_time_ms = integer_of(value, Reason.EVENT_TIME)
    elif isinstance(value, str):
        try:
            event_time_ms = parse_rfc3339_ms(value)
        except ValueError as error:
            raise BadReading(Reason.EVENT_TIME, str(error)) from error
    else:
        raise BadReading(Reason.EVENT_TIME, f"a JSON {json_type(value)}")
    check_event_time_ms(event_time_ms)
    return event_time_ms


def _sequence(value: object) -> int:
    if not isinstance(value, JsonNumber):
        raise BadReading(Reason.SEQUENCE, f"a JSON {json_type(value)}, not an integer")
    sequence = integer_of(value, Reason.SEQUENCE)
    check_sequence(sequence)
    return sequence


def _quantity(name: object, unit: object) -> Quantity:
    for value, reason in ((name, Reason.QUANTITY), (unit, Reason.UNIT)):
        if not isinstance(value, str) or isinstance(value, JsonNumber):
            raise BadReading(reason, f"a JSON {json_type(value)}, not a string")
    reason = Reason.QUANTITY
    try:
        Quantity(str(name), "any")
        reason = Reason.UNIT
        return Quantity(str(name), str(unit))
    except ValueError as error:
        raise BadReading(reason, str(error)) from error


def _value_milli(value: object, quantity: Quantity) -> int:
    if not isinstance(value, JsonNumber):
        raise BadReading(Reason.VALUE, f"a JSON {json_type(value)}, not a number")
    try:
        milli = round(exact_decimal(value) * 1000)  # half to even, once
    except BadReading as error:
        raise BadReading(Reason.VALUE, error.detail) from error
    check_value_milli(milli, written_as=f"{value} {quantity.unit}", quantity=quantity)
    return milli


def _temperature_milli(value: object, unit: object) -> int:
    if not isinstance(value, JsonNumber):
        raise BadReading(Reason.TEMPERATURE, f"a JSON {json_type(value)}, not a number")
    degrees = exact_decimal(value)
    if unit == "C":
        milli = degrees * 1000
    elif unit == "F":
        milli = (degrees - 32) * 5000 / 9
    elif unit == "K":
        milli = degrees * 1000 - 273_150
    else:
        raise BadReading(Reason.UNIT, f"{ascii(unit)[:40]} is not C, F or K")
    rounded = round(milli)  # half to even, once
    check_value_milli(rounded, written_as=f"{value} {unit}")
    return rounded
