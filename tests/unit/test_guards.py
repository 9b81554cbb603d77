"""A change is undone when an alarm rings, a stage can be protected, and CloudFormation can act in a role of its own."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from infra import destroy, stack, template
from infra.guards import GUARDS, TRIGGERS_MAX, WATCH_MINUTES
from infra.plan import DeploymentPlan
from infra.stack import PreparedDeployment
from tests.unit.simulated_aws import SimulatedAws, Stream, alarm_arn, answering
from tests.unit.stubbed_aws import PLACE
from tests.unit.test_stack_operations import deployed, ignore, plan_with
from windrow.errors import WindrowError

ROLE = "arn:aws:iam::123456789012:role/deployer"
ALARMS = [f"windrow-prod-{guard}" for guard in GUARDS]
OF_DIRECT = sorted(alarm_arn(name) for name in ALARMS if not name.endswith("processor-fails"))


def watched(**parameters: str) -> DeploymentPlan:
    """A deployment as the command makes it, which watches the alarms."""
    return replace(plan_with(**parameters), watch_minutes=WATCH_MINUTES)


def quiet(**more) -> SimulatedAws:
    """A stage whose alarms are at rest."""
    return deployed(alarms=dict.fromkeys(ALARMS, "OK"), **more)


def deploy(plan: DeploymentPlan) -> PreparedDeployment:
    """Carry it out."""
    prepared = stack.prepare(plan, ignore)
    stack.execute(prepared, ignore)
    return prepared


def alarms_of_template() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each alarm's name without that of its stage, and its properties."""
    for resource in template.load()["Resources"].values():
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            name = resource["Properties"]["AlarmName"]["Fn::Sub"]
            yield name.removeprefix("windrow-${Stage}-"), resource["Properties"]


def test_guards_are_alarms_of_the_template_that_ring_in_time() -> None:
    """At most as many as CloudFormation takes; one that needs longer than the watch would undo nothing."""
    alarms = dict(alarms_of_template())
    assert set(GUARDS) <= alarms.keys()
    assert len(set(GUARDS)) == len(GUARDS) <= TRIGGERS_MAX
    for guard in GUARDS:
        seconds = alarms[guard]["Period"] * alarms[guard]["DatapointsToAlarm"]
        assert seconds <= WATCH_MINUTES * 60, guard


@pytest.mark.slow
def test_an_alarm_undoes_a_change() -> None:
    """It rings once the new version runs; CloudFormation goes back, and the command says which alarm it was."""
    aws = quiet(rings={"windrow-prod-consumer-fails"})
    with answering(aws), pytest.raises(WindrowError) as caught:
        deploy(watched(LogLevel="DEBUG"))
    assert "consumer-fails" in caught.value.message
    assert "everything is as before" in caught.value.hint
    assert "LogLevel" not in aws.parameters
    assert (aws.triggers, aws.monitoring_minutes) == (OF_DIRECT, 10)


@pytest.mark.slow
def test_a_first_deployment_has_no_guards() -> None:
    """Its alarms do not exist yet, and a trigger that does not exist undoes everything."""
    aws = SimulatedAws()
    with answering(aws):
        deploy(watched())
    assert (aws.status, aws.triggers, aws.monitoring_minutes) == ("CREATE_COMPLETE", [], 0)
    assert "describe_alarms" not in aws.calls


def test_a_cure_is_not_undone_by_the_alarm_that_it_cures() -> None:
    """An alarm that rings already would undo the release that repairs what rings; it is told, and the others guard."""
    aws = quiet()
    aws.alarms["windrow-prod-consumer-fails"] = "ALARM"
    with answering(aws):
        prepared = deploy(watched(LogLevel="DEBUG"))
    assert aws.status == "UPDATE_COMPLETE"
    assert prepared.ringing == ("windrow-prod-consumer-fails",)
    assert alarm_arn("windrow-prod-consumer-fails") not in aws.triggers
    assert len(aws.triggers) == 3


@pytest.mark.parametrize(
    ("parameters", "triggers"),
    [
        ({"ProcessingMode": "fanout"}, sorted(alarm_arn(name) for name in ALARMS)),
        ({"ProcessingMode": "direct"}, OF_DIRECT),
        ({"Operations": "none"}, []),
    ],
)
def test_alarms_that_the_change_removes_do_not_guard_it(parameters: dict[str, str], triggers: list[str]) -> None:
    """CloudFormation goes back when a trigger is gone."""
    aws = quiet()
    aws.parameters["ProcessingMode"] = "fanout"
    with answering(aws):
        deploy(watched(**parameters, LogLevel="DEBUG"))
    assert (aws.status, aws.triggers) == ("UPDATE_COMPLETE", triggers)


def test_guards_of_an_earlier_change_are_not_kept() -> None:
    """A stack keeps its triggers unless it is told others: those of alarms that are gone would undo every change."""
    aws = quiet(triggers=[alarm_arn("windrow-prod-gone")], monitoring_minutes=10)
    with answering(aws):
        deploy(replace(watched(LogLevel="DEBUG"), watch_minutes=0))
    assert (aws.status, aws.triggers, aws.monitoring_minutes) == ("UPDATE_COMPLETE", [], 0)


@pytest.mark.slow
def test_steps_of_shards_are_not_watched() -> None:
    """Whoever needs shards needs them now; only the last update, with everything else, is watched."""
    aws = quiet(stream=Stream(2))
    minutes: list[int] = []
    with answering(aws):
        prepared = stack.prepare(watched(ShardCount="8"), ignore)
        stack.execute(prepared, lambda event: minutes.append(aws.monitoring_minutes) if event.is_end_of_stack else None)
    assert minutes == [0, 10]


def test_cloudformation_acts_in_the_role() -> None:
    """In each update on the way too; without the option the stack keeps the role it has."""
    aws = quiet(stream=Stream(2))
    roles: list[str | None] = []
    with answering(aws):
        prepared = stack.prepare(replace(watched(ShardCount="8"), role_arn=ROLE), ignore)
        stack.execute(prepared, lambda event: roles.append(aws.role) if event.is_end_of_stack else None)
        deploy(watched(LogLevel="DEBUG"))
    assert (roles, aws.role) == ([ROLE, ROLE], ROLE)


def test_a_protected_stage_is_not_destroyed() -> None:
    """Until the protection is taken off, which needs no other change; a deployment without the option keeps it."""
    with answering(quiet()) as aws:
        deploy(replace(watched(LogLevel="DEBUG"), is_protected=True))
        assert aws.is_protected
        deploy(watched(LogLevel="INFO"))
        with pytest.raises(WindrowError, match="'prod' is protected from being destroyed") as caught:
            destroy.plan_destruction(PLACE, "prod", deletes_data=True)
        assert "windrow deploy --no-protect --stage prod" in caught.value.hint
        prepared = deploy(replace(watched(LogLevel="INFO"), is_protected=False))
        assert prepared.change_set is None
        assert not aws.is_protected


def test_a_first_deployment_that_fails_is_not_protected() -> None:
    """What it leaves can only be deleted."""
    aws = SimulatedAws(failing={"ConsumerFunction"})
    with answering(aws):
        with pytest.raises(WindrowError, match="ConsumerFunction"):
            deploy(replace(watched(), is_protected=True))
        assert (aws.status, aws.is_protected) == ("ROLLBACK_COMPLETE", False)
        aws.failing = set()
        deploy(replace(watched(), is_protected=True))
    assert (aws.status, aws.is_protected) == ("CREATE_COMPLETE", True)
