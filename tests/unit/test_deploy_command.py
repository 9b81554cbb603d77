"""`windrow deploy`: what it shows and when it asks. Stacks are stood in for; see tests/emulator for real ones."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from infra import adoption, embedded, stack
from infra.changes import Change, ChangeRequest, ChangeSet, Effect
from infra.plan import DeploymentPlan, parse_parameters
from infra.resharding import RestoredShards
from infra.stack import DeploymentResult, OnUpdate, PreparedDeployment
from infra.stack_events import OnEvent, StackEvent
from windrow.aws.clients import EMBEDDED, Place
from windrow.errors import UsageError
from windrow.stage import Stage
from windrow_cli import console
from windrow_cli.deploy import deploy
from windrow_cli.main import windrow

PLACE = Place(EMBEDDED, "http://127.0.0.1:1", "us-east-1")
STAGE = Stage(
    place=PLACE,
    lateness_horizon_hours=168,
    stream_retention_hours=24,
    partials_retention_days=30,
    name="dev",
    stream_name="windrow-dev",
    lake_bucket="lake",
    results_bucket="results",
    failures_bucket="failed",
    consumer_function="consumer",
    dispatcher_function="dispatcher",
    database="",
    workgroup="",
    mode="direct",
)
REPLACED = Change(resource="Stream", resource_type="AWS::Kinesis::Stream", effect=Effect.REPLACE, because=("Name",))
END = StackEvent(
    event_id="9",
    resource="windrow-dev",
    resource_type="AWS::CloudFormation::Stack",
    status="UPDATE_COMPLETE",
    reason="",
)
CHANGED = Change(resource="ConsumerRole", resource_type="AWS::IAM::Role", effect=Effect.MODIFY)


@dataclass
class Stack:
    """A stack that would change as it is told, and remembers what was done to it."""

    changes: tuple[Change, ...] = ()
    is_new: bool = False
    before: tuple[dict[str, str], ...] = ()
    done: list[str] = field(default_factory=list)
    restored: RestoredShards | None = None

    def prepare(self, plan: DeploymentPlan, _: Callable[[StackEvent], None]) -> PreparedDeployment:
        found = ChangeSet(change_set_id="1", is_new_stack=self.is_new, changes=self.changes) if self.changes else None
        request = ChangeRequest(parameters=[])
        return PreparedDeployment(plan=plan, uploaded=(), change_set=found, request=request, updates_before=self.before)

    def execute(self, prepared: PreparedDeployment, _: OnEvent, on_update: OnUpdate) -> DeploymentResult:
        for update in prepared.updates_before:
            on_update(update)
        self.done.append("executed")
        is_changed = prepared.change_set is not None
        return DeploymentResult(stage=STAGE, uploaded=(), is_changed=is_changed, restored_shards=self.restored)

    def discard(self, _: PreparedDeployment) -> None:
        self.done.append("discarded")

    def describe(self, _place: Place, _name: str) -> dict[str, str]:
        return {}

    def follow_last_operation(self, _: Place, stage: str, on_event: Callable[[StackEvent], None]) -> StackEvent:
        self.done.append(f"followed {stage}")
        on_event(END)
        return END


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """Run `windrow deploy` against a Stack."""

    def run(stands_in: Stack, *arguments: str, answer: str = "", is_terminal: bool = True) -> Result:
        monkeypatch.setattr(embedded, "place", lambda _: PLACE)
        monkeypatch.setattr(console, "is_terminal", lambda: is_terminal)
        for name in ("prepare", "execute", "discard", "describe", "follow_last_operation"):
            monkeypatch.setattr(stack, name, getattr(stands_in, name))
        monkeypatch.setattr(adoption, "choose", lambda *_, **__: None)
        environment = {"WINDROW_HOME": str(tmp_path), "WINDROW_TARGET": "embedded"}
        return CliRunner().invoke(deploy, arguments, input=answer, env=environment)

    return run


@pytest.mark.slow
def test_replacement_is_shown_and_asked_for(run: Callable[..., Result]) -> None:
    """Anything but yes leaves everything as it is."""
    for answer in ("n\n", "", "\n"):
        refused = Stack(changes=(REPLACED, CHANGED))
        result = run(refused, answer=answer)
        assert result.exit_code == 1
        assert "replace Stream (AWS::Kinesis::Stream): Name" in result.stderr
        assert "1 of these changes replace or remove something" in result.stderr
        assert refused.done == ["discarded"]


@pytest.mark.slow
def test_without_a_terminal_a_loss_is_refused_and_yes_is_named(run: Callable[..., Result]) -> None:
    """A pipeline neither hangs at a question nor is told only that it was aborted; everything stays as it is."""
    refused = Stack(changes=(REPLACED,))
    result = run(refused, answer="y\n", is_terminal=False)
    assert isinstance(result.exception, UsageError)
    assert "1 of these changes replace or remove something" in result.exception.message
    assert "--yes" in result.exception.hint
    assert refused.done == ["discarded"]
    agreed = Stack(changes=(REPLACED,))
    assert run(agreed, "--yes", is_terminal=False).exit_code == 0
    assert agreed.done == ["executed"]


@pytest.mark.slow
def test_the_place_is_named_before_anything_is_done(run: Callable[..., Result]) -> None:
    """The first line, so that a wrong profile is seen while it can still be interrupted."""
    assert run(Stack(changes=(CHANGED,))).stderr.splitlines()[0] == "the embedded stack at http://127.0.0.1:1"


@pytest.mark.slow
def test_steps_on_the_way_are_said_before_and_while_they_are_made(run: Callable[..., Result]) -> None:
    """Each takes some minutes, so it is no surprise that there are several."""
    stands_in = Stack(changes=(CHANGED,), before=({"ShardCount": "4"},))
    lines = run(stands_in, "--shards", "8").stderr.splitlines()
    assert "the shards change in steps, each of some minutes: 4, 8" in lines
    assert "first: ShardCount = 4" in lines


@pytest.mark.slow
def test_shards_that_were_reset_are_told_of(run: Callable[..., Result]) -> None:
    """Whether they are set back, or why not."""
    reset = RestoredShards(had=4, found=2)
    for restored, after in ((reset, "they are being set back."), (replace(reset, refusal="ten"), "set back: ten.")):
        text = " ".join(run(Stack(changes=(CHANGED,), restored=restored)).stderr.split())
        assert "CloudFormation changed the 4 shards of the scaled stream to 2; " in text
        assert after in text
    assert "shards" not in run(Stack(changes=(CHANGED,))).stderr


@pytest.mark.slow
def test_an_interrupted_deployment_says_how_to_follow_it(run: Callable[..., Result]) -> None:
    """CloudFormation goes on without the command."""

    class Interrupted(Stack):
        def execute(self, *_) -> DeploymentResult:
            raise KeyboardInterrupt

    result = run(Interrupted(changes=(CHANGED,)), "--stage", "test")
    assert result.exit_code != 0
    assert "CloudFormation goes on; follow it with: windrow deploy --follow --stage test" in result.stderr


def test_follow_changes_nothing_and_says_how_it_ended(run: Callable[..., Result]) -> None:
    """Neither packages nor change sets are made; what would change something is refused."""
    stands_in = Stack(changes=(REPLACED,))
    result = run(stands_in, "--follow", "--stage", "test")
    assert stands_in.done == ["followed test"]
    assert result.stdout == "stage test: UPDATE_COMPLETE\n"
    for options in (["--shards", "4"], ["--set", "LogLevel=DEBUG"], ["--no-schedule"], ["--dry-run"]):
        refused = Stack()
        assert isinstance(run(refused, "--follow", *options).exception, UsageError)
        assert refused.done == []


@pytest.mark.slow
def test_yes_goes_on(run: Callable[..., Result]) -> None:
    """Said at the question, or before."""
    for arguments, answer in (((), "y\n"), (("--yes",), "")):
        agreed = Stack(changes=(REPLACED,))
        result = run(agreed, *arguments, answer=answer)
        assert result.exit_code == 0, result.stderr
        assert agreed.done == ["executed"]


@pytest.mark.slow
@pytest.mark.parametrize("stands_in", [Stack(changes=(CHANGED,)), Stack(changes=(REPLACED,), is_new=False), Stack()])
def test_only_losses_are_asked_for(run: Callable[..., Result], stands_in: Stack) -> None:
    """A change that takes nothing away goes on by itself; each is shown."""
    result = run(stands_in)
    assert ("Go on?" in result.stderr) == (REPLACED in stands_in.changes)
    for change in stands_in.changes:
        assert str(change) in result.stderr


@pytest.mark.slow
def test_nothing_to_do_is_said(run: Callable[..., Result]) -> None:
    """No change set, no change."""
    assert "stage dev is up to date" in run(Stack()).stdout


@pytest.mark.slow
def test_losses_are_red(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, what goes is red and the rest is not."""
    console = Console(stderr=True, highlight=False, soft_wrap=True, force_terminal=True, color_system="standard")
    monkeypatch.setattr("windrow_cli.deploy.err", console)
    shown = run(Stack(changes=(REPLACED, CHANGED)), "--yes").stderr
    assert f"\x1b[31m{REPLACED}\x1b[0m" in shown
    assert f"\x1b[31m{CHANGED}" not in shown


