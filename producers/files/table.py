"""Files as tables of texts, in batches: CSV and Parquet by DuckDB, JSON objects with their fields by path."""

import csv
import io
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from producers.files.csv_form import CsvForm
from producers.files.opening import OpenedFile
from producers.files.texts import ended_texts
from windrow.columns.arrow import strings_of
from windrow.columns.payloads import Payloads
from windrow.errors import UsageError
from windrow.quoting import quoted_name, quoted_text

if TYPE_CHECKING:
    import duckdb

BATCH_ROWS = 65_536
SAMPLE_ROWS = 1_000
_REJECTED_SHOWN = 100
_LINE_OCTETS_MAX = 1 << 20
_MEMORY = "256MB"  # of DuckDB, which otherwise keeps what it has read while there is room


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableRow:
    """A row whose fields cannot be told apart: where it is, why, and its own text; or `rows` of them without theirs."""

    where: str
    why: str
    text: str
    rows: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class TableBatch:
    """Some rows: the number of the first, from 1, how many, and columns as texts, empty where there is none.

    unreadable: positions of rows that have no fields, because they could not be read.
    """

    first: int
    rows: int
    columns: dict[str, Payloads]
    unreadable: tuple[int, ...] = ()


class Table(Protocol):
    """A file's rows."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        ...

    @property
    def instant_columns(self) -> frozenset[str]:
        """The columns that hold instants, and come as epoch milliseconds."""
        ...

    def samples(self) -> dict[str, list[str]]:
        """Return the first rows, SAMPLE_ROWS at most, by column."""
        ...

    def batches(self, columns: Sequence[tuple[str, ...]], unreadable: list[UnreadableRow]) -> Iterator[TableBatch]:
        """Yield all rows that can be read; several names in one column are joined by a space, and named so."""
        ...

    def rows_as_text(self, numbers: Iterable[int]) -> dict[int, str]:
        """Return the rows with these numbers as their file has them, or nearly."""
        ...


def name_of(column: tuple[str, ...]) -> str:
    """Return what a column of `batches` is called."""
    return " ".join(column)


@dataclass(frozen=True)
class DuckDbTable:
    """A table that DuckDB reads. `source` is SQL; `expressions` gives each column as text."""

    name: str
    source: str
    expressions: dict[str, str]
    delimiter: str = ","
    instant_columns: frozenset[str] = frozenset()
    rejects: str | None = None
    cut_lines: int = 0
    _connection: list["duckdb.DuckDBPyConnection"] = field(default_factory=list, repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(self.expressions)

    def samples(self) -> dict[str, list[str]]:
        """Return the first rows by column."""
        sql = f"SELECT {', '.join(self.expressions.values())} FROM {self.source} LIMIT {SAMPLE_ROWS}"  # noqa: S608 - quoted names
        with self._connected() as connection:
            rows = connection.execute(sql).fetchall()
        columns = zip(*rows, strict=True) if rows else ((),) * len(self.expressions)
        return dict(zip(self.expressions, ([text or "" for text in column] for column in columns), strict=True))

    def batches(self, columns: Sequence[tuple[str, ...]], unreadable: list[UnreadableRow]) -> Iterator[TableBatch]:
        """Yield all rows that can be read."""
        from arro3.core import RecordBatchReader  # noqa: PLC0415 - beside DuckDB, which is slow to import

        named = [" || ' ' || ".join(f"coalesce({self.expressions[one]}, '')" for one in column) for column in columns]
        cells = ", ".join(f"{text} || chr(10) AS c{number}" for number, text in enumerate(named))
        first = 1
        with self._connected() as connection:
            relation = connection.sql(f"SELECT {cells} FROM {self.source}")  # noqa: S608 - quoted names
            for batch in RecordBatchReader.from_arrow(relation):
                texts = [ended_texts(strings_of(batch.column(number))) for number in range(len(columns))]
                yield TableBatch(first, batch.num_rows, dict(zip(map(name_of, columns), texts, strict=True)))
                first += batch.num_rows
            if self.rejects:
                unreadable += _rejected(connection, self.rejects, cut_lines=self.cut_lines)

    def rows_as_text(self, numbers: Iterable[int]) -> dict[int, str]:
        """Return these rows, their fields joined as the file joins them."""
        wanted = sorted(set(numbers))
        if not wanted:
            return {}
        cells = ", ".join(f"coalesce({text}, '')" for text in self.expressions.values())
        numbered = f"SELECT row_number() OVER () AS n, {cells} FROM {self.source}"  # noqa: S608 - quoted names
        sql = f"SELECT * FROM ({numbered}) WHERE n IN ({', '.join(map(str, wanted))}) LIMIT {len(wanted)}"  # noqa: S608 - numbers
        with self._connected() as connection:
            return {row[0]: _joined(row[1:], self.delimiter) for row in connection.execute(sql).fetchall()}

    @contextmanager
    def _connected(self) -> Iterator["duckdb.DuckDBPyConnection"]:
        import duckdb  # noqa: PLC0415 - slow to import

        with duckdb.connect(config={"threads": 1, "memory_limit": _MEMORY}) as connection:
            try:
                yield connection
            except duckdb.Error as error:
                raise UsageError(f"{self.name} cannot be read: {' '.join(str(error).split())[:300]}") from error


def csv_table(file: OpenedFile, form: CsvForm) -> DuckDbTable:
    """Return the table of a CSV file. Fields have no spaces around them; rows of another width are unreadable."""
    columns = ", ".join(f"{quoted_text(f'c{number}')}: 'VARCHAR'" for number in range(len(form.names)))
    is_copied = form.header_lines > 1 or form.fields < len(form.names)
    options = {
        "delim": quoted_text(form.delimiter),
        "quote": "'\"'",
        "escape": "'\"'",
        "header": "false",
        "skip": "0" if is_copied else "1",
        "auto_detect": "false",
        "columns": f"{{{columns}}}",
        "null_padding": "false",
        "strict_mode": "true",
        "store_rejects": "true",
        "max_line_size": str(_LINE_OCTETS_MAX),
    }
    if form.has_comments:
        options["comment"] = "'#'"
    path = _body(file, form) if is_copied else file.path
    source = f"read_csv({quoted_text(path)}, {', '.join(f'{name} = {value}' for name, value in options.items())})"
    return DuckDbTable(
        name=file.name,
        source=source,
        expressions={name: f"trim(c{number}, ' \t')" for number, name in enumerate(form.names)},
        delimiter=form.delimiter,
        rejects="reject_errors",
        cut_lines=form.header_lines if is_copied else 0,
    )


def parquet_table(file: OpenedFile) -> DuckDbTable:
    """Return the table of a Parquet file: floats as the shortest decimals that mean them, instants floored to ms."""
    source = f"read_parquet({quoted_text(file.path)})"
    bare = DuckDbTable(name=file.name, source=source, expressions={})
    with bare._connected() as connection:  # noqa: SLF001 - its own kind
        kinds = {row[0]: row[1] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}  # noqa: S608 - quoted
    instants = frozenset(name for name, kind in kinds.items() if kind == "TIMESTAMP WITH TIME ZONE")
    expressions = {name: f"{quoted_name(name)}::VARCHAR" for name in kinds}
    for name in instants:
        micros = f"epoch_us({quoted_name(name)})"
        expressions[name] = f"(({micros} - ({micros} % 1000 + 1000) % 1000) // 1000)::VARCHAR"
    return DuckDbTable(name=file.name, source=source, expressions=expressions, instant_columns=instants)


def _body(file: OpenedFile, form: CsvForm) -> Path:
    """Copy what follows the header; DuckDB counts neither blank lines nor comments when it skips.

    Lines with the fields that most rows have get the last ones, empty, if there are fewer than names.
    """
    missing = form.delimiter.encode() * (len(form.names) - form.fields)
    with file.path.open("rb") as source, file.scratch.open("wb") as body:
        for _ in range(form.header_lines):
            source.readline()
        if not missing:
            shutil.copyfileobj(source, body)
            return file.scratch
        for line in source:
            bare = line.rstrip(b"\r\n")
            row = next(csv.reader([bare.decode("utf-8", "replace")], delimiter=form.delimiter), [])
            body.write(bare + (missing if len(row) == form.fields else b"") + b"\n")
    return file.scratch


def _rejected(connection: "duckdb.DuckDBPyConnection", table: str, *, cut_lines: int) -> list[UnreadableRow]:
    distinct = f"SELECT line, any_value(error_message), any_value(csv_line) FROM {table} GROUP BY line ORDER BY line"  # noqa: S608 - our own name
    found = connection.execute(f"{distinct} LIMIT {_REJECTED_SHOWN}").fetchall()
    rows = [
        UnreadableRow(where=f"line {line + cut_lines}", why=_width_message(why), text=text) for line, why, text in found
    ]
    if len(found) == _REJECTED_SHOWN:
        (count,) = connection.execute(f"SELECT count(DISTINCT line) FROM {table}").fetchall()[0]  # noqa: S608 - our own name
        if count > len(found):
            rows.append(UnreadableRow(where="later lines", why="likewise", text="", rows=count - len(found)))
    return rows


def _width_message(message: str) -> str:
    """Return DuckDB's `Expected Number of Columns: 3 Found: 4` in our words; other messages as they are."""
    words = message.split()
    if message.startswith("Expected Number of Columns") and words[-1].isdigit():
        return f"{words[-1]} fields, and the header has {words[4]}"
    return " ".join(words)[:160]


def _joined(fields: Sequence[str], delimiter: str) -> str:
    line = io.StringIO()
    csv.writer(line, delimiter=delimiter, lineterminator="").writerow(fields)
    return line.getvalue()
