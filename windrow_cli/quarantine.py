"""`windrow quarantine list|show`: payloads that did not count, why, and their bytes."""

import base64
import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from windrow.disarm import for_terminal
from windrow.timestamps import format_rfc3339
from windrow_cli.choices import OneOf
from windrow_cli.console import err, out
from windrow_cli.formats import csv_text
from windrow_cli.progress import waiting
from windrow_cli.search import search_of, search_options
from windrow_cli.stage import clock_ms, open_stage, stage_option

if TYPE_CHECKING:
    from windrow.lake.quarantine import QuarantinedPayload
    from windrow.lake.quarantine_search import QuarantineSearch
    from windrow.stage import Stage

# Bytes of a payload that a table shows; --format json has all of them.
_SHOWN_BYTES_MAX = 400
_FORMATS = OneOf(["table", "csv", "json"])


@click.group()
def quarantine() -> None:
    """List and show payloads that did not count.

    Redelivery may leave a payload in several objects; here each counts once.

    \b
    windrow quarantine list
    windrow quarantine show --reason not_json --limit 3
    """


@quarantine.command("list")
@search_options
@click.option("--format", "form", type=_FORMATS, default="table", show_default=True)
@stage_option
def list_command(
    *, start: str | None, end: str | None, reasons: tuple[str, ...], shard: str | None, form: str, stage_name: str
) -> None:
    """Count the payloads in quarantine, by reason and shard.

    \b
    windrow quarantine list
    windrow quarantine list --from -1d --reason too_late --format json
    """
    search = search_of(start, end, reasons, shard, now_ms=clock_ms())
    stage = open_stage(stage_name)
    with waiting("reading quarantine"):
        rows = [tally.row() for tally in tallies(_payloads(stage, search))]
    _print(rows, form, columns=_TALLY_COLUMNS)
    err.print(f"{sum(row['payloads'] for row in rows):,} payloads")


@quarantine.command("show")
@search_options
@click.option("--sequence-number", metavar="NUMBER", help="Only payloads of this record.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The most to show.")
@click.option("--format", "form", type=_FORMATS, default="table", show_default=True)
@stage_option
def show_command(
    *,
    start: str | None,
    end: str | None,
    reasons: tuple[str, ...],
    shard: str | None,
    sequence_number: str | None,
    limit: int,
    form: str,
    stage_name: str,
) -> None:
    """Show payloads in quarantine: where they came from, why they did not count, and their bytes.

    Bytes that are not printable text are escaped, so a payload cannot harm your terminal. JSON and CSV have the whole
    payload, as base64.

    \b
    windrow quarantine show --reason not_json --limit 3
    windrow quarantine show --shard shardId-000000000003 --sequence-number 4965... --format json
    """
    search = search_of(start, end, reasons, shard, now_ms=clock_ms())
    stage = open_stage(stage_name)
    with waiting("reading quarantine"):
        found = (one for one in _payloads(stage, search) if sequence_number in (None, one.sequence_number))
        chosen = [one for one, _ in zip(found, range(limit + 1), strict=False)]
    if form == "table":
        for one in chosen[:limit]:
            out.print(described(one), markup=False)
    else:
        _print([_row(one) for one in chosen[:limit]], form, columns=_PAYLOAD_COLUMNS)
    if len(chosen) > limit:
        err.print(f"there are more than {limit:,}: raise --limit, or narrow the search")


@dataclass(slots=True)
class Tally:
    """The number of payloads of one reason and shard, and the arrival of the first and the last."""

    reason: str
    stream: str
    shard: str
    payloads: int = 0
    first_ms: int | None = None
    last_ms: int | None = None

    def add(self, one: "QuarantinedPayload") -> None:
        """Count one payload."""
        self.payloads += 1
        if one.arrival_ms is not None:
            self.first_ms = one.arrival_ms if self.first_ms is None else min(self.first_ms, one.arrival_ms)
            self.last_ms = one.arrival_ms if self.last_ms is None else max(self.last_ms, one.arrival_ms)

    def row(self) -> dict[str, Any]:
        """Return the tally as it is printed."""
        values = (self.reason, self.stream, self.shard, self.payloads, _time(self.first_ms), _time(self.last_ms))
        return dict(zip(_TALLY_COLUMNS, values, strict=True))


_TALLY_COLUMNS = ("reason", "stream", "shard", "payloads", "first_arrival", "last_arrival")
_PAYLOAD_COLUMNS = (
    "stream",
    "shard",
    "sequence_number",
    "index",
    "block_row",
    "arrival_time",
    "reason",
    "detail",
    "payload_bytes",
    "payload_base64",
)


def tallies(payloads: Iterable["QuarantinedPayload"]) -> list[Tally]:
    """Count per reason and shard; the largest first."""
    by_kind: dict[tuple[str, str, str], Tally] = {}
    for one in payloads:
        kind = (one.reason.value, one.stream, one.shard)
        by_kind.setdefault(kind, Tally(*kind)).add(one)
    return sorted(by_kind.values(), key=lambda tally: (-tally.payloads, tally.reason, tally.stream, tally.shard))


def described(one: "QuarantinedPayload") -> str:
    """Describe a payload for people, in three lines."""
    row = "" if one.block_row is None else f", row {one.block_row:,} of its block"
    where = f"{one.stream} {one.shard} {one.sequence_number}, index {one.index:,}{row}"
    arrived = _time(one.arrival_ms) or "unknown"
    shown = _escaped(one.payload[:_SHOWN_BYTES_MAX])
    more = f" ... ({len(one.payload):,} bytes in all)" if len(one.payload) > _SHOWN_BYTES_MAX else ""
    return f"{where}, arrived {arrived}\n  {one.reason.value}: {for_terminal(one.detail)}\n  {shown}{more}"


def _payloads(stage: "Stage", search: "QuarantineSearch") -> Iterator["QuarantinedPayload"]:
    from windrow.lake import quarantine_search

    return quarantine_search.payloads(stage.lake, search)


def _row(one: "QuarantinedPayload") -> dict[str, Any]:
    values = (
        one.stream,
        one.shard,
        one.sequence_number,
        one.index,
        one.block_row,
        _time(one.arrival_ms),
        one.reason.value,
        one.detail,
        len(one.payload),
        base64.b64encode(one.payload).decode("ascii"),
    )
    return dict(zip(_PAYLOAD_COLUMNS, values, strict=True))


def _time(instant_ms: int | None) -> str | None:
    return None if instant_ms is None else format_rfc3339(instant_ms)


def _escaped(payload: bytes) -> str:
    """Return printable text as it is, and everything else as in a Python literal."""
    try:
        return for_terminal(payload.decode())
    except UnicodeDecodeError:
        return repr(payload)[2:-1]


def _as_csv(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: csv_text(value) for name, value in row.items()} for row in rows)
    return text.getvalue().removesuffix("\n")


def _as_json(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:  # noqa: ARG001 - rows name their columns
    return "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]" if rows else "[]"


def _as_table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    cells = [
        tuple(columns),
        *(tuple("" if row[name] is None else for_terminal(str(row[name])) for name in columns) for row in rows),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)
    return "\n".join(line.rstrip() for line in lines)


_FORMATTERS: dict[str, Callable[[Sequence[dict[str, Any]], Sequence[str]], str]] = {
    "table": _as_table,
    "csv": _as_csv,
    "json": _as_json,
}


def _print(rows: Sequence[dict[str, Any]], form: str, *, columns: Sequence[str]) -> None:
    click.echo(_FORMATTERS[form](rows, columns))
