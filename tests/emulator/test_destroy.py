"""Destroying a stage may break off anywhere; what is left is found, and deleted or taken back.

The stages here are small: the buckets and the key of the template, and nothing else.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra import belongings, buckets, destroy, stack, template
from infra.destroy import Destruction
from tests.emulator.by_command import new_stage
from tests.emulator.conftest import ignore
from windrow.aws.clients import Place, client
from windrow.deployment import STAGE_TAG, stack_name
from windrow.errors import WindrowError

OBJECTS = 5
BUCKETS = len(belongings.BUCKETS) - 1  # without that of uploads
SERVICES = ("cloudformation", "s3", "kms", "sts")
# After these, the answer may be lost though the thing is done.
MUTATIONS = ("DeleteStack", "DeleteObjects", "DeleteBucket", "ScheduleKeyDeletion", "PutBucketLifecycleConfiguration")
CALLS_MAX = 200


@dataclass
class Login:
    """What makes a request fail: the one with the number `breaks_at` before, or that change after it was made."""

    breaks_at: int
    is_after: bool
    calls: list[str] = field(default_factory=list)

    @property
    def has_broken(self) -> bool:
        return len(self.calls) >= self.breaks_at

    def before(self, model: Any, **_: object) -> None:
        if not self.is_after:
            self._count(model.name)

    def after(self, model: Any, **_: object) -> None:
        if self.is_after and model.name in MUTATIONS:
            self._count(model.name)

    def _count(self, operation: str) -> None:
        self.calls.append(operation)
        if len(self.calls) == self.breaks_at:
            raise ClientError({"Error": {"Code": "ExpiredToken", "Message": "the token has expired"}}, operation)


@contextmanager
def expiring(place: Place, login: Login) -> Iterator[None]:
    """Let requests to `place` fail as `login` says."""
    emitters = [client(service, place).meta.events for service in SERVICES]
    for emitter in emitters:
        emitter.register("before-call.*.*", login.before)
        emitter.register("after-call.*.*", login.after)
    try:
        yield
    finally:
        for emitter in emitters:
            emitter.unregister("before-call.*.*", login.before)
            emitter.unregister("after-call.*.*", login.after)


@contextmanager
def unless(words: str) -> Iterator[None]:
    """Pass over the WindrowError that has these words, and no other."""
    try:
        yield
    except WindrowError as error:
        if words not in str(error):
            raise


def kept_part() -> str:
    """The key and the buckets of the template, as they are, without the rules by which objects expire."""
    whole = template.load()
    resources = {name: whole["Resources"][name] for name in ("Key", *belongings.BUCKETS)}
    for bucket in belongings.BUCKETS:
        resources[bucket]["Properties"].pop("LifecycleConfiguration", None)
    parts = {name: whole[name] for name in ("AWSTemplateFormatVersion", "Parameters", "Conditions")}
    return json.dumps(parts | {"Resources": resources})


def put_up(place: Place, stage: str) -> None:
    """Create the small stage, with objects in each bucket, some of them overwritten."""
    values = {"Stage": stage, "CodeBucket": "code", "ConsumerCodeKey": "c", "DispatcherCodeKey": "d"}
    client("cloudformation", place).create_stack(
        StackName=stack_name(stage),
        TemplateBody=kept_part(),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
        Tags=[{"Key": STAGE_TAG, "Value": stage}],
    )
    client("cloudformation", place).get_waiter("stack_create_complete").wait(
        StackName=stack_name(stage), WaiterConfig={"Delay": 1}
    )
    for bucket in belongings.find_buckets(place, stage):
        for number in range(OBJECTS):
            for version in range(2):
                body = f"{version}".encode()
                client("s3", place).put_object(Bucket=bucket.name, Key=f"{number}", Body=body)


def remains(place: Place, stage: str) -> tuple[bool, int, int, int]:
    """Whether there is a stack, and how many buckets, keys, and keys that will be deleted."""
    owned = belongings.find(place, stage)
    has_stack = bool(stack.describe(place, stack_name(stage)))
    return has_stack, len(owned.buckets), len(owned.keys), len(owned.going_keys)


def destroy_all(place: Place, stage: str) -> Destruction:
    """What `windrow destroy --delete-data` does."""
    return destroy.apply(destroy.plan_destruction(place, stage, deletes_data=True), ignore)


@pytest.mark.parametrize("is_after", [False, True], ids=["before a request", "after it"])
def test_a_removal_that_breaks_off_anywhere_is_finished_by_the_next(place: Place, is_after: bool) -> None:
    """At every request in turn the login expires; run again, the same is gone, and a stage of a like name is whole."""
    bystander = new_stage()
    stage = bystander[:-1]
    put_up(place, bystander)
    for breaks_at in range(1, CALLS_MAX):
        put_up(place, stage)
        going = remains(place, stage)[3]
        planned = destroy.plan_destruction(place, stage, deletes_data=True)
        login = Login(breaks_at, is_after)
        with expiring(place, login), unless("ExpiredToken"):
            destroy.apply(planned, ignore)
        if login.has_broken:
            with unless("no stage"):  # it broke off after the last thing that there was to do
                destroy_all(place, stage)
        assert remains(place, stage) == (False, 0, 0, going + 1), login.calls
        if not login.has_broken:
            break
    else:
        pytest.fail("it never got through")
    assert {"DeleteStack", "DeleteObjects", "DeleteBucket", "ScheduleKeyDeletion"} <= set(login.calls)
    assert remains(place, bystander) == (True, BUCKETS, 1, 0)
    destroy_all(place, bystander)


def test_what_was_kept_is_deleted_later(place: Place) -> None:
    """The stack goes first and the data stays; a second look names it; --delete-data finds it without a stack."""
    stage = new_stage()
    put_up(place, stage)
    assert destroy.apply(destroy.plan_destruction(place, stage, deletes_data=False), ignore) == Destruction(objects=0)
    assert remains(place, stage) == (False, BUCKETS, 1, 0)
    with pytest.raises(WindrowError, match="of an earlier one are kept: bucket windrow-") as caught:
        destroy.plan_destruction(place, stage, deletes_data=False)
    assert "--adopt" in caught.value.hint
    versions = OBJECTS * (2 + 1 + 1)  # two of each in the versioned bucket
    assert destroy_all(place, stage) == Destruction(objects=versions)
    assert remains(place, stage) == (False, 0, 0, 1)
    with pytest.raises(WindrowError, match="no stage"):
        destroy.plan_destruction(place, stage, deletes_data=True)


def test_a_huge_bucket_is_left_to_expire_and_removed_by_the_next_run(place: Place) -> None:
    """It and the key stay until then, and its rules let everything expire, old versions and markers too."""
    stage = new_stage()
    put_up(place, stage)
    planned = destroy.plan_destruction(place, stage, deletes_data=True)
    done = destroy.apply(planned, ignore, objects_max=OBJECTS)  # only the versioned bucket has more
    (left,) = belongings.find_buckets(place, stage)
    assert done == Destruction(objects=3 * OBJECTS, expiring=(left.name,))
    assert belongings.logical_id(left.name, stage) == "ResultsBucket"
    assert remains(place, stage) == (False, 1, 1, 0)
    rules = client("s3", place).get_bucket_lifecycle_configuration(Bucket=left.name)["Rules"]
    assert [rule["Expiration"] for rule in rules] == [{"Days": 1}, {"ExpiredObjectDeleteMarker": True}]
    assert rules[0]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    assert {(rule["Status"], rule["Filter"]["Prefix"]) for rule in rules} == {("Enabled", "")}
    assert destroy_all(place, stage) == Destruction(objects=OBJECTS)
    assert remains(place, stage) == (False, 0, 0, 1)


def test_a_bucket_of_another_stage_or_region_is_not_found(place: Place) -> None:
    """Neither one whose tag says otherwise, whatever its name, nor one that lies elsewhere."""
    stage = new_stage()
    name = f"windrow-{stage}-lakebucket-1"
    s3 = client("s3", place)
    s3.create_bucket(Bucket=name)
    assert [bucket.name for bucket in belongings.find_buckets(place, stage)] == [name]
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": STAGE_TAG, "Value": "other"}]})
    assert belongings.find_buckets(place, stage) == []
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": STAGE_TAG, "Value": stage}]})
    elsewhere = Place(place.name, place.endpoint_url, "eu-west-1")
    assert belongings.find_buckets(elsewhere, stage) == []
    (found,) = belongings.find_buckets(place, stage)
    assert buckets.remove(place, found).is_complete
