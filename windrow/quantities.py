"""Quantities and series: what is aggregated is a series, one quantity of one sensor in one unit.

The core knows a series as one string: the sensor id, and behind it, unless it is a temperature, the quantity and its
unit, each after a U+001F, which no id may hold:

    roof                             the temperature of the sensor `roof`, in C
    roof U+001F humidity U+001F %    its humidity

Whatever else a string has behind a U+001F, all of it is taken as an id, and as such it breaks the rule.

So a fleet of thermometers has bare ids, and all series of a sensor stand together, temperature first, wherever strings
ascend. The unit is a part of the series: values in two units are never added up, and rows need no table of units.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from windrow.columns.arrays import Int32s, Int64s
from windrow.columns.strings import Strings

SEPARATOR = "\x1f"
QUANTITY_CHARACTERS_MAX = 63
UNIT_CHARACTERS_MAX = 32
# Absolute zero, and more than any thermometer of a fleet measures.
TEMPERATURE_MIN_MILLI = -273_150
TEMPERATURE_MAX_MILLI = 10_000_000
# Thousandths of any unit are stored in 32 bits.
MILLI_MIN, MILLI_MAX = -(2**31), 2**31 - 1

_OCTET = ord(SEPARATOR)
_NAME = re.compile(rf"[a-z][a-z0-9_]{{0,{QUANTITY_CHARACTERS_MAX - 1}}}")
_UNIT = re.compile(rf"(?! )[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{{1,{UNIT_CHARACTERS_MAX}}}(?<! )")


@dataclass(frozen=True, slots=True, order=True)
class Quantity:
    """What is measured, and the unit whose thousandths its values are.

    name: small letters, digits and _, a letter first, at most 63. unit: at most 32 characters without control
    characters and without spaces around it; a temperature's is C. ValueError says which of these is broken.
    """

    name: str
    unit: str

    def __post_init__(self) -> None:
        """Check the name and the unit."""
        if not _NAME.fullmatch(self.name):
            detail = f"at most {QUANTITY_CHARACTERS_MAX} small letters, digits and _, a letter first"
            raise ValueError(f"{ascii(self.name)[:80]} is no name of a quantity: {detail}")
        if not _UNIT.fullmatch(self.unit):
            detail = f"1 to {UNIT_CHARACTERS_MAX} characters, no control characters, no spaces around them"
            raise ValueError(f"{ascii(self.unit)[:80]} is no unit: {detail}")
        if self.name == "temperature" and self.unit != "C":
            raise ValueError(f"the unit of a temperature is C, not {ascii(self.unit)[:80]}")

    @property
    def min_milli(self) -> int:
        """The least thousandths that a value may have."""
        return TEMPERATURE_MIN_MILLI if self.name == "temperature" else MILLI_MIN

    @property
    def max_milli(self) -> int:
        """The greatest thousandths that a value may have."""
        return TEMPERATURE_MAX_MILLI if self.name == "temperature" else MILLI_MAX

    @property
    def suffix(self) -> str:
        """What stands behind the sensor id in a series; empty for a temperature."""
        return "" if self == TEMPERATURE else f"{SEPARATOR}{self.name}{SEPARATOR}{self.unit}"


TEMPERATURE = Quantity("temperature", "C")
"""The quantity that is built in, and the default everywhere."""
SERIES_SUFFIX_CHARACTERS_MAX = 2 + QUANTITY_CHARACTERS_MAX + UNIT_CHARACTERS_MAX


def series_of(sensor_id: str, quantity: Quantity = TEMPERATURE) -> str:
    """Return the series of one quantity of a sensor: the bare id for a temperature."""
    return sensor_id + quantity.suffix


def parts_of(series: str) -> tuple[str, Quantity]:
    """Return the sensor id and the quantity of a series; what is no series is all id, of a temperature."""
    sensor_id = series.partition(SEPARATOR)[0]
    quantity = _quantity_of(series[len(sensor_id) :].encode(errors="replace"))
    return (series, TEMPERATURE) if quantity is None else (sensor_id, quantity)


def name_of(series: str) -> str:
    """Return a series for people: `roof`, or `roof humidity`."""
    sensor_id, quantity = parts_of(series)
    return sensor_id if quantity == TEMPERATURE else f"{sensor_id} {quantity.name}"


@dataclass(frozen=True, slots=True, eq=False)
class SeriesParts:
    """The parts of k series. sensor_ids: k ids, possibly repeated; kind: int32[k], positions in `quantities`.

    `quantities` is (TEMPERATURE,) if all are bare ids.
    """

    sensor_ids: Strings
    quantities: tuple[Quantity, ...]
    kind: Int32s

    @property
    def names(self) -> Strings:
        """The name of each series' quantity."""
        return Strings.of([one.name for one in self.quantities]).take(self.kind)

    @property
    def units(self) -> Strings:
        """The unit of each series."""
        return Strings.of([one.unit for one in self.quantities]).take(self.kind)


