"""Taking back what a destroyed stage left: its buckets and key join the stack of a new stage of that name.

CloudFormation does this in a change set of its own kind, which may do nothing else: it knows no outputs, no tags and no
macros. So a stack is created that holds what was kept and nothing more, and the deployment after it is an update, which
adds everything else and sets the kept resources' properties as they should be now.

What CloudFormation demands is in its user guide under "Import AWS resources into a CloudFormation stack".
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra import belongings, buckets, changes, stack, template
from infra.belongings import Belongings
from infra.buckets import OwnedBucket
from infra.plan import DeploymentPlan
from infra.stack_events import EventReader, OnEvent, follow
from windrow.aws.clients import Place, client, readable_errors
from windrow.deployment import is_adopted, stack_name
from windrow.errors import UsageError, WindrowError

_KEY = "Key"
_UPLOADS = "UploadsBucket"
_ABSENT = frozenset({"", "REVIEW_IN_PROGRESS"})
# A stack whose import failed holds nothing, and only a deletion ends it.
_FAILED = frozenset({"IMPORT_ROLLBACK_COMPLETE", "IMPORT_ROLLBACK_FAILED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """What a stage takes back: its buckets by their logical ids in the template, and their key, if it was theirs."""

    stage: str
    buckets: Mapping[str, OwnedBucket]
    key: str | None

    def lines(self) -> list[str]:
        """Return it in words, line by line."""
        lines = [f"take back bucket {bucket.name} ({name})" for name, bucket in self.buckets.items()]
        return [*lines, *([f"take back key {self.key}"] if self.key else [])]


def choose(place: Place, stage: str, *, adopts: bool | None) -> Adoption | None:
    """Return what a deployment of the stage takes back; None if the stack is there, or it begins without.

    ``adopts`` is the user's choice. If there is none to be made, it may be None; else WindrowError names what was kept.
    UsageError if there is nothing to take back.
    """
    with readable_errors(place):
        existing = stack.describe(place, stack_name(stage))
        status = existing.get("StackStatus", "")
        if status not in _ABSENT | _FAILED:
            if adopts and not is_adopted(existing):
                raise UsageError(f"stage {stage!r} is deployed, so there is nothing to take back")
            return None
        if adopts is None:
            _refuse_kept(stage, belongings.find_buckets(place, stage))
        if not adopts:
            return None
        return plan_adoption(stage, belongings.find(place, stage))


def apply(plan: DeploymentPlan, adoption: Adoption, on_event: OnEvent) -> None:
    """Create the stage's stack from what it takes back; WindrowError with CloudFormation's reason if it does not."""
    place, name = plan.place, stack_name(plan.stage)
    if _UPLOADS in adoption.buckets and plan.parameters.get("Uploads") != "bucket":
        message = f"{adoption.buckets[_UPLOADS].name} is kept of a stage with uploads"
        raise UsageError(message, hint="add: --set Uploads=bucket")
    with readable_errors(place):
        for bucket in adoption.buckets.values():
            refuse_another_key(plan, adoption, bucket.name, buckets.key_of(place, bucket))
        if stack.describe(place, name).get("StackStatus") in _FAILED:
            stack.delete(place, name, on_event)
        with_policy = frozenset(
            logical for logical, bucket in adoption.buckets.items() if buckets.has_policy(place, bucket)
        )
        code = buckets.code_bucket(place)
        buckets.ensure_code_bucket(place, code)
        parameters = plan.parameters | {"CodeBucket": code.name}
        request = changes.ChangeRequest(
            template_url=buckets.upload_template(place, code, import_template(adoption, with_policy)),
            parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in sorted(parameters.items())],
            is_new=True,
            role_arn=plan.role_arn,
            imports=_imports(adoption, with_policy),
        )
        change_set = changes.create(place, name, request)
        if change_set is None:
            raise WindrowError(f"CloudFormation takes nothing into stack {name}", hint="this is a bug")
        reader = EventReader.from_now(place, name)
        client("cloudformation", place).execute_change_set(ChangeSetName=change_set.change_set_id, StackName=name)
        follow(place, name, reader, on_event)


def import_template(adoption: Adoption, with_policy: frozenset[str]) -> str:
    """Return the part of the template that describes what is taken back.

    An import changes nothing, and the update after it changes what differs from this. So this leaves out the rules by
    which objects expire: `windrow destroy --delete-data` may have replaced them, and the update must set them. What
    keeps the data private stays in, so that a failed update, which goes back to this, does not take it off.
    """
    whole = template.load()
    resources = {}
    for imported in _imports(adoption, with_policy):
        logical = imported["LogicalResourceId"]
        resource = dict(whole["Resources"][logical])
        properties = dict(resource["Properties"])
        properties.pop("LifecycleConfiguration", None)
        if adoption.key is None:
            properties.pop("BucketEncryption", None)
        resources[logical] = resource | {"Properties": properties}
    parts = {name: whole[name] for name in ("AWSTemplateFormatVersion", "Description", "Parameters", "Conditions")}
    return json.dumps({**parts, "Resources": resources}, indent=1)


def _imports(adoption: Adoption, with_policy: frozenset[str]) -> list[dict[str, Any]]:
    """Return what is imported, as the API's ResourcesToImport; each type is identified as its schema says."""
    found = [("AWS::KMS::Key", _KEY, {"KeyId": adoption.key})] if adoption.key else []
    for logical, bucket in adoption.buckets.items():
        found.append(("AWS::S3::Bucket", logical, {"BucketName": bucket.name}))
        if logical in with_policy:
            # CloudFormation refuses to create a policy where there is one.
            found.append(("AWS::S3::BucketPolicy", f"{logical}Policy", {"Bucket": bucket.name}))
    return [
        {"ResourceType": kind, "LogicalResourceId": logical, "ResourceIdentifier": identifier}
        for kind, logical, identifier in found
    ]


