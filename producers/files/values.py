"""The values of files: cells as thousandths of their quantity's unit, exactly; cells that say there is no value."""

import re
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from producers.files.options import MISSING_TEXTS
from producers.files.texts import each_once, strings_of_texts, taken
from windrow.columns.arrays import Int64s, Mask
from windrow.columns.payloads import Payloads
from windrow.payloads.contract import Quantity
from windrow.payloads.paths import Path
from windrow.payloads.units import LinearMap, is_known, map_between, symbol_of, unscaled
from windrow.payloads.usual import SENTINELS
from windrow.payloads.values import MILLI_MAX, MILLI_MIN, milli_of, number_of
from windrow.reading import BadReading, Reason, exact_decimal
from windrow.wire.json.cursor import Cursor
from windrow.wire.json.parts import Temperature

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WITH_UNIT = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))\s*([^\d\s].*)", re.ASCII | re.DOTALL)
MINUS = "\N{MINUS SIGN}"
"""What typesetters write before a number, and some exports."""
_IDENTITY = LinearMap(Fraction(1000), Fraction(0))


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a cell has no value; missing if it says so itself, by being empty or by a missing value."""

    reason: Reason
    detail: str

    @property
    def is_missing(self) -> bool:
        """Whether the cell says that there is none."""
        return self.reason is Reason.MISSING_VALUE


def quantity_for(
    name: str, *, unit: str, missing: tuple[str, ...], minimum: str | None, maximum: str | None
) -> Quantity:
    """Return the quantity `name`, its values written in `unit`; ValueError says what is wrong in what a user said.

    Temperatures become °C; others keep their unit. Bounds are in the unit that results.
    """
    target = "C" if name == "temperature" else _symbol(unscaled(unit)[1])
    numbers = frozenset(exact_decimal(text) for text in missing if _NUMBER.fullmatch(text))
    return Quantity(
        name=name,
        unit=target,
        path=Path("@"),
        source_unit=unit,
        map=map_between(unit, target),
        missing_numbers=numbers,
        missing_texts=MISSING_TEXTS | {text.lower() for text in missing if not _NUMBER.fullmatch(text)},
        min_milli=MILLI_MIN if minimum is None else _bound(minimum),
        max_milli=MILLI_MAX if maximum is None else _bound(maximum),
    )


def parse_values(
    texts: Payloads, quantity: Quantity, units: Payloads | None
) -> tuple[Int64s, Mask, dict[int, Refused]]:
    """Return thousandths, int64[n], which of them there are, bool[n], and for each of the others the reason.

    units: for each text the name of its unit; an empty one is the quantity's own.
    """
    if units is None:
        return _parse(texts, quantity)
    values, is_read = np.zeros(len(texts), np.int64), np.zeros(len(texts), bool)
    why: dict[int, Refused] = {}
    distinct, place = strings_of_texts(units).rank()
    for number, name in enumerate(distinct.to_list()):
        rows = np.flatnonzero(place == number)
        try:
            one = quantity if not name else in_unit(quantity, name)
        except ValueError as error:
            why |= dict.fromkeys(rows.tolist(), Refused(Reason.UNIT, str(error)[:120]))
            continue
        values[rows], is_read[rows], some = _parse(taken(texts, rows), one)
        why |= {int(rows[row]): refused for row, refused in some.items()}
    return values, is_read, why


def in_unit(quantity: Quantity, unit: str) -> Quantity:
    """Return the quantity with its values written in `unit`; ValueError if it has no such unit."""
    return replace(quantity, source_unit=unit, map=map_between(unit, quantity.unit))


def parts_of(cell: str) -> tuple[str, str] | None:
    """Return the number and the unit of a cell that has both, such as `4.2 °C`; None for any other."""
    found = None if _NUMBER.fullmatch(cell) else _WITH_UNIT.fullmatch(cell)
    return (found[1], found[2]) if found and is_known(found[2]) else None


def are_sentinels(milli: Int64s) -> Mask:
    """Return which values are numbers by which devices say that something is wrong, in °C or °F: bool[n]."""
    known = [round(Fraction(one) * 1000) for one in SENTINELS]
    in_fahrenheit = [round((Fraction(one) - 32) * 5000 / 9) for one in SENTINELS]
    return np.isin(milli, np.array([*known, *in_fahrenheit], np.int64))


def as_written(milli: int) -> str | None:
    """Return the value in °F that a file probably has for a sentinel among temperatures; None if it is one in °C."""
    value = Fraction(milli, 1000)
    if any(value == Fraction(one) for one in SENTINELS):
        return None
    return next((one for one in SENTINELS if round((Fraction(one) - 32) * 5000 / 9) == milli), None)


def _symbol(unit: str) -> str:
    try:
        return symbol_of(unit)
    except ValueError:
        return unit  # a unit of the user's own, which maps to itself


def _bound(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is no number")
    return round(exact_decimal(text) * 1000)


def _parse(texts: Payloads, quantity: Quantity) -> tuple[Int64s, Mask, dict[int, Refused]]:
    values, is_read = _fast(texts, quantity)
    others = np.flatnonzero(~is_read)
    why: dict[int, Refused] = {}
    for row, found in zip(others.tolist(), each_once(texts, others, lambda text: _judged(text, quantity)), strict=True):
        if isinstance(found, Refused):
            why[row] = found
        else:
            values[row], is_read[row] = found, True
    return values, is_read, why


def _fast(texts: Payloads, quantity: Quantity) -> tuple[Int64s, Mask]:
    """Read plain decimals of units that 64 bits convert exactly; what could be missing or out of bounds is left."""
    symbol = next((one for one in ("C", "F", "K") if quantity.map == map_between(one, "C")), None)
    if not len(texts) or (symbol is None and quantity.map != _IDENTITY):
        return np.zeros(len(texts), np.int64), np.zeros(len(texts), bool)
    cursor = Cursor(texts.octets, texts.starts)
    values = Temperature(symbol or "C").read(cursor)["value_milli"]
    is_read = cursor.is_accepted & (cursor.at == texts.starts + texts.lengths)
    is_read &= (values >= quantity.min_milli) & (values <= quantity.max_milli)
    for number in quantity.missing_numbers:
        is_read &= values != quantity.map.milli(number)
    return values, is_read


def _judged(text: str, quantity: Quantity) -> int | Refused:
    cell = text.strip().replace(MINUS, "-")
    if cell.lower() in quantity.missing_texts:
        return Refused(Reason.MISSING_VALUE, f"{ascii(cell)[:40]} says that there is none" if cell else "an empty cell")
    number, written_as = cell, f"{cell} {quantity.source_unit}"
    parts = parts_of(cell)
    if parts is not None:
        number, unit, written_as = *parts, cell
        try:
            quantity = in_unit(quantity, unit)
        except ValueError as error:
            return Refused(Reason.UNIT, str(error)[:120])
    try:
        return milli_of(quantity, number_of(number), quantity.map, written_as=written_as)
    except BadReading as error:
        return Refused(error.reason, error.detail)
