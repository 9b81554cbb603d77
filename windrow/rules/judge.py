"""What a rule says of each row of a window: exact comparisons of whole numbers, a column at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from windrow.columns.arrays import Int64s, Mask
from windrow.quantities import parts_of
from windrow.rows.held import Held
from windrow.rules.rule import Band, Condition, Rule, Statistic

SITE_SENSORS_MIN = 3
"""A median of fewer sensors says nothing about one of them."""
_HOUR_MS = 3_600_000
Verdicts = npt.NDArray[np.int8]


class Verdict(IntEnum):
    """What a row is to a rule."""

    CLEAR = 0  # within the limits of clearing
    BETWEEN = 1  # within the limits, but not those of clearing
    BEYOND = 2


@dataclass(frozen=True, slots=True, eq=False)
class WatchedRows:
    """The rows of one window, ascending by series, as columns of k integers.

    Values are thousandths of the unit of each series. statistics: the columns of MIN, MAX, LAST and the percentiles.
    held: the held times of the window, None if they are not known.
    """

    window_start_ms: int
    series: Sequence[str]
    readings: Int64s
    sum_milli: Int64s
    integral_milli_ms: Int64s
    covered_ms: Int64s
    first_milli: Int64s
    first_time_ms: Int64s
    last_time_ms: Int64s
    statistics: dict[Statistic, Int64s]
    held: Held | None


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The rows that a rule has a verdict on: k series, ascending, and a column for each other field.

    value_milli is what was compared, rounded half up; distance_milli how far it is beyond the limit, 0 if it is not;
    beyond_milli_ms how far times how long. The others are 0 but for rules that count time: held_ms is how long the
    readings of the window were beyond in it, first_time_ms when the first came. If the last one is beyond the limit,
    holds_milli is how far, and holds_until_ms until when it goes on to hold at most.
    """

    window_start_ms: int
    series: Sequence[str]
    verdicts: Verdicts
    value_milli: Int64s
    distance_milli: Int64s
    beyond_milli_ms: Int64s
    held_ms: Int64s
    first_time_ms: Int64s
    holds_until_ms: Int64s
    holds_milli: Int64s


def judge(rule: Rule, rows: WatchedRows, before: WatchedRows | None) -> Judged:
    """Judge the rows of a window; `before` are those of the window before it, None if it has none.

    A series gets no verdict where there is nothing to compare: for RATE one reading and no row before, for STUCK no row
    before, for SPREAD fewer than SITE_SENSORS_MIN watched series at its site. For a rule that counts time none has one
    if held times are not known.
    """
    watched = np.flatnonzero([rule.watches(one) for one in rows.series])
    if rule.held_ms:
        return _judge_held(rule, rows, watched if rows.held is not None else watched[:0])
    above, below = _compared(rule, rows, before, watched)
    has_verdict = below > 0
    above, below, watched = above[has_verdict], below[has_verdict], watched[has_verdict]
    value_milli = (2 * above + below) // (2 * below)
    are_beyond = is_beyond(above, below, rule.limits)
    are_clear = ~is_beyond(above, below, rule.clear_limits)
    distance_milli = np.zeros(len(watched), np.int64)
    if rule.condition is Condition.STUCK:
        are_beyond = above == 0
        are_clear = ~are_beyond
    if rule.limits.low_milli is not None:
        distance_milli = np.maximum(distance_milli, rule.limits.low_milli - value_milli)
    if rule.limits.high_milli is not None:
        distance_milli = np.maximum(distance_milli, value_milli - rule.limits.high_milli)
    distance_milli = np.where(are_beyond, distance_milli, 0)
    none = np.zeros(len(watched), np.int64)
    return Judged(
        window_start_ms=rows.window_start_ms,
        series=[rows.series[place] for place in watched.tolist()],
        verdicts=_verdicts(are_beyond, are_clear),
        value_milli=value_milli,
        distance_milli=distance_milli,
        beyond_milli_ms=distance_milli * rows.covered_ms[watched],
        held_ms=none,
        first_time_ms=none,
        holds_until_ms=none,
        holds_milli=none,
    )


def _verdicts(are_beyond: Mask, are_clear: Mask) -> Verdicts:
    return np.where(are_beyond, Verdict.BEYOND, np.where(are_clear, Verdict.CLEAR, Verdict.BETWEEN)).astype(np.int8)


def _judge_held(rule: Rule, rows: WatchedRows, watched: npt.NDArray[np.intp]) -> Judged:
    """Judge by the time that the readings of the window were beyond the limits in it."""
    series = [rows.series[place] for place in watched.tolist()]
    low, high, last = (rows.statistics[one][watched] for one in (Statistic.MIN, Statistic.MAX, Statistic.LAST))
    under, over = _under(low, rule.limits), _over(high, rule.limits)
    held_ms, beyond_milli_ms = _own_times(rule, rows.held or {}, series)
    are_beyond = held_ms > 0
    are_clear = (_under(low, rule.clear_limits) == 0) & (_over(high, rule.clear_limits) == 0)
    holds_milli = _under(last, rule.limits) + _over(last, rule.limits)
    return Judged(
        window_start_ms=rows.window_start_ms,
        series=series,
        verdicts=_verdicts(are_beyond, are_clear),
        value_milli=np.where(over >= under, high, low) if rule.limits.high_milli is not None else low,
        distance_milli=np.where(are_beyond, np.maximum(over, under), 0),
        beyond_milli_ms=beyond_milli_ms,
        held_ms=held_ms,
        first_time_ms=rows.first_time_ms[watched],
        holds_until_ms=np.where(holds_milli > 0, rows.last_time_ms[watched] + rule.hold_ms_max, 0),
        holds_milli=holds_milli,
    )


