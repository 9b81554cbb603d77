"""The rows of a window, made from its listed partials in one pass over them, in bounded memory."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial as bind
from typing import IO, Protocol, TypeVar

from dispatcher.look import Buckets, Listing, count_quarantined, read_partial
from dispatcher.spill import Spill
from windrow.lake.layout import PartialKey
from windrow.lake.store import Body
from windrow.rows.rollup import Rollup, roll
from windrow.rows.rollup_parquet import RowsSummary, write_rows
from windrow.window import Window

Argument = TypeVar("Argument")
Value = TypeVar("Value")

IN_FLIGHT_BYTES_MAX = 8 << 20
"""Objects read at once; decoded, a partial takes up to ten times its size in S3."""
IN_FLIGHT_MAX = 16
"""Objects read at once."""
ROWS_IN_MEMORY_BYTES_MAX = 16 << 20
"""Rows objects up to this size are kept in memory, larger ones on local disk."""


class Mapper(Protocol):
    """The builtin `map`, or one that calls in parallel and keeps the order."""

    def __call__(self, function: Callable[[Argument], Value], arguments: Iterable[Argument], /) -> Iterable[Value]:
        """`function` of each argument, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What reading every listed partial gave: the rows object, and what is known of the delivery."""

    rows: RowsSummary
    body: Body
    duplicates_removed: int
    late: int
    quarantined: int


@contextmanager
def making_rows(buckets: Buckets, window: Window, listing: Listing, *, mapper: Mapper) -> Iterator[Made]:
    """Read one object of each digest, unite them and write their rows; `body` lives as long as the context.

    Raises Unreadable or Vanished.
    """
    delivered = late = united = 0

    def parts() -> Iterator[Rollup]:
        nonlocal united
        for part in spill.ranges():
            united += len(part)
            yield roll(part)

    with (
        Spill(window, bytes_expected=sum(listing.size_bytes.values())) as spill,
        tempfile.SpooledTemporaryFile(max_size=ROWS_IN_MEMORY_BYTES_MAX) as file,
    ):
        for group in _in_flight(listing):
            for key, (partial, delivery) in zip(group, mapper(bind(read_partial, buckets), group), strict=True):
                spill.add(partial, size_bytes=listing.size_bytes[key.digest])
                delivered += (len(partial) + delivery.duplicates) * len(listing.keys[key.digest])
                late += delivery.late
        rows = write_rows(window.start_ms, parts(), file)
        yield Made(
            rows=rows,
            body=body_of(file),
            duplicates_removed=delivered - united,
            late=late,
            quarantined=count_quarantined(buckets, window),
        )


def body_of(file: IO[bytes]) -> Body:
    """What to put of a file just written: its bytes if they are few, else the file."""
    if file.tell() > ROWS_IN_MEMORY_BYTES_MAX:
        return file
    file.seek(0)
    return file.read()


def _in_flight(listing: Listing) -> Iterator[Sequence[PartialKey]]:
    """The keys to read, in groups that are read at once: bounded in number and in bytes, each at least one."""
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
