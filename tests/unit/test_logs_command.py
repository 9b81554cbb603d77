"""`windrow logs`, `watch` and `completion`: what the functions say, ticks without a schedule, and the tab key."""

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dispatcher.due import DueReason
from dispatcher.report import RollOutcome, TickReport, WindowReport
from infra import template
from tests.simulation.lake import window_at
from windrow.aws.clients import Place
from windrow.errors import WindrowError
from windrow.stage import Stage
from windrow_cli import logs, watch
from windrow_cli.main import run
from windrow_operations import function_logs, ticks
from windrow_operations.function_logs import OVERLAP_MS, ROLES, follow_logs, read_logs

NAMES = dict.fromkeys(Stage.__dataclass_fields__, "")
STAGE = Stage(**NAMES | {"place": Place("embedded", "http://127.0.0.1:1", "us-east-1"), "name": "dev"})  # type: ignore[arg-type]
DISPATCHER = "/aws/lambda/windrow-dev-dispatcher"
CONSUMER = "/aws/lambda/windrow-dev-consumer"


def event(time_ms: int, message: str, **more: str) -> dict[str, Any]:
    return {"timestamp": time_ms, "message": message, "logStreamName": "s", **more}


class FakeLogs:
    """CloudWatch Logs with groups of events; bounds are inclusive, as its API reference has it."""

    def __init__(self, groups: Mapping[str, list[dict[str, Any]]]) -> None:
        self.groups = dict(groups)
        self.starts: list[int] = []

    def get_paginator(self, _: str) -> "FakeLogs":
        return self

    def paginate(self, *, logGroupName: str, startTime: int, endTime: int = 2**62) -> Iterable[dict[str, Any]]:  # noqa: N803
        if logGroupName not in self.groups:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "FilterLogEvents")
        self.starts.append(startTime)
        found = [one for one in self.groups[logGroupName] if startTime <= one["timestamp"] <= endTime]
        yield {"events": found[:1]}
        yield {"events": found[1:]}


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> FakeLogs:
    fake = FakeLogs({DISPATCHER: [event(20, "b\n"), event(40, "d")], CONSUMER: [event(10, "a"), event(30, "c")]})
    monkeypatch.setattr(function_logs, "client", lambda *_: fake)
    return fake


@pytest.mark.usefixtures("kept")
def test_lines_of_all_functions_are_in_the_order_of_time() -> None:
    """From the start, which is included, to the end, which is not; a stage without fan-out has no log of it."""
    lines = read_logs(STAGE, role=None, start_ms=20, end_ms=40)
    assert [(line.time_ms, line.role, line.text) for line in lines] == [(20, "dispatcher", "b"), (30, "consumer", "c")]


@pytest.mark.usefixtures("kept")
def test_a_function_that_is_not_there_is_named() -> None:
    """When it was asked for."""
    with pytest.raises(WindrowError, match="windrow-dev-fanout"):
        read_logs(STAGE, role="fanout", start_ms=0)


def test_every_function_of_the_template_can_be_asked_for() -> None:
    """By the end of its name, in the command as in what it calls."""
    of_type = [one for one in template.load()["Resources"].values() if one["Type"] == "AWS::Serverless::Function"]
    names = {one["Properties"]["FunctionName"]["Fn::Sub"].removeprefix("windrow-${Stage}-") for one in of_type}
    assert set(ROLES) == set(logs._ROLES) == names


def test_following_shows_each_line_once(kept: FakeLogs) -> None:
    """New ones, one that comes late behind newer ones, and one that is said twice in a millisecond."""
    base = 10_000_000
    kept.groups = {DISPATCHER: [event(base, "first"), event(base, "first")]}
    later = [
        [event(base + 5, "new")],
        [event(base - OVERLAP_MS + 10, "late"), event(base + 6, "x", eventId="1"), event(base + 6, "x", eventId="2")],
        [event(base + 10 * OVERLAP_MS, "much later")],
        [],
    ]

    def wait() -> bool:
        if not later:
            return False
        kept.groups[DISPATCHER] = kept.groups[DISPATCHER] + later.pop(0)
        return True

    lines = [line.text for line in follow_logs(STAGE, role="dispatcher", start_ms=base - OVERLAP_MS, wait=wait)]
    assert lines == ["first", "first", "new", "late", "x", "x", "much later"]
    assert kept.starts[-1] == base + 9 * OVERLAP_MS  # what is long past is not read again


