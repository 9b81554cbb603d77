"""The reader of payloads without a common layout, loaded when the first one comes.

msgspec takes about as long to load as all of ours, and most fleets never need it.
"""

from windrow.columns.arrays import Int64s
from windrow.columns.payloads import Payloads
from windrow.reading import Readings


def read_some(payloads: Payloads, which: Int64s) -> tuple[Readings, Int64s]:
    """Return the readings of those payloads of `which` that surely are readings, and which they are."""
    from windrow.wire.json.by_value import read_by_value  # noqa: PLC0415 - see above

    return read_by_value(payloads, which)
