"""The shape of JSON payloads in which every literal and every digit has the same position.

Payloads of one layout and one length usually have one shape. Then no end of a field is searched for: literals are
compared word by word, and numbers are taken from words that must hold digits only.

A row is accepted only if `windrow.wire.json.strict.parse_reading` would read the same; in doubt it is refused.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from windrow.columns.arrays import Int64s, Mask, Octets, Words
from windrow.columns.payloads import Payloads
from windrow.columns.words import (
    WORD_OCTETS,
    are_plain,
    no_high_bits,
    number_of_digits,
    spans,
    word_of,
)
from windrow.quantities import TEMPERATURE_MAX_MILLI, TEMPERATURE_MIN_MILLI
from windrow.wire.json.parts import (
    DECIMAL_DIGITS_MAX,
    MILLI_DIGITS,
    WHOLE_DIGITS_MAX,
    IgnoredNumber,
    IgnoredText,
    IgnoredWord,
    LayoutPart,
    ParsedColumns,
    SensorId,
    Temperature,
    UnsignedInteger,
)
from windrow.wire.json.scan import TEXT_OCTETS_MAX

# This many bytes of each row are fetched at once; a longer payload has no shape.
OCTETS_MAX = 240
# Every number of this many digits fits into 63 bits.
_FITTING_DIGITS_MAX = 18
_NUMBER = re.compile(rb"(-?)(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True)
class ValueSpan:
    """Where a value that varies from payload to payload is: `part` reads the bytes `start:end`."""

    part: LayoutPart
    start: int
    end: int


class SameLengthPayloads:
    """n payloads of the same length, and which of them are accepted."""

    __slots__ = ("_is_accepted", "_refused", "_span", "starts")

    def __init__(self, octets: Octets, starts: Int64s, length: int) -> None:
        # A word more than the payload: its last byte may be the first one of a word.
        self._span = spans(octets, starts, length + WORD_OCTETS)
        self.starts = starts
        self._is_accepted = np.ones(len(starts), bool)
        self._refused = np.zeros(len(starts), np.uint64)

    def word(self, place: int) -> Words:
        """Return a copy of the word at `place` of each row: uint64[n]."""
        strides = (self._span.itemsize,)
        return np.ndarray(self.starts.shape, "<u8", self._span, place, strides).copy()

    def octet(self, place: int) -> Octets:
        """Return the byte at `place` of each row: uint8[n]."""
        return np.ndarray(self.starts.shape, np.uint8, self._span, place, (self._span.itemsize,))

    def refuse_unless(self, ok: Mask) -> None:
        """Refuse the rows that are not `ok`: bool[n]."""
        self._is_accepted &= ok

    def refuse_high_bits(self, words: Words) -> None:
        """Refuse rows whose word has the high bit of a byte set: uint64[n]."""
        self._refused |= words

    @property
    def is_accepted(self) -> Mask:
        """The rows that were not refused: bool[n]."""
        return self._is_accepted & no_high_bits(self._refused)


class _FixedField(Protocol):
    """A literal or a value at a fixed position of every payload."""

    def read(self, rows: SameLengthPayloads) -> dict[str, Int64s]:
        """Return the columns read, if any, by name: int64[n]."""
        ...


@dataclass(frozen=True, slots=True)
class _FixedLiteral:
    """Bytes that are the same in every payload."""

    place: int
    content: bytes

    def read(self, rows: SameLengthPayloads) -> dict[str, Int64s]:
        if len(self.content) == 1:
            rows.refuse_unless(rows.octet(self.place) == self.content[0])
            return {}
        for first, count in _words_of(len(self.content)):
            word = rows.word(self.place + first)
            if count < WORD_OCTETS:
                word &= word_of(b"\xff" * count)
            rows.refuse_unless(word == word_of(self.content[first : first + count]))
        return {}


@dataclass(frozen=True, slots=True)
class _FixedSensorId:
    """The bytes of a sensor id, which are checked later."""

    place: int
    octets: int

    def read(self, rows: SameLengthPayloads) -> dict[str, Int64s]:
        return {"id_start": rows.starts + self.place, "id_length": np.full(len(rows.starts), self.octets)}


@dataclass(frozen=True, slots=True)
class _FixedText:
    """The characters of a string in an ignored field: ASCII, no escapes."""

    place: int
    octets: int

    def read(self, rows: SameLengthPayloads) -> dict[str, Int64s]:
        for first, count in _words_of(self.octets):
            rows.refuse_unless(are_plain(rows.word(self.place + first), count))
        return {}


@dataclass(frozen=True, slots=True)
class _FixedDigits:
    """A run of 0 to _FITTING_DIGITS_MAX digits."""

    place: int
    count: int

    def read(self, rows: SameLengthPayloads) -> Int64s:
        """Return their number: int64[n]; if there are no digits, 0 as int64[1]."""
        value: Int64s = np.zeros(1, np.int64)
        for first in range(0, self.count, WORD_OCTETS):
            count = min(WORD_OCTETS, self.count - first)
            more, no_digits = number_of_digits(rows.word(self.place + first), count)
            rows.refuse_high_bits(no_digits)
            value = value * 10**count + more
        return value

    def read_whole(self, rows: SameLengthPayloads) -> Int64s:
        """Return their number, and refuse rows with a leading zero."""
        value = self.read(rows)
        if self.count > 1:
            rows.refuse_unless(value >= 10 ** (self.count - 1))
        return value


@dataclass(frozen=True, slots=True)
class _FixedInteger:
    """An integer of a fixed number of digits."""

    part: UnsignedInteger
    digits: _FixedDigits

    def read(self, rows: SameLengthPayloads) -> dict[str, Int64s]:
        value = self.digits.read_whole(rows)
        if 10**self.digits.count > self.part.greatest:
            rows.refuse_unless(value <= self.part.greatest)
        return {self.part.name: value}


@dataclass(frozen=True, slots=True)
class _FixedDecimal:
    """A decimal of fixed numbers of digits before and after its point; its sign is a literal."""

    part: Temperature | IgnoredNumber
    is_negative: bool
    whole: _FixedDigits
    fraction: _FixedDigits

    def read(self, rows: SameLengthPayloads) -> dict[str, Int64s]:
        whole, fraction = self.whole.read_whole(rows), self.fraction.read(rows)
        if isinstance(self.part, IgnoredNumber):
            return {}
        scale = self.fraction.count
        unscaled = whole * 10 ** max(scale, MILLI_DIGITS) + fraction * 10 ** max(MILLI_DIGITS - scale, 0)
        places = np.full(1, max(scale - MILLI_DIGITS, 0))
        milli = self.part.milli(-unscaled if self.is_negative else unscaled, places=places)
        rows.refuse_unless((milli >= TEMPERATURE_MIN_MILLI) & (milli <= TEMPERATURE_MAX_MILLI))
        return {"value_milli": milli}


@dataclass(frozen=True, slots=True)
class Shape:
    """The length of payloads in bytes, and the fields at fixed positions in them."""

    octets: int
    fields: tuple[_FixedField, ...]

    @classmethod
    def of(cls, example: bytes, values: Sequence[ValueSpan]) -> Self | None:
        """Derive the shape of a payload with these ascending `values`; None if it or a value is too long."""
        if len(example) > OCTETS_MAX:
            return None
        fields: list[_FixedField] = []
        last_end = 0
        for value in values:
            field = _field(example, value)
            if field is None:
                return None
            fields += [_FixedLiteral(last_end, example[last_end : value.start]), *field]
            last_end = value.end
        return cls(len(example), (*fields, _FixedLiteral(last_end, example[last_end:])))

    def read(self, payloads: Payloads, which: Int64s) -> ParsedColumns:
        """Return the readings of the payloads among `which`, all of this length, that have the shape."""
        rows = SameLengthPayloads(payloads.octets, payloads.starts[which], self.octets)
        columns = {"sequence": np.zeros(len(which), np.int64)}
        for field in self.fields:
            columns |= field.read(rows)
        return ParsedColumns(which, **columns).take(rows.is_accepted)


def _field(example: bytes, value: ValueSpan) -> list[_FixedField] | None:
    """Return how to read a value with its sign and its point; None if no fixed field can."""
    start, end = value.start, value.end
    match value.part:
        case SensorId() if end - start <= TEXT_OCTETS_MAX:
            return [_FixedSensorId(start, end - start)]
        case IgnoredWord():
            return [_FixedLiteral(start, example[start:end])]
        case IgnoredText(has_escapes=False) if end - start <= TEXT_OCTETS_MAX:
            return [_FixedText(start, end - start)]
        case UnsignedInteger() if end - start <= _FITTING_DIGITS_MAX:
            return [_FixedInteger(value.part, _FixedDigits(start, end - start))]
        case Temperature() | IgnoredNumber():
            return _decimal(value.part, _NUMBER.fullmatch(example, start, end))
    return None


def _decimal(part: Temperature | IgnoredNumber, found: re.Match[bytes] | None) -> list[_FixedField] | None:
    if found is None or len(found[2]) > WHOLE_DIGITS_MAX or len(found[2]) + len(found[3] or b"") > DECIMAL_DIGITS_MAX:
        return None
    fraction = _FixedDigits(found.start(3), len(found[3])) if found[3] else _FixedDigits(0, 0)
    decimal = _FixedDecimal(part, bool(found[1]), _FixedDigits(found.start(2), len(found[2])), fraction)
    signs = [_FixedLiteral(found.start(), found[1])] if found[1] else []
    return [*signs, decimal, *([_FixedLiteral(found.end(2), b".")] if found[3] else [])]


def _words_of(octets: int) -> Iterator[tuple[int, int]]:
    """Yield words that cover `octets` bytes: where each begins, and how many bytes count; the last may overlap."""
    if octets < WORD_OCTETS:
        yield 0, octets
        return
    yield from ((first, WORD_OCTETS) for first in range(0, octets - WORD_OCTETS, WORD_OCTETS))
    yield octets - WORD_OCTETS, WORD_OCTETS
