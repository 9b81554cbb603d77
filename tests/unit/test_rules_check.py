"""`windrow rules check`: rules over the rows of a stage, its windows without rows included, whatever the pages."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import analytics.engine
import windrow_cli.rules
from analytics.local import LocalEngine
from analytics.rules import check_rules
from tests.unit.stored_results import START_MS, StoredResults
from windrow.aws.clients import Place
from windrow.errors import WindrowError
from windrow.payloads.table import ContractError
from windrow.quantities import Quantity
from windrow.reading import Reading
from windrow.rules.excursion import LOST_WINDOWS, ExcursionState
from windrow.rules.load import load_rules
from windrow.timerange import TimeRange
from windrow.window import WINDOW_MS
from windrow_cli.rules import rules

WARM = '[[rule]]\nname = "warm"\nabove = 8\nclear = 6\nwindows = 2\nseverity = "critical"\n'
COLD = '[[rule]]\nname = "cold"\nsensors = "door/*"\nbelow = 2\n'
HISTORY = {"door/1": [9_000, 9_500, None, 7_000, 5_000, 5_000], "door/2": [1_000, 3_000, 3_000, 3_000, 3_000, 3_000]}


@pytest.fixture
def stored(tmp_path: Path) -> StoredResults:
    stored = StoredResults(tmp_path)
    stored.store(
        Reading(sensor_id, START_MS + window * WINDOW_MS + 1_000, 0, milli)
        for sensor_id, values in HISTORY.items()
        for window, milli in enumerate(values)
        if milli is not None
    )
    return stored


@pytest.fixture
def run(stored: StoredResults, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[str, str]]:
    class Stage:
        place = Place("embedded", "http://127.0.0.1:1", "us-east-1")

    monkeypatch.setattr(windrow_cli.rules, "open_stage", lambda _: Stage())
    monkeypatch.setattr(analytics.engine, "engine_of", lambda *_, **__: stored.engine)

    def run(text: str, *options: str) -> tuple[str, str]:
        file = tmp_path / "rules.toml"
        file.write_text(text)
        arguments = ["check", str(file), "--from", "2026-11-20T23:50:00Z", "--to", "2026-11-21T00:20:00Z", *options]
        done = CliRunner().invoke(rules, arguments, catch_exceptions=False, standalone_mode=False)
        return done.stdout, done.stderr

    return run


@pytest.mark.slow
@pytest.mark.parametrize("page_rows", [1, 3, 1_000])
def test_excursions_do_not_depend_on_pages(
    stored: StoredResults, monkeypatch: pytest.MonkeyPatch, page_rows: int
) -> None:
    """A window may be cut by a page; a window without a row of the sensor does not end it."""
    pages = LocalEngine.pages

    def cut(self, query, **options):
        for page in pages(self, query, **options):
            for first in range(0, len(page.frame), page_rows):
                yield type(page)(
                    page.frame.iloc[first : first + page_rows], engine="paged", bytes_scanned=0, seconds=0.0
                )

    monkeypatch.setattr(LocalEngine, "pages", cut)
    checked = check_rules(stored.engine, load_rules(WARM + COLD), TimeRange(START_MS, START_MS + 6 * WINDOW_MS))
    assert (checked.windows, checked.rows) == (6, 11)
    cold, warm = checked.excursions
    assert (cold.rule, cold.sensor_id, cold.began_ms, cold.ended_ms) == (
        "cold",
        "door/2",
        START_MS,
        START_MS + WINDOW_MS,
    )
    assert (warm.rule, warm.sensor_id, warm.state) == ("warm", "door/1", ExcursionState.CLEARED)
    assert (warm.began_ms, warm.rang_ms) == (START_MS, START_MS + 2 * WINDOW_MS)
    assert (warm.ended_ms, warm.extreme_milli) == (START_MS + 4 * WINDOW_MS, 9_500)


@pytest.mark.slow
def test_a_series_that_has_no_rows_any_more_is_lost(stored: StoredResults) -> None:
    """Windows after the newest row count, up to the end of the range."""
    rule = load_rules('[[rule]]\nname = "all"\nabove = 4\nclear = 0\nsensors = "door/1"\n')
    for windows, state in (
        (5 + LOST_WINDOWS, ExcursionState.LASTS),
        (6 + LOST_WINDOWS, ExcursionState.LOST),
    ):
        (one,) = check_rules(stored.engine, rule, TimeRange(START_MS, START_MS + windows * WINDOW_MS)).excursions
        assert (one.state, windows) == (state, windows)


@pytest.mark.slow
def test_the_command_shows_what_would_have_rung(run: Callable[..., tuple[str, str]]) -> None:
    """Excursions on standard output, and how often each rule would have rung beside it."""
    stdout, stderr = run(WARM + COLD, "--format", "json")
    cold, warm = json.loads(stdout)
    assert warm == {
        "rule": "warm",
        "severity": "critical",
        "sensor_id": "door/1",
        "quantity": "temperature",
        "unit": "C",
        "began": "2026-11-20T23:50:00.000Z",
        "rang": "2026-11-21T00:00:00.000Z",
        "ended": "2026-11-21T00:10:00.000Z",
        "state": "cleared",
        "extreme": "9.5",
        "beyond_unit_minutes": 2.5,
        "windows": 2,
        "message": "door/1: temperature (mean) reached 9.5 °C, limit 8 °C, since 2026-11-20 23:50 UTC",
    }
    assert cold["sensor_id"] == "door/2"
    assert "6 windows, 11 rows; would have rung: warm 1, cold 1" in stderr
    table, _ = run(WARM)
    assert table.splitlines()[0].split()[:5] == ["rule", "severity", "sensor_id", "quantity", "unit"]


@pytest.mark.slow
def test_each_quantity_has_its_own_rule_and_unit(tmp_path: Path) -> None:
    """Of one sensor; two units of one quantity are never compared with each other."""
    stored = StoredResults(tmp_path)
    values = {
        ("humidity", "%"): 70_000,
        ("pressure", "hPa"): 990_000,
        ("pressure", "Pa"): 5_000,
        ("temperature", "C"): 70,
    }
    stored.store(Reading("roof", START_MS, 0, milli, Quantity(*one)) for one, milli in values.items())
    rules = load_rules(
        '[[rule]]\nname = "humid"\nquantity = "humidity"\nabove = 60\n'
        '[[rule]]\nname = "low"\nquantity = "pressure"\nbelow = 995\n'
        '[[rule]]\nname = "hot"\nabove = 30\n'
    )
    checked = check_rules(stored.engine, rules, TimeRange(START_MS, START_MS + WINDOW_MS))
    assert [(one.rule, one.quantity.unit, one.extreme_milli) for one in checked.excursions] == [
        ("humid", "%", 70_000),
        ("low", "Pa", 5_000),
        ("low", "hPa", 990_000),
    ]
    assert checked.rows == 4


@pytest.mark.slow
def test_rules_that_never_rang_are_said_so(run: Callable[..., tuple[str, str]]) -> None:
    """An empty array as JSON, nothing in a table."""
    never = WARM.replace("above = 8", "above = 80")
    assert run(never, "--format", "json") == ("[]\n", "6 windows, 11 rows; would have rung: warm 0\n")
    assert run(never)[0] == ""


def test_no_rows_and_wrong_files_are_errors(run: Callable[..., tuple[str, str]]) -> None:
    """With the line that is wrong; before anything is asked."""
    with pytest.raises(ContractError, match=r"rules\.toml, line 4: rule\[0\].claer"):
        run(WARM.replace("clear", "claer"))
    with pytest.raises(WindrowError, match="no rows from"):
        run(WARM, "--to", "2026-11-20T23:50:00Z", "--from", "2026-11-20T23:00:00Z")


def test_rules_that_count_minutes_are_not_tried(run: Callable[..., tuple[str, str]]) -> None:
    """Rows do not tell for how long a value held: they are named, and a file of them alone is refused."""
    slow = '[[rule]]\nname = "warm-20m"\nabove = 8\nminutes = 20\n'
    _, err = run(WARM + slow)
    assert err.endswith("not tried, because they count minutes: warm-20m\n")
    with pytest.raises(WindrowError, match="each of its rules counts minutes"):
        run(slow)
