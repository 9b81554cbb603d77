"""`windrow ingest`: send readings of real sensors from files, by the same path as all others."""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from windrow.errors import UsageError, WindrowError
from windrow.timerange import parse_time
from windrow.timestamps import format_rfc3339
from windrow_cli.choices import OneOf
from windrow_cli.console import confirm, err, is_terminal, out
from windrow_cli.progress import progress_bar, progress_note, wait_with_bar
from windrow_cli.stage import clock_ms, open_stage, stage_option
from windrow_cli.understanding import (
    arrival_lines,
    file_lines,
    likely_cause,
    report_of,
    shared_lines,
    survey_lines,
    suspect_lines,
)

if TYPE_CHECKING:
    from producers.files.opening import OpenedFile
    from producers.files.options import FileOptions
    from producers.files.recording import Recording
    from producers.files.survey import FileSurvey
    from producers.writer import WriterCounters
    from windrow.payloads.contract import Contract
    from windrow.stage import Stage
    from windrow_operations.ingesting import FileReadings

# What a stage is deployed with, unless its parameter says otherwise: a dry run asks no stage.
_DEFAULT_HORIZON_HOURS = 168
_HOUR_MS = 3_600_000
# In the place of a contract: the one that the stage was deployed with.
_OF_STAGE = "stage"
# In the place of a time: that of each file.
_OF_FILE = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class _How:
    wire: str
    retimed: str | None
    is_backfill: bool
    is_numbered: bool
    is_dry_run: bool
    is_agreed: bool
    waits: bool


