"""Elements that a kind reads by its paths, as columns of Python objects that become columns of numbers.

An element is left if anything in it is unusual: then the strict reader, `windrow.payloads.decode`, says what it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from windrow.columns.arrays import Int64s, Mask
from windrow.columns.strings import Strings
from windrow.payloads.contract import Contract, Decoder, FieldTest, Kind, Quantity, Template
from windrow.payloads.paths import Path, Step
from windrow.payloads.time_values import read_event_times
from windrow.payloads.values import value_part
from windrow.quantities import Quantity as SeriesQuantity
from windrow.reading import SEQUENCE_MAX
from windrow.wire.json.ids import distinct_ids
from windrow.wire.json.numbers import read_numbers
from windrow.wire.json.objects import UNSURE, Written

_SURE_DIGITS_MAX = 18


@dataclass(frozen=True, slots=True, eq=False)
class ColumnsOfKind:
    """n readings: element, int64[n], the place of its element, ascending; distinct ids, and each reading's columns.

    quantity: int64[n], its place in the quantities; is_left, bool[elements]: not surely readings and nothing else.
    """

    ids: Strings
    quantities: Sequence[SeriesQuantity]
    element: Int64s
    quantity: Int64s
    id_place: Int64s
    event_time_ms: Int64s
    sequence: Int64s
    value_milli: Int64s
    is_left: Mask


class Elements:
    """n elements of one kind, and the whole payload of each."""

    def __init__(self, kind: Kind, elements: Sequence[object], roots: Sequence[object]) -> None:
        """Read nothing yet."""
        self._kind = kind
        self._elements = elements
        self._roots = roots
        self._is_left = np.zeros(len(elements), bool)

    def read(self, arrived_ms: Int64s) -> ColumnsOfKind:
        """Return the readings of all elements that surely have some; arrived_ms: int64[n]."""
        kind = self._kind
        ids, place = self._ids(kind.sensor_id)
        times = None if kind.time_path is None else self._found(kind.time_path)
        if kind.time is None:
            raise TypeError(f"the kind {kind.name} has no time")
        event_time_ms, is_time = read_event_times(kind.time, times, arrived_ms)
        sequence, is_sequence = self._sequences(kind.sequence)
        self._is_left |= ~is_time | ~is_sequence
        rows, values = zip(*(self._values(quantity) for quantity in kind.quantities), strict=True)
        element, quantity = np.concatenate(rows), np.repeat(np.arange(len(rows)), [len(one) for one in rows])
        milli = np.concatenate(values)
        self._is_left |= np.bincount(element, minlength=len(place)) == 0
        if len(rows) > 1:
            order = np.argsort(element, kind="stable")
            element, quantity, milli = element[order], quantity[order], milli[order]
        return ColumnsOfKind(
            ids=ids,
            quantities=[SeriesQuantity(one.name, one.unit) for one in kind.quantities],
            element=element,
            quantity=quantity,
            id_place=place[element],
            event_time_ms=event_time_ms[element],
            sequence=sequence[element],
            value_milli=milli,
            is_left=self._is_left,
        )

    def _found(self, path: Path) -> list[object]:
        """Return what is at a path, None where nothing is, for each element."""
        first, *others = path.choices or ((),)
        base = self._roots if path.is_from_root else self._elements
        found = _walk(base, first)
        for steps in others:
            if any(map(_is_false, found)):
                more = _walk(base, steps)
                found = [other if _is_false(one) else one for one, other in zip(found, more, strict=True)]
        return found

    def _ids(self, template: Template | None) -> tuple[Strings, Int64s]:
        if template is None:
            raise TypeError("a kind that is read by paths has a sensor id")
        columns = [_texts(self._found(path)) for path in template.paths]
        for column in columns:
            self._is_left |= np.fromiter((not one for one in column), bool, len(column))
        if len(columns) == 1 and template.texts == ("", ""):
            joined = columns[0]
        else:
            parts: list[Sequence[str]] = [[template.texts[0]] * len(self._elements)]
            for column, text in zip(columns, template.texts[1:], strict=True):
                parts += [column, [text] * len(column)]
            joined = ["".join(row) for row in zip(*parts, strict=True)]
        ids, place, is_id = distinct_ids(joined)
        self._is_left |= ~is_id
        return ids, place

    def _sequences(self, path: Path | None) -> tuple[Int64s, Mask]:
        if path is None:
            return np.zeros(len(self._elements), np.int64), np.ones(len(self._elements), bool)
        integers = [_sequence(one) for one in self._found(path)]
        is_sequence = np.fromiter((one >= 0 for one in integers), bool, len(integers))
        return np.array(integers, np.int64), is_sequence

    def _values(self, quantity: Quantity) -> tuple[Int64s, Int64s]:
        """Return the elements that have the quantity, ascending, and its thousandths."""
        found = self._found(quantity.path)
        has_value = np.fromiter((one is not None for one in found), bool, len(found))
        if quantity.is_required:
            self._is_left |= ~has_value
        rows = np.flatnonzero(has_value)
        if len(rows) < len(found):
            found = [found[row] for row in rows.tolist()]
        if quantity.missing_texts:
            says_none = (type(one) is str and one.strip() in quantity.missing_texts for one in found)
            self._is_left[rows] |= np.fromiter(says_none, bool, len(found))
        if quantity.unit_path is None:
            milli, is_value = read_numbers(found, value_part(quantity, quantity.map), are_texts=True)
        else:
            units = self._found(quantity.unit_path)
            milli, is_value = _in_units(quantity, found, [units[row] for row in rows.tolist()])
        self._is_left[rows[~is_value]] = True
        return rows, np.where(is_value, milli, 0)


def has_plain_paths(kind: Kind) -> bool:
    """Return whether all that a kind asks for and tests for are fields and indexes."""
    paths = [test.path for test in kind.tests]
    if kind.decoder is Decoder.PATHS:
        paths += [one for one in (kind.each, kind.time_path, kind.sequence) if one is not None]
        paths += kind.sensor_id.paths if kind.sensor_id else ()
        paths += [quantity.path for quantity in kind.quantities]
        paths += [quantity.unit_path for quantity in kind.quantities if quantity.unit_path is not None]
    return all(path.choices is not None for path in paths)


def kind_of_value(contract: Contract, value: object) -> int | None:
    """Return the place of the kind that a value surely is of; None if it is of none, or in doubt."""
    if value is UNSURE:
        return None
    for place, kind in enumerate(contract.kinds):
        if kind.decoder is Decoder.SENML:
            if type(value) is list:
                return place
        elif type(value) is dict:
            holds = [_holds(test, value) for test in kind.tests]
            if None in holds:
                return None
            if all(holds):
                return place
    return None


def _holds(test: FieldTest, value: object) -> bool | None:
    """Return whether a test holds; None in doubt."""
    found = test.path.find(value, value)
    if not test.exists:
        return found is None
    if test.equals is None:
        return found is not None
    text = _text(found)
    return None if text is None and type(found) is int else text == test.equals


def _walk(values: Sequence[object], steps: Sequence[Step]) -> list[object]:
    found = list(values)
    for step in steps:
        if isinstance(step, str):
            found = [one.get(step) if type(one) is dict else None for one in found]
        else:
            found = [one[step] if type(one) is list and -len(one) <= step < len(one) else None for one in found]
    return found


def _is_false(value: object) -> bool:
    """Return whether JMESPath passes over a value: nothing, false, or empty; no number."""
    return value is None or value is False or (type(value) in (str, list, dict) and not value)


def _texts(values: Sequence[object]) -> list[str]:
    """Return texts of ids, empty where there is none, or in doubt."""
    return [one if type(one) is str else _text(one) or "" for one in values]


def _text(value: object) -> str | None:
    """Return a text, or how a number or true or false is written; None of all else, and of what may be -0."""
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is int:
        return str(value) if value else None
    if isinstance(value, Written):
        return bytes(value).decode()
    return None if kind is not bool else "true" if value else "false"


def _sequence(value: object) -> int:
    """Return a sequence, 0 where there is none; -1 in doubt."""
    if value is None:
        return 0
    if type(value) is int and 0 <= value <= SEQUENCE_MAX:
        return value
    if type(value) is str and len(value) <= _SURE_DIGITS_MAX and value.isascii() and value.isdigit():
        return int(value)
    return -1


def _in_units(quantity: Quantity, values: Sequence[object], units: Sequence[object]) -> tuple[Int64s, Mask]:
    """Return the thousandths of values whose units the payload says, and which they surely are."""
    milli, is_value = np.zeros(len(values), np.int64), np.zeros(len(values), bool)
    groups: dict[str | None, list[int]] = {}
    for row, unit in enumerate(units):
        if unit is None or (type(unit) is str and unit in quantity.maps):
            groups.setdefault(unit, []).append(row)
    for unit, rows in groups.items():
        part = value_part(quantity, quantity.map if unit is None else quantity.maps[unit])
        milli[rows], is_value[rows] = read_numbers([values[row] for row in rows], part, are_texts=True)
    return milli, is_value
