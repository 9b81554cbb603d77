"""What the buckets hold about one window: its partials as listed, its rows and lineage as observed."""

from collections.abc import Mapping
from dataclasses import dataclass

from windrow.lake.layout import (
    PartialKey,
    lineage_key,
    parse_partial_key,
    parse_quarantine_key,
    partials_prefix,
    quarantine_prefix,
    rows_key,
)
from windrow.lake.store import ObjectStore, etag_of
from windrow.rows.lineage import Lineage, UnreadableLineage, fingerprint
from windrow.rows.partial import Partial
from windrow.rows.partial_parquet import DeliveryCounts, UnreadablePartial, decode_partial
from windrow.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """The two buckets that a tick works on."""

    lake: ObjectStore
    results: ObjectStore


class Unreadable(Exception):  # noqa: N818 - the domain's noun
    """An object is not what its key says; the message names the key and the reason."""


class Vanished(Exception):  # noqa: N818 - the domain's noun
    """A partial was listed and is gone; the message names its key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Rows and lineage of a window at the beginning of a roll: what its conditional writes will demand."""

    rows_etag: str | None
    lineage: Lineage | None
    lineage_etag: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The partials of a window: every key by its digest, and the size of the object of the least of them.

    Two keys of one digest hold the same readings.
    """

    keys: Mapping[str, tuple[PartialKey, ...]]
    size_bytes: Mapping[str, int]

    @property
    def digests(self) -> frozenset[str]:
        """The digests, each once."""
        return frozenset(self.keys)

    @property
    def fingerprint(self) -> str:
        """What a lineage that was made of these partials carries."""
        return fingerprint(self.keys)

    @property
    def chosen(self) -> tuple[PartialKey, ...]:
        """One object of each digest (the least key), in the order of the digests."""
        return tuple(min(self.keys[digest], key=str) for digest in sorted(self.keys))

    @property
    def partials(self) -> int:
        """How many objects."""
        return sum(map(len, self.keys.values()))

    @property
    def shards(self) -> tuple[str, ...]:
        """The shards that the objects came from, as "<stream>-<shard>", ascending."""
        origins = {key.origin for keys in self.keys.values() for key in keys}
        return tuple(sorted({f"{origin.stream}-{origin.shard}" for origin in origins}))


def observe(buckets: Buckets, window: Window) -> Observation:
    """Rows and lineage as they are now; costs one LIST and one GET, and reads no rows."""
    rows_etag = etag_of(buckets.results, rows_key(window))
    return observe_lineage(buckets, window, rows_etag=rows_etag)


def observe_lineage(buckets: Buckets, window: Window, *, rows_etag: str | None) -> Observation:
    """The lineage as it is now, beside rows that were seen before; raises Unreadable."""
    key = lineage_key(window)
    stored = buckets.results.get(key)
    if stored is None:
        return Observation(rows_etag=rows_etag, lineage=None, lineage_etag=None)
    try:
        lineage = Lineage.from_json(stored.body)
    except UnreadableLineage as error:
        raise Unreadable(f"{key}: {error}") from error
    if lineage.window != window:
        raise Unreadable(f"{key}: it is the lineage of another window")
    return Observation(rows_etag=rows_etag, lineage=lineage, lineage_etag=stored.etag)


def list_partials(buckets: Buckets, window: Window) -> Listing:
    """The partials of `window` as they are listed now; raises Unreadable for a key that is none of a partial."""
    keys: dict[str, tuple[PartialKey, ...]] = {}
    size_bytes: dict[str, int] = {}
    for listed in buckets.lake.list_objects(partials_prefix(window)):
        try:
            key = parse_partial_key(listed.key)
        except ValueError as error:
            raise Unreadable(f"{listed.key}: not the key of a partial") from error
        keys[key.digest] = (*keys.get(key.digest, ()), key)
        size_bytes.setdefault(key.digest, listed.size_bytes)
    return Listing(keys=keys, size_bytes=size_bytes)


def read_partial(buckets: Buckets, key: PartialKey) -> tuple[Partial, DeliveryCounts]:
    """The partial under `key`, checked against the window and the digest there; raises Unreadable or Vanished."""
    stored = buckets.lake.get(str(key))
    if stored is None:
        raise Vanished(str(key))
    try:
        partial, delivery = decode_partial(stored.body)
    except UnreadablePartial as error:
        raise Unreadable(f"{key}: {error}") from error
    if partial.window != key.window:
        raise Unreadable(f"{key}: it is a partial of another window")
    if partial.digest != key.digest:
        raise Unreadable(f"{key}: its readings have the digest {partial.digest}")
    return partial, delivery


def count_quarantined(buckets: Buckets, window: Window) -> int:
    """How many bad payloads arrived during `window`, by the counts in the keys; keys of others are not counted."""
    count = 0
    for listed in buckets.lake.list_objects(quarantine_prefix(window)):
        try:
            count += parse_quarantine_key(listed.key).count
        except ValueError:
            continue
    return count
