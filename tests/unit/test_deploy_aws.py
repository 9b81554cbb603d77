"""Deploying to AWS, comparing and destroying, up to the API boundary."""

import ast
import dataclasses
import datetime
import hashlib
import re
from pathlib import Path

import pytest
from botocore.stub import ANY

from infra import belongings, buckets, destroy, drift, release, stack
from infra.package import Package
from infra.plan import DeploymentPlan
from tests.unit.stubbed_aws import PLACE, stubbed
from windrow.deployment import find_stage
from windrow.errors import WindrowError

NAME = "windrow-prod"
ACCOUNT = "123456789012"
BUCKET = "windrow-code-" + hashlib.sha256(f"windrow {ACCOUNT} {PLACE.region}".encode()).hexdigest()[:16]
OWNED = {"Bucket": BUCKET, "ExpectedBucketOwner": ACCOUNT}
PACKAGE = Package(function="consumer", body=b"zip", parts={"windrow": 1, "numpy": 2})
TEMPLATE = "Resources: {}\n"
KEY = f"templates/{hashlib.sha256(TEMPLATE.encode()).hexdigest()}.yaml"
RELEASE = release.digest(TEMPLATE, {"Stage": "prod", "CodeBucket": BUCKET})
NOW = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
OUTPUTS = {
    "StreamName": "windrow-prod",
    "LakeBucketName": "lake",
    "ResultsBucketName": "results",
    "OnFailureBucketName": "failed",
    "ConsumerFunctionName": "windrow-prod-consumer",
    "DispatcherFunctionName": "windrow-prod-dispatcher",
    "ProcessingMode": "direct",
    "LatenessHorizonHours": "168",
    "StreamRetentionHours": "24",
    "PartialsRetentionDays": "30",
}


def plan(package: Package = PACKAGE) -> DeploymentPlan:
    """A deployment of one small package."""
    return DeploymentPlan(
        place=PLACE,
        stage="prod",
        packages=(package,),
        template=TEMPLATE,
        parameters={"Stage": "prod"},
        left_out=(),
    )


def stack_entry(status: str, **more) -> dict:
    """The stack as DescribeStacks tells it."""
    tags = [{"Key": "windrow-stage", "Value": "prod"}]
    return {
        "StackName": NAME,
        "StackId": f"arn:{NAME}",
        "CreationTime": NOW,
        "StackStatus": status,
        "Tags": tags,
    } | more


def event(number: int, resource: str, kind: str, status: str, reason: str = "") -> dict:
    """One event of the stack."""
    return {
        "StackId": f"arn:{NAME}",
        "StackName": NAME,
        "EventId": str(number),
        "LogicalResourceId": resource,
        "ResourceType": kind,
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
        "Timestamp": NOW,
    }


def script_until_executed(s3, sts, cloudformation) -> None:
    """Everything up to the execution of the change set: code and template are uploaded, the changes worked out."""
    cloudformation.add_response("describe_stacks", {"Stacks": [stack_entry("CREATE_COMPLETE")]}, {"StackName": NAME})
    sts.add_response("get_caller_identity", {"Account": ACCOUNT}, {})
    s3.add_response("head_bucket", {}, OWNED)
    s3.add_client_error("head_object", "404", expected_params={**OWNED, "Key": PACKAGE.key})
    s3.add_response("put_object", {}, {**OWNED, "Key": PACKAGE.key, "Body": b"zip"})
    s3.add_response("put_object", {}, {**OWNED, "Key": KEY, "Body": TEMPLATE.encode()})
    request = {
        "StackName": NAME,
        "ChangeSetName": ANY,
        "ChangeSetType": "UPDATE",
        "TemplateURL": f"https://s3.eu-central-1.amazonaws.com/{BUCKET}/{KEY}",
        "Parameters": [
            {"ParameterKey": "CodeBucket", "ParameterValue": BUCKET},
            {"ParameterKey": "Release", "ParameterValue": RELEASE},
            {"ParameterKey": "Stage", "ParameterValue": "prod"},
        ],
        "Capabilities": ANY,
        "RollbackConfiguration": ANY,
        "Tags": ANY,
    }
    cloudformation.add_response("create_change_set", {"Id": "arn:change-set"}, request)
    for _ in range(2):
        cloudformation.add_response("describe_change_set", {"Status": "CREATE_COMPLETE", "Changes": []}, ANY_CHANGE_SET)


ANY_CHANGE_SET = {"ChangeSetName": "arn:change-set", "StackName": NAME}


