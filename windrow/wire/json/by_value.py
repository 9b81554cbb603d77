"""The default form of payloads that have no common layout: their values by msgspec, the readings as columns.

A payload is read only if `windrow.wire.json.strict.parse_reading` would give the same reading. In doubt it is left.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np

from windrow.columns.arrays import Int64s, Mask
from windrow.columns.payloads import Payloads
from windrow.columns.strings import Strings
from windrow.quantities import TEMPERATURE, Quantity, series_in
from windrow.reading import Readings
from windrow.timestamps import INSTANT_MS_MAX, INSTANT_MS_MIN
from windrow.wire.json.ids import distinct_ids
from windrow.wire.json.mapped import MappedNumber
from windrow.wire.json.numbers import read_numbers, read_times
from windrow.wire.json.objects import in_chunks, read_values

# Of one quantity in one unit; the units are as many as somebody cares to write.
_GROUP_MIN = 4
# Thousandths of °C of one unit, as `value * factor + offset`.
_TEMPERATURES = {
    "C": (Fraction(1000), Fraction(0)),
    "F": (Fraction(5000, 9), Fraction(-160_000, 9)),
    "K": (Fraction(1000), Fraction(-273_150)),
}
Group = tuple[str, str]
"""The quantity and the unit that a payload names."""


def read_by_value(payloads: Payloads, which: Int64s) -> tuple[Readings, Int64s]:
    """Return the readings of those payloads of `which` that surely are readings, and which they are: int64[m].

    which: ascending; all of a length that the strict reader accepts.
    """
    read: list[Readings] = []
    rows: list[Int64s] = []
    for chunk in in_chunks(payloads, which):
        values = read_values(payloads.objects(chunk))
        chosen = [place for place, value in enumerate(values) if type(value) is dict]
        readings, is_read = read_fields([values[place] for place in chosen])  # type: ignore[misc]
        read.append(readings)
        rows.append(chunk[np.array(chosen, np.int64)[is_read]])
    return Readings.concat(read), np.concatenate(rows)


def read_fields(objects: Sequence[Mapping[str, object]]) -> tuple[Readings, Mask]:
    """Return the readings of those objects that surely are readings, in order, and which they are: bool[n]."""
    ids, times = [one.get("sensor_id") for one in objects], [one.get("event_time") for one in objects]
    is_read = np.fromiter((type(one) is str for one in ids), bool, len(ids))
    distinct, place, is_id = distinct_ids([one if type(one) is str else "" for one in ids])
    time_ms, is_time = _times(times)
    sequence, is_sequence = _integers([one.get("sequence", 0) for one in objects], least=0, most=2**63 - 1)
    milli, quantity_of, quantities, is_value = _values(objects)
    is_read &= is_id & is_time & is_sequence & is_value
    ids_of_each = [series_in(distinct, quantity) for quantity in quantities]
    readings = Readings(
        sensor_ids=ids_of_each[0] if len(ids_of_each) == 1 else Strings.concat(ids_of_each),
        sensor=(place + quantity_of * len(distinct)).astype(np.int32),
        event_time_ms=time_ms,
        sequence=sequence,
        value_milli=milli.astype(np.int32),
    )
    return readings.take(is_read), is_read


def _integers(values: Sequence[object], *, least: int, most: int) -> tuple[Int64s, Mask]:
    """Return integers, int64[n], and which of the values are integers from `least` to `most`, bool[n]."""
    is_read = [type(one) is int and least <= one <= most for one in values]
    integers = [one if ok else 0 for one, ok in zip(values, is_read, strict=True)]
    return np.array(integers, np.int64), np.array(is_read, bool)


def _times(values: Sequence[object]) -> tuple[Int64s, Mask]:
    instants, is_read = _integers(values, least=INSTANT_MS_MIN, most=INSTANT_MS_MAX)
    if not is_read.all():
        of_texts, is_text = read_times(values)
        instants, is_read = np.where(is_text, of_texts, instants), is_read | is_text
    return instants, is_read


def _values(objects: Sequence[Mapping[str, object]]) -> tuple[Int64s, Int64s, list[Quantity], Mask]:
    """Return the thousandths of each object, the place of its quantity, the quantities, and which objects have any."""
    groups: dict[Group, list[int]] = {}
    values: list[object] = []
    others = np.zeros(len(objects), bool)
    for row, fields in enumerate(objects):
        if "temperature" in fields and "unit" not in fields:
            values.append(fields["temperature"])
            continue
        name, unit, value = _value(fields)
        values.append(value)
        others[row] = True
        if type(name) is str and type(unit) is str:
            groups.setdefault((name, unit), []).append(row)
    usual = np.flatnonzero(~others).tolist()
    if usual:
        groups.setdefault((TEMPERATURE.name, TEMPERATURE.unit), []).extend(usual)
    milli, quantity_of = np.zeros(len(objects), np.int64), np.zeros(len(objects), np.int64)
    is_value, quantities = np.zeros(len(objects), bool), [TEMPERATURE]
    for (name, unit), rows in groups.items():
        part = _part(name, unit)
        if part is None or len(rows) < _GROUP_MIN:
            continue
        quantity = TEMPERATURE if name == TEMPERATURE.name else Quantity(name, unit)
        if quantity not in quantities:
            quantities.append(quantity)
        chosen = [values[row] for row in rows]
        milli[rows], is_value[rows] = read_numbers(chosen, part)
        quantity_of[rows] = quantities.index(quantity)
    return np.where(is_value, milli, 0), quantity_of, quantities, is_value


def _value(fields: Mapping[str, object]) -> tuple[object, object, object]:
    """Return the names of the quantity and the unit, and the value, as the strict reader finds them."""
    if "temperature" in fields or "quantity" not in fields:
        return TEMPERATURE.name, fields.get("unit", "C"), fields.get("temperature")
    name = fields["quantity"]
    return name, fields.get("unit", "C" if name == TEMPERATURE.name else None), fields.get("value")


@lru_cache(maxsize=256)
def _part(name: str, unit: str) -> MappedNumber | None:
    """Return what reads the values of a quantity in a unit; None if there is no such quantity."""
    if name == TEMPERATURE.name:
        if unit not in _TEMPERATURES:
            return None
        factor, offset = _TEMPERATURES[unit]
        return MappedNumber.of("value", factor, offset, least=TEMPERATURE.min_milli, most=TEMPERATURE.max_milli)
    try:
        quantity = Quantity(name, unit)
    except ValueError:
        return None
    return MappedNumber.of("value", Fraction(1000), Fraction(0), least=quantity.min_milli, most=quantity.max_milli)
