"""The library: DataFrames with proper dtypes and an index in UTC, in three lines."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import analytics
from analytics import presets
from analytics.library import Windrow
from tests.unit.stored_results import SENSORS, START_MS, WINDOWS, StoredResults, some_readings
from windrow.aws.clients import Place
from windrow.errors import UsageError, WindrowError
from windrow.timerange import TimeRange
from windrow.window import WINDOW_MS

PLACE = Place("embedded", "http://127.0.0.1:1", "us-east-1")
END_MS = START_MS + WINDOWS * WINDOW_MS
ALL = TimeRange(START_MS, END_MS)


@pytest.fixture
def windrow(tmp_path: Path) -> Windrow:
    stored = StoredResults(tmp_path)
    stored.store(some_readings())
    return Windrow(stored.engine, PLACE, clock_ms=lambda: END_MS)


@pytest.mark.slow
def test_rows_are_indexed_by_their_window_in_utc(windrow: Windrow) -> None:
    """Proper dtypes, and pandas' own ways with time work."""
    fleet = windrow.fleet("-20m")
    assert str(fleet.index.dtype) == "datetime64[ms, UTC]"
    assert fleet.index.name == "window_start"
    assert {name: str(kind) for name, kind in fleet.dtypes.items()} == {
        "sensors": "Int64",
        "readings": "Int64",
        "mean_c": "float64",
        "min_c": "float64",
        "max_c": "float64",
        "conflicts": "Int64",
    }
    assert fleet.resample("10min")["readings"].sum().tolist() == [180, 180]


@pytest.mark.slow
def test_every_question_is_its_preset(windrow: Windrow) -> None:
    """The same rows as the command prints."""
    bounds = ("-20m", None)
    assert len(windrow.sensors(*bounds)) == WINDOWS * len(SENSORS)
    assert len(windrow.sensor("o'brien", *bounds)) == WINDOWS
    assert windrow.latest(*bounds).index.tolist() == list(SENSORS)
    assert windrow.hottest(*bounds, sensors=2).index.tolist() == [1, 2]
    assert windrow.completeness(*bounds).empty
    assert windrow.silences(*bounds).empty
    same = windrow._engine.run(presets.fleet(ALL)).frame.set_index("window_start")
    pd.testing.assert_frame_equal(windrow.fleet(*bounds), same)


@pytest.mark.slow
def test_sql_takes_values_beside_its_text(windrow: Windrow) -> None:
    """Quotes and all; and tells what it took when asked."""
    sql = "SELECT COUNT(*) AS n FROM aggregates WHERE sensor_id = :sensor_id AND hour >= :hour"
    assert windrow.sql(sql, sensor_id="o'brien", hour=0)["n"].tolist() == [WINDOWS]
    assert windrow.sql("SELECT 1 AS one")["one"].tolist() == [1]
    assert windrow.result(sql, {"sensor_id": "x", "hour": 0}).engine == "DuckDB on this machine"


def test_what_cannot_be_answered_is_one_line(windrow: Windrow) -> None:
    """The same errors as in the terminal."""
    with pytest.raises(UsageError, match="is not a time"):
        windrow.fleet("yesterday")
    with pytest.raises(WindrowError, match="no table"):
        windrow.sql("SELECT 1 FROM x")


@pytest.mark.slow
def test_a_place_must_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing answers there; without a region there is no there."""
    for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(UsageError, match="no AWS region"):
        analytics.connect()
    with pytest.raises(WindrowError, match="nothing answers at"):
        analytics.connect(endpoint_url="http://127.0.0.1:1")


def test_importing_the_package_loads_nothing() -> None:
    """The command's parts import from it, and most of them need no pandas."""
    script = "import sys, analytics; sys.exit(bool({'pandas', 'boto3', 'duckdb'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_there_is_nothing_else_to_import() -> None:
    """A name that is none is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match="disconnect"):
        analytics.disconnect  # noqa: B018
