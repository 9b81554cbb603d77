"""What is taken back and what CloudFormation is asked for, before any request is made."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import Stubber

from infra import adoption, template
from infra.adoption import Adoption
from infra.belongings import BUCKETS, Belongings, logical_id
from infra.buckets import OwnedBucket
from infra.plan import DeploymentOptions, DeploymentPlan, plan_deployment
from tests.unit.stubbed_aws import PLACE, stubbed
from windrow.aws.clients import AWS, Place
from windrow.deployment import is_adopted, is_stage
from windrow.errors import UsageError, WindrowError

ACCOUNT = "123456789012"


def bucket(logical: str, suffix: str = "1") -> OwnedBucket:
    """A bucket with the name that CloudFormation gives it."""
    return OwnedBucket(name=f"windrow-prod-{logical.lower()}-{suffix}", account=ACCOUNT)


ALL = tuple(bucket(name) for name in BUCKETS)
WHOLE = Adoption(stage="prod", buckets=dict(zip(BUCKETS, ALL, strict=True)), key="1234")


def test_buckets_of_the_template_are_told_apart_by_their_names() -> None:
    """All of them that hold data, and no other."""
    resources = template.load()["Resources"]
    of_data = {name for name, one in resources.items() if one["Type"] == "AWS::S3::Bucket"} - {"SiteBucket"}
    assert of_data == set(BUCKETS)
    assert [logical_id(one.name, "prod") for one in ALL] == list(BUCKETS)
    assert logical_id("windrow-prod-notes", "prod") == logical_id(ALL[0].name, "pro") == ""


def test_a_name_that_cloudformation_makes_is_never_cut() -> None:
    """The longest stage and the longest logical id fit into a bucket's 63 characters, with a suffix of 13."""
    assert max(len(f"windrow-{'s' * 20}-{name}-") for name in BUCKETS) + 13 <= 63


def test_everything_kept_is_taken_back() -> None:
    """With its key; what is missing is created anew."""
    assert adoption.plan_adoption("prod", Belongings(buckets=ALL, keys=("1234",))) == WHOLE
    part = adoption.plan_adoption("prod", Belongings(buckets=ALL[:1]))
    assert (dict(part.buckets), part.key) == ({"LakeBucket": ALL[0]}, None)


@pytest.mark.parametrize(
    ("owned", "message"),
    [
        (Belongings(), "nothing is kept"),
        (
            Belongings(buckets=(*ALL, bucket("LakeBucket", "2")), keys=("1",)),
            "two stages .* LakeBucket is kept",
        ),
        (Belongings(buckets=(*ALL, bucket("Notes")), keys=("1",)), "none of a stage's"),
        (Belongings(buckets=ALL, going_keys=("9",)), "key 9 of stage 'prod' is going to be deleted"),
        (Belongings(buckets=ALL, keys=("1", "2")), "two keys: 1 and 2"),
    ],
)
def test_what_cannot_be_decided_is_asked(owned: Belongings, message: str) -> None:
    """Nothing is guessed where a wrong guess would show other data, or none."""
    with pytest.raises(WindrowError, match=message):
        adoption.plan_adoption("prod", owned)


OWN = "arn:aws:kms:eu-central-1:123456789012:key/1234"
COMPANYS = "arn:aws:kms:eu-central-1:210987654321:key/9"


@pytest.mark.parametrize(
    ("key", "chosen", "encrypted_with", "hint"),
    [
        ("1234", "", OWN, None),
        ("1234", "", "", None),
        (None, COMPANYS, COMPANYS, None),
        (None, "", COMPANYS, f"give it: --set ExistingKeyArn={COMPANYS}"),
        ("1234", COMPANYS, OWN, "leave out ExistingKeyArn"),
        ("1234", "", COMPANYS, f"give it: --set ExistingKeyArn={COMPANYS}"),
    ],
)
def test_kept_data_is_not_taken_under_another_key(
    key: str | None, chosen: str, encrypted_with: str, hint: str | None
) -> None:
    """The functions could not read it: the stage's own key comes back, or the company's must be named again."""
    plan = DeploymentPlan(
        place=Place(AWS, None, "eu-central-1"),
        stage="prod",
        packages=(),
        template="",
        parameters={"ExistingKeyArn": chosen} if chosen else {},
        left_out=(),
    )
    taken = Adoption(stage="prod", buckets=WHOLE.buckets, key=key)
    if hint is None:
        adoption.refuse_another_key(plan, taken, ALL[0].name, encrypted_with)
        return
    with pytest.raises(WindrowError) as refused:
        adoption.refuse_another_key(plan, taken, ALL[0].name, encrypted_with)
    assert refused.value.hint == hint


