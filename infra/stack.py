"""A stage's CloudFormation stack: applying a plan, following its events, and saying why it failed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from infra import buckets, changes, parameters, template
from infra.changes import ChangeSet
from infra.plan import DeploymentPlan
from infra.waiting import OPERATION_MINUTES_MAX, wait_for_operation
from windrow.aws.clients import EMBEDDED, LOCALSTACK, Place, client, readable_errors
from windrow.deployment import STAGE_TAG, find_stage, refuse_foreign, stack_name
from windrow.errors import WindrowError
from windrow.stage import Stage

# A failed first deployment leaves a stack that can only be deleted.
_DELETABLE_ONLY = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"})
_ABSENT = frozenset({"", "REVIEW_IN_PROGRESS"})
_SUCCESSES = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StackEvent:
    """A change in the status of one resource; ``reason`` is empty unless something is wrong."""

    event_id: str
    resource: str
    resource_type: str
    status: str
    reason: str

    @property
    def is_failure(self) -> bool:
        """Whether this resource failed by itself, rather than being cancelled because another one failed."""
        return self.status.endswith("_FAILED") and "cancelled" not in self.reason.lower()

    @property
    def is_end_of_stack(self) -> bool:
        """Whether this event ends the whole operation."""
        return self.resource_type == "AWS::CloudFormation::Stack" and self.status.endswith(("_COMPLETE", "_FAILED"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentResult:
    """The result of a deployment: the keys that were new in the code bucket, and whether anything changed."""

    stage: Stage
    uploaded: tuple[str, ...]
    is_changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedDeployment:
    """A deployment whose code is uploaded and whose changes are known; ``change_set`` is None if nothing changes."""

    plan: DeploymentPlan
    uploaded: tuple[str, ...]
    change_set: ChangeSet | None


OnEvent = Callable[[StackEvent], None]


def apply(plan: DeploymentPlan, on_event: OnEvent) -> DeploymentResult:
    """Deploy without asking: upload the code, create or update the stack, and wait until that is done.

    WindrowError if the stack is already being changed; or with the resource that failed, and why.
    """
    return execute(prepare(plan, on_event), on_event)


def prepare(plan: DeploymentPlan, on_event: OnEvent) -> PreparedDeployment:
    """Upload the code and create a change set, but change nothing that is deployed.

    A stack left by a failed first deployment is deleted first, because CloudFormation cannot update it.
    """
    place, name = plan.place, stack_name(plan.stage)
    if place.name != EMBEDDED and not all(package.is_complete for package in plan.packages):
        raise WindrowError("the packages lack what the functions import", hint="this is a bug: plan with wheels")
    with readable_errors(place):
        existing = describe(place, name)
        status = existing.get("StackStatus", "")
        if status not in _ABSENT:
            refuse_foreign(existing, plan.stage)
        refuse_if_busy(name, status)
        if status in _DELETABLE_ONLY:
            delete(place, name, on_event)
            existing, status = {}, ""
        _refuse_unsupported_change(plan, existing)
        settled = parameters.settle(plan.parameters, existing, today=datetime.now(UTC).date())
        bucket = buckets.code_bucket(place)
        buckets.ensure_code_bucket(place, bucket)
        uploaded = buckets.upload(place, bucket, plan.packages)
        change_set = changes.create(
            place,
            name,
            template_url=buckets.upload_template(place, bucket, plan.template),
            parameters=_parameters(settled | {"CodeBucket": bucket.name}, existing),
            tags={STAGE_TAG: plan.stage},
            is_new=status in _ABSENT,
        )
    return PreparedDeployment(plan=plan, uploaded=uploaded, change_set=change_set)


def execute(prepared: PreparedDeployment, on_event: OnEvent) -> DeploymentResult:
    """Execute the change set and wait until that is done; WindrowError names the resource that failed."""
    place, name = prepared.plan.place, stack_name(prepared.plan.stage)
    change_set = prepared.change_set
    with readable_errors(place):
        if change_set is not None:
            seen = {event.event_id for event in events(place, name)}
            client("cloudformation", place).execute_change_set(ChangeSetName=change_set.change_set_id, StackName=name)
            _follow(place, name, seen, on_event)
    stage = find_stage(place, prepared.plan.stage)
    return DeploymentResult(stage=stage, uploaded=prepared.uploaded, is_changed=change_set is not None)


def discard(prepared: PreparedDeployment) -> None:
    """Delete the change set and leave the stack as it is."""
    change_set = prepared.change_set
    if change_set is not None:
        place, name = prepared.plan.place, stack_name(prepared.plan.stage)
        with readable_errors(place):
            changes.discard(place, name, change_set.change_set_id, is_new=change_set.is_new_stack)


def delete(place: Place, name: str, on_event: OnEvent) -> None:
    """Delete the stack and wait until it is gone; WindrowError names the resource that could not be deleted."""
    seen = {event.event_id for event in events(place, name)}
    # Followed by id, because a deleted stack cannot be found by name.
    stack_id = describe(place, name)["StackId"]
    client("cloudformation", place).delete_stack(StackName=name)
    _follow(place, stack_id, seen, on_event)


def describe(place: Place, name: str) -> dict[str, Any]:
    """Return CloudFormation's description of the stack; empty if there is none."""
    try:
        stack: dict[str, Any] = client("cloudformation", place).describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError" and "does not exist" in str(error):
            return {}
        raise
    return stack


