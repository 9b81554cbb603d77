"""Finding a deployed stage: the names of its resources are the outputs of its CloudFormation stack."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from windrow.aws.clients import Place, client, readable_errors
from windrow.errors import WindrowError
from windrow.stage import Stage

STACK_PREFIX = "windrow-"
STAGE_TAG = "windrow-stage"
"""The tag of a stage's stack; its value is the name of the stage. A stack without it is somebody else's."""
_OURS = frozenset({"ConsumerCodeKey", "DispatcherCodeKey"})
"""Parameters that only this template has."""
# A rolled-back update leaves the previous deployment whole; the others leave it usable or being changed.
USABLE_STATUSES = frozenset(
    {
        "CREATE_COMPLETE",
        "IMPORT_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE",
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_IN_PROGRESS",
    }
)


# What to do about a stack in a state that is not usable ("Stack status codes" in CloudFormation's User Guide).
_HINTS = {
    "REVIEW_IN_PROGRESS": "its first deployment was prepared and never carried out; run: windrow deploy{stage}",
    "CREATE_FAILED": "a first deployment failed; remove what it left and begin again: windrow deploy{stage}",
    "ROLLBACK_COMPLETE": "a first deployment failed; remove what it left and begin again: windrow deploy{stage}",
    "ROLLBACK_FAILED": "a failed first deployment could not be removed; mend what stopped it (windrow deploy --follow"
    "{stage} names it) and run: windrow deploy{stage}",
    "DELETE_FAILED": "something could not be deleted; mend what stopped it (windrow deploy --follow{stage} names it)"
    " and run: windrow destroy{stage}",
    "UPDATE_ROLLBACK_COMPLETE": "everything is as before the change",
    "UPDATE_ROLLBACK_FAILED": "it could not go back; mend what stopped it (windrow deploy --follow{stage} names it) and"
    " run: aws cloudformation continue-update-rollback --stack-name {stack}",
    "UPDATE_FAILED": "it stopped halfway; run: aws cloudformation rollback-stack --stack-name {stack}",
    "IMPORT_ROLLBACK_COMPLETE": "nothing was taken over, and everything is as before",
}


def stack_name(stage: str) -> str:
    """Return the name of the CloudFormation stack of `stage`."""
    return STACK_PREFIX + stage


def stage_of(stack: str) -> str:
    """Return the stage that the stack of this name belongs to."""
    return stack.removeprefix(STACK_PREFIX)


def status_hint(stage: str, status: str) -> str:
    """Return what to do about the stack of `stage` in `status`; how to deploy if nothing else is to be done."""
    option = "" if stage == "dev" else f" --stage {stage}"
    if status in _HINTS:
        return _HINTS[status].format(stage=option, stack=stack_name(stage))
    if status.endswith("_IN_PROGRESS"):
        return f"follow it with: windrow deploy --follow{option}"
    return f"run: windrow deploy{option}"


def find_stage(place: Place, name: str) -> Stage:
    """Return the stage `name` at `place`; WindrowError if it is not deployed or its stack is not usable."""
    outputs = _outputs(place, name)
    try:
        return Stage(
            place=place,
            name=name,
            stream_name=outputs.get("StreamName", ""),
            lake_bucket=outputs["LakeBucketName"],
            results_bucket=outputs["ResultsBucketName"],
            failures_bucket=outputs["OnFailureBucketName"],
            uploads_bucket=outputs.get("UploadsBucketName", ""),
            backfill_machine=outputs.get("BackfillMachineArn", ""),
            consumer_function=outputs["ConsumerFunctionName"],
            dispatcher_function=outputs["DispatcherFunctionName"],
            database=outputs.get("GlueDatabaseName", ""),
            workgroup=outputs.get("AthenaWorkGroupName", ""),
            mode=outputs["ProcessingMode"],
            lateness_horizon_hours=int(outputs["LatenessHorizonHours"]),
            stream_retention_hours=int(outputs["StreamRetentionHours"]),
            payload_contract=outputs.get("PayloadContract", ""),
            rules=outputs.get("ValueRules", ""),
            info_topic_arn=outputs.get("InfoTopicArn", ""),
            warning_topic_arn=outputs.get("WarningTopicArn", ""),
            critical_topic_arn=outputs.get("CriticalTopicArn", ""),
            partials_retention_days=int(outputs["PartialsRetentionDays"]),
            iot_topic=outputs.get("IotTopic", ""),
            iot_select=outputs.get("IotSelect", ""),
            site_url=outputs.get("SiteUrl", ""),
            socket_url=outputs.get("LiveSocketUrl", ""),
            site_bucket=outputs.get("SiteBucketName", ""),
            user_pool=outputs.get("UserPoolId", ""),
            sign_in_client=outputs.get("SignInClientId", ""),
            sign_in_url=outputs.get("SignInUrl", ""),
            gateways_url=outputs.get("GatewaysUrl", ""),
        )
    except KeyError as missing:
        message = f"stack {stack_name(name)} has no output {missing.args[0]}"
        raise WindrowError(message, hint=f"run: windrow deploy --stage {name}") from missing


def stage_parameters(place: Place, name: str) -> dict[str, str]:
    """Return the parameters that the stage `name` was deployed with; errors as `find_stage`."""
    return {one["ParameterKey"]: one["ParameterValue"] for one in _stack(place, name).get("Parameters", [])}


def is_stage(stack: Mapping[str, Any]) -> bool:
    """Whether a stack, as DescribeStacks returns it, is that of the stage in its name."""
    tags = {tag["Key"]: tag["Value"] for tag in stack.get("Tags", [])}
    return str(stack["StackName"]) == stack_name(tags.get(STAGE_TAG, "")) or is_adopted(stack)


def is_adopted(stack: Mapping[str, Any]) -> bool:
    """Whether a stack holds what a destroyed stage left, and nothing else yet.

    CloudFormation allows an import neither tags nor outputs, so such a stack is known by the template's parameters.
    """
    parameters = {one["ParameterKey"]: one.get("ParameterValue") for one in stack.get("Parameters", [])}
    is_bare = not stack.get("Tags") and not stack.get("Outputs")
    return is_bare and parameters.keys() >= _OURS and stack["StackName"] == stack_name(parameters.get("Stage") or "")


def refuse_foreign(stack: Mapping[str, Any], stage: str) -> None:
    """Raise WindrowError if a stack has the name of a stage's and is not windrow's."""
    if not is_stage(stack):
        message = f"stack {stack['StackName']} is not windrow's: it has no tag {STAGE_TAG}={stage}"
        raise WindrowError(message, hint="choose another --stage")


def _outputs(place: Place, stage: str) -> dict[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in _stack(place, stage).get("Outputs", [])}


def _stack(place: Place, stage: str) -> dict[str, Any]:
    """Return the stack of `stage` as DescribeStacks has it; WindrowError if there is none, or none that is usable."""
    hint = status_hint(stage, "")
    with readable_errors(place):
        try:
            answer = client("cloudformation", place).describe_stacks(StackName=stack_name(stage))
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise WindrowError(f"no stage {stage!r} is deployed", hint=hint) from error
    stack: dict[str, Any] = answer["Stacks"][0]
    status = stack["StackStatus"]
    if status == "DELETE_COMPLETE":
        raise WindrowError(f"no stage {stage!r} is deployed", hint=hint)
    refuse_foreign(stack, stage)
    if status not in USABLE_STATUSES:
        raise WindrowError(
            f"stage {stage!r} is not usable: stack {stack_name(stage)} is {status}", hint=status_hint(stage, status)
        )
    return stack
