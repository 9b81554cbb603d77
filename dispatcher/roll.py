"""The roll of one window: from the set of its listed partials to rows and lineage.

The order is what makes it safe without a lock:

    observe   ETags of rows and lineage, and the lineage         what the writes will demand
    list      the partials                                       so: anything written before the observation is in here
    union     of every listed partial, each read and checked
    rows      If-Match the observed ETag, or If-None-Match: *    refused if another roll wrote since: start over
    marker    of the silence, where an old window's is unknown   so the next tick works it out if this one dies
    lineage   on the same condition as the rows                  refused likewise; until it stands, nothing is settled
    markers   of partials that the lineage names are deleted     so a marker outlives any crash before this

Whoever writes last listed after everyone whose write it replaced, so its set contains theirs. A crash between rows and
lineage leaves a lineage whose `result_etag` is not that of the rows, and such a window is rolled again. A
roll whose listing lacks a digest of the lineage would shrink a result: it is refused, the window is frozen.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from dispatcher.due import DueWindow
from dispatcher.look import (
    Buckets,
    Listing,
    Observation,
    Unreadable,
    Vanished,
    list_partials,
    observe,
)
from dispatcher.report import Outcome, WindowReport
from dispatcher.rows import Mapper, making_rows
from windrow.lake.layout import MarkerKey, SilenceMarkerKey, lineage_key, rows_key
from windrow.lake.store import Body, PreconditionFailed, StoreError
from windrow.lifetimes import Lifetimes
from windrow.rows.lineage import Lineage
from windrow.window import Window

_SILENCE_FIELDS = ("sensors_expected", "silent", "presence", "silences_etag")
_MANY_TICKS_LOOK_MS = 3_600_000
"""A window that ended less long ago is looked at by many ticks to come, marked or not."""
ROUNDS_MAX = 5
"""How often a roll starts over when it loses to another; each loss means that another roll got further."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLineage:
    """A lineage and the ETag of the object it came in or went to."""

    lineage: Lineage
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Roller:
    """What all rolls of one tick share; the lineages that they found or left standing, the silence markers they put."""

    buckets: Buckets
    lifetimes: Lifetimes
    scheduled_time_ms: int
    mapper: Mapper = map
    lineages: dict[Window, KnownLineage] = field(default_factory=dict)
    silence_markers: set[SilenceMarkerKey] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """How a roll ended: the lineage that stands now."""

    outcome: Outcome
    lineage: Lineage | None
    detail: str = ""


def roll_window(
    roller: Roller, due: DueWindow, *, first_look: Callable[[Buckets, Window], Observation] = observe
) -> WindowReport:
    """Bring one window up to date; never raises for what is wrong with this window alone.

    `first_look` may answer from listings made earlier in the tick; a roll that starts over observes anew.
    """
    standing = _Standing(outcome=Outcome.CONTENDED, lineage=None, detail="lost to another dispatcher every time")
    look = first_look
    try:
        for _ in range(ROUNDS_MAX):
            try:
                standing = _roll_once(roller, due.window, look)
                break
            except (PreconditionFailed, Vanished):
                look = observe
        kept = _release(roller.buckets, due.markers, standing.lineage)
    except (Unreadable, StoreError) as error:
        standing = _Standing(outcome=Outcome.FAILED, lineage=None, detail=str(error))
        kept = due.markers
    return WindowReport(
        window=due.window,
        reasons=due.reasons,
        outcome=standing.outcome,
        revision=standing.lineage.revision if standing.lineage else 0,
        readings=standing.lineage.readings if standing.lineage else 0,
        detail=standing.detail,
        markers_kept=tuple(marker.digest for marker in kept),
    )


def _roll_once(roller: Roller, window: Window, look: Callable[[Buckets, Window], Observation]) -> _Standing:
    """One round; PreconditionFailed or Vanished when it must start over."""
    seen = look(roller.buckets, window)
    listing = list_partials(roller.buckets, window)
    missing = sorted(set(seen.lineage.digests) - listing.digests) if seen.lineage else []
    if missing:
        detail = f"{len(missing)} of its partials are gone, the first is {missing[0]}"
        return _Standing(outcome=Outcome.FROZEN, lineage=seen.lineage, detail=detail)
    is_final = roller.lifetimes.is_final(window, scheduled_time_ms=roller.scheduled_time_ms)
    if seen.lineage is not None and _is_settled(seen, seen.lineage, listing):
        if seen.lineage.is_final or not is_final:
            roller.lineages[window] = KnownLineage(lineage=seen.lineage, etag=seen.lineage_etag or "")
            return _Standing(outcome=Outcome.SETTLED, lineage=seen.lineage)
        final = dataclasses.replace(seen.lineage, is_final=True, scheduled_time_ms=roller.scheduled_time_ms)
        _write_lineage(roller, final, seen.lineage_etag)
        return _Standing(outcome=Outcome.RECORDED, lineage=final)
    return _write_results(roller, seen, listing, window, is_final=is_final)


