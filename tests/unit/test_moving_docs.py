"""docs/moving: what it translates works: rules load, questions run, and the files of an export are understood."""

import gzip
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from analytics.query import Query
from tests.unit.stored_results import StoredResults, some_readings
from windrow.quantities import Quantity
from windrow.reading import Reading, Readings
from windrow.rows.partial import partials_of
from windrow.rows.rollup import roll
from windrow.rules.excursion import ExcursionState, excursions
from windrow.rules.load import load_rules
from windrow.rules.watched import watched_rows
from windrow.window import WINDOW_MS
from windrow_cli.ingest import ingest

PAGES = sorted((Path(__file__).parents[2] / "docs" / "moving").glob("*.md"))
QUERIES = [sql for page in PAGES for sql in re.findall(r"```sql\n(.*?)```", page.read_text(), flags=re.DOTALL)]
RULES = [text for page in PAGES for text in re.findall(r"```toml\n(.*?)```", page.read_text(), flags=re.DOTALL)]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredResults:
    results = StoredResults(tmp_path_factory.mktemp("cache"))
    results.store(some_readings())
    return results


def test_every_page_is_named_by_the_first() -> None:
    """And translates something."""
    index = (PAGES[0].parent / "README.md").read_text()
    assert {page.name for page in PAGES} - {"README.md"} == set(re.findall(r"\]\((\S+\.md)\)", index))
    assert len(QUERIES) == 6
    assert len(RULES) == 1


@pytest.mark.slow
@pytest.mark.parametrize("sql", QUERIES)
def test_every_question_runs(stored: StoredResults, sql: str) -> None:
    """Those about windows of the stored readings find them."""
    frame = stored.engine.run(Query(sql)).frame
    assert len(frame.columns) > 2
    assert not frame.empty or "aggregates\n" not in sql


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
