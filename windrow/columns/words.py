"""Arithmetic on eight bytes at a time, for many positions of a buffer at once: the base of the fast JSON reader.

A word is a little-endian uint64: the byte that comes first is the lowest. Every function here takes and returns
columns of n entries. The arithmetic within words is that of Hacker's Delight, chapter 6-1.
"""

import numpy as np
import numpy.typing as npt

from windrow.columns.arrays import Int64s, Mask, Octets, Words

WORD_OCTETS = 8
# Columns of this many rows fit into a core's own cache; more rows are processed in chunks of this size.
ROWS_AT_ONCE = 8_192

# Clamped at 10**18, the last that fits; larger indices come only from rows already refused.
POWERS_OF_TEN: Int64s = 10 ** np.minimum(np.arange(3 * WORD_OCTETS + 1, dtype=np.int64), 18)


def repeated(octet: int) -> np.uint64:
    """Return the word that repeats `octet` eight times."""
    return np.uint64(octet * 0x0101_0101_0101_0101)


_SEVEN_BITS = repeated(0x7F)
_HIGH_BITS = repeated(0x80)
_LOW_NIBBLES = repeated(0x0F)
_ZERO_DIGITS = repeated(ord("0"))
_TEN_AND_MORE = repeated(0x80 - 10)
_PRINTABLE = repeated(0x80 - 0x20)
# Each step joins neighbouring numbers of 1, 2 or 4 digits into numbers of 2, 4 or 8 digits.
_PAIRINGS = tuple(
    (np.uint64(10**digits << 8 * digits | 1), np.uint64(8 * digits), np.uint64(mask))
    for digits, mask in ((1, 0x00FF_00FF_00FF_00FF), (2, 0x0000_FFFF_0000_FFFF), (4, 0x0000_0000_FFFF_FFFF))
)
_QUOTES = repeated(ord('"'))
_BACKSLASHES = repeated(ord("\\"))


def spans(octets: Octets, places: Int64s, size: int) -> npt.NDArray[np.void]:
    """Return the `size` bytes at each of n positions, all within the contiguous buffer: void[n]."""
    every = np.ndarray((len(octets) - size + 1,), f"V{size}", octets, strides=(1,))
    return every[places]


def load(octets: Octets, places: Int64s, count: int = 1) -> Words:
    """Return the `count` words at each of n positions, all within the buffer: uint64[n, count]."""
    return spans(octets, places, WORD_OCTETS * count).view("<u8").reshape(len(places), count)


def word_of(octets: bytes) -> np.uint64:
    """Return the word that begins with `octets`, at most eight, padded with zeros."""
    return np.uint64(int.from_bytes(octets, "little"))


def are_plain(word: Words, octets: int) -> Mask:
    """Return whether the first `octets` bytes are ASCII without quotes, backslashes and control characters: bool[n]."""
    counted = _HIGH_BITS & word_of(b"\xff" * octets)
    plain: Mask = _plain_bits(word, ascii_only=True) & counted == counted
    return plain


def plain_characters(word: Words, *, ascii_only: bool) -> Int64s:
    """Count the bytes before the first quote, backslash or control character (or non-ASCII byte): 0 to 8."""
    return _before_first(~_plain_bits(word, ascii_only=ascii_only) & _HIGH_BITS)


def _plain_bits(word: Words, *, ascii_only: bool) -> Words:
    """Return words whose high bits mark the plain bytes; the other bits are undefined."""
    seven_bits = word & _SEVEN_BITS  # no sum carries into the next byte
    is_plain: Words = (seven_bits ^ _QUOTES) + _SEVEN_BITS
    is_plain &= (seven_bits ^ _BACKSLASHES) + _SEVEN_BITS
    is_plain &= seven_bits + _PRINTABLE
    return is_plain & ~word if ascii_only else is_plain | word


def leading_digits(word: Words) -> tuple[Int64s, Int64s]:
    """Return the decimal number that each word begins with, and its number of digits: 0 to 8."""
    digit = word ^ _ZERO_DIGITS
    count = _before_first(((digit + _TEN_AND_MORE) | digit) & _HIGH_BITS)
    value = digit << ((WORD_OCTETS - count) << 3).astype(np.uint64)  # leading zeros, no trailing bytes
    for factor, bits, mask in _PAIRINGS:
        value *= factor
        value >>= bits
        value &= mask
    return value.view(np.int64), count


def number_of_digits(word: Words, count: int) -> tuple[Int64s, Words]:
    """Return the number in the first `count` bytes (1 to 8), and words with a high bit set where one is no digit."""
    value = word ^ _ZERO_DIGITS
    value <<= np.uint64(8 * (WORD_OCTETS - count))  # leading zeros, no trailing bytes
    no_digits = value + _TEN_AND_MORE
    no_digits |= value
    pairings = _PAIRINGS[: (count - 1).bit_length()]
    for factor, bits, mask in pairings[:-1]:
        value *= factor
        value >>= bits
        value &= mask
    if pairings:  # the last step leaves its result in the top bits
        value *= pairings[-1][0]
    value >>= np.uint64(8 * (WORD_OCTETS - (2 ** len(pairings) // 2 or 1)))
    return value.view(np.int64), no_digits


def no_high_bits(word: Words) -> Mask:
    """Return whether no byte of each word has its high bit set: bool[n]."""
    found: Mask = word & _HIGH_BITS == 0
    return found


def digit_pairs(word: Words) -> Words:
    """Return, at each byte, the two-digit number that it and the next byte form (0 to 99).

    Undefined where they are not digits, and at the last byte of each word.
    """
    digit = word & _LOW_NIBBLES  # a byte that is no digit cannot carry into the next byte
    return digit * np.uint64(10) + (digit >> np.uint64(8))


def octet_at(word: Words, place: int) -> Int64s:
    """Return byte number `place` of each word: 0 to 255."""
    octet: Int64s = ((word >> np.uint64(8 * place)) & np.uint64(0xFF)).view(np.int64)
    return octet


def _before_first(high_bits: Words) -> Int64s:
    """Count the bytes before the lowest one whose high bit is set; 8 if there is none."""
    below = (high_bits - np.uint64(1)) & ~high_bits
    count: Int64s = (np.bitwise_count(below) >> 3).astype(np.int64)
    return count
