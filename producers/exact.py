"""Exact values of arguments of any type, in time and memory that do not depend on how large a number is.

Types are checked with `type`, not `isinstance`, and the base class's methods are called on subclasses, so what a
caller's class claims or overrides does not matter.
"""

from decimal import Decimal
from fractions import Fraction
from math import isfinite
from types import NoneType
from typing import Any, cast

import numpy as np

from windrow.reading import NUMBER_BITS_MAX, BadReading, Reason, exact_decimal

# A message quotes at most this much of a wrong value.
QUOTED_CHARACTERS_MAX = 40


def number_of(value: object) -> Fraction:
    """Return the exact number; BadReading for a value that is no number or would take long to compute."""
    kind, integer = type(value), integer_of(value)
    if integer is not None:
        if integer.bit_length() > NUMBER_BITS_MAX:
            raise BadReading(Reason.TEMPERATURE, f"value is {quoted(value)}")
        return exact_decimal(str(integer))
    if kind is Fraction:
        ratio = cast("Fraction", value)
        if max(ratio.numerator.bit_length(), ratio.denominator.bit_length()) > NUMBER_BITS_MAX:
            raise BadReading(Reason.TEMPERATURE, f"value is a Fraction of more than {NUMBER_BITS_MAX} bits")
        return ratio
    spelled = _spelled(value)
    if spelled is None:
        raise BadReading(Reason.TEMPERATURE, f"value is {quoted(value)}, not a finite number")
    return exact_decimal(spelled)


def _spelled(value: object) -> str | None:
    """Return the decimal that a finite float or Decimal prints as; None for anything else."""
    kind = type(value)
    if issubclass(kind, float):
        number = cast("float", value)
        return float.__repr__(number) if isfinite(number) else None
    if issubclass(kind, Decimal):
        decimal = cast("Decimal", value)
        return Decimal.__str__(decimal) if Decimal.is_finite(decimal) else None
    if issubclass(kind, np.floating):
        other = cast("np.floating[Any]", value)
        return np.format_float_scientific(other) if np.isfinite(other) else None
    return None


def integer_of(value: object) -> int | None:
    """Return an int; None for a bool and anything else that is not an integer."""
    kind = type(value)
    if issubclass(kind, int) and kind is not bool:
        return int.__pos__(cast("int", value))  # an int itself, also of a subclass
    if issubclass(kind, np.integer):
        number = cast("np.integer[Any]", value)
        return int(number) if number.dtype.kind in "iu" else None  # timedelta64 is an np.integer too
    return None


def quoted(value: object) -> str:
    """Describe a value for a message: the value, if its type is harmless to print, shortened; else its type."""
    kind, integer = type(value), integer_of(value)
    if integer is not None:
        return str(integer) if integer.bit_length() <= NUMBER_BITS_MAX else f"an int of {integer.bit_length()} bits"
    if kind in {str, bytes}:
        return f"the {kind.__name__} {cast('str', value)[:QUOTED_CHARACTERS_MAX]!a}"
    if kind in {NoneType, bool, float, Decimal}:
        return str(value)[:QUOTED_CHARACTERS_MAX]
    return f"a {kind.__name__[:QUOTED_CHARACTERS_MAX]}"
