"""`windrow query`: bad input is one line, rows are printed whole."""

import csv
import io
import json
import re
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from analytics import presets
from analytics.result import Result
from tests.unit.stored_results import START_MS, WINDOWS, StoredResults, some_humidities, some_readings
from windrow.errors import UsageError, WindrowError
from windrow.timerange import TimeRange
from windrow.window import WINDOW_MS
from windrow_cli.formats import TEXTS, as_csv, as_table
from windrow_cli.query import about, query
from windrow_cli.questions import nothing_there, query_of_preset, query_of_sql

RANGE = TimeRange(START_MS, START_MS + WINDOWS * WINDOW_MS)


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ([], "no question", "fleet"),
        (["fleet", "--from", "yesterday"], "--from 'yesterday' is not a time", "-2h"),
        (["fleet", "--to", "-2w"], "--to '-2w' is not a time", "-2h"),
        (["fleet", "--from", "-1h", "--to", "-1h"], "the range is empty", "later"),
        (["fleet", "--from", "-1h", "--to", "-2h"], "the range is reversed", "exchange"),
        (["sensor"], "'sensor' needs a sensor id", "windrow query sensor"),
        (["fleet", "x"], "'fleet' takes no sensor id", "windrow query sensor"),
        (["fleet", "--sql", "SELECT 1"], "both a preset and --sql", "one of them"),
        (["--sql", "SELECT 1", "--from", "-2h"], "do not apply to --sql", "WHERE"),
        (["--sql", "SELECT 1", "--window", "1h"], "--window does not apply", "aggregates_1h"),
        (["completeness", "--window", "1h"], "per five-minute window", "leave out"),
        (["fleet", "--plot", "fleet.gif"], "not a PNG or SVG file", ".svg"),
        (["--sql", "DROP TABLE aggregates"], "not a SELECT", "SELECT"),
        (["--sql", ""], "not a SELECT", "SELECT"),
        (["--sql", "SELECT * FRM aggregates"], "line 1, column 14", "correct"),
        (["--sql", "/bin/sh"], "cannot read /bin/sh", "text file"),
        (["--sql", "x" * 5_000], "not a SELECT", "SELECT"),
    ],
)
def test_bad_input_is_one_line_with_the_next_step(arguments: list[str], message: str, hint: str) -> None:
    """Found before anything is looked up: no stack runs here."""
    caught = CliRunner().invoke(query, arguments).exception
    assert isinstance(caught, UsageError)
    assert message in caught.message
    assert hint in caught.hint
    assert "\n" not in caught.message + caught.hint


@pytest.mark.parametrize("arguments", [["coldest"], ["fleet", "--limit", "0"], ["fleet", "--format", "xml"]])
def test_what_click_refuses_is_usage_too(arguments: list[str]) -> None:
    """Unknown presets, formats and limits exit with 2."""
    assert CliRunner().invoke(query, arguments).exit_code == 2


