"""The local engine: DuckDB runs the SQL that Athena gets over the same objects, for places without Athena.

Objects are fetched into a bounded cache, and only those that can meet the query's conditions on `dt`, `hour` and
`window_start`. DuckDB may read only that cache, may load no extensions, and has bounded memory.
"""

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb

from analytics.cache import ObjectCache
from analytics.macros import MACROS
from analytics.objects import TableObject, needed_objects
from analytics.prune import Scan, can_match
from analytics.query import Parameter, Query
from analytics.relation import frames_of_sql, plain_rows_of_sql
from analytics.result import ROWS_MAX, PlainResult, QueryProgress, Result, collect
from analytics.tables import TABLES, ExternalTable
from analytics.translations import translation_of
from analytics.types import duckdb_type
from windrow.errors import UsageError, WindrowError
from windrow.lake.store import ObjectStore
from windrow.quoting import quoted_name, quoted_text

MEMORY_BYTES_MAX = 2 * 1024**3

_Rows = TypeVar("_Rows")
_Read = Callable[[duckdb.DuckDBPyConnection, str, Mapping[str, object]], Iterator[_Rows]]


class LocalEngine:
    """Answers queries over the objects in two buckets; for one thread at a time."""

    name = "DuckDB on this machine"

    def __init__(
        self,
        *,
        lake: ObjectStore,
        results: ObjectStore,
        cache: ObjectCache,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read from the `lake` and `results` buckets through `cache`; `clock` returns seconds."""
        self._stores: dict[str, ObjectStore] = {"lake": lake, "results": results}
        self._cache = cache
        self._clock = clock

    def run(
        self,
        query: Query,
        *,
        rows_max: int | None = None,
        on_progress: Callable[[QueryProgress], None] = lambda _: None,
    ) -> Result:
        """Answer `query`; see analytics.result.Engine. `bytes_scanned` is the size of the objects that were needed."""
        limit = ROWS_MAX if rows_max is None else min(rows_max, ROWS_MAX)
        return collect(self.pages(query, on_progress=on_progress), limit=limit, is_asked_for=rows_max is not None)

    def pages(
        self, query: Query, *, on_progress: Callable[[QueryProgress], None] = lambda _: None
    ) -> Generator[Result, None, None]:
        """Answer `query` page by page; see analytics.result.Engine."""
        for frame, bytes_scanned, seconds in self._pages(query, frames_of_sql, on_progress):
            yield Result(frame, engine=self.name, bytes_scanned=bytes_scanned, seconds=seconds)

    def plain_pages(
        self, query: Query, *, on_progress: Callable[[QueryProgress], None] = lambda _: None
    ) -> Generator[PlainResult, None, None]:
        """Answer `query` page by page; see analytics.result.Engine."""
        for rows, bytes_scanned, seconds in self._pages(query, plain_rows_of_sql, on_progress):
            yield PlainResult(rows, engine=self.name, bytes_scanned=bytes_scanned, seconds=seconds)

    def _pages(
        self, query: Query, read: _Read[_Rows], on_progress: Callable[[QueryProgress], None]
    ) -> Generator[tuple[_Rows, int, float], None, None]:
        """Yield rows as `read` reads them, the bytes that the query needs, and the seconds so far."""
        started = self._clock()
        parameters = {f"p{place}": value for place, value in enumerate(query.parameters)}
        translated = translation_of(query)
        on_progress(QueryProgress("listing", self._clock() - started))
        needed = self._needed(translated.scans, parameters)
        bytes_scanned = sum(one.listed.size_bytes for _, _, one in needed)
        on_progress(QueryProgress("fetching", self._clock() - started, bytes_scanned))
        files = self._fetch({scan.table for scan in translated.scans}, needed)
        on_progress(QueryProgress("running", self._clock() - started, bytes_scanned))
        with _readable(query), self._connection(files) as connection:
            for rows in read(connection, translated.sql, parameters):
                yield rows, bytes_scanned, self._clock() - started

    def _needed(
        self, scanned: Iterable[Scan], parameters: Mapping[str, Parameter]
    ) -> list[tuple[ExternalTable, ObjectStore, TableObject]]:
        """Return the objects that the scans can need, each with its table and bucket."""
        by_table: defaultdict[str, list[Scan]] = defaultdict(list)
        for scan in scanned:
            by_table[scan.table].append(scan)

        def matches(scan: Scan, candidates: Sequence[tuple[str | int, ...]]) -> list[bool]:
            return can_match(scan, candidates, parameters, self._database)

        return [
            (table, store, one)
            for table, store in ((TABLES[name], self._stores[TABLES[name].bucket]) for name in by_table)
            for one in needed_objects(table, by_table[table.name], store, matches)
        ]

    def _fetch(
        self, tables: Iterable[str], needed: list[tuple[ExternalTable, ObjectStore, TableObject]]
    ) -> dict[str, list[Path]]:
        """Return the files of each of the `tables`."""
        files: dict[str, list[Path]] = {name: [] for name in tables}
        for (table, _, _), path in zip(needed, self._cache.fetch(needed), strict=True):
            if path is not None:
                files[table.name].append(path)
        return files

    @contextmanager
    def _connection(self, files: Mapping[str, Iterable[Path]]) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a connection of its own with a view for each table in `files`, which no other connection has."""
        with self._database.cursor() as connection:
            for name, paths in files.items():
                connection.execute(_view(TABLES[name], list(paths)))
            yield connection

    @functools.cached_property
    def _database(self) -> duckdb.DuckDBPyConnection:
        """An empty database, locked down before it sees any of the user's SQL; made once, because that takes 40 ms."""
        database = duckdb.connect(":memory:", config=_CONFIGURATION)
        database.execute("SET GLOBAL TimeZone = 'UTC'")
        database.execute("SET enable_progress_bar = false")  # it would be drawn on standard output
        database.execute(f"SET allowed_directories = [{quoted_text(self._cache.folder)}]")
        database.execute("SET enable_external_access = false")
        database.execute("SET lock_configuration = true")
        for macro in MACROS:
            database.execute(macro)
        return database


_CONFIGURATION: dict[str, str | bool | int | float | list[str]] = {
    "allow_extension_repositories": "forbidden",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "memory_limit": f"{MEMORY_BYTES_MAX}B",
    "temp_directory": "",  # nothing spills to disk; a query that does not fit into memory fails
}


def _view(table: ExternalTable, files: list[Path]) -> str:
    """Return the SQL of the view of `table` over `files`, if any, with every column in its declared type."""
    columns = [(quoted_name(name), duckdb_type(trino_type)) for name, trino_type in table.columns]
    # The empty relation adds columns that are in no file: `partials` leaves out sequences that are all zero.
    rows = f"SELECT {', '.join(f'NULL::{kind} AS {name}' for name, kind in columns)} WHERE false"
    if files:
        rows += f" UNION ALL BY NAME SELECT * FROM {_reader(table, files)}"  # noqa: S608 - our own names
    typed = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in columns)
    return f"CREATE TEMP VIEW {quoted_name(table.name)} AS SELECT {typed} FROM ({rows})"  # noqa: S608 - our own names


