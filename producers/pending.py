"""Readings that wait between `put` and the sender, and how the spool stores them."""

from collections.abc import Iterable, Iterator

import numpy as np

from producers import blocks
from windrow.reading import READINGS_PER_RECORD_MAX, Reading, Readings, is_sound
from windrow.wire.block import is_block
from windrow.wire.json.encode import encode_readings

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
    """Yield the spool entries for `readings`: JSON for a single one, blocks for a batch.

    Where the libraries of blocks are missing, a batch is JSON too, a line for each reading: twenty times the bytes.
    """
    if isinstance(readings, Reading):
        yield from encode_readings(Readings.of([readings]))
        return
    encode = blocks.encode if blocks.are_available() else _encode_lines
    for first in range(0, len(readings), READINGS_PER_RECORD_MAX):
        yield encode(readings.take(np.arange(first, min(first + READINGS_PER_RECORD_MAX, len(readings)))))


def readings_of(entry: bytes) -> tuple[Reading | Readings, int]:
    """Decode a spool entry; the count is of readings left out because they exceed the limits of a reading.

    BadReading for an entry that `spool_entries` never makes; PermanentError for a block that cannot be read here.
    """
    if not is_block(entry):
        return _decode_lines(entry)
    readings = blocks.decode(entry)
    sound = is_sound(readings)
    return readings.take(sound), len(readings) - int(np.count_nonzero(sound))


def _encode_lines(readings: Readings) -> bytes:
    return b"\n".join(encode_readings(readings))


def _decode_lines(entry: bytes) -> tuple[Reading | Readings, int]:
    # Only what an earlier process left is read, and the readers take longer to import than the rest of the producer.
    from windrow.wire.json.strict import parse_reading, parse_readings  # noqa: PLC0415 - see above

    lines = entry.split(b"\n")
    if len(lines) == 1:
        return parse_reading(entry), 0
    parsed = parse_readings(lines)
    return parsed.readings, len(parsed.bad)
