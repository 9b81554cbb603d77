"""Removing a stage: its stack, and its data where that is asked for."""

from dataclasses import dataclass

from infra import buckets, stack
from windrow.aws import Place, client, readable_errors
from windrow.deployment import stack_name
from windrow.errors import WindrowError


@dataclass(frozen=True, slots=True, kw_only=True)
class Destruction:
    """What destroying a stage removes and keeps; ``buckets`` hold its partials, results and given-up batches."""

    place: Place
    stage: str
    buckets: tuple[str, ...]
    deletes_data: bool

    def lines(self) -> list[str]:
        """The plan in words, one line each."""
        verb = "delete with all its objects" if self.deletes_data else "keep"
        return [
            f"delete stack {stack_name(self.stage)}, with its stream and whatever was not processed yet",
            *(f"{verb}: bucket {bucket}" for bucket in self.buckets),
        ]


def plan_destruction(place: Place, stage: str, *, deletes_data: bool) -> Destruction:
    """Look up what the stage has; WindrowError if it is not deployed or is being changed."""
    name = stack_name(stage)
    with readable_errors(place):
        existing = stack.describe(place, name)
        if not existing:
            raise WindrowError(f"no stage {stage!r} is deployed", hint="run: windrow status")
        stack.refuse_if_busy(name, existing["StackStatus"])
        resources = client("cloudformation", place).describe_stack_resources(StackName=name)["StackResources"]
    owned = sorted(
        resource["PhysicalResourceId"]
        for resource in resources
        if resource["ResourceType"] == "AWS::S3::Bucket" and resource.get("PhysicalResourceId")
    )
    return Destruction(place=place, stage=stage, buckets=tuple(owned), deletes_data=deletes_data)


def apply(destruction: Destruction, on_event: stack.OnEvent) -> int:
    """Delete the stack, which keeps its buckets, then these if so planned; return how many objects went with them."""
    with readable_errors(destruction.place):
        stack.delete(destruction.place, stack_name(destruction.stage), on_event)
        if not destruction.deletes_data:
            return 0
        return sum(buckets.remove(destruction.place, bucket) for bucket in destruction.buckets)
