"""A file as readings: what was understood of it, its readings in batches, and the rows that are left out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

from producers.files.csv_form import check_annotated, csv_form, is_annotated
from producers.files.json_table import JsonTable
from producers.files.opening import OpenedFile
from producers.files.options import FileFormat, FileOptions
from producers.files.roles import FileNames, Roles, roles_of
from producers.files.rows import FileBatch, QuantityReadings, read_batch
from producers.files.table import Table, TableBatch, UnreadableRow, csv_table, parquet_table
from windrow.columns.arrays import Int64s
from windrow.errors import WindrowError
from windrow.quantities import split_series
from windrow.reading import Readings
from windrow.wire.json.some import read_some
from windrow.wire.json.strict import parse_readings

_SNIFFED_OCTETS = 1 << 18


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
        units: Mapping[str, str] = {}
        table: Table
        match self.file.file_format:
            case FileFormat.PARQUET:
                table = parquet_table(self.file)
            case FileFormat.CSV:
                with self.file.path.open(encoding="utf-8", errors="replace", newline="") as text:
                    head = text.read(_SNIFFED_OCTETS)
                    if is_annotated(head):
                        text.seek(0)
                        check_annotated(text, name=self.file.name)
                form = csv_form(
                    head,
                    name=self.file.name,
                    delimiter=self.options.delimiter,
                    skipped_lines=self.options.skipped_lines,
                    has_decimal_comma=self.options.has_decimal_comma,
                )
                table, comma, remarks = csv_table(self.file, form), form.has_decimal_comma, remarks + form.remarks
                units = form.units
            case _:
                table = JsonTable(self.file.name, self.file.path, self.file.file_format is FileFormat.JSON)
        samples = table.samples()
        if not any(samples.values()):
            raise _no_rows(self.file.name, table)
        if comma:
            samples = {name: [text.replace(",", ".") for text in texts] for name, texts in samples.items()}
            remarks = (*remarks, "numbers have a decimal comma (--decimal-comma)")
        names = FileNames(self.file.name, self.file.stem, self.file.folder)
        roles = roles_of(samples, self.options, names, instant_columns=table.instant_columns, units=units)
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
        columns += [(one,) for one in roles.value_columns]
        named = roles.named_values.quantity_column if roles.named_values else None
        others = (roles.sensor_column, roles.sequence_column, roles.unit_column, named)
        columns += [(one,) for one in others if one]
        columns += [(column,) for column, _ in filters]
        columns = list(dict.fromkeys(columns))
        self.unreadable.clear()
        if isinstance(self.table, JsonTable) and self._are_payloads:
            yield from self._payload_batches(self.table, columns)
            return
        for batch in self.table.batches(columns, self.unreadable):
            if self._understood[3]:
                _with_points(batch, roles.value_columns)
            yield read_batch(batch, roles, filters)

    @property
    def _are_payloads(self) -> bool:
        """Whether rows of JSON are read as they are in the stream: with its names of fields, and nothing said."""
        roles, said = self.roles, self.options
        names = (roles.sensor_column, roles.time_columns, [one.column for one in roles.series])
        return (
            names == ("sensor_id", ("event_time",), ["temperature"])
            and roles.unit_column in {None, "unit"}
            and roles.sequence_column in {None, "sequence"}
            and not (said.filters or said.missing or said.unit or said.minimum or said.maximum or said.time_format)
        )

    def _payload_batches(self, table: JsonTable, columns: list[tuple[str, ...]]) -> Iterator[FileBatch]:
        """Yield rows by the fast reader of the stream's payloads; batches in which it refuses one, by their columns."""
        for first, payloads in table.payload_batches():
            parsed = parse_readings(payloads, read_some=read_some)
            if parsed.bad:
                batch = table.batch_of(first, payloads, columns, self.unreadable)
                yield read_batch(batch, self.roles, self.options.filters)
                continue
            yield FileBatch(len(payloads), _by_quantity(parsed.readings, parsed.source + first), (), 0, 0)


def _by_quantity(readings: Readings, rows: Int64s) -> tuple[QuantityReadings, ...]:
    """Set readings of different quantities apart, each with the rows it came from: int64[n]."""
    parts = split_series(readings.sensor_ids)
    readings = replace(readings, sensor_ids=parts.sensor_ids)
    if len(parts.quantities) == 1:
        return (QuantityReadings(parts.quantities[0].name, parts.quantities[0].unit, readings, rows),)
    kind = parts.kind[readings.sensor]
    return tuple(
        QuantityReadings(one.name, one.unit, readings.take(kind == number), rows[kind == number])
        for number, one in enumerate(parts.quantities)
    )


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


def _with_points(batch: TableBatch, names: Sequence[str]) -> None:
    """Turn the commas of these columns into points, in place."""
    for name in names:
        octets = batch.columns[name].octets
        octets[octets == ord(",")] = ord(".")
