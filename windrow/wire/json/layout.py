"""Layouts of JSON payloads: the field order, whitespace and constants that the payloads of one make share.

A fleet writes its readings in a few layouts. A layout is derived from one payload as an example; then all payloads that
have it are read at once, part by part, without a Python statement per payload.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from windrow.columns.arrays import Int64s
from windrow.columns.payloads import Payloads
from windrow.columns.words import ROWS_AT_ONCE
from windrow.reading import SEQUENCE_MAX
from windrow.timestamps import INSTANT_MS_MAX
from windrow.wire.json.cursor import Cursor
from windrow.wire.json.leaves import NUMBERS_SEPARATOR, leaves, with_whole_arrays
from windrow.wire.json.parts import (
    IgnoredNumber,
    IgnoredNumbers,
    IgnoredText,
    IgnoredWord,
    LayoutPart,
    Literal,
    ParsedColumns,
    Rfc3339Time,
    SensorId,
    Temperature,
    UnsignedInteger,
)
from windrow.wire.json.shape import Shape, ValueSpan

PLAIN_TEXT = re.compile(r'"[^"\\]*"')
# All payloads but one of so many must be of one length to be read by their places.
_ALIKE = 16
DIGITS = re.compile(r"\d+", re.ASCII)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
_FLOAT = re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+", re.ASCII)
RFC_3339 = re.compile(r'"\d{4}-\d\d-\d\d([Tt ])\d\d:\d\d:\d\d(\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))"', re.ASCII)
VALUES_MAX = 256
"""A payload with more values has no layout: to read a column of a few payloads takes as long as to read a hundred."""
WORDS = frozenset({"true", "false", "null"})


class _UnusualError(ValueError):
    """The value of a field is written in a way that no part reads."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The parts of a payload in their order: literals and values in turn, a literal first and last.

    shape: the shape of the example, if it has one.
    """

    parts: tuple[LayoutPart, ...]
    shape: Shape | None

    @classmethod
    def of(cls, example: bytes) -> Self | None:
        """Derive the layout of a payload that `parse_reading` accepts; None if a value is written in an unusual way."""
        text = example.decode("latin-1")  # one character per byte
        found_leaves = with_whole_arrays(text, leaves(text))
        spans = [(_name(leaf.path), leaf.start, leaf.end) for leaf in found_leaves]
        if all(name != "temperature" for name, _, _ in spans):
            return None  # another quantity, which no part reads
        unit = next((text[start + 1 : end - 1] for name, start, end in spans if name == "unit"), "C")
        try:
            found = [_value(name, text[start:end], start, unit=unit) for name, start, end in spans]
        except _UnusualError:
            return None
        values = [value for value in found if value is not None]
        if len(values) > VALUES_MAX:
            return None
        parts: list[LayoutPart] = []
        last_end = 0
        for value in values:
            parts += [Literal(example[last_end : value.start]), value.part]
            last_end = value.end
        return cls((*parts, Literal(example[last_end:])), Shape.of(example, values))

    def read(self, payloads: Payloads, rows: Int64s) -> ParsedColumns:
        """Return the readings of the payloads among `rows` that have this layout, in the order of `rows`.

        Each equals what `parse_reading` would give, provided that its id is UTF-8.
        """
        return _in_chunks(self._read, payloads, rows)

    def read_alike(self, payloads: Payloads, rows: Int64s) -> ParsedColumns:
        """Do the same faster for payloads with the shape of the example; return none unless nearly all have its length.

        For some of them alone the search for their ends, which the others need too, is cheaper.
        """
        shape = self.shape
        if shape is None:
            return ParsedColumns.concat([])
        alike = rows[payloads.lengths[rows] == shape.octets]
        return _in_chunks(shape.read, payloads, alike if _ALIKE * len(alike) > (_ALIKE - 1) * len(rows) else alike[:0])

    def _read(self, payloads: Payloads, rows: Int64s) -> ParsedColumns:
        cursor = Cursor(payloads.octets, payloads.starts[rows])
        end = cursor.at + payloads.lengths[rows]
        columns = {"sequence": np.zeros(len(rows), np.int64)}
        for part in self.parts:
            columns |= part.read(cursor)
            if 2 * np.count_nonzero(cursor.is_accepted) < len(rows):
                stay = cursor.drop_refused()
                rows, end = rows[stay], end[stay]
                columns = {name: column[stay] for name, column in columns.items()}
                if not len(rows):
                    return ParsedColumns.concat([])
        cursor.refuse_unless(cursor.at == end)
        return ParsedColumns(rows, **columns).take(cursor.is_accepted)


def _in_chunks(read: Callable[[Payloads, Int64s], ParsedColumns], payloads: Payloads, rows: Int64s) -> ParsedColumns:
    chunks = range(0, len(rows), ROWS_AT_ONCE)
    return ParsedColumns.concat([read(payloads, rows[first : first + ROWS_AT_ONCE]) for first in chunks])


def _name(path: tuple[str | int, ...]) -> str:
    """Return the name of a field of the reading; empty for what lies deeper, which is ignored whatever it is called."""
    return str(path[0]) if len(path) == 1 else ""


def _value(name: str, text: str, start: int, *, unit: str) -> ValueSpan | None:
    """Return how to read the value `text` of the field `name`; None to treat it as a literal."""
    end = start + len(text)
    is_text, is_digits = PLAIN_TEXT.fullmatch(text), DIGITS.fullmatch(text)
    is_number, rfc_3339 = NUMBER.fullmatch(text), RFC_3339.fullmatch(text)
    found: ValueSpan | None = None
    match name:
        case "sensor_id" if is_text:
            found = ValueSpan(SensorId(), start + 1, end - 1)
        case "event_time" if is_digits:
            found = ValueSpan(UnsignedInteger("event_time_ms", INSTANT_MS_MAX), start, end)
        case "event_time" if rfc_3339:
            found = rfc3339_time(rfc_3339, start)
        case "temperature" if is_number and unit in {"C", "F", "K"}:
            found = ValueSpan(Temperature(unit), start, end)
        case "sequence" if is_digits:
            found = ValueSpan(UnsignedInteger("sequence", SEQUENCE_MAX), start, end)
        case "sensor_id" | "event_time" | "temperature" | "sequence":
            raise _UnusualError(name)
        case "unit":
            pass  # one unit, one layout
        case _:
            found = ignored(text, start)
    return found


def ignored(text: str, start: int) -> ValueSpan | None:
    """Return how to skip the value `text` of a field that nobody asks for; None to treat it as a literal."""
    end = start + len(text)
    if text.startswith('"') and text.isascii():
        return ValueSpan(IgnoredText(has_escapes="\\" in text), start + 1, end - 1)
    if text.startswith("["):
        separator = NUMBERS_SEPARATOR.search(text)
        return ValueSpan(IgnoredNumbers(separator[0].encode() if separator else b","), start + 1, end - 1)
    if NUMBER.fullmatch(text):
        return ValueSpan(IgnoredNumber(), start, end)
    if _FLOAT.fullmatch(text):
        return ValueSpan(IgnoredNumber(has_exponent=True), start, end)
    return ValueSpan(IgnoredWord(), start, end) if text in WORDS else None


def rfc3339_time(found: re.Match[str], start: int, *, name: str = "event_time_ms") -> ValueSpan:
    """Return how to read times that are written as the text that RFC_3339 `found`, a value that begins at `start`."""
    separator, fraction, sign, hours, minutes = found.groups()
    offset_minutes = int(f"{sign}1") * (int(hours) * 60 + int(minutes)) if sign else 0
    part = Rfc3339Time(ord(separator), has_fraction=fraction is not None, offset_minutes=offset_minutes, name=name)
    civil_end = found.end(2) if fraction else found.start() + len('"2026-11-20T10:05:00')
    return ValueSpan(part, start + 1, start + civil_end)
