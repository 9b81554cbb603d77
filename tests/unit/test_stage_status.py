"""What `windrow status` finds, and what it leaves alone."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from unittest.mock import patch

import pytest
from botocore.stub import ANY

from infra.stage_status import StageStatus, stage_statuses
from tests.unit.stubbed_aws import PLACE, stubbed
from tests.unit.test_deploy_aws import NOW, OUTPUTS, stack_entry
from windrow.errors import WindrowError
from windrow.timestamps import parse_rfc3339_ms
from windrow_cli import place as commands
from windrow_cli import stage as common
from windrow_cli.console import err

STREAM_ARN = "arn:aws:kinesis:eu-central-1:123456789012:stream/windrow-prod"


def statuses(
    mapping: dict[str, str] | None, *, topic: str = "", put_aside: int = 0, **summary_too: str
) -> list[StageStatus]:
    """Of a place with a stage, and a stack of somebody else's whose name begins alike."""
    chosen = OUTPUTS | ({"IotTopic": topic, "IotSelect": "*"} if topic else {})
    outputs = [{"OutputKey": key, "OutputValue": value} for key, value in chosen.items()]
    own = stack_entry("UPDATE_COMPLETE", Outputs=outputs)
    foreign = stack_entry("CREATE_COMPLETE", StackName="windrow-cleaning", Tags=[])
    summary = {
        "StreamName": "windrow-prod",
        "StreamARN": STREAM_ARN,
        "StreamStatus": "ACTIVE",
        "RetentionPeriodHours": 24,
        "StreamCreationTimestamp": NOW,
        "EnhancedMonitoring": [],
        "OpenShardCount": 2,
        **summary_too,
    }
    with stubbed("cloudformation", "kinesis", "lambda", "s3") as (cloudformation, kinesis, functions, s3):
        cloudformation.add_response("describe_stacks", {"Stacks": [foreign, own]}, {})
        cloudformation.add_response("describe_stacks", {"Stacks": [own]}, {"StackName": "windrow-prod"})
        kinesis.add_response(
            "describe_stream_summary", {"StreamDescriptionSummary": summary}, {"StreamName": "windrow-prod"}
        )
        found = {"EventSourceMappings": [] if mapping is None else [{"EventSourceArn": STREAM_ARN, **mapping}]}
        functions.add_response("list_event_source_mappings", found, {"EventSourceArn": STREAM_ARN})
        s3.add_response(
            "list_objects_v2",
            {"IsTruncated": False},
            {"Bucket": "results", "Prefix": ANY, "MaxKeys": ANY, "Delimiter": ANY},
        )
        if topic:
            messages = [
                {"Key": f"iot/2026/11/20/1-{n}", "ETag": "e", "Size": 1, "LastModified": NOW} for n in range(put_aside)
            ]
            s3.add_response(
                "list_objects_v2",
                {"IsTruncated": False, "Contents": messages},
                {"Bucket": "failed", "Prefix": "iot/", "MaxKeys": ANY},
            )
        return stage_statuses(PLACE)


def test_only_stacks_with_the_tag_are_stages() -> None:
    """A stack is not windrow's for its name, and mappings of other streams, queues and clusters are not asked for."""
    (status,) = statuses({"State": "Enabled", "LastProcessingResult": "OK"})
    assert (status.stage, status.shards, status.mapping, status.last_batch) == ("prod", 2, "Enabled", "OK")


@pytest.mark.parametrize(
    ("mapping", "is_reading"),
    [
        ({"State": "Enabled"}, True),
        ({"State": "Updating"}, True),
        ({"State": "Disabled"}, False),
        ({"State": "Disabling"}, False),
        ({"State": "Deleting"}, False),
        (None, False),
    ],
)
def test_a_stream_that_nobody_reads_is_a_problem(mapping: dict[str, str] | None, *, is_reading: bool) -> None:
    """The command exits with 1: no alarm on errors or on age would see it."""
    found = statuses(mapping)
    assert [one.is_reading for one in found] == [is_reading]
    with ExitStack() as patched:
        patched.enter_context(patch.object(commands, "chosen_target", lambda: "aws"))
        patched.enter_context(patch.object(commands, "chosen_place", lambda: PLACE))
        patched.enter_context(patch("infra.stage_status.stage_statuses", lambda _: found))
        if is_reading:
            commands.status.main([], standalone_mode=False)
        else:
            with pytest.raises(WindrowError, match="the stream is not read: prod"):
                commands.status.main([], standalone_mode=False)


