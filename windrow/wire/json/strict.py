"""The strict reader of JSON readings, which defines what a valid payload is: exactly one object.

    {"sensor_id": "roof-7", "event_time": 1763640300000, "temperature": 21.437, "unit": "C", "sequence": 17}

    {"sensor_id": "roof-7", "event_time": 1763640300000, "quantity": "humidity", "value": 55.09, "unit": "%"}

A payload without `temperature` is of another `quantity`, whose `unit` it names; the value is in thousandths of it. With
`temperature`, `unit` is C, F or K, default C. `sequence` (default 0) may be left out. `event_time` is integer epoch
milliseconds or an RFC 3339 string. Fields of other names are ignored. Numbers are read as exact decimals and never pass
through binary floating point.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

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
from windrow.wire.json.quick import LEAST_OCTETS, is_surely_bad
from windrow.wire.json.sample import is_worth_reading
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
class ReasonsWanted:
    """Of which bad payloads the reason is wanted: if group g has at most `most[g]`, of all, else of the first.

    group: int64[n], ascending, the group of each payload; most: int64[number of groups].
    """

    group: npt.NDArray[np.int64]
    most: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ParsedReadings:
    """The readings of a batch of payloads, and the payloads that are no readings.

    source: int64[n], ascending, the position of the payload that reading i came from; bad: ascending by position;
    untold: int64[m], ascending, bad payloads of which nobody wanted the reason.
    """

    readings: Readings
    source: npt.NDArray[np.int64]
    bad: tuple[BadPayload, ...]
    untold: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


SomeReader = Callable[[Payloads, npt.NDArray[np.int64]], tuple[Readings, npt.NDArray[np.int64]]]
"""Returns the readings of those of the chosen payloads that surely are readings, and which they are."""


QuickNo = Callable[[int], Callable[[bytes], bool]]
"""Returns, for so many payloads, what tells of each whether it is surely bad."""


def parse_readings(
    payloads: Payloads | Sequence[bytes],
    wanted: ReasonsWanted | None = None,
    *,
    read_some: SomeReader | None = None,
    quick_no: QuickNo = lambda _: is_surely_bad,
) -> ParsedReadings:
    """Parse every payload as `parse_reading` does; a bad one never affects its neighbours.

    Payloads of common layouts are read together, as columns; of the others those that `read_some` takes, for which
    there is `windrow.wire.json.by_value`; the rest one by one. Without `wanted` the reasons of all bad payloads are
    told, otherwise those that `quick_no` finds to be bad are looked at no further. Which payloads are readings depends
    on none of them. What reads by value is handed in (`windrow.wire.json.some`), as a gateway has no msgspec.
    """
    column = payloads if isinstance(payloads, Payloads) else Payloads.of(payloads)
    found, others = read_common_layouts(column, _is_reading, length_max=PAYLOAD_BYTES_MAX)
    some, rows, others = _read_some(column, others, read_some)
    good, source, bad, untold = _one_by_one(column, others, wanted, quick_no)
    if not good and not len(rows):
        return ParsedReadings(found.readings, found.rows, bad, untold)
    rows = np.concatenate([found.rows, rows, np.array(source, np.int64)])
    order = np.argsort(rows)
    readings = Readings.concat([found.readings, some, Readings.of(good)]).take(order)
    return ParsedReadings(readings, rows[order], bad, untold)


def _read_some(
    payloads: Payloads, which: npt.NDArray[np.int64], read_some: SomeReader | None
) -> tuple[Readings, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the readings that `read_some` takes, their payloads, and which payloads are left."""
    fitting = which[payloads.lengths[which] <= PAYLOAD_BYTES_MAX]
    if read_some is None or not is_worth_reading(fitting, lambda sample: len(read_some(payloads, sample)[1])):
        return Readings.of([]), which[:0], which
    readings, rows = read_some(payloads, fitting)
    return readings, rows, np.setdiff1d(which, rows, assume_unique=True)


def _one_by_one(
    payloads: Payloads, which: npt.NDArray[np.int64], wanted: ReasonsWanted | None, quick_no: QuickNo
) -> tuple[list[Reading], list[int], tuple[BadPayload, ...], npt.NDArray[np.int64]]:
    """Read the payloads `which`: return the readings, the positions of their payloads, the bad ones, and the untold."""
    is_sure = np.zeros(len(which), bool) if wanted is None else _are_surely_bad(payloads, which, quick_no)
    sure, rest = which[is_sure], which[~is_sure]
    good: list[Reading] = []
    source: list[int] = []
    bad: list[BadPayload] = []
    for index, payload in zip(rest.tolist(), payloads.objects(rest), strict=True):
        try:
            good.append(parse_reading(payload))
            source.append(index)
        except BadReading as error:
            bad.append(BadPayload(index, error.reason, error.detail))
    if wanted is None or not len(sure):
        return good, source, tuple(bad), np.zeros(0, np.int64)
    told, untold = _told(payloads, {one.index: one for one in bad}, sure, wanted)
    return good, source, told, untold


def _are_surely_bad(payloads: Payloads, which: npt.NDArray[np.int64], quick_no: QuickNo) -> npt.NDArray[np.bool_]:
    is_sure = payloads.lengths[which] < LEAST_OCTETS
    rest = np.flatnonzero(~is_sure)
    is_sure[rest] = np.fromiter(map(quick_no(len(rest)), payloads.objects(which[rest])), bool, len(rest))
    return is_sure


def _told(
    payloads: Payloads, known: Mapping[int, BadPayload], sure: npt.NDArray[np.int64], wanted: ReasonsWanted
) -> tuple[tuple[BadPayload, ...], npt.NDArray[np.int64]]:
    """Return the bad payloads whose reason is wanted, and the others: `known` with a reason, `sure` without."""
    bad = np.sort(np.concatenate([np.fromiter(known, np.int64, len(known)), sure]))
    group = wanted.group[bad]
    is_first = np.ones(len(bad), bool)
    is_first[1:] = group[1:] != group[:-1]
    counts = np.bincount(group, minlength=len(wanted.most))
    is_told = is_first | (counts <= wanted.most)[group]
    told = tuple(known.get(index) or _reason_of(index, payloads[index]) for index in bad[is_told].tolist())
    return told, bad[~is_told]


def _reason_of(index: int, payload: bytes) -> BadPayload:
    try:
        parse_reading(payload)
    except BadReading as error:
        return BadPayload(index, error.reason, error.detail)
    raise AssertionError(f"a reading was refused: {payload!r}")


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
