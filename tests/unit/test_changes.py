"""Change sets: what CloudFormation says it would do, as values."""

import datetime

import pytest
from botocore.stub import ANY

from infra import changes
from infra.changes import Change, ChangeRequest, ChangeSet, Effect
from tests.unit.stubbed_aws import PLACE, stubbed
from windrow.errors import WindrowError

NAME = "windrow-dev"
NOW = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
ID = "arn:aws:cloudformation:eu-central-1:123456789012:changeSet/deploy/1"


def create(*, is_new: bool = False) -> ChangeSet | None:
    """Ask for the changes."""
    request = ChangeRequest(
        template_url="https://s3.eu-central-1.amazonaws.com/b/k",
        parameters=[{"ParameterKey": "Stage", "ParameterValue": "dev"}],
        tags={"windrow-stage": "dev"},
        is_new=is_new,
    )
    return changes.create(PLACE, NAME, request)


def described(status: str, *entries: dict, reason: str = "") -> dict:
    """An answer of DescribeChangeSet."""
    resource_changes = [{"Type": "Resource", "ResourceChange": entry} for entry in entries]
    return {"Status": status, "StatusReason": reason, "Changes": resource_changes}


def entry(resource: str, action: str, replacement: str | None = None, kind: str = "AWS::Logs::LogGroup", *names: str):
    """One resource's change."""
    details = [{"Target": {"Attribute": "Properties", "Name": name}} for name in names]
    found = {"LogicalResourceId": resource, "ResourceType": kind, "Action": action, "Details": details}
    return found if replacement is None else found | {"Replacement": replacement}


def test_changes_are_told_by_what_becomes_of_the_resource():
    """Losses come first; a property that differs is named."""
    answer = described(
        "CREATE_COMPLETE",
        entry("New", "Add"),
        entry("Same", "Modify", "False", "AWS::IAM::Role", "Policies"),
        entry("Stream", "Modify", "True", "AWS::Kinesis::Stream", "Name"),
        entry("Bucket", "Modify", "Conditional", "AWS::S3::Bucket", "BucketName"),
        entry("Alarm", "Modify", "Conditional", "AWS::CloudWatch::Alarm", "Dimensions"),
        entry("Old", "Remove"),
        entry("ConsumerFunctionVersion1", "Remove", None, "AWS::Lambda::Version"),
    )
    with stubbed("cloudformation") as (cloudformation,):
        cloudformation.add_response("create_change_set", {"Id": ID}, expected("UPDATE"))
        for _ in range(2):  # its status, then its pages
            cloudformation.add_response("describe_change_set", answer, {"ChangeSetName": ID, "StackName": NAME})
        found = create()
    assert found is not None
    assert [(change.resource, change.effect, change.is_loss) for change in found.changes] == [
        ("Bucket", Effect.MAYBE_REPLACE, True),
        ("Old", Effect.REMOVE, True),
        ("Stream", Effect.REPLACE, True),
        ("New", Effect.ADD, False),
        ("Same", Effect.MODIFY, False),
        ("Alarm", Effect.MAYBE_REPLACE, False),
        ("ConsumerFunctionVersion1", Effect.REMOVE, False),
    ]
    assert [str(change) for change in found.losses] == [
        "change, perhaps by replacing Bucket (AWS::S3::Bucket): BucketName",
        "remove Old (AWS::Logs::LogGroup)",
        "replace Stream (AWS::Kinesis::Stream): Name",
    ]


def test_no_change_is_none_and_leaves_nothing_behind():
    """CloudFormation calls it a failure; the change set is removed again."""
    answer = described("FAILED", reason="The submitted information didn't contain changes.")
    with stubbed("cloudformation") as (cloudformation,):
        cloudformation.add_response("create_change_set", {"Id": ID}, expected("UPDATE"))
        cloudformation.add_response("describe_change_set", answer, {"ChangeSetName": ID, "StackName": NAME})
        cloudformation.add_response("delete_change_set", {}, {"ChangeSetName": ID, "StackName": NAME})
        assert create() is None


def test_refused_template_is_one_line_and_its_empty_stack_is_removed():
    """The reason is told without line breaks; a stack that only held the change set goes with it."""
    answer = described("FAILED", reason="Template error:\n  no such thing")
    with stubbed("cloudformation") as (cloudformation,):
        cloudformation.add_response("create_change_set", {"Id": ID}, expected("CREATE"))
        cloudformation.add_response("describe_change_set", answer, {"ChangeSetName": ID, "StackName": NAME})
        cloudformation.add_response("delete_change_set", {}, {"ChangeSetName": ID, "StackName": NAME})
        empty = {"StackName": NAME, "CreationTime": NOW, "StackStatus": "REVIEW_IN_PROGRESS"}
        cloudformation.add_response("describe_stacks", {"Stacks": [empty]}, {"StackName": NAME})
        cloudformation.add_response("delete_stack", {}, {"StackName": NAME})
        with pytest.raises(WindrowError, match="windrow-dev cannot be changed: Template error: no such thing"):
            create(is_new=True)


def test_change_set_that_only_touches_outputs_is_carried_out_on_aws():
    """On AWS a change set without resources is one all the same; with nothing to do it would have failed."""
    with stubbed("cloudformation") as (cloudformation,):
        cloudformation.add_response("create_change_set", {"Id": ID}, expected("UPDATE"))
        for _ in range(2):
            answer = described("CREATE_COMPLETE")
            cloudformation.add_response("describe_change_set", answer, {"ChangeSetName": ID, "StackName": NAME})
        assert create() == ChangeSet(change_set_id=ID, is_new_stack=False, changes=())


@pytest.mark.parametrize("effect", Effect)
def test_every_effect_reads_as_a_sentence(effect: Effect):
    """A verb, then the resource."""
    assert str(Change(resource="R", resource_type="T", effect=effect)) == f"{effect} R (T)"


def expected(kind: str) -> dict:
    """The request that asks for a change set."""
    return {
        "StackName": NAME,
        "ChangeSetName": ANY,
        "ChangeSetType": kind,
        "TemplateURL": "https://s3.eu-central-1.amazonaws.com/b/k",
        "Parameters": [{"ParameterKey": "Stage", "ParameterValue": "dev"}],
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        "RollbackConfiguration": {"RollbackTriggers": [], "MonitoringTimeInMinutes": 0},
        "Tags": [{"Key": "windrow-stage", "Value": "dev"}],
    }
