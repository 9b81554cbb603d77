"""A quantity's table in a contract: where its value is, its units, bounds and missing values."""

import re
from fractions import Fraction

from windrow import quantities
from windrow.payloads.contract import Decoder, Quantity
from windrow.payloads.paths import Path
from windrow.payloads.table import Table
from windrow.payloads.units import is_known, map_between, maps_to, symbol_of, unscaled
from windrow.payloads.values import MILLI_MAX, MILLI_MIN
from windrow.reading import exact_decimal

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_TEMPERATURE_UNIT = "C"


class FileNumber(str):
    """A number of the file, as it is written."""

    __slots__ = ()


def quantity_of(table: Table, name: str, decoder: Decoder) -> Quantity:
    """Return the quantity `name` of its table; ContractError says what is wrong in it."""
    if not _NAME.fullmatch(name):
        table.refuse("", "is no name of a quantity: small letters, digits and _, at most 63, a letter first")
    is_temperature = name == "temperature"
    source = table.take("unit", str)
    target = table.take("to", str, default=_TEMPERATURE_UNIT if is_temperature else unscaled(source)[1])
    try:
        is_own = source == target and table.has("to") and not is_known(target)
        unit = target if is_own else symbol_of(target)
        linear = map_between(source, target)
        maps = {target: linear} if is_own else maps_to(target)
    except ValueError as error:
        table.refuse("unit", f'{error}; for a unit of your own write it as "to" too')
    if is_temperature and unit != _TEMPERATURE_UNIT:
        table.refuse("to", "is C for temperature, everywhere")
    try:
        checked = quantities.Quantity(name, unit)
    except ValueError as error:
        table.refuse("to" if table.has("to") else "unit", str(error))
    missing = [_missing(table, value) for value in table.take("missing", list, default=[])]
    quantity = Quantity(
        name=checked.name,
        unit=checked.unit,
        path=Path("@") if decoder is Decoder.SENML else path_of(table, "path"),
        source_unit=source,
        map=linear,
        maps=maps,
        unit_path=path_of(table, "unit_path") if table.has("unit_path") else None,
        missing_numbers=frozenset(value for value in missing if isinstance(value, Fraction)),
        missing_texts=frozenset(value for value in missing if isinstance(value, str)),
        min_milli=_bound(table, "min", MILLI_MIN),
        max_milli=_bound(table, "max", MILLI_MAX),
        is_required=flag_of(table, "required", default=False),
    )
    if quantity.min_milli > quantity.max_milli:
        table.refuse("min", "is greater than max")
    table.done()
    return quantity


def _missing(table: Table, value: object) -> Fraction | str:
    """Return a missing value: a number of the file by its value, a text as it is."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        table.refuse("missing", "holds texts and numbers")
    return _exact(table, "missing", value) if isinstance(value, int | FileNumber) else value


def _bound(table: Table, name: str, default: int) -> int:
    """Return a bound, in the quantity's unit, as thousandths; `default` if it is not there."""
    value = table.take_any(name)
    return default if value is None else milli_of(table, name, value)


def milli_of(table: Table, name: str, value: object) -> int:
    """Return a number of the field `name`, in the quantity's unit, as thousandths."""
    if isinstance(value, bool) or not isinstance(value, int | FileNumber):
        table.refuse(name, "must be a number, in the quantity's unit")
    milli = _exact(table, name, value) * 1000
    if milli.denominator != 1 or not MILLI_MIN <= milli <= MILLI_MAX:
        table.refuse(name, f"must be a whole number of thousandths from {MILLI_MIN} to {MILLI_MAX}")
    return int(milli)


def _exact(table: Table, name: str, value: int | FileNumber) -> Fraction:
    try:
        return exact_decimal(str(value))
    except ValueError as error:
        table.refuse(name, f"{str(value)[:40]} is no number that can be used: {error}")


def flag_of(table: Table, name: str, *, default: bool) -> bool:
    """Return the field `name`, true or false."""
    return table.take(name, bool) if table.has(name) else default


def path_of(table: Table, name: str) -> Path:
    """Return the field `name`, a path; ContractError if it is none."""
    try:
        return Path(table.take(name, str))
    except ValueError as error:
        table.refuse(name, str(error))
