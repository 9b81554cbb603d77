"""What the demo proposes to type next works in the shell that it was typed in; and how it draws and counts."""

from pathlib import Path

import pytest

from dispatcher.report import DueReason, RollOutcome, TickReport, WindowReport
from windrow.window import WINDOW_MS, Window
from windrow_cli.demo import as_called, options_of_stage, rolled, sparkline


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command in an environment that is not on the PATH."""
    path = tmp_path / "venv" / "bin" / "windrow"
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setattr("sys.argv", [str(path), "demo"])
    return path


def test_a_path_that_was_typed_is_typed_again(script: Path) -> None:
    """As by `make demo`, which activates nothing; also if the PATH has the command of another environment."""
    assert as_called() == str(script)
    other = script.parents[2] / "windrow"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    assert as_called() == str(script)


def test_the_name_is_enough_on_the_path(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an environment that is active."""
    monkeypatch.setenv("PATH", str(script.parent))
    assert as_called() == "windrow"


@pytest.mark.parametrize(
    ("prefix", "typed"),
    [("/home/me/.cache/uv/archive-v0/Xy", "uvx windrow"), ("/home/me/fleet/.venv", "uv run windrow")],
)
def test_what_uv_runs_is_run_by_it_again(
    script: Path, monkeypatch: pytest.MonkeyPatch, prefix: str, typed: str
) -> None:
    """It puts the command on a PATH of its own, which ends with it."""
    monkeypatch.setenv("PATH", str(script.parent))
    monkeypatch.setenv("UV", "/home/me/.local/bin/uv")
    monkeypatch.setattr("sys.prefix", prefix)
    assert as_called() == typed


@pytest.mark.parametrize(
    ("environment", "file", "options"),
    [
        ({}, None, "--stage demo"),
        ({"WINDROW_STAGE": "prod"}, 'stage = "prod"', "--stage demo"),
        ({"WINDROW_TARGET": "aws"}, None, "--stage demo --target embedded"),
        ({}, 'target = "localstack"', "--stage demo --target embedded"),
    ],
)
def test_its_stage_is_found_whatever_else_is_chosen(
    tmp_path: Path, environment: dict[str, str], file: str | None, options: str
) -> None:
    """By the environment, or a file in the folder, which all other commands heed."""
    if file is not None:
        (tmp_path / "windrow.toml").write_text(file)
    assert options_of_stage(environment | {"HOME": str(tmp_path)}, folder=tmp_path) == options


@pytest.mark.parametrize(
    ("readings", "said"),
    [
        ([0, 0, 0, 5, 7], "2 windows rolled; 3 before them have no readings"),
        ([5, 7], "2 windows rolled"),
        ([], "0 windows rolled"),
    ],
)
def test_windows_without_readings_are_counted_apart(readings: list[int], said: str) -> None:
    """So that the number is that of the table below it; settled windows were rolled before."""
    windows = [
        WindowReport(
            window=Window(number * WINDOW_MS),
            reasons=(DueReason.NEW,),
            outcome=outcome,
            readings=count,
            revision=1,
        )
        for number, (outcome, count) in enumerate(
            [(RollOutcome.SETTLED, 9), *((RollOutcome.ROLLED, count) for count in readings)]
        )
    ]
    assert rolled(TickReport(scheduled_time_ms=0, windows=tuple(windows), s3_calls={})) == said


def test_a_line_of_bars_has_the_lowest_and_the_highest() -> None:
    """One character for each value; equal values are all low."""
    assert sparkline([1.0, 2.0, 3.0]) == "▁▅█"
    assert sparkline([2.0, 2.0]) == "▁▁"
