"""A stage's whole life by the `windrow` command alone, in both modes, on the embedded stack and on LocalStack."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import embedded
from infra.mapping import mappings_of
from infra.release import ALIAS
from infra.wheels import CACHE_FOLDER, Platform
from tests.emulator.by_command import COMMAND_SECONDS_MAX, Windrow, new_stage, rfc3339_minutes_ago, states
from windrow import settings
from windrow.aws.clients import DEFAULT_REGION, EMBEDDED, LOCALSTACK, Place, client

COMPOSE = Path(__file__).resolve().parent.parent.parent / "docker-compose.yml"
SENSORS = 20
MODES = ("direct", "fanout")


@pytest.fixture
def embedded_windrow(home: Path) -> Windrow:
    """The command at the session's embedded stack."""
    return Windrow(home, EMBEDDED, new_stage())


@pytest.fixture
def localstack_windrow(tmp_path: Path, wheel_cache: Path, localstack_endpoint: str) -> Windrow:
    """The command at a LocalStack; wheels come from the tests' cache."""
    (tmp_path / CACHE_FOLDER).symlink_to(wheel_cache)
    return Windrow(tmp_path, LOCALSTACK, new_stage(), {settings.AWS_ENDPOINT_URL: localstack_endpoint})


@pytest.mark.parametrize("mode", MODES)
def test_a_stage_lives_on_the_embedded_stack(embedded_windrow: Windrow, mode: str) -> None:
    """Deployed, used, updated, compared with its template, destroyed."""
    live(embedded_windrow, mode)
    assert "matches its template" in embedded_windrow("drift")
    sns = client("sns", embedded.place(embedded_windrow.home))
    topics = [one["TopicArn"] for one in sns.list_topics()["Topics"]]
    (topic,) = [arn for arn in topics if f"windrow-{embedded_windrow.stage}-alarms" in arn]
    sns.set_topic_attributes(TopicArn=topic, AttributeName="DisplayName", AttributeValue="by hand")
    assert "AlarmTopic (AWS::SNS::Topic) /DisplayName: by hand, not windrow" in embedded_windrow("drift", code=1)
    leave(embedded_windrow)


@pytest.mark.parametrize("mode", MODES)
def test_a_stage_lives_on_localstack(localstack_windrow: Windrow, mode: str) -> None:
    """The same way; its functions run from the packages, with their wheels, on the Python that the template names."""
    live(localstack_windrow, mode)
    leave(localstack_windrow)


def test_the_command_of_the_deploying_container_works_on_ministack(
    place: Place, tmp_path: Path, wheel_cache: Path
) -> None:
    """What docker-compose.yml runs, run here: deploys to a stack known by its endpoint alone, simulates and asks."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" != Platform().python:
        pytest.skip(f"MiniStack runs functions with its own Python, and their wheels are for {Platform()}")
    assert place.endpoint_url is not None
    deploy_as_the_container_does(place.endpoint_url, tmp_path, wheel_cache)


def test_the_command_of_the_deploying_container_works_on_localstack(
    localstack_endpoint: str, tmp_path: Path, wheel_cache: Path
) -> None:
    """The same command, whose functions run on the Python that the template names."""
    deploy_as_the_container_does(localstack_endpoint, tmp_path, wheel_cache)


def deploy_as_the_container_does(endpoint: str, home: Path, wheel_cache: Path) -> None:
    """Run the service's command in `home`, see that no row differs, and destroy what it deployed."""
    service = yaml.safe_load(COMPOSE.read_text())["services"]["windrow"]
    (home / CACHE_FOLDER).symlink_to(wheel_cache)
    stage = new_stage()
    own = {settings.HOME: str(home), settings.STAGE: stage, settings.AWS_ENDPOINT_URL: endpoint}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        service["command"],
        env=os.environ | service["environment"] | own | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS_MAX,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "lost 0, duplicated 0, wrong 0" in ended.stdout
    Windrow(home, LOCALSTACK, stage, own)("destroy")


def test_the_emulators_container_runs_what_the_embedded_stack_runs() -> None:
    """The mended MiniStack, bound to the container's own network and published on loopback."""
    service = yaml.safe_load(COMPOSE.read_text())["services"]["ministack"]
    assert service["command"] == ["python", "-m", "infra.mended_ministack"]
    assert embedded.COMMAND[1:] == ("-m", "infra.mended_ministack")


