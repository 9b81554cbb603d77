"""Which windows a tick has to look at, and why: a pure function of the scheduled time and of listings.

    now - reach                                              closing      scheduled time
        |----------------------------------------------------|-- 2 min --|
        S . . . . S . . . . . . . N . . . . S . . . M . . RRRR
    N: partials, no lineage    R: the last 24    M: marked    S: this tick's share of the sweep

A tick looks only at windows that end at or before `closing`. Nothing here remembers an earlier tick, so a tick
that was late, lost, doubled or cut short changes nothing but when a window is looked at.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from windrow.lake.layout import MarkerKey
from windrow.lifetimes import Lifetimes
from windrow.period import DAY_MS, HOUR_MS
from windrow.timestamps import INSTANT_MS_MIN
from windrow.window import WINDOW_MS, Window, windows_between

TICK_DELAY_MS = 120_000
"""How long after a window's end the schedule fires: batching takes 20 s, the rest is room for the consumer."""
RECENT_WINDOWS = 24
"""How many of the last windows every tick looks at: two hours."""
SWEEP_TICKS = 288
"""A sweep of everything within reach takes this many ticks: a day."""
FINAL_SWEEPS = 3
"""How often the sweep comes to a window that is final, so that it is told so though ticks are missed."""
NEWEST_FIRST_EVERY = 4
"""Every so many ticks begin with the newest window, so that what a broken one keeps from its turn is newer at most."""

Worked = TypeVar("Worked")


class Reason(StrEnum):
    """Why a window is due."""

    NEW = "new"  # it has partials and no lineage
    RECENT = "recent"  # it is one of the last RECENT_WINDOWS
    MARKED = "marked"  # a marker says that a partial came after its end
    SWEEP = "sweep"  # its turn in the slow sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class DueWindow:
    """A window to look at, with every reason, in the order of Reason, and the markers that name it."""

    window: Window
    reasons: tuple[Reason, ...]
    markers: tuple[MarkerKey, ...] = ()


def reach_ms(lifetimes: Lifetimes) -> int:
    """How far back a tick looks: so many sweeps past the end of lateness that each window is seen when it is final.

    Partials must live longer than this, or final windows freeze.
    """
    return lifetimes.final_after_ms + FINAL_SWEEPS * SWEEP_TICKS * WINDOW_MS


def closing_ms(scheduled_time_ms: int) -> int:
    """The instant up to which a tick closes windows: `end_ms <= closing_ms`."""
    return (scheduled_time_ms - TICK_DELAY_MS) // WINDOW_MS * WINDOW_MS


def windows_within_reach(scheduled_time_ms: int, lifetimes: Lifetimes) -> list[Window]:
    """The closable windows that end after `closing_ms - reach_ms`, ascending."""
    closing = closing_ms(scheduled_time_ms)
    return windows_between(max(closing - reach_ms(lifetimes), INSTANT_MS_MIN), closing)


def days_within_reach(scheduled_time_ms: int, lifetimes: Lifetimes) -> list[int]:
    """The starts of the UTC days that have windows within reach, in ms, ascending."""
    return sorted({window.start_ms // DAY_MS * DAY_MS for window in windows_within_reach(scheduled_time_ms, lifetimes)})


def hours_to_list(scheduled_time_ms: int, lifetimes: Lifetimes, *, with_lineage: Collection[Window]) -> list[int]:
    """The starts of the hours in which a listing of partials could show a window that only rule NEW finds.

    An hour whose windows all have lineages cannot, nor can the RECENT windows, which are due anyway.
    """
    older = windows_within_reach(scheduled_time_ms, lifetimes)[:-RECENT_WINDOWS]
    return sorted({window.start_ms // HOUR_MS * HOUR_MS for window in older if window not in with_lineage})


def due_windows(
    scheduled_time_ms: int,
    lifetimes: Lifetimes,
    *,
    with_lineage: Collection[Window],
    with_partials: Iterable[Window],
    markers: Iterable[MarkerKey],
) -> tuple[DueWindow, ...]:
    """The windows that are due at a tick, oldest first.

    `with_partials` must cover the hours of `hours_to_list`; `with_lineage` the windows within reach. A marked
    window may lie beyond reach; one that has not ended waits, and its marker with it.
    """
    closing = closing_ms(scheduled_time_ms)
    within_reach = windows_within_reach(scheduled_time_ms, lifetimes)
    named: dict[Window, list[MarkerKey]] = {}
    for marker in markers:
        if marker.window.end_ms <= closing:
            named.setdefault(marker.window, []).append(marker)
    found = {
        Reason.NEW: {window for window in with_partials if window not in with_lineage} & set(within_reach),
        Reason.RECENT: set(within_reach[-RECENT_WINDOWS:]),
        Reason.MARKED: named.keys(),
        Reason.SWEEP: {window for window in within_reach if (closing // WINDOW_MS - window.index) % SWEEP_TICKS == 0},
    }
    return tuple(
        DueWindow(
            window=window,
            reasons=tuple(reason for reason in Reason if window in found[reason]),
            markers=tuple(sorted(named.get(window, ()), key=str)),
        )
        for window in sorted(set().union(*found.values()))
    )


def work_order(due: Sequence[Worked], scheduled_time_ms: int) -> list[Worked]:
    """In which order a tick works off what is due, given oldest first: the newest at once, then the oldest first.

    Every NEWEST_FIRST_EVERY-th tick goes backwards. So if one of them should kill the run each time it is tried,
    all that is older than it is done by the one kind of tick, and all that is newer by the other.
    """
    if closing_ms(scheduled_time_ms) // WINDOW_MS % NEWEST_FIRST_EVERY == 0:
        return list(reversed(due))
    return [*due[-1:], *due[:-1]]