def _file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what the files do not say themselves."""
    forms = OneOf(["csv", "jsonl", "json", "parquet"])
    units = OneOf(["s", "ms", "us", "ns"])
    options = (
        click.option("--input-format", "file_format", type=forms, help="Default: by name and content."),
        click.option("--encoding", metavar="NAME", help="Of text; default: sniffed."),
        click.option("--delimiter", metavar="CHARACTER", help="Of CSV; \\t is a tab; default: sniffed."),
        click.option("--skip-lines", type=click.IntRange(min=0), metavar="N", help="Before the header of CSV."),
        click.option("--decimal-comma/--decimal-point", "has_decimal_comma", default=None, help="Default: sniffed."),
        click.option("--sensor-column", metavar="NAME", help="Default: sensor_id, or guessed by name."),
        click.option("--sensor-id", metavar="TEXT", help="One id for all; {file} and {folder} are the file's names."),
        click.option(
            "--time-column", "time_columns", metavar="NAME", help="Twice for a date and a time.", multiple=True
        ),
        click.option("--time-unit", type=units, help="Of times as numbers since 1970; default: by their size."),
        click.option("--time-format", metavar="FORM", help="iso8601, rfc3339, or a pattern such as '%d.%m.%Y %H:%M'."),
        click.option("--zone", metavar="NAME", help="Of times without one: Europe/Berlin, UTC, +02:00."),
        click.option("--temperature-column", "temperatures", metavar="NAME", help="May be repeated.", multiple=True),
        click.option(
            "--value-column",
            "values",
            metavar="QUANTITY=NAME",
            help="Another quantity's column; with its unit: 'voltage[mV]=NAME'.",
            multiple=True,
        ),
        click.option(
            "--quantity-column",
            metavar="NAME",
            help="Says of each row what its value is of; the values: --value-column NAME.",
        ),
        click.option("--sequence-column", metavar="NAME", help="Default: sequence, or every sequence is 0."),
        click.option("--unit-column", metavar="NAME", help="Default: unit, or --unit holds for all."),
        click.option("--unit", metavar="UNIT", help="C, °F, kelvin, ...; default: by the column's name, or C."),
        click.option("--missing", metavar="VALUE", help="Means that there is no value, such as -999.", multiple=True),
        click.option("--min", "minimum", metavar="NUMBER", help="Temperatures below, in °C, are left out."),
        click.option("--max", "maximum", metavar="NUMBER", help="Temperatures above, in °C, are left out."),
        click.option(
            "--where", "filters", metavar="NAME=PATTERN", help="Only these rows; * and ? match.", multiple=True
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("sources", metavar="FILE|FOLDER|PATTERN|-...", nargs=-1, required=True)
@_file_options
@click.option(
    "--payloads",
    "contract",
    metavar="CONTRACT|stage",
    help="Of JSON: read it under this payload contract, or the stage's own; no option about columns is needed.",
)
@click.option(
    "--arrival",
    metavar="TIME|file",
    help="Under --payloads: when all arrived, for times that count from their arrival; file: each file's own time.",
)
@click.option("--number-equal-times", "is_numbered", is_flag=True, help="Sequences by order, for equal times.")
@click.option("--retime", "retimed", metavar="TIME", help="Move all times, so that the last reading falls at TIME.")
@click.option("--backfill", "is_backfill", is_flag=True, help="Write partials directly, for windows not rolled yet.")
@click.option(
    "--wire", type=OneOf(["json", "blocks"]), default="json", show_default=True, help="How readings are encoded."
)
@click.option("--wait", "waits", is_flag=True, help="Wait until the consumer has processed everything sent.")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Show and count everything; send nothing; no stage needed.")
@click.option("--yes", "is_agreed", is_flag=True, help="Do not ask.")
@click.option("--format", "report_form", type=OneOf(["table", "json"]), default="table", show_default=True)
@stage_option
def ingest(
    *,
    sources: tuple[str, ...],
    wire: str,
    retimed: str | None,
    is_backfill: bool,
    is_numbered: bool,
    is_dry_run: bool,
    is_agreed: bool,
    waits: bool,
    report_form: str,
    stage_name: str,
    contract: str | None,
    arrival: str | None,
    **said: Any,
) -> None:
    """Send the readings of real sensors from files, folders, patterns, or standard input.

    CSV, JSON and Parquet, also as .gz and .zst, as loggers and platforms export them. What the files are is sniffed and
    guessed by name; what was understood is shown before anything is sent, with the rows that are left out and why. On
    a terminal it asks then; elsewhere it needs --yes if it had to guess. Exit code 1 if nothing in the files is good.

    \b
    windrow ingest readings.jsonl --wait
    windrow ingest export/ --sensor-id '{file}' --zone Europe/Berlin --dry-run
    windrow ingest roof.csv --time-column day --time-column clock --temperature-column celsius --missing -999 --yes
    windrow ingest measurements.csv --quantity-column parameter --unit-column unit
    windrow ingest 2024.parquet --retime now
    windrow ingest '2024-*.csv.gz' --backfill
    windrow ingest uplinks.jsonl --payloads payloads.toml
    windrow ingest uplinks.jsonl --payloads stage --backfill
    windrow ingest packs.jsonl --payloads senml.toml --arrival file
    zcat *.jsonl.gz | windrow ingest - --input-format jsonl
    """
    from producers.files.opening import find_files, opened_files

    how = _How(
        wire=wire, retimed=retimed, is_backfill=is_backfill, is_numbered=is_numbered, is_dry_run=is_dry_run,
        is_agreed=is_agreed, waits=waits,
    )  # fmt: skip
    if how.is_backfill and how.waits:
        raise UsageError(
            "--wait and --backfill exclude each other", hint="a backfill is complete when the command returns"
        )
    options = _options(**said)
    if arrival is not None and contract is None:
        raise UsageError("--arrival goes with --payloads", hint="times of other files are in a column: --time-column")
    with ExitStack() as stack:
        opened = stack.enter_context(
            opened_files(
                find_files(sources),
                file_format=options.file_format,
                encoding=options.encoding,
                stdin=sys.stdin.buffer,
            )
        )
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="windrow-ingest-")))
        recordings = _recordings(opened, options, contract, stage_name, arrival=arrival)
        report = ingest_files(recordings, stage_name, scratch, now_ms=clock_ms(), how=how)
    if report_form == "json":
        out.print_json(json.dumps(report))
    else:
        _print_report(report)


def ingest_files(
    recordings: "Sequence[Recording]", stage_name: str, scratch: Path, *, now_ms: int, how: _How
) -> dict[str, Any]:
    """Show what the files are, agree on it, and send or backfill them; return the report in JSON's types."""
    from producers.files.identities import IdentityBook
    from producers.files.survey import survey_files
    from windrow_operations.forms import reads_default_form
    from windrow_operations.ingesting import FileReadings

    for line in file_lines(recordings):
        err.print(line, markup=False)
    if how.is_numbered and any(one.has_sequences for one in recordings):
        raise UsageError("--number-equal-times and a column of sequences exclude each other")
    stage = None if how.is_dry_run else open_stage(stage_name)
    horizon_hours = _DEFAULT_HORIZON_HOURS if stage is None else stage.lateness_horizon_hours
    book = IdentityBook(scratch)
    with err.status("reading the files"):
        survey = survey_files(recordings, book, now_ms=now_ms, horizon_ms=horizon_hours * _HOUR_MS)
        shared = book.shared()
        files = FileReadings(
            recordings=recordings,
            shift_ms=_shift_ms(survey.last_ms, how.retimed, now_ms=now_ms),
            numbering=book.numbering() if how.is_numbered and shared.readings else None,
        )
        _move(survey, files, now_ms=now_ms, horizon_ms=horizon_hours * _HOUR_MS)
    suspects = suspect_lines(survey)
    told = [*survey_lines(survey), *suspects]
    told += shared_lines(shared, readings=survey.sent, is_numbered=how.is_numbered)
    told += arrival_lines(survey, horizon_hours=horizon_hours, is_backfill=how.is_backfill)
    if files.shift_ms and survey.last_ms is not None:
        told.append(f"all times are moved; the same again: --retime {format_rfc3339(survey.last_ms)}")
    for line in told:
        err.print(line, markup=False)
    _refuse_nothing(survey, is_backfill=how.is_backfill)
    report = report_of(survey, shared, is_dry_run=how.is_dry_run, is_backfill=how.is_backfill)
    if stage is None:
        return report
    is_guessed = bool(suspects) or any(one.guesses for one in recordings)
    if not how.is_agreed and (is_guessed or is_terminal()):
        confirm(f"Send {survey.sent:,} readings{', with what was guessed above' if is_guessed else ''}?")
    if how.is_backfill:
        return report | _backfill(files, stage, now_ms=now_ms)
    if how.wire == "json" and not reads_default_form(stage):
        err.print("the stage reads other payloads than these by its contract, so the readings are sent as blocks")
        how = replace(how, wire="blocks")
    return report | _send(files, stage, total=survey.sent, how=how)


