"""Search for payloads in the quarantine of a lake, by arrival, reason and shard; each payload is found once."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from windrow.errors import WindrowError
from windrow.lake.layout import QUARANTINE, QuarantineKey, day_prefix, parse_quarantine_key
from windrow.lake.quarantine import QuarantinedPayload, UnreadableQuarantine, decode_quarantine
from windrow.lake.store import ObjectStore
from windrow.period import DAY_MS
from windrow.reading import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineSearch:
    """A filter for payloads: `start_ms <= arrival < end_ms`, one of `reasons` (any if empty), one shard or any."""

    start_ms: int
    end_ms: int
    reasons: frozenset[Reason] = frozenset()
    shard: str | None = None

    def may_hold(self, key: QuarantineKey) -> bool:
        """Return whether an object can hold a matching payload."""
        is_near = key.window.start_ms < self.end_ms and key.window.end_ms > self.start_ms
        return is_near and self.shard in (None, key.origin.shard)

    def holds(self, one: QuarantinedPayload) -> bool:
        """Return whether a payload matches; if its arrival is unknown, the window of its object counts."""
        is_near = one.arrival_ms is None or self.start_ms <= one.arrival_ms < self.end_ms
        return is_near and (not self.reasons or one.reason in self.reasons) and self.shard in (None, one.shard)


def keys(lake: ObjectStore, search: QuarantineSearch) -> Iterator[QuarantineKey]:
    """Yield the objects that may hold a matching payload, by window of arrival."""
    for prefix in _prefixes(search):
        for listed in lake.list_objects(prefix):
            try:
                key = parse_quarantine_key(listed.key)
            except ValueError as error:
                raise WindrowError(
                    f"the quarantine holds an object that windrow did not write: {listed.key}",
                    hint="move it out of quarantine/",
                ) from error
            if search.may_hold(key):
                yield key


def payloads(lake: ObjectStore, search: QuarantineSearch) -> Iterator[QuarantinedPayload]:
    """Yield the matching payloads, by window of arrival, each once even if several objects repeat it.

    All repetitions of a payload have the same window of arrival, so only the identities of one window are remembered.
    """
    for _, of_window in groupby(keys(lake, search), key=lambda key: key.window):
        seen = set()
        for key in of_window:
            for one in read(lake, key):
                if search.holds(one) and one.identity not in seen:
                    seen.add(one.identity)
                    yield one


def read(lake: ObjectStore, key: QuarantineKey) -> Iterator[QuarantinedPayload]:
    """Yield the payloads of one object, none if it has expired; WindrowError names an object that cannot be read."""
    stored = lake.get(str(key))
    if stored is None:
        return
    try:
        yield from decode_quarantine(stored.body)
    except UnreadableQuarantine as error:
        raise WindrowError(f"{key}: {error}", hint="a later version of windrow may have written it") from error


def _prefixes(search: QuarantineSearch) -> list[str]:
    """Return a prefix for each day, or the whole quarantine if the search has no start."""
    if search.start_ms <= 0:
        return [QUARANTINE]
    first, last = search.start_ms // DAY_MS, (search.end_ms - 1) // DAY_MS
    return [day_prefix(QUARANTINE, day * DAY_MS) for day in range(first, last + 1)]
