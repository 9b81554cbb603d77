"""What the SAM transform makes of the template."""

import pytest
from samtranslator.translator.transform import transform

from infra import template
from tests.golden.sam_template import VALUES


class NoManagedPolicies:
    """The template names no managed policy, so there is nothing to look up."""

    def load(self) -> dict[str, str]:
        return {}


@pytest.fixture(scope="module")
def resources():
    """The resources after the transform."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        return transform(template.load(), dict(VALUES), NoManagedPolicies())["Resources"]


def only(resources, kind: str):
    """The properties of the dispatcher's one resource of a type."""
    (found,) = [
        one["Properties"]
        for name, one in resources.items()
        if one["Type"] == kind and name.startswith("DispatcherFunction")
    ]
    return found


def test_schedule_becomes_a_rule_with_the_plain_event(resources):
    """An EventBridge rule, not a Scheduler schedule; its target gets the event with the time in it."""
    rule = only(resources, "AWS::Events::Rule")
    assert rule["ScheduleExpression"] == {"Ref": "ScheduleExpression"}
    (target,) = rule["Targets"]
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 240}
    assert not {"Input", "InputPath", "InputTransformer"} & target.keys()


def test_only_the_rule_may_invoke_the_dispatcher(resources):
    """The permission is bound to the rule."""
    permissions = {name: one for name, one in resources.items() if name != "ApiPermission"}
    permission = only(permissions, "AWS::Lambda::Permission")
    assert permission["Principal"] == "events.amazonaws.com"
    assert permission["SourceArn"] == {"Fn::GetAtt": ["DispatcherFunctionTick", "Arn"]}


def test_ticks_are_invoked_once(resources):
    """No asynchronous retry of the dispatcher."""
    invoke = only(resources, "AWS::Lambda::EventInvokeConfig")
    assert (invoke["MaximumRetryAttempts"], invoke["MaximumEventAgeInSeconds"]) == (0, 240)


def test_no_role_is_generated(resources):
    """Functions, the rule of AWS IoT Core, Flink and the state machine have the roles that the template spells out."""
    roles = {name for name, one in resources.items() if one["Type"] == "AWS::IAM::Role"}
    of_others = {"IotRole", "FlinkRole", "UploadsRole", "ApiRole", "AuditRole", "BackfillRole", "BackfillMachineRole"}
    of_others |= {"ScalingRole", "LiveSocketsRole", "LivePushRole", "LiveRole"}
    assert roles == {"ConsumerRole", "FanoutRole", "DispatcherRole"} | of_others
