"""`windrow tick`: one run of the dispatcher, as the schedule would start it; but late readings do not wait."""

from typing import TYPE_CHECKING

import click

from windrow.errors import UsageError, WindrowError
from windrow.timerange import parse_time
from windrow.timestamps import format_rfc3339
from windrow_cli.ago import ago
from windrow_cli.console import err, out
from windrow_cli.progress import waiting
from windrow_cli.stage import clock_ms, open_stage, stage_option
from windrow_cli.tick_report import LINES_MAX, near_line, period_line, summary, window_line

if TYPE_CHECKING:
    from dispatcher.report import Backlog, PeriodReport, TickReport, WindowReport


@click.command()
@click.option("--at", "at", metavar="TIME", help="The scheduled time (RFC 3339); default: now.")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="List the due windows and why they are due; roll nothing.")
@click.option("--local", "is_local", is_flag=True, help="Run in this process instead of the deployed function.")
@click.option("--all", "is_whole", is_flag=True, help="Show a line for each window on a terminal too, however many.")
@stage_option
def tick(at: str | None, *, is_dry_run: bool, is_local: bool, is_whole: bool, stage_name: str) -> None:
    """Close the windows that are due, as the schedule would.

    A tick for TIME closes the windows that end at least two minutes before it. It is safe to run at any time, twice, or
    beside another tick: a settled window stays as it is. Late readings do not wait for LateRollMinutes, as they may for
    the schedule. More than 20 windows are summed up on a terminal; in a pipe each has its line.

    \b
    windrow tick
    windrow tick --at 2026-11-20T10:07:00Z
    windrow tick --dry-run
    """
    from windrow_operations import ticks

    event = ticks.tick_event(instant_ms(at, now_ms=clock_ms()), is_dry_run=is_dry_run)
    stage = open_stage(stage_name)
    with waiting("the dispatcher closes windows"):
        report = ticks.run_tick_here(stage, event) if is_local else ticks.invoke_tick(stage, event)
    lines = len(report.windows) + len(report.periods)
    show(report, is_brief=out.is_terminal and not is_whole and lines > LINES_MAX)


def instant_ms(at: str | None, *, now_ms: int) -> int:
    """Return the instant of `--at`; UsageError when a tick cannot have it."""
    if at is None:
        return now_ms
    instant = parse_time(at, now_ms=now_ms, option="--at")
    if instant < 0:
        raise UsageError(f"--at {at!r} is before 1970", hint="write it as 2026-11-20T10:07:00Z")
    return instant


def show(report: "TickReport", *, is_brief: bool = False) -> None:
    """Print one line for each due window, or a summary if `is_brief`; WindrowError when one failed or is frozen."""
    from dispatcher.report import RollOutcome

    lines = [window_line(window) for window in report.windows] + [period_line(period) for period in report.periods]
    for line in summary(report) if is_brief else lines:
        out.print(line, markup=False)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(report.outcomes.items())) or "nothing is due"
    calls = ", ".join(f"{count} {kind}" for kind, count in report.s3_calls.items())
    err.print(f"tick of {format_rfc3339(report.scheduled_time_ms)}: {counts}; S3 calls: {calls}", markup=False)
    if report.nearest is not None and (line := near_line(report.nearest)):
        err.print(line, markup=False)
    for reason in report.rules_failed:
        err.print(reason, markup=False)
    for day in report.day_reports:
        about = f"report on {format_rfc3339(day.period.start_ms)[:10]}: "
        about += "made" if day.outcome is RollOutcome.ROLLED else f"{day.outcome}, {day.detail}"
        err.print(about, markup=False)
    if report.backlog is not None:
        err.print(_backlog_line(report.backlog, now_ms=report.scheduled_time_ms), markup=False)
    for key in report.unknown_keys:
        err.print(f"none of ours: {key}", markup=False)
    if report.unlisted or report.left_out:
        err.print(_unlisted_line(report), markup=False)
    starts: list[tuple[int, WindowReport | PeriodReport]] = [
        (window.window.start_ms, window) for window in report.windows
    ]
    starts += [(period.period.start_ms, period) for period in report.periods]
    bad = [(start_ms, one) for start_ms, one in starts if one.outcome in (RollOutcome.FAILED, RollOutcome.FROZEN)]
    if bad:
        start_ms, first = bad[0]
        where = f"{format_rfc3339(start_ms)} is {first.outcome}"
        count = len(bad) + sum(report.unlisted.get(outcome, 0) for outcome in (RollOutcome.FAILED, RollOutcome.FROZEN))
        raise WindrowError(f"{count} windows need attention, the first, {where}: {first.detail}")


def _unlisted_line(report: "TickReport") -> str:
    counts = [f"{count:,} {outcome} windows" for outcome, count in sorted(report.unlisted.items())]
    counts += [f"{count:,} {what}" for what, count in sorted(report.left_out.items())]
    return f"not listed here: {', '.join(counts)}; the dispatcher's log names what changed"


def _backlog_line(backlog: "Backlog", *, now_ms: int) -> str:
    when = "this tick did none of them"
    if backlog.done_by_ms is not None:
        done_by = f"{format_rfc3339(backlog.done_by_ms)} ({ago(backlog.done_by_ms, now_ms=now_ms)})"
        when = f"at this rate done by {done_by}"
    return f"backlog: {backlog.left:,} windows left; {when}"
