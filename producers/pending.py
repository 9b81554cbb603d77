"""Readings that wait between `put` and the sender, and how the spool stores them."""

from collections.abc import Iterable, Iterator

import numpy as np

from windrow.reading import READINGS_PER_RECORD_MAX, Reading, Readings, is_sound
from windrow.wire.block.block import decode_block, encode_block, is_block
from windrow.wire.json.encode import encode_readings
from windrow.wire.json.strict import parse_reading

# At most this many single readings become one batch of columns.
_TOGETHER_MAX = 8_192


class Pending:
    """A queue of single readings and batches, in the order they came."""

    def __init__(self) -> None:
        self._taken: list[Reading | Readings] = []
        self.count = 0
        self.began_seconds = 0.0
        """When the oldest reading came."""

    def add(self, readings: Reading | Readings, *, now_seconds: float) -> None:
        """Append one reading or a batch."""
        if not self._taken:
            self.began_seconds = now_seconds
        self._taken.append(readings)
        self.count += count_of(readings)

    def take(self) -> list[Readings]:
        """Remove and return everything, as columns."""
        taken, self._taken, self.count = self._taken, [], 0
        return list(joined(taken))

    def put_back(self, batches: list[Readings]) -> None:
        """Return these batches of a `take` to the front."""
        self._taken[:0] = batches
        self.count += sum(map(len, batches))


def count_of(readings: Reading | Readings) -> int:
    """Return how many readings these are."""
    return 1 if isinstance(readings, Reading) else len(readings)


def joined(taken: Iterable[Reading | Readings]) -> Iterator[Readings]:
    """Yield the same readings in the same order, with single ones joined into batches."""
    rows: list[Reading] = []
    for readings in taken:
        if rows and (isinstance(readings, Readings) or len(rows) == _TOGETHER_MAX):
            yield Readings.of(rows)
            rows = []
        if isinstance(readings, Readings):
            yield readings
        else:
            rows.append(readings)
    if rows:
        yield Readings.of(rows)


def spool_entries(readings: Reading | Readings) -> Iterator[bytes]:
    """Yield the spool entries for `readings`: JSON for a single one, blocks for a batch."""
    if isinstance(readings, Reading):
        yield from encode_readings(Readings.of([readings]))
        return
    for first in range(0, len(readings), READINGS_PER_RECORD_MAX):
        yield encode_block(readings.take(np.arange(first, min(first + READINGS_PER_RECORD_MAX, len(readings)))))


def readings_of(entry: bytes) -> tuple[Reading | Readings, int]:
    """Decode a spool entry; the count is of readings left out because they exceed the limits of a reading.

    BadReading for an entry that `spool_entries` never makes.
    """
    if not is_block(entry):
        return parse_reading(entry), 0
    readings = decode_block(entry)
    sound = is_sound(readings)
    return readings.take(sound), len(readings) - int(np.count_nonzero(sound))
