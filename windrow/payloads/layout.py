"""Layouts of payloads under a contract, each derived from one payload as an example.

Payloads with the fields of the example, in its order and with its spaces, are read together as columns. What the
contract asks for is read by the parts that are made for it, what it tests for must be as in the example, and all else
is skipped.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Self

import numpy as np

from windrow.columns.arrays import Int64s
from windrow.columns.payloads import Payloads
from windrow.columns.words import ROWS_AT_ONCE
from windrow.payloads.contract import Contract, Decoder, FieldTest, Framing, Kind, Quantity
from windrow.payloads.decode import decode, kind_of
from windrow.payloads.parts import NumberId, TextId
from windrow.payloads.paths import Path, Step
from windrow.payloads.times import EPOCH_SIZES, EPOCH_UNITS_PER_S, epoch_units
from windrow.payloads.units import LinearMap
from windrow.payloads.values import bounds_of
from windrow.reading import SEQUENCE_MAX, BadReading
from windrow.timestamps import INSTANT_MS_MAX, INSTANT_MS_MIN
from windrow.wire.json.cursor import Cursor
from windrow.wire.json.layout import DIGITS, NUMBER, PLAIN_TEXT, RFC_3339, WORDS, ignored, rfc3339_time
from windrow.wire.json.leaves import Leaf, leaves, with_whole_arrays
from windrow.wire.json.mapped import MappedNumber
from windrow.wire.json.parts import LayoutPart, Literal, UnsignedInteger
from windrow.wire.json.shape import ValueSpan
from windrow.wire.json.values import parse_value

Columns = dict[str, Int64s]
_FRAMINGS = frozenset({Framing.OBJECT, Framing.LINES, Framing.CONCATENATED})
ELEMENTS_MAX = 64
"""Payloads with more elements are not read as columns: each element has parts of its own."""
_EPOCH = re.compile(r"epoch(_\w+)?")


class _UnusualError(ValueError):
    """Something in the contract or the example that no part reads."""


@dataclass(frozen=True, slots=True)
class ElementColumns:
    """The names of the columns that one element of a payload is read to; elements may share some.

    ids: one for each part of the id, TextId or NumberId. time and sequence: None if the payload does not say them.
    quantities: the places, in those of the kind, of the quantities that the element has; values: a column for each.
    """

    ids: tuple[str, ...]
    time: str | None
    sequence: str | None
    quantities: tuple[int, ...]
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContractLayout:
    """The parts of a payload in their order, its kind, and the columns of each of its elements, usually one."""

    kind: Kind
    elements: tuple[ElementColumns, ...]
    parts: tuple[LayoutPart, ...]

    @classmethod
    def of(cls, contract: Contract, example: bytes) -> Self | None:
        """Derive the layout of a payload; None unless it is readings and nothing else, written in a usual way."""
        decoded = decode(contract, example, arrival_ms=0)
        if decoded.refusals or not decoded.readings or contract.framing not in _FRAMINGS:
            return None
        text = example.decode("latin-1")
        if contract.framing is Framing.LINES and "\n" in text.strip():
            return None
        try:
            return cls._of(contract, kind_of(contract, parse_value(example)), text)
        except (_UnusualError, BadReading):  # of several values in a frame, `parse_value` takes none
            return None

    @classmethod
    def _of(cls, contract: Contract, kind: Kind | None, text: str) -> Self:
        if kind is None or kind.decoder is not Decoder.PATHS:
            raise _UnusualError("no kind that is read by paths")
        roles = _Roles(text)
        for other in contract.kinds[: contract.kinds.index(kind) + 1]:
            for test in other.tests:
                roles.fix(test)
        elements = tuple(roles.assign(kind, place) for place in roles.places(kind))
        parts: list[LayoutPart] = []
        last_end = 0
        for span in roles.spans():
            parts += [Literal(text[last_end : span.start].encode("latin-1")), span.part]
            last_end = span.end
        return cls(kind, elements, (*parts, Literal(text[last_end:].encode("latin-1"))))

    def read(self, payloads: Payloads, rows: Int64s) -> Iterator[tuple[Int64s, Columns]]:
        """Yield the numbers of the payloads among `rows` that have this layout, and what they hold, chunk by chunk.

        The columns, int64[m] each, are those that the elements name; of an id's part, start and length.
        """
        for first in range(0, len(rows), ROWS_AT_ONCE):
            yield self._read(payloads, rows[first : first + ROWS_AT_ONCE])

    def _read(self, payloads: Payloads, rows: Int64s) -> tuple[Int64s, Columns]:
        cursor = Cursor(payloads.octets, payloads.starts[rows])
        end = cursor.at + payloads.lengths[rows]
        columns: Columns = {}
        for part in self.parts:
            columns |= part.read(cursor)
            if 2 * np.count_nonzero(cursor.is_accepted) < len(rows):
                stay = cursor.drop_refused()
                rows, end = rows[stay], end[stay]
                columns = {name: column[stay] for name, column in columns.items()}
                if not len(rows):
                    return rows, {}
        cursor.refuse_unless(cursor.at == end)
        if cursor.is_accepted.all():
            return rows, columns
        return rows[cursor.is_accepted], {name: column[cursor.is_accepted] for name, column in columns.items()}


class _Roles:
    """What each leaf of an example is for: the part that reads it, or None if it must be as it is."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._leaves = {leaf.path: leaf for leaf in leaves(text)}
        self._parts: dict[tuple[Step, ...], ValueSpan | None] = {}
        self._asked: set[tuple[Step, ...]] = set()
        self._given: dict[str, str | None] = {}

    def fix(self, test: FieldTest) -> None:
        """Have what is tested be as in the example; that a text or a number is there the layout says in any case."""
        choices = self._choices(test.path, ())
        for steps in choices:
            leaf = self._leaves.get(steps)
            if leaf is not None and (test.equals is not None or len(choices) > 1 or self._text_of(leaf) in WORDS):
                self._parts[steps] = None

    def places(self, kind: Kind) -> list[tuple[Step, ...]]:
        """Return where the elements of a kind are: in the array that it names, or the whole payload."""
        if kind.each is None:
            return [()]
        (steps, *others) = self._choices(kind.each, ())
        numbers = {leaf[len(steps)] for leaf in self._leaves if len(leaf) > len(steps) and leaf[: len(steps)] == steps}
        if others or not 0 < len(numbers) <= ELEMENTS_MAX:
            raise _UnusualError(kind.each.text)
        return [(*steps, number) for number in range(len(numbers))]

    def assign(self, kind: Kind, place: tuple[Step, ...]) -> ElementColumns:
        """Make the parts for what a kind asks for in the element at `place`, and return what they read."""
        paths = kind.sensor_id.paths if kind.sensor_id else ()
        ids = [self._give(path, place, f"id{number}", self._id) for number, path in enumerate(paths)]
        time = sequence = None
        if kind.time_path is not None and kind.time is not None:
            time = self._give(kind.time_path, place, "time", partial(self._time, form=kind.time.form))
        if kind.sequence is not None:
            sequence = self._give(kind.sequence, place, "sequence", self._sequence)
        values = [
            (number, name)
            for number, quantity in enumerate(kind.quantities)
            if (name := self._give(quantity.path, place, f"value{number}", partial(self._value, quantity, place)))
        ]
        return ElementColumns(
            ids=tuple(name for name in ids if name is not None),
            time=time,
            sequence=sequence,
            quantities=tuple(number for number, _ in values),
            values=tuple(name for _, name in values),
        )

    def spans(self) -> Iterator[ValueSpan]:
        """Yield where values vary, ascending, and how each is read."""
        for leaf in with_whole_arrays(self._text, self._leaves.values(), asked=self._asked):
            span = self._parts[leaf.path] if leaf.path in self._parts else ignored(self._text_of(leaf), leaf.start)
            if span is not None:
                yield span

    def _choices(self, path: Path, place: tuple[Step, ...]) -> tuple[tuple[Step, ...], ...]:
        """Return the ways that a path may go, from the whole payload, if it is asked for in the element at `place`."""
        if path.choices is None or any(isinstance(step, int) and step < 0 for steps in path.choices for step in steps):
            raise _UnusualError(path.text)
        choices = path.choices if path.is_from_root else tuple((*place, *steps) for steps in path.choices)
        self._asked.update(choices)
        return choices

    def _give(
        self, path: Path, place: tuple[Step, ...], purpose: str, part_of: Callable[[Leaf, str], ValueSpan]
    ) -> str | None:
        """Give the leaf at `path` its part, and return the column that it reads; None if there is none, or a null.

        What elements share, because its path begins at the whole payload, is read once.
        """
        name = purpose if path.is_from_root or not place else f"{purpose} of {place[-1]}"
        if name in self._given:
            return self._given[name]
        self._given[name] = None
        choices = self._choices(path, place)
        for number, steps in enumerate(choices):
            leaf = self._leaves.get(steps)
            if leaf is None:
                continue
            text = self._text_of(leaf)
            if text in {"null", "false"} and (len(choices) > 1 or text == "null"):
                self._take(steps, None)
                continue
            if text.startswith('"') and number < len(choices) - 1:
                raise _UnusualError("an empty text would be passed over")
            self._take(steps, part_of(leaf, name))
            self._given[name] = name
            break
        return self._given[name]

    def _take(self, steps: tuple[Step, ...], part: ValueSpan | None) -> None:
        if part is not None and steps in self._parts:
            raise _UnusualError("one value for two purposes")
        self._parts[steps] = part

    def _text_of(self, leaf: Leaf) -> str:
        return self._text[leaf.start : leaf.end]

    def _number(self, leaf: Leaf) -> Leaf:
        """Return where the number is that a leaf is, or that its text holds without blanks."""
        text = self._text_of(leaf)
        if text.startswith('"'):
            leaf = Leaf(leaf.path, leaf.start + 1, leaf.end - 1)
        if not NUMBER.fullmatch(self._text_of(leaf)):
            raise _UnusualError("a value that is no plain number")
        return leaf

    def _id(self, leaf: Leaf, name: str) -> ValueSpan:
        text = self._text_of(leaf)
        if PLAIN_TEXT.fullmatch(text):
            return ValueSpan(TextId(name), leaf.start + 1, leaf.end - 1)
        if NUMBER.fullmatch(text):
            return ValueSpan(NumberId(name), leaf.start, leaf.end)
        raise _UnusualError(text)

    def _time(self, leaf: Leaf, name: str, form: str) -> ValueSpan:
        text = self._text_of(leaf)
        found = RFC_3339.fullmatch(text)
        if form in {"rfc3339", "iso8601"} and found:
            return rfc3339_time(found, leaf.start, name=name)
        if not _EPOCH.fullmatch(form):
            raise _UnusualError(text)
        leaf = self._number(leaf)
        text = self._text_of(leaf)
        whole = int(text.lstrip("-").partition(".")[0])
        units, end = epoch_units(whole) if form == "epoch" else (EPOCH_UNITS_PER_S[form], None)
        factor, limits = Fraction(1000, units), (INSTANT_MS_MIN, INSTANT_MS_MAX)
        part = MappedNumber.of(name, factor, Fraction(0), least=limits[0], most=limits[1])
        if form == "epoch":  # payloads with times of another size are of another layout
            least = 0 if units == 1 else EPOCH_SIZES[units // 1000]
            part = replace(part, whole_least=least, whole_end=end or part.whole_end)
        return ValueSpan(_usual(part), leaf.start, leaf.end)

    def _sequence(self, leaf: Leaf, name: str) -> ValueSpan:
        if not DIGITS.fullmatch(self._text_of(leaf)):
            raise _UnusualError("a sequence that is no integer")
        return ValueSpan(UnsignedInteger(name, SEQUENCE_MAX), leaf.start, leaf.end)

    def _linear(self, quantity: Quantity, place: tuple[Step, ...]) -> LinearMap:
        """Return the map of the unit, which is named as in the example if a payload names it."""
        if quantity.unit_path is None:
            return quantity.map
        (steps, *others) = self._choices(quantity.unit_path, place)
        leaf = self._leaves.get(steps)
        if others or (leaf is not None and self._parts.get(steps) is not None):
            raise _UnusualError(quantity.unit_path.text)
        if leaf is None:
            return quantity.map
        self._parts[steps] = None
        named = json.loads(self._text_of(leaf).encode("latin-1"))
        return quantity.map if named is None else quantity.maps[named]

    def _value(self, quantity: Quantity, place: tuple[Step, ...], leaf: Leaf, name: str) -> ValueSpan:
        is_text, leaf = self._text_of(leaf).startswith('"'), self._number(leaf)
        if is_text and any(map(NUMBER.fullmatch, quantity.missing_texts)):
            raise _UnusualError("a text that may say that there is none")
        linear = self._linear(quantity, place)
        least, most = bounds_of(quantity)
        missing = tuple({linear.milli(one) for one in quantity.missing_numbers})
        part = MappedNumber.of(name, linear.factor, linear.offset, least=least, most=most, refused=missing)
        return ValueSpan(_usual(part), leaf.start, leaf.end)


def _usual(part: MappedNumber) -> MappedNumber:
    if not part.is_small:
        raise _UnusualError("coefficients that leave no room in 64 bits")
    return part
