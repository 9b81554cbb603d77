"""A reading from what a program has at hand, checked at once: a mistake shows where it is made, not in quarantine."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from windrow.reading import (
    SENSOR_ID_CHARACTERS_MAX,
    SEQUENCE_MAX,
    TEMPERATURE_MAX_MILLI_C,
    TEMPERATURE_MIN_MILLI_C,
    BadReading,
    Reading,
    Reason,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def reading_of(
    sensor_id: str, temperature_c: float | Decimal, *, event_time: datetime | int, sequence: int = 0
) -> Reading:
    """The reading; BadReading, a ValueError, says what is wrong with it.

    temperature_c: degrees Celsius; a float is taken as the decimal that it prints as, and every value is rounded to
    thousandths once, half to even. event_time: an aware datetime, floored to the millisecond, or epoch milliseconds.
    """
    if not 1 <= len(sensor_id) <= SENSOR_ID_CHARACTERS_MAX:
        raise BadReading(Reason.SENSOR_ID, f"{len(sensor_id)} characters, not 1 to {SENSOR_ID_CHARACTERS_MAX}")
    try:
        sensor_id.encode()
    except UnicodeEncodeError as error:
        raise BadReading(Reason.SENSOR_ID, "a lone surrogate") from error
    if not 0 <= sequence <= SEQUENCE_MAX:
        raise BadReading(Reason.SEQUENCE, "not from 0 to 2^63-1")
    return Reading(sensor_id, _event_time_ms(event_time), sequence, _milli_c(temperature_c))


def _event_time_ms(event_time: datetime | int) -> int:
    if isinstance(event_time, int):
        return event_time
    if event_time.tzinfo is None:
        raise BadReading(Reason.EVENT_TIME, f"{event_time} has no time zone")
    return (event_time - _EPOCH) // timedelta(milliseconds=1)


def _milli_c(temperature_c: float | Decimal) -> int:
    try:
        milli_c = round(Fraction(str(temperature_c)) * 1000)
    except ValueError as error:
        raise BadReading(Reason.TEMPERATURE, f"{temperature_c} is not a finite number") from error
    if not TEMPERATURE_MIN_MILLI_C <= milli_c <= TEMPERATURE_MAX_MILLI_C:
        raise BadReading(Reason.TEMPERATURE_RANGE, f"{temperature_c} C is outside -273.15 to 10,000 °C")
    return milli_c
