"""The parts of a JSON layout: literals that all payloads share, and the values between them, read as columns.

A part accepts a row only if `windrow.wire.json.strict.parse_reading` would read the same from it. In doubt it refuses,
and the payload is parsed by itself: refusing is always correct, only slow.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol, Self

import numpy as np

from windrow.columns.arrays import Int64s, Mask
from windrow.columns.words import POWERS_OF_TEN, word_of
from windrow.quantities import TEMPERATURE_MAX_MILLI, TEMPERATURE_MIN_MILLI
from windrow.timestamps import INSTANT_MS_MAX, INSTANT_MS_MIN
from windrow.wire.json import scan
from windrow.wire.json.cursor import Cursor

# 17 significant digits identify every double. With these limits 64-bit arithmetic is exact in every unit:
# 5 * (10**17 + 32_000 * 10**13) < 2**63. More digits before the point are out of range anyway.
DECIMAL_DIGITS_MAX = 17
WHOLE_DIGITS_MAX = 8
MILLI_DIGITS = 3


@dataclass(frozen=True, slots=True, eq=False)
class ParsedColumns:
    """m readings, from the payloads `rows`, whose sensor ids are not checked yet.

    id_start, id_length: where the sensor id is in the buffer of the payloads; event_time_ms, sequence,
    value_milli: as in `Readings`. All int64[m].
    """

    rows: Int64s
    id_start: Int64s
    id_length: Int64s
    event_time_ms: Int64s
    sequence: Int64s
    value_milli: Int64s

    @classmethod
    def concat(cls, batches: Sequence["ParsedColumns"]) -> Self:
        """Join the readings of `batches`, one batch after another."""
        if len(batches) == 1:
            return cls(*_arrays(batches[0]))
        nothing = np.zeros(0, np.int64)
        columns = zip(*map(_arrays, batches), strict=True) if batches else [[nothing]] * len(fields(cls))
        return cls(*map(np.concatenate, columns))

    def take(self, chosen: Mask) -> "ParsedColumns":
        """Return the readings where `chosen` is true: bool[m]."""
        if chosen.all():
            return self
        return ParsedColumns(*(array[chosen] for array in _arrays(self)))


def _arrays(columns: ParsedColumns) -> list[Int64s]:
    return [getattr(columns, field.name) for field in fields(columns)]


class LayoutPart(Protocol):
    """A part of a layout: a literal or a value."""

    def read(self, cursor: Cursor) -> dict[str, Int64s]:
        """Read at the cursor and return the columns read, if any, by name: int64[n]."""
        ...


@dataclass(frozen=True, slots=True)
class Literal:
    """One or more bytes that are the same in every payload."""

    content: bytes

    def read(self, cursor: Cursor) -> dict[str, Int64s]:
        """Check the bytes; no column."""
        scan.literal(cursor, self.content)
        return {}


@dataclass(frozen=True, slots=True)
class SensorId:
    """A sensor id of 1 to 128 bytes without escapes; whether it is UTF-8 is checked later, once per distinct id."""

    def read(self, cursor: Cursor) -> dict[str, Int64s]:
        """Read the columns id_start and id_length, in bytes."""
        at = cursor.at
        length = scan.text(cursor, ascii_only=False)
        cursor.refuse_unless(length > 0)
        return {"id_start": at, "id_length": length}


@dataclass(frozen=True, slots=True)
class IgnoredText:
    """The characters of a string in an ignored field: ASCII, at most 128 in a row; with a few escapes if it has any."""

    has_escapes: bool = False

    def read(self, cursor: Cursor) -> dict[str, Int64s]:
        """Skip the text; no column."""
        if self.has_escapes:
            scan.escaped_text(cursor)
        else:
            scan.text(cursor, ascii_only=True)
        return {}


@dataclass(frozen=True, slots=True)
class IgnoredNumber:
    """A number in an ignored field, in all payloads with an exponent or in none."""

    has_exponent: bool = False

    def read(self, cursor: Cursor) -> dict[str, Int64s]:
        """Skip the number; no column."""
        scan.decimals(cursor)
        if self.has_exponent:
            scan.exponent(cursor)
        return {}


@dataclass(frozen=True, slots=True)
class IgnoredNumbers:
    """One or more numbers without exponents and `separator` between them: an ignored array without its brackets."""

    separator: bytes

    def read(self, cursor: Cursor) -> dict[str, Int64s]:
        """Skip the numbers, however many; no column."""
        scan.numbers(cursor, self.separator)
        return {}


@dataclass(frozen=True, slots=True)
class IgnoredWord:
    """true, false or null in an ignored field."""

    def read(self, cursor: Cursor) -> dict[str, Int64s]:
        """Skip the word; no column."""
        (word,) = cursor.words(1)
        four = word & word_of(b"\xff" * 4)
        is_false = word & word_of(b"\xff" * 5) == word_of(b"false")
        cursor.refuse_unless(is_false | (four == word_of(b"true")) | (four == word_of(b"null")))
        cursor.advance(4 + is_false.astype(np.int64))
        return {}


@dataclass(frozen=True, slots=True)
class UnsignedInteger:
    """An integer from 0 to `greatest`; a fraction or an exponent after it fails to match the next literal."""

    name: str
    greatest: int

    def read(self, cursor: Cursor) -> dict[str, Int64s]:
        """Read the column `name`."""
        value, _ = scan.unsigned_integer(cursor)
        cursor.refuse_unless(value <= self.greatest)
        return {self.name: value}


@dataclass(frozen=True, slots=True)
class Rfc3339Time:
    """An RFC 3339 time up to its seconds or their fraction; the UTC offset belongs to the literal that follows."""

    separator: int
    has_fraction: bool
    offset_minutes: int
    name: str = "event_time_ms"

    def read(self, cursor: Cursor) -> dict[str, Int64s]:
        """Read the column `name`, in ms, rounded down."""
        event_time_ms = scan.civil_ms(cursor, separator=self.separator) - self.offset_minutes * 60_000
        if self.has_fraction:
            scan.literal(cursor, b".")
            fraction, count = scan.digits(cursor)
            cursor.refuse_unless(count > 0)
            shorter, longer = np.maximum(MILLI_DIGITS - count, 0), np.maximum(count - MILLI_DIGITS, 0)
            event_time_ms += fraction * POWERS_OF_TEN[shorter] // POWERS_OF_TEN[longer]
        cursor.refuse_unless((event_time_ms >= INSTANT_MS_MIN) & (event_time_ms <= INSTANT_MS_MAX))
        return {self.name: event_time_ms}


@dataclass(frozen=True, slots=True)
class Temperature:
    """A decimal in `unit` (C, F or K) without an exponent, of at most 17 digits in all and 8 before the point."""

    unit: str

    def read(self, cursor: Cursor) -> dict[str, Int64s]:
        """Read the column value_milli: exact, rounded once, half to even."""
        number = scan.decimals(cursor)
        cursor.refuse_unless(number.whole_digits <= WHOLE_DIGITS_MAX)
        cursor.refuse_unless(number.whole_digits + number.scale <= DECIMAL_DIGITS_MAX)
        if cursor.all_accepted(number.scale == MILLI_DIGITS):  # as `encode_readings` writes them
            unscaled, places = number.whole * 1_000 + number.fraction, np.zeros(1, np.int64)
        else:
            unscaled = number.whole * POWERS_OF_TEN[np.maximum(number.scale, MILLI_DIGITS)]
            unscaled += number.fraction * POWERS_OF_TEN[np.maximum(MILLI_DIGITS - number.scale, 0)]
            places = np.maximum(number.scale - MILLI_DIGITS, 0)
        milli = self.milli(np.where(number.negative, -unscaled, unscaled), places=places)
        cursor.refuse_unless((milli >= TEMPERATURE_MIN_MILLI) & (milli <= TEMPERATURE_MAX_MILLI))
        return {"value_milli": milli}

    def milli(self, unscaled: Int64s, *, places: Int64s) -> Int64s:
        """Convert `unscaled / 10**places` milli-degrees of the unit to milli-degrees C; |unscaled| < 10**17."""
        if self.unit == "C" and not places.any():
            return unscaled
        one = POWERS_OF_TEN[places]
        if self.unit == "F":
            return divide_half_even((unscaled - 32_000 * one) * 5, 9 * one)
        # 273_150 is even, so subtracting it after the division keeps half-to-even.
        return divide_half_even(unscaled, one) - (273_150 if self.unit == "K" else 0)


def divide_half_even(numerator: Int64s, denominator: Int64s) -> Int64s:
    """Divide, rounding half to even."""
    quotient, rest = np.divmod(numerator, denominator)
    twice = 2 * rest
    rounded: Int64s = quotient + ((twice > denominator) | ((twice == denominator) & (quotient % 2 == 1)))
    return rounded
