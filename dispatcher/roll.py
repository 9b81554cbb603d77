"""The roll of one window: from the set of its listed partials to rows and lineage.

The order is what makes it safe without a lock:

    observe   ETags of rows and lineage, and the lineage         the writes below demand that they are unchanged
    list      the partials                                       all that were written before the observation are here
    union     of every listed partial, each read and checked
    rows      If-Match the observed ETag, or If-None-Match: *    refused if another roll wrote since: start over
    marker    of the silence, if an old window's is unknown      the next tick works it out if this one dies
    lineage   on the same condition as the rows                  refused likewise; before it, nothing is settled
    markers   of partials that the lineage names are deleted     a marker outlives any crash before this

The roll that writes last listed after every roll whose write it replaces, so its set contains theirs. A crash between
rows and lineage leaves a lineage whose `result_etag` is not that of the rows, and such a window is rolled again. A roll
whose listing lacks a digest of the lineage would shrink a result: it is refused, and the window is frozen.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from dispatcher.due import DueWindow
from dispatcher.observation import (
    Buckets,
    Listing,
    MissingPartial,
    Observation,
    UnreadableObject,
    list_partials,
    observe,
)
from dispatcher.report import RollOutcome, WindowReport
from dispatcher.room import Room
from dispatcher.rows import rolled_rows
from windrow.lake.layout import MarkerKey, SilenceMarkerKey, lineage_key, rows_key
from windrow.lake.store import Mapper, PreconditionFailed, StoreError, put_if_unchanged
from windrow.lifetimes import Lifetimes
from windrow.rows.lineage import Lineage
from windrow.window import Window

_SILENCE_FIELDS = ("sensors_expected", "silent", "presence", "silences_etag")
_STILL_RECENT_MS = 3_600_000
"""A window that ended less than this ago will be looked at by many ticks, with or without a marker."""
ROUNDS_MAX = 5
"""How often the work on one window or period starts over because another dispatcher wrote; each loss is its gain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLineage:
    """A lineage, and the ETag of its object."""

    lineage: Lineage
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Roller:
    """What all rolls of one tick share, with the lineages they found or wrote and the silence markers they put."""

    buckets: Buckets
    lifetimes: Lifetimes
    scheduled_time_ms: int
    mapper: Mapper = map
    room: Room | None = None
    """Where several windows are rolled at once."""
    lineages: dict[Window, KnownLineage] = field(default_factory=dict)
    silence_markers: set[SilenceMarkerKey] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class _RollResult:
    """How a roll ended, and the lineage that stands now."""

    outcome: RollOutcome
    lineage: Lineage | None
    detail: str = ""


def roll_window(
    roller: Roller, due: DueWindow, *, first_look: Callable[[Buckets, Window], Observation] = observe
) -> WindowReport:
    """Bring one window up to date. Unreadable objects and refusals by S3 are reported, not raised.

    `first_look` may answer from listings made earlier in the tick; a roll that starts over observes anew.
    """
    result = _RollResult(outcome=RollOutcome.CONTENDED, lineage=None, detail="lost to another dispatcher every time")
    look = first_look
    try:
        for _ in range(ROUNDS_MAX):
            try:
                result = _roll_once(roller, due.window, look)
                break
            except (PreconditionFailed, MissingPartial):
                look = observe
        kept = _release(roller.buckets, due.markers, result.lineage)
    except (UnreadableObject, StoreError) as error:
        result = _RollResult(outcome=RollOutcome.FAILED, lineage=None, detail=str(error))
        kept = due.markers
    return WindowReport(
        window=due.window,
        reasons=due.reasons,
        outcome=result.outcome,
        revision=result.lineage.revision if result.lineage else 0,
        readings=result.lineage.readings if result.lineage else 0,
        detail=result.detail,
        markers_kept=tuple(marker.digest for marker in kept),
    )


def _roll_once(roller: Roller, window: Window, look: Callable[[Buckets, Window], Observation]) -> _RollResult:
    """Do one round; PreconditionFailed or MissingPartial if it must start over."""
    seen = look(roller.buckets, window)
    listing = list_partials(roller.buckets, window)
    missing = sorted(set(seen.lineage.digests) - listing.digests) if seen.lineage else []
    if missing:
        detail = f"{len(missing)} of its partials are gone, the first is {missing[0]}"
        return _RollResult(outcome=RollOutcome.FROZEN, lineage=seen.lineage, detail=detail)
    is_final = roller.lifetimes.is_final(window, scheduled_time_ms=roller.scheduled_time_ms)
    if seen.lineage is not None and _is_settled(seen, seen.lineage, listing):
        if seen.lineage.is_final or not is_final:
            roller.lineages[window] = KnownLineage(lineage=seen.lineage, etag=seen.lineage_etag or "")
            return _RollResult(outcome=RollOutcome.SETTLED, lineage=seen.lineage)
        final = dataclasses.replace(seen.lineage, is_final=True, scheduled_time_ms=roller.scheduled_time_ms)
        _write_lineage(roller, final, seen.lineage_etag)
        return _RollResult(outcome=RollOutcome.RECORDED, lineage=final)
    return _write_results(roller, seen, listing, window, is_final=is_final)