def test_a_line_is_described_by_what_is_its_own() -> None:
    """Level, message and fields; a line that is no JSON as it is; metrics by name."""
    line = {"level": "INFO", "message": "consumed", "service": "s", "cold_start": True, "records": 3, "shard": "x"}
    assert logs.described(json.dumps(line)) == "INFO     consumed  records=3  shard=x"
    assert logs.described("START\tRequestId: 1") == "START RequestId: 1"
    metric = {"_aws": {"CloudWatchMetrics": []}, "service": "s", "WindowsRolled": [2.0]}
    assert logs.described(json.dumps(metric)).split() == ["metrics", "WindowsRolled=[2.0]"]
    assert logs.described("[1]") == "[1]"


def test_logs_prints_lines(kept: FakeLogs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """For people with the function; for programs an object each, with the text as it was logged."""
    monkeypatch.setattr(logs, "open_stage", lambda _: STAGE)
    kept.groups = {DISPATCHER: [event(1_795_000_000_000, "\x1b[2Jbad")]}
    assert run(["logs", "--from", "2026-01-01T00:00:00Z"]) == 0
    assert capsys.readouterr().out == "2026-11-18T11:06:40.000Z  dispatcher  \\x1b[2Jbad\n"
    assert run(["logs", "--from", "2026-01-01T00:00:00Z", "--format", "json"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line == {"time": "2026-11-18T11:06:40.000Z", "function": "dispatcher", "text": "\x1b[2Jbad"}


def test_watch_ticks_again_and_again_and_shows_what_changes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not the settled ones; a tick that cannot do a window goes on with the next."""
    asked: list[str] = []

    def invoke(_: Stage, tick: dict[str, Any]) -> TickReport:
        asked.append(tick["time"])
        outcomes = ([RollOutcome.ROLLED, RollOutcome.SETTLED], [RollOutcome.FAILED], [RollOutcome.SETTLED])
        windows = tuple(
            WindowReport(window=window_at("10:00"), reasons=(DueReason.RECENT,), outcome=one)
            for one in outcomes[len(asked) - 1]
        )
        return TickReport(scheduled_time_ms=0, windows=windows, s3_calls={})

    pauses: list[float] = []
    monkeypatch.setattr(ticks, "invoke_tick", invoke)
    monkeypatch.setattr(watch, "open_stage", lambda _: STAGE)
    monkeypatch.setattr("time.sleep", pauses.append)
    assert run(["watch", "--every", "7", "--ticks", "3"]) == 0
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()] == ["rolled", "failed"]
    assert pauses == [7, 7]
    assert len(asked) == 3
    monkeypatch.setattr("time.sleep", interrupted)
    monkeypatch.setattr(ticks, "invoke_tick", lambda *_: TickReport(scheduled_time_ms=0, windows=(), s3_calls={}))
    assert run(["watch"]) == 0
    assert run(["watch", "--target", "aws"]) == 2


def interrupted(_: float) -> None:
    """What Ctrl-C does to a pause."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_of_the_shell(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    """That names the command; where the shell is there, it can parse it."""
    assert run(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "windrow" in script
    assert "_WINDROW_COMPLETE" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True, timeout=60)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("windrow que", "query"),
        ("windrow query fl", "fleet"),
        ("windrow query fleet --fo", "--format"),
        ("windrow query fleet --format j", "json"),
        ("windrow status --target l", "localstack"),
    ],
)
def test_the_tab_key_completes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, expected: str
) -> None:
    """Commands, presets, options and the words they take, as bash asks for them."""
    monkeypatch.setenv("_WINDROW_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    with pytest.raises(SystemExit):
        run([])
    assert capsys.readouterr().out.splitlines() == [f"plain,{expected}"]
