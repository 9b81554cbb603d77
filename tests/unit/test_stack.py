"""Stack operations as far as they need no stack: events, states and plans."""

from contextlib import nullcontext

import pytest

from infra import stack, template
from infra.plan import DeploymentOptions, check_stage, parse_tags, plan_deployment, platform_of
from infra.stack import refuse_if_busy
from infra.stack_events import StackEvent
from infra.wheels import Platform
from windrow.aws.clients import EMBEDDED, LOCALSTACK, Place
from windrow.errors import UsageError, WindrowError
from windrow_cli.deploy import deploy

AWS = Place("aws", None, "eu-central-1")
STAND_IN = Place(EMBEDDED, "http://127.0.0.1:4566", "us-east-1")


def event(status: str, *, reason: str = "", resource_type: str = "AWS::S3::Bucket") -> StackEvent:
    """An event of one resource."""
    return StackEvent(event_id="1", resource="LakeBucket", resource_type=resource_type, status=status, reason=reason)


def test_cancelled_resources_are_not_the_culprit():
    """When one resource fails, CloudFormation cancels the others and calls them failed too."""
    assert event("CREATE_FAILED", reason="Access Denied").is_failure
    assert not event("CREATE_FAILED", reason="Resource creation cancelled").is_failure
    assert not event("CREATE_COMPLETE").is_failure


def test_only_the_stack_itself_ends_an_operation():
    """A finished resource is no finished stack, and a stack under way is not done."""
    of_stack = "AWS::CloudFormation::Stack"
    assert event("UPDATE_COMPLETE", resource_type=of_stack).is_end_of_stack
    assert event("ROLLBACK_COMPLETE", resource_type=of_stack).is_end_of_stack
    assert not event("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", resource_type=of_stack).is_end_of_stack
    assert not event("UPDATE_COMPLETE").is_end_of_stack


@pytest.mark.parametrize("status", ["CREATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "DELETE_IN_PROGRESS"])
def test_stack_being_changed_is_refused(status: str):
    """A stack that somebody changes right now: one line with its name and state."""
    with pytest.raises(WindrowError, match=rf"windrow-dev is already being changed \({status}\)"):
        refuse_if_busy("windrow-dev", status)


@pytest.mark.parametrize("status", ["", "CREATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"])
def test_stack_at_rest_is_not_refused(status: str):
    """At rest, missing, or a change set that nobody carried out."""
    refuse_if_busy("windrow-dev", status)


@pytest.mark.parametrize("stage", ["", "Dev", "1dev", "my-stage", "my_stage", "dév", "a" * 21])
def test_bad_stage_name_is_refused(stage: str):
    """A stage's name becomes part of names in every service, so it is narrow."""
    with pytest.raises(UsageError):
        check_stage(stage)


@pytest.mark.slow
def test_plan_decides_only_what_was_chosen():
    """Without choices no parameter of the user's is set, so that an update keeps what the stage has."""
    parameters = plan_deployment(AWS, "dev", DeploymentOptions()).parameters
    assert not {"ShardCount", "ProcessingMode", "ScheduleState"} & parameters.keys()
    chosen = plan_deployment(AWS, "dev", DeploymentOptions(shard_count=4, mode="fanout", is_scheduled=False)).parameters
    assert (chosen["ShardCount"], chosen["ProcessingMode"], chosen["ScheduleState"]) == ("4", "fanout", "DISABLED")
    assert chosen.keys() <= template.parameter_names()


def test_packages_are_for_the_python_that_is_chosen():
    """Whatever the template's default is; that is what the command packages for by itself."""
    parameter = template.load()["Parameters"]["PythonVersion"]
    assert parameter["Default"] == platform_of(AWS).python
    for version in parameter["AllowedValues"]:
        options = DeploymentOptions(parameters={"PythonVersion": version})
        assert platform_of(AWS, options) == Platform(python=version, architecture="arm64")
    assert template.load()["Globals"]["Function"]["Runtime"] == {"Fn::Sub": "python${PythonVersion}"}


def test_modes_are_those_of_the_template():
    """The command and the template offer the same choice."""
    modes = next(option.type.choices for option in deploy.params if option.name == "mode")
    assert list(modes) == template.load()["Parameters"]["ProcessingMode"]["AllowedValues"]


@pytest.mark.slow
def test_plan_says_that_a_stand_in_takes_no_messages_of_devices():
    """Its rule is accepted and does nothing; who asks for none need not hear of it."""
    with_rule = plan_deployment(STAND_IN, "dev", DeploymentOptions(parameters={"IotTopic": "devices/+/readings"}))
    without = plan_deployment(STAND_IN, "dev", DeploymentOptions())
    assert [one for one in with_rule.left_out if one not in without.left_out] == [with_rule.left_out[-1]]
    assert "messages of devices" in with_rule.left_out[-1]


@pytest.mark.slow
def test_plan_says_what_the_place_lacks():
    """On AWS nothing is left out; the embedded stack has no TLS, and says so."""
    on_aws, here = (
        plan_deployment(AWS, "dev", DeploymentOptions()),
        plan_deployment(STAND_IN, "dev", DeploymentOptions()),
    )
    assert (on_aws.left_out, on_aws.parameters["RequireTls"]) == ((), "true")
    assert here.parameters["RequireTls"] == "false"
    assert any("TLS" in what for what in here.left_out)
    assert all(f"leave out {what}" in here.lines() for what in here.left_out)


@pytest.mark.slow
def test_number_of_shards_is_not_changed_on_localstack():
    """It would ignore the change without a word; the embedded stack makes it."""
    existing = {"Parameters": [{"ParameterKey": "ShardCount", "ParameterValue": "2"}]}
    for place, is_refused in ((Place(LOCALSTACK, "http://127.0.0.1:4566", "us-east-1"), True), (STAND_IN, False)):
        plan = plan_deployment(place, "dev", DeploymentOptions(shard_count=3))
        with pytest.raises(WindrowError, match="2 shards") if is_refused else nullcontext():
            stack._refuse_unsupported_change(plan, existing)


def test_tags_are_parsed():
    """Names and values as given; a value may be empty or have an equals sign."""
    assert parse_tags(("cost-centre=4711", "note=a=b", "empty=")) == {"cost-centre": "4711", "note": "a=b", "empty": ""}


@pytest.mark.parametrize("assignment", ["cost-centre", "=4711", "windrow-stage=other", "aws:own=1", "AWS:own=1"])
def test_tag_that_is_not_the_users_is_refused(assignment: str):
    """The tag by which a stage is known stays what it is, and AWS keeps its prefix to itself."""
    with pytest.raises(UsageError):
        parse_tags((assignment,))
