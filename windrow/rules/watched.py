"""The rows that rules may have something to say about, chosen from all rows of a window a column at a time.

A rule's pattern is matched sensor by sensor, which takes seconds for a million. So what rows alone can rule out goes
first: a row within every limit, of a series that nobody tracks, changes nothing.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np

from windrow.columns.arrays import Mask
from windrow.columns.strings import Strings
from windrow.quantities import split_series
from windrow.rows.rollup import PERCENTILES, Rollup
from windrow.rules.judge import WatchedRows, is_beyond, statistic_of
from windrow.rules.rule import Condition, Rule, Statistic

PERCENTILE_STATISTICS = tuple(Statistic(f"p{percent:02}") for percent in PERCENTILES)
_OF_ONE_ROW = frozenset({Condition.ABOVE, Condition.BELOW, Condition.OUTSIDE})
_NEEDS_BEFORE = frozenset({Condition.RATE, Condition.STUCK})
_PLAIN = ("readings", "sum_milli", "integral_milli_ms", "covered_ms", "first_milli", "first_time_ms", "last_time_ms")


def need_before(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return the rules that compare a row with that of the window before."""
    return tuple(rule for rule in rules if rule.condition in _NEEDS_BEFORE)


def watched_rows(rollup: Rollup, keep: Mask | None = None) -> WatchedRows:
    """Return rows as rules read them, those of `keep` (bool[n]) alone if it is given."""
    whole = _columns_of(rollup)
    if keep is None:
        return replace(whole, series=rollup.sensor_ids.to_list())
    places = np.flatnonzero(keep)
    return WatchedRows(
        window_start_ms=rollup.start_ms,
        series=rollup.sensor_ids.take(places).to_list(),
        statistics={name: values[places] for name, values in whole.statistics.items()},
        held=None,
        **{name: getattr(whole, name)[places] for name in _PLAIN},
    )


def may_matter(rules: Iterable[Rule], rollup: Rollup, tracked: Collection[str]) -> Mask:
    """Return which rows any of `rules` may find beyond its limit, and those of the series that are tracked: bool[n].

    RATE, STUCK and SPREAD look at more than one row: all rows of their quantity may matter.
    """
    keep = _are_among(rollup.sensor_ids, tracked)
    parts = split_series(rollup.sensor_ids)
    whole: WatchedRows | None = None
    for rule in rules:
        is_its = np.array([quantity.name == rule.quantity for quantity in parts.quantities], bool)[parts.kind]
        if rule.condition in _OF_ONE_ROW:
            whole = whole or _columns_of(rollup)
            is_its &= _may_be_beyond(rule, whole)
        keep |= is_its
    return keep


def _may_be_beyond(rule: Rule, rows: WatchedRows) -> Mask:
    """Return which rows are beyond the limits; for a rule that counts time, those with any value that is."""
    if rule.held_ms:
        ones = np.ones(len(rows.readings), np.int64)
        extremes = (rows.statistics[one] for one in (Statistic.MIN, Statistic.MAX))
        low, high = (is_beyond(values, ones, rule.limits) for values in extremes)
        return low | high
    above, below = statistic_of(rule.statistic, rows, np.arange(len(rows.readings)))
    return is_beyond(above, below, rule.limits)


def may_be_held(rules: Iterable[Rule], rows: WatchedRows) -> bool:
    """Whether any reading of these rows can be beyond a limit of one of `rules` that count time."""
    return any(
        bool(beyond.any()) and any(rule.watches(rows.series[place]) for place in np.flatnonzero(beyond).tolist())
        for rule in rules
        if rule.held_ms
        for beyond in [_may_be_beyond(rule, rows)]
    )


def joined(parts: Sequence[WatchedRows], start_ms: int) -> WatchedRows:
    """Return the rows of parts that ascend from one to the next, of the window that starts at `start_ms`."""
    if not parts:
        return no_rows(start_ms)
    names = parts[0].statistics
    return WatchedRows(
        window_start_ms=start_ms,
        series=[series for one in parts for series in one.series],
        statistics={name: np.concatenate([one.statistics[name] for one in parts]) for name in names},
        held=None,
        **{name: np.concatenate([getattr(one, name) for one in parts]) for name in _PLAIN},
    )


def no_rows(start_ms: int) -> WatchedRows:
    """Return the rows of a window without any, of which all is known."""
    none = np.zeros(0, np.int64)
    statistics = dict.fromkeys((Statistic.MIN, Statistic.MAX, Statistic.LAST, *PERCENTILE_STATISTICS), none)
    return WatchedRows(start_ms, [], none, none, none, none, none, none, none, statistics, held={})


def _columns_of(rollup: Rollup) -> WatchedRows:
    """Return all rows without their series: a million strings, of which few are asked for."""
    statistics = {Statistic.MIN: rollup.min_milli, Statistic.MAX: rollup.max_milli, Statistic.LAST: rollup.last_milli}
    statistics |= dict(zip(PERCENTILE_STATISTICS, rollup.percentiles_milli, strict=True))
    return WatchedRows(
        window_start_ms=rollup.start_ms,
        series=(),
        statistics={name: values.astype(np.int64) for name, values in statistics.items()},
        held=None,
        **{name: getattr(rollup, name).astype(np.int64) for name in _PLAIN},
    )


def _are_among(series: Strings, wanted: Collection[str]) -> Mask:
    """Return which of the ascending `series` are wanted: bool[n]."""
    found = np.zeros(len(series), bool)
    needles = sorted(one.encode() for one in wanted)
    for needle, place in zip(needles, series.positions_of(needles), strict=True):
        if place < len(series) and series.octets_at(place) == needle:
            found[place] = True
    return found
