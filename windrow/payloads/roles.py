"""What each value of an example payload is for under a contract: an id, a time, a value, or nothing."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

from windrow.payloads.contract import FieldTest, Kind, Quantity
from windrow.payloads.example import Example, Steps, UnusualError, span_of
from windrow.payloads.parts import NumberId, TextId
from windrow.payloads.paths import Path
from windrow.payloads.times import EPOCH_SIZES, EPOCH_UNITS_PER_S, epoch_units
from windrow.payloads.units import LinearMap
from windrow.payloads.values import value_part
from windrow.reading import SEQUENCE_MAX
from windrow.timestamps import INSTANT_MS_MAX, INSTANT_MS_MIN
from windrow.wire.json.layout import DIGITS, NUMBER, PLAIN_TEXT, RFC_3339, WORDS, rfc3339_time
from windrow.wire.json.leaves import Leaf
from windrow.wire.json.mapped import MappedNumber
from windrow.wire.json.parts import UnsignedInteger
from windrow.wire.json.shape import ValueSpan

ELEMENTS_MAX = 64
"""Payloads with more elements are not read as columns: each element has parts of its own."""
_EPOCH = re.compile(r"epoch(_\w+)?")


@dataclass(frozen=True, slots=True)
class ElementColumns:
    """The names of the columns that one element of a payload is read to; elements may share some.

    ids: one for each part of the id, TextId or NumberId. times: their sum is the time; without any it is the arrival.
    sequence: None if the payload does not say it. quantities: which of those of the kind the element has, by their
    places; values: a column for each.
    """

    ids: tuple[str, ...]
    times: tuple[str, ...]
    sequence: str | None
    quantities: tuple[int, ...]
    values: tuple[str, ...]


class Roles:
    """What each leaf of an example is for: the part that reads it, or None if it must be as it is."""

    def __init__(self, example: Example) -> None:
        """Give the leaves of `example` their parts as it is asked what they are for."""
        self._example = example
        self._given: dict[str, str | None] = {}

    def fix(self, test: FieldTest) -> None:
        """Have what is tested be as in the example; that a text or a number is there the layout says in any case."""
        choices = self._choices(test.path, ())
        for steps in choices:
            leaf = self._example.leaves.get(steps)
            if leaf is not None and (
                test.equals is not None or len(choices) > 1 or self._example.text_of(leaf) in WORDS
            ):
                self._example.keep(steps)

    def places(self, kind: Kind) -> list[Steps]:
        """Return where the elements of a kind are: in the array that it names, or the whole payload."""
        if kind.each is None:
            return [()]
        (steps, *others) = self._choices(kind.each, ())
        numbers = {
            leaf[len(steps)] for leaf in self._example.leaves if len(leaf) > len(steps) and leaf[: len(steps)] == steps
        }
        if others or not 0 < len(numbers) <= ELEMENTS_MAX:
            raise UnusualError(kind.each.text)
        return [(*steps, number) for number in range(len(numbers))]

    def assign(self, kind: Kind, place: Steps) -> ElementColumns:
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
            times=(time,) if time else (),
            sequence=sequence,
            quantities=tuple(number for number, _ in values),
            values=tuple(name for _, name in values),
        )

    def _choices(self, path: Path, place: Steps) -> tuple[Steps, ...]:
        """Return the ways that a path may go, from the whole payload, if it is asked for in the element at `place`."""
        if path.choices is None or any(isinstance(step, int) and step < 0 for steps in path.choices for step in steps):
            raise UnusualError(path.text)
        choices = path.choices if path.is_from_root else tuple((*place, *steps) for steps in path.choices)
        self._example.ask(choices)
        return choices

    def _give(self, path: Path, place: Steps, purpose: str, part_of: Callable[[Leaf, str], ValueSpan]) -> str | None:
        """Give the leaf at `path` its part, and return the column that it reads; None if there is none, or a null.

        What elements share, because its path begins at the whole payload, is read once.
        """
        name = purpose if path.is_from_root or not place else f"{purpose} of {place[-1]}"
        if name in self._given:
            return self._given[name]
        self._given[name] = None
        choices = self._choices(path, place)
        for number, steps in enumerate(choices):
            leaf = self._example.leaves.get(steps)
            if leaf is None:
                continue
            text = self._example.text_of(leaf)
            if text in {"null", "false"} and (len(choices) > 1 or text == "null"):
                self._example.keep(steps)
                continue
            if text.startswith('"') and number < len(choices) - 1:
                raise UnusualError("an empty text would be passed over")
            self._example.give(steps, part_of(leaf, name))
            self._given[name] = name
            break
        return self._given[name]

    def _number(self, leaf: Leaf) -> Leaf:
        """Return where the number is that a leaf is, or that its text holds without blanks."""
        text = self._example.text_of(leaf)
        if text.startswith('"'):
            leaf = Leaf(leaf.path, leaf.start + 1, leaf.end - 1)
        return self._example.number(leaf)

    def _id(self, leaf: Leaf, name: str) -> ValueSpan:
        text = self._example.text_of(leaf)
        if PLAIN_TEXT.fullmatch(text):
            return ValueSpan(TextId(name), leaf.start + 1, leaf.end - 1)
        if NUMBER.fullmatch(text):
            return span_of(NumberId(name), leaf)
        raise UnusualError(text)

    def _time(self, leaf: Leaf, name: str, form: str) -> ValueSpan:
        text = self._example.text_of(leaf)
        found = RFC_3339.fullmatch(text)
        if form in {"rfc3339", "iso8601"} and found:
            return rfc3339_time(found, leaf.start, name=name)
        if not _EPOCH.fullmatch(form):
            raise UnusualError(text)
        leaf = self._number(leaf)
        text = self._example.text_of(leaf)
        whole = int(text.lstrip("-").partition(".")[0])
        units, end = epoch_units(whole) if form == "epoch" else (EPOCH_UNITS_PER_S[form], None)
        factor, limits = Fraction(1000, units), (INSTANT_MS_MIN, INSTANT_MS_MAX)
        part = MappedNumber.of(name, factor, Fraction(0), least=limits[0], most=limits[1])
        if form == "epoch":  # payloads with times of another size are of another layout
            least = 0 if units == 1 else EPOCH_SIZES[units // 1000]
            part = replace(part, whole_least=least, whole_end=end or part.whole_end)
        return span_of(part, leaf)

    def _sequence(self, leaf: Leaf, name: str) -> ValueSpan:
        if not DIGITS.fullmatch(self._example.text_of(leaf)):
            raise UnusualError("a sequence that is no integer")
        return span_of(UnsignedInteger(name, SEQUENCE_MAX), leaf)

    def _linear(self, quantity: Quantity, place: Steps) -> LinearMap:
        """Return the map of the unit, which is named as in the example if a payload names it."""
        if quantity.unit_path is None:
            return quantity.map
        (steps, *others) = self._choices(quantity.unit_path, place)
        leaf = self._example.leaves.get(steps)
        if others:
            raise UnusualError(quantity.unit_path.text)
        if leaf is None:
            return quantity.map
        self._example.keep(steps)
        named = json.loads(self._example.text_of(leaf).encode("latin-1"))
        return quantity.map if named is None else quantity.maps[named]

    def _value(self, quantity: Quantity, place: Steps, leaf: Leaf, name: str) -> ValueSpan:
        is_text, leaf = self._example.text_of(leaf).startswith('"'), self._number(leaf)
        if is_text and any(map(NUMBER.fullmatch, quantity.missing_texts)):
            raise UnusualError("a text that may say that there is none")
        return span_of(value_part(quantity, self._linear(quantity, place), name=name), leaf)
