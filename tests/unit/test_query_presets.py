"""The presets against an independent computation in pandas, from the readings themselves."""

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from analytics import presets
from analytics.oracle import READING_COLUMNS, true_rows
from analytics.query import Query
from tests.unit.stored_results import (
    SENSORS,
    START_MS,
    WINDOWS,
    StoredResults,
    measured,
    some_humidities,
    some_readings,
)
from windrow.lake.layout import lineage_key
from windrow.quantities import Quantity
from windrow.reading import Reading
from windrow.rows.lineage import Lineage
from windrow.timerange import TimeRange
from windrow.window import WINDOW_MS, Window

ALL = TimeRange(START_MS, START_MS + WINDOWS * WINDOW_MS)
# Ends in the middle of the third window, and so still selects it.
PART = TimeRange(START_MS + WINDOW_MS, START_MS + 2 * WINDOW_MS + 60_000)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredResults:
    results = StoredResults(tmp_path_factory.mktemp("cache"))
    results.store([*some_readings(), *some_humidities()])
    return results


@pytest.fixture(scope="module")
def truth() -> pd.DataFrame:
    """Of the temperatures only: what presets are about unless they are told another quantity."""
    return rows_of(some_readings())


def rows_of(readings: list[Reading]) -> pd.DataFrame:
    rows = true_rows(pd.DataFrame([measured(one) for one in readings], columns=pd.Index(READING_COLUMNS)))
    rows["window_start"] = pd.to_datetime(rows["window_start"].astype("int64"), unit="ms", utc=True)
    rows["last_time"] = pd.to_datetime(rows["last_time"].astype("int64"), unit="ms", utc=True)
    return rows


def within(truth: pd.DataFrame, time_range: TimeRange) -> pd.DataFrame:
    starts = truth["window_start"]
    chosen = (starts >= pd.Timestamp(time_range.start_ms, unit="ms", tz="UTC")) & (
        starts < pd.Timestamp(time_range.end_ms, unit="ms", tz="UTC")
    )
    return truth[chosen].reset_index(drop=True)


def degrees(column: pd.Series) -> list[float]:
    return [value / 1000 for value in column]


@pytest.mark.parametrize("time_range", [ALL, PART])
def test_sensors_are_the_rows_in_degrees(stored: StoredResults, truth: pd.DataFrame, time_range: TimeRange) -> None:
    """One row per window and sensor of the range; what is exact in milli-degrees is exact in degrees."""
    frame, rows = stored.engine.run(presets.sensors(time_range)).frame, within(truth, time_range)
    assert frame["sensor_id"].tolist() == rows["sensor_id"].tolist()
    assert frame["window_start"].tolist() == rows["window_start"].tolist()
    assert frame["readings"].tolist() == rows["readings"].tolist()
    assert frame["mean_c"].tolist() == (rows["sum_milli"] / (1000 * rows["readings"])).tolist()
    for name in ("min", "p50", "p95", "max", "last"):
        assert frame[f"{name}_c"].tolist() == degrees(rows[f"{name}_milli"])


@pytest.mark.slow
@pytest.mark.parametrize("sensor_id", SENSORS)
def test_one_sensor_by_its_exact_id(stored: StoredResults, truth: pd.DataFrame, sensor_id: str) -> None:
    """Its rows alone, a quote in its id and all."""
    frame = stored.engine.run(presets.sensor(sensor_id, ALL)).frame
    rows = truth[truth["sensor_id"] == sensor_id]
    assert frame["max_c"].tolist() == degrees(rows["max_milli"])
    assert frame["time_weighted_mean_c"].tolist() == (
        (rows["integral_milli_ms"] / (1000 * rows["covered_ms"])).tolist()
    )


@pytest.mark.parametrize("time_range", [ALL, PART])
def test_fleet_weighs_every_reading_alike(stored: StoredResults, truth: pd.DataFrame, time_range: TimeRange) -> None:
    """One row per window: counts and extremes over its sensors, and the mean of its readings."""
    frame = stored.engine.run(presets.fleet(time_range)).frame
    groups = within(truth, time_range).groupby("window_start")
    assert frame["window_start"].tolist() == list(groups.groups)
    assert frame["sensors"].tolist() == groups.size().tolist()
    assert frame["readings"].tolist() == groups["readings"].sum().tolist()
    means = groups["sum_milli"].sum() / (1000 * groups["readings"].sum())
    assert frame["mean_c"].tolist() == means.tolist()
    assert frame["min_c"].tolist() == degrees(groups["min_milli"].min())
    assert frame["max_c"].tolist() == degrees(groups["max_milli"].max())


def test_latest_is_each_sensors_newest_row(stored: StoredResults, truth: pd.DataFrame) -> None:
    """The row of the last window of the range in which the sensor was heard."""
    frame = stored.engine.run(presets.latest(PART)).frame
    newest = within(truth, PART).groupby("sensor_id").tail(1).sort_values("sensor_id")
    assert frame["sensor_id"].tolist() == newest["sensor_id"].tolist()
    assert frame["last_time"].tolist() == newest["last_time"].tolist()
    assert frame["last_c"].tolist() == degrees(newest["last_milli"])


def test_hottest_ranks_sensors_by_their_peak(stored: StoredResults, truth: pd.DataFrame) -> None:
    """A sensor occurs once, with the window of its highest reading."""
    frame = stored.engine.run(presets.hottest(ALL, sensors=2)).frame
    ordered = truth.sort_values(["max_milli", "window_start"], ascending=[False, True])
    peaks = ordered.drop_duplicates("sensor_id").head(2)
    assert frame["place"].tolist() == [1, 2]
    assert frame["sensor_id"].tolist() == peaks["sensor_id"].tolist()
    assert frame["max_c"].tolist() == degrees(peaks["max_milli"])
    assert frame["window_start"].tolist() == peaks["window_start"].tolist()


