"""How exact the means of the API are."""

from typing import SupportsFloat

MEAN_DECIMALS = 12
"""The decimals of a mean: so many that a reader who rounds it to three or fewer gets what the exact mean rounds to.

A mean is a sum of thousandths over n readings. It is either in the middle of two numbers of three decimals, or at least
1 / (2000 n) away from there. Up to 1,000, this rounding and that to a double move it by less than 6e-13, so that it
stays on its side for n up to 8 * 10^8. Beyond, a double has fewer decimals than these.
"""


def rounded_mean(value: SupportsFloat) -> float:
    """Return a mean, or a difference of two, to MEAN_DECIMALS; a value of three decimals stays as it is."""
    return round(float(value), MEAN_DECIMALS)
