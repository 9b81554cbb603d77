"""docs/moving: what it translates works: rules load, questions run, and the files of an export are understood."""

import gzip
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from analytics.frames import epoch_ms
from analytics.query import Query
from tests.lineages import lineage_of
from tests.rows_file import encode_rollup
from tests.unit.stored_results import START_MS, StoredResults, some_readings
from windrow.lake.layout import lineage_key, period_rows_key
from windrow.period import HOUR_MS, Grain, Period
from windrow.quantities import Quantity
from windrow.reading import Reading, Readings
from windrow.rows.merge import PERCENTILE_ERROR_MILLI, merge
from windrow.rows.partial import partials_of
from windrow.rows.rollup import roll
from windrow.rules.excursion import ExcursionState, excursions
from windrow.rules.load import load_rules
from windrow.rules.watched import watched_rows
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS, Window
from windrow_cli.ingest import ingest

PAGES = sorted((Path(__file__).parents[2] / "docs" / "moving").glob("*.md"))
QUERIES = [sql for page in PAGES for sql in re.findall(r"```sql\n(.*?)```", page.read_text(), flags=re.DOTALL)]
RULES = [text for page in PAGES for text in re.findall(r"```toml\n(.*?)```", page.read_text(), flags=re.DOTALL)]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredResults:
    results = StoredResults(tmp_path_factory.mktemp("cache"))
    results.store(some_readings())
    rolled = [roll(partial) for partial in partials_of(Readings.of(some_readings()))]
    for hour in {Period.containing(Grain.HOUR, one.start_ms) for one in rolled}:
        parts = [one for one in rolled if Period.containing(Grain.HOUR, one.start_ms) == hour]
        results.results.put(period_rows_key(hour), encode_rollup(merge(hour.start_ms, parts)))
    for one in rolled:
        window = Window(one.start_ms)
        late = 3 if window == LATE else 0
        lineage = lineage_of(window, late=late, duplicates_removed=late // 2)
        results.results.put(lineage_key(window), lineage.to_json())
    return results


LATE = Window(START_MS + WINDOW_MS)
"""The window that had late readings and repeated ones."""


def test_every_page_is_named_by_the_first() -> None:
    """And translates something."""
    index = (PAGES[0].parent / "README.md").read_text()
    assert {page.name for page in PAGES} - {"README.md"} == set(re.findall(r"\]\((\S+\.md)\)", index))
    assert len(QUERIES) == 6
    assert len(RULES) == 1


@pytest.mark.slow
@pytest.mark.parametrize("sql", QUERIES)
def test_every_question_runs(stored: StoredResults, sql: str) -> None:
    """And finds something."""
    frame = stored.engine.run(Query(sql)).frame
    assert len(frame.columns) > 2
    assert not frame.empty


def grouped(step_ms: int, *, day: int = 20) -> dict[tuple[int, str], list[int]]:
    """The values of a day of November by what the other service groups by: the start of a step, and the sensor."""
    found: dict[tuple[int, str], list[int]] = {}
    for one in some_readings():
        start_ms = one.event_time_ms // step_ms * step_ms
        if format_rfc3339(start_ms)[8:10] == str(day):
            found.setdefault((start_ms, one.sensor_id), []).append(one.value_milli)
    return dict(sorted(found.items()))


def answers(stored: StoredResults, number: int, *columns: str) -> list[tuple[Any, ...]]:
    """What a question of the pages answers, by start and sensor; times in epoch ms."""
    frame = stored.engine.run(Query(QUERIES[number])).frame
    start = next(name for name in ("window_start", "quarter") if name in frame.columns)
    rows = zip(epoch_ms(frame[start]), *(frame[name].tolist() for name in ("sensor_id", *columns)), strict=True)
    return sorted(rows)


@pytest.mark.slow
def test_translated_questions_answer_what_the_services_did(stored: StoredResults) -> None:
    """Counts and extremes to the digit, means to the last places of a float; computed here from single readings."""
    hours, windows, quarters = grouped(HOUR_MS), grouped(WINDOW_MS), grouped(3 * WINDOW_MS)
    of_hours, of_windows, of_quarters = (
        {key: pytest.approx(sum(found) / len(found) / 1000, abs=1e-9) for key, found in one.items()}
        for one in (hours, windows, quarters)
    )
    assert answers(stored, 0, "readings", "mean_c") == [
        (*key, len(found), of_hours[key]) for key, found in hours.items()
    ]  # IoT Analytics: avg by hour
    assert answers(stored, 1, "readings", "sum_milli", "min_milli", "max_milli") == [
        (*key, len(found), sum(found), min(found), max(found)) for key, found in hours.items()
    ]  # Kinesis Aggregators: counters by hour
    assert answers(stored, 2, "readings", "min_c", "mean_c", "max_c") == [
        (*key, len(found), min(found) / 1000, of_windows[key], max(found) / 1000) for key, found in windows.items()
    ]  # Kinesis Analytics: STEP of five minutes
    assert answers(stored, 3, "readings", "mean_c") == [
        (*key, len(found), of_quarters[key]) for key, found in quarters.items()
    ]  # and of a quarter of an hour
    assert len(quarters) == 3


@pytest.mark.slow
def test_what_timestream_was_asked_is_answered_within_the_bound_of_an_hour_s_percentile(stored: StoredResults) -> None:
    """Both hours on either side of midnight; the percentile of an hour is within a quarter of a degree."""
    hours = grouped(HOUR_MS) | grouped(HOUR_MS, day=21)
    found = answers(stored, 5, "mean_c", "p95_c")
    assert [row[:2] for row in found] == list(hours)
    for (*_, mean_c, p95_c), values in zip(found, hours.values(), strict=True):
        assert mean_c == pytest.approx(sum(values) / len(values) / 1000, abs=1e-9)
        assert abs(p95_c - sorted(values)[-(-95 * len(values) // 100) - 1] / 1000) <= PERCENTILE_ERROR_MILLI / 1000


@pytest.mark.slow
def test_windows_in_which_a_function_would_have_counted_wrong_are_found(stored: StoredResults) -> None:
    """The one of three late readings, and no other."""
    frame = stored.engine.run(Query(QUERIES[4])).frame
    assert epoch_ms(frame["window_start"]) == [LATE.start_ms]
    assert frame[["late", "duplicates_removed"]].to_numpy().tolist() == [[3, 1]]


@pytest.mark.parametrize("text", RULES)
def test_every_rule_loads(text: str) -> None:
    """As `windrow rules check` reads it."""
    assert load_rules(text)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["parquet", "csv.gz"])
def test_an_export_of_timestream_is_understood(form: str, tmp_path: Path) -> None:
    """Its column names, times without a zone, in Parquet as INT96."""
    start = datetime(2025, 3, 1, tzinfo=UTC).replace(tzinfo=None)
    times = [start + timedelta(seconds=10 * place) for place in range(90)]
    celsius = [20 + place % 7 / 10 for place in range(90)]
    name = "measure_value::double"
    if form == "parquet":
        table = pa.table(
            {
                "device_id": [f"truck-{place % 3}" for place in range(90)],
                "measure_name": ["temperature"] * 90,
                "time": pa.array(times, pa.timestamp("ns")),
                name: celsius,
            }
        )
        pyarrow.parquet.write_table(table, tmp_path / "part.parquet", use_deprecated_int96_timestamps=True)
    else:
        rows = (
            f"truck-{place % 3},temperature,{moment:%Y-%m-%d %H:%M:%S}.000000000,{value}\n"
            for place, (moment, value) in enumerate(zip(times, celsius, strict=True))
        )
        text = f"device_id,measure_name,time,{name}\n" + "".join(rows)
        (tmp_path / "part.csv.gz").write_bytes(gzip.compress(text.encode()))
    options = ["--zone", "UTC", "--temperature-column", name, "--where", "measure_name=temperature", "--backfill"]
    shown = CliRunner().invoke(ingest, [str(tmp_path), *options, "--dry-run"], catch_exceptions=False)
    assert shown.exit_code == 0
    assert "90 rows: 90 of temperature" in shown.output
    assert "first 2025-03-01T00:00:00.000Z, last 2025-03-01T00:14:50.000Z" in shown.output
    assert "temperature from 20 to 20.6 °C" in shown.output


def test_the_detector_model_of_iot_events_behaves_as_the_rule_that_stands_for_it() -> None:
    """Dangerous at 70, and normal after three windows below it, not after two; each motor has a state of its own."""
    (rule,) = load_rules(RULES[0])
    pressures = {"motor/1": [69.999, 70, 69, 69, 70.5, 69, 69, 69, 69], "motor/2": [60] * 8 + [71], "fan/1": [99] * 9}
    windows = (
        Readings.of(
            Reading(sensor_id, window * WINDOW_MS, 0, round(1_000 * values[window]), Quantity("pressure", "psi"))
            for sensor_id, values in pressures.items()
        )
        for window in range(9)
    )
    rows = (watched_rows(roll(partial)) for readings in windows for partial in partials_of(readings))
    first, second = sorted(excursions(rule, rows), key=lambda one: one.sensor_id)
    assert (first.began_ms, first.rang_ms, first.ended_ms) == (WINDOW_MS, 2 * WINDOW_MS, 5 * WINDOW_MS)
    assert (first.extreme_milli, first.windows, first.state) == (70_500, 2, ExcursionState.CLEARED)
    assert (second.sensor_id, second.began_ms, second.state) == ("motor/2", 8 * WINDOW_MS, ExcursionState.LASTS)
