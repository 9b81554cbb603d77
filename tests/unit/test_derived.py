"""Means and deviations: the views in the template, the local engine and plain Python agree."""

import json
import math
import statistics
from fractions import Fraction
from pathlib import Path

import pandas as pd
import pytest

from analytics.derived import SENSOR_COLUMNS, SERIES_COLUMNS, VIEWS, columns_of, view_sql
from analytics.query import Query
from infra import template
from tests.unit.stored_results import StoredResults, some_humidities, some_readings
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
