"""What the buckets hold of one window: its partials as listed, its rows and lineage as observed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from windrow.lake.layout import (
    AGGREGATES,
    PartialKey,
    day_prefix,
    lineage_key,
    parse_partial_key,
    parse_quarantine_key,
    partials_prefix,
    quarantine_prefix,
    rows_key,
)
from windrow.lake.store import Mapper, ObjectStore, StoredObject, etag_of
from windrow.rows.lineage import Lineage, UnreadableLineage, fingerprint
from windrow.rows.partial import Partial
from windrow.rows.partial_parquet import DeliveryCounts, UnreadablePartial, decode_partial
from windrow.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """The two buckets that a tick works on."""

    lake: ObjectStore
    results: ObjectStore


class UnreadableObject(Exception):  # noqa: N818 - the domain's noun
    """An object is not what its key says; the message names the key and the reason."""


class MissingPartial(Exception):  # noqa: N818 - the domain's noun
    """A partial was listed and is gone; the message names its key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Rows and lineage of a window at the beginning of a roll, which its writes demand to be unchanged."""

    rows_etag: str | None
    lineage: Lineage | None
    lineage_etag: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The partials of a window: all keys of each digest, and the size of the object under the least of them.

    Objects with the same digest hold the same readings.
    """

    keys: Mapping[str, tuple[PartialKey, ...]]
    size_bytes: Mapping[str, int]

    @property
    def digests(self) -> frozenset[str]:
        """The digests, each once."""
        return frozenset(self.keys)

    @property
    def fingerprint(self) -> str:
        """The fingerprint in a lineage that was made from these partials."""
        return fingerprint(self.keys)

    @property
    def chosen(self) -> tuple[PartialKey, ...]:
        """One object of each digest, that with the least key, in the order of the digests."""
        return tuple(min(self.keys[digest], key=str) for digest in sorted(self.keys))

    @property
    def partials(self) -> int:
        """The number of objects."""
        return sum(map(len, self.keys.values()))

    @property
    def shards(self) -> tuple[str, ...]:
        """The shards that the objects came from, as "<stream>-<shard>", ascending."""
        origins = {key.origin for keys in self.keys.values() for key in keys}
        return tuple(sorted({f"{origin.stream}-{origin.shard}" for origin in origins}))


def observe(buckets: Buckets, window: Window) -> Observation:
    """Observe rows and lineage as they are now, with one LIST and one GET; the rows are not read."""
    rows_etag = etag_of(buckets.results, rows_key(window))
    return observe_lineage(buckets, window, rows_etag=rows_etag)


def observe_lineage(buckets: Buckets, window: Window, *, rows_etag: str | None) -> Observation:
    """Observe the lineage as it is now; the rows were observed before. Raises UnreadableObject."""
    key = lineage_key(window)
    stored = buckets.results.get(key)
    if stored is None:
        return Observation(rows_etag=rows_etag, lineage=None, lineage_etag=None)
    try:
        lineage = Lineage.from_json(stored.body)
    except UnreadableLineage as error:
        raise UnreadableObject(f"{key}: {error}") from error
    if lineage.window != window:
        raise UnreadableObject(f"{key}: it is the lineage of another window")
    return Observation(rows_etag=rows_etag, lineage=lineage, lineage_etag=stored.etag)


class RowsIndex:
    """The ETags of rows, listed for a whole day when the day is first asked for.

    So they are observed before the partials are listed, as a roll demands.
    """

    def __init__(self, *, without_lineage: frozenset[Window]) -> None:
        """Skip the GET of the lineage for windows `without_lineage`: the plan's listing had none."""
        self._without_lineage = without_lineage
        self._etags: dict[str, dict[str, str]] = {}

    def observe(self, buckets: Buckets, window: Window) -> Observation:
        """Observe the rows by the day's listing, and the lineage by a GET, unless the plan's listing had none."""
        rows_etag = self.etags_of_day(buckets, window.start_ms).get(rows_key(window))
        if window in self._without_lineage:
            return Observation(rows_etag=rows_etag, lineage=None, lineage_etag=None)
        return observe_lineage(buckets, window, rows_etag=rows_etag)

    def etags_of_day(self, buckets: Buckets, instant_ms: int) -> Mapping[str, str]:
        """Return the ETags of the day's rows by key, as they were when this was first asked for."""
        prefix = day_prefix(AGGREGATES, instant_ms)
        if prefix not in self._etags:
            self._etags[prefix] = {listed.key: listed.etag for listed in buckets.results.list_objects(prefix)}
        return self._etags[prefix]

    def list_days(self, buckets: Buckets, windows: Iterable[Window], mapper: Mapper) -> None:
        """List the days of `windows` at once; then `observe` may be called from several threads for these."""
        instants_ms = {day_prefix(AGGREGATES, window.start_ms): window.start_ms for window in windows}
        for _ in mapper(lambda instant_ms: self.etags_of_day(buckets, instant_ms), instants_ms.values()):
            pass

    def forget(self, window: Window) -> None:
        """List the day of this window anew when next asked for: its rows may have been written."""
        self._etags.pop(day_prefix(AGGREGATES, window.start_ms), None)


def list_partials(buckets: Buckets, window: Window) -> Listing:
    """List the partials of `window` as they are now; UnreadableObject if a key there is not a partial's."""
    keys: dict[str, tuple[PartialKey, ...]] = {}
    size_bytes: dict[str, int] = {}
    for listed in buckets.lake.list_objects(partials_prefix(window)):
        try:
            key = parse_partial_key(listed.key)
        except ValueError as error:
            raise UnreadableObject(f"{listed.key}: not the key of a partial") from error
        keys[key.digest] = (*keys.get(key.digest, ()), key)
        size_bytes.setdefault(key.digest, listed.size_bytes)
    return Listing(keys=keys, size_bytes=size_bytes)


def read_partials(
    buckets: Buckets, keys: Sequence[PartialKey], *, mapper: Mapper
) -> Iterator[tuple[Partial, DeliveryCounts]]:
    """Read partials in the order of `keys`, and check each against its key; raises UnreadableObject or MissingPartial.

    All are fetched at once, and decoded one after another: threads that decode only wait for each other.
    """
    return map(_partial_in, keys, mapper(buckets.lake.get, map(str, keys)))


def _partial_in(key: PartialKey, stored: StoredObject | None) -> tuple[Partial, DeliveryCounts]:
    if stored is None:
        raise MissingPartial(str(key))
    try:
        partial, delivery = decode_partial(stored.body)
    except UnreadablePartial as error:
        raise UnreadableObject(f"{key}: {error}") from error
    if partial.window != key.window:
        raise UnreadableObject(f"{key}: it is a partial of another window")
    if partial.digest != key.digest:
        raise UnreadableObject(f"{key}: its readings have the digest {partial.digest}")
    return partial, delivery


def count_quarantined(buckets: Buckets, window: Window) -> int:
    """Count the bad payloads that arrived during `window`, by the counts in the keys; other keys are ignored."""
    count = 0
    for listed in buckets.lake.list_objects(quarantine_prefix(window)):
        try:
            count += parse_quarantine_key(listed.key).count
        except ValueError:
            continue
    return count
