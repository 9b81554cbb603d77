"""Which windows a tick has to look at, and why: a pure function of the scheduled time and of listings.

    now - reach                                              closing      scheduled time
        |----------------------------------------------------|-- 2 min --|
        S . . . . S . . . . . . . N . . . . S . . . M . . RRRR
    N: no lineage, but partials or a roll that began    R: the last 24    M: marked    S: this tick's share of the sweep

A tick looks only at windows that end at or before `closing`. Nothing here remembers an earlier tick, so a tick that was
late, lost, doubled or cut short changes only when a window is looked at.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import TypeVar

from windrow.lake.layout import MarkerKey
from windrow.lifetimes import Lifetimes
from windrow.period import DAY_MS, HOUR_MS
from windrow.timestamps import INSTANT_MS_MIN
from windrow.window import WINDOW_MS, Window, windows_between

FIRST_TICK_AFTER_MS = 120_000
"""How long after a window's end its first tick is scheduled: batching takes 20 s, the rest is for the consumer."""
TICK_EVERY_MS = WINDOW_MS
"""How often the rule of the template starts a tick."""
RECENT_WINDOWS = 24
"""How many of the last windows every tick looks at: two hours."""
SWEEP_TICKS = 288
"""A sweep of everything within reach takes this many ticks: a day."""
FINAL_SWEEPS = 3
"""Sweeps that pass a final window, so it is marked final even if two of its ticks are missed."""
REVERSED_EVERY_TICKS = 4
"""One of so many ticks works from the newest window back: a window that kills its run cannot starve older ones."""

ON_TIME_TICKS = 2
"""A window is rolled on time if one of its first so many ticks does it."""

Work = TypeVar("Work")


class DueReason(StrEnum):
    """Why a window is due."""

    NEW = "new"  # it has no lineage, but partials, or a roll of it died before the lineage
    RECENT = "recent"  # it is one of the last RECENT_WINDOWS
    MARKED = "marked"  # a marker says that a partial came after its end
    SWEEP = "sweep"  # it is its turn in the slow sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class DueWindow:
    """A window to look at, with all reasons in the order of DueReason, and the markers that name it."""

    window: Window
    reasons: tuple[DueReason, ...]
    markers: tuple[MarkerKey, ...] = ()


def reach_ms(lifetimes: Lifetimes) -> int:
    """Return how far back a tick looks: FINAL_SWEEPS sweeps past the time when a window becomes final.

    Partials must live longer than this, or final windows freeze.
    """
    return lifetimes.final_after_ms + FINAL_SWEEPS * SWEEP_TICKS * WINDOW_MS


def closing_ms(scheduled_time_ms: int) -> int:
    """Return the instant up to which a tick closes windows: those with `end_ms <= closing_ms`."""
    return (scheduled_time_ms - FIRST_TICK_AFTER_MS) // WINDOW_MS * WINDOW_MS


def windows_within_reach(scheduled_time_ms: int, lifetimes: Lifetimes) -> tuple[Window, ...]:
    """Return the windows that end after `closing_ms - reach_ms` and may be closed, ascending."""
    closing = closing_ms(scheduled_time_ms)
    return windows_between(max(closing - reach_ms(lifetimes), INSTANT_MS_MIN), closing)