@pytest.mark.slow
def test_deployment_uploads_prepares_executes_and_follows():
    """The requests in their order; events that were there before are not shown again."""
    seen: list[str] = []
    old = event(1, NAME, "AWS::CloudFormation::Stack", "CREATE_COMPLETE")
    new = [
        event(2, "LakeBucket", "AWS::S3::Bucket", "UPDATE_COMPLETE"),
        event(3, NAME, "AWS::CloudFormation::Stack", "UPDATE_COMPLETE"),
    ]
    with stubbed("s3", "sts", "cloudformation") as (s3, sts, cloudformation):
        script_until_executed(s3, sts, cloudformation)
        cloudformation.add_response("describe_stack_events", {"StackEvents": [old]}, {"StackName": NAME})
        cloudformation.add_response("execute_change_set", {}, ANY_CHANGE_SET)
        cloudformation.add_response("describe_stack_events", {"StackEvents": [*new[::-1], old]}, {"StackName": NAME})
        outputs = [{"OutputKey": key, "OutputValue": value} for key, value in OUTPUTS.items()]
        answer = {"Stacks": [stack_entry("UPDATE_COMPLETE", Outputs=outputs)]}
        cloudformation.add_response("describe_stacks", answer, {"StackName": NAME})
        applied = stack.apply(plan(), lambda one: seen.append(one.resource))
    assert applied.is_changed
    assert applied.uploaded == (PACKAGE.key,)
    assert applied.stage.stream_name == "windrow-prod"
    assert seen == ["LakeBucket", NAME]


@pytest.mark.slow
def test_rollback_is_told_with_the_first_reason():
    """The resource that failed by itself is the culprit, not those that were cancelled after it."""
    failed = [
        event(2, "Stream", "AWS::Kinesis::Stream", "UPDATE_FAILED", "Limit of\n shards exceeded"),
        event(3, "LakeBucket", "AWS::S3::Bucket", "UPDATE_FAILED", "Resource update cancelled"),
        event(4, NAME, "AWS::CloudFormation::Stack", "UPDATE_ROLLBACK_COMPLETE"),
    ]
    with stubbed("s3", "sts", "cloudformation") as (s3, sts, cloudformation):
        script_until_executed(s3, sts, cloudformation)
        cloudformation.add_response("describe_stack_events", {"StackEvents": []}, {"StackName": NAME})
        cloudformation.add_response("execute_change_set", {}, ANY_CHANGE_SET)
        cloudformation.add_response("describe_stack_events", {"StackEvents": failed[::-1]}, {"StackName": NAME})
        with pytest.raises(WindrowError) as caught:
            stack.apply(plan(), lambda _: None)
    assert caught.value.message == "Stream (AWS::Kinesis::Stream) failed: Limit of shards exceeded"
    assert caught.value.hint == "stack windrow-prod is UPDATE_ROLLBACK_COMPLETE: everything is as before the change"


@pytest.mark.slow
def test_discarded_deployment_changes_nothing():
    """The change set is removed and the stack stays."""
    with stubbed("s3", "sts", "cloudformation") as (s3, sts, cloudformation):
        script_until_executed(s3, sts, cloudformation)
        cloudformation.add_response("delete_change_set", {}, ANY_CHANGE_SET)
        stack.discard(stack.prepare(plan(), lambda _: None))


def test_package_without_its_requirements_does_not_leave_this_machine():
    """On AWS a function has only what its zip holds."""
    bare = Package(function="consumer", body=b"zip", parts={"windrow": 1})
    with stubbed("cloudformation"), pytest.raises(WindrowError, match="lack what the functions import"):
        stack.apply(plan(bare), lambda _: None)


def test_drift_names_each_property_and_what_is_gone():
    """Of all pages, one line each."""
    modified = {
        "StackResourceDriftStatus": "MODIFIED",
        "PropertyDifferences": [
            {
                "PropertyPath": "/RetentionPeriodHours",
                "ExpectedValue": "24",
                "ActualValue": "48",
                "DifferenceType": "NOT_EQUAL",
            }
        ],
    }
    pages = [
        drift_entry("Stream", "AWS::Kinesis::Stream", **modified),
        drift_entry("SilenceAlarm", "AWS::CloudWatch::Alarm", StackResourceDriftStatus="DELETED"),
    ]
    request = {"StackName": NAME, "StackResourceDriftStatusFilters": ["MODIFIED", "DELETED"]}
    with stubbed("cloudformation") as (cloudformation,):
        cloudformation.add_response(
            "describe_stacks", {"Stacks": [stack_entry("CREATE_COMPLETE")]}, {"StackName": NAME}
        )
        cloudformation.add_response("detect_stack_drift", {"StackDriftDetectionId": "1"}, {"StackName": NAME})
        done = {"StackId": "x", "StackDriftDetectionId": "1", "DetectionStatus": "DETECTION_COMPLETE", "Timestamp": NOW}
        status = "describe_stack_drift_detection_status"
        cloudformation.add_response(status, done, {"StackDriftDetectionId": "1"})
        answer = {"StackResourceDrifts": [pages[0]], "NextToken": "more"}
        cloudformation.add_response("describe_stack_resource_drifts", answer, request)
        answer = {"StackResourceDrifts": [pages[1]]}
        cloudformation.add_response("describe_stack_resource_drifts", answer, request | {"NextToken": "more"})
        found = drift.differences(PLACE, "prod")
    assert [str(one) for one in found] == [
        "SilenceAlarm (AWS::CloudWatch::Alarm) is gone",
        "Stream (AWS::Kinesis::Stream) /RetentionPeriodHours: 48, not 24",
    ]


