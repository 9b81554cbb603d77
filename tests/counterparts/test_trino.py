"""A real Trino, the engine of Athena, answers about a stage as the local engine does.

Where Athena runs another release than VERSION, only an account can tell the difference.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from analytics import presets
from analytics.derived import VIEWS as VIEWS_HERE
from analytics.engine import local_engine
from analytics.local import LocalEngine
from analytics.query import Query
from analytics.tables import TABLES
from tests.counterparts.conftest import FilledStage
from tests.counterparts.table import Counterpart
from tests.counterparts.trino_client import TrinoClient
from tests.counterparts.trino_server import ATHENA, FLAT, VERSION
from tests.template_views import QUERIES, VIEWS, document
from windrow.lake import layout
from windrow.lake.layout import AGGREGATES, AGGREGATES_FLINK, rows_key
from windrow.rows.partial_parquet import decode_partial
from windrow.stage import Stage
from windrow.window import WINDOW_MS, Window

COUNTERPART = Counterpart(
    "Trino, the engine of Athena", VERSION, "tables, views, presets, saved queries, against DuckDB"
)

Found = Callable[[str, object], None]
# A mean is a quotient of doubles in both engines; a sum of them may be taken in another order.
RELATIVE_ERROR_MAX = 1e-12
PRESETS = {
    "fleet": presets.fleet,
    "fleet by hour": lambda time_range: presets.fleet(time_range, window="1h"),
    "sensors": presets.sensors,
    "sensor": lambda time_range: presets.sensor("site-01/sensor-000001", time_range),
    "latest": presets.latest,
    "hottest": lambda time_range: presets.hottest(time_range, sensors=3),
    "completeness": presets.completeness,
    "silences": presets.silences,
    "fleet of humidities": lambda time_range: presets.fleet(time_range, quantity="humidity"),
    "hottest of humidities": lambda time_range: presets.hottest(time_range, sensors=3, quantity="humidity"),
}


@pytest.fixture(scope="session")
def trino(filled: FilledStage, trino_url: str) -> TrinoClient:
    """Trino as Athena is set up."""
    return TrinoClient(trino_url, schema=filled.stage.database, catalog=ATHENA)


@pytest.fixture(scope="session")
def here(filled: FilledStage) -> LocalEngine:
    """DuckDB over the same buckets."""
    return local_engine(filled.stage, home=filled.home)


def test_trino_lists_every_table_and_view(filled: FilledStage, trino: TrinoClient) -> None:
    """And nothing else but the table of Flink's rows."""
    found = {row[0] for row in trino.sql("SHOW TABLES").rows}
    assert found == {*TABLES, *VIEWS, "aggregates_flink"}


@pytest.mark.parametrize("catalog", [ATHENA, FLAT])
@pytest.mark.parametrize("table", TABLES)
def test_table_has_the_same_rows(
    filled: FilledStage, trino_url: str, here: LocalEngine, table: str, catalog: str, record_property: Found
) -> None:
    """Every column of every row, whether the engine descends into the folders of a partition or not."""
    trino = TrinoClient(trino_url, schema=filled.stage.database, catalog=catalog)
    query = Query(f"SELECT * FROM {table} WHERE dt >= '{_first_day(filled)}'")
    expected = here.run(query).frame
    assert_same_rows(trino.run(query).frame(), expected)
    if catalog == ATHENA:
        record_property("found", f"{table} {len(expected):,} rows")


@pytest.mark.parametrize("view", sorted(VIEWS_HERE))
def test_view_has_the_same_rows(
    filled: FilledStage, trino: TrinoClient, here: LocalEngine, view: str, record_property: Found
) -> None:
    """The views that the local engine has, too."""
    query = Query(f"SELECT * FROM {view} WHERE dt >= '{_first_day(filled)}'")
    expected = here.run(query).frame
    assert_same_rows(trino.run(query).frame(), expected)
    record_property("found", f"{view} {len(expected):,} rows")


@pytest.mark.parametrize("view", sorted(VIEWS.keys() - VIEWS_HERE.keys() - {"open_readings", "compare_flink"}))
def test_view_has_the_rows_of_its_sql(trino: TrinoClient, here: LocalEngine, view: str) -> None:
    """The others give what their SQL gives in the local engine."""
    expected = here.run(Query(document(VIEWS[view])["originalSql"])).frame
    assert_same_rows(trino.sql(f"SELECT * FROM {view}").frame(), expected)


