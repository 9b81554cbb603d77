"""The objects of united sets: which of them stand, reading them, and writing those of a roll."""

from collections.abc import Iterable, Iterator, Sequence

from dispatcher.observation import Buckets
from windrow.lake.layout import UnionKey, unions_prefix
from windrow.lake.store import Mapper, StoredObject
from windrow.rows.lineage import Lineage
from windrow.rows.partial import Partial
from windrow.rows.united import UnitedRange, digest_of
from windrow.rows.united_parquet import UnreadableRange, decode_range, encode_range
from windrow.window import Window

UNITED_ABOVE_PARTIALS = 4
"""Windows of more partials have a united set: reading so few again is at most 10 requests for a roll without it."""
IN_FLIGHT_MAX = 8
"""Ranges that are fetched or written at once."""


class UnusableUnion(Exception):  # noqa: N818 - the domain's noun
    """A range of a united set is missing or not what its key says; the message names the key and the reason."""


def union_key(window: Window, united: UnitedRange) -> UnionKey:
    """Return the key of the object of a range."""
    return UnionKey(window=window, fingerprint=united.fingerprint, digest=united.digest)


def stands_for_partials(buckets: Buckets, lineage: Lineage) -> bool:
    """Tell whether the lineage has a united set with all its objects, so partials may be missing; one LIST."""
    if lineage.united is None:
        return False
    listed = {one.key for one in buckets.lake.list_objects(unions_prefix(lineage.window))}
    return listed.issuperset(str(union_key(lineage.window, one)) for one in lineage.united.ranges)


def read_ranges(
    buckets: Buckets, window: Window, ranges: Sequence[UnitedRange], *, mapper: Mapper
) -> Iterator[Partial]:
    """Read ranges in their order, and check the bytes of each against its digest; raises UnusableUnion.

    IN_FLIGHT_MAX are fetched at once, and decoded one after another.
    """
    for start in range(0, len(ranges), IN_FLIGHT_MAX):
        keys = [union_key(window, one) for one in ranges[start : start + IN_FLIGHT_MAX]]
        yield from map(_range_in, keys, mapper(buckets.lake.get, map(str, keys)))


def _range_in(key: UnionKey, stored: StoredObject | None) -> Partial:
    if stored is None:
        raise UnusableUnion(f"{key} is gone")
    if digest_of(stored.body) != key.digest:
        raise UnusableUnion(f"{key}: its bytes have the digest {digest_of(stored.body)}")
    try:
        partial = decode_range(stored.body)
    except UnreadableRange as error:
        raise UnusableUnion(f"{key}: {error}") from error
    if partial.window != key.window:
        raise UnusableUnion(f"{key}: it is a range of another window")
    return partial


class UnionWriter:
    """Writes the ranges of a new united set, ascending, while the rows are made of them."""

    def __init__(self, buckets: Buckets, window: Window, *, fingerprint: str, mapper: Mapper) -> None:
        """Write to the lake; `fingerprint` is that of the digests that are united."""
        self._buckets = buckets
        self._window = window
        self._fingerprint = fingerprint
        self._mapper = mapper
        self._ranges: list[UnitedRange] = []
        self._waiting: list[tuple[str, bytes]] = []

    def add(self, partial: Partial, *, first: str | None = None) -> None:
        """Write the next range; it begins with the sensor `first`, by default with the least one in it."""
        if first is None:
            first = partial.sensor_ids.octets_at(0).decode() if self._ranges else ""
        body = encode_range(partial)
        united = UnitedRange(first=first, fingerprint=self._fingerprint, digest=digest_of(body))
        self._ranges.append(united)
        self._waiting.append((str(union_key(self._window, united)), body))
        if len(self._waiting) == IN_FLIGHT_MAX:
            self._flush()

    def keep(self, united: UnitedRange) -> None:
        """Take over a range of the united set before, whose readings are the same."""
        self._ranges.append(united)

    def finish(self) -> tuple[UnitedRange, ...]:
        """Return all ranges when their objects are in the lake."""
        self._flush()
        return tuple(self._ranges)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for _ in self._mapper(self._put, waiting):
            pass

    def _put(self, one: tuple[str, bytes]) -> None:
        # Without a condition: a key names its content, and a damaged object under it must not stay.
        key, body = one
        self._buckets.lake.put(key, body)


def superseded(before: Lineage | None, now: Lineage) -> Iterable[str]:
    """Return the keys of the ranges that the lineage before named, and the one that stands now does not."""
    if before is None or before.united is None:
        return ()
    kept = set(now.united.ranges) if now.united else set()
    return [str(union_key(before.window, one)) for one in before.united.ranges if one not in kept]