def plan_adoption(stage: str, owned: Belongings) -> Adoption:
    """Return what to take back; WindrowError if there is nothing, or a choice that only the user can make."""
    if not owned.buckets:
        raise UsageError(f"nothing is kept of a stage {stage!r}", hint="leave out --adopt")
    by_name: dict[str, list[OwnedBucket]] = {}
    for bucket in owned.buckets:
        by_name.setdefault(belongings.logical_id(bucket.name, stage), []).append(bucket)
    for logical, found in by_name.items():
        if not logical:
            raise WindrowError(f"bucket {found[0].name} has the stage's tag, but is none of a stage's")
        if len(found) > 1:
            names = " and ".join(bucket.name for bucket in found)
            message = f"two stages {stage!r} were destroyed, and of both {logical} is kept: {names}"
            raise WindrowError(message, hint="take the tag windrow-stage off the buckets and keys of one of them")
    if owned.going_keys and not owned.keys:
        key = owned.going_keys[0]
        hint = f"keep it first: aws kms cancel-key-deletion --key-id {key} && aws kms enable-key --key-id {key}"
        raise WindrowError(f"key {key} of stage {stage!r} is going to be deleted, and the data with it", hint=hint)
    if len(owned.keys) > 1:
        message = f"stage {stage!r} has two keys: {' and '.join(owned.keys)}"
        raise WindrowError(message, hint="take the tag windrow-stage off the one that does not encrypt the buckets")
    kept = {name: by_name[name][0] for name in belongings.BUCKETS if name in by_name}
    return Adoption(stage=stage, buckets=kept, key=next(iter(owned.keys), None))


def refuse_another_key(plan: DeploymentPlan, adoption: Adoption, bucket: str, key: str) -> None:
    """Raise WindrowError if the stage could not read what a bucket stores under `key` (an id or ARN, maybe empty)."""
    chosen = plan.parameters.get(stack.KEY_PARAMETER, "") or adoption.key or ""
    if key and key.rpartition("/")[2] != chosen.rpartition("/")[2]:
        message = f"bucket {bucket} is encrypted with key {key}, and the stage would use {chosen or 'a new one'}"
        is_own = adoption.key is not None and key.rpartition("/")[2] == adoption.key
        hint = f"leave out {stack.KEY_PARAMETER}" if is_own else f"give it: --set {stack.KEY_PARAMETER}={key}"
        raise WindrowError(message, hint=hint)


def _refuse_kept(stage: str, kept: list[OwnedBucket]) -> None:
    if kept:
        names = ", ".join(bucket.name for bucket in kept)
        hint = "--adopt takes them back, --no-adopt begins with empty ones beside them"
        raise WindrowError(f"stage {stage!r} was destroyed and its buckets were kept: {names}", hint=hint)
