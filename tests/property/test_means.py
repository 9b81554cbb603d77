"""The means of the API: what a reader rounds them to is what the exact mean rounds to."""

import json
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from analytics.means import MEAN_DECIMALS, rounded_mean

READINGS_MAX = 800_000_000
MILLI_MAX = 1_000_000


@given(
    readings=st.integers(1, READINGS_MAX),
    half_milli=st.integers(-2 * MILLI_MAX, 2 * MILLI_MAX),
    beside=st.integers(-1000, 1000),
    decimals=st.integers(0, 3),
)
@example(readings=7_000_001, half_milli=42_869, beside=-1, decimals=3)  # 21.4344999999285...
@example(readings=READINGS_MAX - 1, half_milli=10, beside=-1, decimals=2)  # just below 0.005
@example(readings=READINGS_MAX - 1, half_milli=2 * MILLI_MAX - 1, beside=1, decimals=3)
@example(readings=2, half_milli=10, beside=0, decimals=2)  # 0.005 itself
def test_a_mean_is_rounded_as_the_exact_one(readings: int, half_milli: int, beside: int, decimals: int) -> None:
    """Also one that is as near to the middle of two numbers as a mean of so many readings can be."""
    sum_milli = half_milli * readings // 2 + beside
    exact = Fraction(sum_milli, 1000 * readings)
    told = json.dumps(rounded_mean(np.float64(sum_milli) / (readings * 1000.0)))
    step = Decimal(1).scaleb(-decimals)
    assert Fraction(Decimal(told).quantize(step, ROUND_HALF_EVEN)) == Fraction(round(exact, decimals))


@given(milli=st.integers(-(2**31), 2**31 - 1))
def test_a_reading_keeps_its_three_decimals(milli: int) -> None:
    """And is written with no more of them."""
    assert Decimal(json.dumps(rounded_mean(milli / 1000))) == Decimal(milli).scaleb(-3)


def test_a_difference_of_means_has_no_noise() -> None:
    """As 21.7 - 21.4 has in doubles."""
    assert (21.7 - 21.4, rounded_mean(21.7 - 21.4)) == (pytest.approx(0.3, abs=1e-15), 0.3)
    assert 21.7 - 21.4 != 0.3
    assert MEAN_DECIMALS < 15
