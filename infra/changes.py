"""Change sets: what an update would do to a CloudFormation stack, as values."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError

from infra.waiting import OPERATION_MINUTES_MAX, wait_for_operation
from windrow.aws.clients import Place, client
from windrow.errors import WindrowError

# The template uses the SAM macro and roles with generated names.
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
DATA_RESOURCE_TYPES = frozenset({"AWS::Kinesis::Stream", "AWS::KMS::Key", "AWS::S3::Bucket"})
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")


class Effect(StrEnum):
    """What would happen to a resource."""

    ADD = "add"
    MODIFY = "change"
    MAYBE_REPLACE = "change, perhaps by replacing"
    REPLACE = "replace"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A resource that would change; ``because`` names the properties that differ, if they are known."""

    resource: str
    resource_type: str
    effect: Effect
    because: tuple[str, ...] = ()

    @property
    def is_loss(self) -> bool:
        """Whether the resource would be lost. If it holds data, possibly being replaced counts as a loss.

        A version of a function goes whenever a new one is published; nothing is lost with it.
        """
        if self.resource_type == "AWS::Lambda::Version":
            return False
        if self.effect is Effect.MAYBE_REPLACE:
            return self.resource_type in DATA_RESOURCE_TYPES
        return self.effect in (Effect.REPLACE, Effect.REMOVE)

    def __str__(self) -> str:
        """Return one line for people."""
        reasons = f": {', '.join(self.because)}" if self.because else ""
        return f"{self.effect} {self.resource} ({self.resource_type}){reasons}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSet:
    """A change set that can be executed."""

    change_set_id: str
    is_new_stack: bool
    changes: tuple[Change, ...]

    @property
    def losses(self) -> tuple[Change, ...]:
        """The changes that replace or remove a resource."""
        return tuple(change for change in self.changes if change.is_loss)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRequest:
    """What a stack is to become. ``parameters`` is as CreateChangeSet takes it.

    Without ``template_url`` it keeps its template, and without ``tags`` its tags. If an alarm in ``triggers`` (ARNs)
    rings during the change or ``watch_minutes`` after it, CloudFormation goes back. ``role_arn`` is the role that
    CloudFormation acts in, from then on; without it the one that the stack had, else the rights of the caller.

    With ``imports`` (as the API's ResourcesToImport) it takes these in and does nothing else: no tags, no triggers.
    """

    parameters: list[dict[str, Any]]
    template_url: str | None = None
    tags: Mapping[str, str] | None = None
    is_new: bool = False
    triggers: tuple[str, ...] = ()
    watch_minutes: int = 0
    role_arn: str | None = None
    imports: Sequence[dict[str, Any]] = ()

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of CreateChangeSet."""
        template = {"UsePreviousTemplate": True} if self.template_url is None else {"TemplateURL": self.template_url}
        tags = {} if self.tags is None else {"Tags": [{"Key": key, "Value": value} for key, value in self.tags.items()]}
        # Said even if there are none: a stack would keep those of the change before.
        watched = {
            "RollbackTriggers": [{"Arn": arn, "Type": "AWS::CloudWatch::Alarm"} for arn in self.triggers],
            "MonitoringTimeInMinutes": self.watch_minutes if self.triggers else 0,
        }
        if self.imports:
            tags, watched = {}, {}
        kind = "CREATE" if self.is_new else "UPDATE"
        imports = {"ResourcesToImport": list(self.imports)} if self.imports else {}
        return {
            "ChangeSetType": "IMPORT" if imports else kind,
            "Parameters": self.parameters,
            "Capabilities": CAPABILITIES,
            **({"RollbackConfiguration": watched} if watched else {}),
            **({} if self.role_arn is None else {"RoleARN": self.role_arn}),
            **template,
            **tags,
            **imports,
        }


def create(place: Place, name: str, request: ChangeRequest) -> ChangeSet | None:
    """Create a change set for stack ``name`` and return it; None if nothing would change.

    WindrowError if CloudFormation rejects the template or parameters, or does not answer in time.
    """
    cloudformation = client("cloudformation", place)
    change_set_id: str = cloudformation.create_change_set(
        StackName=name,
        ChangeSetName=f"deploy-{uuid.uuid4().hex}",
        **request.arguments(),
    )["Id"]
    answer = _wait_until_ready(place, name, change_set_id)
    if answer["Status"] == "FAILED":
        reason = " ".join(answer.get("StatusReason", "").split())
        discard(place, name, change_set_id, is_new=request.is_new)
        if any(words in reason for words in _NO_CHANGES):
            return None
        raise WindrowError(f"stack {name} cannot be changed: {reason}")
    found = _changes(place, change_set_id, name)
    if not found and place.endpoint_url is not None:
        # LocalStack creates empty change sets. On AWS, one without resources still changes outputs or tags.
        discard(place, name, change_set_id, is_new=request.is_new)
        return None
    return ChangeSet(change_set_id=change_set_id, is_new_stack=request.is_new, changes=found)


def discard(place: Place, name: str, change_set_id: str, *, is_new: bool) -> None:
    """Delete a change set instead of executing it; if it was for a new stack, delete that stack too if it is empty.

    It is not empty if somebody else executed a change set of theirs meanwhile.
    """
    cloudformation = client("cloudformation", place)
    cloudformation.delete_change_set(ChangeSetName=change_set_id, StackName=name)
    if is_new and _is_empty(place, name):
        cloudformation.delete_stack(StackName=name)


def _is_empty(place: Place, name: str) -> bool:
    """Whether the stack was never more than a place for change sets; false if it is gone."""
    try:
        (stack,) = client("cloudformation", place).describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        return False
    return bool(stack["StackStatus"] == "REVIEW_IN_PROGRESS")


def _wait_until_ready(place: Place, name: str, change_set_id: str) -> dict[str, Any]:
    """Return the change set's description once it is ready or has failed."""
    cloudformation = client("cloudformation", place)

    def description_when_ready() -> dict[str, Any] | None:
        answer: dict[str, Any] = cloudformation.describe_change_set(ChangeSetName=change_set_id, StackName=name)
        return answer if answer["Status"] in ("CREATE_COMPLETE", "FAILED") else None

    message = f"the change set of stack {name} is not ready within {OPERATION_MINUTES_MAX} minutes"
    return wait_for_operation(place, description_when_ready, complaint=WindrowError(message))


def _changes(place: Place, change_set_id: str, name: str) -> tuple[Change, ...]:
    pages = client("cloudformation", place).get_paginator("describe_change_set")
    found = [
        _change(entry["ResourceChange"])
        for page in pages.paginate(ChangeSetName=change_set_id, StackName=name)
        for entry in page.get("Changes", [])
        if "ResourceChange" in entry
    ]
    return tuple(sorted(found, key=lambda change: (not change.is_loss, change.effect, change.resource)))


def _change(entry: dict[str, Any]) -> Change:
    targets = (detail.get("Target", {}) for detail in entry.get("Details", []))
    because = {target.get("Name") or target.get("Attribute", "") for target in targets}
    return Change(
        resource=entry["LogicalResourceId"],
        resource_type=entry["ResourceType"],
        effect=_effect(entry),
        because=tuple(sorted(because - {""})),
    )


def _effect(entry: dict[str, Any]) -> Effect:
    match entry["Action"], entry.get("Replacement"):
        case (("Add" | "Import"), _):
            return Effect.ADD
        case "Remove", _:
            return Effect.REMOVE
        case "Modify", "True":
            return Effect.REPLACE
        case "Modify", "False":
            return Effect.MODIFY
        case _:  # "Conditional", or a value added to the API later: not known in advance
            return Effect.MAYBE_REPLACE
