"""A file as readings: what was understood of it, its readings in batches, and the rows that are left out."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Protocol

import numpy as np

from producers.files.csv_form import csv_form
from producers.files.json_table import JsonTable
from producers.files.opening import OpenedFile
from producers.files.options import FileFormat, FileOptions
from producers.files.roles import FileNames, Roles, roles_of
from producers.files.series import Series
from producers.files.table import Table, TableBatch, UnreadableRow, csv_table, name_of, parquet_table
from producers.files.texts import each_once, strings_of_texts
from producers.files.times import parse_times
from producers.files.values import parse_values
from windrow.columns.arrays import Int64s, Mask
from windrow.columns.strings import Strings
from windrow.errors import UsageError, WindrowError
from windrow.reading import BadReading, Readings, Reason, are_sensor_ids, check_sensor_id, check_sequence
from windrow.wire.payloads import Payloads

_SNIFFED_OCTETS = 1 << 18


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that is no reading, or a cell of it: the row's number in its file, the reason, the detail for people."""

    row: int
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, eq=False)
class QuantityReadings:
    """Readings of one quantity, and the row of its file that each came from: int64[n]."""

    quantity: str
    unit: str
    readings: Readings
    rows: Int64s


@dataclass(frozen=True, slots=True, eq=False)
class FileBatch:
    """What some rows of a file are. filtered: rows that a filter left out; missing: cells without a value."""

    rows: int
    found: tuple[QuantityReadings, ...]
    left_out: tuple[LeftOut, ...]
    filtered: int
    missing: int


class Recording(Protocol):
    """A file whose rows are readings, or are left out for a reason; it can be read more than once."""

    @property
    def file(self) -> OpenedFile:
        """The file."""
        ...

    @property
    def table(self) -> Table:
        """Its rows as texts."""
        ...

    @property
    def guesses(self) -> tuple[str, ...]:
        """What nobody said about it, for people."""
        ...

    @property
    def has_sequences(self) -> bool:
        """Whether its readings have sequences of their own."""
        ...

    @property
    def unreadable(self) -> list[UnreadableRow]:
        """The rows that could not be read when its batches were last read."""
        ...

    def batches(self) -> Iterator[FileBatch]:
        """Yield what all rows are, in order."""
        ...


@dataclass(frozen=True)
class FileRecording:
    """A file that is understood. `unreadable` is filled while its batches are read, each time anew."""

    file: OpenedFile
    options: FileOptions
    unreadable: list[UnreadableRow] = field(default_factory=list)

    @cached_property
    def _understood(self) -> tuple[Table, Roles, tuple[str, ...], bool]:
        comma, remarks = False, self.file.remarks
        table: Table
        match self.file.file_format:
            case FileFormat.PARQUET:
                table = parquet_table(self.file)
            case FileFormat.CSV:
                with self.file.path.open(encoding="utf-8", errors="replace", newline="") as text:
                    head = text.read(_SNIFFED_OCTETS)
                form = csv_form(
                    head,
                    name=self.file.name,
                    delimiter=self.options.delimiter,
                    skipped_lines=self.options.skipped_lines,
                    has_decimal_comma=self.options.has_decimal_comma,
                )
                table, comma, remarks = csv_table(self.file, form), form.has_decimal_comma, remarks + form.remarks
            case _:
                table = JsonTable(self.file.name, self.file.path, self.file.file_format is FileFormat.JSON)
        samples = table.samples()
        if not any(samples.values()):
            raise _no_rows(self.file.name, table)
        if comma:
            samples = {name: [text.replace(",", ".") for text in texts] for name, texts in samples.items()}
            remarks = (*remarks, "numbers have a decimal comma (--decimal-comma)")
        names = FileNames(self.file.name, self.file.stem, self.file.folder)
        roles = roles_of(samples, self.options, names, instant_columns=table.instant_columns)
        return table, roles, remarks, comma

    @property
    def table(self) -> Table:
        """The file as a table of texts."""
        return self._understood[0]

    @property
    def roles(self) -> Roles:
        """What the columns are; UsageError if that must be said first."""
        return self._understood[1]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was sniffed about the file's form and is not plain, for people."""
        return self._understood[2]

    @property
    def guesses(self) -> tuple[str, ...]:
        """What nobody said: about the form, then about the columns."""
        return (*self.remarks, *self.roles.guesses)

    @property
    def has_sequences(self) -> bool:
        """Whether a column holds sequences."""
        return self.roles.sequence_column is not None

    def batches(self) -> Iterator[FileBatch]:
        """Yield what all rows are, in order."""
        roles, filters = self.roles, self.options.filters
        columns: list[tuple[str, ...]] = [roles.time_columns]
        columns += [(one.column,) for one in roles.series]
        columns += [(one,) for one in (roles.sensor_column, roles.sequence_column, roles.unit_column) if one]
        columns += [(column,) for column, _ in filters]
        self.unreadable.clear()
        for batch in self.table.batches(list(dict.fromkeys(columns)), self.unreadable):
            if self._understood[3]:
                _with_points(batch, [one.column for one in roles.series])
            yield _read(batch, roles, filters)


def _no_rows(name: str, table: Table) -> WindrowError:
    """Return the error for a file without a single row that can be read, with the first that cannot."""
    unreadable: list[UnreadableRow] = []
    for _ in table.batches([(one,) for one in table.names[:1] or ("any",)], unreadable):
        pass
    if not unreadable:
        return WindrowError(f"{name} has no rows, so nothing is sent")
    count, one = sum(one.rows for one in unreadable), unreadable[0]
    return WindrowError(
        f"{name}: none of {count:,} rows can be read, so nothing is sent; {one.where}: {one.why}: {one.text[:80]}",
        hint="--delimiter, --skip-lines; a decimal comma between commas needs quotes",
    )


