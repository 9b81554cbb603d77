"""The release of a stage: a digest of all that its functions are made of, which publishes their versions."""

import hashlib
import json
from collections.abc import Mapping

from infra import template
from windrow.aws.clients import EMBEDDED, LOCALSTACK, Place

RELEASE = "Release"
ALIAS = "live"
"""The alias of each function, which names the version that is called."""
NOT_IN_FUNCTIONS = frozenset(
    {
        *("ShardCount", "BatchingWindowSeconds", "ScheduleExpression", "ScheduleState"),
        *("AlarmEmail", "SilenceEmail", "InfoEmail", "WarningEmail", "CriticalEmail"),
        *("QuarantinePercentMax", "QueryScanBytesMax", "FirstDay", "SavedQueries"),
        *("QueryResults", "IotSelect", "Engine", "FlinkCodeKey"),
        *("WebFirewallArn", "ApiRequestsPerSecond", "StandInPort"),
    }
)
"""Parameters that change neither a function nor its role, so that a new value needs no new version."""
_OF_ALIASES = ("AutoPublishAlias:", "AutoPublishCodeSha256:", "VersionDeletionPolicy:")
# What decides over resources that refer to each other: a parameter, its values, the condition, and those that follow.
_OF_RESOURCES = (
    ("ProcessingMode", ("fanout",), "IsFanout", ("HasFanoutOperations",)),
    ("Uploads", ("bucket",), "HasUploads", ("HasUploadsOperations", "HasTlsUploads", "HasGateways")),
    ("Audit", ("daily",), "HasAudit", ("HasAuditOperations", "HasAuditSchedule")),
    ("Backfill", ("on",), "HasBackfill", ()),
    ("Scaling", ("auto",), "HasScaling", ("HasScalingOperations",)),
    ("StreamMode", ("PROVISIONED", "ON_DEMAND"), "HasStream", ("HasStreamOperations", "HasStreamExpressions")),
)
_SEEN_BY_SAM = (
    *(RELEASE, "FanoutCodeKey", "UploadsCodeKey", "BackfillCodeKey", "ScalingCodeKey", "LiveCodeKey", "ApiCodeKey"),
    "AuditCodeKey",
)


def digest(text: str, values: Mapping[str, str]) -> str:
    """Return the digest of a template and of the parameters that may reach its functions, in hexadecimal.

    `values` are those that the stack will have; others have their default. Parameters of former templates do not
    count, nor does an earlier digest. Rather too much counts than too little: a version that nothing needed costs a
    cold start, but an alias left behind runs what was before.
    """
    counted = template.parameter_names() - NOT_IN_FUNCTIONS - {RELEASE}
    defaults = {name: str(one.get("Default", "")) for name, one in template.parameters().items()}
    found = sorted((name, value) for name, value in (defaults | dict(values)).items() if name in counted)
    return hashlib.sha256(json.dumps([text, found]).encode()).hexdigest()


def text_for(place: Place, text: str, values: Mapping[str, str]) -> str:
    """Return the template's text as it is uploaded to `place`, for a stack with these parameters.

    The embedded stack's SAM transform is told no parameters. It takes their defaults, and writes them into the place of
    the code and into the names of versions; so there the defaults are the values. LocalStack's CloudFormation never
    moves an alias, and refuses references to what SAM has yet to make; so there functions have neither versions nor
    aliases. It also refuses to change a stack in which a resource that comes with a condition refers to another that
    does ("Unresolved resource dependencies"); so there the text has the fan-out function and uploads, or has them not.
    """
    if place.name == EMBEDDED:
        return template.with_defaults(text, {name: values[name] for name in _SEEN_BY_SAM if name in values})
    return _of_one_mode(_without_aliases(text), values) if place.name == LOCALSTACK else text


def _of_one_mode(text: str, values: Mapping[str, str]) -> str:
    """Return the template's text for the stack's mode alone, with uploads or without."""
    for parameter, needed, condition, following in _OF_RESOURCES:
        default = str(template.parameters()[parameter]["Default"])
        is_met = values.get(parameter, default) in needed
        for one in () if is_met else following:
            text = template.with_condition(text, one, is_met=False)
        text = template.with_condition(text, condition, is_met=is_met)
    return text


def _without_aliases(text: str) -> str:
    """Return the template's text in which everything calls the functions themselves, as they are now."""
    lines = [line for line in text.splitlines(keepends=True) if not line.lstrip().startswith(_OF_ALIASES)]
    direct = "".join(lines).replace("Resource: !Ref ConsumerFunction.Alias", "Resource: !GetAtt ConsumerFunction.Arn")
    return direct.replace("Function.Alias", "Function").replace("Function}:" + ALIAS, "Function}")