def are_bare(series: Strings) -> bool:
    """Return whether no series has a quantity: all are temperatures. A search for one byte, the fastest way to tell."""
    return SEPARATOR.encode() not in series.octets.tobytes()


def split_series(series: Strings) -> SeriesParts:
    """Split k series into their parts; a few numpy calls, and for bare ids one pass over their bytes."""
    if are_bare(series):
        return SeriesParts(series, (TEMPERATURE,), np.zeros(len(series), np.int32))
    separators = np.flatnonzero(series.octets == _OCTET)
    owner = np.searchsorted(series.offsets, separators, side="right") - 1
    starts, ends = series.offsets[:-1], series.offsets[1:]
    id_end = ends.copy()
    id_end[owner[::-1]] = separators[::-1]  # of several separators the first is written last
    suffixes, kind = Strings.of_slices(series.octets, id_end, ends - id_end).rank()
    found = [_quantity_of(suffixes.octets_at(place)) for place in range(len(suffixes))]
    is_all_id = np.array([quantity is None for quantity in found])[kind]
    id_end[is_all_id] = ends[is_all_id]
    quantities = tuple(quantity or TEMPERATURE for quantity in found)
    ids = Strings.of_slices(series.octets, starts, id_end - starts)
    return SeriesParts(ids, quantities, kind.astype(np.int32))


def join_series(sensor_ids: Strings, names: Strings, units: Strings) -> Strings:
    """Join k ids, names of quantities and units to k series: the inverse of `split_series`.

    ValueError for a name or a unit that is none.
    """
    if _are_all(names, TEMPERATURE.name.encode()) and _are_all(units, TEMPERATURE.unit.encode()):
        return sensor_ids
    distinct_names, name = names.rank()
    distinct_units, unit = units.rank()
    pairs, kind = np.unique(name * len(distinct_units) + unit, return_inverse=True)
    of_names, of_units = distinct_names.to_list(), distinct_units.to_list()
    chosen = [Quantity(of_names[one // len(of_units)], of_units[one % len(of_units)]) for one in pairs.tolist()]
    return with_suffixes(sensor_ids, Strings.of([one.suffix for one in chosen]), kind)


def series_in(sensor_ids: Strings, quantity: Quantity) -> Strings:
    """Return k series, those of one quantity of the sensors."""
    if not quantity.suffix:
        return sensor_ids
    return with_suffixes(sensor_ids, Strings.of([quantity.suffix]), np.zeros(len(sensor_ids), np.int64))


def with_suffixes(strings: Strings, suffixes: Strings, which: Int64s) -> Strings:
    """Return k strings, each with `suffixes[which]` behind it."""
    behind = suffixes.take(which)
    offsets = strings.offsets + behind.offsets
    octets = np.empty(int(offsets[-1]), np.uint8)
    octets[np.arange(len(strings.octets)) + np.repeat(behind.offsets[:-1], strings.lengths)] = strings.octets
    octets[np.arange(len(behind.octets)) + np.repeat(strings.offsets[1:], behind.lengths)] = behind.octets
    return Strings(offsets, octets)


@lru_cache(maxsize=1024)
def _quantity_of(suffix: bytes) -> Quantity | None:
    """Return the quantity of the suffix of a series; None if it is none."""
    if not suffix:
        return TEMPERATURE
    try:
        _, name, unit = suffix.decode().split(SEPARATOR)
        quantity = Quantity(name, unit)
    except ValueError:  # UnicodeDecodeError is one
        return None
    return None if quantity == TEMPERATURE else quantity  # the series of a temperature is the bare id


def _are_all(strings: Strings, octets: bytes) -> bool:
    """Return whether every string is `octets`."""
    if strings.width != len(octets):
        return not len(strings)
    return strings.octets.tobytes() == octets * len(strings)
