"""`windrow cost`: for people and for programs, of the template's defaults, of a deployed stage, and as set."""

import json
from typing import Any

import click.testing
import pytest
from botocore.stub import Stubber

from windrow.aws import clients
from windrow.errors import UsageError
from windrow_cli.main import windrow


def invoke(*arguments: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(windrow, ["cost", *arguments])


def data_of(*arguments: str) -> Any:
    result = invoke("--format", "json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.slow
def test_json_has_the_bill_and_all_it_rests_on() -> None:
    """Parts, parameters, prices with their dates, measurements, and the same fleet elsewhere."""
    found = data_of("--sensors", "20000", "--wire", "blocks")
    assert [one["traffic"]["wire"] for one in found["costs"]] == ["plain", "blocks"]
    for one in (found["idle"], *found["costs"]):
        assert one["total"] == pytest.approx(sum(part["dollars"] for part in one["parts"]))
        assert all(part["basis"] for part in one["parts"])
    assert found["idle"]["traffic"]["fleet"]["sensors"] == 0
    assert found["prices"]["shard_hour"] == {
        "usd": 0.015,
        "unit": "shard-hour, provisioned",
        "source": "infracost, golden files",
        "seen": "2024-07",
    }
    assert found["parameters"]["StreamMode"] == "PROVISIONED"
    assert {"Managed Flink", "Firehose to S3", "raw Kinesis and Lambda"} <= {one["name"] for one in found["elsewhere"]}


def test_the_table_explains_itself() -> None:
    """Every part in three columns and in words; what was assumed, what was not seen, and other services."""
    result = invoke()
    assert result.exit_code == 0
    for part in data_of()["costs"][1]["parts"]:
        assert result.stdout.count(part["name"]) >= 2, part["name"]
    text = " ".join(result.stdout.split())
    for words in ("assumed, not measured:", "prices not seen", "custom metric and month", "Managed Flink", "a month"):
        assert words in text, words
    assert "without free tiers" in " ".join(result.stderr.split())


def test_the_cheaper_way_of_paying_for_the_stream_is_named() -> None:
    """With how to go there, if it is the other one; sixteen shards for a small fleet are dearer than on demand."""
    lines = {
        arguments: next(line for line in invoke(*arguments).stdout.splitlines() if "the stream alone: " in line)
        for arguments in ((), ("--shards", "16"), ("--set", "StreamMode=ON_DEMAND"))
    }
    assert [line.partition("; cheaper: ")[2] for line in lines.values()] == [
        "",
        "--set StreamMode=ON_DEMAND --set Scaling=none",
        "--set StreamMode=PROVISIONED",
    ]
    both = data_of("--shards", "16")["stream"]
    assert f"{both['provisioned']:,.2f} USD with shards" in lines["--shards", "16"]
    assert f"{both['on_demand']:,.2f} USD on demand" in lines["--shards", "16"]
    without = ("--wire", "uploads", "--set", "Uploads=bucket", "--set", "StreamMode=NONE")
    assert "the stream alone: " not in invoke(*without).stdout.replace("(the stream alone", "")
    assert data_of(*without)["stream"] is None


@pytest.mark.slow
def test_what_is_set_is_what_is_priced() -> None:
    """Shards and any parameter; a name or a value that the template refuses is a usage error."""
    found = data_of("--shards", "4", "--set", "Operations=none")
    assert (found["parameters"]["ShardCount"], found["parameters"]["Operations"]) == ("4", "none")
    assert found["idle"]["traffic"]["shards"] == 4
    for wrong in ("Operation=none", "Operations=some", "Operations"):
        assert isinstance(invoke("--set", wrong).exception, UsageError), wrong


def test_a_deployed_stage_is_priced_by_its_own_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are those of its stack; what is set beside them comes first; a parameter of another release is left out."""
    client = clients.client("cloudformation", clients.Place("aws", None, "eu-central-1"))
    parameters = {"ShardCount": "6", "StreamRetentionHours": "48", "Gone": "1"}
    stack = {
        "StackName": "windrow-prod",
        "StackStatus": "UPDATE_COMPLETE",
        "CreationTime": "2026-11-20T10:00:00Z",
        "Tags": [{"Key": "windrow-stage", "Value": "prod"}],
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    }
    monkeypatch.setattr("windrow.deployment.client", lambda *_: client)
    with Stubber(client) as stubber:
        stubber.add_response("describe_stacks", {"Stacks": [stack]}, {"StackName": "windrow-prod"})
        arguments = ("--stage", "prod", "--target", "aws", "--region", "eu-central-1")
        found = data_of(*arguments, "--set", "StreamRetentionHours=24")
    assert (found["parameters"]["ShardCount"], found["parameters"]["StreamRetentionHours"]) == ("6", "24")
    assert "Gone" not in found["parameters"]


def test_messages_of_devices_are_priced_by_what_is_in_each() -> None:
    """With mqtt, and with nothing else: an aggregate decides by itself how much is in it."""
    found = data_of("--sensors", "10000", "--wire", "mqtt", "--readings-per-message", "30")
    [messages] = [one for one in found["costs"][1]["parts"] if one["name"] == "IoT Core: messages"]
    assert messages["dollars"] == pytest.approx(2_628 / 30)
    refused = invoke("--readings-per-message", "30")
    assert isinstance(refused.exception, UsageError)
    assert refused.exception.hint == "add --wire mqtt"