def _is_settled(seen: Observation, lineage: Lineage, listing: Listing) -> bool:
    """Whether the rows there are those of the listed partials, and the lineage says so.

    More objects with the same digests (another cut of the same readings) change delivery facts, which are
    lineage; fewer (one of two expired) change nothing.
    """
    return (
        lineage.fingerprint == listing.fingerprint
        and lineage.result_etag == (seen.rows_etag or "")
        and listing.partials <= lineage.partials
    )


def _write_results(roller: Roller, seen: Observation, listing: Listing, window: Window, *, is_final: bool) -> _Standing:
    """Rows, unless they stand already (or there are none to replace), then the lineage."""
    with making_rows(roller.buckets, window, listing, mapper=roller.mapper) as made:
        before = seen.lineage
        is_same = before is not None and before.rows_sha256 == made.rows.rows_sha256
        lineage = Lineage(
            window=window,
            fingerprint=listing.fingerprint,
            digests=tuple(sorted(listing.digests)),
            rows_sha256=made.rows.rows_sha256,
            result_etag=seen.rows_etag or "",
            revision=(before.revision if before else 0) + (0 if is_same else 1),
            readings=made.rows.readings,
            sensors=made.rows.sensors,
            conflicts=made.rows.conflicts,
            duplicates_removed=made.duplicates_removed,
            late=made.late,
            quarantined=made.quarantined,
            partials=listing.partials,
            shards=listing.shards,
            is_final=is_final or (before is not None and before.is_final),
            scheduled_time_ms=roller.scheduled_time_ms,
            sensors_sha256=made.rows.sensors_sha256,
        )
        if before:
            # What was worked out of its silence stands until it is again; without `presence` it is due.
            lineage = dataclasses.replace(lineage, **{name: getattr(before, name) for name in _SILENCE_FIELDS})
            if lineage.sensors_sha256 != before.sensors_sha256:
                lineage = dataclasses.replace(lineage, presence="")
        rows_stand = is_same and before is not None and before.result_etag == lineage.result_etag
        if not rows_stand and (made.rows.sensors or seen.rows_etag is not None):
            etag = _write(roller.buckets, rows_key(window), made.body, seen.rows_etag)
            lineage = dataclasses.replace(lineage, result_etag=etag)
        if lineage.is_silence_unknown:
            _mark_silence(roller, lineage, before)
        _write_lineage(roller, lineage, seen.lineage_etag)
    return _Standing(outcome=Outcome.RECORDED if rows_stand else Outcome.ROLLED, lineage=lineage)


def _mark_silence(roller: Roller, lineage: Lineage, before: Lineage | None) -> None:
    """Put a marker, unless many ticks to come look at the window anyway.

    It is named after a partial that the lineage before does not name, if there is any: a tick that knows only that
    lineage leaves the marker alone, and every later lineage has that partial.
    """
    if roller.scheduled_time_ms - lineage.window.end_ms < _MANY_TICKS_LOOK_MS:
        return
    new = set(lineage.digests) - set(before.digests if before else ())
    marker = SilenceMarkerKey(window=lineage.window, digest=min(new or lineage.digests))
    with contextlib.suppress(PreconditionFailed):  # it is there already
        roller.buckets.lake.put(str(marker), b"", if_absent=True)
    roller.silence_markers.add(marker)


def _write_lineage(roller: Roller, lineage: Lineage, observed_etag: str | None) -> None:
    etag = _write(roller.buckets, lineage_key(lineage.window), lineage.to_json(), observed_etag)
    roller.lineages[lineage.window] = KnownLineage(lineage=lineage, etag=etag)


def _write(buckets: Buckets, key: str, body: Body, observed_etag: str | None) -> str:
    """Write a result under the condition that it is as observed."""
    if observed_etag is None:
        return buckets.results.put(key, body, if_absent=True)
    return buckets.results.put(key, body, if_match=observed_etag)


def _release(buckets: Buckets, markers: Iterable[MarkerKey], lineage: Lineage | None) -> tuple[MarkerKey, ...]:
    """Delete the markers whose partials the standing lineage names; the others are returned."""
    contained = frozenset(lineage.digests) if lineage else frozenset()
    kept = []
    for marker in markers:
        if marker.digest in contained:
            buckets.lake.delete(str(marker))
        else:
            kept.append(marker)
    return tuple(kept)
