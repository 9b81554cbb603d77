"""Reading of texts, numbers and times at the positions of a cursor, which then moves past them.

Columns have one entry per row of the cursor, undefined in rows that it refuses. Reading may run beyond the end of a
row's payload: a cursor never moves back, so the caller, who knows the ends, compares them once at the end.
"""

import datetime
from dataclasses import dataclass

import numpy as np

from windrow.columns.arrays import Int64s, Mask, Words
from windrow.columns.words import (
    POWERS_OF_TEN,
    WORD_OCTETS,
    digit_pairs,
    leading_digits,
    load,
    octet_at,
    plain_characters,
    word_of,
)
from windrow.wire.json.cursor import Cursor

# Longer texts are refused.
TEXT_OCTETS_MAX = 128
# The digits of 2^63-1; more digits are refused, and so are greater numbers.
INTEGER_DIGITS_MAX = 19

_TEXT_WORDS = 3
_TEXT_OCTETS = _TEXT_WORDS * WORD_OCTETS
# More escapes in a text, or more numbers in an array, are refused.
ESCAPES_MAX = 8
NUMBERS_MAX = 64

_POINT = ord(".")
_MINUS = ord("-")
_ZERO = ord("0")
_BACKSLASH = ord("\\")
# How many bytes an escape has by the byte behind its backslash; 0 if there is none.
_ESCAPE_OCTETS = np.zeros(256, np.int64)
_ESCAPE_OCTETS[list(b'"\\/bfnrt')] = 2
_ESCAPE_OCTETS[ord("u")] = 6
_IS_HEX = np.zeros(256, bool)
_IS_HEX[list(b"0123456789abcdefABCDEF")] = True
_CIVIL_OCTETS = len("2026-11-20T10:05:00")
_EPOCH_ORDINAL = datetime.date(1970, 1, 1).toordinal()
_DAYS_BEFORE_MONTH = np.array([0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334], np.int64)
_DAYS_IN_MONTH = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Decimals:
    """n decimals: `whole + fraction / 10**scale`, negated where `negative`.

    whole_digits: the number of digits before the point. negative: bool[n], all others int64[n].
    """

    negative: Mask
    whole: Int64s
    whole_digits: Int64s
    fraction: Int64s
    scale: Int64s


def literal(cursor: Cursor, content: bytes) -> None:
    """Refuse rows that do not have these bytes here."""
    for first in range(0, len(content), WORD_OCTETS):
        octets = content[first : first + WORD_OCTETS]
        (word,) = cursor.words(1)
        if len(octets) < WORD_OCTETS:
            word &= word_of(b"\xff" * len(octets))
        cursor.refuse_unless(word == word_of(octets))
        cursor.advance(len(octets))


def text(cursor: Cursor, *, ascii_only: bool) -> Int64s:
    """Count the bytes before the first quote, backslash or control character (or non-ASCII byte): int64[n]."""
    at, length = cursor.at, _text_in(cursor.words(_TEXT_WORDS), ascii_only=ascii_only)
    for done in range(_TEXT_OCTETS, TEXT_OCTETS_MAX + 1, _TEXT_OCTETS):
        unended = np.flatnonzero((length == done) & cursor.is_accepted)
        if not len(unended):
            break
        places = np.minimum(at[unended] + done, len(cursor.octets) - _TEXT_OCTETS)
        length[unended] += _text_in(load(cursor.octets, places, _TEXT_WORDS).T, ascii_only=ascii_only)
    cursor.refuse_unless(length <= TEXT_OCTETS_MAX)
    cursor.advance(length)
    return length


def escaped_text(cursor: Cursor) -> None:
    """Move past ASCII text and the escapes in it, up to the quote that ends it."""
    for _ in range(ESCAPES_MAX):
        text(cursor, ascii_only=True)
        is_escape = cursor.octet() == _BACKSLASH
        if not (is_escape & cursor.is_accepted).any():
            return
        (word,) = cursor.words(1)
        octets = _ESCAPE_OCTETS[octet_at(word, 1)]
        are_hex = np.logical_and.reduce([_IS_HEX[octet_at(word, place)] for place in range(2, 6)])
        cursor.refuse_unless(~is_escape | (octets == 2) | ((octets == 6) & are_hex))
        cursor.advance(np.where(is_escape, octets, 0))
    text(cursor, ascii_only=True)  # one more escape fails to match the quote