def test_completeness_is_what_the_lineages_say(stored: StoredResults) -> None:
    """A row per window that was rolled, with how its readings came."""
    lineages = [
        Lineage(
            window=Window(START_MS + place * WINDOW_MS),
            fingerprint="f",
            digests=("d",),
            rows_sha256="r",
            result_etag="e",
            revision=1 + place,
            readings=90,
            sensors=3,
            conflicts=place,
            duplicates_removed=2 * place,
            late=3 * place,
            quarantined=4 * place,
            partials=1,
            shards=tuple(f"s-shardId-{number:012}" for number in range(place)),
            is_final=place == 0,
            scheduled_time_ms=START_MS + place,
        )
        for place in (0, 2, 3)
    ]
    for lineage in lineages:
        stored.results.put(lineage_key(lineage.window), lineage.to_json())
    frame = stored.engine.run(presets.completeness(ALL)).frame
    expected = pd.DataFrame([dataclasses.asdict(lineage) for lineage in lineages])
    names = ["sensors", "readings", "late", "duplicates_removed", "conflicts", "quarantined", "revision", "is_final"]
    for name in names:
        assert frame[name].tolist() == expected[name].tolist()
    assert frame["shards"].tolist() == expected["shards"].map(len).tolist()
    starts = pd.to_datetime([lineage.window.start_ms for lineage in lineages], unit="ms", utc=True)
    assert frame["window_start"].tolist() == starts.tolist()


def test_equal_peaks_are_ranked_by_time_and_id(tmp_path: Path) -> None:
    """Of equal readings the first window's counts, of equal sensors the smaller id: the answer is always the same."""
    results = StoredResults(tmp_path)
    results.store(Reading(sensor_id, START_MS + w * WINDOW_MS, 0, 5) for w in range(WINDOWS) for sensor_id in "cab")
    frame = results.engine.run(presets.hottest(ALL)).frame
    assert frame["sensor_id"].tolist() == ["a", "b", "c"]
    assert set(frame["window_start"]) == {pd.Timestamp(START_MS, unit="ms", tz="UTC")}


@pytest.mark.parametrize(
    "query",
    [
        presets.sensors(ALL),
        presets.sensor("x", ALL),
        presets.fleet(ALL),
        presets.latest(ALL),
        presets.hottest(ALL),
        presets.completeness(ALL),
        presets.silences(ALL),
        presets.fleet(ALL, window="1h"),
    ],
)
def test_no_value_enters_the_text(query: Query) -> None:
    """The text of a preset is the same for every range; all that varies is a parameter."""
    assert "2026" not in query.sql
    assert "'" not in query.sql
    assert query.sql.count("?") == len(query.parameters)


def test_a_preset_reads_only_its_windows(stored: StoredResults, tmp_path: Path) -> None:
    """A range over midnight lists two days and fetches the objects of its windows, no others."""
    results = StoredResults(tmp_path)
    results.store(some_readings())
    results.results.calls.clear()
    results.engine.run(presets.fleet(PART))
    assert results.results.calls["get"] == 2
    assert results.results.calls["list"] == 3  # the days, then hour 23 and hour 0


@pytest.mark.slow
def test_presets_of_another_quantity_have_its_unit(stored: StoredResults) -> None:
    """Column for column those of the temperatures, by names without `_c`, over its own rows only."""
    rows = rows_of(some_humidities())

    def asked(query: Query) -> pd.DataFrame:
        frame = stored.engine.run(query).frame
        assert set(frame["unit"]) == {"%"}
        assert not [name for name in frame.columns if name.endswith("_c")]
        return frame

    every = asked(presets.sensors(ALL, quantity="humidity"))
    assert every["sensor_id"].tolist() == rows["sensor_id"].tolist()
    assert every["max"].astype(float).tolist() == degrees(rows["max_milli"])
    fleet = asked(presets.fleet(ALL, quantity="humidity"))
    assert fleet["sensors"].tolist() == [2] * WINDOWS
    assert fleet["readings"].tolist() == [60] * WINDOWS
    latest = asked(presets.latest(ALL, quantity="humidity"))
    assert latest["sensor_id"].tolist() == list(SENSORS[:2])
    hottest = asked(presets.hottest(ALL, quantity="humidity"))
    assert float(hottest["max"].iloc[0]) == rows["max_milli"].max() / 1000
    one = asked(presets.sensor(SENSORS[0], ALL, quantity="humidity"))
    assert one["p50"].astype(float).tolist() == degrees(rows[rows["sensor_id"] == SENSORS[0]]["p50_milli"])


def test_a_quantity_in_two_units_is_not_added_up(tmp_path: Path) -> None:
    """A fleet that changed from hPa to kPa has rows of each, and ranks of each."""
    results = StoredResults(tmp_path)
    results.store(
        [
            Reading("a", START_MS, 0, 1_013_000, Quantity("pressure", "hPa")),
            Reading("a", START_MS + 1, 0, 101_300, Quantity("pressure", "kPa")),
        ]
    )
    fleet = results.engine.run(presets.fleet(ALL, quantity="pressure")).frame
    assert fleet[["unit", "mean"]].to_numpy().tolist() == [["hPa", 1013.0], ["kPa", 101.3]]
    hottest = results.engine.run(presets.hottest(ALL, quantity="pressure")).frame
    assert hottest[["place", "unit"]].to_numpy().tolist() == [[1, "hPa"], [1, "kPa"]]
