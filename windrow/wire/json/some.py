"""The reader of payloads without a common layout, loaded when the first one comes.

msgspec takes about as long to load as all of ours, and most fleets never need it.
"""

from collections.abc import Callable

from windrow.columns.arrays import Int64s
from windrow.columns.payloads import Payloads
from windrow.reading import Readings
from windrow.wire.json.quick import is_surely_bad

# Fewer payloads are read just as fast one by one. So many are tried before all others.
_SAMPLE = 16
# One of so many must be read, or no other is tried: bad ones are told faster one by one.
_GOOD_OF_SAMPLE = 4


def read_some(payloads: Payloads, which: Int64s) -> tuple[Readings, Int64s]:
    """Return the readings of those payloads of `which` that surely are readings, and which they are."""
    from windrow.wire.json.by_value import read_by_value  # noqa: PLC0415 - see above

    return read_by_value(payloads, which)


def quick_no(count: int) -> Callable[[bytes], bool]:
    """Return what tells of a payload whether it is surely bad, for `count` of them."""
    if count < _SAMPLE:
        return is_surely_bad
    from windrow.wire.json.quick_values import is_surely_bad_by_value  # noqa: PLC0415 - see above

    return is_surely_bad_by_value


def is_worth_reading(which: Int64s, number_read: Callable[[Int64s], int]) -> bool:
    """Return whether enough of the payloads `which` are read by value for reading all of them so.

    number_read: how many of some payloads are; it is asked about a sample.
    """
    if len(which) < _SAMPLE:
        return False
    sample = which[:: len(which) // _SAMPLE]
    return _GOOD_OF_SAMPLE * number_read(sample) >= len(sample)
