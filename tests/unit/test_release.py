"""What publishes new versions of the functions: the digest of all that they are made of."""

import difflib
from typing import Any

import pytest

from infra import release, template
from tests.golden.sam_template import translated
from windrow.aws.clients import AWS, EMBEDDED, LOCALSTACK, Place

TEMPLATE = template.load()
TEXT = template.text()
AT_LOCALSTACK = Place(LOCALSTACK, "http://127.0.0.1:1", "us-east-1")
OF_FANOUT = {"IsFanout", "HasFanoutOperations"}
OF_STREAM = {"HasStream", "HasStreamOperations", "HasStreamExpressions"}
OF_AUDIT = {"HasAudit", "HasAuditOperations", "HasAuditSchedule"}
OF_SCALING = {"HasScaling", "HasScalingOperations"}
OF_UPLOADS = {"HasUploads", "HasUploadsOperations", "HasTlsUploads", "HasGateways"}
REACHING = sorted(template.parameter_names() - release.NOT_IN_FUNCTIONS - {release.RELEASE})


def referred(value: Any) -> set[str]:
    """The names in a part of the template to which it refers: resources, parameters, conditions."""
    match value:
        case {"Ref": str(name)} | {"Condition": str(name)} | {"Fn::GetAtt": [str(name), _]}:
            return {name.partition(".")[0]}
        case {"Fn::If": [str(name), *rest]}:
            return {name} | referred(rest)
        case {"Fn::Sub": str(text)}:
            return {part.partition("}")[0].partition(".")[0] for part in text.split("${")[1:]}
        case dict() | list():
            parts = value.values() if isinstance(value, dict) else value
            return {name for part in parts for name in referred(part)}
        case _:
            return set()


def reachable() -> set[str]:
    """The parameters that functions refer to, and what else a replacement would change for them; by conditions too."""
    kinds = {"AWS::Serverless::Function", "AWS::IAM::Role", "AWS::Logs::LogGroup", "AWS::KMS::Key", "AWS::S3::Bucket"}
    resources = {
        name: one
        for name, one in TEMPLATE["Resources"].items()
        if one["Type"] in kinds and not name.startswith("Flink")  # its role and log belong to no function
    }
    for one in resources.values():
        one.get("Properties", {}).pop("Events", None)  # the schedule calls the function and is not part of it
    found, new = set(), referred([TEMPLATE["Globals"], resources])
    while new:
        found |= new
        new = referred([TEMPLATE["Conditions"].get(name) for name in new]) - found
    return found & template.parameter_names()


def test_what_publishes_nothing_reaches_no_function():
    """Neither by its value nor by a condition; otherwise the alias would stay with what was before."""
    assert reachable() & release.NOT_IN_FUNCTIONS == set()
    assert template.parameter_names() > release.NOT_IN_FUNCTIONS
    assert {"LogLevel", "RolePath", "ConsumerMemoryMb", "ConsumerCodeKey", "Operations", "SubnetIds"} <= reachable()


@pytest.mark.parametrize("name", REACHING)
def test_every_parameter_that_may_reach_a_function_counts(name: str):
    """A new value is a new release."""
    assert release.digest(TEXT, {name: "another"}) != release.digest(TEXT, {})


def test_what_a_function_never_sees_does_not_count():
    """Nor do the digest of before and parameters that the template has no more."""
    unseen = dict.fromkeys([*release.NOT_IN_FUNCTIONS, release.RELEASE, "Former"], "another")
    assert release.digest(TEXT, unseen) == release.digest(TEXT, {})


def test_a_default_counts_as_its_value():
    """A new stack has no values yet, and the stack that became of it has them all."""
    defaults = {name: str(one["Default"]) for name, one in template.parameters().items() if "Default" in one}
    assert release.digest(TEXT, defaults) == release.digest(TEXT, {})


def test_another_template_is_another_release():
    """Whatever differs in it."""
    assert release.digest(TEXT + "# more\n", {}) != release.digest(TEXT, {})


def test_a_new_release_is_a_new_version_that_differs_from_the_one_before():
    """SAM names the version after it, and Lambda, which publishes nothing that did not change, sees it described."""
    first, second = translated({"Release": "1" * 64}), translated({"Release": "2" * 64})
    for function in ("ConsumerFunction", "FanoutFunction", "DispatcherFunction"):
        names = [
            {name for name in one["Resources"] if name.startswith(f"{function}Version")} for one in (first, second)
        ]
        assert len(names[0]) == len(names[1]) == 1
        assert names[0] != names[1]
        texts = [one["Resources"][function]["Properties"]["Description"] for one in (first, second)]
        assert texts[0].endswith("1" * 64)
        assert texts[1].endswith("2" * 64)
        assert len(texts[0]) <= 256


def test_the_alias_is_what_it_is_called_here():
    """One name for all functions."""
    assert TEMPLATE["Globals"]["Function"]["AutoPublishAlias"] == release.ALIAS


def test_the_embedded_stack_gets_the_values_as_defaults():
    """And AWS the template as it is."""
    keys = {"FanoutCodeKey": "functions/fanout.zip", "UploadsCodeKey": "functions/uploads.zip"}
    values = {"Release": "0123", "Stage": "dev"} | keys
    found = release.text_for(Place(EMBEDDED, "http://127.0.0.1:1", "us-east-1"), TEXT, values)
    changed = [(old, new) for old, new in zip(TEXT.splitlines(), found.splitlines(), strict=True) if old != new]
    assert changed == [
        ('    Default: ""', '    Default: "0123"'),
        ('    Default: ""', '    Default: "functions/fanout.zip"'),
        ('    Default: ""', '    Default: "functions/uploads.zip"'),
    ]
    assert release.text_for(Place(AWS, None, "us-east-1"), TEXT, values) == TEXT


