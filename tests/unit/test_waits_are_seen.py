"""On a terminal, every wait of a command shows what is waited for; in a pipe it shows nothing.

The terminal is a real one, a pty. Whatever takes long is replaced by a function that looks at the terminal for a
while, and ends the command there.
"""

import os
import re
import select
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TextIO

import pytest

from infra.waiting import poll
from windrow import settings
from windrow.aws.clients import EMBEDDED, Place
from windrow.errors import WindrowError
from windrow.stage import Stage
from windrow_cli.console import err
from windrow_cli.main import _COMMANDS, run

pytestmark = pytest.mark.slow  # each imports its command

PLACE = Place(EMBEDDED, "http://127.0.0.1:1", "us-east-1")
STAGE = Stage(
    place=PLACE,
    name="dev",
    stream_name="windrow-dev",
    lake_bucket="lake",
    results_bucket="results",
    failures_bucket="failures",
    consumer_function="consumer",
    dispatcher_function="dispatcher",
    mode="direct",
    lateness_horizon_hours=168,
    stream_retention_hours=24,
)
CSV = "sensor_id,time,temperature\nroof,2026-11-20T10:00:00Z,21.4\n"
RULES = '[[rule]]\nname = "hot"\nabove = 30\n'
SECONDS_MAX = 60  # a spinner is there after a tenth of a second, unless the machine is very busy
ENGINE = "analytics.local.LocalEngine"
# The command; what takes long in it; what the terminal says meanwhile.
WAITS = [
    ("up", "infra.embedded.up", "starting the embedded stack"),
    ("down", "infra.embedded.down", "stopping the embedded stack"),
    ("status", "infra.stage_status.stage_statuses", "asking what is deployed"),
    ("tick", "windrow.deployment.find_stage", "looking for stage dev"),
    ("tick", "windrow_operations.ticks.invoke_tick", "the dispatcher closes windows"),
    ("tick --local", "windrow_operations.ticks.run_tick_here", "the dispatcher closes windows"),
    ("watch", "windrow_operations.ticks.invoke_tick", "the dispatcher closes windows"),
    ("deploy", "infra.plan.wheels_for", "packaging the functions"),
    ("deploy", "infra.adoption.choose", "looking for what an earlier stage left"),
    ("deploy", "infra.stack.prepare", "preparing stage dev"),
    ("deploy --follow", "infra.stack.follow_last_operation", "following stage dev"),
    ("destroy", "infra.destroy.plan_destruction", "looking for what belongs to stage dev"),
    ("destroy", "infra.destroy.apply", "destroying stage dev"),
    ("drift", "infra.drift.differences", "comparing stage dev"),
    ("package", "infra.wheels.fetch", "packaging for"),
    ("simulate", "windrow_operations.simulating.simulate_fleet", "simulating"),
    ("ingest readings.csv --dry-run", "producers.files.survey.survey_files", "reading the files"),
    ("ingest readings.csv --yes --retime now", "windrow_operations.ingesting.send_files", "ingesting"),
    ("ingest readings.csv --yes --backfill", "windrow_operations.ingesting.backfill_files", "backfilling"),
    ("backfill readings.csv", "windrow_operations.backfilling.find_history", "looking for the files"),
    ("backfill readings.csv --dry-run", "windrow_operations.backfilling.plan_only", "reading where they can be cut"),
    ("backfill readings.csv", "windrow_operations.backfilling.begun", "planning"),
    ("upload readings.csv", "windrow_operations.uploading.upload_file", "uploading readings.csv (1 of 1)"),
    ("query fleet", f"{ENGINE}.plain_pages", "asking DuckDB"),
    ("query --sql SELECT*FROM(SELECT(1)) --format parquet", f"{ENGINE}.pages", "asking DuckDB"),
    ("rules check rules.toml", "analytics.rules.check_rules", "reading rows"),
    ("verify", "windrow_operations.verifying.verify_stage", "verifying"),
    ("audit", "windrow_operations.auditing.audit_stage", "auditing"),
    ("dashboard --quantity humidity", f"{ENGINE}.run", "looking for the quantity"),
    ("dashboard --export x.html", "analytics.export.export", "reading the results"),
    ("replay", "windrow_operations.redelivery.replay_stage", "replaying"),
    ("redrive", "windrow_operations.redelivery.redrive_stage", "redriving"),
    ("quarantine list", "windrow.lake.quarantine_search.payloads", "reading quarantine"),
    ("quarantine show", "windrow.lake.quarantine_search.payloads", "reading quarantine"),
    ("logs", "windrow_operations.function_logs.read_logs", "reading the log"),
    ("cost --stage dev", "windrow.deployment.stage_parameters", "looking for stage dev"),
    ("gateways list", "windrow_operations.gateways.gateways", "looking for gateways"),
    ("gateways add roof --sensors a", "windrow_operations.gateways.add", "adding roof"),
    ("gateways remove roof --yes", "windrow_operations.gateways.remove", "removing roof"),
    ("users list", "windrow_operations.users.users", "asking for the users"),
    ("users add ada@example.com", "windrow_operations.users.add", "adding ada@example.com"),
    ("users remove ada@example.com --yes", "windrow_operations.users.remove", "removing ada@example.com"),
    ("policy deploy", "infra.buckets.account_of", "asking whose account this is"),
]
# What needs no network, no stack, and less than a second whatever it is given.
QUICK = {"config", "completion", "payloads"}
# Shown by tests of their own, from begin to end.
ELSEWHERE = {"demo"}


