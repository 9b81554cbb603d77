"""The parts of a SenML pack: which values of an example are names, times and values of its records.

Only what `windrow.payloads.senml` reads from any pack with the same fields: names and units as texts, times whose sum
needs no rounding of its own, and no base value.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import partial

from windrow.payloads.contract import Kind
from windrow.payloads.example import Example, UnusualError, span_of
from windrow.payloads.parts import TextId, WholeSeconds
from windrow.payloads.roles import ElementColumns
from windrow.payloads.values import value_part
from windrow.timestamps import INSTANT_MS_MAX, INSTANT_MS_MIN
from windrow.wire.json.layout import PLAIN_TEXT
from windrow.wire.json.leaves import Leaf
from windrow.wire.json.mapped import MappedNumber
from windrow.wire.json.parts import LayoutPart
from windrow.wire.json.shape import ValueSpan

_BASE = ("bn", "bt", "bu", "bv", "bver")
Record = Mapping[str, Leaf]
"""The leaves of a record by their fields."""


def record_columns(example: Example, kind: Kind) -> tuple[ElementColumns, ...]:
    """Give the leaves of a pack their parts, and return what is read of each record with a value in a unit of `kind`.

    UnusualError if something is written in another way; all ids are of as many parts.
    """
    base: dict[str, Leaf] = {}
    found: list[ElementColumns] = []
    given: dict[Leaf, str] = {}
    for record in _records(example):
        base |= {key: record[key] for key in _BASE if key in record}
        if "bver" in base:
            example.keep(base["bver"].path)
        if "bv" in base or any(key.endswith("_") for key in record):
            raise UnusualError("a base value, or a field that must be understood")
        columns = _columns(example, kind, record, base, given) if "v" in record else None
        if columns is not None:
            found.append(columns)
    if len({len(one.ids) for one in found}) != 1:
        raise UnusualError("ids of different parts")
    return tuple(found)


def _records(example: Example) -> Sequence[Record]:
    records: defaultdict[object, dict[str, Leaf]] = defaultdict(dict)
    for path, leaf in example.leaves.items():
        if len(path) != 2:
            raise UnusualError("a record that is no flat object")
        records[path[0]][str(path[1])] = leaf
    return list(records.values())


def _columns(
    example: Example, kind: Kind, record: Record, base: Record, given: dict[Leaf, str]
) -> ElementColumns | None:
    """Return what is read of one record; None if its unit is none of ours, as in all packs of this layout.

    given: the columns of the leaves that have a part; records share those of base fields.
    """
    unit = record.get("u") or base.get("bu")
    if unit is None:
        return None
    example.keep(unit.path)
    named = json.loads(example.text_of(unit).encode("latin-1"))
    place = next((place for place, one in enumerate(kind.quantities) if named in one.maps), None)
    if place is None:
        return None
    quantity = kind.quantities[place]

    def column(leaf: Leaf, span: Callable[[str], ValueSpan]) -> str:
        if leaf not in given:
            given[leaf] = f"{leaf.path[-1]} of {leaf.path[0]}"
            example.give(leaf.path, span(given[leaf]))
        return given[leaf]

    def number(leaf: Leaf, part: Callable[[str], LayoutPart]) -> str:
        return column(leaf, lambda name: span_of(part(name), example.number(leaf)))

    ids = [one for one in (base.get("bn"), record.get("n")) if one is not None]
    times = [number(base["bt"], _seconds)] if "bt" in base else []
    if "t" in record:
        times.append(number(record["t"], WholeSeconds if times else _seconds))
    value = number(record["v"], lambda name: value_part(quantity, quantity.maps[named], name=name))
    return ElementColumns(
        ids=tuple(column(leaf, partial(_text, example, leaf)) for leaf in ids),
        times=tuple(times),
        sequence=None,
        quantities=(place,),
        values=(value,),
    )


def _text(example: Example, leaf: Leaf, name: str) -> ValueSpan:
    if not PLAIN_TEXT.fullmatch(example.text_of(leaf)):
        raise UnusualError("a name that is no text, or has escapes")
    return ValueSpan(TextId(name), leaf.start + 1, leaf.end - 1)


def _seconds(name: str) -> MappedNumber:
    return MappedNumber.of(name, Fraction(1000), Fraction(0), least=INSTANT_MS_MIN, most=INSTANT_MS_MAX)
