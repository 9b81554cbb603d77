"""What the command says when all is well: no silence is good news, and a long tick is summed up on a terminal."""

import csv
import io
import json
from pathlib import Path

import pytest

from analytics import engine
from dispatcher.due import DueReason
from dispatcher.report import PeriodReport, RollOutcome, TickReport, WindowReport
from tests.unit.settled_results import store_window, window_at
from tests.unit.stored_results import StoredResults
from windrow.aws.clients import Place
from windrow.errors import WindrowError
from windrow.period import Grain, Period
from windrow.stage import Stage
from windrow.timestamps import format_rfc3339
from windrow_cli import query, tick, tick_report
from windrow_cli.main import run

RANGE = ("--from", format_rfc3339(window_at(0).start_ms), "--to", format_rfc3339(window_at(4).start_ms))


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoredResults:
    """The results of a stage `dev`, which DuckDB answers about."""
    results = StoredResults(tmp_path)

    class StoredStage(Stage):
        results = property(lambda _: results.results)  # type: ignore[assignment]

    place = Place("embedded", "http://127.0.0.1:1", "us-east-1")
    names = dict.fromkeys(Stage.__dataclass_fields__, "") | {"place": place, "name": "dev"}
    monkeypatch.setattr(query, "open_stage", lambda _: StoredStage(**names))  # type: ignore[arg-type]
    monkeypatch.setattr(engine, "engine_of", lambda *_, **__: results.engine)
    return results


@pytest.mark.slow
@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_no_silence_is_good_news(stored: StoredResults, capsys: pytest.CaptureFixture[str], form: str) -> None:
    """Exit code 0 and a sentence; a program gets a result without rows, and the sentence beside it."""
    for place in range(4):
        store_window(stored, place, [{"a", "b"}] * 4)
    assert run(["query", "silences", *RANGE, "--format", form]) == 0
    said, told = capsys.readouterr()
    sentence = "no sensor was silent in any of 4 closed windows from 2026"
    if form == "table":
        assert said.startswith(sentence)
        assert said.count("\n") == 1
    else:
        rows = list(csv.reader(io.StringIO(said)))[1:] if form == "csv" else json.loads(said)
        assert rows == []
        assert told.startswith(sentence)


@pytest.mark.slow
def test_a_silence_is_shown_as_ever(stored: StoredResults, capsys: pytest.CaptureFixture[str]) -> None:
    """A sensor that is not heard any more has rows."""
    heard = [{"a", "b"}, {"a", "b"}, {"a"}, {"a"}]
    for place in range(4):
        store_window(stored, place, heard)
    assert run(["query", "silences", *RANGE]) == 0
    assert "began" in capsys.readouterr().out


@pytest.mark.slow
def test_an_outage_is_not_taken_for_good_news(stored: StoredResults, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody is called silent in a window in which most are missing; that is said, with how many there are."""
    heard = [{"a", "b", "c"}, {"a", "b", "c"}, {"a"}, set[str]()]
    for place in range(4):
        store_window(stored, place, heard)
    assert run(["query", "silences", *RANGE]) == 0
    said = capsys.readouterr().out
    assert "no sensor is named in any of 4 closed windows" in said
    assert "but 2 windows are outages" in said
    newest = format_rfc3339(window_at(3).start_ms).replace(".000Z", "Z")
    assert f"the newest, {newest}, has 0 of 3 sensors: windrow query completeness" in said


@pytest.mark.slow
def test_nothing_closed_is_not_good_news(stored: StoredResults, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody knows who is silent where no window is closed."""
    assert run(["query", "silences", *RANGE]) == 1
    assert "no sensor was silent" not in "".join(capsys.readouterr())


def report_of(outcomes: list[RollOutcome]) -> TickReport:
    windows = tuple(
        WindowReport(window=window_at(place), reasons=(DueReason.RECENT,), outcome=outcome, readings=10, revision=1)
        for place, outcome in enumerate(outcomes)
    )
    hour = Period(Grain.HOUR, window_at(0).start_ms // 3_600_000 * 3_600_000)
    return TickReport(
        scheduled_time_ms=window_at(len(outcomes)).end_ms,
        windows=windows,
        periods=(PeriodReport(period=hour, outcome=RollOutcome.ROLLED),),
        s3_calls={},
    )


def test_a_long_tick_is_summed_up() -> None:
    """A line for each outcome, with how many, how much and from when to when."""
    lines = tick_report.summary(report_of([RollOutcome.ROLLED] * 290 + [RollOutcome.SETTLED] * 9))
    first, last = (format_rfc3339(window_at(place).start_ms) for place in (0, 289))
    assert lines[0] == f"rolled     290 windows, 1 hour, 2,900 readings, from {first} to {last}"
    assert lines[1].startswith("settled    9 windows, 90 readings, from ")
    assert "windrow tick --all" in lines[2]
    assert len(lines) == 3


def test_a_summary_names_the_windows_in_trouble(capsys: pytest.CaptureFixture[str]) -> None:
    """Each has its line, and the command fails."""
    report = report_of([RollOutcome.ROLLED] * 30 + [RollOutcome.FAILED] * 2)
    with pytest.raises(WindrowError, match="2 windows need attention"):
        tick.show(report, is_brief=True)
    said = capsys.readouterr().out
    assert format_rfc3339(window_at(30).start_ms) in said
    assert format_rfc3339(window_at(31).start_ms) in said
    assert said.count("failed") == 3


def test_in_a_pipe_each_window_has_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """However many there are."""
    tick.show(report_of([RollOutcome.ROLLED] * 299))
    assert capsys.readouterr().out.count("\n") == 300
