"""The roll of one window: from the set of its listed partials to rows and lineage.

The order is what makes it safe without a lock:

    observe   ETags of rows and lineage, and the lineage         the writes below demand that they are unchanged
    list      the partials                                       all that were written before the observation are here
    union     of every listed partial, each read and checked;    or of the united set and those it does not cover
    ranges    of the united set, named after their content       until a lineage names them, they do not count
    held      times of its readings, as ranges              likewise
    rows      If-Match the observed ETag, or If-None-Match: *    refused if another roll wrote since: start over
    marker    of an old window, if what follows is unknown       the next tick works it out if this one dies
    lineage   on the same condition as the rows                  refused likewise; before it, nothing is settled
    discarded markers of partials that the lineage names, and    a marker outlives any crash before this; the tick
              ranges that it no longer names                     deletes them all at once

The roll that writes last listed after every roll whose write it replaces, so its set contains theirs. A crash between
rows and lineage leaves a lineage whose `result_etag` is not that of the rows, and such a window is rolled again. A roll
whose listing lacks a digest of the lineage would shrink a result: it is refused, and the window is frozen, unless the
united set stands for the partials that are gone.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from dispatcher.ceiling import BeyondCeiling, Use
from dispatcher.due import DueReason, DueWindow
from dispatcher.held import all_watches, superseded_held
from dispatcher.observation import (
    Buckets,
    Listing,
    MissingPartial,
    Observation,
    UnreadableObject,
    list_partials,
    observe,
)
from dispatcher.patch import patched_rows
from dispatcher.report import RollOutcome, WindowReport
from dispatcher.roller import ROUNDS_MAX, KnownLineage, Roller
from dispatcher.rows import RolledRows, rolled_rows
from dispatcher.united import UnusableUnion, stands_for_partials, superseded
from windrow.lake.layout import NO_PARTIAL, MarkerKey, SilenceMarkerKey, lineage_key, rows_key
from windrow.lake.store import PreconditionFailed, StoreError, put_if_unchanged
from windrow.rows.lineage import Lineage, fingerprint
from windrow.rows.rollup_parquet import UnreadableRows
from windrow.window import Window

log = logging.getLogger(__name__)

_FOLLOWING_FIELDS = ("sensors_expected", "silent", "presence", "silences_etag", "excursions")
_STILL_RECENT_MS = 3_600_000
"""A window that ended less than this ago will be looked at by many ticks, with or without a marker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _RollResult:
    """How a roll ended, and the lineage that stands now."""

    outcome: RollOutcome
    lineage: Lineage | None
    detail: str = ""


def roll_window(
    roller: Roller, due: DueWindow, *, first_look: Callable[[Buckets, Window], Observation] = observe
) -> WindowReport:
    """Bring one window up to date. Unreadable objects, refusals by S3, and a roll that is too large are reported.

    `first_look` may answer from listings made earlier in the tick; a roll that starts over observes anew.
    """
    result = _RollResult(outcome=RollOutcome.CONTENDED, lineage=None, detail="lost to another dispatcher every time")
    look = first_look
    try:
        for _ in range(ROUNDS_MAX):
            try:
                result = _roll_once(roller, due, look)
                break
            except (PreconditionFailed, MissingPartial):
                look = observe
        kept = _release(roller, due.markers, result.lineage)
    except (UnreadableObject, StoreError) as error:
        result = _RollResult(outcome=RollOutcome.FAILED, lineage=None, detail=str(error))
        kept = due.markers
    except BeyondCeiling as error:
        outcome = RollOutcome.DEFERRED if error.is_for_now else RollOutcome.FAILED
        result = _RollResult(outcome=outcome, lineage=None, detail=str(error))
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


