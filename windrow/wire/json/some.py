"""What reads payloads by value, and tells bad ones, with msgspec: loaded when the first payload needs it.

msgspec takes about as long to load as all of ours, and most fleets never need it.
"""

from collections.abc import Callable

from windrow.columns.arrays import Int64s
from windrow.columns.payloads import Payloads
from windrow.reading import Readings
from windrow.wire.json.quick import is_surely_bad
from windrow.wire.json.sample import SAMPLE


def read_some(payloads: Payloads, which: Int64s) -> tuple[Readings, Int64s]:
    """Return the readings of those payloads of `which` that surely are readings, and which they are."""
    from windrow.wire.json.by_value import read_by_value  # noqa: PLC0415 - see above

    return read_by_value(payloads, which)


def quick_no(count: int) -> Callable[[bytes], bool]:
    """Return what tells of a payload whether it is surely bad, for `count` of them."""
    if count < SAMPLE:
        return is_surely_bad
    from windrow.wire.json.quick_values import is_surely_bad_by_value  # noqa: PLC0415 - see above

    return is_surely_bad_by_value
