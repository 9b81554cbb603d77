"""The objects of held times: reading those of a window, and writing those of a roll.

An object is named after its readings and its content, and written before the lineage that names it. So a lineage never
names other held times than its own, and a crash leaves an object too many at most, which the lifecycle removes.
"""

import logging
from collections.abc import Iterable

from dispatcher.observation import Buckets
from windrow.lake.layout import held_key
from windrow.rows.held import (
    Held,
    UnreadableHeldTimes,
    Watch,
    decode_held,
    encode_held,
    held_between,
    held_times,
    joined_held,
)
from windrow.rows.lineage import HeldMark, Lineage
from windrow.rows.partial import Partial
from windrow.rows.united import digest_of
from windrow.window import Window

log = logging.getLogger(__name__)


def are_kept(lineage: Lineage, watches: Iterable[Watch]) -> bool:
    """Tell whether the lineage names held times for all `watches`."""
    return set(watches).issubset(_watches_of(lineage))


def all_watches(lineage: Lineage | None, watches: Iterable[Watch]) -> tuple[Watch, ...]:
    """Return `watches` and those that the lineage has, ascending: a window keeps the rules that judged it first."""
    return tuple(sorted({*watches, *_watches_of(lineage)}))


def read_held(buckets: Buckets, lineage: Lineage, watches: Iterable[Watch]) -> Held | None:
    """Return the held times that the lineage names; None if it lacks a watch, or they are gone or damaged."""
    mark = lineage.held
    if mark is None or not are_kept(lineage, watches):
        return None
    if not mark.digest:
        return {}
    key = _key_of(lineage.window, mark)
    stored = buckets.lake.get(key)
    try:
        if stored is None or digest_of(stored.body) != mark.digest:
            raise UnreadableHeldTimes("it is gone, or its bytes are others")
        return decode_held(lineage.window.start_ms, stored.body)
    except UnreadableHeldTimes as error:
        log.warning("%s is replaced: %s", key, error)
        return None


def superseded_held(before: Lineage | None, now: Lineage) -> tuple[str, ...]:
    """Return the key of the held times that the lineage before named, and the one that stands now does not."""
    if before is None or before.held is None or not before.held.digest:
        return ()
    key = _key_of(before.window, before.held)
    return () if now.held is not None and key == _key_of(now.window, now.held) else (key,)


class HeldWriter:
    """Gathers the held times of a window, part by part, while its rows are made, and writes them."""

    def __init__(
        self, buckets: Buckets, window: Window, watches: tuple[Watch, ...], standing: Held | None = None
    ) -> None:
        """Keep the held times of `watches`; `standing` are those of ranges that are taken over."""
        self._buckets = buckets
        self._window = window
        self._watches = watches
        self._standing = standing or {}
        self._parts: list[Held] = []

    def add(self, partial: Partial) -> None:
        """Work out the next series, from their readings."""
        if self._watches:
            self._parts.append(held_times(partial, self._watches))

    def keep(self, first: str, until: bytes | None) -> None:
        """Take over the standing held times of the series from `first` up to `until`, exclusive."""
        self._parts.append(held_between(self._standing, first.encode(), until))

    def finish(self, fingerprint: str) -> HeldMark | None:
        """Write what was gathered, and return its mark; None if nothing is watched."""
        if not self._watches:
            return None
        held = joined_held(self._parts)
        if not held:
            return HeldMark(watches=self._watches, fingerprint=fingerprint, digest="")
        body = encode_held(self._window.start_ms, held)
        mark = HeldMark(watches=self._watches, fingerprint=fingerprint, digest=digest_of(body))
        # Without a condition: a key names its content, and a damaged object under it must not stay.
        self._buckets.lake.put(_key_of(self._window, mark), body)
        return mark


def _watches_of(lineage: Lineage | None) -> tuple[Watch, ...]:
    return lineage.held.watches if lineage is not None and lineage.held is not None else ()


def _key_of(window: Window, mark: HeldMark) -> str:
    return held_key(window, mark.fingerprint, mark.digest)