@dataclass
class Terminal:
    """A pty: `shown` is what has been written to it so far, without its colours and movements."""

    master: int
    stderr: TextIO
    text: str = ""
    seen: list[str] = field(default_factory=list)

    def shown(self) -> str:
        while select.select([self.master], [], [], 0)[0]:
            self.text += os.read(self.master, 65_536).decode()
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text)

    def slow(self, said: str) -> Callable[..., NoReturn]:
        """What takes the place of what takes long: it ends as soon as the terminal says `said`, or when time is up."""

        def take_long(*_: object, **__: object) -> NoReturn:
            poll(lambda: said in self.shown(), seconds_max=SECONDS_MAX, pause_seconds=0.01)
            self.seen.append(self.shown())
            raise WindrowError("long enough")

        return take_long


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """A terminal for standard error."""
    master, slave = os.openpty()
    with open(slave, "w", encoding="utf-8") as stderr:  # noqa: PTH123 - a descriptor, not a path
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(err, "is_interactive", True)  # rich looks once, at the import, and that was elsewhere
        yield Terminal(master, stderr)
    os.close(master)


@pytest.fixture
def at_a_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with files, and a stage that is found without asking anybody."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(settings.HOME, str(tmp_path / "home"))
    for name in (settings.STAGE, settings.TARGET, "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "readings.csv").write_text(CSV)
    (tmp_path / "rules.toml").write_text(RULES)
    monkeypatch.setattr("infra.targets.find_place", lambda *_, **__: PLACE)
    monkeypatch.setattr("windrow.deployment.find_stage", lambda *_: STAGE)


def replace_steps(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """Have the steps before the slow one succeed at once."""
    if command.startswith("deploy"):
        monkeypatch.setattr("infra.targets.identity", lambda _: "the embedded stack")
        for name in ("plan.wheels_for", "flink_application.code_for", "api_code.code_for", "adoption.choose"):
            monkeypatch.setattr(f"infra.{name}", lambda *_, **__: None)
        monkeypatch.setattr("infra.plan.plan_deployment", lambda *_, **__: Plan())
    if command.startswith(("status", "down")):
        monkeypatch.setattr("windrow_cli.place._running", lambda: True)
    if command.startswith("destroy"):
        monkeypatch.setattr("infra.destroy.plan_destruction", lambda *_, **__: Plan())


@dataclass
class Plan:
    """As much of a plan as is looked at before anything is slow."""

    stage: str = "dev"
    place: Place = PLACE


@pytest.mark.parametrize(("command", "slow", "said"), WAITS, ids=[f"{one[0]} at {one[1]}" for one in WAITS])
@pytest.mark.usefixtures("at_a_stage")
def test_a_wait_is_seen_on_a_terminal(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, command: str, slow: str, said: str
) -> None:
    """While it lasts, the terminal says what is waited for; then the error is the last line."""
    replace_steps(monkeypatch, command)
    monkeypatch.setattr(slow, terminal.slow(said))
    monkeypatch.setattr("sys.stderr", terminal.stderr)  # not in a fixture, after which pytest sets its own
    assert run(command.split()) == 1
    (seen,) = terminal.seen
    assert said in seen
    assert terminal.shown().rstrip().splitlines()[-1].endswith("error: long enough")


@pytest.mark.usefixtures("at_a_stage")
def test_a_pipe_gets_no_spinner(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A log file is not filled with its turns."""
    replace_steps(monkeypatch, "status")

    def slow(*_: object, **__: object) -> NoReturn:
        raise WindrowError("long enough")

    for command, name, _ in WAITS[:3]:
        monkeypatch.setattr(name, slow)
        assert run(command.split()) == 1
        assert capfd.readouterr().err == "error: long enough\n"


def test_every_command_has_its_wait_in_the_table() -> None:
    """So that a new one is thought of."""
    assert {command.split()[0] for command, _, _ in WAITS} | QUICK | ELSEWHERE == set(_COMMANDS)
