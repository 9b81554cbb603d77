"""Columns of the numbers and times that `windrow.wire.json.objects` read: exact, or left to the strict reader."""

import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np

from windrow.columns.arrays import Int64s, Mask
from windrow.columns.payloads import join_octets
from windrow.columns.strings import offsets_of
from windrow.reading import EXPONENT_MAX, NUMBER_CHARACTERS_MAX
from windrow.timestamps import INSTANT_MS_MAX, INSTANT_MS_MIN, parse_rfc3339_ms
from windrow.wire.json.cursor import Cursor
from windrow.wire.json.layout import RFC_3339, rfc3339_time
from windrow.wire.json.mapped import MappedNumber
from windrow.wire.json.objects import Written
from windrow.wire.json.parts import LayoutPart, Literal

_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# Texts of other forms than these first ones are read one by one.
_TIME_FORMS_MAX = 4
_SEPARATOR = b","
_NO_NUMBER = b"x"


def read_numbers(values: Sequence[object], part: MappedNumber, *, are_texts: bool = False) -> tuple[Int64s, Mask]:
    """Return what `part` makes of the numbers, int64[n], and which of them it surely is, bool[n].

    are_texts: whether a text that holds a number is one, with blanks around it. A number of a form that `part` does not
    read is taken by itself, unless its size would have to tell its unit.
    """
    kinds = set(map(type, values))
    if kinds == {int} and part.is_small:
        try:
            return _read_integers(np.array(values, np.int64), part)
        except OverflowError:
            pass
    spelled = values if kinds == {Written} else [_spelled(value, are_texts=are_texts) for value in values]
    if part.is_small:
        result, is_read = _read_parts(spelled, (replace(part, name="number"),), "number")  # type: ignore[arg-type]
    else:
        result, is_read = np.zeros(len(values), np.int64), np.zeros(len(values), bool)
    if part.has_sizes:
        return result, is_read
    for place in np.flatnonzero(~is_read).tolist():
        exact = _exactly(bytes(spelled[place]), part)  # type: ignore[call-overload]
        if exact is not None:
            result[place], is_read[place] = exact, True
    return result, is_read


def _read_integers(values: Int64s, part: MappedNumber) -> tuple[Int64s, Mask]:
    one = np.ones(1, np.int64)
    result, is_read = part.map_exactly(values, one)
    is_read &= (result >= part.least) & (result <= part.most)
    for refused in part.refused:
        is_read &= result != refused
    if part.has_sizes:
        size = np.abs(values)
        is_read &= (size >= part.whole_least) & (size < part.whole_end)
    return result, is_read


def _spelled(value: object, *, are_texts: bool) -> object:
    """Return the bytes of a number, or what is none."""
    kind = type(value)
    if kind is Written:
        return value
    if kind is int:
        return b"%d" % value  # type: ignore[str-format]
    return str(value).strip().encode() if are_texts and kind is str else _NO_NUMBER


def _exactly(spelled: bytes, part: MappedNumber) -> int | None:
    """Return what `part` makes of a number of any form; None of what is none, or not surely one."""
    number = decimal_of(spelled)
    if number is None:
        return None
    numerator, denominator = number.as_integer_ratio()
    numerator, denominator = numerator * part.factor + part.offset * denominator, denominator * part.divisor
    quotient, rest = divmod(numerator, denominator)
    result = quotient + (2 * rest > denominator or (2 * rest == denominator and quotient % 2))
    return result if part.least <= result <= part.most and result not in part.refused else None


def decimal_of(spelled: bytes) -> Decimal | None:
    """Return a number exactly; None of what is none, or is longer or larger than the strict reader takes."""
    text = spelled.decode()
    if len(text) > NUMBER_CHARACTERS_MAX or not _DECIMAL.fullmatch(text):
        return None
    exponent = text.lower().partition("e")[2]
    return None if exponent and abs(int(exponent)) > EXPONENT_MAX else Decimal(text)


def read_times(values: Sequence[object]) -> tuple[Int64s, Mask]:
    """Return the instants of RFC 3339 texts, int64[n], and which of the values surely are such texts, bool[n]."""
    result, is_read = np.zeros(len(values), np.int64), np.zeros(len(values), bool)
    pending = np.array([place for place, value in enumerate(values) if type(value) is str], np.int64)
    for _ in range(_TIME_FORMS_MAX):
        if not len(pending):
            break
        texts = [str(values[place]) for place in pending.tolist()]
        if _instant_ms(texts[0]) is None:  # a form is that of a text that is a time
            pending = pending[1:]
            continue
        parts = _time_parts(texts[0])
        if parts is None:
            break
        result[pending], is_read[pending] = _read_parts([text.encode() for text in texts], parts, "event_time_ms")
        pending = pending[~is_read[pending]]
    for place in pending.tolist():
        instant_ms = _instant_ms(str(values[place]))
        if instant_ms is not None:
            result[place], is_read[place] = instant_ms, True
    return result, is_read


def _instant_ms(text: str) -> int | None:
    try:
        instant_ms = parse_rfc3339_ms(text)
    except ValueError:
        return None
    return instant_ms if INSTANT_MS_MIN <= instant_ms <= INSTANT_MS_MAX else None


def _time_parts(text: str) -> tuple[LayoutPart, ...] | None:
    """Return what reads texts that are written as this one, a time, is."""
    quoted = f'"{text}"'
    found = RFC_3339.fullmatch(quoted)
    if found is None:
        return None
    span = rfc3339_time(found, 0)
    return span.part, Literal(quoted[span.end : -1].encode())


def _read_parts(spelled: Sequence[bytes], parts: Sequence[LayoutPart], name: str) -> tuple[Int64s, Mask]:
    """Return the column `name` that the parts read from each text, int64[n], and which end there, bool[n]."""
    if not spelled:
        return np.zeros(0, np.int64), np.zeros(0, bool)
    lengths = np.fromiter(map(len, spelled), np.int64, len(spelled))
    starts = offsets_of(lengths + len(_SEPARATOR))[:-1]
    cursor = Cursor(join_octets([_SEPARATOR.join(spelled)]), starts)
    columns: dict[str, Int64s] = {}
    for part in parts:
        columns |= part.read(cursor)
    cursor.refuse_unless(cursor.at == starts + lengths)
    return columns[name], cursor.is_accepted
