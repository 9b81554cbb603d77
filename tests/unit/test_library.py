"""The library: DataFrames with proper dtypes and an index in UTC, in three lines."""

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

import analytics
from analytics import presets
from analytics.library import Windrow
from analytics.moments import Moment
from tests.unit.stored_results import SENSORS, START_MS, WINDOWS, StoredResults, some_humidities, some_readings
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
def test_questions_about_another_quantity(tmp_path: Path) -> None:
    """Every question that has a value takes one; its columns say no degrees, and the unit is one of them."""
    stored = StoredResults(tmp_path)
    stored.store([*some_readings(), *some_humidities()])
    windrow = Windrow(stored.engine, PLACE, clock_ms=lambda: END_MS)
    for frame in (
        windrow.fleet("-20m", quantity="humidity"),
        windrow.sensors("-20m", quantity="humidity"),
        windrow.sensor(SENSORS[0], "-20m", quantity="humidity"),
        windrow.latest("-20m", quantity="humidity"),
        windrow.hottest("-20m", quantity="humidity"),
    ):
        assert set(frame["unit"]) == {"%"}
        assert not [name for name in frame.columns if name.endswith("_c")]
    assert windrow.sensor(SENSORS[2], "-20m", quantity="humidity").empty
    assert windrow.silences("-20m", quantity="humidity").empty


@pytest.mark.slow
def test_sql_takes_values_beside_its_text(windrow: Windrow) -> None:
    """Quotes and all; and tells what it took when asked."""
    sql = "SELECT COUNT(*) AS n FROM aggregates WHERE sensor_id = :sensor_id AND hour >= :hour"
    assert windrow.sql(sql, sensor_id="o'brien", hour=0)["n"].tolist() == [WINDOWS]
    assert windrow.sql("SELECT 1 AS one")["one"].tolist() == [1]
    assert windrow.result(sql, {"sensor_id": "x", "hour": 0}).engine == "DuckDB on this machine"


@pytest.mark.slow
@pytest.mark.parametrize(
    "start",
    [
        "2026-11-20T23:55:00Z",
        datetime(2026, 11, 20, 23, 55, tzinfo=UTC),
        datetime(2026, 11, 21, 5, 25, tzinfo=ZoneInfo("Asia/Kolkata")),
        pd.Timestamp("2026-11-20 23:55", tz="UTC"),
        pd.Timestamp("2026-11-20 23:50:00.000000001", tz="UTC"),  # after the start of that window
        np.datetime64("2026-11-20T23:55"),
    ],
)
def test_a_range_begins_at_whatever_python_calls_a_time(windrow: Windrow, start: Moment) -> None:
    """All of these leave out the first window; what an index holds is taken back."""
    fleet = windrow.fleet(start, datetime.fromtimestamp(END_MS / 1000, UTC))
    assert len(fleet) == WINDOWS - 1
    assert len(windrow.fleet(fleet.index[0], fleet.index[-1])) == WINDOWS - 2
    assert len(windrow.fleet(fleet.index.to_numpy()[1])) == WINDOWS - 2


@pytest.mark.parametrize(
    ("moment", "message"),
    [
        (datetime(2026, 11, 20, 10), "start 2026-11-20 10:00:00 has no time zone"),  # noqa: DTZ001 - the mistake
        (pd.Timestamp("2026-11-20"), "start 2026-11-20 00:00:00 has no time zone"),
        (pd.NaT, "start is NaT"),
        (1_795_176_000, "start is a int, not a time"),
        ("yesterday", "start 'yesterday' is not a time"),
        (datetime(9999, 1, 1, tzinfo=UTC), "reversed"),
    ],
)
def test_a_moment_that_is_not_one_instant_is_refused(windrow: Windrow, moment: Any, message: str) -> None:
    """By the name of the argument; a time without a zone would be an hour or two beside what was meant."""
    with pytest.raises(UsageError, match=message):
        windrow.fleet(moment)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("Aisle/1", "'aisle/1'"),
        ("1", "'aisle/1'"),
        ("aisel/2", "'aisle/2' or 'aisle/1'"),
        ("xyzzy", "latest\\(\\) lists"),
    ],
)
def test_an_unknown_sensor_is_told_with_a_likely_one(windrow: Windrow, wanted: str, hint: str) -> None:
    """Misspelled, in another case, or by its end only; nothing likely is not made up."""
    with pytest.raises(WindrowError, match=f"no sensor '{wanted}'") as caught:
        windrow.sensor(wanted, "-20m")
    assert re.search(hint, caught.value.hint)


@pytest.mark.slow
def test_a_sensor_that_is_only_silent_is_no_mistake(tmp_path: Path) -> None:
    """It was heard earlier that day; and in a range without any rows there is nothing to compare with."""
    stored = StoredResults(tmp_path)
    stored.store(
        [one for one in some_readings() if one.sensor_id != "aisle/2" or one.event_time_ms < START_MS + 60_000]
    )
    windrow = Windrow(stored.engine, PLACE, clock_ms=lambda: END_MS)
    assert windrow.sensor("aisle/2", "-5m").empty
    assert windrow.sensor("aisle/9", "2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z").empty


def test_what_one_has_in_hand_says_what_it_is(windrow: Windrow) -> None:
    """Whose results, who answers, and what can be asked: every public method is named. Nothing is requested for it."""
    shown = repr(windrow)
    assert "stage dev on the embedded stack at http://127.0.0.1:1, answered by DuckDB on this machine" in shown
    methods = [name for name in vars(Windrow) if not name.startswith("_")]
    assert [name for name in methods if f".{name}(" not in shown] == ["result"]
    on_aws = Windrow(windrow._engine, Place("aws", None, "eu-central-1", None), stage="prod")
    assert "stage prod on AWS in eu-central-1" in repr(on_aws)


def test_what_cannot_be_answered_is_one_line(windrow: Windrow) -> None:
    """The same errors as in the terminal."""
    with pytest.raises(UsageError, match="is not a time"):
        windrow.fleet("yesterday")
    with pytest.raises(WindrowError, match="no table"):
        windrow.sql("SELECT 1 FROM x")


def test_importing_the_package_loads_nothing() -> None:
    """The command's parts import from it, and most of them need no pandas."""
    script = "import sys, analytics; sys.exit(bool({'pandas', 'boto3', 'duckdb'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_there_is_nothing_else_to_import() -> None:
    """A name that is none is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match="disconnect"):
        analytics.disconnect  # noqa: B018