def test_sql_comes_from_a_file_or_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path, a dash, or the text itself."""
    file = tmp_path / "question.sql"
    file.write_text("SELECT 1 -- from a file\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 2"))
    assert query_of_sql(str(file), preset=None, start=None, end=None).sql == "SELECT 1 -- from a file\n"
    assert query_of_sql("-", preset=None, start=None, end=None).sql == "SELECT 2"
    assert query_of_sql("SELECT 3", preset=None, start=None, end=None).sql == "SELECT 3"


@pytest.mark.parametrize(
    ("window", "table", "days"), [("5m", "aggregates", 0), ("1h", "aggregates_1h", 2), ("1d", "aggregates_1d", 30)]
)
def test_hours_and_days_are_tables_of_their_own(window: str, table: str, days: int) -> None:
    """The same question of coarser rows, about a longer time."""
    question, time_range = query_of_preset("fleet", None, start=None, end=None, window=window, limit=None)
    assert f"FROM {table}\n" in question.sql
    assert (time_range.end_ms - time_range.start_ms) // 86_400_000 == days


def test_the_limit_of_hottest_is_how_many_sensors_it_ranks() -> None:
    """Ten, unless told otherwise."""
    ten, _ = query_of_preset("hottest", None, start="-1h", end=None, limit=None)
    three, _ = query_of_preset("hottest", None, start="-1h", end=None, limit=3)
    assert (ten.parameters[-1], three.parameters[-1]) == (10, 3)


@pytest.fixture
def stored(tmp_path: Path) -> StoredResults:
    results = StoredResults(tmp_path)
    results.store(some_readings())
    return results


@pytest.mark.slow
def test_an_unknown_sensor_is_told_from_an_empty_range(stored: StoredResults) -> None:
    """Others have rows there, so it is the sensor that is not there."""
    error = nothing_there(stored.engine, stored.results, RANGE, sensor_id="nobody")
    assert "no sensor 'nobody'" in error.message
    assert "windrow query latest --from 2026-11-20T23:50:00.000Z" in error.hint


def test_a_quantity_that_nobody_measured_is_told_from_an_empty_range(stored: StoredResults) -> None:
    """Other quantities are there in the range; a likely one is named, else what there is."""
    stored.store([*some_readings(), *some_humidities()])
    for asked, meant in (("humidty", "humidity"), ("co2", "humidity")):
        error = nothing_there(stored.engine, stored.results, RANGE, sensor_id=None, quantity=asked)
        assert error.message.startswith(f"no {asked} from ")
        assert f"--quantity {meant}" in error.hint
    error = nothing_there(stored.engine, stored.results, RANGE, sensor_id="nobody", quantity="humidity")
    assert error.message.startswith("no sensor 'nobody' from ")


@pytest.mark.parametrize("preset", ["fleet", "sensors", "latest", "hottest", "silences"])
def test_a_preset_takes_a_quantity(preset: str) -> None:
    """By default it is about temperatures; silences are about everything."""
    question, _ = query_of_preset(preset, None, start=None, end=None, limit=None, quantity="humidity")
    assert "humidity" in question.parameters
    default, _ = query_of_preset(preset, None, start=None, end=None, limit=None)
    assert ("temperature" in default.parameters) == (preset != "silences")


def test_what_has_no_quantity_refuses_one() -> None:
    """A lineage is of all quantities; SQL has its own conditions."""
    with pytest.raises(UsageError, match="every quantity"):
        query_of_preset("completeness", None, start=None, end=None, limit=None, quantity="humidity")
    with pytest.raises(UsageError, match="--quantity does not apply"):
        query_of_sql("SELECT 1", preset=None, start=None, end=None, quantity="humidity")


def test_an_empty_range_points_to_the_newest_rows(stored: StoredResults) -> None:
    """The hint's range has rows."""
    later = TimeRange(RANGE.end_ms, RANGE.end_ms + WINDOW_MS)
    for sensor_id in (None, "aisle/1"):
        error = nothing_there(stored.engine, stored.results, later, sensor_id=sensor_id)
        assert "no rows from" in error.message
        assert "--to 2026-11-21T00:10:00.000Z" in error.hint
        assert re.match(r"the newest, [\d,]+ d ago, are there with", error.hint)


def test_a_stage_without_rows_says_to_tick(tmp_path: Path) -> None:
    """Nothing was ever rolled."""
    empty = StoredResults(tmp_path)
    error = nothing_there(empty.engine, empty.results, RANGE, sensor_id=None)
    assert isinstance(error, WindrowError)
    assert "tick" in error.hint


AWKWARD = pd.DataFrame(
    {
        "window_start": pd.Series([START_MS, None], dtype="Int64").pipe(
            lambda ms: pd.to_datetime(ms.astype("float64"), unit="ms", utc=True)
        ),
        "sensor_id": ['a,"b"\n\x1b[31m', "温度"],
        "readings": pd.Series([30, None], dtype="Int64"),
        "mean_c": [21.4371234, float("nan")],
        "squares": pd.Series([Decimal(10**30), None], dtype="object"),
        "bins": pd.Series([[1, 2], None], dtype="object"),
        "is_final": pd.Series([True, None], dtype="boolean"),
    }
)