def references(value: Any) -> Iterator[str]:
    """The names that a part of a template refers to."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                yield inner
            elif key == "Fn::GetAtt":
                yield inner[0]
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


@pytest.mark.parametrize(
    ("taken", "with_policy"),
    [
        (WHOLE, frozenset(BUCKETS)),
        (WHOLE, frozenset()),
        (Adoption(stage="prod", buckets={"LakeBucket": ALL[0]}, key=None), frozenset({"LakeBucket"})),
    ],
)
def test_an_import_holds_what_cloudformation_allows(taken: Adoption, with_policy: frozenset[str]) -> None:
    """Only what is imported, each retained; no outputs, macros or other references; nothing that destroy changed."""
    imported = json.loads(adoption.import_template(taken, with_policy))
    assert set(imported) == {"AWSTemplateFormatVersion", "Description", "Parameters", "Conditions", "Resources"}
    names = {*taken.buckets, *(f"{name}Policy" for name in with_policy), *({"Key"} if taken.key else ())}
    assert set(imported["Resources"]) == names
    for resource in imported["Resources"].values():
        assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
        assert "LifecycleConfiguration" not in resource["Properties"]
        if resource["Type"] == "AWS::S3::Bucket":
            assert all(resource["Properties"]["PublicAccessBlockConfiguration"].values())
    known = {*imported["Parameters"], *names}
    assert {name for name in references(imported["Resources"]) if not name.startswith("AWS::")} <= known


def test_the_template_itself_is_not_changed_by_an_import() -> None:
    """It is read anew each time, and what is left out is left out of a copy."""
    adoption.import_template(WHOLE, frozenset())
    assert "LifecycleConfiguration" in template.load()["Resources"]["LakeBucket"]["Properties"]


def test_a_stack_without_tag_is_ours_only_while_it_holds_what_was_kept() -> None:
    """An import cannot tag it; so it has the template's parameters, and neither tags nor outputs yet."""
    parameters = [
        {"ParameterKey": name, "ParameterValue": value}
        for name, value in (("Stage", "prod"), ("ConsumerCodeKey", "c"), ("DispatcherCodeKey", "d"))
    ]
    bare: dict[str, Any] = {"StackName": "windrow-prod", "Parameters": parameters, "Tags": [], "Outputs": []}
    assert is_adopted(bare)
    assert is_stage(bare)
    for foreign in (
        bare | {"Parameters": parameters[:1]},
        bare | {"StackName": "windrow-dev"},
        bare | {"Tags": [{"Key": "team", "Value": "x"}]},
        bare | {"Outputs": [{"OutputKey": "a", "OutputValue": "b"}]},
    ):
        assert not is_stage(foreign)


ALIKE = {"Prefix": "windrow-prod-", "BucketRegion": PLACE.region}


def script_of_kept_buckets(s3: Stubber, sts: Stubber, *names: str) -> None:
    """No stack, and these buckets with the stage's tag."""
    s3.add_response(
        "list_buckets", {"Buckets": [{"Name": name, "BucketRegion": PLACE.region} for name in names]}, ALIKE
    )
    if names:
        sts.add_response("get_caller_identity", {"Account": ACCOUNT}, {})
    for name in names:
        tags = {"TagSet": [{"Key": "windrow-stage", "Value": "prod"}]}
        s3.add_response("get_bucket_tagging", tags, {"Bucket": name, "ExpectedBucketOwner": ACCOUNT})


def script_of_no_stack(cloudformation: Stubber) -> None:
    """CloudFormation does not know the stage."""
    missing = "Stack with id windrow-prod does not exist"
    cloudformation.add_client_error("describe_stacks", "ValidationError", missing)


def test_a_new_stage_does_not_begin_beside_kept_data_unasked() -> None:
    """It would answer with new rows only, and nobody would miss the others until somebody asks for them."""
    with stubbed("cloudformation", "s3", "sts") as (cloudformation, s3, sts):
        script_of_no_stack(cloudformation)
        script_of_kept_buckets(s3, sts, ALL[0].name)
        with pytest.raises(WindrowError, match=f"its buckets were kept: {ALL[0].name}") as caught:
            adoption.choose(PLACE, "prod", adopts=None)
    assert "--adopt takes them back" in caught.value.hint


def test_a_stage_of_which_nothing_is_kept_begins() -> None:
    """Nobody has to choose; and who chose to begin beside what was kept is not asked for it either."""
    with stubbed("cloudformation", "s3", "sts") as (cloudformation, s3, sts):
        script_of_no_stack(cloudformation)
        script_of_kept_buckets(s3, sts)
        assert adoption.choose(PLACE, "prod", adopts=None) is None
        script_of_no_stack(cloudformation)
        assert adoption.choose(PLACE, "prod", adopts=False) is None


def test_a_stage_that_is_deployed_takes_nothing_back() -> None:
    """Its buckets are its own already; said at once, and without a choice it is simply deployed again."""
    created = datetime(2026, 11, 20, tzinfo=UTC)
    there = {"StackName": "windrow-prod", "CreationTime": created, "StackStatus": "CREATE_COMPLETE"}
    tagged = {"Stacks": [there | {"Tags": [{"Key": "windrow-stage", "Value": "prod"}]}]}
    with stubbed("cloudformation") as (cloudformation,):
        for _ in range(2):
            cloudformation.add_response("describe_stacks", tagged, {"StackName": "windrow-prod"})
        with pytest.raises(UsageError, match="is deployed, so there is nothing to take back"):
            adoption.choose(PLACE, "prod", adopts=True)
        assert adoption.choose(PLACE, "prod", adopts=None) is None


@pytest.mark.slow
def test_a_bucket_of_uploads_comes_back_only_with_uploads() -> None:
    """Without the parameter the template does not have it, and the import would fail."""
    plan = plan_deployment(PLACE, "prod", DeploymentOptions())
    with pytest.raises(UsageError, match="windrow-prod-uploadsbucket-1 is kept") as caught:
        adoption.apply(plan, WHOLE, lambda _: None)
    assert caught.value.hint == "add: --set Uploads=bucket"
