"""`windrow ingest`: send readings of real sensors from a file, by the same path as all others."""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from windrow.errors import UsageError
from windrow.timerange import parse_time
from windrow.timestamps import format_rfc3339
from windrow_cli.console import err, out
from windrow_cli.progress import progress_bar, progress_note, wait_with_bar
from windrow_cli.stage import clock_ms, open_stage, stage_option

if TYPE_CHECKING:
    from producers.recording import Recording
    from producers.survey import Survey
    from producers.writer import WriterCounters
    from windrow.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class _How:
    wire: str
    retimed: str | None
    is_backfill: bool
    is_dry_run: bool
    waits: bool


@click.command()
@click.argument("source", metavar="FILE|-", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--input-format", "form", type=click.Choice(["jsonl", "csv", "parquet"]), help="Default: by the name.")
@click.option("--sensor-column", "sensor", default="sensor_id", show_default=True, metavar="NAME", help="CSV, Parquet.")
@click.option("--time-column", "when", default="event_time", show_default=True, metavar="NAME", help="CSV, Parquet.")
@click.option("--temperature-column", "temperature", default="temperature", show_default=True, metavar="NAME")
@click.option("--sequence-column", "sequence", metavar="NAME", help="Default: every sequence is 0.")
@click.option("--unit-column", "unit_column", metavar="NAME", help="Default: --unit holds for all.")
@click.option("--unit", type=click.Choice(["C", "F", "K"]), default="C", show_default=True, help="CSV, Parquet.")
@click.option("--time-unit", type=click.Choice(["s", "ms", "us", "ns"]), default="ms", show_default=True)
@click.option("--retime", "retimed", metavar="TIME", help="Move all times, so that the last reading falls at TIME.")
@click.option("--backfill", "is_backfill", is_flag=True, help="Write partials directly, for windows not rolled yet.")
@click.option(
    "--wire", type=click.Choice(["json", "blocks"]), default="json", show_default=True, help="How readings are encoded."
)
@click.option("--wait", "waits", is_flag=True, help="Wait until the consumer has processed everything sent.")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Check and count everything; send nothing.")
@click.option("--format", "report_form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@stage_option
def ingest(
    *,
    source: str,
    form: str | None,
    sensor: str,
    when: str,
    temperature: str,
    sequence: str | None,
    unit_column: str | None,
    unit: str,
    time_unit: str,
    report_form: str,
    stage_name: str,
    **how: Any,
) -> None:
    """Send the readings of real sensors from a file, or from standard input.

    JSON lines hold one reading each, as in the stream. CSV and Parquet have columns, which the options name. Times are
    RFC 3339, or numbers since 1970. Rows that are not readings are counted and left out. Readings whose time would put
    them in quarantine are counted before anything is sent.

    \b
    windrow ingest readings.jsonl --wait
    windrow ingest roof.csv --sensor-column name --time-column ts --time-unit s --temperature-column celsius
    windrow ingest 2024.parquet --retime now
    windrow ingest 2024.parquet --backfill
    zcat *.jsonl.gz | windrow ingest - --input-format jsonl
    """
    from producers.recording import ColumnNames, FileFormat, Recording, TimeUnit, format_of

    columns = ColumnNames(
        sensor=sensor,
        time=when,
        temperature=temperature,
        sequence=sequence,
        unit=unit_column,
        unit_default=unit,
        time_unit=TimeUnit(time_unit),
    )
    chosen = _How(**how)
    if chosen.is_backfill and chosen.waits:
        raise UsageError(
            "--wait and --backfill exclude each other", hint="a backfill is complete when the command returns"
        )
    stage = open_stage(stage_name)
    with _seekable(source) as path:
        recording = Recording(path, format_of(Path(source)) if form is None else FileFormat(form), columns)
        report = ingest_recording(recording, stage, now_ms=clock_ms(), how=chosen)
    if report_form == "json":
        out.print_json(json.dumps(report))
    else:
        _print_report(report)


def ingest_recording(recording: "Recording", stage: "Stage", *, now_ms: int, how: _How) -> dict[str, Any]:
    """Check the recording, warn of what is odd about it, and send or backfill it; return the report in JSON's types."""
    from windrow_operations.ingesting import survey_recording

    with err.status("checking the recording"):
        survey, shift_ms = survey_recording(
            recording, stage, shift_of=lambda extent: _shift_ms(extent, how.retimed, now_ms=now_ms), now_ms=now_ms
        )
    for line in warnings(survey, horizon_hours=stage.lateness_horizon_hours, is_backfill=how.is_backfill):
        err.print(line, markup=False)
    report: dict[str, Any] = {
        "readings": survey.readings,
        "bad_rows": survey.bad,
        "first": None if survey.first_ms is None else format_rfc3339(survey.first_ms),
        "last": None if survey.last_ms is None else format_rfc3339(survey.last_ms),
        "too_late": survey.too_late,
        "too_early": survey.too_early,
        "is_dry_run": how.is_dry_run,
    }
    if how.is_backfill:
        return report | _backfill(recording, stage, shift_ms=shift_ms, now_ms=now_ms, is_dry_run=how.is_dry_run)
    return report | _send(recording, stage, total=survey.readings, shift_ms=shift_ms, how=how)


def warnings(survey: "Survey", *, horizon_hours: int, is_backfill: bool) -> list[str]:
    """Return what the user should know before anything is sent, one line each."""
    told = [f"{survey.bad:,} rows are not readings and are left out"] if survey.bad else []
    told += [f"  row {row.number:,}: {row.why}" for row in survey.first_bad]
    if survey.too_late and not is_backfill:
        told.append(
            f"{survey.too_late:,} of {survey.readings:,} readings are older than {horizon_hours} h and will be"
            " quarantined as too late: see --retime and --backfill"
        )
    if survey.too_early:
        becomes = "are left out" if is_backfill else "will be quarantined as too early"
        told.append(f"{survey.too_early:,} of {survey.readings:,} readings are in the future and {becomes}")
    return told


def _shift_ms(survey: "Survey", retimed: str | None, *, now_ms: int) -> int:
    if retimed is None or survey.last_ms is None:
        return 0
    return parse_time(retimed, now_ms=now_ms, option="--retime") - survey.last_ms


def _send(recording: "Recording", stage: "Stage", *, total: int, shift_ms: int, how: _How) -> dict[str, Any]:
    from producers.sender import Wire
    from windrow_operations.ingesting import send_recording

    began_seconds = time.monotonic()
    with progress_bar("ingesting", total=total, unit="readings") as bar:

        def show(done: int, counters: "WriterCounters") -> None:
            bar.reached(done, note=progress_note(done, counters, seconds=time.monotonic() - began_seconds))

        sent = send_recording(
            recording,
            stage,
            shift_ms=shift_ms,
            wire=Wire(how.wire),
            is_dry_run=how.is_dry_run,
            on_progress=show,
        )
    if how.waits and sent.last_sequence_numbers:
        wait_with_bar(stage, sent.last_sequence_numbers)
    return {
        "stream": stage.stream_name,
        "counters": asdict(sent.counters),
        "last_sequence_numbers": {shard: str(number) for shard, number in sent.last_sequence_numbers.items()},
    }


def _backfill(
    recording: "Recording", stage: "Stage", *, shift_ms: int, now_ms: int, is_dry_run: bool
) -> dict[str, Any]:
    from windrow_operations.ingesting import backfill_recording

    with err.status("backfilling"):
        done = backfill_recording(recording, stage, shift_ms=shift_ms, now_ms=now_ms, is_dry_run=is_dry_run)
    plan = done.plan
    if plan.kept:
        err.print(
            f"{plan.readings_left_out:,} readings of {len(plan.kept):,} windows are left out: those windows are rolled"
            f" already, the first {format_rfc3339(plan.kept[0][0].start_ms)}"
        )
    return {
        "windows": len(plan.create),
        "windows_kept": len(plan.kept),
        "readings_backfilled": plan.readings,
        "readings_left_out": plan.readings_left_out,
        "partials_new": done.partials_new,
    }


@contextmanager
def _seekable(source: str) -> Iterator[Path]:
    """Provide the source as a file that can be read twice: standard input is copied to a temporary one."""
    if source != "-":
        yield Path(source)
        return
    with tempfile.NamedTemporaryFile(prefix="windrow-ingest-") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield Path(copy.name)


def _print_report(report: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in report.items():
        if isinstance(value, dict | bool):
            continue
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
    if report["is_dry_run"]:
        table.add_row("sent", "nothing: a dry run")
    for name, value in report.get("counters", {}).items():
        table.add_row(name, f"{value:,}")
    out.print(table)