def test_a_table_aligns_and_disarms_what_it_prints() -> None:
    """Numbers to the right, wide characters counted, escape sequences spelled out, NULL empty."""
    first, second, third = as_table(AWKWARD).split("\n")
    assert first.startswith("window_start ")
    assert "2026-11-20 23:50:00Z" in second
    assert 'a,"b"\\n\\x1b[31m' in second
    assert " 21.437 " in second
    assert "温度" in third
    assert "\x1b" not in second


def test_a_table_for_a_terminal_fits_it() -> None:
    """As many columns as fit, the others by name; without a width all of them."""
    frame = pd.DataFrame({"window": ["a", "bb"], "count": [1, 22], "detail": ["x" * 30, "y"], "last": [1, 2]})
    assert as_table(frame, width=13).split("\n") == [
        "window  count",
        "a           1",
        "bb         22",
        "not shown for want of width: detail, last (--format lines shows all)",
    ]
    assert as_table(frame, width=12).split("\n")[0] == "window"
    assert as_table(frame, width=3).split("\n")[0] == "window"
    assert as_table(frame, width=51) == as_table(frame)
    assert "not shown" in as_table(frame, width=50)


def test_lines_show_every_value_behind_its_name() -> None:
    """A block for each row, a blank line between rows, also between pages; disarmed as in a table."""
    frame = pd.DataFrame({"sensor_id": ["\x1b", "b"], "n": [1, 2]})
    shown = "\n".join(TEXTS["lines"]([frame, frame.iloc[:0], frame.iloc[1:]]))
    assert shown.split("\n") == [
        "sensor_id  \\x1b",
        "n          1",
        "",
        "sensor_id  b",
        "n          2",
        "",
        "sensor_id  b",
        "n          2",
    ]


def test_csv_reads_back_whole() -> None:
    """Quotes, commas and line feeds survive; times are RFC 3339; numbers keep all their digits."""
    rows = list(csv.DictReader(io.StringIO(as_csv(AWKWARD), newline="")))
    assert rows[0] == {
        "window_start": "2026-11-20T23:50:00.000Z",
        "sensor_id": 'a,"b"\n\x1b[31m',
        "readings": "30",
        "mean_c": "21.4371234",
        "squares": str(10**30),
        "bins": "[1, 2]",
        "is_final": "true",
    }
    assert set(rows[1].values()) == {"", "温度"}


def test_json_reads_back_whole() -> None:
    """One object a line in one array; whole numbers exact, NULL null."""
    text = "\n".join(TEXTS["json"]([AWKWARD]))
    first, second = json.loads(text)
    assert len(text.split("\n")) == 4
    assert first["squares"] == 10**30
    assert first["window_start"] == "2026-11-20T23:50:00.000Z"
    assert first["bins"] == [1, 2]
    assert {value for name, value in second.items() if name != "sensor_id"} == {None}


def test_no_rows_print_as_their_columns(stored: StoredResults) -> None:
    """A header in a table and CSV, an empty array in JSON."""
    frame = stored.engine.run(presets.sensor("nobody", RANGE)).frame
    assert as_table(frame).startswith("window_start  readings")
    assert as_csv(frame).startswith("window_start,readings")
    assert "\n".join(TEXTS["json"]([frame])) == "[]"


def test_exact_temperatures_print_exactly(stored: StoredResults) -> None:
    """A milli-degree column in CSV has the digits of its integer."""
    frame = stored.engine.run(presets.sensors(RANGE)).frame
    lows = [row["min_c"] for row in csv.DictReader(io.StringIO(as_csv(frame)))]
    raw = stored.engine.run(presets.Query("SELECT min_milli FROM aggregates ORDER BY window_start, sensor_id")).frame
    assert [Decimal(low) * 1000 for low in lows] == raw["min_milli"].tolist()


def test_the_last_line_says_who_answered_and_what_it_took() -> None:
    """Rows, engine, bytes, seconds."""
    result = Result(frame=AWKWARD, engine="Athena", bytes_scanned=53_515, seconds=1.234, is_truncated=True)
    assert about((2, result)) == "2 rows (there are more) from Athena: 53.5 kB scanned, 1.23 s"