def _reader(table: ExternalTable, files: list[Path]) -> str:
    listed = f"[{', '.join(map(quoted_text, files))}]"
    hive = "hive_partitioning = true, hive_types = {dt: VARCHAR, hour: INTEGER}"
    if table.suffix == ".parquet":
        return f"read_parquet({listed}, union_by_name = true, {hive})"
    columns = ", ".join(f"{quoted_name(name)}: {quoted_text(duckdb_type(kind))}" for name, kind in table.own_columns)
    return f"read_json({listed}, format = 'newline_delimited', columns = {{{columns}}}, {hive})"


@contextmanager
def _readable(query: Query) -> Iterator[None]:
    """Turn an exception of DuckDB into a one-line WindrowError, with DuckDB's suggestion as the hint."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        message = f"the query needs more than {MEMORY_BYTES_MAX // 1024**2} MiB of memory"
        raise WindrowError(message, hint="restrict its range, or aggregate more") from error
    except duckdb.Error as error:
        better = _explained(query) if isinstance(error, duckdb.BinderException) else None
        if better is not None:
            raise better from error
        first, *rest = str(error).splitlines() or [type(error).__name__]
        suggestions = [line for line in rest if line.startswith("Did you mean")]
        raise WindrowError(
            f"SQL: {first.partition(': ')[2] or first}", hint=(suggestions or ["correct the SQL"])[0]
        ) from error


def _explained(query: Query) -> UsageError | None:
    """Return the error for an unknown name in a query that DuckDB refused, with its position; None if unclear."""
    from analytics.select import parse_select  # noqa: PLC0415 - slow to import
    from analytics.translate import explain  # noqa: PLC0415 - slow to import

    return explain(parse_select(query))