def _under(value_milli: Int64s, band: Band) -> Int64s:
    """Return how far values are below the band, 0 if they are not."""
    return np.maximum(band.low_milli - value_milli, 0) if band.low_milli is not None else np.zeros_like(value_milli)


def _over(value_milli: Int64s, band: Band) -> Int64s:
    """Return how far values are above the band, 0 if they are not."""
    return np.maximum(value_milli - band.high_milli, 0) if band.high_milli is not None else np.zeros_like(value_milli)


def _own_times(rule: Rule, held: Held, series: Sequence[str]) -> tuple[Int64s, Int64s]:
    """Return how long the readings of the window were beyond the limits, and how far times how long."""
    held_ms, beyond_milli_ms = np.zeros(len(series), np.int64), np.zeros(len(series), np.int64)
    for times in (held[limit] for limit in rule.held_limits if limit in held):
        here, there = _in_both(series, times.series.to_list())
        held_ms[here] += times.held_ms[there]
        beyond_milli_ms[here] += times.beyond_milli_ms[there]
    return held_ms, beyond_milli_ms


def is_beyond(above: Int64s, below: Int64s, band: Band) -> Mask:
    """Whether each quotient of two columns is outside `band`; never rounds."""
    is_outside = np.zeros(len(above), bool)
    if band.low_milli is not None:
        is_outside |= above < band.low_milli * below
    if band.high_milli is not None:
        is_outside |= above > band.high_milli * below
    return is_outside


def _compared(
    rule: Rule, rows: WatchedRows, before: WatchedRows | None, watched: npt.NDArray[np.intp]
) -> tuple[Int64s, Int64s]:
    """Return what is compared, as a quotient of two columns in thousandths; the divisor is 0 where there is nothing."""
    if rule.condition is Condition.RATE:
        return _rate(rows, before, watched)
    if rule.condition is Condition.STUCK:
        return _change(rows, before, watched)
    above, below = statistic_of(rule.statistic, rows, watched)
    if rule.condition is Condition.SPREAD:
        return _spread((2 * above + below) // (2 * below), [rows.series[place] for place in watched.tolist()])
    return above, below


def statistic_of(statistic: Statistic, rows: WatchedRows, watched: npt.NDArray[np.intp]) -> tuple[Int64s, Int64s]:
    """Return the statistic of the rows at `watched`, as a quotient of two columns in thousandths."""
    if statistic is Statistic.MEAN:
        return rows.sum_milli[watched], rows.readings[watched]
    if statistic is Statistic.TIME_WEIGHTED_MEAN:
        return rows.integral_milli_ms[watched], rows.covered_ms[watched]
    return rows.statistics[statistic][watched], np.ones(len(watched), np.int64)


def _rate(rows: WatchedRows, before: WatchedRows | None, watched: npt.NDArray[np.intp]) -> tuple[Int64s, Int64s]:
    """Return the change per hour since the last reading before the window, else since the first in it."""
    last_milli, first_milli = rows.statistics[Statistic.LAST][watched], rows.first_milli[watched].copy()
    first_time_ms = rows.first_time_ms[watched].copy()
    if before is not None:
        here, there = _in_both([rows.series[place] for place in watched.tolist()], before.series)
        first_milli[here] = before.statistics[Statistic.LAST][there]
        first_time_ms[here] = before.last_time_ms[there]
    return (last_milli - first_milli) * _HOUR_MS, rows.last_time_ms[watched] - first_time_ms


def _change(rows: WatchedRows, before: WatchedRows | None, watched: npt.NDArray[np.intp]) -> tuple[Int64s, Int64s]:
    """Return how far apart the highest and the lowest value are, of the window and the last one before it."""
    low, high = rows.statistics[Statistic.MIN][watched].copy(), rows.statistics[Statistic.MAX][watched].copy()
    known = np.zeros(len(watched), np.int64)
    if before is not None:
        here, there = _in_both([rows.series[place] for place in watched.tolist()], before.series)
        low[here] = np.minimum(low[here], before.statistics[Statistic.LAST][there])
        high[here] = np.maximum(high[here], before.statistics[Statistic.LAST][there])
        known[here] = 1
    return high - low, known


def _spread(value_milli: Int64s, series: Sequence[str]) -> tuple[Int64s, Int64s]:
    """Return each value's distance from the median of its site, which is what stands before the last / of the id.

    Values in other units are a site of their own.
    """
    parts = [parts_of(one) for one in series]
    sites = [f"{sensor_id.rpartition('/')[0]}{quantity.suffix}" for sensor_id, quantity in parts]
    _, site = np.unique(sites, return_inverse=True)
    order = np.lexsort((value_milli, site))
    sensors = np.bincount(site)
    first = np.cumsum(sensors) - sensors
    ordered = value_milli[order]
    twice_median = ordered[first + (sensors - 1) // 2] + ordered[first + sensors // 2]
    enough = np.where(sensors >= SITE_SENSORS_MIN, 2, 0)
    return 2 * value_milli - twice_median[site], enough[site]


def _in_both(ours: Sequence[str], theirs: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the places of the series that both have."""
    places = {series: place for place, series in enumerate(theirs)}
    both = [(place, places[series]) for place, series in enumerate(ours) if series in places]
    return [here for here, _ in both], [there for _, there in both]
