"""SenML packs (RFC 8428) as columns: what `windrow.payloads.senml` reads from them, or nothing."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact

import numpy as np

from windrow.columns.arrays import Int64s, Mask
from windrow.payloads.contract import Kind
from windrow.payloads.elements import ColumnsOfKind
from windrow.payloads.senml import RELATIVE_BELOW_MS
from windrow.payloads.values import value_part
from windrow.quantities import Quantity
from windrow.timestamps import INSTANT_MS_MAX, INSTANT_MS_MIN
from windrow.wire.json.ids import distinct_ids
from windrow.wire.json.numbers import decimal_of, read_numbers
from windrow.wire.json.objects import Written

_VERSION_MAX = 10
_BASE = frozenset({"bn", "bt", "bu", "bv", "bver"})
_USUAL = _BASE | {"n", "u", "v", "t"}
_OTHER_VALUES = ("vs", "vb", "vd", "s")
_EXACTLY = Context(prec=2_200, traps=[Inexact])  # both summands have at most 64 digits, and exponents to 999
_WHOLE = Context(prec=2_200)


class _UnsureError(ValueError):
    """A pack in which something is unusual."""


_Record = tuple[int, str, int, int, str, object]
"""A reading: the place of its pack, its id, its time in ms since 1970 or since the arrival, the place of its quantity,
its unit and its value."""


def read_packs(kind: Kind, packs: Sequence[object], arrived_ms: Int64s) -> ColumnsOfKind:
    """Return the readings of those packs that surely are readings and what is passed over; arrived_ms: int64[n]."""
    quantity_of: dict[str, int] = {}
    for at, quantity in enumerate(kind.quantities):
        for unit in quantity.maps:
            quantity_of.setdefault(unit, at)
    records: list[_Record] = []
    is_left = np.zeros(len(packs), bool)
    for number, pack in enumerate(packs):
        before = len(records)
        try:
            if not isinstance(pack, list):
                raise _UnsureError
            _add(records, number, pack, quantity_of)
        except (_UnsureError, Inexact):
            is_left[number] = True
        is_left[number] |= len(records) == before
    pack_of = np.array([one[0] for one in records], np.int64)
    ids, place, is_id = distinct_ids([one[1] for one in records])
    times_ms = np.array([one[2] for one in records], np.int64)
    times_ms = times_ms + np.where(times_ms < RELATIVE_BELOW_MS, arrived_ms[pack_of], 0)
    milli, is_value = _values(kind, records)
    is_read = is_id & is_value & (times_ms >= INSTANT_MS_MIN) & (times_ms <= INSTANT_MS_MAX)
    is_left[pack_of[~is_read]] = True
    return ColumnsOfKind(
        ids=ids,
        quantities=[Quantity(one.name, one.unit) for one in kind.quantities],
        element=pack_of,
        quantity=np.array([one[3] for one in records], np.int64),
        id_place=place,
        event_time_ms=times_ms,
        sequence=np.zeros(len(pack_of), np.int64),
        value_milli=milli,
        is_left=is_left,
    )


def _add(records: list[_Record], number: int, pack: Sequence[object], quantity_of: Mapping[str, int]) -> None:
    """Add the readings of one pack; _UnsureError if it has to be read strictly."""
    base: dict[str, object] = {}
    name: object = ""
    time, time_ms = Decimal(0), 0
    for record in pack:
        if type(record) is not dict:
            raise _UnsureError
        if not _BASE.isdisjoint(record):
            base.update((key, record[key]) for key in _BASE if key in record)
            version = base.get("bver", _VERSION_MAX)
            if type(version) is not int or version > _VERSION_MAX:
                raise _UnsureError
            name, time = base.get("bn", ""), _decimal(base.get("bt"))
            time_ms = _rounded_ms(time)
        if not _USUAL.issuperset(record) and any(key[-1:] == "_" for key in record):
            raise _UnsureError
        if "v" not in record and ("bv" not in base or any(key in record for key in _OTHER_VALUES)):
            continue
        unit, own_name, own_time = record.get("u", base.get("bu")), record.get("n", ""), record.get("t", 0)
        if unit is None or (type(unit) is str and unit not in quantity_of):
            continue
        if type(unit) is not str or type(own_name) is not str or type(name) is not str:
            raise _UnsureError
        # Whole seconds are an even number of milliseconds: they change nothing about how the base time is rounded.
        is_whole = type(own_time) is int and -INSTANT_MS_MAX <= own_time <= INSTANT_MS_MAX
        at_ms = time_ms + 1000 * own_time if is_whole else _rounded_ms(_EXACTLY.add(time, _decimal(own_time)))
        if at_ms == RELATIVE_BELOW_MS or not INSTANT_MS_MIN <= at_ms <= INSTANT_MS_MAX:
            raise _UnsureError  # rounded, it does not tell any more on which side it was
        value = _value(record.get("v"), base.get("bv"))
        records.append((number, name + own_name, at_ms, quantity_of[unit], unit, value))


def _value(own: object, base: object) -> object:
    """Return the sum of a value and the base value, as a number that `read_numbers` takes."""
    if base is None:
        return 0 if own is None else own
    return Written(str(_EXACTLY.add(_decimal(own), _decimal(base))))


def _rounded_ms(time_s: Decimal) -> int:
    return int(_EXACTLY.multiply(time_s, Decimal(1000)).to_integral_value(ROUND_HALF_EVEN, _WHOLE))


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


def _values(kind: Kind, records: Sequence[_Record]) -> tuple[Int64s, Mask]:
    """Return the thousandths of the records' values, and which they surely are."""
    milli, is_value = np.zeros(len(records), np.int64), np.zeros(len(records), bool)
    groups: dict[tuple[int, str], list[int]] = {}
    for row, record in enumerate(records):
        groups.setdefault((record[3], record[4]), []).append(row)
    for (place, unit), rows in groups.items():
        quantity = kind.quantities[place]
        part = value_part(quantity, quantity.maps[unit])
        milli[rows], is_value[rows] = read_numbers([records[row][5] for row in rows], part)
    return np.where(is_value, milli, 0), is_value