def test_open_readings_are_those_of_the_partials(filled: FilledStage, trino: TrinoClient) -> None:
    """Each reading of a window without a lineage once; of two values under one identity the greater one counts."""
    expected = _open_readings(filled)
    assert expected
    answer = trino.sql(
        "SELECT sensor_id, quantity, unit, to_unixtime(event_time) * 1000, sequence, CAST(value * 1000 AS INTEGER)"
        " FROM open_readings"
    )
    found = {(*series, round(time_ms), sequence): milli for *series, time_ms, sequence, milli in answer.rows}
    assert len(found) == len(answer.rows)
    assert found == expected


def test_compare_flink_tells_each_row_of_both(filled: FilledStage, trino: TrinoClient) -> None:
    """Of a window's rows, written once more without `conflicts` as Flink does: one changed, one missing, one twice."""
    dt, window = _first_day(filled), rows_key(Window(filled.time_range.end_ms - WINDOW_MS))
    table = pyarrow.parquet.read_table(io.BytesIO(_body(filled.stage, window))).drop_columns(["conflicts"])
    place = table.column_names.index("covered_ms")
    changed = [table["covered_ms"][0].as_py() + 1, *table["covered_ms"].to_pylist()[1:]]
    table = table.set_column(place, table.schema.field(place), pyarrow.array(changed, table.schema.field(place).type))
    for name, part in (("part-0", table.slice(0, len(table) - 1)), ("part-1", table.slice(1, 1))):
        body = io.BytesIO()
        pyarrow.parquet.write_table(part, body)
        folder = window.rpartition("/")[0].replace(AGGREGATES, AGGREGATES_FLINK, 1)
        filled.stage.results.put(f"{folder}/{name}", body.getvalue())
    rows = trino.sql(
        f"SELECT verdict, differs, COUNT(*) FROM compare_flink WHERE dt >= '{dt}' AND window_start ="
        f" (SELECT MAX(window_start) FROM aggregates WHERE dt >= '{dt}') GROUP BY verdict, differs ORDER BY 1"
    ).rows
    assert rows == [
        ["different", "covered_ms", 1],
        ["equal", "", len(table) - 3],
        ["only windrow", "", 1],
        ["several in flink", "", 1],
    ]


def _body(stage: Stage, key: str) -> bytes:
    stored = stage.results.get(key)
    assert stored is not None
    return stored.body


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_has_the_same_rows(filled: FilledStage, trino: TrinoClient, here: LocalEngine, preset: str) -> None:
    """With parameters, and in the same order."""
    query = PRESETS[preset](filled.time_range)
    assert_same_rows(trino.run(query).frame(), here.run(query).frame, is_ordered=True)


@pytest.mark.parametrize("name", QUERIES)
def test_saved_query_is_answered(trino: TrinoClient, name: str) -> None:
    """It names views and columns that Trino knows."""
    assert trino.sql(QUERIES[name]).columns


def assert_same_rows(found: pd.DataFrame, expected: pd.DataFrame, *, is_ordered: bool = False) -> None:
    """Assert that there are rows and that they are equal in columns, types and values."""
    assert len(found) == len(expected) > 0
    if not is_ordered:
        found, expected = _sorted(found), _sorted(expected)
    with _whole_frames():
        pd.testing.assert_frame_equal(found, expected, rtol=RELATIVE_ERROR_MAX, atol=0)


def _sorted(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows in an order that their values alone determine."""
    keys: pd.Series[Any] = frame.map(repr).agg("|".join, axis=1)
    return frame.loc[keys.sort_values().index].reset_index(drop=True)


@contextmanager
def _whole_frames() -> Iterator[None]:
    """Show a difference with all its columns."""
    with pd.option_context("display.max_columns", None, "display.width", 200):
        yield


def _first_day(filled: FilledStage) -> str:
    return filled.time_range.first_partition[0]


def _open_readings(filled: FilledStage) -> dict[tuple[str | int, ...], int]:
    """Return (sensor id, quantity, unit, event time, sequence) -> value of the readings whose window has no lineage."""
    readings: dict[tuple[str | int, ...], int] = {}
    for listed in filled.stage.lake.list_objects(layout.PARTIALS):
        window = layout.parse_partial_key(listed.key).window
        if _is_rolled(filled, window):
            continue
        stored = filled.stage.lake.get(listed.key)
        assert stored is not None
        partial, _ = decode_partial(stored.body)
        for reading in partial.readings:
            series = (reading.sensor_id, reading.quantity.name, reading.quantity.unit)
            identity = (*series, reading.event_time_ms, reading.sequence)
            milli = reading.value_milli
            readings[identity] = max(milli, readings.get(identity, milli))
    return readings


def _is_rolled(filled: FilledStage, window: Window) -> bool:
    return filled.stage.results.get(layout.lineage_key(window)) is not None
