"""The parts of a contract's layout beside those of the default form: ids, and numbers that a linear map converts.

A part accepts a row only if `windrow.payloads.decode` would read the same from it; in doubt it refuses, and the payload
is decoded by itself.
"""

from dataclasses import dataclass
from math import gcd
from typing import Self

import numpy as np

from windrow.columns.arrays import Int64s
from windrow.columns.words import POWERS_OF_TEN
from windrow.payloads.units import LinearMap
from windrow.wire.json import scan
from windrow.wire.json.cursor import Cursor
from windrow.wire.json.parts import divide_half_even

# Below 2**63 by more than the error of a double, by which products are bounded before they are made.
_PRODUCT_MAX = 9e18
_FITTING_DIGITS_MAX = 18


@dataclass(frozen=True, slots=True)
class TextId:
    """A text that is an id, or a part of one: 1 to 128 bytes without escapes; UTF-8 is checked later."""

    number: int

    def read(self, cursor: Cursor) -> dict[str, Int64s]:
        """Read where it is."""
        at = cursor.at
        length = scan.text(cursor, ascii_only=False)
        cursor.refuse_unless(length > 0)
        return {f"id_start{self.number}": at, f"id_length{self.number}": length}


@dataclass(frozen=True, slots=True)
class NumberId:
    """A number that is an id, or a part of one: its digits as they are written, without an exponent."""

    number: int

    def read(self, cursor: Cursor) -> dict[str, Int64s]:
        """Read where it is."""
        at = cursor.at
        scan.decimals(cursor)
        return {f"id_start{self.number}": at, f"id_length{self.number}": cursor.at - at}


@dataclass(frozen=True, slots=True)
class MappedNumber:
    """A decimal x without an exponent, read as the integer (x * factor + offset) / divisor, rounded half to even.

    Only results from `least` to `most`, and none of `refused`, are accepted; `whole_least` and `whole_end` bound the
    digits before the point.
    """

    name: str
    factor: int
    offset: int
    divisor: int
    least: int
    most: int
    refused: tuple[int, ...] = ()
    whole_least: int = 0
    whole_end: int = 2**63 - 1

    @classmethod
    def of(cls, name: str, linear: LinearMap, *, least: int, most: int, refused: tuple[int, ...] = ()) -> Self:
        """Return the part for a map with rational coefficients."""
        divisor = linear.factor.denominator * linear.offset.denominator
        factor = linear.factor.numerator * linear.offset.denominator
        offset = linear.offset.numerator * linear.factor.denominator
        common = gcd(factor, offset, divisor)
        return cls(name, factor // common, offset // common, divisor // common, least, most, refused)

    @property
    def is_small(self) -> bool:
        """Whether its coefficients leave room for numbers in 64 bits."""
        return max(abs(self.factor), abs(self.offset), self.divisor) < 10**12 and self.factor > 0

    def read(self, cursor: Cursor) -> dict[str, Int64s]:
        """Read the column `name`."""
        number = scan.decimals(cursor)
        if self.whole_least or self.whole_end < 2**63 - 1:
            cursor.refuse_unless((number.whole >= self.whole_least) & (number.whole < self.whole_end))
        result = self._result(cursor, number)
        cursor.refuse_unless((result >= self.least) & (result <= self.most))
        for one in self.refused:
            cursor.refuse_unless(result != one)
        return {self.name: result}

    def _result(self, cursor: Cursor, number: scan.Decimals) -> Int64s:
        scale = int(number.scale[cursor.is_accepted.argmax()]) if len(cursor) else 0
        if self.divisor == 1 and self.factor % 10 ** min(scale, 12) == 0 and cursor.all_accepted(number.scale == scale):
            cursor.refuse_unless(number.whole < int(_PRODUCT_MAX / 4) // self.factor)
            size = number.whole * self.factor + number.fraction * (self.factor // 10**scale)
            whole: Int64s = np.where(number.negative, -size, size) + self.offset
            return whole
        one = POWERS_OF_TEN[number.scale]
        is_small = (number.whole_digits + number.scale <= _FITTING_DIGITS_MAX) | (number.scale == 0)
        unscaled = number.whole * one + number.fraction
        product = (unscaled.astype(np.float64) + 1) * self.factor + abs(self.offset) * one.astype(np.float64)
        is_small &= (product < _PRODUCT_MAX) & (one.astype(np.float64) * self.divisor < _PRODUCT_MAX / 2)
        cursor.refuse_unless(is_small)
        unscaled, one = np.where(is_small, unscaled, 0), np.where(is_small, one, 1)
        numerator = np.where(number.negative, -unscaled, unscaled) * self.factor + self.offset * one
        return divide_half_even(numerator, one * self.divisor)