def _with_points(batch: TableBatch, names: list[str]) -> None:
    """Turn the commas of these columns into points, in place."""
    for name in names:
        octets = batch.columns[name].octets
        octets[octets == ord(",")] = ord(".")


def _read(batch: TableBatch, roles: Roles, filters: tuple[tuple[str, str], ...]) -> FileBatch:
    chosen = np.ones(batch.rows, bool)
    for column, glob in filters:
        chosen &= _matching(batch.columns[column], glob)
    chosen[list(batch.unreadable)] = True
    filtered = int(np.count_nonzero(~chosen))
    chosen[list(batch.unreadable)] = False
    why: dict[int, tuple[Reason, str]] = {}
    instants, is_time, bad_times = parse_times(batch.columns[name_of(roles.time_columns)], roles.time_form)
    ids, place, bad_ids = _sensors(batch, roles)
    sequences, bad_sequences = _sequences(batch, roles)
    for some in (bad_sequences, bad_ids, {row: (Reason.EVENT_TIME, text) for row, text in bad_times.items()}):
        why |= some
    is_sound = chosen & is_time
    is_sound[list(why)] = False
    units = batch.columns[roles.unit_column] if roles.unit_column else None
    has_value, refused, missing = np.zeros(batch.rows, bool), np.zeros(batch.rows, bool), 0
    left_out = [LeftOut(batch.first + row, *why[row]) for row in sorted(why) if chosen[row]]
    found: list[QuantityReadings] = []
    for one in roles.series:
        values, is_value, others = parse_values(batch.columns[one.column], one.quantity, units)
        kept = is_sound & is_value
        has_value |= kept
        for row, cell in others.items():
            if not is_sound[row]:
                continue
            if cell.is_missing:
                missing += 1
                continue
            refused[row] = True
            name = f"{one.column}: " if len(roles.series) > 1 else ""
            left_out.append(LeftOut(batch.first + row, cell.reason, name + cell.detail))
        found.append(
            _quantity_readings(one, np.flatnonzero(kept), ids, place, instants, sequences, values, batch.first)
        )
    empty = np.flatnonzero(is_sound & ~has_value & ~refused) + batch.first
    left_out += [LeftOut(row, Reason.MISSING_VALUE, "no value") for row in empty.tolist()]
    return FileBatch(batch.rows, tuple(found), tuple(left_out), filtered, missing)


def _quantity_readings(
    series: Series,
    rows: Int64s,
    ids: Strings,
    place: Int64s,
    instants: Int64s,
    sequences: Int64s,
    values: Int64s,
    first: int,
) -> QuantityReadings:
    named = Strings.of(f"{one}/{series.label}" for one in ids.to_list()) if series.label else ids
    readings = Readings(
        named,
        place[rows].astype(np.int32),
        instants[rows],
        sequences[rows],
        values[rows].astype(np.int32),
    )
    return QuantityReadings(series.quantity.name, series.quantity.unit, readings, rows + first)


def _sensors(batch: TableBatch, roles: Roles) -> tuple[Strings, Int64s, dict[int, tuple[Reason, str]]]:
    """Return the distinct ids, each row's place among them, and why some rows have none."""
    if roles.sensor_column is None:
        check = _id_reason(roles.sensor_id)
        if check:
            raise UsageError(f"--sensor-id {roles.sensor_id!r}: {check}")
        return Strings.of([roles.sensor_id]), np.zeros(batch.rows, np.int64), {}
    distinct, place = strings_of_texts(batch.columns[roles.sensor_column]).rank()
    is_id = are_sensor_ids(distinct) & distinct.are_utf8()
    bad: dict[int, tuple[Reason, str]] = {}
    if not is_id.all():
        for row in np.flatnonzero(~is_id[place]).tolist():
            text = distinct.octets_at(int(place[row])).decode("utf-8", "replace")
            bad[row] = (Reason.SENSOR_ID, _id_reason(text) or "not UTF-8")
        kept = np.flatnonzero(is_id)
        places = np.zeros(len(is_id), np.int64)
        places[kept] = np.arange(len(kept))
        distinct, place = distinct.take(kept), places[place]
    return distinct, place, bad


def _id_reason(sensor_id: str) -> str:
    try:
        check_sensor_id(sensor_id)
    except BadReading as error:
        return error.detail
    return ""


def _sequences(batch: TableBatch, roles: Roles) -> tuple[Int64s, dict[int, tuple[Reason, str]]]:
    if roles.sequence_column is None:
        return np.zeros(batch.rows, np.int64), {}
    texts = batch.columns[roles.sequence_column]
    sequences, bad = np.zeros(batch.rows, np.int64), {}
    for row, found in enumerate(each_once(texts, np.arange(batch.rows), _sequence)):
        if isinstance(found, str):
            bad[row] = (Reason.SEQUENCE, found)
        else:
            sequences[row] = found
    return sequences, bad


def _sequence(text: str) -> int | str:
    cell = text.strip()
    if not cell:
        return 0
    whole, _, fraction = cell.partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) < 20 and not fraction.strip("0")):
        return f"{ascii(cell)[:40]} is no integer from 0 to 2^63-1"
    try:
        check_sequence(int(whole))
    except BadReading as error:
        return error.detail
    return int(whole)


def _matching(texts: Payloads, glob: str) -> Mask:
    distinct, place = strings_of_texts(texts).rank()
    matches = np.array([fnmatchcase(text, glob) for text in distinct.to_list()], bool)
    return matches[place] if len(matches) else np.zeros(0, bool)