def test_localstack_gets_functions_without_aliases():
    """Nothing publishes a version or refers to an alias, and whatever else there is in this mode stays as it is."""
    found = release.text_for(AT_LOCALSTACK, TEXT, {"ProcessingMode": "fanout"}).splitlines()
    plain = [line for line in found if not line.lstrip().startswith("#")]
    assert not any("AutoPublish" in line or ".Alias" in line or f":{release.ALIAS}" in line for line in plain)
    decided = template.with_condition(TEXT, "IsFanout", is_met=True)
    # The one that all refer to comes last.
    for condition in sorted(OF_UPLOADS | OF_AUDIT | OF_SCALING, key=len, reverse=True):
        decided = template.with_condition(decided, condition, is_met=False)
    decided = template.with_condition(decided, "HasBackfill", is_met=False)
    decided = template.with_condition(decided, "HasStream", is_met=True)
    before = decided.splitlines()
    changed = [line for line in difflib.ndiff(before, found) if line.startswith(("- ", "+ "))]
    assert [line[2:].split(":")[0].strip() for line in changed if line.startswith("+ ")] == [
        *("FunctionName", "FunctionName", "Resource", "WINDROW_PROCESSOR_FUNCTION"),
        *("FunctionName", "IntegrationUri"),
        *("FunctionName", "- Arn", "- Arn", "FunctionName"),
        *("Value", "Value"),
    ]
    assert len(before) - len(found) == 9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "is_fanout"), [({}, False), ({"ProcessingMode": "direct"}, False), ({"ProcessingMode": "fanout"}, True)]
)
def test_localstack_gets_the_resources_of_one_mode(values: dict[str, str], is_fanout: bool):
    """Without the condition that it cannot change; what they have in common is the same in both, and all is found."""
    found = template.parse(release.text_for(AT_LOCALSTACK, TEXT, values))
    own = {name for name, one in TEMPLATE["Resources"].items() if one.get("Condition") in OF_FANOUT}
    assert len(own) == 6
    left_out = OF_UPLOADS | OF_AUDIT | {"HasBackfill", *OF_SCALING}
    not_chosen = {name for name, one in TEMPLATE["Resources"].items() if one.get("Condition") in left_out}
    assert found["Resources"].keys() == TEMPLATE["Resources"].keys() - (set() if is_fanout else own) - not_chosen
    assert [name for name, one in found["Resources"].items() if "IsFanout" in referred([one])] == []
    known = found["Resources"].keys() | found["Parameters"].keys() | found["Conditions"].keys()
    assert {name for name in referred([found["Resources"], found["Outputs"]]) if not name.startswith("AWS::")} <= known
    reader = "FanoutFunction" if is_fanout else "ConsumerFunction"
    assert found["Resources"]["StreamMapping"]["Properties"]["FunctionName"] == {"Ref": reader}


def test_localstack_gets_uploads_if_the_stage_has_them():
    """All of them without their conditions, and the outputs that name them; what they refer to is there."""
    found = template.parse(release.text_for(AT_LOCALSTACK, TEXT, {"Uploads": "bucket"}))
    of_uploads = {name for name in TEMPLATE["Resources"] if name.startswith("Uploads")}
    conditions = {name: found["Resources"][name].get("Condition") for name in of_uploads}
    assert {name for name, condition in conditions.items() if condition} == {"UploadsBucketPolicy", "UploadsFailAlarm"}
    assert "Condition" not in found["Outputs"]["UploadsBucketName"]
    mapping = found["Resources"]["UploadsMapping"]["Properties"]
    assert mapping["FunctionName"] == {"Ref": "UploadsFunction"}


def test_localstack_gets_the_audit_if_the_stage_has_it():
    """Without its condition; what it refers to is there."""
    found = template.parse(release.text_for(AT_LOCALSTACK, TEXT, {"Audit": "daily"}))
    assert "Condition" not in found["Resources"]["AuditFunction"]
    known = found["Resources"].keys() | found["Parameters"].keys() | found["Conditions"].keys()
    assert {name for name in referred([found["Resources"], found["Outputs"]]) if not name.startswith("AWS::")} <= known


def test_localstack_gets_a_stage_without_a_stream():
    """Neither stream nor mapping, nor an alarm or a widget about them; whatever is left refers to what is left."""
    found = template.parse(release.text_for(AT_LOCALSTACK, TEXT, {"Uploads": "bucket", "StreamMode": "NONE"}))
    of_stream = {name for name, one in TEMPLATE["Resources"].items() if one.get("Condition") in OF_STREAM}
    assert {"Stream", "StreamMapping", "SilenceAlarm"} <= of_stream
    assert of_stream & found["Resources"].keys() == set()
    known = found["Resources"].keys() | found["Parameters"].keys() | found["Conditions"].keys() | {"Mapping"}
    unmet = {"IotRole", "IotRule", *(name for name in TEMPLATE["Resources"] if name.startswith("Flink"))}
    kept = {name: one for name, one in found["Resources"].items() if name not in unmet}
    assert {name for name in referred([kept, found["Outputs"]]) if not name.startswith("AWS::")} <= known


def test_a_condition_that_stands_in_another_form_is_not_decided():
    """Something that still refers to it would depend on the mode after all."""
    text = "Resources:\n  A:\n    Properties:\n      X: !If\n        - IsFanout\n        - {a: 1}\n        - {b: 2}\n"
    with pytest.raises(ValueError, match="IsFanout"):
        template.with_condition(text, "IsFanout", is_met=True)


def test_only_an_empty_default_is_filled():
    """Another one would be lost."""
    with pytest.raises(KeyError):
        template.with_defaults(TEXT, {"Stage": "prod"})
