"""Means and deviations: the views in the template, the local engine and plain Python agree."""

import json
import math
import statistics
from fractions import Fraction
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from analytics.derived import KINETIC_COLUMNS, SENSOR_COLUMNS, SERIES_COLUMNS, VIEWS, columns_of, view_sql
from analytics.query import Query
from infra import template
from tests.unit.stored_results import (
    HUMIDITY,
    SENSORS,
    START_MS,
    WINDOWS,
    StoredResults,
    some_humidities,
    some_readings,
)
from windrow.reading import Reading
from windrow.window import WINDOW_MS

INPUTS = {
    one["Properties"]["TableInput"]["Name"]: one["Properties"]["TableInput"]
    for one in template.load()["Resources"].values()
    if one["Type"] == "AWS::Glue::Table"
}


@pytest.mark.parametrize("view", VIEWS)
def test_template_declares_the_view_as_it_is_spelled_here(view: str) -> None:
    """One definition: the SQL, the columns and their types."""
    body = INPUTS[view]["ViewOriginalText"]["Fn::Sub"][1]["View"]["Fn::Base64"]["Fn::Sub"]
    document = json.loads(body)
    assert " ".join(document["originalSql"].split()) == view_sql(view)
    assert [(one["name"], one["type"]) for one in document["columns"]] == [
        (name, kind) for name, kind, _ in columns_of(view)
    ]


@pytest.fixture
def stored(tmp_path: Path) -> StoredResults:
    results = StoredResults(tmp_path / "cache")
    results.store(some_readings())
    results.results.calls.clear()
    return results


@pytest.mark.slow
def test_numbers_are_those_of_the_readings(stored: StoredResults) -> None:
    """Against the standard library, over the values themselves."""
    frame = stored.engine.run(Query("SELECT * FROM sensors_5m ORDER BY window_start, sensor_id")).frame
    assert list(frame.columns) == [name for name, _, _ in SENSOR_COLUMNS]
    for row in frame.to_dict("records"):
        start_ms = round(row["window_start"].timestamp() * 1000)
        values = [
            Fraction(one.value_milli, 1000)
            for one in some_readings()
            if one.sensor_id == row["sensor_id"] and 0 <= one.event_time_ms - start_ms < WINDOW_MS
        ]
        assert row["mean_c"] == pytest.approx(float(statistics.mean(values)), rel=1e-12)
        assert row["sd_population_c"] == pytest.approx(math.sqrt(statistics.pvariance(values)), rel=1e-12)
        assert row["sd_sample_c"] == pytest.approx(math.sqrt(statistics.variance(values)), rel=1e-12)
        assert Fraction(str(row["range_c"])) == max(values) - min(values)


@pytest.mark.slow
def test_conditions_reach_the_objects_below_the_view(stored: StoredResults) -> None:
    """A view is no reason to fetch everything: one window asked for is one object fetched."""
    sql = "SELECT v.sensor_id, mean_c FROM sensors_5m v WHERE dt = '2026-11-20' AND window_start = TIMESTAMP '{}'"
    rows = stored.engine.run(Query(sql.format("2026-11-20 23:50:00"))).frame
    assert len(rows) == 3
    assert stored.results.calls["get"] == 1


@pytest.mark.slow
def test_the_views_of_series_have_every_quantity(stored: StoredResults) -> None:
    """Those of sensors have the temperatures, as if there were nothing else."""
    before = stored.engine.run(Query("SELECT * FROM sensors_5m ORDER BY window_start, sensor_id")).frame
    stored.store([*some_readings(), *some_humidities()])
    frame = stored.engine.run(Query("SELECT * FROM series_5m")).frame
    assert list(frame.columns) == [name for name, _, _ in SERIES_COLUMNS]
    assert frame.groupby(["quantity", "unit"]).size().to_dict() == {("humidity", "%"): 8, ("temperature", "C"): 12}
    again = stored.engine.run(Query("SELECT * FROM sensors_5m ORDER BY window_start, sensor_id")).frame
    pd.testing.assert_frame_equal(again, before)


def test_a_name_of_the_query_itself_is_not_the_view(stored: StoredResults) -> None:
    """WITH comes first, as everywhere in SQL."""
    frame = stored.engine.run(Query("WITH sensors_5m AS (SELECT 7 AS x) SELECT x FROM sensors_5m")).frame
    assert frame["x"].tolist() == [7]


def test_views_of_hours_and_days_can_be_asked_and_joined(stored: StoredResults) -> None:
    """They have the same columns; a stage without hours gives no rows."""
    sql = "SELECT h.mean_c, d.mean_c AS of_day FROM sensors_1h h JOIN sensors_1d d ON h.sensor_id = d.sensor_id"
    assert stored.engine.run(Query(sql)).frame.empty