def refuse_if_busy(name: str, status: str) -> None:
    """Raise WindrowError if an operation on the stack is in progress."""
    if status.endswith("_IN_PROGRESS") and status not in _ABSENT:
        raise WindrowError(
            f"stack {name} is already being changed ({status})", hint="wait until it is done: windrow status"
        )


def events(place: Place, name: str) -> list[StackEvent]:
    """Return all events of the stack, oldest first; empty if there is no stack of that name."""
    try:
        pages = client("cloudformation", place).get_paginator("describe_stack_events").paginate(StackName=name)
        found = [_event(one) for page in pages for one in page["StackEvents"]]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            return []
        raise
    return found[::-1]


def _refuse_unsupported_change(plan: DeploymentPlan, existing: dict[str, Any]) -> None:
    """Raise WindrowError for a change that works on AWS but not at this stand-in.

    Stand-ins silently ignore a new number of shards. LocalStack fails on resources whose condition changes, which a
    change of mode does to those of the fan-out.
    """
    has = {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in existing.get("Parameters", [])}
    fixed = {"ShardCount": "shards"} if plan.place.endpoint_url is not None else {}
    if plan.place.name == LOCALSTACK:
        fixed |= {"ProcessingMode": "as its mode"}
    for name, noun in fixed.items():
        wanted = plan.parameters.get(name)
        if wanted is not None and has.get(name, wanted) != wanted:
            message = f"stage {plan.stage!r} has {has[name]} {noun}, and this place cannot change that"
            raise WindrowError(message, hint=f"run: windrow destroy --stage {plan.stage}, then deploy again")


def _parameters(decided: dict[str, str], existing: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the request's parameters: those in ``decided``; others that the template still has keep their value."""
    had = {parameter["ParameterKey"] for parameter in existing.get("Parameters", [])}
    kept = (had & template.parameter_names()) - decided.keys()
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in sorted(decided.items())] + [
        {"ParameterKey": name, "UsePreviousValue": True} for name in sorted(kept)
    ]


def _follow(place: Place, name: str, seen: set[str], on_event: OnEvent) -> None:
    """Report events that are not in ``seen`` until the operation ends; WindrowError unless it succeeded."""
    failures: list[StackEvent] = []

    def last_event() -> StackEvent | None:
        end: StackEvent | None = None
        for event in events(place, name):
            if event.event_id in seen:
                continue
            seen.add(event.event_id)
            on_event(event)
            if event.is_end_of_stack:
                end = event
            elif event.is_failure:
                failures.append(event)
        return end

    message = f"stack {name} is not done after {OPERATION_MINUTES_MAX} minutes"
    late = WindrowError(message, hint="CloudFormation goes on by itself; see: windrow status")
    end = wait_for_operation(place, last_event, complaint=late)
    if end.status not in _SUCCESSES:
        raise _failed(end, failures[0] if failures else None)


def _failed(end: StackEvent, failure: StackEvent | None) -> WindrowError:
    if failure is None:
        return WindrowError(f"stack {end.resource} is {end.status}: {end.reason or 'no reason was given'}")
    what = f"{failure.resource} ({failure.resource_type}) failed: {failure.reason or 'no reason was given'}"
    return WindrowError(what, hint=f"stack {end.resource} is {end.status}")


def _event(entry: dict[str, Any]) -> StackEvent:
    return StackEvent(
        event_id=entry["EventId"],
        resource=entry.get("LogicalResourceId", ""),
        resource_type=entry.get("ResourceType", ""),
        status=entry.get("ResourceStatus", ""),
        reason=_one_line(entry.get("ResourceStatusReason", "")),
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())
