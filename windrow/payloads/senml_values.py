"""SenML packs (RFC 8428) as columns: what `windrow.payloads.senml` reads from them, or nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact

import numpy as np

from windrow.columns.arrays import Int64s, Mask
from windrow.payloads.contract import Kind
from windrow.payloads.elements import ColumnsOfKind, value_part
from windrow.payloads.senml import RELATIVE_BELOW_S
from windrow.quantities import Quantity
from windrow.timestamps import INSTANT_MS_MAX, INSTANT_MS_MIN
from windrow.wire.json.ids import distinct_ids
from windrow.wire.json.numbers import decimal_of, read_numbers
from windrow.wire.json.objects import Written

_VERSION_MAX = 10
_BASE = frozenset({"bn", "bt", "bu", "bv", "bver"})
_OTHER_VALUES = ("vs", "vb", "vd", "s")
_EXACTLY = Context(prec=2_200, traps=[Inexact])  # both summands have at most 64 digits, and exponents to 999
_WHOLE = Context(prec=2_200)


class _UnsureError(ValueError):
    """A pack in which something is unusual."""


@dataclass(slots=True)
class _Records:
    """The readings of packs so far, a column each; times in ms, since 1970 or since the arrival."""

    packs: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)
    are_relative: list[bool] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)


def read_packs(kind: Kind, packs: Sequence[object], arrived_ms: Int64s) -> ColumnsOfKind:
    """Return the readings of those packs that surely are readings and what is passed over; arrived_ms: int64[n]."""
    quantity_of: dict[str, int] = {}
    for at, quantity in enumerate(kind.quantities):
        for unit in quantity.maps:
            quantity_of.setdefault(unit, at)
    records, is_left = _Records(), np.zeros(len(packs), bool)
    for number, pack in enumerate(packs):
        before = len(records.packs)
        try:
            if not isinstance(pack, list):
                raise _UnsureError
            _add(records, number, pack, quantity_of)
        except (_UnsureError, Inexact):
            is_left[number] = True
        is_left[number] |= len(records.packs) == before
    pack_of = np.array(records.packs, np.int64)
    ids, place, is_id = distinct_ids(records.ids)
    times_ms = np.array(records.times_ms, np.int64) + np.where(records.are_relative, arrived_ms[pack_of], 0)
    milli, is_value = _values(kind, records)
    is_read = is_id & is_value & (times_ms >= INSTANT_MS_MIN) & (times_ms <= INSTANT_MS_MAX)
    is_left[pack_of[~is_read]] = True
    return ColumnsOfKind(
        ids=ids,
        quantities=[Quantity(one.name, one.unit) for one in kind.quantities],
        element=pack_of,
        quantity=np.array([quantity_of[unit] for unit in records.units], np.int64),
        id_place=place,
        event_time_ms=times_ms,
        sequence=np.zeros(len(pack_of), np.int64),
        value_milli=milli,
        is_left=is_left,
    )


def _add(records: _Records, number: int, pack: Sequence[object], quantity_of: Mapping[str, int]) -> None:
    """Add the readings of one pack; _UnsureError if it has to be read strictly."""
    base: dict[str, object] = {}
    base_name: object = ""
    base_time = Decimal(0)
    for record in pack:
        if type(record) is not dict:
            raise _UnsureError
        if any(key[-1:] == "_" for key in record):
            raise _UnsureError
        if not _BASE.isdisjoint(record):
            base.update((key, record[key]) for key in _BASE if key in record)
            version = base.get("bver", _VERSION_MAX)
            if type(version) is not int or version > _VERSION_MAX:
                raise _UnsureError
            base_name, base_time = base.get("bn", ""), _decimal(base.get("bt"))
        if "v" not in record and ("bv" not in base or any(key in record for key in _OTHER_VALUES)):
            continue
        unit, name = record.get("u", base.get("bu")), record.get("n", "")
        if unit is None or (type(unit) is str and unit not in quantity_of):
            continue
        if type(unit) is not str or type(name) is not str or type(base_name) is not str:
            raise _UnsureError
        time_ms, value = _time_ms(base_time, record.get("t")), _value(record.get("v"), base.get("bv"))
        records.packs.append(number)
        records.ids.append(base_name + name)
        records.times_ms.append(time_ms)
        records.are_relative.append(time_ms < RELATIVE_BELOW_S * 1000)
        records.units.append(unit)
        records.values.append(value)


def _value(own: object, base: object) -> object:
    """Return the sum of a value and the base value, as a number that `read_numbers` takes."""
    if base is None:
        return 0 if own is None else own
    return Written(str(_EXACTLY.add(_decimal(own), _decimal(base))))


def _time_ms(base: Decimal, own: object) -> int:
    total = base if own is None else _EXACTLY.add(base, _decimal(own))
    time_ms = int(_EXACTLY.multiply(total, Decimal(1000)).to_integral_value(ROUND_HALF_EVEN, _WHOLE))
    if time_ms == RELATIVE_BELOW_S * 1000 or not INSTANT_MS_MIN <= time_ms <= INSTANT_MS_MAX:
        raise _UnsureError  # rounded, it does not tell any more which it was
    return time_ms


def _decimal(value: object) -> Decimal:
    """Return a number exactly, 0 of nothing; _UnsureError if it is none."""
    if value is None:
        return Decimal(0)
    if type(value) is int and abs(value) <= INSTANT_MS_MAX:
        return Decimal(value)
    found = decimal_of(bytes(value)) if isinstance(value, Written) else None
    if found is None:
        raise _UnsureError
    return found


def _values(kind: Kind, records: _Records) -> tuple[Int64s, Mask]:
    """Return the thousandths of the records' values, and which they surely are."""
    milli, is_value = np.zeros(len(records.units), np.int64), np.zeros(len(records.units), bool)
    groups: dict[str, list[int]] = {}
    for row, unit in enumerate(records.units):
        groups.setdefault(unit, []).append(row)
    for unit, rows in groups.items():
        quantity = next(one for one in kind.quantities if unit in one.maps)
        part = value_part(quantity, quantity.maps[unit])
        milli[rows], is_value[rows] = read_numbers([records.values[row] for row in rows], part)
    return np.where(is_value, milli, 0), is_value
