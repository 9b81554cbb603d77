"""Eight octets at a time, at any place of a buffer, for many places at once: the arithmetic of the fast paths.

A word is a little-endian uint64: the octet that comes first is the lowest. Every function here takes and gives
columns of n entries. The arithmetic within words is that of Hacker's Delight, chapter 6-1.
"""

import numpy as np
import numpy.typing as npt

from windrow.columns.arrays import Int64s, Mask, Octets, Words

WORD_OCTETS = 8
# Columns of so many rows stay in a processor's own cache while they are worked on; more rows are done in turns.
ROWS_AT_ONCE = 8_192

# 10**0 to 10**18, the last that fits, and that again for every count of digits in three words: garbage for garbage.
POWERS_OF_TEN: Int64s = 10 ** np.minimum(np.arange(3 * WORD_OCTETS + 1, dtype=np.int64), 18)


def repeated(octet: int) -> np.uint64:
    """The word of eight times the same octet."""
    return np.uint64(octet * 0x0101_0101_0101_0101)


_SEVEN_BITS = repeated(0x7F)
_HIGH_BITS = repeated(0x80)
_LOW_NIBBLES = repeated(0x0F)
_ZERO_DIGITS = repeated(ord("0"))
_TEN_AND_MORE = repeated(0x80 - 10)
_PRINTABLE = repeated(0x80 - 0x20)
# Each pairs numbers of 1, 2 and 4 digits to numbers of 2, 4 and 8.
_PAIRINGS = tuple(
    (np.uint64(10**digits << 8 * digits | 1), np.uint64(8 * digits), np.uint64(mask))
    for digits, mask in ((1, 0x00FF_00FF_00FF_00FF), (2, 0x0000_FFFF_0000_FFFF), (4, 0x0000_0000_FFFF_FFFF))
)
_QUOTES = repeated(ord('"'))
_BACKSLASHES = repeated(ord("\\"))


def spans(octets: Octets, places: Int64s, size: int) -> npt.NDArray[np.void]:
    """The `size` octets that begin at each of n places of a contiguous buffer, all within it: void[n]."""
    every = np.ndarray((len(octets) - size + 1,), f"V{size}", octets, strides=(1,))
    return every[places]


def load(octets: Octets, places: Int64s, count: int = 1) -> Words:
    """The `count` words that begin at each of n places, all within the buffer: uint64[n, count]."""
    return spans(octets, places, WORD_OCTETS * count).view("<u8").reshape(len(places), count)


def word_of(octets: bytes) -> np.uint64:
    """Up to eight octets as the word that begins with them, zero behind them."""
    return np.uint64(int.from_bytes(octets, "little"))


def are_plain(word: Words, octets: int) -> Mask:
    """Whether the first `octets` octets are ASCII, and no quote, backslash or control character: bool[n]."""
    counted = _HIGH_BITS & word_of(b"\xff" * octets)
    plain: Mask = _plain_bits(word, ascii_only=True) & counted == counted
    return plain


def plain_characters(word: Words, *, ascii_only: bool) -> Int64s:
    """How many octets come before the first quote, backslash or control character (or non-ASCII octet): 0 to 8."""
    return _before_first(~_plain_bits(word, ascii_only=ascii_only) & _HIGH_BITS)


def _plain_bits(word: Words, *, ascii_only: bool) -> Words:
    """Words with the high bits of those octets that are plain; their other bits mean nothing."""
    seven_bits = word & _SEVEN_BITS  # so that no sum carries into the next octet
    is_plain: Words = (seven_bits ^ _QUOTES) + _SEVEN_BITS
    is_plain &= (seven_bits ^ _BACKSLASHES) + _SEVEN_BITS
    is_plain &= seven_bits + _PRINTABLE
    return is_plain & ~word if ascii_only else is_plain | word


def leading_digits(word: Words) -> tuple[Int64s, Int64s]:
    """The decimal number that the word begins with, and how many digits it has: 0 to 8."""
    digit = word ^ _ZERO_DIGITS
    count = _before_first(((digit + _TEN_AND_MORE) | digit) & _HIGH_BITS)
    value = digit << ((WORD_OCTETS - count) << 3).astype(np.uint64)  # zeros before, nothing behind
    for factor, bits, mask in _PAIRINGS:
        value *= factor
        value >>= bits
        value &= mask
    return value.view(np.int64), count


def number_of_digits(word: Words, count: int) -> tuple[Int64s, Words]:
    """The decimal number that the first `count` octets spell, 1 to 8, and a word with high bits if one is no digit."""
    value = word ^ _ZERO_DIGITS
    value <<= np.uint64(8 * (WORD_OCTETS - count))  # zeros before, nothing behind
    no_digits = value + _TEN_AND_MORE
    no_digits |= value
    pairings = _PAIRINGS[: (count - 1).bit_length()]
    for factor, bits, mask in pairings[:-1]:
        value *= factor
        value >>= bits
        value &= mask
    if pairings:  # the last one leaves what it is about on top
        value *= pairings[-1][0]
    value >>= np.uint64(8 * (WORD_OCTETS - (2 ** len(pairings) // 2 or 1)))
    return value.view(np.int64), no_digits


def no_high_bits(word: Words) -> Mask:
    """Whether no octet of each word has its high bit: bool[n]."""
    found: Mask = word & _HIGH_BITS == 0
    return found


def digit_pairs(word: Words) -> Words:
    """At each octet the two-digit number that it and the next one spell, as 0 to 99; garbage where they are no digits.

    The last octet of each word pairs with nothing.
    """
    digit = word & _LOW_NIBBLES  # so that what is no digit does not carry into the next octet
    return digit * np.uint64(10) + (digit >> np.uint64(8))


def octet_at(word: Words, place: int) -> Int64s:
    """Octet number `place` of each word: 0 to 255."""
    octet: Int64s = ((word >> np.uint64(8 * place)) & np.uint64(0xFF)).view(np.int64)
    return octet


def _before_first(high_bits: Words) -> Int64s:
    """How many octets come before the lowest one whose high bit is set; 8 if there is none."""
    below = (high_bits - np.uint64(1)) & ~high_bits
    count: Int64s = (np.bitwise_count(below) >> 3).astype(np.int64)
    return count
