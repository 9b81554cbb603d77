"""Removal of a stage: its stack, and its data if asked for."""

from dataclasses import dataclass

from infra import buckets, stack
from infra.buckets import OwnedBucket
from infra.stack_events import OnEvent
from windrow.aws.clients import Place, client, readable_errors
from windrow.deployment import refuse_foreign, stack_name
from windrow.errors import WindrowError

# The shortest waiting period that KMS allows; until it ends, the deletion can be cancelled.
KEY_DELETION_DAYS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class DestructionPlan:
    """What would be removed and what kept.

    ``buckets`` hold partials, results and batches that were given up; ``keys`` are the KMS keys that encrypt them.
    """

    place: Place
    stage: str
    buckets: tuple[str, ...]
    keys: tuple[str, ...]
    deletes_data: bool

    @property
    def kept(self) -> tuple[str, ...]:
        """What remains afterwards, in words."""
        if self.deletes_data:
            return ()
        return (
            *(f"bucket {bucket}" for bucket in self.buckets),
            *(f"key {key}, without which nobody can read them" for key in self.keys),
        )

    def lines(self) -> list[str]:
        """Return the plan in words, line by line."""
        first = f"delete stack {stack_name(self.stage)}, with its stream and whatever was not processed yet"
        if not self.deletes_data:
            return [first, *(f"keep {what}" for what in self.kept)]
        return [
            first,
            *(f"delete with all its objects: bucket {bucket}" for bucket in self.buckets),
            *(f"delete in {KEY_DELETION_DAYS} days: key {key}" for key in self.keys),
        ]


def plan_destruction(place: Place, stage: str, *, deletes_data: bool) -> DestructionPlan:
    """Return what destroying the stage would do; WindrowError if it is not deployed or is being changed."""
    name = stack_name(stage)
    with readable_errors(place):
        existing = stack.describe(place, name)
        if not existing:
            raise WindrowError(f"no stage {stage!r} is deployed", hint="run: windrow status")
        refuse_foreign(existing, stage)
        stack.refuse_if_busy(name, existing["StackStatus"])
        if existing.get("EnableTerminationProtection"):
            hint = f"take the protection off first: windrow deploy --no-protect --stage {stage}"
            raise WindrowError(f"stage {stage!r} is protected from being destroyed", hint=hint)
        resources = client("cloudformation", place).describe_stack_resources(StackName=name)["StackResources"]

    def owned(kind: str) -> tuple[str, ...]:
        found = (one.get("PhysicalResourceId", "") for one in resources if one["ResourceType"] == kind)
        return tuple(sorted(filter(None, found)))

    return DestructionPlan(
        place=place,
        stage=stage,
        buckets=owned("AWS::S3::Bucket"),
        keys=owned("AWS::KMS::Key"),
        deletes_data=deletes_data,
    )


def apply(plan: DestructionPlan, on_event: OnEvent) -> int:
    """Delete the stack, then its data if the plan says so; return the number of deleted objects."""
    place = plan.place
    with readable_errors(place):
        removed = 0
        owned = _owned(plan) if plan.deletes_data else []
        if plan.deletes_data and place.endpoint_url is not None:
            # LocalStack deletes even buckets that the template retains, and fails if one is not empty.
            removed += sum(buckets.empty(place, bucket) for bucket in owned)
        stack.delete(place, stack_name(plan.stage), on_event)
        if not plan.deletes_data:
            return 0
        removed += sum(buckets.remove(place, bucket) for bucket in owned)
        for key in plan.keys:  # last, so that objects which could not be removed stay readable
            _delete_key(place, key)
    return removed


def _owned(plan: DestructionPlan) -> list[OwnedBucket]:
    account = buckets.account_of(plan.place)
    return [OwnedBucket(name=name, account=account) for name in plan.buckets]


def _delete_key(place: Place, key: str) -> None:
    kms = client("kms", place)
    # LocalStack has already scheduled it, although the template retains the key.
    if kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] != "PendingDeletion":
        kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=KEY_DELETION_DAYS)
