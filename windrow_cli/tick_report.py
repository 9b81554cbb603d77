"""The report of a tick as people read it: line by line, in short, or what has changed."""

from collections import Counter
from typing import TYPE_CHECKING

from windrow.timestamps import format_rfc3339

if TYPE_CHECKING:
    from dispatcher.ceiling import Nearest
    from dispatcher.report import PeriodReport, TickReport, WindowReport

LINES_MAX = 20
"""The most windows, hours and days that a terminal shows line by line."""


def changes(report: "TickReport") -> list[str]:
    """Return a line for each window, hour and day that has changed, or that could not be done."""
    from dispatcher.report import RollOutcome

    told = {RollOutcome.ROLLED, RollOutcome.RECORDED, RollOutcome.FAILED, RollOutcome.FROZEN}
    lines = [window_line(one) for one in report.windows if one.outcome in told]
    return lines + [period_line(one) for one in report.periods if one.outcome in told]


def summary(report: "TickReport") -> list[str]:
    """Return a line for each outcome: how many windows, hours and days, from when to when; those in trouble by name."""
    from dispatcher.report import RollOutcome

    trouble = (RollOutcome.FAILED, RollOutcome.FROZEN)
    lines = []
    outcomes = {one.outcome for one in report.windows} | {one.outcome for one in report.periods}
    for outcome in sorted(outcomes):
        windows = [one for one in report.windows if one.outcome is outcome]
        periods = Counter(one.period.grain.name.lower() for one in report.periods if one.outcome is outcome)
        parts = [f"{len(windows):,} window{'s' * (len(windows) != 1)}"] if windows else []
        parts += [f"{count:,} {grain}{'s' * (count != 1)}" for grain, count in sorted(periods.items(), reverse=True)]
        line = f"{outcome:<9}  {', '.join(parts)}"
        if windows:
            first, last = windows[0].window.start_ms, windows[-1].window.start_ms
            line += f", {sum(one.readings for one in windows):,} readings"
            line += f", from {format_rfc3339(first)} to {format_rfc3339(last)}"
        lines.append(line)
        if outcome in trouble:
            lines += [f"  {window_line(one)}" for one in windows[:LINES_MAX]]
            lines += [f"  {period_line(one)}" for one in report.periods if one.outcome is outcome][:LINES_MAX]
    return [*lines, "each window with its reasons: windrow tick --all, or the dispatcher's log"]


def window_line(window: "WindowReport") -> str:
    """Return one window: start, why it was due, what became of it."""
    about = f"{format_rfc3339(window.window.start_ms)}  {'+'.join(window.reasons):<24}  {window.outcome:<9}"
    facts = f"  revision {window.revision}  {window.readings:,} readings" if window.revision else ""
    kept = f"  {len(window.markers_kept)} markers kept" if window.markers_kept else ""
    return f"{about}{facts}{kept}{'  ' + window.detail if window.detail else ''}".rstrip()


def period_line(report: "PeriodReport") -> str:
    """Return one hour or day: start, which of them, what became of it."""
    about = f"{format_rfc3339(report.period.start_ms)}  {report.period.grain.name.lower():<24}  {report.outcome:<9}"
    facts = f"  revision {report.revision}  {report.readings:,} readings" if report.revision else ""
    return f"{about}{facts}{'  ' + report.detail if report.detail else ''}".rstrip()


def near_line(nearest: "Nearest") -> str:
    """Return what to say of the window that came nearest to a ceiling; nothing if that is far."""
    from dispatcher.ceiling import NEAR_PERCENT

    if nearest.percent < NEAR_PERCENT:
        return ""
    start = format_rfc3339(nearest.window.start_ms)
    return (
        f"near a ceiling: the window {start} took {nearest.percent}% of the dispatcher's {nearest.means.noun}; raise"
        f" {nearest.means}, see docs/runbook.md#window-is-near-ceiling"
    )
