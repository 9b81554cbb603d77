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
from dispatcher.observation import Buckets
from dispatcher.report import RollOutcome
from dispatcher.tick import Tick
from tests.simulation.lake import partial_put
from tests.simulation.steady_stage import LIFETIMES
from tests.unit.stored_results import START_MS, StoredResults
from windrow.aws.clients import Place
from windrow.errors import WindrowError
from windrow.payloads.table import ContractError
from windrow.quantities import Quantity
from windrow.reading import Reading
from windrow.rules.excursion import LOST_WINDOWS, ExcursionState
from windrow.rules.load import load_rules
from windrow.rules.stored import StoredRules
from windrow.timerange import TimeRange
from windrow.window import WINDOW_MS, Window
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
        lake, results = stored.lake, stored.results

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


SLOW = '[[rule]]\nname = "warm-6m"\nabove = 8\nminutes = 6\nhold_minutes = 5\n'


def rolled(stored: StoredResults, *, rules: str = "") -> None:
    """Roll HISTORY by a tick of a stage that has these rules: each reading holds its value to the end of its window."""
    for window, start_ms in enumerate(range(START_MS, START_MS + 6 * WINDOW_MS, WINDOW_MS)):
        rows = [
            (sensor_id, 0, 0, values[window]) for sensor_id, values in HISTORY.items() if values[window] is not None
        ]
        put = partial_put(Window(start_ms), rows)
        stored.lake.put(put.key, put.body)
    tick = Tick(
        buckets=Buckets(lake=stored.lake, results=stored.results),
        lifetimes=LIFETIMES,
        scheduled_time_ms=START_MS + 6 * WINDOW_MS + 120_000,
        rules=StoredRules("0" * 64, load_rules(rules)) if rules else None,
    )
    assert {one.outcome for one in tick.run().windows} <= {RollOutcome.ROLLED, RollOutcome.RECORDED}


@pytest.mark.slow
@pytest.mark.parametrize("has_rules", [False, True])
def test_rules_that_count_minutes_are_tried_over_readings(
    stored: StoredResults, run: Callable[..., tuple[str, str]], has_rules: bool
) -> None:
    """Ten minutes above 8 °C, by held times that the stage keeps or by readings; other windows are not looked at."""
    rolled(stored, rules=SLOW if has_rules else "")
    stored.lake.calls.clear()
    stdout, stderr = run(SLOW, "--format", "json")
    (warm,) = json.loads(stdout)
    assert (warm["sensor_id"], warm["began"], warm["rang"]) == (
        "door/1",
        "2026-11-20T23:50:00.000Z",
        "2026-11-21T00:00:00.000Z",
    )
    assert warm["beyond_unit_minutes"] == 5 * 1 + 5 * 1.5
    assert warm["message"].startswith("door/1: temperature (beyond for 10.0 minutes) reached 9.5 °C")
    assert "would have rung: warm-6m 1" in stderr
    assert "no verdict" not in stderr
    assert stored.lake.calls["get"] <= 2, "two windows have a reading above 8"


@pytest.mark.slow
def test_windows_whose_readings_are_gone_have_no_verdict_and_are_told(
    stored: StoredResults, run: Callable[..., tuple[str, str]]
) -> None:
    """With the rules, the number of windows, the first, and what would help; other rules are judged over all rows."""
    rolled(stored)
    for prefix in ("partials/", "unions/"):
        for one in list(stored.lake.list_objects(prefix)):
            stored.lake.delete(one.key)
    stdout, stderr = run(WARM + SLOW, "--format", "json")
    assert [one["rule"] for one in json.loads(stdout)] == ["warm"]
    told = "no verdict of warm-6m on 2 of 6 windows, the first at 2026-11-20T23:50:00.000Z: its readings are gone"
    assert told in stderr.replace("\n", " ")
    assert "PartialsRetentionDays" in stderr


@pytest.mark.slow
def test_united_sets_stand_for_partials_that_are_gone(
    stored: StoredResults, run: Callable[..., tuple[str, str]]
) -> None:
    """And partials for united sets: either is enough; without both there is no verdict."""
    first = Window(START_MS)
    for second in range(8):
        put = partial_put(first, [("door/1", second * 1_000, 0, 9_000)], first=second)
        stored.lake.put(put.key, put.body)
    rolled(stored)

    def without(*prefixes: str) -> bool:
        gone = [one.key for prefix in prefixes for one in stored.lake.list_objects(prefix)]
        kept = {key: stored.lake.get(key) for key in gone}
        for key in gone:
            stored.lake.delete(key)
        stderr = run(SLOW)[1].replace("\n", " ")
        for key, one in kept.items():
            assert one is not None
            stored.lake.put(key, one.body)
        return "the first at 2026-11-20T23:50:00.000Z" not in stderr

    assert without("unions/")
    assert without("partials/")
    assert not without("partials/", "unions/")


@pytest.mark.slow
def test_windows_without_a_lineage_are_told(run: Callable[..., tuple[str, str]]) -> None:
    """Rows alone do not tell for how long a value held."""
    assert "2 of 6 windows, the first at 2026-11-20T23:50:00.000Z: its lineage is gone" in run(SLOW)[1].replace(
        "\n", " "
    )
