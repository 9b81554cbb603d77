"""Numbers that a linear map with rational coefficients converts to integers, as columns.

A part accepts a row only if exact fractions would give the same; in doubt it refuses.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from typing import Self

import numpy as np

from windrow.columns.arrays import Int64s, Mask
from windrow.columns.words import POWERS_OF_TEN
from windrow.wire.json import scan
from windrow.wire.json.cursor import Cursor
from windrow.wire.json.parts import divide_half_even

# Below 2**63 by more than the error of a double, by which products are bounded before they are made.
_PRODUCT_MAX = 9e18
_FITTING_DIGITS_MAX = 18


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
    def of(
        cls, name: str, factor: Fraction, offset: Fraction, *, least: int, most: int, refused: tuple[int, ...] = ()
    ) -> Self:
        """Return the part for the map `value * factor + offset`."""
        divisor = factor.denominator * offset.denominator
        multiplier = factor.numerator * offset.denominator
        added = offset.numerator * factor.denominator
        common = gcd(multiplier, added, divisor)
        return cls(name, multiplier // common, added // common, divisor // common, least, most, refused)

    @property
    def is_small(self) -> bool:
        """Whether its coefficients leave room for numbers in 64 bits."""
        return max(abs(self.factor), abs(self.offset), self.divisor) < 10**12 and self.factor > 0

    @property
    def has_sizes(self) -> bool:
        """Whether the digits before the point are bounded."""
        return self.whole_least > 0 or self.whole_end < 2**63 - 1

    def read(self, cursor: Cursor) -> dict[str, Int64s]:
        """Read the column `name`."""
        number = scan.decimals(cursor)
        if self.has_sizes:
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
        fits = (number.whole_digits + number.scale <= _FITTING_DIGITS_MAX) | (number.scale == 0)
        unscaled = number.whole * one + number.fraction
        result, is_exact = self.map_exactly(np.where(number.negative, -unscaled, unscaled), one)
        cursor.refuse_unless(fits & is_exact)
        return result

    def map_exactly(self, unscaled: Int64s, one: Int64s) -> tuple[Int64s, Mask]:
        """Return what `unscaled / one` becomes, and where the computation fits in 64 bits; `one` is a power of ten."""
        product = (np.abs(unscaled.astype(np.float64)) + 1) * self.factor
        product += abs(self.offset) * one.astype(np.float64)
        is_small = (product < _PRODUCT_MAX) & (one.astype(np.float64) * self.divisor < _PRODUCT_MAX / 2)
        unscaled, one = np.where(is_small, unscaled, 0), np.where(is_small, one, 1)
        return divide_half_even(unscaled * self.factor + self.offset * one, one * self.divisor), is_small
