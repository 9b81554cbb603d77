"""Recordings of real sensors: files of JSON lines, CSV or Parquet, read in batches, as often as needed.

Every row becomes the JSON payload with the same meaning and goes through the strict reader, so recordings follow the
same rules as the stream.
"""

import csv
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path

from windrow.errors import UsageError
from windrow.quoting import quoted_name
from windrow.reading import Readings
from windrow.wire.json.strict import BadPayload, parse_readings

BATCH_ROWS = 20_000
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_PLAIN_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?", re.ASCII)


class FileFormat(StrEnum):
    """The format of a recording's file."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class TimeUnit(StrEnum):
    """The unit of a numeric time, which counts from 1970."""

    S = "s"
    MS = "ms"
    US = "us"
    NS = "ns"


_PER_MS = {
    TimeUnit.S: Decimal("0.001"),
    TimeUnit.MS: Decimal(1),
    TimeUnit.US: Decimal(1000),
    TimeUnit.NS: Decimal(10**6),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnNames:
    """The names and units of the columns of CSV and Parquet. Without `unit`, temperatures are in `unit_default`."""

    sensor: str = "sensor_id"
    time: str = "event_time"
    temperature: str = "temperature"
    sequence: str | None = None
    unit: str | None = None
    unit_default: str = "C"
    time_unit: TimeUnit = TimeUnit.MS

    @property
    def names(self) -> list[str]:
        """Return the columns that must exist, in the order of a row."""
        optional = [name for name in (self.sequence, self.unit) if name is not None]
        return [self.sensor, self.time, self.temperature, *optional]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is not a reading: its number in the recording, from 1, and the reason."""

    number: int
    why: str


@dataclass(frozen=True, slots=True)
class RecordingBatch:
    """Some rows of a recording."""

    readings: Readings
    bad: tuple[BadRow, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """A file of readings. Reading it raises UsageError if it does not have this format."""

    path: Path
    file_format: FileFormat
    columns: ColumnNames

    def batches(self) -> Iterator[RecordingBatch]:
        """Yield all rows, in order, in batches of at most BATCH_ROWS."""
        first = 1
        payloads = self._payloads()
        while chunk := list(itertools.islice(payloads, BATCH_ROWS)):
            parsed = parse_readings(chunk)
            yield RecordingBatch(parsed.readings, tuple(_bad_row(bad, first=first) for bad in parsed.bad))
            first += len(chunk)

    def _payloads(self) -> Iterator[bytes]:
        if self.file_format is FileFormat.JSONL:
            return _lines(self.path)
        if self.file_format is FileFormat.CSV:
            return (_payload(row, self.columns) for row in _csv_rows(self.path, self.columns))
        columns = replace(self.columns, time_unit=TimeUnit.MS)
        return (_payload(row, columns) for row in _parquet_rows(self.path, self.columns))


def format_of(path: Path) -> FileFormat:
    """Return the format for a file's extension; UsageError for an unknown one."""
    forms = {
        ".jsonl": FileFormat.JSONL,
        ".ndjson": FileFormat.JSONL,
        ".json": FileFormat.JSONL,
        ".csv": FileFormat.CSV,
        ".parquet": FileFormat.PARQUET,
    }
    form = forms.get(path.suffix.lower())
    if form is None:
        raise UsageError(
            f"{path}: the extension is not that of a known format", hint="name it: --input-format jsonl, csv or parquet"
        )
    return form


def _bad_row(bad: BadPayload, *, first: int) -> BadRow:
    return BadRow(first + bad.index, f"{bad.reason}: {bad.detail}")


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from (line.rstrip(b"\r\n") for line in file)


def _csv_rows(path: Path, columns: ColumnNames) -> Iterator[Mapping[str, str]]:
    with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
        reader = csv.DictReader(file)
        _check_names(path, reader.fieldnames or [], columns)
        yield from ({name: row[name] or "" for name in columns.names} for row in reader)


def _parquet_rows(path: Path, columns: ColumnNames) -> Iterator[Mapping[str, str]]:
    """Yield rows as text. Typed times become milliseconds; a float becomes the shortest decimal that round-trips."""
    import duckdb  # noqa: PLC0415 - slow to import, and only needed for Parquet

    with duckdb.connect() as connection:
        try:
            connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)])
        except duckdb.Error as error:
            raise UsageError(f"{path} cannot be read as Parquet: {' '.join(str(error).split())[:200]}") from error
        kinds = {row[0]: row[1] for row in connection.fetchall()}
        _check_names(path, kinds, columns)
        if kinds[columns.time] in {"TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S"}:
            raise UsageError(
                f"{path}: the times in {columns.time!r} have no time zone", hint="write them with one, or as numbers"
            )
        has_instants = kinds[columns.time] == "TIMESTAMP WITH TIME ZONE"
        unit = TimeUnit.US if has_instants else columns.time_unit
        spelled = {name: f"{quoted_name(name)}::VARCHAR" for name in columns.names}
        if has_instants:
            spelled[columns.time] = f"epoch_us({quoted_name(columns.time)})::VARCHAR"
        connection.execute(f"SELECT {', '.join(spelled.values())} FROM read_parquet(?)", [str(path)])  # noqa: S608 - quoted names
        while rows := connection.fetchmany(BATCH_ROWS):
            for row in rows:
                texts = dict(zip(spelled, ("" if value is None else value for value in row), strict=True))
                yield {**texts, columns.time: _in_ms(texts[columns.time], unit)}


def _check_names(path: Path, found: Iterable[str], columns: ColumnNames) -> None:
    there = list(found)
    missing = [name for name in columns.names if name not in there]
    if missing:
        message = f"{path} has no column {missing[0]!r}; it has: {', '.join(there[:20])}"
        raise UsageError(message, hint="name the columns: --sensor-column, --time-column, --temperature-column")


def _payload(row: Mapping[str, str], columns: ColumnNames) -> bytes:
    """Return a row as a JSON payload; a bad value stays bad, so the reader reports it."""
    time = row[columns.time].strip()
    fields = [
        f'"sensor_id":{json.dumps(row[columns.sensor])}',
        f'"event_time":{_json_time(time, columns.time_unit)}',
        f'"temperature":{_json_number(row[columns.temperature])}',
        f'"unit":{json.dumps(row[columns.unit].strip() if columns.unit else columns.unit_default)}',
    ]
    if columns.sequence is not None:
        fields.append(f'"sequence":{_json_number(row[columns.sequence])}')
    return ("{" + ",".join(fields) + "}").encode()


def _json_number(text: str) -> str:
    """Return the number in JSON's syntax, without a leading plus or a bare point; other text becomes a string."""
    number = text.strip().removeprefix("+")
    if number.startswith((".", "-.")):
        number = number.replace(".", "0.", 1)
    number = number.removesuffix(".")
    return number if _JSON_NUMBER.fullmatch(number) else json.dumps(text)


def _json_time(text: str, unit: TimeUnit) -> str:
    in_ms = _in_ms(text, unit)
    return in_ms if _JSON_NUMBER.fullmatch(in_ms) else json.dumps(in_ms)


def _in_ms(text: str, unit: TimeUnit) -> str:
    """Convert a number of `unit` to whole milliseconds, floored; return other text as it is."""
    if not _PLAIN_NUMBER.fullmatch(text):
        return text
    try:
        return str((Decimal(text) / _PER_MS[unit]).__floor__())
    except InvalidOperation:
        return text
