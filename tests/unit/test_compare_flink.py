"""The view compare_flink, by DuckDB: each row of windrow's and of Flink's, with what one says of the other."""

from collections.abc import Iterator

import duckdb
import pytest
import sqlglot

from analytics.tables import AGGREGATES
from analytics.types import duckdb_type
from tests.template_views import VIEWS, document

ROW = {
    "dt": "2026-11-20",
    "hour": 10,
    "window_start": "2026-11-20 10:05:00",
    "sensor_id": "a",
    "quantity": "temperature",
    "unit": "C",
    **{name: 7 for name, _ in AGGREGATES.own_columns if name.endswith(("milli", "milli2", "_ms"))},
    "first_time": "2026-11-20 10:05:01",
    "last_time": "2026-11-20 10:09:01",
    "readings": 2,
    "histogram_bins": [1, 2],
    "histogram_counts": [1, 1],
}
OTHER = {
    name: [1, 3] if isinstance(value, list) else value + 1 if isinstance(value, int) else value.replace(":0", ":1")
    for name, value in ROW.items()
    if name not in {"dt", "hour", "window_start", "sensor_id", "quantity", "unit"}
}


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """Both tables, empty, and the view."""
    with duckdb.connect() as connection:
        columns = ", ".join(f"{column} {duckdb_type(kind)}" for column, kind in AGGREGATES.columns)
        connection.execute(f"CREATE TABLE aggregates ({columns})")
        connection.execute("CREATE TABLE aggregates_flink AS SELECT * EXCLUDE (conflicts) FROM aggregates")
        sql = document(VIEWS["compare_flink"])["originalSql"]
        connection.execute(f"CREATE VIEW compare_flink AS {sqlglot.transpile(sql, read='trino', write='duckdb')[0]}")
        yield connection


def _insert(database: duckdb.DuckDBPyConnection, table: str, **changed: object) -> None:
    row = ROW | changed
    places = ", ".join("?" * len(row))
    database.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", list(row.values()))


def _compared(database: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    return database.execute(
        "SELECT verdict, differs, readings, flink_readings, CAST(flink_rows AS INTEGER) FROM compare_flink ORDER BY ALL"
    ).fetchall()


def test_equal_rows_are_equal(database: duckdb.DuckDBPyConnection) -> None:
    """Every column but conflicts, which Flink does not have; one key is one row of the view."""
    for sensor in ("a", "b"):
        _insert(database, "aggregates", sensor_id=sensor, conflicts=3)
        _insert(database, "aggregates_flink", sensor_id=sensor)
    assert _compared(database) == 2 * [("equal", "", 2, 2, 1)]


@pytest.mark.parametrize("column", OTHER)
def test_a_column_that_differs_is_named(column: str, database: duckdb.DuckDBPyConnection) -> None:
    """Whichever it is, and no other."""
    _insert(database, "aggregates")
    _insert(database, "aggregates_flink", **{column: OTHER[column]})
    (found,) = _compared(database)
    assert found[:2] == ("different", column)


def test_rows_that_only_one_has_are_told_apart(database: duckdb.DuckDBPyConnection) -> None:
    """By any part of the key: a row of another window, sensor, quantity or unit is another row."""
    _insert(database, "aggregates")
    for changed in ({"sensor_id": "b"}, {"quantity": "humidity"}, {"unit": "K"}, {"window_start": "2026-11-20 10:10"}):
        _insert(database, "aggregates_flink", **changed)
    assert _compared(database) == [*4 * [("only flink", "", None, 2, 1)], ("only windrow", "", 2, None, 0)]


def test_rows_that_a_restart_wrote_again_are_counted(database: duckdb.DuckDBPyConnection) -> None:
    """Two rows of one window are not taken for one, even if they are equal."""
    _insert(database, "aggregates")
    for _ in range(2):
        _insert(database, "aggregates_flink")
    assert _compared(database) == [("several in flink", "", 2, 2, 2)]
