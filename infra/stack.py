"""A stage's CloudFormation stack: applying a plan, following what is in progress, and deleting it."""

from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from infra import buckets, changes, contracts, mapping, parameters, release, resharding, template
from infra.changes import ChangeRequest, ChangeSet
from infra.guards import NO_GUARDS, WATCH_MINUTES_MAX, Guards, find_guards
from infra.plan import ON, WEB, DeploymentPlan
from infra.resharding import STREAM_TYPE, RestoredShards
from infra.stack_events import EventReader, OnEvent, OperationError, StackEvent, follow
from windrow.aws.clients import EMBEDDED, LOCALSTACK, Place, client, readable_errors
from windrow.deployment import STAGE_TAG, find_stage, refuse_foreign, stack_name, stage_of, status_hint
from windrow.errors import WindrowError
from windrow.payloads.stored import store_contract, store_contract_since
from windrow.rules.stored import store_rules
from windrow.stage import Stage

# A failed first deployment leaves a stack that can only be deleted.
_DELETABLE_ONLY = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"})
# A stack that failed to go back takes no update until somebody has helped it.
_STUCK = frozenset({"UPDATE_FAILED", "UPDATE_ROLLBACK_FAILED"})
_ABSENT = frozenset({"", "REVIEW_IN_PROGRESS"})
_BEING_DELETED = "DELETE_IN_PROGRESS"
# CloudFormation's answers when a stack or its change set was changed by somebody else after we looked.
_OVERTAKEN = frozenset({"ChangeSetNotFound", "InvalidChangeSetStatus"})
_IN_PROGRESS = "_IN_PROGRESS state"
KEY_PARAMETER = "ExistingKeyArn"
"""The parameter that names a key which is not the stage's own."""