def _roll_once(roller: Roller, due: DueWindow, look: Callable[[Buckets, Window], Observation]) -> _RollResult:
    """Do one round; PreconditionFailed or MissingPartial if it must start over."""
    window = due.window
    seen = look(roller.buckets, window)
    if _is_too_soon(roller, due, seen):
        return _RollResult(outcome=RollOutcome.WAITING, lineage=seen.lineage, detail="it was rolled a short while ago")
    listing = list_partials(roller.buckets, window)
    missing = sorted(set(seen.lineage.digests) - listing.digests) if seen.lineage else []
    if missing and not (seen.lineage and stands_for_partials(roller.buckets, seen.lineage)):
        _demand_unreplaced(roller, seen, window)
        return _frozen(seen.lineage, missing)
    is_final = roller.lifetimes.is_final(window, scheduled_time_ms=roller.scheduled_time_ms)
    has_held = seen.lineage is not None and roller.has_held_times(seen.lineage)
    if seen.lineage is not None and has_held and _is_settled(seen, seen.lineage, listing):
        if seen.lineage.is_final or not is_final:
            roller.lineages[window] = KnownLineage(lineage=seen.lineage, etag=seen.lineage_etag or "")
            return _RollResult(outcome=RollOutcome.SETTLED, lineage=seen.lineage)
        final = dataclasses.replace(seen.lineage, is_final=True, scheduled_time_ms=roller.scheduled_time_ms)
        _write_lineage(roller, final, seen.lineage_etag)
        return _RollResult(outcome=RollOutcome.RECORDED, lineage=final)
    try:
        return _write_results(roller, seen, listing, window, is_final=is_final)
    except UnusableUnion as error:
        return _frozen(seen.lineage, missing, f", and {error}")


def _frozen(lineage: Lineage | None, missing: list[str], why: str = "") -> _RollResult:
    detail = f"{len(missing)} of its partials are gone, the first is {missing[0]}{why}"
    return _RollResult(outcome=RollOutcome.FROZEN, lineage=lineage, detail=detail)


def _is_too_soon(roller: Roller, due: DueWindow, seen: Observation) -> bool:
    """Tell whether a marker alone makes an old window due that was rolled a short while ago; its marker waits, too.

    A marker that the lineage covers, and rows that are not those of the lineage, do not wait.
    """
    soon_ms = roller.lifetimes.late_roll_ms
    lineage = seen.lineage
    return (
        lineage is not None
        and due.reasons == (DueReason.MARKED,)
        and roller.scheduled_time_ms - due.window.end_ms >= soon_ms > 0
        and roller.scheduled_time_ms - lineage.scheduled_time_ms < soon_ms
        and (seen.rows_etag or "") == lineage.result_etag
        and not {marker.digest for marker in due.markers}.issubset(lineage.digests)
    )


def _is_settled(seen: Observation, lineage: Lineage, listing: Listing) -> bool:
    """Tell whether the rows are those of the listed partials, and the lineage says so.

    More objects with the same digests (the same readings, cut into other batches) change delivery counts, which are
    lineage; fewer (one of two has expired) change nothing.
    """
    return (
        lineage.fingerprint == fingerprint(listing.digests.union(lineage.digests))
        and lineage.result_etag == (seen.rows_etag or "")
        and listing.partials <= lineage.partials
    )


def _write_results(
    roller: Roller, seen: Observation, listing: Listing, window: Window, *, is_final: bool
) -> _RollResult:
    """Write rows, unless the same are there or there are none to write or replace, then the lineage."""
    room = roller.room.taken(_bytes_to_read(seen, listing)) if roller.room else contextlib.nullcontext()
    with room, ExitStack() as stack:
        use = Use(roller.ceiling)
        roller.uses.append((window, use))
        stack.callback(use.end)
        rolled = _rolled(roller, seen, listing, window, stack, use)
        before = seen.lineage
        is_same = before is not None and before.rows_sha256 == rolled.rows.rows_sha256
        lineage = Lineage(
            window=window,
            fingerprint=fingerprint(rolled.deliveries),
            digests=tuple(sorted(rolled.deliveries)),
            rows_sha256=rolled.rows.rows_sha256,
            result_etag=seen.rows_etag or "",
            revision=(before.revision if before else 0) + (0 if is_same else 1),
            readings=rolled.rows.readings,
            sensors=rolled.rows.sensors,
            conflicts=rolled.rows.conflicts,
            duplicates_removed=rolled.duplicates_removed,
            late=rolled.late,
            quarantined=rolled.quarantined,
            partials=rolled.partials,
            shards=tuple(sorted({*listing.shards, *(before.shards if before else ())})),
            is_final=is_final or (before is not None and before.is_final),
            scheduled_time_ms=roller.scheduled_time_ms,
            sensors_sha256=rolled.rows.sensors_sha256,
            united=rolled.united,
            held=rolled.held,
        )
        if before:
            # What is known of its silence and excursions stands until it is worked out again; without `presence` the
            # silence is due, with other rows the excursions.
            lineage = dataclasses.replace(lineage, **{name: getattr(before, name) for name in _FOLLOWING_FIELDS})
            if lineage.sensors_sha256 != before.sensors_sha256:
                lineage = dataclasses.replace(lineage, presence="")
        rows_stand = is_same and before is not None and before.result_etag == lineage.result_etag
        if not rows_stand and (rolled.rows.sensors or seen.rows_etag is not None):
            etag = put_if_unchanged(roller.buckets.results, rows_key(window), rolled.body, observed_etag=seen.rows_etag)
            lineage = dataclasses.replace(lineage, result_etag=etag)
        is_other = not is_same or (before is not None and before.held != lineage.held)
        if lineage.is_silence_unknown or (roller.has_rules and is_other):
            _mark_silence(roller, lineage, before)
        _write_lineage(roller, lineage, seen.lineage_etag)
        roller.discarded.update([*superseded(before, lineage), *superseded_held(before, lineage)])
        roller.held_gone.discard(window)
    return _RollResult(outcome=RollOutcome.RECORDED if rows_stand else RollOutcome.ROLLED, lineage=lineage)


