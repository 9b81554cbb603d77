"""Drift: what was changed in a stage by hand, outside the template."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.plan import AUTO, SCALING
from infra.resharding import SHARD_COUNT, STREAM_TYPE
from infra.stack import describe
from infra.waiting import OPERATION_MINUTES_MAX, wait_for_operation
from windrow.aws.clients import Place, client, readable_errors
from windrow.deployment import stack_name
from windrow.errors import WindrowError

_DRIFTED = ["MODIFIED", "DELETED"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A property that differs from the template. Values are JSON, or empty if there is none.

    If the whole resource was deleted, ``path`` is empty.
    """

    resource: str
    resource_type: str
    path: str = ""
    expected: str = ""
    actual: str = ""

    def __str__(self) -> str:
        """Return one line for people."""
        if not self.path:
            return f"{self.resource} ({self.resource_type}) is gone"
        return f"{self.resource} ({self.resource_type}) {self.path}: {self.actual or 'unset'}, not {self.expected}"


def differences(place: Place, stage: str) -> tuple[Difference, ...]:
    """Have CloudFormation compare the stage with its template, and return what differs.

    WindrowError if there is no such stage, or it takes too long.
    """
    name = stack_name(stage)
    with readable_errors(place):
        stack = describe(place, name)
        if not stack:
            raise WindrowError(f"no stage {stage!r} is deployed", hint="run: windrow status")
        cloudformation = client("cloudformation", place)
        detection = cloudformation.detect_stack_drift(StackName=name)["StackDriftDetectionId"]
        _wait_until_detected(place, name, detection)
        request: dict[str, Any] = {"StackName": name, "StackResourceDriftStatusFilters": _DRIFTED}
        found: list[Difference] = []
        while True:
            page = cloudformation.describe_stack_resource_drifts(**request)
            found += [difference for drift in page["StackResourceDrifts"] for difference in _differences(drift)]
            if not page.get("NextToken"):
                return tuple(sorted((one for one in found if not _is_scaled(one, stack)), key=str))
            request["NextToken"] = page["NextToken"]


def _wait_until_detected(place: Place, name: str, detection: str) -> None:
    cloudformation = client("cloudformation", place)

    def is_detected() -> bool:
        answer = cloudformation.describe_stack_drift_detection_status(StackDriftDetectionId=detection)
        if answer["DetectionStatus"] == "DETECTION_FAILED":
            reason = " ".join(answer.get("DetectionStatusReason", "no reason was given").split())
            raise WindrowError(f"CloudFormation cannot detect the drift of stack {name}: {reason}")
        return bool(answer["DetectionStatus"] == "DETECTION_COMPLETE")

    message = f"the drift of stack {name} is not known within {OPERATION_MINUTES_MAX} minutes"
    wait_for_operation(place, is_detected, complaint=WindrowError(message))


def _is_scaled(difference: Difference, stack: Mapping[str, Any]) -> bool:
    """Whether it is the number of shards of a stage with Scaling=auto, which the load decides over."""
    parameters = {one["ParameterKey"]: one.get("ParameterValue") for one in stack.get("Parameters", [])}
    is_shards = difference.resource_type == STREAM_TYPE and difference.path == f"/{SHARD_COUNT}"
    return is_shards and parameters.get(SCALING) == AUTO


def _differences(drift: dict[str, Any]) -> list[Difference]:
    resource, kind = drift["LogicalResourceId"], drift["ResourceType"]
    if drift["StackResourceDriftStatus"] == "DELETED":
        return [Difference(resource=resource, resource_type=kind)]
    return [
        Difference(
            resource=resource,
            resource_type=kind,
            path=one["PropertyPath"],
            expected=_text(one.get("ExpectedValue")),
            actual=_text(one.get("ActualValue")),
        )
        for one in drift.get("PropertyDifferences", [])
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)