OnUpdate = Callable[[Mapping[str, str]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentResult:
    """The result of a deployment: the keys that were new in the code bucket, and whether anything changed.

    ``restored_shards`` says what became of the shards of a scaled stream, if CloudFormation changed them unasked.
    """

    stage: Stage
    uploaded: tuple[str, ...]
    is_changed: bool
    restored_shards: RestoredShards | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedDeployment:
    """A deployment whose code is uploaded and whose changes are known; ``change_set`` is None if nothing changes.

    ``updates_before`` are the parameters of updates that have to be made before it, one after the other. ``ringing``
    are the alarms that do not guard it, because they ring already. ``contract_before`` is the digest of the contract
    that the stage has, empty for the default form. ``kept_shards`` are those of a scaled stream, and those that its
    stack says, if they differ and the deployment asks for no others.
    """

    plan: DeploymentPlan
    uploaded: tuple[str, ...]
    change_set: ChangeSet | None
    request: ChangeRequest
    updates_before: tuple[dict[str, str], ...] = ()
    ringing: tuple[str, ...] = ()
    contract_before: str = ""
    kept_shards: tuple[int, int] | None = None


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
        if status in _STUCK:
            raise WindrowError(f"stack {name} is {status}", hint=status_hint(plan.stage, status))
        if status in _DELETABLE_ONLY:
            delete(place, name, on_event)
            existing, status = {}, ""
        _refuse_unsupported_change(plan, existing)
        _refuse_another_key(plan, existing)
        settled = parameters.settle(plan.parameters, existing, today=datetime.now(UTC).date(), python=plan.python)
        updates_before = resharding.updates_before(place, plan.stage, settled, existing)
        kept_shards = resharding.shards_to_keep(place, plan.stage, settled, existing)
        guards = _guards(plan, settled, existing) if status not in _ABSENT else NO_GUARDS
        bucket = buckets.code_bucket(place)
        decided = settled | {"CodeBucket": bucket.name}
        decided |= {release.RELEASE: release.digest(plan.template, _values(existing) | decided)}
        buckets.ensure_code_bucket(place, bucket)
        uploaded = buckets.upload(place, bucket, plan.packages)
        request = ChangeRequest(
            template_url=buckets.upload_template(
                place, bucket, release.text_for(place, plan.template, _values(existing) | decided)
            ),
            parameters=_parameters(decided, existing),
            tags=_tags(existing) | dict(plan.tags) | {STAGE_TAG: plan.stage},
            is_new=status in _ABSENT,
            triggers=guards.triggers,
            watch_minutes=plan.watch_minutes,
            role_arn=plan.role_arn,
        )
        with _told_if_overtaken(name):
            change_set = changes.create(place, name, request)
    return PreparedDeployment(
        plan=plan,
        uploaded=uploaded,
        change_set=change_set,
        request=request,
        updates_before=updates_before,
        ringing=guards.ringing,
        contract_before=_values(existing).get(contracts.PARAMETER, ""),
        kept_shards=kept_shards,
    )


def execute(prepared: PreparedDeployment, on_event: OnEvent, on_update: OnUpdate = lambda _: None) -> DeploymentResult:
    """Execute the change set and wait until that is done; WindrowError names the resource that failed.

    Updates that have to be made before are made first; each is announced to `on_update` by its parameters. If one of
    them fails, what it and those after it would have changed stays as it is, and the same deployment goes on there.
    """
    plan, change_set, name = prepared.plan, prepared.change_set, stack_name(prepared.plan.stage)
    with readable_errors(plan.place):
        _store_early(plan, is_new=change_set is not None and change_set.is_new_stack)
        try:
            if change_set is not None and prepared.updates_before:
                discard(prepared)  # the first of these updates makes it invalid
                for update in prepared.updates_before:
                    on_update(update)
                    _update_parameters(plan, update, on_event)
                with _told_if_overtaken(name):
                    change_set = changes.create(plan.place, name, prepared.request)
            if change_set is not None:
                types = () if change_set.is_new_stack else {change.resource_type for change in change_set.changes}
                with mapping.still_for(plan.place, plan.stage, types):
                    _execute(plan, change_set, on_event)
        except OperationError as error:
            _note_contract(prepared, is_done=False)
            if error.resource_type != STREAM_TYPE or resharding.SHARD_COUNT not in plan.parameters:
                raise
            raise resharding.refused(error, plan.place, plan.stage) from error
        if plan.is_protected is not None:
            client("cloudformation", plan.place).update_termination_protection(
                StackName=name, EnableTerminationProtection=plan.is_protected
            )
    stage = find_stage(plan.place, plan.stage)
    _store(plan, stage)  # a new stage's batches are tried again until its contract is there, and ticks come again
    _note_contract(prepared, is_done=True)
    return DeploymentResult(
        stage=stage,
        uploaded=prepared.uploaded,
        is_changed=change_set is not None,
        restored_shards=_restore_shards(prepared),
    )


def _store_early(plan: DeploymentPlan, *, is_new: bool) -> None:
    """Store contract and rules before functions name them, unless the stage is new and has no lake yet."""
    is_needed = bool(plan.contract or plan.rules)
    if is_needed and not is_new and describe(plan.place, stack_name(plan.stage)).get("Outputs"):
        _store(plan, find_stage(plan.place, plan.stage))


def _store(plan: DeploymentPlan, stage: Stage) -> None:
    if plan.contract:
        store_contract(stage.lake, plan.contract)
    if plan.rules:
        store_rules(stage.lake, plan.rules)


def _restore_shards(prepared: PreparedDeployment) -> RestoredShards | None:
    """Set the shards of a scaled stream back to what they were, if a change of another property reset them."""
    kept, change_set = prepared.kept_shards, prepared.change_set
    if kept is None or change_set is None or STREAM_TYPE not in {one.resource_type for one in change_set.changes}:
        return None
    shards, of_stack = kept
    return resharding.restore(prepared.plan.place, prepared.plan.stage, shards=shards, of_stack=of_stack)


def _note_contract(prepared: PreparedDeployment, *, is_done: bool) -> None:
    """Write down since when functions read under the contract that the stage has now, if this deployment changed it.

    They read under the other one for a while, too, if CloudFormation went back. What an audit compares begins there.
    """
    plan, before = prepared.plan, prepared.contract_before
    wanted = plan.parameters.get(contracts.PARAMETER, before)
    if wanted == before:
        return
    try:
        stage = find_stage(plan.place, plan.stage)
    except WindrowError:
        if is_done:
            raise
        return  # a new stage that failed has no lake, and nothing to compare
    since_ms = 0 if prepared.request.is_new else int(datetime.now(UTC).timestamp() * 1_000)
    store_contract_since(stage.lake, wanted if is_done else before, since_ms=since_ms)


def _update_parameters(plan: DeploymentPlan, update: dict[str, str], on_event: OnEvent) -> None:
    """Change these parameters of the stack and nothing else, not even its template."""
    name = stack_name(plan.stage)
    had = [one["ParameterKey"] for one in describe(plan.place, name)["Parameters"]]
    request = ChangeRequest(parameters=_entries(update, kept=set(had) - update.keys()), role_arn=plan.role_arn)
    with _told_if_overtaken(name):
        change_set = changes.create(plan.place, name, request)
    if change_set is not None:
        _execute(plan, change_set, on_event)


def _execute(plan: DeploymentPlan, change_set: ChangeSet, on_event: OnEvent) -> None:
    place, name = plan.place, stack_name(plan.stage)
    if plan.parameters.get(WEB, ON) != ON and not change_set.is_new_stack:
        empty_site(place, plan.stage)  # or CloudFormation could not delete the bucket
    reader = EventReader.from_now(place, name)
    with _told_if_overtaken(name):
        client("cloudformation", place).execute_change_set(ChangeSetName=change_set.change_set_id, StackName=name)
    follow(place, name, reader, on_event, watch_minutes=plan.watch_minutes)


def discard(prepared: PreparedDeployment) -> None:
    """Delete the change set and leave the stack as it is."""
    change_set = prepared.change_set
    if change_set is not None:
        place, name = prepared.plan.place, stack_name(prepared.plan.stage)
        with readable_errors(place):
            changes.discard(place, name, change_set.change_set_id, is_new=change_set.is_new_stack)


def delete(place: Place, name: str, on_event: OnEvent) -> None:
    """Delete the stack and wait until it is gone, also if that is under way already, or done.

    WindrowError names the resource that could not be deleted.
    """
    existing = describe(place, name)
    if not existing:
        return  # gone since it was looked at
    # Followed by id, because a deleted stack cannot be found by name.
    stack_id = existing["StackId"]
    reader = EventReader.from_now(place, stack_id)
    if existing["StackStatus"] == _BEING_DELETED and not describe(place, name):
        return  # it ended before its events were read, so no new one will come
    client("cloudformation", place).delete_stack(StackName=name)
    follow(place, stack_id, reader, on_event)


def follow_last_operation(place: Place, stage: str, on_event: OnEvent) -> StackEvent:
    """Report the operation in progress on the stage from its beginning, wait for its end, and return that event.

    If none is in progress, it is the last one that is reported. WindrowError if it failed, with the resource and the
    reason; or if there is no such stage, or nothing was ever done to it.
    """
    name = stack_name(stage)
    with readable_errors(place):
        existing = describe(place, name)
        status = existing.get("StackStatus", "")
        if not existing or status == "DELETE_COMPLETE":
            raise WindrowError(f"no stage {stage!r} is deployed", hint=status_hint(stage, ""))
        refuse_foreign(existing, stage)
        if status == "REVIEW_IN_PROGRESS":
            raise WindrowError(f"nothing is in progress on stage {stage!r}", hint=status_hint(stage, status))
        stack_id = existing["StackId"]
        reader = EventReader.from_last_operation(place, stack_id)
        return follow(place, stack_id, reader, on_event, watch_minutes=WATCH_MINUTES_MAX)


@contextmanager
def _told_if_overtaken(name: str) -> Iterator[None]:
    """Turn CloudFormation's refusal, because somebody else changed the stack meanwhile, into words."""
    try:
        yield
    except ClientError as error:
        details = error.response["Error"]
        if details["Code"] not in _OVERTAKEN and _IN_PROGRESS not in details.get("Message", ""):
            raise
        hint = f"{status_hint(stage_of(name), 'UPDATE_IN_PROGRESS')}; then deploy again"
        raise WindrowError(f"somebody else began to change stack {name} meanwhile", hint=hint) from error


def empty_site(place: Place, stage: str) -> None:
    """Delete the files of the stage's page, if it has one; they come again with a deployment."""
    outputs = {one["OutputKey"]: one["OutputValue"] for one in describe(place, stack_name(stage)).get("Outputs", [])}
    if name := outputs.get("SiteBucketName"):
        buckets.empty(place, buckets.OwnedBucket(name=name, account=buckets.account_of(place)))


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
            f"stack {name} is already being changed ({status})", hint=status_hint(stage_of(name), status)
        )


def _refuse_unsupported_change(plan: DeploymentPlan, existing: dict[str, Any]) -> None:
    """Raise WindrowError for another number of shards at a LocalStack, which would silently ignore it."""
    name, wanted = resharding.SHARD_COUNT, plan.parameters.get(resharding.SHARD_COUNT)
    has = _values(existing).get(name, wanted)
    if plan.place.name == LOCALSTACK and wanted not in (None, has):
        message = f"stage {plan.stage!r} has {has} shards, and this place cannot change that"
        raise WindrowError(message, hint=f"run: windrow destroy --stage {plan.stage}, then deploy again")


def _refuse_another_key(plan: DeploymentPlan, existing: dict[str, Any]) -> None:
    """Raise WindrowError for another key: the functions could no longer read what is stored under the one before."""
    wanted, before = plan.parameters.get(KEY_PARAMETER), _values(existing).get(KEY_PARAMETER, "")
    if existing.get("StackStatus", "") not in _ABSENT and wanted not in (None, before):
        message = f"stage {plan.stage!r} has stored its objects under {before or 'a key of its own'}"
        hint = "the functions could not read them with another key: deploy another --stage with the new one"
        raise WindrowError(message, hint=hint)


def _values(existing: dict[str, Any]) -> dict[str, str]:
    """Return the parameters of a deployed stack, as values by name."""
    return {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in existing.get("Parameters", [])}


def _tags(existing: dict[str, Any]) -> dict[str, str]:
    """Return the tags of a deployed stack; a change set without one of them would remove it everywhere."""
    return {tag["Key"]: tag["Value"] for tag in existing.get("Tags", [])}


def _guards(plan: DeploymentPlan, settled: Mapping[str, str], existing: dict[str, Any]) -> Guards:
    """Return the alarms that guard the change of an existing stage, of those that it has and keeps."""
    if not plan.watch_minutes:
        return NO_GUARDS
    return find_guards(plan.place, plan.stage, _values(existing) | dict(settled))


def _parameters(decided: dict[str, str], existing: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the request's parameters: those in ``decided``; others that the template still has keep their value."""
    had = {parameter["ParameterKey"] for parameter in existing.get("Parameters", [])}
    return _entries(decided, kept=(had & template.parameter_names()) - decided.keys())


def _entries(decided: dict[str, str], *, kept: Set[str]) -> list[dict[str, Any]]:
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in sorted(decided.items())] + [
        {"ParameterKey": name, "UsePreviousValue": True} for name in sorted(kept)
    ]
