"""Rows of a window that has a united set: only the ranges that new partials touch are read and rolled.

    range of the united set     0      1      2      3
    new partials                       x
    read, united, rolled               1
    rows copied                 0             2      3        if they are those of the lineage; otherwise all are rolled

The rows are the same, to the byte, as those of a roll of all partials.
"""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from dispatcher.additions import Additions
from dispatcher.ceiling import Use
from dispatcher.held import HeldWriter, read_held
from dispatcher.observation import Buckets, Listing, Observation, count_quarantined
from dispatcher.rows import ROLLED_PIECE_ROWS, RolledRows, body_of, read_in_groups, read_in_pieces, rows_file
from dispatcher.spill import READINGS_HELD_MAX, Spill
from dispatcher.united import UnionWriter, read_ranges
from windrow.lake.layout import PartialKey, rows_key
from windrow.lake.store import Mapper, PreconditionFailed
from windrow.rows.held import Watch
from windrow.rows.lineage import Lineage, fingerprint
from windrow.rows.partial import Partial
from windrow.rows.rollup import Rollup, roll
from windrow.rows.rollup_parquet import write_rows
from windrow.rows.united import Delivery, UnitedRange, UnitedSet


@contextmanager
def patched_rows(
    buckets: Buckets,
    seen: Observation,
    before: Lineage,
    listing: Listing,
    *,
    mapper: Mapper,
    use: Use | None = None,
    watches: tuple[Watch, ...] = (),
) -> Iterator[RolledRows]:
    """Add the partials that `before` does not name to its united set, and write the rows and held times.

    `body` lives as long as the context. Raises UnusableUnion, UnreadableRows (of the rows that stand), UnreadableObject
    or MissingPartial (of a partial), PreconditionFailed if the rows are no longer those that were observed, and
    BeyondCeiling if `use` does.
    """
    united = before.united
    if united is None:
        raise ValueError("a lineage without a united set")
    deliveries = dict(zip(before.digests, united.deliveries, strict=True))
    splitters = [one.first.encode() for one in united.ranges[1:]]
    with ExitStack() as stack:
        additions = stack.enter_context(Additions(before.window, splitters, use=use))
        for key, partial, delivery in _read_new(buckets, listing, deliveries, mapper=mapper):
            additions.use.go_on()
            if key.digest not in deliveries:
                additions.add(partial)
            deliveries[key.digest] = delivery
        writer = UnionWriter(buckets, before.window, fingerprint=fingerprint(deliveries), mapper=mapper)
        stood = read_held(buckets, before, watches) if watches else {}
        standing = _standing_rows(buckets, seen, before, stack) if stood is not None else None
        held = HeldWriter(buckets, before.window, watches, stood)
        file = stack.enter_context(rows_file())
        parts = _parts(buckets, before, united.ranges, additions, writer, held, standing, mapper=mapper)
        rows = write_rows(before.window.start_ms, parts, file)
        yield RolledRows(
            rows=rows,
            body=body_of(file),
            deliveries=deliveries,
            quarantined=count_quarantined(buckets, before.window),
            united=UnitedSet(
                ranges=writer.finish(), deliveries=tuple(deliveries[digest] for digest in sorted(deliveries))
            ),
            held=held.finish(fingerprint(deliveries)),
        )


def _read_new(
    buckets: Buckets, listing: Listing, known: dict[str, Delivery], *, mapper: Mapper
) -> Iterator[tuple[PartialKey, Partial, Delivery]]:
    """Read one object of each digest that is new, or that has more objects than were known."""
    wanted = [
        key
        for key in listing.chosen
        if key.digest not in known or len(listing.keys[key.digest]) > known[key.digest].objects
    ]
    for group, read in read_in_groups(buckets, wanted, listing, mapper=mapper):
        for key, (partial, counts) in zip(group, read, strict=True):
            objects, readings = len(listing.keys[key.digest]), len(partial) + counts.duplicates
            yield key, partial, Delivery(objects=objects, readings=readings, late=counts.late)


def _standing_rows(buckets: Buckets, seen: Observation, before: Lineage, stack: ExitStack) -> "_StandingRows | None":
    """Return the rows that the lineage was written for; None if other rows were observed, or none."""
    if not seen.rows_etag or seen.rows_etag != before.result_etag:
        return None
    key = rows_key(before.window)
    stored = buckets.results.get(key)
    if stored is None or stored.etag != before.result_etag:
        raise PreconditionFailed(key)
    return _StandingRows(read_in_pieces(before.window.start_ms, stored.body, stack, rows=ROLLED_PIECE_ROWS))


def _parts(
    buckets: Buckets,
    before: Lineage,
    ranges: tuple[UnitedRange, ...],
    additions: Additions,
    writer: UnionWriter,
    held: HeldWriter,
    standing: "_StandingRows | None",
    *,
    mapper: Mapper,
) -> Iterator[Rollup]:
    """Yield the rows range by range, and give each range to the writers."""
    touched = additions.readings.keys() if standing else set(range(len(ranges)))
    read = read_ranges(
        buckets, before.window, [one for number, one in enumerate(ranges) if number in touched], mapper=mapper
    )
    for number, one in enumerate(ranges):
        additions.use.go_on()
        until = ranges[number + 1].first.encode() if number + 1 < len(ranges) else None
        rows = standing.until(until) if standing else iter(())
        if number not in touched:
            writer.keep(one)
            held.keep(one.first, until)
            yield from rows
            continue
        for _ in rows:  # they are made anew
            pass
        for part in _united(one, next(read), number, additions, writer):
            held.add(part)
            yield roll(part)


def _united(
    one: UnitedRange, old: Partial, number: int, additions: Additions, writer: UnionWriter
) -> Iterator[Partial]:
    """Yield the union of a range and its additions, in several parts if it has become too large for one."""
    readings = len(old) + additions.readings.get(number, 0)
    with Spill(old.window, bytes_expected=readings, held_max=2 * READINGS_HELD_MAX, use=additions.use) as spill:
        for partial in itertools.chain([old], additions.of_range(number)):
            spill.add(partial, size_bytes=len(partial))
        first: str | None = one.first
        for part in spill.ranges():
            if first is not None and part == old:
                writer.keep(one)  # all additions were known
            else:
                writer.add(part, first=first)
            first = None
            yield part


class _StandingRows:
    """Rows in the order of their sensors, taken piece by piece."""

    def __init__(self, pieces: Iterator[Rollup]) -> None:
        self._pieces = pieces
        self._piece: Rollup | None = None

    def until(self, end: bytes | None) -> Iterator[Rollup]:
        """Yield the next rows, up to the sensor `end`, exclusive; all that are left if it is None."""
        while (piece := self._piece or next(self._pieces, None)) is not None:
            cut = len(piece) if end is None else piece.sensor_ids.positions_of([end])[0]
            if cut:
                yield piece.between(0, cut)
            if cut < len(piece):
                self._piece = piece.between(cut, len(piece))
                return
            self._piece = None