def test_parameters_are_set_by_name() -> None:
    """Those of the template that are not decided elsewhere."""
    assert parse_parameters(("LogLevel=DEBUG", "AlarmEmail=a@b=c")) == {"LogLevel": "DEBUG", "AlarmEmail": "a@b=c"}
    with pytest.raises(UsageError, match="is not NAME=VALUE"):
        parse_parameters(("LogLevel",))
    for name in ("Nonsense", "Stage", "ConsumerCodeKey"):
        with pytest.raises(UsageError, match=f"{name!r} is not a parameter you can set"):
            parse_parameters((f"{name}=1",))


def test_every_command_that_talks_to_a_stack_takes_a_target() -> None:
    """One set of options for all of them, wherever a stage can be named."""
    context = click.Context(windrow)
    taking = set()
    for name in windrow.list_commands(context):
        command = windrow.get_command(context, name)
        subcommands = command.commands.values() if isinstance(command, click.Group) else [command]
        for one in subcommands:
            assert one is not None
            options = {option for parameter in one.params for option in parameter.opts}
            has_target = {"--target", "--region", "--profile"} <= options
            assert has_target or "--stage" not in options, name
            taking |= {name} if has_target else set()
    assert {"deploy", "destroy", "drift", "status", "simulate", "tick", "query", "verify", "replay"} <= taking