def _demand_unreplaced(roller: Roller, seen: Observation, window: Window) -> None:
    """Raise PreconditionFailed, to start over, if ranges are missing because another roll has replaced them."""
    if seen.lineage and seen.lineage.united and observe(roller.buckets, window).lineage_etag != seen.lineage_etag:
        raise PreconditionFailed(lineage_key(window))


def _bytes_to_read(seen: Observation, listing: Listing) -> int:
    """Return the bytes that the roll holds room for: those of the partials, or of what is read in place of them.

    The rows and ranges of a million sensors take less than an eighth of the bytes of their partials at once.
    """
    known = seen.lineage.digests if seen.lineage is not None and seen.lineage.united is not None else ()
    covered = sum(listing.size_bytes.get(digest, 0) for digest in known)
    return sum(listing.size_bytes.values()) - covered + covered // 8


def _rolled(
    roller: Roller, seen: Observation, listing: Listing, window: Window, stack: ExitStack, use: Use
) -> RolledRows:
    """Make the rows from the united set and the rows that stand, from the united set alone, or from the partials.

    UnusableUnion if it is not usable and partials are missing.
    """
    before = seen.lineage
    watches = all_watches(before, roller.watches)
    if before is not None and before.united is not None:
        without_rows = dataclasses.replace(seen, rows_etag=None)
        try:
            for look in (seen, without_rows):
                with contextlib.suppress(UnreadableRows):
                    return stack.enter_context(
                        patched_rows(
                            roller.buckets, look, before, listing, mapper=roller.mapper, use=use, watches=watches
                        )
                    )
        except UnusableUnion as error:
            _demand_unreplaced(roller, seen, window)
            if not listing.digests.issuperset(before.digests):
                raise
            log.warning("the partials are read again: %s", error)
    return stack.enter_context(
        rolled_rows(roller.buckets, window, listing, mapper=roller.mapper, use=use, watches=watches)
    )


def _mark_silence(roller: Roller, lineage: Lineage, before: Lineage | None) -> None:
    """Put a marker of the silence, and of excursions, unless many ticks will look at the window anyway.

    It is named after a partial that the lineage before does not name, if there is one: a tick that knows only that
    lineage leaves the marker alone, and every later lineage names that partial.
    """
    if roller.scheduled_time_ms - lineage.window.end_ms < _STILL_RECENT_MS:
        return
    new = set(lineage.digests) - set(before.digests if before else ())
    marker = SilenceMarkerKey(window=lineage.window, digest=min(new or lineage.digests or {NO_PARTIAL}))
    with contextlib.suppress(PreconditionFailed):  # it is there already
        roller.buckets.lake.put(str(marker), b"", if_absent=True)
    roller.silence_markers.add(marker)


def _write_lineage(roller: Roller, lineage: Lineage, observed_etag: str | None) -> None:
    key = lineage_key(lineage.window)
    etag = put_if_unchanged(roller.buckets.results, key, lineage.to_json(), observed_etag=observed_etag)
    roller.lineages[lineage.window] = KnownLineage(lineage=lineage, etag=etag)


def _release(roller: Roller, markers: Iterable[MarkerKey], lineage: Lineage | None) -> tuple[MarkerKey, ...]:
    """Discard the markers whose partials the standing lineage names, and return the others."""
    contained = frozenset(lineage.digests) if lineage else frozenset()
    kept = []
    for marker in markers:
        if marker.digest in contained:
            roller.released.add(marker)
            roller.discarded.add(str(marker))
        else:
            kept.append(marker)
    return tuple(kept)
