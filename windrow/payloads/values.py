"""The values of quantities: exact numbers, what a device says when it has none, bounds and thousandths."""

from dataclasses import dataclass, field
from fractions import Fraction

from windrow.payloads.contract import Quantity
from windrow.payloads.units import DECIMAL, LinearMap
from windrow.quantities import TEMPERATURE_MAX_MILLI, TEMPERATURE_MIN_MILLI
from windrow.reading import (
    BadReading,
    Reason,
    exact_decimal,
)
from windrow.wire.json.mapped import MappedNumber
from windrow.wire.json.values import json_type

MILLI_MAX = 2**31 - 1
MILLI_MIN = -(2**31)


@dataclass(frozen=True, slots=True)
class DecodedReading:
    """One reading of one quantity; `value_milli` is its value in thousandths of `unit`."""

    sensor_id: str
    quantity: str
    unit: str
    event_time_ms: int
    sequence: int
    value_milli: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a part of a payload is no reading; `where` says which part ("line 2", "humidity"), empty for all of it."""

    reason: Reason
    detail: str
    where: str = ""

    def __str__(self) -> str:
        """Return the detail behind the part that it is about."""
        return f"{self.where}: {self.detail}" if self.where else self.detail


@dataclass(slots=True)
class DecodedPayload:
    """What one payload becomes: its readings in their order, and what in it is none."""

    readings: list[DecodedReading] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def refuse(self, error: BadReading, where: str) -> None:
        """Note that the part `where` is no reading."""
        self.refusals.append(Refusal(error.reason, error.detail, where))


def number_of(value: object) -> Fraction:
    """Return the exact number of a JSON number, or of a text that holds one; BadReading if it is neither."""
    if not isinstance(value, str):
        raise BadReading(Reason.VALUE, f"a JSON {json_type(value)}, not a number")
    text = value.strip()
    if not DECIMAL.fullmatch(text):
        raise BadReading(Reason.VALUE, f"{ascii(value)[:40]} is not a number")
    try:
        return exact_decimal(text)
    except BadReading as error:
        raise BadReading(Reason.VALUE, error.detail) from error


def milli_of(quantity: Quantity, number: Fraction, linear: LinearMap, *, written_as: str) -> int:
    """Return the thousandths of the quantity's unit; BadReading if there are none, or they are out of bounds.

    A missing value has none, and one out of bounds. `written_as` is how the device wrote it, for people.
    """
    if number in quantity.missing_numbers:
        raise BadReading(Reason.MISSING_VALUE, f"{written_as} says that there is none")
    milli = linear.milli(number)
    least, most = bounds_of(quantity)
    if not least <= milli <= most:
        hint = "" if MILLI_MIN <= milli <= MILLI_MAX else "; choose a larger unit"
        detail = f"{written_as[:80]} is outside {plain_milli(least)} to {plain_milli(most)} {quantity.unit}{hint}"
        raise BadReading(Reason.VALUE_RANGE, detail)
    return milli


def bounds_of(quantity: Quantity) -> tuple[int, int]:
    """Return the least and the greatest thousandths that the quantity may have; temperatures as everywhere."""
    if quantity.name != "temperature":
        return quantity.min_milli, quantity.max_milli
    return max(quantity.min_milli, TEMPERATURE_MIN_MILLI), min(quantity.max_milli, TEMPERATURE_MAX_MILLI)


def value_part(quantity: Quantity, linear: LinearMap, *, name: str = "value") -> MappedNumber:
    """Return what reads the values of a quantity; a number that may mean that there is none is refused."""
    least, most = bounds_of(quantity)
    missing = tuple({linear.milli(one) for one in quantity.missing_numbers})
    return MappedNumber.of(name, linear.factor, linear.offset, least=least, most=most, refused=missing)


def plain_milli(milli: int) -> str:
    """Return thousandths as a decimal without trailing zeros: 21.5."""
    sign, size = "-" if milli < 0 else "", abs(milli)
    return f"{sign}{size // 1000}.{size % 1000:03}".rstrip("0").rstrip(".")
