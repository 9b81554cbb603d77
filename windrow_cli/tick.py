"""`windrow tick`: one run of the dispatcher, as the schedule would start it."""

import json
from typing import TYPE_CHECKING, Any

import click

from windrow.errors import UsageError, WindrowError
from windrow.timerange import parse_time
from windrow.timestamps import format_rfc3339
from windrow_cli.console import err, out
from windrow_cli.stage import clock_ms, deployment_of, stage_option

if TYPE_CHECKING:
    from dispatcher.report import PeriodReport, TickReport, WindowReport
    from windrow.aws.deployment import Deployment


@click.command()
@click.option("--at", "at", metavar="TIME", help="The scheduled time (RFC 3339); default: now.")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="List the due windows with their reasons, roll nothing.")
@click.option("--local", "is_local", is_flag=True, help="Run in this process instead of the deployed function.")
@stage_option
def tick(at: str | None, *, is_dry_run: bool, is_local: bool, stage: str) -> None:
    """Close the windows that are due, as the schedule would.

    A tick for TIME closes the windows that end at least two minutes before it. It does no harm to run it at any time,
    twice, or beside another: a window that is settled stays as it is.

    \b
    windrow tick
    windrow tick --at 2026-11-20T10:07:00Z
    windrow tick --dry-run
    """
    scheduled_time_ms = instant_ms(at, now_ms=clock_ms())
    deployment = deployment_of(stage)
    event = scheduled_event(scheduled_time_ms, is_dry_run=is_dry_run)
    report = run_here(deployment, event) if is_local else invoke(deployment, event)
    show(report)


def instant_ms(at: str | None, *, now_ms: int) -> int:
    """The instant of `--at`; UsageError when it is not one that a tick can have."""
    if at is None:
        return now_ms
    instant = parse_time(at, now_ms=now_ms, option="--at")
    if instant < 0:
        raise UsageError(f"--at {at!r} is before 1970", hint="write it as 2026-11-20T10:07:00Z")
    return instant


def scheduled_event(scheduled_time_ms: int, *, is_dry_run: bool) -> dict[str, Any]:
    """What an EventBridge rule hands to its target at a scheduled time."""
    return {
        "version": "0",
        "id": "windrow-tick",
        "detail-type": "Scheduled Event",
        "source": "windrow.tick",
        "time": format_rfc3339(scheduled_time_ms),
        "resources": [],
        "detail": {"dry_run": True} if is_dry_run else {},
    }


def invoke(deployment: "Deployment", event: dict[str, Any]) -> "TickReport":
    """Run the deployed dispatcher with `event` and wait for its report."""
    from dispatcher.report import TickReport
    from windrow.aws.clients import client, readable_errors

    function = deployment.dispatcher_function
    with readable_errors(deployment.place):
        response = client("lambda", deployment.place).invoke(
            FunctionName=function, InvocationType="RequestResponse", Payload=json.dumps(event).encode()
        )
        payload = response["Payload"].read()
    try:
        answer = json.loads(payload)
        if response.get("FunctionError"):
            message = " ".join(str(answer.get("errorMessage", "no message")).split())
            raise WindrowError(f"{function} failed: {message}", hint="its log group has the details")
        return TickReport.from_fields(answer)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WindrowError(f"{function} answered with something else than a report: {payload[:200]!r}") from error


def run_here(deployment: "Deployment", event: dict[str, Any]) -> "TickReport":
    """Run the same tick in this process, as long as it takes."""
    from concurrent.futures import ThreadPoolExecutor

    from dispatcher import handler
    from dispatcher.due import Lifetimes
    from dispatcher.look import Buckets
    from windrow.aws.clients import client
    from windrow.lake.s3 import S3Store

    s3 = client("s3", deployment.place)
    with ThreadPoolExecutor(handler.READERS) as readers:
        return handler.run(
            event,
            buckets=Buckets(lake=S3Store(s3, deployment.lake_bucket), results=S3Store(s3, deployment.results_bucket)),
            lifetimes=Lifetimes.of_hours(
                lateness_horizon_hours=deployment.lateness_horizon_hours,
                stream_retention_hours=deployment.stream_retention_hours,
            ),
            remaining_ms=lambda: handler.RESERVE_MS_MAX * 10,
            mapper=readers.map,
        )


def show(report: "TickReport") -> None:
    """Print one line for each due window; WindrowError when one failed or is frozen."""
    from dispatcher.report import Outcome

    for window in report.windows:
        out.print(_line(window), markup=False)
    for period in report.periods:
        out.print(_period_line(period), markup=False)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(report.outcomes.items())) or "nothing is due"
    calls = ", ".join(f"{count} {kind}" for kind, count in report.s3_calls.items())
    err.print(f"tick of {format_rfc3339(report.scheduled_time_ms)}: {counts}; S3 calls: {calls}", markup=False)
    for key in report.strange_keys:
        err.print(f"none of ours: {key}", markup=False)
    starts: list[tuple[int, WindowReport | PeriodReport]] = [
        (window.window.start_ms, window) for window in report.windows
    ]
    starts += [(period.period.start_ms, period) for period in report.periods]
    bad = [(start_ms, one) for start_ms, one in starts if one.outcome in (Outcome.FAILED, Outcome.FROZEN)]
    if bad:
        start_ms, first = bad[0]
        where = f"{format_rfc3339(start_ms)} is {first.outcome}"
        raise WindrowError(f"{len(bad)} windows need attention, the first, {where}: {first.detail}")


def _line(window: "WindowReport") -> str:
    about = f"{format_rfc3339(window.window.start_ms)}  {'+'.join(window.reasons):<24}  {window.outcome:<9}"
    facts = f"  revision {window.revision}  {window.readings:,} readings" if window.revision else ""
    kept = f"  {len(window.markers_kept)} markers kept" if window.markers_kept else ""
    return f"{about}{facts}{kept}{'  ' + window.detail if window.detail else ''}".rstrip()


def _period_line(report: "PeriodReport") -> str:
    about = f"{format_rfc3339(report.period.start_ms)}  {report.period.grain.name.lower():<24}  {report.outcome:<9}"
    facts = f"  revision {report.revision}  {report.readings:,} readings" if report.revision else ""
    return f"{about}{facts}{'  ' + report.detail if report.detail else ''}".rstrip()