def drift_entry(resource: str, kind: str, **more) -> dict:
    """One resource's drift."""
    return {"StackId": "x", "LogicalResourceId": resource, "ResourceType": kind, "Timestamp": NOW} | more


def test_destroying_says_what_it_keeps_and_keeps_it():
    """Buckets and the key that opens them stay, and are named; what the stack says is its own needs no tag."""
    owned = [
        ("LakeBucket", "AWS::S3::Bucket", "lake"),
        ("Key", "AWS::KMS::Key", "1234"),
        ("Role", "AWS::IAM::Role", "r"),
    ]
    resources = [
        {
            "LogicalResourceId": logical,
            "ResourceType": kind,
            "PhysicalResourceId": physical,
            "Timestamp": NOW,
            "ResourceStatus": "CREATE_COMPLETE",
        }
        for logical, kind, physical in owned
    ]
    gone = event(9, NAME, "AWS::CloudFormation::Stack", "DELETE_COMPLETE")
    described = {"Stacks": [stack_entry("CREATE_COMPLETE")]}
    with stubbed("cloudformation", "s3", "kms", "sts") as (cloudformation, s3, kms, sts):
        cloudformation.add_response("describe_stacks", described, {"StackName": NAME})
        cloudformation.add_response(
            "describe_stack_resources", {"StackResources": resources}, {"StackName": f"arn:{NAME}"}
        )
        s3.add_response("list_buckets", {"Buckets": []}, BUCKETS_ALIKE)
        sts.add_response("get_caller_identity", {"Account": ACCOUNT}, {})
        kms.add_response("list_keys", {"Keys": []}, {})
        kms.add_response("describe_key", key_in("Enabled"), {"KeyId": "1234"})
        planned = destroy.plan_destruction(PLACE, "prod", deletes_data=False)
        cloudformation.add_response("describe_stacks", described, {"StackName": NAME})
        cloudformation.add_response("describe_stack_events", {"StackEvents": []}, {"StackName": f"arn:{NAME}"})
        cloudformation.add_response("delete_stack", {}, {"StackName": NAME})
        cloudformation.add_response("describe_stack_events", {"StackEvents": [gone]}, {"StackName": f"arn:{NAME}"})
        assert destroy.apply(planned, lambda _: None) == destroy.Destruction(objects=0)
    assert planned.kept == ("bucket lake", "key 1234, without which nobody can read them")
    assert planned.lines()[1:] == ["keep bucket lake", "keep key 1234, without which nobody can read them"]


BUCKETS_ALIKE = {"Prefix": "windrow-prod-", "BucketRegion": PLACE.region}


def key_in(state: str) -> dict:
    """A key as DescribeKey tells it."""
    return {"KeyMetadata": {"KeyId": "1234", "KeyState": state}}


def test_a_stages_belongings_are_known_by_their_tag():
    """On all pages of buckets in this region and of keys; every look names the owner; a key that hides is counted."""
    names = ("windrow-prod-lakebucket-1", "windrow-prod-notes", "windrow-prod-gone")
    with stubbed("s3", "kms", "sts") as (s3, kms, sts):
        found = [{"Name": name, "BucketRegion": PLACE.region} for name in names]
        found.insert(0, {"Name": "windrow-prod-lakebucket-2", "BucketRegion": "us-west-2"})
        s3.add_response("list_buckets", {"Buckets": found[:2], "ContinuationToken": "more"}, BUCKETS_ALIKE)
        s3.add_response("list_buckets", {"Buckets": found[2:]}, BUCKETS_ALIKE | {"ContinuationToken": "more"})
        sts.add_response("get_caller_identity", {"Account": ACCOUNT}, {})
        tag = {"Key": "windrow-stage", "Value": "prod"}
        asked = [{"Bucket": name, "ExpectedBucketOwner": ACCOUNT} for name in names]
        s3.add_response("get_bucket_tagging", {"TagSet": [tag]}, asked[0])
        s3.add_client_error("get_bucket_tagging", "NoSuchTagSet", expected_params=asked[1])
        s3.add_client_error("get_bucket_tagging", "NoSuchBucket", expected_params=asked[2])
        keys = ("foreign", "ours", "other")
        kms.add_response(
            "list_keys", {"Keys": [{"KeyId": key} for key in keys[:1]], "NextMarker": "1", "Truncated": True}, {}
        )
        kms.add_client_error("list_resource_tags", "AccessDeniedException", expected_params={"KeyId": "foreign"})
        kms.add_response("list_keys", {"Keys": [{"KeyId": key} for key in keys[1:]]}, {"Marker": "1"})
        for key, value in (("ours", "prod"), ("other", "dev")):
            answer = {"Tags": [{"TagKey": "windrow-stage", "TagValue": value}]}
            kms.add_response("list_resource_tags", answer, {"KeyId": key})
        kms.add_response("describe_key", key_in("PendingDeletion"), {"KeyId": "ours"})
        owned = belongings.find(PLACE, "prod")
    assert [bucket.name for bucket in owned.buckets] == ["windrow-prod-lakebucket-1"]
    assert (owned.keys, owned.going_keys, owned.hidden_keys) == ((), ("ours",), 1)


