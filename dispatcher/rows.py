"""Rows in bounded memory: a window's, made in one pass over its listed partials, and rows read back in pieces."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO

from dispatcher.ceiling import Use
from dispatcher.held import HeldWriter
from dispatcher.observation import Buckets, Listing, count_quarantined, read_partials
from dispatcher.spill import Spill
from dispatcher.united import UNITED_ABOVE_PARTIALS, UnionWriter
from windrow.columns.strings import Strings
from windrow.lake.layout import PartialKey
from windrow.lake.store import Body, Mapper
from windrow.rows.held import Watch
from windrow.rows.lineage import HeldMark, fingerprint
from windrow.rows.partial import Partial
from windrow.rows.partial_parquet import DeliveryCounts
from windrow.rows.rollup import BATCH_ROWS, Rollup, roll
from windrow.rows.rollup_parquet import RowsSummary, read_rows, read_sensor_ids, select_sensor_ids, write_rows
from windrow.rows.united import Delivery, UnitedSet
from windrow.window import Window

IN_FLIGHT_BYTES_MAX = 8 << 20
"""Bytes of the objects that are fetched at once; as many may wait to be decoded."""
IN_FLIGHT_MAX = 16
"""Number of the objects that are fetched at once."""
ROWS_IN_MEMORY_BYTES_MAX = 16 << 20
"""A rows object up to this size is written in memory, a larger one on local disk."""
PART_IN_MEMORY_BYTES_MAX = 1 << 20
"""A rows object up to this size is merged from memory, a larger one from local disk; a day has 24 of them."""
IDS_SELECTED_ABOVE_BYTES = 1 << 19
"""From a rows object above this size, some 15,000 rows, the ids are cut out first; below, that takes longer."""
PIECE_ROWS = 1 << 13
"""Rows of one object of many that are decoded at once."""
ROLLED_PIECE_ROWS = BATCH_ROWS
"""Rows that are decoded at once where there is only one object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledRows:
    """The rows object of a window, the delivery of each digest, the united set and the held times, if it has them."""

    rows: RowsSummary
    body: Body
    deliveries: Mapping[str, Delivery]
    quarantined: int
    united: UnitedSet | None
    held: HeldMark | None

    @property
    def duplicates_removed(self) -> int:
        """How many of the readings that were delivered are not in the set."""
        delivered = sum(one.objects * one.readings for one in self.deliveries.values())
        return delivered - self.rows.readings - self.rows.conflicts

    @property
    def late(self) -> int:
        """The late readings of one object of each digest."""
        return sum(one.late for one in self.deliveries.values())

    @property
    def partials(self) -> int:
        """The number of objects."""
        return sum(one.objects for one in self.deliveries.values())


@contextmanager
def rolled_rows(
    buckets: Buckets,
    window: Window,
    listing: Listing,
    *,
    mapper: Mapper,
    use: Use | None = None,
    watches: tuple[Watch, ...] = (),
) -> Iterator[RolledRows]:
    """Read one object of each digest, unite them, write their rows, the united set if they are many, and held times.

    `body` lives as long as the context. Raises UnreadableObject, MissingPartial, and BeyondCeiling if `use` does.
    """
    use = use or Use()
    deliveries: dict[str, Delivery] = {}
    has_union = len(listing.keys) > UNITED_ABOVE_PARTIALS
    writer = UnionWriter(buckets, window, fingerprint=listing.fingerprint, mapper=mapper)
    held = HeldWriter(buckets, window, watches)

    def parts() -> Iterator[Rollup]:
        for part in spill.ranges():
            use.go_on()
            if has_union:
                writer.add(part)
            held.add(part)
            yield roll(part)

    bytes_expected, bytes_read = sum(listing.size_bytes.values()), 0
    with (
        Spill(window, bytes_expected=bytes_expected, use=use) as spill,
        rows_file() as file,
    ):
        for group, read in read_in_groups(buckets, listing.chosen, listing, mapper=mapper):
            for key, (partial, counts) in zip(group, read, strict=True):
                spill.add(partial, size_bytes=listing.size_bytes[key.digest])
                deliveries[key.digest] = Delivery(
                    objects=len(listing.keys[key.digest]), readings=len(partial) + counts.duplicates, late=counts.late
                )
            bytes_read += sum(listing.size_bytes[key.digest] for key in group)
            use.read(bytes_read, bytes_expected)
        rows = write_rows(window.start_ms, parts(), file)
        of_each = tuple(deliveries[digest] for digest in sorted(deliveries))
        yield RolledRows(
            rows=rows,
            body=body_of(file),
            deliveries=deliveries,
            quarantined=count_quarantined(buckets, window),
            united=UnitedSet(ranges=writer.finish(), deliveries=of_each) if has_union else None,
            held=held.finish(fingerprint(deliveries)),
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


def read_in_pieces(start_ms: int, body: bytes, stack: ExitStack, *, rows: int = PIECE_ROWS) -> Iterator[Rollup]:
    """Return the rows in `body`, of the window or period that starts at `start_ms`, a piece (of `rows` rows) at a time.

    The pieces come from a file that lives as long as `stack`. UnreadableRows if the body is not rows.
    """
    return read_rows(start_ms, _file_of(body, stack), rows=rows)


def read_ids_in_pieces(body: bytes, stack: ExitStack) -> Iterator[Strings]:
    """Return the sensor ids of the rows in `body`, as `read_in_pieces` returns all of these."""
    ids = select_sensor_ids(body) if len(body) > IDS_SELECTED_ABOVE_BYTES else body
    return read_sensor_ids(_file_of(ids, stack), rows=PIECE_ROWS)


def _file_of(body: bytes, stack: ExitStack) -> IO[bytes]:
    file = stack.enter_context(tempfile.SpooledTemporaryFile(max_size=PART_IN_MEMORY_BYTES_MAX))  # noqa: SIM115
    file.write(body)
    file.seek(0)
    return file


def read_in_groups(
    buckets: Buckets, keys: Iterable[PartialKey], listing: Listing, *, mapper: Mapper
) -> Iterator[tuple[Sequence[PartialKey], Iterator[tuple[Partial, DeliveryCounts]]]]:
    """Yield the `keys`, which are listed, in groups that are fetched at once, and read the partials of each.

    A group is fetched while the one before it is decoded. Raises UnreadableObject or MissingPartial.
    """
    before = None
    for group in _in_flight(keys, listing):
        following = group, read_partials(buckets, group, mapper=mapper)
        if before:
            yield before
        before = following
    if before:
        yield before


def _in_flight(keys: Iterable[PartialKey], listing: Listing) -> Iterator[Sequence[PartialKey]]:
    """Return the `keys`, which are listed, in groups that are fetched at once: bounded in number and in bytes.

    Each has at least one key.
    """
    group: list[PartialKey] = []
    group_bytes = 0
    for key in keys:
        size_bytes = listing.size_bytes[key.digest]
        if group and (len(group) == IN_FLIGHT_MAX or group_bytes + size_bytes > IN_FLIGHT_BYTES_MAX):
            yield group
            group, group_bytes = [], 0
        group.append(key)
        group_bytes += size_bytes
    if group:
        yield group
