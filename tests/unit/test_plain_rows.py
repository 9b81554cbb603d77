"""Rows as plain values: the same as those of the frame, whatever their type, and without pandas."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from analytics.frames import plain_rows
from analytics.plain import Instant, PlainRows, joined
from analytics.query import Query
from analytics.relation import PAGE_ROWS, frames_of_sql, plain_rows_of_sql
from analytics.tables import TABLES
from analytics.types import duckdb_type, trino_type_of_duckdb
from tests.unit.stored_results import StoredResults, some_humidities, some_readings

VALUES = [
    "true",
    "1::TINYINT",
    "2::SMALLINT",
    "-3",
    "9007199254740993",
    "1::UBIGINT",
    "7::HUGEINT",
    "1.5::FLOAT",
    "'NaN'::FLOAT",
    "0.1::DOUBLE",
    "'NaN'::DOUBLE",
    "'-Infinity'::DOUBLE",
    "21.437::DECIMAL(10, 3)",
    "-0.001::DECIMAL(15, 3)",
    "12345678901234567.25::DECIMAL(38, 2)",
    "'text'",
    "DATE '2026-11-20'",
    "TIMESTAMP '2026-11-20 10:05:00.123'",
    "TIMESTAMP '1969-12-31 23:59:59.9995'",
    "TIMESTAMP_NS '2026-11-20 10:05:00.123456789'",
    "TIMESTAMPTZ '2026-11-20 10:05:00+01:00'",
    "[1, NULL, 3]",
    "[7::BIGINT]",
    "['x', NULL]",
    "[1.5::DOUBLE]",
    "[[1], [2]]",
    "TIME '10:00:00'",
    "{'a': 1}",
]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as opened:
        opened.execute("SET TimeZone = 'UTC'")
        yield opened


def typed(rows: PlainRows) -> list[tuple[str, list[tuple[type, str]]]]:
    """Names, and values with their types; 1, 1.0 and True are equal in Python."""
    return [
        (name, [(type(value), repr(value)) for value in column])
        for name, column in zip(rows.names, rows.columns, strict=True)
    ]


@pytest.mark.parametrize("value", VALUES)
def test_a_value_is_that_of_the_frame(connection: duckdb.DuckDBPyConnection, value: str) -> None:
    """Of every type, with NULL beside it; times in milliseconds, NaN as nothing, decimals as exact as they fit."""
    sql = f"SELECT {value} AS v UNION ALL SELECT NULL"
    (plain,) = plain_rows_of_sql(connection, sql, {})
    (frame,) = frames_of_sql(connection, sql, {})
    assert typed(plain) == typed(plain_rows(frame))
    assert len(plain) == 2
    assert plain.columns[0][1] is None


def test_names_that_repeat_are_numbered(connection: duckdb.DuckDBPyConnection) -> None:
    """As in a frame."""
    (plain,) = plain_rows_of_sql(connection, "SELECT 1 AS a, 2 AS b, 3 AS a", {})
    (frame,) = frames_of_sql(connection, "SELECT 1 AS a, 2 AS b, 3 AS a", {})
    assert list(plain.names) == ["a", "b", "a_1"] == list(frame.columns)


def test_an_instant_is_told_from_a_number(connection: duckdb.DuckDBPyConnection) -> None:
    """Or a time would be printed as one."""
    (plain,) = plain_rows_of_sql(connection, "SELECT TIMESTAMP '1970-01-01 00:00:01' AS t, 1000 AS n", {})
    assert [type(column[0]) for column in plain.columns] == [Instant, int]


@pytest.mark.slow
def test_pages_are_bounded_and_an_empty_answer_is_one(connection: duckdb.DuckDBPyConnection) -> None:
    """Nothing is lost between pages; without rows there are still the names."""
    pages = list(plain_rows_of_sql(connection, f"SELECT range AS x FROM range({PAGE_ROWS + 1})", {}))
    assert [len(page) for page in pages] == [PAGE_ROWS, 1]
    assert joined(pages).columns == [list(range(PAGE_ROWS + 1))]
    (empty,) = plain_rows_of_sql(connection, "SELECT 1 AS x WHERE false", {})
    assert (list(empty.names), len(empty)) == (["x"], 0)


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES)
def test_whole_tables_are_the_same_either_way(tmp_path: Path, table: str) -> None:
    """As the engine hands them out, with what it says of the query."""
    stored = StoredResults(tmp_path)
    stored.store([*some_readings(), *some_humidities()])
    question = Query(f"SELECT * FROM {table}")
    (plain,), (framed,) = stored.engine.plain_pages(question), stored.engine.pages(question)
    assert typed(plain.rows) == typed(plain_rows(framed.frame))
    assert (plain.engine, plain.bytes_scanned) == (framed.engine, framed.bytes_scanned)


def test_duckdb_knows_the_types_of_all_columns(connection: duckdb.DuckDBPyConnection) -> None:
    """What a view declares comes back as the type that Trino has there."""
    for table in TABLES.values():
        for name, kind in table.columns:
            (described,) = connection.sql(f"SELECT NULL::{duckdb_type(kind)}").types
            back = trino_type_of_duckdb(str(described))
            expected = kind if not kind.startswith("array") else f"{kind[6:-1]}[]"
            assert back == expected, (table.name, name)