def test_a_stack_that_only_has_the_name_is_left_alone():
    """Somebody's stack called windrow-prod is neither updated, nor destroyed, nor taken for a stage."""
    foreign = {"Stacks": [stack_entry("CREATE_COMPLETE", Tags=[])]}
    for act in (
        lambda: stack.prepare(plan(), lambda _: None),
        lambda: destroy.plan_destruction(PLACE, "prod", deletes_data=True),
        lambda: find_stage(PLACE, "prod"),
    ):
        with stubbed("cloudformation", "s3", "sts") as (cloudformation, _, _):
            cloudformation.add_response("describe_stacks", foreign, {"StackName": NAME})
            with pytest.raises(WindrowError, match="is not windrow's"):
                act()


def test_a_code_bucket_that_somebody_else_took_is_refused():
    """Its name can be computed; S3 answers 403 when the owner is not the expected one."""
    with stubbed("s3") as (s3,):
        s3.add_client_error("head_bucket", "403", http_status_code=403, expected_params=OWNED)
        with pytest.raises(WindrowError, match="belongs to another account"):
            buckets.ensure_code_bucket(PLACE, buckets.OwnedBucket(name=BUCKET, account=ACCOUNT))


def test_a_new_code_bucket_is_private_versioned_tagged_and_tls_only():
    """It holds what runs with the functions' rights."""
    with stubbed("s3") as (s3,):
        s3.add_client_error("head_bucket", "404", http_status_code=404, expected_params=OWNED)
        location = {"CreateBucketConfiguration": {"LocationConstraint": PLACE.region}}
        s3.add_response("create_bucket", {}, {"Bucket": BUCKET, **location})
        s3.add_response("put_public_access_block", {}, {**OWNED, "PublicAccessBlockConfiguration": ANY})
        s3.add_response("put_bucket_versioning", {}, {**OWNED, "VersioningConfiguration": {"Status": "Enabled"}})
        s3.add_response("put_bucket_tagging", {}, {**OWNED, "Tagging": ANY})
        s3.add_response("put_bucket_lifecycle_configuration", {}, {**OWNED, "LifecycleConfiguration": ANY})
        s3.add_response("put_bucket_policy", {}, {**OWNED, "Policy": ANY})
        buckets.ensure_code_bucket(PLACE, buckets.OwnedBucket(name=BUCKET, account=ACCOUNT))


def test_every_request_about_a_bucket_names_its_owner():
    """Read from the source: a call of the S3 client without the owner's number would talk to anybody."""
    sources = Path(buckets.__file__).parent.glob("*.py")
    users = [path for path in sources if re.search(r"\bclient\(\"s3\"", path.read_text())]
    assert [path.stem for path in sorted(users)] == ["belongings", "buckets"]
    tree = ast.parse("\n".join(path.read_text() for path in users))
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (ast.unparse(node.func.value) in {"s3", "client('s3', place)"} or node.func.attr == "paginate")
        and node.func.attr not in {"create_bucket", "list_buckets", "get_paginator"}
        and not ast.unparse(node).startswith("kms.")
    ]
    assert len(calls) > 10
    assert not [call for call in calls if "**bucket.request" not in ast.unparse(call)]


def test_destroying_with_data_says_so():
    """What goes is named before it goes, what went already too, and that a key may have been overlooked."""
    lake = buckets.OwnedBucket(name="lake", account=ACCOUNT)
    owned = belongings.Belongings(buckets=(lake,), keys=("1234",), hidden_keys=2)
    planned = destroy.DestructionPlan(place=PLACE, stage="prod", has_stack=False, owned=owned, deletes_data=True)
    assert planned.kept == ()
    assert planned.lines() == [
        "stack windrow-prod is gone already",
        "delete with all its objects: bucket lake",
        "delete in 7 days: key 1234",
    ]
    keyless = dataclasses.replace(planned, owned=dataclasses.replace(owned, keys=()))
    assert keyless.lines()[-1] == "no key found; 2 keys of the account do not show their tags"
