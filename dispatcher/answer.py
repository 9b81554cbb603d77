"""The dispatcher's answer: a tick's report, cut to what Lambda can return whatever the tick met.

Lambda refuses a response of more than 6 MB ("Lambda quotas") and calls the run failed, though all its work is done. So
lists have a greatest length, and what is not listed is counted. The function's log names every window that changed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from dispatcher.report import PeriodReport, RollOutcome, TickReport, WindowReport

WINDOWS_MAX = 1_000
PERIODS_MAX = 500
UNKNOWN_KEYS_MAX = 100
MARKERS_MAX = 20
"""Markers that are listed for one window."""
DETAIL_CHARACTERS_MAX = 300
RULES_FAILED_MAX = 100
Report = TypeVar("Report", WindowReport, PeriodReport)

_NEEDS_ATTENTION = frozenset({RollOutcome.FAILED, RollOutcome.FROZEN})
_MARKERS, _PERIODS, _UNKNOWN_KEYS = "markers", "hours and days", "keys that windrow does not write"
_RULES_FAILED = "failures of rules"


def cut(report: TickReport) -> TickReport:
    """Return `report` with lists of bounded length: what needs attention first, settled windows last, else the newest.

    The report counts what it lacks in `unlisted` and `left_out`; within the bounds it is returned as it is.
    """
    listed = [_clipped(one) for one in _most_needed(report.windows, WINDOWS_MAX)]
    periods = _most_needed(report.periods, PERIODS_MAX)
    left_out = Counter(report.left_out)
    left_out[_MARKERS] += _markers(report.windows) - _markers(listed)
    left_out[_PERIODS] += len(report.periods) - len(periods)
    left_out[_UNKNOWN_KEYS] += len(report.unknown_keys[UNKNOWN_KEYS_MAX:])
    left_out[_RULES_FAILED] += len(report.rules_failed[RULES_FAILED_MAX:])
    return replace(
        report,
        windows=tuple(listed),
        periods=tuple(replace(one, detail=one.detail[:DETAIL_CHARACTERS_MAX]) for one in periods),
        unknown_keys=report.unknown_keys[:UNKNOWN_KEYS_MAX],
        rules_failed=tuple(one[:DETAIL_CHARACTERS_MAX] for one in report.rules_failed[:RULES_FAILED_MAX]),
        unlisted=dict(report.outcomes - Counter(one.outcome for one in listed)),
        left_out={what: count for what, count in left_out.items() if count},
    )


def _most_needed(reports: Sequence[Report], count: int) -> list[Report]:
    """Return at most `count` of the reports, in their order."""
    ranked = sorted(range(len(reports)), key=lambda place: (_rank(reports[place]), -place))
    return [reports[place] for place in sorted(ranked[:count])]


def _rank(report: WindowReport | PeriodReport) -> int:
    if report.outcome in _NEEDS_ATTENTION:
        return 0
    return 2 if report.outcome is RollOutcome.SETTLED else 1


def _clipped(report: WindowReport) -> WindowReport:
    return replace(report, detail=report.detail[:DETAIL_CHARACTERS_MAX], markers_kept=report.markers_kept[:MARKERS_MAX])


def _markers(reports: Sequence[WindowReport]) -> int:
    return sum(len(report.markers_kept) for report in reports)
