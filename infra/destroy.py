"""Removal of a stage: its stack, and its data if asked for.

Nothing is remembered between two runs. What is still there is found by the stage's tag, so a removal that broke off
(an expired login, a lost connection) is finished by running it again.
"""

from dataclasses import dataclass

from infra import belongings, buckets, stack
from infra.belongings import Belongings
from infra.stack_events import OnEvent
from windrow.aws.clients import LOCALSTACK, Place, client, readable_errors
from windrow.deployment import refuse_foreign, stack_name
from windrow.errors import UsageError, WindrowError

# The shortest waiting period that KMS allows; until it ends, the deletion can be cancelled.
KEY_DELETION_DAYS = 7
_BEING_DELETED = "DELETE_IN_PROGRESS"


@dataclass(frozen=True, slots=True, kw_only=True)
class DestructionPlan:
    """What would be removed and what kept.

    ``buckets`` hold partials, results and batches that were given up; ``keys`` are the KMS keys that encrypt them.
    ``has_stack`` is false if an earlier run deleted the stack. ``site`` is the bucket of the page's files, if any.
    """

    place: Place
    stage: str
    has_stack: bool
    owned: Belongings
    deletes_data: bool
    site: str = ""

    @property
    def kept(self) -> tuple[str, ...]:
        """What remains afterwards, in words."""
        if self.deletes_data:
            return ()
        return (
            *(f"bucket {bucket.name}" for bucket in self.owned.buckets),
            *(f"key {key}, without which nobody can read them" for key in self.owned.keys),
        )

    def lines(self) -> list[str]:
        """Return the plan in words, line by line."""
        name = stack_name(self.stage)
        lines = [f"delete stack {name}, with its stream and whatever was not processed yet"]
        if self.site:
            lines.append("delete with it the page, and the users who sign in there")
        if not self.has_stack:
            lines = [f"stack {name} is gone already"]
        if not self.deletes_data:
            return [*lines, *(f"keep {what}" for what in self.kept)]
        lines += [f"delete with all its objects: bucket {bucket.name}" for bucket in self.owned.buckets]
        lines += [f"delete in {KEY_DELETION_DAYS} days: key {key}" for key in self.owned.keys]
        if self.owned.hidden_keys and not self.owned.keys:
            lines.append(f"no key found; {self.owned.hidden_keys} keys of the account do not show their tags")
        return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Destruction:
    """What a removal did: how many objects it deleted, and the buckets that S3 goes on emptying."""

    objects: int
    expiring: tuple[str, ...] = ()


def plan_destruction(place: Place, stage: str, *, deletes_data: bool) -> DestructionPlan:
    """Return what destroying the stage would do.

    WindrowError if nothing of it is there, or only what would be kept, or it is being changed.
    """
    name = stack_name(stage)
    if place.name == LOCALSTACK and not deletes_data:
        raise UsageError("LocalStack deletes buckets even if the template retains them", hint="use --delete-data")
    with readable_errors(place):
        existing = stack.describe(place, name)
        mine: dict[str, list[str]] = {}
        if existing:
            refuse_foreign(existing, stage)
            if existing["StackStatus"] != _BEING_DELETED:
                stack.refuse_if_busy(name, existing["StackStatus"])
            if existing.get("EnableTerminationProtection"):
                hint = f"take the protection off first: windrow deploy --no-protect --stage {stage}"
                raise WindrowError(f"stage {stage!r} is protected from being destroyed", hint=hint)
            mine = _resources(place, existing["StackId"])
        sites = [one for one in mine.get("AWS::S3::Bucket", []) if belongings.is_site(one, stage)]
        owned = belongings.find(
            place,
            stage,
            more_buckets=[one for one in mine.get("AWS::S3::Bucket", []) if one not in sites],
            more_keys=mine.get("AWS::KMS::Key", []),
        )
    plan = DestructionPlan(
        place=place,
        stage=stage,
        has_stack=bool(existing),
        owned=owned,
        deletes_data=deletes_data,
        site="".join(sites[:1]),
    )
    if not plan.has_stack:
        _refuse_nothing_to_do(plan)
    return plan


def apply(plan: DestructionPlan, on_event: OnEvent, *, objects_max: int = buckets.OBJECTS_MAX) -> Destruction:
    """Delete the stack, then its data if the plan says so; leave buckets of more than ``objects_max`` to expire.

    What is gone already is passed over, so this can be repeated from any point.
    """
    place, owned = plan.place, plan.owned
    with readable_errors(place):
        objects = 0
        if plan.deletes_data and plan.has_stack and place.name == LOCALSTACK:
            # LocalStack deletes even buckets that the template retains, and fails if one is not empty.
            objects += sum(buckets.empty(place, bucket).objects for bucket in owned.buckets)
        if plan.has_stack:
            if plan.site:
                account = buckets.account_of(place)
                buckets.empty(place, buckets.OwnedBucket(name=plan.site, account=account))
            stack.delete(place, stack_name(plan.stage), on_event)
        if not plan.deletes_data:
            return Destruction(objects=0)
        removals = {bucket.name: buckets.remove(place, bucket, objects_max=objects_max) for bucket in owned.buckets}
        expiring = tuple(name for name, removal in removals.items() if not removal.is_complete)
        if not expiring:
            for key in owned.keys:  # last, so that objects which could not be removed stay readable
                _delete_key(place, key)
    return Destruction(objects=objects + sum(one.objects for one in removals.values()), expiring=expiring)


def _resources(place: Place, stack_id: str) -> dict[str, list[str]]:
    """Return the names of the stack's resources by their type."""
    found: dict[str, list[str]] = {}
    for one in client("cloudformation", place).describe_stack_resources(StackName=stack_id)["StackResources"]:
        if one.get("PhysicalResourceId") and one.get("ResourceStatus") != "DELETE_COMPLETE":
            found.setdefault(one["ResourceType"], []).append(one["PhysicalResourceId"])
    return found


def _refuse_nothing_to_do(plan: DestructionPlan) -> None:
    is_anything = plan.owned.buckets or plan.owned.keys
    if not is_anything:
        raise WindrowError(f"no stage {plan.stage!r} is deployed", hint="run: windrow status")
    if not plan.deletes_data:
        message = f"no stage {plan.stage!r} is deployed; of an earlier one are kept: {', '.join(plan.kept)}"
        raise WindrowError(
            message, hint="windrow deploy --adopt takes them back, windrow destroy --delete-data removes them"
        )


def _delete_key(place: Place, key: str) -> None:
    kms = client("kms", place)
    # LocalStack has already scheduled it, although the template retains the key.
    if kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] != "PendingDeletion":
        kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=KEY_DELETION_DAYS)
