"""Readings from a program's values, checked at once: a mistake shows where it is made, not in quarantine.

Ids, times, sequences and temperatures are checked by the functions of `windrow.reading` that also judge payloads. In
addition, an argument must be of a type that means exactly one value, and a reading must not be so old that it would be
too late whenever it arrived.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NoReturn, cast

import numpy as np
import numpy.typing as npt

from producers.exact import integer_of, number_of, quoted
from windrow.columns.strings import Strings
from windrow.quantities import TEMPERATURE, Quantity, parts_of
from windrow.reading import (
    BadReading,
    Reading,
    Readings,
    Reason,
    are_series,
    check_event_time_ms,
    check_sensor_id,
    check_sequence,
    check_value_milli,
    is_sound,
)

# 2020-01-01T00:00:00Z: windrow did not exist, so no stream of it took a record before, and the lateness horizon of a
# stage is at most 336 hours (LatenessHorizonHours in infra/template.yaml). The clock is not read: it may be wrong.
EVENT_TIME_MS_MIN = 1_577_836_800_000

_Integers = npt.NDArray[np.integer[Any]]
# The columns of `Readings`, with the reason given when one is refused.
_COLUMNS: tuple[tuple[str, type[np.signedinteger[Any]], Reason], ...] = (
    ("sensor", np.int32, Reason.SENSOR_ID),
    ("event_time_ms", np.int64, Reason.EVENT_TIME),
    ("sequence", np.int64, Reason.SEQUENCE),
    ("value_milli", np.int32, Reason.TEMPERATURE),
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The least number that a time from 2001 to 2286 has in other units than milliseconds, and how to convert it.
_OTHER_UNITS = (
    (10**18, "nanoseconds: divide by 1,000,000"),
    (10**15, "microseconds: divide by 1,000"),
    (10**9, "seconds: multiply by 1,000"),
)


def reading_of(
    sensor_id: str,
    value: float | Decimal | Fraction | np.floating[Any] | np.integer[Any],
    *,
    event_time: datetime | int | np.integer[Any],
    sequence: int | np.integer[Any] = 0,
    quantity: str = TEMPERATURE.name,
    unit: str | None = None,
) -> Reading:
    """Make a reading. Raises BadReading, and nothing else, for a bad argument of any type.

    value: degrees Celsius, or what it is in `unit`, which every other quantity needs; a float means the decimal that it
    prints as, and every value is rounded once, to thousandths, half to even. event_time: an aware datetime, floored to
    the millisecond, or epoch milliseconds.
    """
    measured = _quantity(quantity, unit)
    return Reading(
        sensor_id=_sensor_id(sensor_id),
        event_time_ms=_event_time_ms(event_time),
        sequence=_sequence(sequence),
        value_milli=_milli(value, measured),
        quantity=measured,
    )


def checked_readings(readings: Readings) -> Readings:
    """Copy readings into new columns of exactly the types that `Readings` documents.

    Raises BadReading, and nothing else, naming the first row that `reading_of` would refuse, or a column that is not
    one. Integers of another width are accepted if they fit; no value is changed. `sensor_ids` stays the same object,
    unless it holds a bad id that no row uses.
    """
    if not isinstance(readings, Readings):
        raise BadReading(Reason.MISSING_FIELD, f"readings is {quoted(readings)}, not Readings")
    ids = _id_column(readings.sensor_ids)
    given = [_integers(getattr(readings, name), name=name, reason=reason) for name, _, reason in _COLUMNS]
    _check_lengths(given)
    fits = _fit(given, ids_count=len(ids))
    end = len(fits) if fits.all() else int(np.argmin(fits))
    own = Readings(ids, *(np.array(column[:end], dtype) for column, (_, dtype, _) in zip(given, _COLUMNS, strict=True)))
    is_id = are_series(ids) & ids.are_utf8()
    is_good = is_sound(own, is_id=is_id) & (own.event_time_ms >= EVENT_TIME_MS_MIN)
    if end < len(fits) or not is_good.all():
        row = end if is_good.all() else int(np.argmin(is_good))
        _refuse(ids, [int(column[row]) for column in given], row=row)
    if is_id.all():
        return own
    return replace(own, sensor_ids=ids.take(np.flatnonzero(is_id)), sensor=_renumbered(own.sensor, is_id))


def check_time(event_time_ms: int) -> None:
    """Raise BadReading, with a suggestion if possible, for a time that every stream refuses."""
    suggestion = _suggestion(event_time_ms)
    try:
        check_event_time_ms(event_time_ms)
    except BadReading as error:
        raise BadReading(error.reason, error.detail + suggestion) from error
    if event_time_ms < EVENT_TIME_MS_MIN:
        detail = f"event_time {event_time_ms} is before 2020, too late for every stream{suggestion}"
        raise BadReading(Reason.TOO_LATE, detail)


def _id_column(strings: object) -> Strings:
    """Return the ids if they are a column as `Strings` documents it, whether or not they are UTF-8."""
    if not isinstance(strings, Strings):
        raise BadReading(Reason.SENSOR_ID, f"sensor_ids is {quoted(strings)}, not Strings")
    offsets, octets = strings.offsets, strings.octets
    for column, dtype in ((offsets, np.int64), (octets, np.uint8)):
        if not isinstance(column, np.ndarray) or column.dtype != dtype or column.ndim != 1:
            raise BadReading(Reason.SENSOR_ID, f"sensor_ids has no column of {np.dtype(dtype)}, but {_kind(column)}")
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(octets) or (offsets[1:] < offsets[:-1]).any():
        raise BadReading(
            Reason.SENSOR_ID, "sensor_ids has offsets that do not ascend from 0 to the number of its bytes"
        )
    return strings


def _integers(column: object, *, name: str, reason: Reason) -> _Integers:
    if not isinstance(column, np.ndarray) or isinstance(column, np.ma.MaskedArray):
        raise BadReading(reason, f"{name} is {quoted(column)}, not a numpy array")
    if column.ndim != 1 or column.dtype.kind not in "iu":
        raise BadReading(reason, f"{name} is {_kind(column)}, not an array of integers, one a row")
    return column


def _kind(column: object) -> str:
    return f"an array of {column.dtype}{list(column.shape)}" if isinstance(column, np.ndarray) else quoted(column)


def _check_lengths(columns: list[_Integers]) -> None:
    rows = min(map(len, columns))
    for column, (name, _, _) in zip(columns, _COLUMNS, strict=True):
        if len(column) == rows < max(map(len, columns)):
            raise BadReading(Reason.MISSING_FIELD, f"row {rows}: the column {name} has only {rows} rows")


def _fit(columns: list[_Integers], *, ids_count: int) -> npt.NDArray[np.bool_]:
    """Return in which rows the index is that of an id and every value fits the type of its column: bool[n]."""
    sensor, *values = columns
    fits: npt.NDArray[np.bool_] = (sensor >= 0) & (sensor < ids_count)
    for column, (_, dtype, _) in zip(values, _COLUMNS[1:], strict=True):
        if not np.can_cast(column.dtype, dtype):
            fits &= (column >= np.iinfo(dtype).min) & (column <= np.iinfo(dtype).max)
    return fits


def _refuse(ids: Strings, row_values: list[int], *, row: int) -> NoReturn:
    """Raise BadReading for the first bad value of a row, in the order of `reading_of`."""
    place, event_time_ms, sequence, milli = row_values
    try:
        if not 0 <= place < len(ids):
            raise BadReading(Reason.SENSOR_ID, f"place {place} of {len(ids)} sensor_ids")
        try:
            sensor_id, quantity = parts_of(ids.octets_at(place).decode())
            check_sensor_id(sensor_id)
        except UnicodeDecodeError as error:
            raise BadReading(Reason.SENSOR_ID, f"not UTF-8 at byte {error.start}") from error
        check_time(event_time_ms)
        check_sequence(sequence)
        written_as = f"{milli} m°C" if quantity == TEMPERATURE else f"{milli} thousandths"
        check_value_milli(milli, written_as=written_as, quantity=quantity)
    except BadReading as error:
        raise BadReading(error.reason, f"row {row}: {error.detail}") from error
    raise AssertionError("columns and single values are judged alike")


def _renumbered(places: npt.NDArray[np.int32], is_kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Return the indices after dropping the ids that are not kept."""
    renumbered: npt.NDArray[np.int32] = (np.cumsum(is_kept, dtype=np.int32) - 1)[places]
    return renumbered


