"""`windrow audit`: the results against the stream itself, where there is no simulation to compare with."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from windrow.errors import WindrowError
from windrow.timerange import TimeRange, parse_time
from windrow.timestamps import format_rfc3339
from windrow_cli.console import err, out, progress_bar
from windrow_cli.stage import clock_ms, deployment_of, home_folder, stage_option

if TYPE_CHECKING:
    from analytics.audit import Audit, Evidence
    from windrow.aws.deployment import Deployment

WINDOWS_SHOWN_MAX = 20
_HOUR_MS = 3_600_000


@click.command()
@click.option(
    "--from", "start", metavar="TIME", help="First window start (RFC 3339, or -2h); default: all it can tell."
)
@click.option("--to", "end", metavar="TIME", help="Last window start, exclusive; default: now.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@stage_option
def audit(start: str | None, end: str | None, *, form: str, stage: str) -> None:
    """Read the stream again, and compare the results with what it holds: every row and every column.

    The records are decoded strictly and worked out in pandas, by another way than the pipeline's. Rows must have all
    that is in the stream. What is too much in them is proven for windows that start 5 minutes after the oldest arrival
    that the stream keeps, or all windows of a stream that is younger than its retention; other rows count as unproven.

    Exit code 0 when nothing is missing, extra or different, 1 otherwise.

    \b
    windrow audit
    windrow audit --from -2h
    windrow audit --from 2026-11-20T10:00:00Z --to 2026-11-20T12:00:00Z --format json
    """
    from windrow.aws.clients import readable_errors

    now_ms = clock_ms()
    end_ms = now_ms if end is None else parse_time(end, now_ms=now_ms, option="--to")
    start_ms = None if start is None else parse_time(start, now_ms=now_ms, option="--from")
    if start_ms is not None:
        TimeRange(start_ms, end_ms)  # a bad range is found before anything is looked up
    deployment = deployment_of(stage)
    with readable_errors(deployment.place):
        audited = audit_stage(deployment, home=home_folder(), start_ms=start_ms, end_ms=end_ms, now_ms=now_ms)
    show(audited, form=form)
    if not audited.is_exact:
        raise WindrowError("the results are not what the stream holds", hint="windrow replay heals what is missing")


def audit_stage(deployment: "Deployment", *, home: Path, start_ms: int | None, end_ms: int, now_ms: int) -> "Audit":
    """Audit the windows of `deployment` that start in the range; without `start_ms`, from where the stream tells."""
    from analytics.audit import audit as compare
    from analytics.engine import local_engine
    from windrow.aws.kinesis import KinesisStream
    from windrow.reading import EARLINESS_MS_MAX

    evidence, retained_from_ms = _evidence(deployment, now_ms=now_ms)
    time_range = TimeRange(retained_from_ms if start_ms is None else start_ms, end_ms)
    stream = KinesisStream.at(deployment.place, deployment.stream_name)
    # Nothing is told more than so much before its time, so no earlier record can touch the range.
    records = stream.records_between(max(0, time_range.start_ms - EARLINESS_MS_MAX), now_ms)
    with progress_bar("auditing", total=None, unit="") as bar:
        return compare(
            records,
            local_engine(deployment, home=home),  # rows are read as they are stored, whatever engine the place has
            time_range=time_range,
            evidence=evidence,
            horizon_ms=deployment.lateness_horizon_hours * _HOUR_MS,
            now_ms=now_ms,
            on_progress=lambda step, done, _: bar.reached(done, note=step),
        )


def _evidence(deployment: "Deployment", *, now_ms: int) -> "tuple[Evidence, int]":
    """What the stream can prove, and the instant from which on it keeps records."""
    from analytics.audit import Evidence
    from windrow.aws.clients import client

    answer = client("kinesis", deployment.place).describe_stream_summary(StreamName=deployment.stream_name)
    summary = answer["StreamDescriptionSummary"]
    retained_from_ms = max(0, now_ms - int(summary["RetentionPeriodHours"]) * _HOUR_MS)
    created_ms = int(summary["StreamCreationTimestamp"].timestamp() * 1000)
    complete_from_ms = 0 if created_ms >= retained_from_ms else retained_from_ms
    return Evidence(stream_name=deployment.stream_name, complete_from_ms=complete_from_ms), retained_from_ms


def show(audited: "Audit", *, form: str) -> None:
    """Print the audit: the windows that are not exact, and the whole in one line; as JSON, every window."""
    from analytics.audit import Verdict

    decoded = audited.decoded
    if form == "json":
        windows = [
            {"window_start": format_rfc3339(window.start_ms), "verdict": window.verdict.value}
            | {"rows_unproven": window.rows_unproven}
            | {name: value for name, value in dataclasses.asdict(window.verification).items() if name != "culprits"}
            | {"culprits": [str(culprit) for culprit in window.verification.culprits]}
            for window in audited.windows
        ]
        rejected = dict(sorted(decoded.rejected.items()))
        out.print_json(data={"records": decoded.records, "rejected": rejected, "windows": windows})
        return
    worth_a_line = [window for window in audited.windows if window.verdict in {Verdict.DIFFERENT, Verdict.BEHIND}]
    for window in worth_a_line[:WINDOWS_SHOWN_MAX]:
        out.print(str(window), markup=False)
        for culprit in window.verification.culprits[:3]:
            out.print(f"  {culprit}", markup=False)
    if len(worth_a_line) > WINDOWS_SHOWN_MAX:
        out.print(f"... and {len(worth_a_line) - WINDOWS_SHOWN_MAX:,} more windows")
    oldest = "none" if decoded.oldest_arrival_ms is None else format_rfc3339(decoded.oldest_arrival_ms)
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(decoded.rejected.items())) or "none"
    out.print(f"stream: {decoded.records:,} records, {decoded.readings:,} readings; oldest arrival {oldest}")
    out.print(f"not readings: {reasons}")
    if behind := audited.count(Verdict.BEHIND):
        err.print(
            f"{behind} windows have readings that arrived after their last roll: run windrow tick, then this again"
        )
    out.print(str(audited), markup=False)