@pytest.mark.parametrize(
    ("strategy", "is_told"),
    [
        ({"RecordDistributionStrategy": "AUTO"}, True),
        ({"RecordDistributionStrategy": "USER_PARTITION_KEY"}, False),
        ({}, False),
    ],
)
def test_a_stream_that_ignores_keys_is_named(
    strategy: dict[str, str], capsys: pytest.CaptureFixture[str], *, is_told: bool
) -> None:
    """On stderr, with exit code 0: it is no fault, yet consumers other than windrow's lose aggregates."""
    found = statuses({"State": "Enabled"}, **strategy)
    assert [one.ignores_keys for one in found] == [is_told]
    with ExitStack() as patched:
        patched.enter_context(patch.object(commands, "chosen_target", lambda: "aws"))
        patched.enter_context(patch.object(commands, "chosen_place", lambda: PLACE))
        patched.enter_context(patch("infra.stage_status.stage_statuses", lambda _: found))
        commands.status.main([], standalone_mode=False)
    assert ("distributes records by itself" in " ".join(capsys.readouterr().err.split())) == is_told


@pytest.mark.parametrize(("put_aside", "told"), [(0, "none"), (2, "2; see"), (1_000, "1,000 or more; see")])
def test_a_rule_for_devices_is_shown_with_what_it_put_aside(
    put_aside: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Messages that did not reach the stream are counted, as far as one request goes; without a rule nobody asks."""
    found = statuses({"State": "Enabled"}, topic="devices/+/readings", put_aside=put_aside)
    assert [(one.iot_topic, one.iot_put_aside) for one in found] == [("devices/+/readings", put_aside)]
    with ExitStack() as patched:
        patched.enter_context(patch.object(commands, "chosen_target", lambda: "aws"))
        patched.enter_context(patch.object(commands, "chosen_place", lambda: PLACE))
        patched.enter_context(patch("infra.stage_status.stage_statuses", lambda _: found))
        commands.status.main([], standalone_mode=False)
    assert f"MQTT           devices/+/readings, messages put aside: {told}" in capsys.readouterr().out


def test_a_terminal_sees_what_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the embedded stack starts and stops, while stages are asked for, and while one is looked for."""
    shown: list[str] = []

    @contextmanager
    def status(what: str) -> Iterator[None]:
        shown.append(what)
        yield
        shown.append("done")

    def during(*_: object, **__: object) -> None:
        shown.append("at work")
        raise WindrowError("no")

    monkeypatch.setattr(err, "status", status)
    monkeypatch.setattr(commands, "chosen_target", lambda: "aws")
    monkeypatch.setattr(commands, "chosen_place", lambda: PLACE)
    monkeypatch.setattr(common, "chosen_place", lambda: PLACE)
    for name in ("infra.embedded.up", "infra.embedded.down", "windrow.deployment.find_stage"):
        monkeypatch.setattr(name, during)
    monkeypatch.setattr("infra.stage_status.stage_statuses", during)
    for call in (commands.up, commands.down, commands.status):
        with pytest.raises(WindrowError):
            call.main([], standalone_mode=False)
    with pytest.raises(WindrowError):
        common.open_stage("dev")
    assert shown == [
        *("starting the embedded stack", "at work"),
        *("stopping the embedded stack", "at work"),
        *("asking what is deployed", "at work"),
        *("looking for stage dev", "at work"),
    ]


def test_one_stage_is_shown_or_a_likely_one_named(capsys: pytest.CaptureFixture[str]) -> None:
    """And when its newest window ended, as seen from now."""
    found = [replace(statuses({"State": "Enabled"})[0], newest_window="2026-11-20T10:00:00.000Z")]
    found.append(replace(found[0], stage="test"))
    with ExitStack() as patched:
        patched.enter_context(patch.object(commands, "chosen_target", lambda: "aws"))
        patched.enter_context(patch.object(commands, "chosen_place", lambda: PLACE))
        patched.enter_context(patch.object(commands, "clock_ms", lambda: parse_rfc3339_ms("2026-11-20T10:08:00Z")))
        patched.enter_context(patch("infra.stage_status.stage_statuses", lambda _: found))
        commands.status.main(["--stage", "test"], standalone_mode=False)
        said = capsys.readouterr().out
        assert "stage test: " in said
        assert "stage prod: " not in said
        assert "newest window  2026-11-20T10:00:00.000Z, ended 3 min ago" in said
        with pytest.raises(WindrowError) as caught:
            commands.status.main(["--stage", "prd"], standalone_mode=False)
    assert caught.value.hint == "did you mean prod?"
