"""Rows in bounded memory: a window's, made in one pass over its listed partials, and rows read back in pieces."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial as bind
from typing import IO

from dispatcher.observation import Buckets, Listing, count_quarantined, read_partial
from dispatcher.spill import Spill
from windrow.columns.strings import Strings
from windrow.lake.layout import PartialKey
from windrow.lake.store import Body, Mapper
from windrow.rows.rollup import Rollup, roll
from windrow.rows.rollup_parquet import RowsSummary, read_rows, read_sensor_ids, write_rows
from windrow.window import Window

IN_FLIGHT_BYTES_MAX = 8 << 20
"""Bytes of the objects that are read at once; decoded, a partial takes up to ten times its size in S3."""
IN_FLIGHT_MAX = 16
"""Number of the objects that are read at once."""
ROWS_IN_MEMORY_BYTES_MAX = 16 << 20
"""A rows object up to this size is written in memory, a larger one on local disk."""
PART_IN_MEMORY_BYTES_MAX = 1 << 20
"""A rows object up to this size is merged from memory, a larger one from local disk; a day has 24 of them."""
PIECE_ROWS = 1 << 13
"""Rows of one object that are decoded at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledRows:
    """The rows object of all listed partials of a window, and what is known of their delivery."""

    rows: RowsSummary
    body: Body
    duplicates_removed: int
    late: int
    quarantined: int


@contextmanager
def rolled_rows(buckets: Buckets, window: Window, listing: Listing, *, mapper: Mapper) -> Iterator[RolledRows]:
    """Read one object of each digest, unite them and write their rows; `body` lives as long as the context.

    Raises UnreadableObject or MissingPartial.
    """
    delivered = late = united = 0

    def parts() -> Iterator[Rollup]:
        nonlocal united
        for part in spill.ranges():
            united += len(part)
            yield roll(part)

    with (
        Spill(window, bytes_expected=sum(listing.size_bytes.values())) as spill,
        rows_file() as file,
    ):
        for group in _in_flight(listing):
            for key, (partial, delivery) in zip(group, mapper(bind(read_partial, buckets), group), strict=True):
                spill.add(partial, size_bytes=listing.size_bytes[key.digest])
                delivered += (len(partial) + delivery.duplicates) * len(listing.keys[key.digest])
                late += delivery.late
        rows = write_rows(window.start_ms, parts(), file)
        yield RolledRows(
            rows=rows,
            body=body_of(file),
            duplicates_removed=delivered - united,
            late=late,
            quarantined=count_quarantined(buckets, window),
        )


def rows_file() -> "tempfile.SpooledTemporaryFile[bytes]":
    """Return an empty file to write a rows object to; it moves to disk as it grows."""
    return tempfile.SpooledTemporaryFile(max_size=ROWS_IN_MEMORY_BYTES_MAX)


def body_of(file: IO[bytes]) -> Body:
    """Return what to put of a file that has just been written: its bytes if they are few, else the file itself."""
    if file.tell() > ROWS_IN_MEMORY_BYTES_MAX:
        return file
    file.seek(0)
    return file.read()


def read_in_pieces(start_ms: int, body: bytes, stack: ExitStack) -> Iterator[Rollup]:
    """Return the rows in `body`, of the window or period that starts at `start_ms`, a piece at a time.

    The pieces come from a file that lives as long as `stack`. UnreadableRows if the body is not rows.
    """
    return read_rows(start_ms, _file_of(body, stack), rows=PIECE_ROWS)


def read_ids_in_pieces(body: bytes, stack: ExitStack) -> Iterator[Strings]:
    """Return the sensor ids of the rows in `body`, as `read_in_pieces` returns all of these."""
    return read_sensor_ids(_file_of(body, stack), rows=PIECE_ROWS)


def _file_of(body: bytes, stack: ExitStack) -> IO[bytes]:
    file = stack.enter_context(tempfile.SpooledTemporaryFile(max_size=PART_IN_MEMORY_BYTES_MAX))  # noqa: SIM115
    file.write(body)
    file.seek(0)
    return file


def _in_flight(listing: Listing) -> Iterator[Sequence[PartialKey]]:
    """Return the keys in groups that are read at once: bounded in number and in bytes, each with at least one key."""
    group: list[PartialKey] = []
    group_bytes = 0
    for key in listing.chosen:
        size_bytes = listing.size_bytes[key.digest]
        if group and (len(group) == IN_FLIGHT_MAX or group_bytes + size_bytes > IN_FLIGHT_BYTES_MAX):
            yield group
            group, group_bytes = [], 0
        group.append(key)
        group_bytes += size_bytes
    if group:
        yield group
