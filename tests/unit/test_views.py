"""The views and named queries of the template, run on rows of our own codecs."""

import datetime
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import sqlglot

from analytics.tables import AGGREGATES, AGGREGATES_1D, AGGREGATES_1H
from analytics.types import duckdb_type
from tests.template_views import QUERIES, VIEWS, document
from windrow.lake import layout
from windrow.lake.layout import Origin, PartialKey
from windrow.quantities import MILLI_MAX, MILLI_MIN, Quantity
from windrow.reading import Reading, Readings
from windrow.rows.partial import partials_of
from windrow.rows.partial_parquet import DeliveryCounts, encode_partial
from windrow.window import WINDOW_MS, Window

# Presto's name of a type -> Glue's, and what DuckDB calls it.
TYPES = {
    "varchar": ("string", "VARCHAR"),
    "integer": ("int", "INTEGER"),
    "bigint": ("bigint", "BIGINT"),
    "double": ("double", "DOUBLE"),
    "boolean": ("boolean", "BOOLEAN"),
    "timestamp(3)": ("timestamp", "TIMESTAMP"),
    "decimal(10,3)": ("decimal(10,3)", "DECIMAL(10,3)"),
}
AGGREGATES_HERE = (
    "dt, hour, window_start, sensor_id, quantity, unit, readings, sum_milli, min_milli, max_milli, last_milli,"
    " last_time, conflicts"
)
TODAY = datetime.datetime.now(datetime.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
OPEN = Window(int(TODAY.timestamp() * 1000))
CLOSED = Window(OPEN.start_ms - WINDOW_MS)


def sql_here(sql: str) -> str:
    """The same question in DuckDB's dialect."""
    return sqlglot.transpile(sql, read="trino", write="duckdb")[0]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Two sensors in a closed window and an open one; partials of both, one of them delivered twice in other cuts."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table in (AGGREGATES, AGGREGATES_1H, AGGREGATES_1D):
            columns = ", ".join(f"{column} {duckdb_type(kind)}" for column, kind in table.columns)
            connection.execute(f"CREATE TABLE {table.name} ({columns})")
        connection.execute(
            "CREATE TABLE aggregates_flink AS SELECT * EXCLUDE (conflicts) FROM aggregates"
        )  # no row yet
        connection.execute(
            "CREATE TABLE windows (dt VARCHAR, hour INTEGER, window_start TIMESTAMP, readings BIGINT, sensors BIGINT,"
            " sensors_expected BIGINT, completeness DOUBLE, silent BIGINT, late BIGINT, quarantined BIGINT,"
            " duplicates_removed BIGINT, revision INTEGER, is_final BOOLEAN)"
        )
        for number, window in enumerate((Window(CLOSED.start_ms - WINDOW_MS), CLOSED)):
            dt, start = day_of(window), instant(window.start_ms)
            for sensor, quantity, unit, milli in (
                ("a", "temperature", "C", 20_000 - number),
                ("a", "humidity", "%", 55_000),  # no view of temperatures may see it
                ("b", "temperature", "C", 30_000 + number),
            ):
                row = [dt, 0, start, sensor, quantity, unit, 2, 2 * milli, milli, milli, milli, start, 0]
                connection.execute(
                    f"INSERT INTO aggregates ({AGGREGATES_HERE}) VALUES ({', '.join('?' * len(row))})", row
                )
            row = [dt, 0, start, 4, 2 - number, 2, 1 - number / 2, 0, 0, 0, 0, 1, False]
            connection.execute(f"INSERT INTO windows VALUES ({', '.join('?' * len(row))})", row)
        write_partials(tmp_path)
        connection.execute(
            'CREATE VIEW partials AS SELECT *, filename AS "$path" FROM'
            f" read_parquet('{tmp_path}/**/*.parquet', union_by_name = true, hive_partitioning = true,"
            " hive_types = {'dt': VARCHAR}, filename = true)"
        )
        for name, view in VIEWS.items():
            connection.execute(f"CREATE VIEW {name} AS {sql_here(document(view)['originalSql'])}")
        yield connection


def write_partials(folder: Path) -> None:
    """As they lie in the lake: two of the open window that overlap, one named as by version 0.1; one of the closed."""
    first = Reading("a", OPEN.start_ms + 5, 0, 1_000)
    second = Reading("a", OPEN.start_ms + 9, 3, 2_500)
    # Two steps of which the first does not fit into 32 bits, and wraps around.
    wide = [
        Reading("a", OPEN.start_ms + ms, 0, milli, Quantity("pressure", "Pa"))
        for ms, milli in ((5, MILLI_MIN), (6, MILLI_MAX), (7, -1))
    ]
    cuts = (
        [*wide, first, second, Reading("b", OPEN.start_ms, 0, -500)],
        [second, Reading("b", OPEN.start_ms, 0, -400)],
        [Reading("c", CLOSED.start_ms, 0, 1)],
    )
    for number, cut in enumerate(cuts):
        (partial,) = partials_of(Readings.of(cut))
        origin = Origin(stream="s", shard="shardId-000000000000", first=number, last=number)
        key = PartialKey(window=partial.window, origin=origin, digest=partial.digest, is_in_folder=number == 1)
        path = folder / str(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_partial(partial, DeliveryCounts()))


def day_of(window: Window) -> str:
    """Its partition."""
    return layout.day_prefix("", window.start_ms)[3:-1]


def instant(ms: int) -> datetime.datetime:
    """UTC, without a zone."""
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC).replace(tzinfo=None)