def digits(cursor: Cursor) -> tuple[Int64s, Int64s]:
    """Read digits: return their number (0 if there are none), and how many there are: int64[n] each."""
    value, count = leading_digits(cursor.words(1)[0])
    for before in (WORD_OCTETS, 2 * WORD_OCTETS):
        goes_on = (count == before) & cursor.is_accepted
        if not goes_on.any():
            break
        more, more_count = leading_digits(cursor.words(before // WORD_OCTETS + 1)[-1])
        if not cursor.all_accepted(goes_on):
            more, more_count = more * goes_on, more_count * goes_on
        value = value * POWERS_OF_TEN[more_count] + more  # 19 digits beyond 2^63-1 wrap to negative
        count += more_count
    cursor.refuse_unless((count <= INTEGER_DIGITS_MAX) & (value >= 0))
    cursor.advance(count)
    return value, count


def unsigned_integer(cursor: Cursor) -> tuple[Int64s, Int64s]:
    """Read digits as JSON demands: at least one, and no leading zero."""
    is_zero = cursor.octet() == _ZERO
    value, count = digits(cursor)
    cursor.refuse_unless((count == 1) | ((count > 1) & ~is_zero))
    return value, count


def decimals(cursor: Cursor) -> Decimals:
    """Read JSON numbers. An exponent is not read, and then fails to match the next literal."""
    negative = cursor.octet() == _MINUS
    cursor.advance(negative.astype(np.int64))
    whole, whole_digits = unsigned_integer(cursor)
    has_point = cursor.octet() == _POINT
    cursor.advance(has_point.astype(np.int64))
    fraction, scale = digits(cursor)  # 0 digits where there is no point: all digits were read before
    cursor.refuse_unless(has_point == (scale > 0))
    return Decimals(negative, whole, whole_digits, fraction, scale)


def exponent(cursor: Cursor) -> None:
    """Move past the exponent of a number: any that JSON allows, of at most INTEGER_DIGITS_MAX digits."""
    letter = cursor.octet()
    cursor.refuse_unless((letter == ord("e")) | (letter == ord("E")))
    cursor.advance(1)
    sign = cursor.octet()
    cursor.advance(((sign == ord("+")) | (sign == _MINUS)).astype(np.int64))
    _, count = digits(cursor)
    cursor.refuse_unless(count > 0)


def numbers(cursor: Cursor, separator: bytes) -> None:
    """Move past one number or more, without exponents, and the separators between them.

    Each number is looked at in the rows that have one more, so the work is that of all numbers, not of the most. A row
    that is refused here stays before its first separator, which is no closing bracket.
    """
    decimals(cursor)
    starts = cursor.at
    ends = starts.copy()
    rows = np.flatnonzero(cursor.is_accepted)
    more = Cursor(cursor.octets, starts[rows])
    for _ in range(NUMBERS_MAX):
        goes_on = more.octet() == separator[0]
        ends[rows[~goes_on]] = more.at[~goes_on]
        more.refuse_unless(goes_on)
        if not goes_on.all():
            rows = rows[more.drop_refused()]
        if not len(rows):
            break
        literal(more, separator)
        decimals(more)
        if not more.is_accepted.all():
            rows = rows[more.drop_refused()]
    cursor.advance(ends - starts)


def civil_ms(cursor: Cursor, *, separator: int) -> Int64s:
    """Read `YYYY-MM-DD?hh:mm:ss`, "?" being `separator`, as milliseconds since the epoch in UTC: int64[n]."""
    date, middle, last = cursor.words(3)
    last &= word_of(b"\xff" * (_CIVIL_OCTETS - 2 * WORD_OCTETS))
    cursor.refuse_unless(
        _matches(date, b"0000-00-") & _matches(middle, b"00%c00:00" % separator) & _matches(last, b":00")
    )
    cursor.advance(_CIVIL_OCTETS)
    date_pairs, middle_pairs = digit_pairs(date), digit_pairs(middle)
    year = octet_at(date_pairs, 0) * 100 + octet_at(date_pairs, 2)
    month, day = octet_at(date_pairs, 5), octet_at(middle_pairs, 0)
    hour, minute, second = octet_at(middle_pairs, 3), octet_at(middle_pairs, 6), octet_at(digit_pairs(last), 1)
    cursor.refuse_unless((hour <= 23) & (minute <= 59) & (second <= 59))
    seconds: Int64s = ((_days(cursor, year, month, day) * 24 + hour) * 60 + minute) * 60 + second
    return seconds * 1_000


def _text_in(words: Words, *, ascii_only: bool) -> Int64s:
    """Return the length of the text that begins with the words, uint64[3, n]: 0 to 24."""
    first, second, third = plain_characters(words, ascii_only=ascii_only)
    length: Int64s = first + (first == WORD_OCTETS) * (second + (second == WORD_OCTETS) * third)
    return length


def _matches(word: Words, pattern: bytes) -> Mask:
    """Return whether each word has a digit where the pattern has a 0, and the pattern's byte elsewhere."""
    ok = np.ones(len(word), bool)
    for place, expected in enumerate(pattern):
        octet = octet_at(word, place)
        ok &= (octet >= _ZERO) & (octet <= _ZERO + 9) if expected == _ZERO else octet == expected
    return ok


def _days(cursor: Cursor, year: Int64s, month: Int64s, day: Int64s) -> Int64s:
    """Return the days from the epoch to a date; refuse dates that do not exist, and years before 1."""
    cursor.refuse_unless((year >= 1) & (month >= 1) & (month <= 12))
    month = np.where(cursor.is_accepted, month, 1)
    is_leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    cursor.refuse_unless((day >= 1) & (day <= _DAYS_IN_MONTH[month] + (is_leap & (month == 2))))
    before = year - 1
    ordinal = 365 * before + before // 4 - before // 100 + before // 400 + _DAYS_BEFORE_MONTH[month] + day
    days: Int64s = ordinal + (is_leap & (month > 2)) - _EPOCH_ORDINAL
    return days
