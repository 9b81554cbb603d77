"""`windrow backfill`: history of any size into the windows of a stage that were never rolled."""

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from windrow.errors import WindrowError
from windrow_cli.choices import OneOf
from windrow_cli.console import err, out
from windrow_cli.progress import progress_bar, waiting
from windrow_cli.stage import clock_ms, open_stage, stage_option

if TYPE_CHECKING:
    from processors.backfill_part import BackfillReport
    from processors.backfill_plan import HistoryPlan
    from windrow.stage import Stage
    from windrow_operations.backfilling import History

_S3 = "s3://"


@click.command()
@click.argument("sources", metavar="FILE|FOLDER|s3://BUCKET/PATH...", nargs=-1, required=True)
@click.option("--follow", "is_followed", is_flag=True, help="Run the dispatcher until all windows are rolled.")
@click.option("--here", "is_here", is_flag=True, help="Read on this machine, though the stage has Backfill=on.")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Show how the files would be cut; write nothing.")
@click.option("--format", "form", type=OneOf(["table", "json"]), default="table", show_default=True)
@stage_option
def backfill(
    *, sources: tuple[str, ...], is_followed: bool, is_here: bool, is_dry_run: bool, form: str, stage_name: str
) -> None:
    """Write readings of history, of any age and size, as partials of windows that were never rolled.

    Files hold what uploads may hold (docs/backfill.md): JSON lines, CSV, Parquet and blocks; the stage's payload
    contract says what they mean. Large ones are read in parts, in bounded memory. If it is stopped, start it again with
    the same files: it goes on where it was. Exits with 1 if something did not count, or is not rolled.

    What is in a bucket is read by the stage's state machine, if it has Backfill=on, and else by this command.

    \b
    windrow backfill history.csv --follow
    windrow backfill s3://archive/2026/ --dry-run
    windrow backfill exports/ --format json
    """
    from windrow_operations.backfilling import begun, check, do_parts, find_history, plan_only, roll_all, tick_of

    needs_stage = not is_dry_run or any(one.startswith(_S3) for one in sources)
    stage = open_stage(stage_name) if needs_stage else None
    with err.status("looking for the files"):
        history = find_history(sources, None if stage is None else stage.place)
    if stage is None or is_dry_run:
        with err.status("reading where they can be cut"):
            plan = plan_only(history)
        _print_plan(plan)
        return
    if stage.backfill_machine and not is_here and all(one.startswith(_S3) for one in sources):
        _have_it_done(stage, sources, history, is_followed=is_followed, form=form)
        return
    with ExitStack() as stack:
        with err.status("planning"):
            opened = stack.enter_context(begun(history, stage))
        with progress_bar("backfilling", total=len(opened.plan.parts), unit="parts") as bar:
            report = do_parts(opened, on_progress=bar.reached)
        if is_followed:
            unrolled = report.unrolled
            with progress_bar("rolling", total=unrolled, unit="markers") as bar:
                report = roll_all(
                    opened,
                    report,
                    tick=tick_of(stage, clock_ms=clock_ms),
                    on_progress=lambda now: bar.reached(unrolled - now.unrolled),
                )
            with err.status("comparing the windows with what was written"):
                report = check(opened, report, stage)
    _print_report(report, form=form)
    _complain(report, is_followed=is_followed)


def _have_it_done(
    stage: "Stage", sources: tuple[str, ...], history: "History", *, is_followed: bool, form: str
) -> None:
    """Start the stage's state machine, and follow it to its report."""
    from windrow_operations.backfilling import follow_execution, report_on, start_execution

    execution = start_execution(stage, sources)
    if not is_followed:
        out.print(execution.arn, markup=False)
        err.print("started; windrow backfill ... --follow shows what became of it, and does nothing twice")
        return
    with waiting(f"{execution.arn} runs"):
        execution = follow_execution(stage, execution)
    report = report_on(history, stage, execution)
    if report is not None:
        _print_report(report, form=form)
        _complain(report, is_followed=True)
    if report is None or execution.status != "SUCCEEDED":
        why = " ".join(execution.cause.split())[:300] or "it says no reason"
        hint = "it reads the bucket BackfillBucket alone; Step Functions has its history"
        raise WindrowError(f"{execution.arn} ended as {execution.status}: {why}", hint=hint)


def _print_plan(plan: "HistoryPlan") -> None:
    pieces = [piece for part in plan.parts for piece in part]
    for number, file in enumerate(plan.files):
        count = sum(piece.file == number for piece in pieces)
        if count:
            out.print(f"{file.key}: {file.size_bytes:,} bytes, {count:,} pieces", markup=False)
    for name, why in plan.refused:
        out.print(f"{name}: left out: {why}", markup=False)
    err.print(f"{len(plan.files):,} files, {plan.size_bytes:,} bytes, {len(plan.parts):,} parts; nothing is written")


def _print_report(report: "BackfillReport", *, form: str) -> None:
    fields = report.to_fields()
    if form == "json":
        out.print_json(json.dumps(fields))
        return
    for name, value in fields.items():
        if isinstance(value, int) and not isinstance(value, bool):
            out.print(f"{name.replace('_', ' ')}: {value:,}", markup=False)
    if report.check is not None:
        check = report.check
        facts = f"{check.wrong:,} wrong, {check.open:,} not rolled, {check.shared:,} with readings of others, too"
        out.print(f"windows: {check.windows:,}, {facts}", markup=False)
    for reason, count in report.rejected.items():
        out.print(f"rejected: {count:,} {reason}", markup=False)
    for name, why in report.refused_files:
        out.print(f"left out: {name}: {why}", markup=False)
    for example in fields["examples"]:
        err.print(example, markup=False)


def _complain(report: "BackfillReport", *, is_followed: bool) -> None:
    """Raise WindrowError if something does not count, or is not rolled though that was waited for."""
    if report.check is not None and report.check.wrong:
        message = f"{report.check.wrong:,} of {report.check.windows:,} windows have not what was written to them"
        raise WindrowError(f"{message}, the first: {report.check.examples[0]}", hint="see docs/backfill.md")
    if not report.adds_up:
        raise WindrowError(
            "the parts' counts do not add up", hint="start it again: parts that are done are not repeated"
        )
    bad = sum(report.rejected.values())
    if report.refused_files or bad or report.total("refused"):
        message = f"{len(report.refused_files):,} files are left out, {bad:,} payloads do not count"
        raise WindrowError(message, hint="the report says which; what counts is written")
    if is_followed and report.unrolled:
        hint = "windrow tick shows what holds them up"
        raise WindrowError(f"{report.unrolled:,} markers stand for windows that are not rolled", hint=hint)
