"""`windrow audit`: the results against the stream itself, where there is no simulation to compare with."""

from typing import TYPE_CHECKING

import click

from windrow.errors import WindrowError
from windrow.timerange import TimeRange, parse_time
from windrow.timestamps import format_rfc3339
from windrow_cli.choices import OneOf
from windrow_cli.console import err, out
from windrow_cli.progress import progress_bar
from windrow_cli.stage import clock_ms, home_folder, open_stage, stage_option

if TYPE_CHECKING:
    from analytics.audit import Audit

WINDOWS_SHOWN_MAX = 20


@click.command()
@click.option(
    "--from", "start", metavar="TIME", help="First window start (RFC 3339, or -2h); default: all that the stream keeps."
)
@click.option("--to", "end", metavar="TIME", help="Last window start, exclusive; default: now.")
@click.option("--format", "form", type=OneOf(["table", "json"]), default="table", show_default=True)
@stage_option
def audit(start: str | None, end: str | None, *, form: str, stage_name: str) -> None:
    """Compare the results with what the stream holds: every row and every column.

    The stream is read again; its records are decoded strictly and aggregated in pandas, independently of the pipeline.
    Rows must contain everything in the stream. Extra readings can only be proven for windows that start 5 minutes or
    more after the oldest arrival that the stream keeps, or for all windows if the stream is younger than its
    retention; other rows count as unproven. Payloads are read under the stage's contract; what arrived before its last
    change counts as if the stream no longer kept it.

    Exit code 0 if nothing is missing, extra or different, else 1.

    \b
    windrow audit
    windrow audit --from -2h
    windrow audit --from 2026-11-20T10:00:00Z --to 2026-11-20T12:00:00Z --format json
    """
    from windrow.aws.clients import readable_errors
    from windrow_operations.auditing import audit_stage

    now_ms = clock_ms()
    end_ms = now_ms if end is None else parse_time(end, now_ms=now_ms, option="--to")
    start_ms = None if start is None else parse_time(start, now_ms=now_ms, option="--from")
    if start_ms is not None:
        TimeRange(start_ms, end_ms)  # a bad range is found before anything is looked up
    stage = open_stage(stage_name)
    with readable_errors(stage.place), progress_bar("auditing", total=None, unit="") as bar:
        audited = audit_stage(
            stage,
            home=home_folder(),
            start_ms=start_ms,
            end_ms=end_ms,
            now_ms=now_ms,
            on_progress=lambda step, done, _: bar.reached(done, note=step),
        )
    show(audited, form=form)
    if not audited.is_exact:
        raise WindrowError("the results are not what the stream holds", hint=hint_of(audited))


def hint_of(audited: "Audit") -> str:
    """Return what helps against what differs: a replay only restores what is missing."""
    if audited.misses_readings:
        return "windrow replay restores what is missing"
    return "nothing is missing, so windrow replay would not help: docs/query.md, Audit, says what else it may be"


def show(audited: "Audit", *, form: str) -> None:
    """Print the windows that are not exact, and one line about all; as JSON, every window."""
    from analytics.audit import Verdict

    totals = audited.totals
    if form == "json":
        out.print_json(data=audited.to_fields())
        return
    worth_a_line = [window for window in audited.windows if window.verdict in {Verdict.DIFFERENT, Verdict.BEHIND}]
    for window in worth_a_line[:WINDOWS_SHOWN_MAX]:
        out.print(str(window), markup=False)
        for culprit in window.verification.culprits[:3]:
            out.print(f"  {culprit}", markup=False)
    if len(worth_a_line) > WINDOWS_SHOWN_MAX:
        out.print(f"... and {len(worth_a_line) - WINDOWS_SHOWN_MAX:,} more windows")
    oldest = "none" if totals.oldest_arrival_ms is None else format_rfc3339(totals.oldest_arrival_ms)
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(totals.rejected.items())) or "none"
    out.print(f"stream: {totals.records:,} records, {totals.readings:,} readings; oldest arrival {oldest}")
    out.print(f"not readings: {reasons}")
    if since_ms := audited.evidence.readable_from_ms:
        err.print(
            f"the payload contract changed until {format_rfc3339(since_ms)}: what arrived before is not compared",
            markup=False,
        )
    if behind := audited.count(Verdict.BEHIND):
        err.print(
            f"{behind} windows have readings that arrived after their last roll: run windrow tick, then audit again"
        )
    out.print(str(audited), markup=False)