def days_within_reach(scheduled_time_ms: int, lifetimes: Lifetimes) -> list[int]:
    """Return the starts of the UTC days that have windows within reach, in ms, ascending."""
    return sorted({window.start_ms // DAY_MS * DAY_MS for window in windows_within_reach(scheduled_time_ms, lifetimes)})


def hours_to_list(scheduled_time_ms: int, lifetimes: Lifetimes, *, with_lineage: Collection[Window]) -> list[int]:
    """Return the starts, in ms, of the hours in which a listing of partials may show a window that only rule NEW finds.

    These are the hours with a window that has no lineage and is not RECENT; those are due anyway.
    """
    older = windows_within_reach(scheduled_time_ms, lifetimes)[:-RECENT_WINDOWS]
    return sorted({window.start_ms // HOUR_MS * HOUR_MS for window in older if window not in with_lineage})


def due_windows(
    scheduled_time_ms: int,
    lifetimes: Lifetimes,
    *,
    with_lineage: Collection[Window],
    with_partials: Iterable[Window],
    begun: Iterable[Window] = (),
    markers: Iterable[MarkerKey],
) -> tuple[DueWindow, ...]:
    """Return the windows that are due at a tick, oldest first.

    `with_partials` must cover the hours of `hours_to_list`, `with_lineage` the windows within reach. A marked window
    may lie beyond reach. One that cannot be closed yet waits, and its marker with it. `begun` are the windows that a
    marker of a silence names: of one without a lineage, the roll died after the marker, and only a roll releases it.
    """
    closing = closing_ms(scheduled_time_ms)
    within_reach = windows_within_reach(scheduled_time_ms, lifetimes)
    named: dict[Window, list[MarkerKey]] = {}
    for marker in markers:
        if marker.window.end_ms <= closing:
            named.setdefault(marker.window, []).append(marker)
    after_ms = closing - reach_ms(lifetimes)
    without_lineage = {window for window in chain(with_partials, begun) if window not in with_lineage}
    found = {
        DueReason.NEW: {window for window in without_lineage if after_ms < window.end_ms <= closing},
        DueReason.RECENT: set(within_reach[-RECENT_WINDOWS:]),
        DueReason.MARKED: named.keys(),
        DueReason.SWEEP: set(within_reach[-SWEEP_TICKS::-SWEEP_TICKS]),
    }
    return tuple(
        DueWindow(
            window=window,
            reasons=tuple(reason for reason in DueReason if window in found[reason]),
            markers=tuple(sorted(named.get(window, ()), key=str)),
        )
        for window in sorted(set().union(*found.values()))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowOrder:
    """The windows of a tick in the order of work.

    live: what every tick does first, with the silences, hours and days that follow from it: the RECENT windows, then
    the share of the sweep, one window of each day. backlog: all others, for the time that is left.
    """

    live: tuple[DueWindow, ...]
    backlog: tuple[DueWindow, ...]


def window_order(
    due: Sequence[DueWindow], scheduled_time_ms: int, *, without_lineage: Collection[Window]
) -> WindowOrder:
    """Return `due`, which is given oldest first, in the order of work: the live windows, then the backlog.

    A live window that two ticks could have rolled, and that has no lineage, may be one that kills its run. At every
    REVERSED_EVERY_TICKS-th tick these come last, or the backlog would wait for as long as they are live.
    """
    live = [one for one in due if DueReason.RECENT in one.reasons]
    others = [one for one in due if DueReason.RECENT not in one.reasons]
    swept = [one for one in others if one.reasons == (DueReason.SWEEP,)]
    ordered = work_order(live, scheduled_time_ms)
    suspects = {one.window for one in live[:-ON_TIME_TICKS]} & set(without_lineage)
    if not is_reversed(scheduled_time_ms):
        suspects = set()
    return WindowOrder(
        live=(
            *(one for one in ordered if one.window not in suspects),
            *backlog_order(swept, scheduled_time_ms),
        ),
        backlog=(
            *backlog_order([one for one in others if one.reasons != (DueReason.SWEEP,)], scheduled_time_ms),
            *(one for one in ordered if one.window in suspects),
        ),
    )


def work_order(due: Sequence[Work], scheduled_time_ms: int) -> list[Work]:
    """Return `due`, which is given oldest first, in the order of work: the newest, then the others, oldest first.

    Every REVERSED_EVERY_TICKS-th tick goes from the newest to the oldest. So if one window kills the run whenever it is
    tried, the usual ticks do the older ones, and the reversed ticks do the newer ones.
    """
    if is_reversed(scheduled_time_ms):
        return list(reversed(due))
    return [*due[-1:], *due[:-1]]


def backlog_order(due: Sequence[Work], scheduled_time_ms: int) -> list[Work]:
    """Return `due`, which is given oldest first, in that order, or at every REVERSED_EVERY_TICKS-th tick reversed.

    None is first in both orders, unless it is alone: the newest of a backlog may stay the newest for days.
    """
    return list(reversed(due)) if is_reversed(scheduled_time_ms) else list(due)


def is_reversed(scheduled_time_ms: int) -> bool:
    """Tell whether this tick works from the newest to the oldest."""
    return _turn(scheduled_time_ms) == 0


def is_catching_up_first(scheduled_time_ms: int) -> bool:
    """Tell whether this tick rolls the hours and days that earlier ticks left before it goes on with the backlog.

    The others do so when they are through with the backlog's windows: usually never while it lasts. So an hour is
    rolled once or twice for a backlog and not at every tick, and one that kills its run does not starve hours and days.
    """
    return _turn(scheduled_time_ms) == REVERSED_EVERY_TICKS // 2


def _turn(scheduled_time_ms: int) -> int:
    return closing_ms(scheduled_time_ms) // WINDOW_MS % REVERSED_EVERY_TICKS