def _is_settled(seen: Observation, lineage: Lineage, listing: Listing) -> bool:
    """Tell whether the rows are those of the listed partials, and the lineage says so.

    More objects with the same digests (the same readings, cut into other batches) change delivery counts, which are
    lineage; fewer (one of two has expired) change nothing.
    """
    return (
        lineage.fingerprint == listing.fingerprint
        and lineage.result_etag == (seen.rows_etag or "")
        and listing.partials <= lineage.partials
    )


def _write_results(
    roller: Roller, seen: Observation, listing: Listing, window: Window, *, is_final: bool
) -> _RollResult:
    """Write rows, unless the same are there or there are none to write or replace, then the lineage."""
    room = roller.room.taken(sum(listing.size_bytes.values())) if roller.room else contextlib.nullcontext()
    with room, rolled_rows(roller.buckets, window, listing, mapper=roller.mapper) as rolled:
        before = seen.lineage
        is_same = before is not None and before.rows_sha256 == rolled.rows.rows_sha256
        lineage = Lineage(
            window=window,
            fingerprint=listing.fingerprint,
            digests=tuple(sorted(listing.digests)),
            rows_sha256=rolled.rows.rows_sha256,
            result_etag=seen.rows_etag or "",
            revision=(before.revision if before else 0) + (0 if is_same else 1),
            readings=rolled.rows.readings,
            sensors=rolled.rows.sensors,
            conflicts=rolled.rows.conflicts,
            duplicates_removed=rolled.duplicates_removed,
            late=rolled.late,
            quarantined=rolled.quarantined,
            partials=listing.partials,
            shards=listing.shards,
            is_final=is_final or (before is not None and before.is_final),
            scheduled_time_ms=roller.scheduled_time_ms,
            sensors_sha256=rolled.rows.sensors_sha256,
        )
        if before:
            # What is known of its silence stands until it is worked out again; without `presence` that is due.
            lineage = dataclasses.replace(lineage, **{name: getattr(before, name) for name in _SILENCE_FIELDS})
            if lineage.sensors_sha256 != before.sensors_sha256:
                lineage = dataclasses.replace(lineage, presence="")
        rows_stand = is_same and before is not None and before.result_etag == lineage.result_etag
        if not rows_stand and (rolled.rows.sensors or seen.rows_etag is not None):
            etag = put_if_unchanged(roller.buckets.results, rows_key(window), rolled.body, observed_etag=seen.rows_etag)
            lineage = dataclasses.replace(lineage, result_etag=etag)
        if lineage.is_silence_unknown:
            _mark_silence(roller, lineage, before)
        _write_lineage(roller, lineage, seen.lineage_etag)
    return _RollResult(outcome=RollOutcome.RECORDED if rows_stand else RollOutcome.ROLLED, lineage=lineage)


def _mark_silence(roller: Roller, lineage: Lineage, before: Lineage | None) -> None:
    """Put a marker of the silence, unless many ticks will look at the window anyway.

    It is named after a partial that the lineage before does not name, if there is one: a tick that knows only that
    lineage leaves the marker alone, and every later lineage names that partial.
    """
    if roller.scheduled_time_ms - lineage.window.end_ms < _STILL_RECENT_MS:
        return
    new = set(lineage.digests) - set(before.digests if before else ())
    marker = SilenceMarkerKey(window=lineage.window, digest=min(new or lineage.digests))
    with contextlib.suppress(PreconditionFailed):  # it is there already
        roller.buckets.lake.put(str(marker), b"", if_absent=True)
    roller.silence_markers.add(marker)


def _write_lineage(roller: Roller, lineage: Lineage, observed_etag: str | None) -> None:
    key = lineage_key(lineage.window)
    etag = put_if_unchanged(roller.buckets.results, key, lineage.to_json(), observed_etag=observed_etag)
    roller.lineages[lineage.window] = KnownLineage(lineage=lineage, etag=etag)


def _release(buckets: Buckets, markers: Iterable[MarkerKey], lineage: Lineage | None) -> tuple[MarkerKey, ...]:
    """Delete the markers whose partials the standing lineage names, and return the others."""
    contained = frozenset(lineage.digests) if lineage else frozenset()
    kept = []
    for marker in markers:
        if marker.digest in contained:
            buckets.lake.delete(str(marker))
        else:
            kept.append(marker)
    return tuple(kept)
