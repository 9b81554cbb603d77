"""The embedded stack comes and goes without a trace, and stages come and go in it."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from infra import child_process, destroy, embedded
from infra import stack as stacks
from infra.embedded import Embedded
from infra.plan import DeploymentOptions, DeploymentPlan, plan_deployment
from infra.stack import DeploymentResult
from infra.stack_events import StackEvent
from windrow import settings
from windrow.aws.clients import Place, client
from windrow.deployment import find_stage
from windrow.errors import WindrowError
from windrow.lake import layout
from windrow.stage import Stage
from windrow_cli import deploy as deploy_cli
from windrow_cli import place as place_cli

# A resource that is refused while the stack is being made, when others stand already.
BROKEN = """
Resources:
  Broken:
    Type: AWS::KMS::Alias
    DependsOn: Stream
    Properties: {AliasName: nonsense, TargetKeyId: nobody}
"""
START = """
import sys
from pathlib import Path
from infra import embedded
embedded.up(Path(sys.argv[1]), port=int(sys.argv[2]))
"""


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Path]:
    """A home for a stack of the test's own; whatever the test starts there is stopped."""
    folder = tmp_path / "home"
    yield folder
    embedded.down(folder)


@pytest.fixture
def cli(home: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a command against the session's stack; returns what it prints on stdout."""
    monkeypatch.setenv(settings.HOME, str(home))

    def run(command, *arguments: str) -> str:
        result = CliRunner().invoke(command, arguments, catch_exceptions=False, standalone_mode=False)
        return result.stdout

    return run


def ignore(event: StackEvent) -> None:
    """Show no progress."""


def deploy(plan: DeploymentPlan) -> DeploymentResult:
    """Carry out a plan without showing anything."""
    return stacks.apply(plan, ignore)


def members(running: Embedded) -> list[int]:
    """The living processes of the stack's group: the emulator and its function workers."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            state, _, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(group) == running.process.pid and state not in "ZX":
            found.append(int(entry.name))
    return found


def is_taken(port: int) -> bool:
    """Whether somebody listens on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_second_up_is_harmless(home: Path):
    """A running stack is left alone: the same process, the same port."""
    before = embedded.status(home)
    assert embedded.up(home) == before


def test_taken_port_gives_another_one(own_home: Path):
    """Somebody else's port is not touched; the stack takes a free one and answers there."""
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        somebody.listen()
        taken = somebody.getsockname()[1]
        running = embedded.up(own_home, port=taken)
        assert running.port != taken
        assert embedded.is_healthy(running)


def test_stacks_that_start_at_once_do_not_mix_up(tmp_path: Path):
    """Two homes want the same port at the same moment: each ends up with a server of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    homes = [tmp_path / "one", tmp_path / "two"]
    starters = [subprocess.Popen([sys.executable, "-c", START, str(folder), str(port)]) for folder in homes]
    try:
        assert [starter.wait(timeout=60) for starter in starters] == [0, 0]
        running = [embedded.status(folder) for folder in homes]
        assert all(one is not None and embedded.is_healthy(one) for one in running)
        assert len({one.port for one in running if one is not None}) == 2
    finally:
        assert [embedded.down(folder) for folder in homes] == [True, True]


def test_only_the_loopback_interface_listens(home: Path):
    """No port is open to the network."""
    running = embedded.status(home)
    assert running is not None
    sockets = {str(link.readlink()) for link in Path(f"/proc/{running.process.pid}/fd").iterdir() if link.is_symlink()}
    listening = [
        fields[1]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for fields in (line.split() for line in Path(table).read_text().splitlines()[1:])
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets
    ]
    assert listening == [f"0100007F:{running.port:04X}"]


def test_down_leaves_nothing(own_home: Path):
    """With functions at work: afterwards no process, no port, no file; and a second down finds nothing."""
    running = embedded.up(own_home, port=0)
    deployed = deploy(plan_deployment(embedded.place(own_home), "dev", DeploymentOptions(is_scheduled=False))).stage
    client("lambda", deployed.place).invoke(FunctionName=deployed.consumer_function, Payload=b'{"Records": []}')
    assert len(members(running)) > 1  # the emulator and a worker
    assert embedded.down(own_home)
    assert members(running) == []
    assert not is_taken(running.port)
    assert not own_home.exists()
    assert not embedded.down(own_home)


def test_down_keeps_what_is_not_its_own(own_home: Path):
    """Another file in the home survives."""
    embedded.up(own_home, port=0)
    (own_home / "notes.txt").write_text("mine")
    embedded.down(own_home)
    assert [path.name for path in own_home.iterdir()] == ["notes.txt"]


def test_up_after_a_crash_starts_anew(own_home: Path):
    """A stack that was killed leaves a state behind that fools nobody."""
    crashed = embedded.up(own_home, port=0)
    os.killpg(crashed.process.pid, signal.SIGKILL)
    while child_process.is_running(crashed.process):
        time.sleep(0.01)
    assert embedded.status(own_home) is None
    with pytest.raises(WindrowError, match="not running"):
        embedded.place(own_home)
    assert embedded.up(own_home, port=0).process != crashed.process


def test_stack_that_cannot_start_says_why(own_home: Path, monkeypatch: pytest.MonkeyPatch):
    """The emulator's own last words are in the error, and nothing is left running."""
    monkeypatch.setenv("PYTHONHOME", str(own_home / "nowhere"))
    with pytest.raises(WindrowError, match="ended at once: ") as caught:
        embedded.up(own_home, port=0)
    assert "\n" not in caught.value.message
    assert embedded.status(own_home) is None


def test_functions_do_not_see_the_users_aws_settings(monkeypatch: pytest.MonkeyPatch, own_home: Path):
    """Profiles, keys and proxies of the user stay out of the emulator and its workers."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "HTTP_PROXY", "AWS_ENDPOINT_URL"):
        monkeypatch.setenv(name, "secret-of-the-user")
    running = embedded.up(own_home, port=0)
    assert b"secret-of-the-user" not in Path(f"/proc/{running.process.pid}/environ").read_bytes()


def test_deploy_twice_changes_nothing(place: Place, stack: Stage):
    """The second deployment uploads nothing, changes nothing, and finds the same resources."""
    again = deploy(plan_deployment(place, stack.name, DeploymentOptions()))
    assert not again.is_changed
    assert again.uploaded == ()
    assert again.stage == stack


def test_update_keeps_stream_data_and_mapping(place: Place):
    """Changing the mode keeps the stream's records, the buckets, and the mapping with its place in the stream."""
    before = deploy(plan_deployment(place, "update", DeploymentOptions(shard_count=1, is_scheduled=False))).stage
    client("kinesis", place).put_record(StreamName=before.stream_name, Data=reading_of_now(), PartitionKey="cellar")
    mapping = mapping_of(before)
    changed = deploy(plan_deployment(place, "update", DeploymentOptions(mode="fanout")))
    assert changed.is_changed
    assert changed.stage == dataclasses.replace(before, mode="fanout")
    after = mapping_of(changed.stage)
    assert after["UUID"] == mapping["UUID"]
    assert after["FunctionArn"].endswith(":windrow-update-fanout:live")
    assert len(records_of(changed.stage)) == 1
    destroy.apply(destroy.plan_destruction(place, "update", deletes_data=True), ignore)


def test_failed_deployment_names_resource_and_reason(place: Place):
    """The error is one line with the culprit; the next stage clears the failed shell away and succeeds."""
    plan = plan_deployment(place, "failing", DeploymentOptions(is_scheduled=False))
    broken = dataclasses.replace(plan, template=plan.template.replace("\nResources:\n", BROKEN))
    events: list[StackEvent] = []
    with pytest.raises(WindrowError) as caught:
        stacks.apply(broken, events.append)
    assert caught.value.message.startswith("Broken (AWS::KMS::Alias) failed: ")
    assert "must begin with alias/" in caught.value.message
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("stack windrow-failing is ROLLBACK_COMPLETE: a first deployment failed")
    assert "windrow deploy --stage failing" in caught.value.hint
    assert "\n" not in caught.value.message
    events.clear()
    assert stacks.apply(plan, events.append).is_changed
    ends = [event.status for event in events if event.is_end_of_stack]
    assert ends == ["DELETE_COMPLETE", "CREATE_COMPLETE"]  # AWS would not update a stack that never came up
    destroy.apply(destroy.plan_destruction(place, "failing", deletes_data=True), ignore)


def test_refused_template_is_one_line(place: Place):
    """A template that is refused at once: one line, and no stack appears."""
    plan = plan_deployment(place, "refused", DeploymentOptions())
    broken = dataclasses.replace(plan, template=plan.template.replace("AWS::Kinesis::Stream", "AWS::Nonsense::Stream"))
    with pytest.raises(WindrowError, match="AWS::Nonsense::Stream") as caught:
        deploy(broken)
    assert "\n" not in caught.value.message
    assert stacks.describe(place, "windrow-refused") == {}


def test_destroy_removes_stage_and_data(place: Place):
    """Afterwards the stage is not found, its buckets are gone, and destroying it again is a one-line error."""
    deployed = deploy(plan_deployment(place, "shortlived", DeploymentOptions(shard_count=1, is_scheduled=False))).stage
    s3 = client("s3", place)
    for number in range(3):
        s3.put_object(Bucket=deployed.lake_bucket, Key=f"partials/{number}", Body=b"x")
    planned = destroy.plan_destruction(place, "shortlived", deletes_data=True)
    names = {bucket.name for bucket in planned.owned.buckets}
    assert names == {deployed.lake_bucket, deployed.results_bucket, deployed.failures_bucket}
    destroy.apply(planned, ignore)
    with pytest.raises(WindrowError, match="no stage 'shortlived' is deployed"):
        find_stage(place, "shortlived")
    left = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    assert not left & names
    with pytest.raises(WindrowError, match="no stage 'shortlived' is deployed"):
        destroy.plan_destruction(place, "shortlived", deletes_data=True)


def test_stages_live_side_by_side(place: Place, stack: Stage):
    """Two stages share no resource."""
    other = deploy(plan_deployment(place, "other", DeploymentOptions(shard_count=1, is_scheduled=False))).stage
    names = ("stream_name", "lake_bucket", "results_bucket", "failures_bucket", "consumer_function")
    assert not [name for name in names if getattr(other, name) == getattr(stack, name)]
    destroy.apply(destroy.plan_destruction(place, "other", deletes_data=True), ignore)
    assert find_stage(place, stack.name) == stack


def test_record_put_into_the_stream_becomes_a_partial(place: Place):
    """The deployed mapping, function, role and bucket are wired: a reading arrives in the lake."""
    deployed = deploy(plan_deployment(place, "wired", DeploymentOptions(shard_count=1, is_scheduled=False))).stage
    client("kinesis", place).put_record(StreamName=deployed.stream_name, Data=reading_of_now(), PartitionKey="cellar")
    deadline = time.monotonic() + 30
    arrived = 0
    while not arrived and time.monotonic() < deadline:
        listed = client("s3", place).list_objects_v2(Bucket=deployed.lake_bucket, Prefix=layout.PARTIALS)
        arrived = listed["KeyCount"]
        time.sleep(0.1)
    assert arrived == 1
    destroy.apply(destroy.plan_destruction(place, "wired", deletes_data=True), ignore)


def test_status_shows_the_stage(cli, stack: Stage):
    """In JSON for programs, in lines for people."""
    shown = json.loads(cli(place_cli.status, "--format", "json"))
    assert shown["place"]["endpoint_url"] == stack.place.endpoint_url
    (facts,) = [one for one in shown["stages"] if one["stage"] == stack.name]
    assert (facts["stream"], facts["shards"], facts["mapping"]) == (stack.stream_name, 2, "Enabled")
    assert f"stage {stack.name}: CREATE_COMPLETE" in cli(place_cli.status)


def test_dry_run_does_nothing(cli, place: Place):
    """The plan is printed and no stack appears."""
    printed = cli(deploy_cli.deploy, "--stage", "never", "--dry-run")
    assert "deploy stack windrow-never" in printed
    assert stacks.describe(place, "windrow-never") == {}


def test_commands_deploy_and_destroy_a_stage(cli, place: Place):
    """The whole way by command: deployed, up to date, shown before it goes, gone."""
    assert "stage bycommand is deployed" in cli(deploy_cli.deploy, "--stage", "bycommand", "--no-schedule")
    assert "stage bycommand is up to date" in cli(deploy_cli.deploy, "--stage", "bycommand")
    assert "delete stack windrow-bycommand" in cli(deploy_cli.destroy, "--stage", "bycommand", "--dry-run")
    assert find_stage(place, "bycommand").name == "bycommand"
    assert "stage bycommand is destroyed" in cli(deploy_cli.destroy, "--stage", "bycommand")
    assert stacks.describe(place, "windrow-bycommand") == {}


def test_commands_bring_the_stack_up_and_down(own_home: Path, monkeypatch: pytest.MonkeyPatch):
    """`up`, `up` again, `down`, `down` again: each says what it found."""
    monkeypatch.setenv(settings.HOME, str(own_home))
    runner = CliRunner()
    said = [
        runner.invoke(command, arguments, catch_exceptions=False).stdout
        for command, arguments in (
            (place_cli.up, ["--port", "4599"]),
            (place_cli.up, []),
            (place_cli.down, []),
            (place_cli.down, []),
            (place_cli.status, []),
        )
    ]
    assert "stack runs at http://127.0.0.1:" in said[0]
    assert "runs already at" in said[1]
    assert "stopped" in said[2]
    assert "no embedded stack was running" in said[3]
    assert "not running" in said[4]


def reading_of_now() -> bytes:
    """One reading on the wire, of this moment."""
    return json.dumps({"sensor_id": "cellar", "event_time": time.time_ns() // 1_000_000, "temperature": 8.25}).encode()


def mapping_of(deployed: Stage) -> dict:
    """The stage's event source mapping."""
    mappings = client("lambda", deployed.place).list_event_source_mappings()["EventSourceMappings"]
    (found,) = [one for one in mappings if one["EventSourceArn"].endswith(f"stream/{deployed.stream_name}")]
    return found


def records_of(deployed: Stage) -> list[dict]:
    """Everything in the stage's stream."""
    kinesis = client("kinesis", deployed.place)
    records = []
    for shard in kinesis.list_shards(StreamName=deployed.stream_name)["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName=deployed.stream_name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records += kinesis.get_records(ShardIterator=iterator)["Records"]
    return records