def _recordings(
    opened: "Sequence[OpenedFile]",
    options: "FileOptions",
    contract: str | None,
    stage_name: str,
    *,
    arrival: str | None,
) -> "Sequence[Recording]":
    """Return the files as recordings: by their columns, or under a payload contract."""
    from producers.files.payloads import PayloadRecording
    from producers.files.recording import FileRecording

    if contract is None:
        return [FileRecording(one, options) for one in opened]
    compiled = _contract_of_stage(stage_name) if contract == _OF_STAGE else _contract_in(Path(contract))
    name = f"those of stage {stage_name}" if contract == _OF_STAGE else contract
    return [PayloadRecording(one, compiled, name, _arrival_ms(arrival, one)) for one in opened]


def _arrival_ms(arrival: str | None, file: "OpenedFile") -> int | None:
    """Return when the payloads of a file arrived, if somebody says it; UsageError if that is no time."""
    if arrival is None:
        return None
    if arrival != _OF_FILE:
        return parse_time(arrival, now_ms=clock_ms(), option="--arrival")
    try:
        return int(Path(file.name).stat().st_mtime * 1000)
    except OSError as error:
        raise UsageError(f"{file.name} has no time of its own: {error}", hint="--arrival TIME") from error


def _contract_in(file: Path) -> "Contract":
    from windrow.payloads.load import load_contract

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
    return load_contract(text, name=str(file))


def _contract_of_stage(stage_name: str) -> "Contract":
    from windrow.payloads.stored import contract_of

    stage = open_stage(stage_name)
    if not stage.payload_contract:
        message = f"stage {stage_name!r} has no payload contract: it reads the default form"
        raise UsageError(message, hint="leave out --payloads, or deploy the stage with --payloads")
    return contract_of(stage.lake, stage.payload_contract)