def _sensor_id(value: object) -> str:
    if not issubclass(type(value), str):
        raise BadReading(Reason.SENSOR_ID, f"sensor_id is {quoted(value)}, not a str")
    sensor_id = "".join((cast("str", value),))  # a str itself, where it was a subclass
    check_sensor_id(sensor_id)
    return sensor_id


def _event_time_ms(value: object) -> int:
    event_time_ms = _instant_ms(cast("datetime", value)) if issubclass(type(value), datetime) else integer_of(value)
    if event_time_ms is None:
        detail = f"event_time is {quoted(value)}, not a datetime or an integer{_float_suggestion(value)}"
        raise BadReading(Reason.EVENT_TIME, detail)
    check_time(event_time_ms)
    return event_time_ms


def _instant_ms(event_time: datetime) -> int:
    try:
        if event_time.utcoffset() is not None:
            return int((event_time - _EPOCH) // timedelta(milliseconds=1))
    except Exception as error:  # a time zone is the caller's code, and may raise anything
        detail = f"event_time is {quoted(event_time)} whose UTC offset cannot be computed: {type(error).__name__}"
        raise BadReading(Reason.EVENT_TIME, detail) from error
    suggestion = "datetime.now(UTC) has one, .astimezone() adds one"
    raise BadReading(Reason.EVENT_TIME, f"event_time is {quoted(event_time)} without a time zone; {suggestion}")


def _sequence(value: object) -> int:
    sequence = integer_of(value)
    if sequence is None:
        raise BadReading(Reason.SEQUENCE, f"sequence is {quoted(value)}, not an integer")
    check_sequence(sequence)
    return sequence


def _quantity(name: object, unit: object) -> Quantity:
    if type(name) is str and name == TEMPERATURE.name and (unit is None or (type(unit) is str and unit == "C")):
        return TEMPERATURE
    if not issubclass(type(name), str):
        raise BadReading(Reason.QUANTITY, f"quantity is {quoted(name)}, not a str")
    if not issubclass(type(unit), str):
        raise BadReading(Reason.UNIT, f"unit is {quoted(unit)}, not a str: every quantity but temperature needs one")
    reason = Reason.QUANTITY
    try:
        own = Quantity("".join((cast("str", name),)), "C")  # strs themselves, where they were of a subclass
        reason = Reason.UNIT
        return Quantity(own.name, "".join((cast("str", unit),)))
    except ValueError as error:
        raise BadReading(reason, str(error)) from error


def _milli(value: object, quantity: Quantity) -> int:
    try:
        milli = round(number_of(value) * 1000)
    except BadReading as error:
        if quantity == TEMPERATURE:
            raise
        raise BadReading(Reason.VALUE, error.detail) from error
    written_as = f"{quoted(value)} {'°C' if quantity == TEMPERATURE else quantity.unit}"
    check_value_milli(milli, written_as=written_as, quantity=quantity)
    return milli


def _suggestion(event_time: float) -> str:
    """Suggest the unit that the number looks like; empty if it looks like none."""
    for one, unit in _OTHER_UNITS:
        if one <= event_time < 10 * one:
            return f"; it looks like {unit}"
    return ""


def _float_suggestion(value: object) -> str:
    kind = type(value)
    if not issubclass(kind, float | np.floating):
        return ""
    number = cast("float", value)
    suggestion = _suggestion(float.__pos__(number) if issubclass(kind, float) else float(number))
    return f"{suggestion} and round" if suggestion else "; round milliseconds to an int"
