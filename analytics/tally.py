"""A tally of open windows by site: how many sensors were heard, their mean and extremes, and how many are off limits.

A pure function of the windows' rows and of rules, and so, as these rows are, of the set of readings: what was delivered
twice or in another order counts as if it had not been. It is as provisional as the windows are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analytics.open_windows import OpenWindow
from windrow.columns.arrays import Int64s, Mask
from windrow.live.newest import site_of
from windrow.quantities import Quantity
from windrow.rows.rollup import Rollup
from windrow.rules.judge import Verdict, judge
from windrow.rules.rule import Condition, Rule
from windrow.rules.watched import may_matter, watched_rows

HAVE_LIMITS = frozenset({Condition.ABOVE, Condition.BELOW, Condition.OUTSIDE})
"""The conditions that name a limit of values; the others compare rows, and an open window may lack the other one."""


@dataclass(frozen=True, slots=True, eq=False)
class SiteTally:
    """Columns with a value for each of k sites, by name: what stands before the last `/` of an id, or nothing.

    Values are in thousandths. beyond: the sensors whose row is beyond the limit of any rule.
    """

    sites: Sequence[str]
    sensors: Int64s
    readings: Int64s
    sum_milli: Int64s
    min_milli: Int64s
    max_milli: Int64s
    beyond: Int64s


def limits_on(quantity: Quantity, rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """Return those of `rules` that name a limit of this quantity's values."""
    return tuple(rule for rule in rules if rule.condition in HAVE_LIMITS and rule.quantity == quantity.name)


def tally(windows: Sequence[OpenWindow], newest: Mapping[str, tuple[int, int]], limits: Sequence[Rule]) -> SiteTally:
    """Count the sensors of `newest`, each with its one row: the positions of its window and of its row there.

    `limits` are rules as `limits_on` returns them.
    """
    places = np.array([place for place, _ in newest.values()], np.int64)
    rows = np.array([row for _, row in newest.values()], np.int64)
    names = list(map(site_of, newest))
    columns = np.zeros((5, len(names)), np.int64)
    for place, one in enumerate(windows):
        here = np.flatnonzero(places == place)
        rollup, own = one.rollup, rows[here]
        columns[:, here] = (
            rollup.readings[own],
            rollup.sum_milli[own],
            rollup.min_milli[own],
            rollup.max_milli[own],
            are_beyond(limits, rollup)[own],
        )
    sites = sorted(set(names))
    number = {site: place for place, site in enumerate(sites)}
    site = np.array([number[name] for name in names], np.int64)
    sensors = np.bincount(site, minlength=len(sites)).astype(np.int64)
    first = np.cumsum(sensors) - sensors
    readings, sum_milli, min_milli, max_milli, beyond = columns[:, np.argsort(site, kind="stable")]
    return SiteTally(
        sites=sites,
        sensors=sensors,
        readings=np.add.reduceat(readings, first),
        sum_milli=np.add.reduceat(sum_milli, first),
        min_milli=np.minimum.reduceat(min_milli, first),
        max_milli=np.maximum.reduceat(max_milli, first),
        beyond=np.add.reduceat(beyond, first),
    )


def are_beyond(limits: Sequence[Rule], rollup: Rollup) -> Mask:
    """Return which rows are beyond the limit of any rule: bool[n]."""
    left = may_matter(limits, rollup, ())
    found = np.zeros(len(rollup), bool)
    watched = watched_rows(rollup, left)
    for rule in limits:
        judged = judge(rule, watched, None)
        beyond = {judged.series[one] for one in np.flatnonzero(judged.verdicts == Verdict.BEYOND).tolist()}
        if beyond:  # the other rules need not look at them: patterns are matched sensor by sensor
            are_new = np.array([series in beyond for series in watched.series], bool)
            found[np.flatnonzero(left)[are_new]] = True
            left = left & ~found
            watched = watched_rows(rollup, left)
    return found