def _options(
    *,
    file_format: str | None,
    delimiter: str | None,
    skip_lines: int | None,
    time_unit: str | None,
    time_format: str | None,
    temperatures: tuple[str, ...],
    values: tuple[str, ...],
    filters: tuple[str, ...],
    **said: Any,
) -> "FileOptions":
    """Return the options of the command line as values; UsageError for what makes no sense."""
    from producers.files.options import FileFormat, FileOptions

    if time_unit and time_format:
        raise UsageError("--time-unit and --time-format exclude each other")
    if said["sensor_column"] and said["sensor_id"]:
        raise UsageError("--sensor-column and --sensor-id exclude each other")
    delimiter = "\t" if delimiter == "\\t" else delimiter
    if delimiter is not None and len(delimiter) != 1:
        raise UsageError(f"--delimiter {delimiter!r} is not one character")
    return FileOptions(
        file_format=None if file_format is None else FileFormat(file_format),
        delimiter=delimiter,
        skipped_lines=skip_lines,
        time_format=f"epoch_{time_unit}" if time_unit else time_format,
        value_columns=_value_columns(temperatures, values, said["quantity_column"]),
        filters=_pairs(filters, "--where"),
        **said,
    )


def _value_columns(
    temperatures: Sequence[str], values: Sequence[str], quantity_column: str | None
) -> tuple[tuple[str, str], ...]:
    """Return the columns of values, each behind its quantity, which is empty where a column says it row by row."""
    if quantity_column is None:
        return (*(("temperature", one) for one in temperatures), *_pairs(values, "--value-column"))
    if temperatures or len(values) > 1:
        message = "with --quantity-column there is one column of values, of any quantity"
        raise UsageError(message, hint="--value-column NAME")
    return tuple(("", one) for one in values)


def _pairs(texts: Sequence[str], option: str) -> tuple[tuple[str, str], ...]:
    pairs = [text.partition("=") for text in texts]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise UsageError(f"{option} {name!r} is not of the form NAME=VALUE")
    return tuple((name, value) for name, _, value in pairs)


def _shift_ms(last_ms: int | None, retimed: str | None, *, now_ms: int) -> int:
    if retimed is None or last_ms is None:
        return 0
    return parse_time(retimed, now_ms=now_ms, option="--retime") - last_ms


def _move(survey: "FileSurvey", files: "FileReadings", *, now_ms: int, horizon_ms: int) -> None:
    """Make the survey that of the moved readings; they are read once more for what would be quarantined."""
    if not files.shift_ms or survey.first_ms is None or survey.last_ms is None:
        return
    survey.first_ms, survey.last_ms = survey.first_ms + files.shift_ms, survey.last_ms + files.shift_ms
    survey.too_late, survey.too_early = files.arrivals(now_ms=now_ms, horizon_ms=horizon_ms)


def _refuse_nothing(survey: "FileSurvey", *, is_backfill: bool) -> None:
    """Raise WindrowError, with the likely cause, if no reading in the files would count."""
    lost = survey.too_early + (0 if is_backfill else survey.too_late)
    if survey.sent and lost < survey.sent:
        return
    what = "no reading in the files would count" if survey.sent else "nothing in the files is a reading"
    raise WindrowError(f"{what}, so nothing is sent", hint=likely_cause(survey, is_backfill=is_backfill))


def _send(files: "FileReadings", stage: "Stage", *, total: int, how: _How) -> dict[str, Any]:
    from producers.sender import Wire
    from windrow_operations.ingesting import send_files

    began_seconds = time.monotonic()
    with progress_bar("ingesting", total=total, unit="readings") as bar:

        def show(done: int, counters: "WriterCounters") -> None:
            bar.reached(done, note=progress_note(done, counters, seconds=time.monotonic() - began_seconds))

        sent = send_files(files, stage, wire=Wire(how.wire), on_progress=show)
    if how.waits and sent.last_sequence_numbers:
        wait_with_bar(stage, sent.last_sequence_numbers)
    return {
        "stream": stage.stream_name,
        "counters": asdict(sent.counters),
        "last_sequence_numbers": {shard: str(number) for shard, number in sent.last_sequence_numbers.items()},
    }


def _backfill(files: "FileReadings", stage: "Stage", *, now_ms: int) -> dict[str, Any]:
    from windrow_operations.ingesting import backfill_files

    with progress_bar("backfilling", total=None, unit="windows") as bar:
        done = backfill_files(files, stage, now_ms=now_ms, on_progress=lambda n, total: bar.reached(n, total=total))
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