def live(windrow: Windrow, mode: str) -> None:
    """From the first deployment over readings and rows to an update that loses nothing and keeps the mode."""
    first = ("deploy", "--mode", mode, "--no-schedule", "--set", "BatchingWindowSeconds=0")
    assert f"stage {windrow.stage} is deployed" in windrow(*first)
    assert f"stage {windrow.stage} is up to date" in windrow("deploy")

    start, middle, end = (rfc3339_minutes_ago(minutes) for minutes in (75, 65, 60))  # all of them can be closed
    fleet = ("simulate", "--sensors", str(SENSORS), "--wait")
    windrow(*fleet, "--from", start, "--to", middle, "--duplicates", "0.05")
    assert "rolled" in windrow("tick")
    rows = json.loads(windrow("query", "fleet", "--from", start, "--to", end, "--format", "json"))
    assert [row["sensors"] for row in rows] == [SENSORS, SENSORS]
    assert "lost 0, duplicated 0, wrong 0" in windrow("verify")

    before = called(windrow)
    assert f"stage {windrow.stage} is deployed" in windrow("deploy", "--set", "LogLevel=DEBUG")
    after = called(windrow)
    assert {one["Environment"]["Variables"]["POWERTOOLS_LOG_LEVEL"] for one in before.values()} == {"INFO"}
    assert {one["Environment"]["Variables"]["POWERTOOLS_LOG_LEVEL"] for one in after.values()} == {"DEBUG"}
    assert {one["Version"].isdecimal() for one in after.values()} == {windrow.target == EMBEDDED}
    windrow(*fleet, "--from", middle, "--to", end, "--seed", "8")
    windrow("tick")
    assert "lost 0, duplicated 0, wrong 0" in windrow("verify")
    assert states(windrow) == [(mode, "Enabled")]


def called(windrow: Windrow) -> dict[str, dict[str, Any]]:
    """What the stream, the schedule, the fan-out and the command call, by its name: a version that an alias names.

    On LocalStack, which has no aliases, it is the function as it is now.
    """
    place = stack_place(windrow)
    functions = client("lambda", place)
    stack = client("cloudformation", place).describe_stacks(StackName=f"windrow-{windrow.stage}")["Stacks"][0]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
    stream = client("kinesis", place).describe_stream_summary(StreamName=outputs["StreamName"])
    (mapping,) = mappings_of(place, stream["StreamDescriptionSummary"]["StreamARN"])
    (rule,) = client("events", place).list_rules(NamePrefix=f"windrow-{windrow.stage}-")["Rules"]
    (target,) = client("events", place).list_targets_by_rule(Rule=rule["Name"])["Targets"]
    names = [mapping["FunctionArn"], target["Arn"], outputs["ConsumerFunctionName"], outputs["DispatcherFunctionName"]]
    if outputs["ProcessingMode"] == "fanout":
        fanout = functions.get_function_configuration(FunctionName=mapping["FunctionArn"])
        names.append(fanout["Environment"]["Variables"]["WINDROW_PROCESSOR_FUNCTION"])
    assert {name.endswith(f":{ALIAS}") for name in names} == {windrow.target == EMBEDDED}
    return {name: functions.get_function_configuration(FunctionName=name) for name in names}


def stack_place(windrow: Windrow) -> Place:
    """Where the command's requests go."""
    if windrow.target == EMBEDDED:
        return embedded.place(windrow.home)
    return Place(LOCALSTACK, windrow.variables[settings.AWS_ENDPOINT_URL], DEFAULT_REGION)


def test_a_switch_of_mode_loses_nothing_that_is_in_flight(embedded_windrow: Windrow) -> None:
    """On the embedded stack, whose mapping goes on where it was."""
    switch_there_and_back(embedded_windrow)


def test_a_switch_of_mode_on_localstack_loses_nothing_that_is_in_flight(localstack_windrow: Windrow) -> None:
    """On LocalStack, whose mapping starts again at the oldest record when it changes: what comes twice counts once."""
    switch_there_and_back(localstack_windrow)


def switch_there_and_back(windrow: Windrow) -> None:
    """Send readings just before and while the mode changes, from direct to fan-out and back: every one counts once."""
    # Batches wait for 30 s, so what is sent is still in the stream when the change begins.
    windrow("deploy", "--mode", "direct", "--no-schedule", "--set", "BatchingWindowSeconds=30")
    bounds = list(pairwise(rfc3339_minutes_ago(minutes) for minutes in (90, 85, 80, 75, 70, 65)))
    fleet = ("simulate", "--sensors", str(SENSORS), "--duplicates", "0.05")
    for position, mode in enumerate(("fanout", "direct")):
        before, during = bounds[2 * position : 2 * position + 2]
        windrow(*fleet, "--from", before[0], "--to", before[1], "--seed", str(position))
        changing = windrow.start("deploy", "--mode", mode, "--yes")
        windrow(*fleet, "--from", during[0], "--to", during[1], "--seed", str(10 + position))
        said, complaint = changing.communicate(timeout=COMMAND_SECONDS_MAX)
        assert changing.returncode == 0, said + complaint
        assert states(windrow) == [(mode, "Enabled")]
    windrow(*fleet, "--from", bounds[4][0], "--to", bounds[4][1], "--wait")
    windrow("tick")
    told = windrow("verify")
    assert "5 windows" in told
    assert "lost 0, duplicated 0, wrong 0" in told
    windrow("destroy")


def leave(windrow: Windrow) -> None:
    """What destroying removes is said before, and gone afterwards."""
    assert f"delete stack windrow-{windrow.stage}" in windrow("destroy", "--dry-run")
    assert f"stage {windrow.stage} is destroyed" in windrow("destroy")
    assert states(windrow) == []
    windrow("query", "fleet", code=1)
