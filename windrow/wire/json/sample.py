"""Whether it pays to read many payloads by value, judged by a sample of them."""

from collections.abc import Callable

from windrow.columns.arrays import Int64s

# Fewer payloads are read just as fast one by one. So many are tried before all others.
SAMPLE = 16
# One of so many must be read, or no other is tried: bad ones are told faster one by one.
_GOOD_OF_SAMPLE = 4


def is_worth_reading(which: Int64s, number_read: Callable[[Int64s], int]) -> bool:
    """Return whether enough of the payloads `which` are read by value for reading all of them so.

    number_read: how many of some payloads are; it is asked about a sample.
    """
    if len(which) < SAMPLE:
        return False
    sample = which[:: len(which) // SAMPLE]
    return _GOOD_OF_SAMPLE * number_read(sample) >= len(sample)
