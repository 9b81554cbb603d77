"""The Flink application of a stage with Engine=flink: its code for a deployment, and its start after one.

CloudFormation creates the application and changes it, but never starts it; once started it runs until it is stopped.
"""

from pathlib import Path

from botocore.exceptions import ClientError

from infra import flink_code, stack
from infra.package import Package
from infra.plan import FLINK_CODE_KEY, DeploymentOptions, DeploymentPlan, has_flink
from windrow.aws.clients import Place, client, readable_errors
from windrow.deployment import stack_name

_STARTS_FROM = "READY"


def code_for(
    place: Place, stage: str, options: DeploymentOptions, *, home: Path, is_asked: bool = True
) -> Package | None:
    """Return the jar of the application, made by Maven or kept under `home`; None if the stage is to have none.

    If `options` do not say, it depends on what the stage has, unless nothing may be asked (not `is_asked`).
    """
    if place.endpoint_url is not None or not _wants(place, stage, options, is_asked=is_asked):
        return None
    body = flink_code.build(home / flink_code.CACHE_FOLDER).read_bytes()
    return Package(function="flink", body=body, parts={"Maven": len(body)})


def _wants(place: Place, stage: str, options: DeploymentOptions, *, is_asked: bool) -> bool:
    parameters = dict(options.parameters)
    if is_asked:
        with readable_errors(place):
            existing = stack.describe(place, stack_name(stage)).get("Parameters", [])
        parameters = {one["ParameterKey"]: one.get("ParameterValue", "") for one in existing} | parameters
    return has_flink(parameters)


def start(plan: DeploymentPlan) -> bool:
    """Start the application that the plan has deployed, if it stands still; return whether it was started."""
    if FLINK_CODE_KEY not in plan.parameters:
        return False
    service, name = client("kinesisanalyticsv2", plan.place), stack_name(plan.stage)
    with readable_errors(plan.place):
        detail = service.describe_application(ApplicationName=name)["ApplicationDetail"]
        if detail["ApplicationStatus"] != _STARTS_FROM:
            return False
        try:
            service.start_application(ApplicationName=name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceInUseException":  # somebody was faster
                raise
            return False
    return True