@pytest.mark.slow
def test_mean_kinetic_temperature_is_that_of_the_formula(stored: StoredResults) -> None:
    """By day and sensor, over its windows, against plain Python and a value that was worked out by hand."""
    frame = stored.engine.run(Query("SELECT * FROM kinetic_1d ORDER BY dt, sensor_id")).frame
    assert list(frame.columns) == [name for name, _, _ in KINETIC_COLUMNS]
    assert len(frame) == 2 * len(SENSORS)
    rows = stored.engine.run(Query("SELECT * FROM sensors_5m")).frame
    for row in frame.to_dict("records"):
        windows = rows[(rows["dt"] == row["dt"]) & (rows["sensor_id"] == row["sensor_id"])].to_dict("records")
        kelvins = [(one["time_weighted_mean_c"] + 273.15, one["covered_ms"]) for one in windows]
        covered_ms = sum(weight for _, weight in kelvins)
        damage = sum(weight * math.exp(-83.144 / (8.3144e-3 * kelvin)) for kelvin, weight in kelvins) / covered_ms
        assert row["mean_kinetic_c"] == pytest.approx(83.144 / 8.3144e-3 / -math.log(damage) - 273.15, abs=1e-9)
        assert (row["windows"], row["covered_ms"]) == (len(windows), covered_ms)
        assert row["mean_kinetic_c"] > row["time_weighted_mean_c"]
        assert (row["min_c"], row["max_c"]) == (min(w["min_c"] for w in windows), max(w["max_c"] for w in windows))


@pytest.mark.slow
def test_mean_kinetic_temperature_of_two_equal_halves(tmp_path: Path) -> None:
    """20 and 30 °C for equally long: 26.3 °C; temperatures alone count, and windows that hold a value."""
    results = StoredResults(tmp_path / "cache")
    warm = [Reading("a", START_MS + window * WINDOW_MS, 0, 20_000 + 10_000 * window) for window in range(2)]
    results.store([*warm, Reading("a", START_MS, 0, 99_000, HUMIDITY)])
    (row,) = results.engine.run(Query("SELECT * FROM kinetic_1d WHERE dt = '2026-11-20'")).frame.to_dict("records")
    expected = 10_000 / -math.log((math.exp(-10_000 / 293.15) + math.exp(-10_000 / 303.15)) / 2) - 273.15
    assert row["mean_kinetic_c"] == pytest.approx(expected, abs=1e-9)
    assert row["mean_kinetic_c"] == pytest.approx(26.3, abs=0.05)
    assert row["time_weighted_mean_c"] == 25.0


@pytest.mark.slow
def test_a_condition_on_the_day_reaches_the_objects_below_the_groups(stored: StoredResults) -> None:
    """Of two days one is read."""
    assert len(stored.engine.run(Query("SELECT * FROM kinetic_1d WHERE dt = '2026-11-20'")).frame) == len(SENSORS)
    assert stored.results.calls["get"] == WINDOWS // 2


@pytest.mark.parametrize(
    ("sql", "gets"),
    [
        ("SELECT * FROM (SELECT dt, SUM(readings) AS n FROM aggregates GROUP BY dt) WHERE dt = '2026-11-20'", 2),
        ("SELECT * FROM (SELECT dt AS d, SUM(readings) AS n FROM aggregates GROUP BY dt) WHERE d > '2026-11-20'", 2),
        (
            "SELECT * FROM (SELECT dt, COUNT(*) AS n FROM aggregates GROUP BY dt) WHERE dt = '2026-11-20' OR n = 1",
            4,
        ),
        ("SELECT * FROM (SELECT MIN(dt) AS dt FROM aggregates GROUP BY sensor_id) WHERE dt = '2026-11-21'", 4),
        ("SELECT * FROM (SELECT dt, 1 AS n FROM aggregates GROUP BY ROLLUP (dt)) WHERE dt = '2026-11-20'", 4),
        (
            "SELECT * FROM (SELECT dt, RANK() OVER (ORDER BY dt) AS n FROM aggregates GROUP BY dt)"
            " WHERE dt = '2026-11-21'",
            4,
        ),
        ("SELECT * FROM (SELECT dt FROM aggregates GROUP BY dt ORDER BY dt LIMIT 1) WHERE dt = '2026-11-21'", 4),
        (
            "WITH d AS (SELECT dt, COUNT(*) AS n FROM aggregates GROUP BY dt)"
            " SELECT a.n, b.n AS m FROM d a CROSS JOIN d b WHERE a.dt = '2026-11-20'",
            4,
        ),
        (
            "SELECT k.dt FROM (SELECT dt, COUNT(*) AS n FROM aggregates GROUP BY dt) k"
            " LEFT JOIN (SELECT dt, COUNT(*) AS n FROM aggregates GROUP BY dt) o ON k.dt = o.dt"
            " WHERE k.dt = '2026-11-20'",
            4,
        ),
    ],
)
def test_conditions_on_groups_change_what_is_read_and_never_the_answer(
    stored: StoredResults, sql: str, gets: int
) -> None:
    """Only where whole groups fall away; the answer is that of the tables in DuckDB alone."""
    found = stored.engine.run(Query(sql)).frame.to_dict("records")
    assert stored.results.calls["get"] == gets
    everything = stored.engine.run(Query("SELECT * FROM aggregates")).frame
    with duckdb.connect() as database:
        database.register("aggregates", everything)
        expected = database.execute(sql).df().to_dict("records")
    assert sorted(found, key=str) == sorted(expected, key=str)