@pytest.mark.slow
@pytest.mark.parametrize("name", VIEWS)
def test_view_has_the_columns_it_declares(name: str, database: duckdb.DuckDBPyConnection) -> None:
    """Presto's document, Glue's columns and what the SQL gives agree in names, order and types."""
    declared = [(one["name"], one["type"]) for one in document(VIEWS[name])["columns"]]
    in_glue = [(one["Name"], one["Type"]) for one in VIEWS[name]["StorageDescriptor"]["Columns"]]
    assert in_glue == [(column, TYPES[kind][0]) for column, kind in declared]
    given = database.execute(f"DESCRIBE {name}").fetchall()
    assert [row[0] for row in given] == [column for column, _ in declared]
    # DuckDB counts and sums into wider types than Trino; the ones that it shares with it are compared.
    for (_, kind), row in zip(declared, given, strict=True):
        assert row[1] in {TYPES[kind][1], "HUGEINT", "BIGINT"}, (name, row)


@pytest.mark.parametrize("name", VIEWS)
def test_view_is_of_the_stages_database(name: str) -> None:
    """Its tables are looked up in the stage's own schema."""
    found = document(VIEWS[name])
    assert (found["catalog"], found["schema"]) == ("awsdatacatalog", "windrow_dev")


@pytest.mark.parametrize("name", VIEWS)
def test_trino_recognizes_the_view(name: str) -> None:
    """The table's comment is `Presto View`; a Description would replace it, and Trino would not find the view.

    ``TrinoViewUtil.isView`` compares the parameter ``comment``, and ``GlueConverter.fromGlueTable`` overwrites it with
    the table's Description, if any.
    """
    view = VIEWS[name]
    assert "Description" not in view, "describe views in docs/query.md"
    assert view["Parameters"] == {"presto_view": "true", "comment": "Presto View"}
    assert view["ViewExpandedText"] == "/* Presto View */"


@pytest.mark.slow
def test_latest_is_the_newest_row_of_each_sensor(database: duckdb.DuckDBPyConnection) -> None:
    """One row a sensor."""
    found = database.execute("SELECT sensor_id, CAST(last_c AS DOUBLE), window_start FROM latest ORDER BY 1").fetchall()
    assert found == [("a", 19.999, instant(CLOSED.start_ms)), ("b", 30.001, instant(CLOSED.start_ms))]


def test_hottest_counts_places_from_the_top(database: duckdb.DuckDBPyConnection) -> None:
    """The highest reading of each sensor."""
    found = database.execute("SELECT place, sensor_id, CAST(max_c AS DOUBLE) FROM hottest ORDER BY place").fetchall()
    assert found == [(1, "b", 30.001), (2, "a", 20.0)]


def test_fleet_by_hour_weighs_every_reading_alike(database: duckdb.DuckDBPyConnection) -> None:
    """All sensors and windows of an hour in one row."""
    (row,) = database.execute("SELECT sensors, readings, mean_c FROM fleet_by_hour").fetchall()
    assert row == (2, 8, pytest.approx(25.0))


def test_completeness_is_what_the_lineage_says(database: duckdb.DuckDBPyConnection) -> None:
    """One of the two sensors that were expected is half."""
    asked = "SELECT sensors, sensors_expected, completeness FROM completeness ORDER BY window_start"
    assert database.execute(asked).fetchall() == [(2, 2, 1.0), (1, 2, 0.5)]


def test_open_readings_are_those_of_open_windows_each_once(database: duckdb.DuckDBPyConnection) -> None:
    """Times, sequences and values come out of the steps; of two values under one identity the greater one counts."""
    found = database.execute(
        "SELECT sensor_id, event_time, sequence, CAST(value AS DOUBLE), quantity, unit FROM open_readings"
        " ORDER BY quantity DESC, 1, 2"
    ).fetchall()
    assert {row[4:] for row in found[:3]} == {("temperature", "C")}
    assert [row[3:] for row in found[3:]] == [
        (-2_147_483.648, "pressure", "Pa"),
        (2_147_483.647, "pressure", "Pa"),
        (-0.001, "pressure", "Pa"),
    ]
    assert [row[:4] for row in found[:3]] == [
        ("a", instant(OPEN.start_ms + 5), 0, 1.0),
        ("a", instant(OPEN.start_ms + 9), 3, 2.5),
        ("b", instant(OPEN.start_ms), 0, -0.4),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", QUERIES)
def test_saved_query_runs(name: str, database: duckdb.DuckDBPyConnection) -> None:
    """It names views and columns that exist."""
    database.execute(sql_here(QUERIES[name]))
