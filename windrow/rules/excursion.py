"""Excursions: how long and how far a series was beyond a rule's limits, folded from its rows, window by window.

              clear_windows = 2 ┐
    limit ──────▓▓▓▓▓▓────▓▓────┼────────
    clear ─────▒▓▓▓▓▓▓▒▒▒▒▓▓▒───┴┐
               │ windows = 3     └ cleared; `ended` is the first clear window's start
               └ `began` is the first window's start; it rings two windows later

A window in which the series has no verdict (no row, most often) neither counts nor breaks a run. After
LOST_WINDOWS of them in a row the excursion ends as lost, as a silent sensor is given up: so every excursion ends.

A rule that counts time adds up how long the readings of each window were beyond, and how long the last one went on to
hold its value until the first of the next row. Such a rest begins no excursion, but keeps a window from clearing one.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from windrow.quantities import Quantity, parts_of
from windrow.rows.silence import AGES
from windrow.rules.judge import Judged, Verdict, WatchedRows, judge
from windrow.rules.rule import Rule
from windrow.window import WINDOW_MS

LOST_WINDOWS = AGES
"""As many as until a silent sensor is gone."""


class ExcursionState(StrEnum):
    """How an excursion stands."""

    LASTS = "lasts"
    CLEARED = "cleared"
    LOST = "lost"  # the series has no rows any more; how it went on is not known


@dataclass(frozen=True, slots=True)
class Excursion:
    """A time beyond the limits of a rule.

    `ended_ms` is the start of the first of the windows that cleared it, or the end of the last row of a lost series;
    None while it lasts. extreme_milli: the value that was farthest beyond, of the first window that had it.
    beyond_milli_ms: how far beyond times how long, summed over windows by the rule's statistic and `covered_ms`.
    windows: how many were beyond. rang_ms: the end of the window by which there were enough in a row. held_ms: of a
    rule that counts time, how long it was beyond, to the millisecond; beyond_milli_ms is then from readings as well.
    """

    rule: str
    sensor_id: str
    quantity: Quantity
    began_ms: int
    rang_ms: int
    ended_ms: int | None
    state: ExcursionState
    extreme_milli: int
    beyond_milli_ms: int
    windows: int
    held_ms: int = 0


@dataclass(frozen=True, slots=True)
class Track:
    """What is to be remembered of a series that is beyond its limits, or was until a moment ago.

    holds_until_ms, holds_milli: as in Judged, of its last row.
    """

    began_ms: int
    last_ms: int
    windows: int = 0
    rang_ms: int | None = None
    clear_windows: int = 0
    clear_from_ms: int = 0
    extreme_milli: int = 0
    extreme_distance_milli: int = -1
    beyond_milli_ms: int = 0
    held_ms: int = 0
    holds_until_ms: int = 0
    holds_milli: int = 0


Tracks = dict[str, Track]
"""What is tracked of one rule, by series."""


def step(rule: Rule, tracks: Tracks, judged: Judged) -> tuple[Tracks, list[Excursion]]:
    """Return the tracks after one more window, and the excursions that ended by it, ascending by series.

    Windows come in order and none is left out; one without rows is judged as one of no series.
    """
    after: Tracks = {}
    ended: list[Excursion] = []
    beyond = {judged.series[place] for place in np.flatnonzero(judged.verdicts == Verdict.BEYOND).tolist()}
    for series in sorted(beyond | tracks.keys()):
        track, place = tracks.get(series), _place_of(series, judged.series)
        if track is not None and place is None:
            if judged.window_start_ms - track.last_ms < LOST_WINDOWS * WINDOW_MS:
                after[series] = track
            elif track.rang_ms is not None:
                ended.append(
                    _excursion(rule, series, track, track.rang_ms, ExcursionState.LOST, track.last_ms + WINDOW_MS)
                )
        elif place is not None:
            now = _next(rule, track, judged, place)
            if now is not None and now.rang_ms is not None and now.clear_windows >= rule.clear_windows:
                ended.append(_excursion(rule, series, now, now.rang_ms, ExcursionState.CLEARED, now.clear_from_ms))
            elif now is not None:
                after[series] = now
    return after, ended


def lasting(rule: Rule, tracks: Tracks) -> list[Excursion]:
    """Return the excursions that last, ascending by series."""
    return [
        _excursion(rule, series, track, track.rang_ms, ExcursionState.LASTS)
        for series, track in sorted(tracks.items())
        if track.rang_ms is not None
    ]


def excursions(rule: Rule, windows: Iterable[WatchedRows]) -> Iterator[Excursion]:
    """Yield the excursions of the rows of consecutive windows: as they end, then those that last."""
    tracks: Tracks = {}
    before: WatchedRows | None = None
    for rows in windows:
        tracks, ended = step(rule, tracks, judge(rule, rows, before))
        before = rows
        yield from ended
    yield from lasting(rule, tracks)


def _next(rule: Rule, track: Track | None, judged: Judged, place: int) -> Track | None:
    """Return the track after a window with a verdict; None if there is nothing to remember."""
    start_ms, verdict = judged.window_start_ms, int(judged.verdicts[place])
    rest_ms = _rest_ms(track, judged, place)
    if verdict == Verdict.BEYOND or rest_ms > 0:
        return _beyond(rule, track or Track(began_ms=start_ms, last_ms=start_ms), judged, place, rest_ms)
    if track is None or track.rang_ms is None:
        return None
    if verdict == Verdict.BETWEEN:
        return replace(track, last_ms=start_ms, clear_windows=0, holds_until_ms=0, holds_milli=0)
    clear_from_ms = track.clear_from_ms if track.clear_windows else start_ms
    return replace(
        track,
        last_ms=start_ms,
        clear_windows=track.clear_windows + 1,
        clear_from_ms=clear_from_ms,
        holds_until_ms=0,
        holds_milli=0,
    )


def _rest_ms(track: Track | None, judged: Judged, place: int) -> int:
    """Return how long the last reading so far was held after its window, until the first of this row."""
    if track is None:
        return 0
    until_ms = min(int(judged.first_time_ms[place]), track.holds_until_ms)
    return max(0, until_ms - track.last_ms - WINDOW_MS)


def _beyond(rule: Rule, track: Track, judged: Judged, place: int, rest_ms: int) -> Track:
    start_ms, windows = judged.window_start_ms, track.windows + 1
    distance_milli = int(judged.distance_milli[place])
    is_extreme = distance_milli > track.extreme_distance_milli
    held_ms = track.held_ms + int(judged.held_ms[place]) + rest_ms
    is_enough = held_ms > rule.held_ms if rule.held_ms else windows >= rule.windows
    rings = track.rang_ms is None and is_enough
    return replace(
        track,
        last_ms=start_ms,
        windows=windows,
        rang_ms=start_ms + WINDOW_MS if rings else track.rang_ms,
        clear_windows=0,
        extreme_milli=int(judged.value_milli[place]) if is_extreme else track.extreme_milli,
        extreme_distance_milli=max(distance_milli, track.extreme_distance_milli),
        beyond_milli_ms=track.beyond_milli_ms + int(judged.beyond_milli_ms[place]) + track.holds_milli * rest_ms,
        held_ms=held_ms,
        holds_until_ms=int(judged.holds_until_ms[place]),
        holds_milli=int(judged.holds_milli[place]),
    )


def _excursion(
    rule: Rule, series: str, track: Track, rang_ms: int, state: ExcursionState, ended_ms: int | None = None
) -> Excursion:
    sensor_id, quantity = parts_of(series)
    return Excursion(
        rule=rule.name,
        sensor_id=sensor_id,
        quantity=quantity,
        began_ms=track.began_ms,
        rang_ms=rang_ms,
        ended_ms=ended_ms,
        state=state,
        extreme_milli=track.extreme_milli,
        beyond_milli_ms=track.beyond_milli_ms,
        windows=track.windows,
        held_ms=track.held_ms,
    )


def _place_of(series: str, ascending: Sequence[str]) -> int | None:
    place = bisect_left(ascending, series)
    return place if place < len(ascending) and ascending[place] == series else None
