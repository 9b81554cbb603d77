"""The rights of the functions' roles: what each may do, and where, and nothing else."""

from typing import Any

import pytest

from infra import template
from windrow import layout

RESOURCES = template.load()["Resources"]
LAKE_WRITES = frozenset(
    ("s3:PutObject", f"${{LakeBucket.Arn}}/{prefix}*")
    for prefix in (layout.PARTIALS, layout.MARKERS, layout.QUARANTINE)
)
STREAM_READS = frozenset(
    (f"kinesis:{action}", "Stream.Arn")
    for action in ("DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards")
) | {("kinesis:ListStreams", "*")}
GIVES_UP = frozenset(
    (action, where)
    for action in ("s3:ListBucket", "s3:PutObject")
    for where in ("OnFailureBucket.Arn", "${OnFailureBucket.Arn}/*")
)
ROLLS = frozenset(
    {
        ("s3:ListBucket", "LakeBucket.Arn"),
        ("s3:ListBucket", "ResultsBucket.Arn"),
        ("s3:GetObject", f"${{LakeBucket.Arn}}/{layout.PARTIALS}*"),
        ("s3:DeleteObject", f"${{LakeBucket.Arn}}/{layout.MARKERS}*"),
        ("s3:GetObject", f"${{ResultsBucket.Arn}}/{layout.AGGREGATES}*"),
        ("s3:PutObject", f"${{ResultsBucket.Arn}}/{layout.AGGREGATES}*"),
        ("s3:GetObject", f"${{ResultsBucket.Arn}}/{layout.WINDOWS}*"),
        ("s3:PutObject", f"${{ResultsBucket.Arn}}/{layout.WINDOWS}*"),
    }
)


def logs(function: str) -> frozenset[tuple[str, str]]:
    """What a function needs to write its log."""
    return frozenset((f"logs:{action}", f"{function}LogGroup.Arn") for action in ("CreateLogStream", "PutLogEvents"))


def statements(role: str, *, is_fanout: bool) -> list[dict[str, Any]]:
    """The role's statements in one of the modes."""
    found = []
    for policy in RESOURCES[role]["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            match statement:
                case {"Fn::If": ["IsFanout", in_fanout, in_direct]}:
                    chosen = in_fanout if is_fanout else in_direct
                case _:
                    chosen = statement
            if chosen != {"Ref": "AWS::NoValue"}:
                found.append(chosen)
    return found


def rights(role: str, *, is_fanout: bool) -> frozenset[tuple[str, str]]:
    """Pairs of an action and where it is allowed."""
    pairs = set()
    for statement in statements(role, is_fanout=is_fanout):
        assert statement["Effect"] == "Allow"
        actions, places = statement["Action"], statement["Resource"]
        for action in actions if isinstance(actions, list) else [actions]:
            for where in places if isinstance(places, list) else [places]:
                pairs.add((action, spelled(where)))
    return frozenset(pairs)


def spelled(where: Any) -> str:
    """A resource in a statement, in short."""
    match where:
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"{resource}.{attribute}"
        case {"Fn::Sub": text}:
            return str(text)
        case _:
            return str(where)


@pytest.mark.parametrize(
    ("role", "is_fanout", "expected"),
    [
        pytest.param("ConsumerRole", False, logs("Consumer") | LAKE_WRITES | STREAM_READS | GIVES_UP, id="consumer"),
        pytest.param("ConsumerRole", True, logs("Consumer") | LAKE_WRITES, id="processor"),
        pytest.param(
            "FanoutRole",
            True,
            logs("Fanout")
            | LAKE_WRITES
            | STREAM_READS
            | GIVES_UP
            | {("lambda:InvokeFunction", "ConsumerFunction.Arn")},
            id="fanout",
        ),
        pytest.param("DispatcherRole", False, logs("Dispatcher") | ROLLS, id="dispatcher"),
    ],
)
def test_role_has_exactly_its_rights(role: str, is_fanout: bool, expected: frozenset[tuple[str, str]]):
    """A role may do what its function does, in its own prefixes, and nothing more."""
    assert rights(role, is_fanout=is_fanout) == expected


def test_listing_has_no_condition():
    """A condition on the prefix would turn the 404 of a missing key into a 403."""
    for role in ("ConsumerRole", "FanoutRole", "DispatcherRole"):
        for statement in statements(role, is_fanout=role == "FanoutRole"):
            assert "Condition" not in statement


def test_each_function_has_a_role_and_a_log_of_its_own():
    """No two functions share a role or a log group, and every log group expires."""
    functions = [one["Properties"] for one in RESOURCES.values() if one["Type"] == "AWS::Serverless::Function"]
    roles = {spelled(function["Role"]) for function in functions}
    groups = {function["LoggingConfig"]["LogGroup"]["Ref"] for function in functions}
    assert len(functions) == len(roles) == len(groups) == 3
    assert all("RetentionInDays" in RESOURCES[group]["Properties"] for group in groups)
