"""Recreating the mapping, up to the API boundary."""

import datetime
from typing import Any

import pytest

from infra import mapping
from tests.unit.stubbed_aws import PLACE, stubbed
from windrow.aws.clients import LOCALSTACK, Place
from windrow.errors import WindrowError
from windrow.stage import Stage

STAGE = Stage(
    place=PLACE,
    name="prod",
    stream_name="windrow-prod",
    lake_bucket="lake",
    results_bucket="results",
    lateness_horizon_hours=168,
    stream_retention_hours=168,
)
STREAM_ARN = "arn:aws:kinesis:eu-central-1:123456789012:stream/windrow-prod"
FUNCTION_ARN = "arn:aws:lambda:eu-central-1:123456789012:function:windrow-prod-consumer:live"
LOCAL = Place(LOCALSTACK, "http://127.0.0.1:1", "us-east-1")
OLD_ID, NEW_ID = f"{1:036}", f"{2:036}"
SETTINGS: dict[str, Any] = {
    "EventSourceArn": STREAM_ARN,
    "BatchSize": 10000,
    "StartingPosition": "TRIM_HORIZON",
    "BisectBatchOnFunctionError": True,
    "MaximumRetryAttempts": -1,
    "FunctionResponseTypes": ["ReportBatchItemFailures"],
}
OLD = SETTINGS | {"UUID": OLD_ID, "FunctionArn": FUNCTION_ARN, "MaximumRecordAgeInSeconds": 82800, "State": "Enabled"}


def summary(kinesis) -> None:
    """The answer that names the stream's ARN."""
    answer = {
        "StreamName": "windrow-prod",
        "StreamARN": STREAM_ARN,
        "StreamStatus": "ACTIVE",
        "RetentionPeriodHours": 168,
        "StreamCreationTimestamp": datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC),
        "EnhancedMonitoring": [],
        "OpenShardCount": 1,
    }
    kinesis.add_response(
        "describe_stream_summary", {"StreamDescriptionSummary": answer}, {"StreamName": "windrow-prod"}
    )


def script_until_enabled(functions, kinesis) -> None:
    """The old mapping goes, and one without a limit of age reads."""
    of_stream = {"EventSourceArn": STREAM_ARN}
    summary(kinesis)
    functions.add_response("list_event_source_mappings", {"EventSourceMappings": [OLD]}, of_stream)
    summary(kinesis)
    functions.add_response("delete_event_source_mapping", {}, {"UUID": OLD_ID})
    functions.add_response("list_event_source_mappings", {"EventSourceMappings": []}, of_stream)
    functions.add_response(
        "create_event_source_mapping",
        {"UUID": NEW_ID},
        SETTINGS | {"FunctionName": FUNCTION_ARN, "MaximumRecordAgeInSeconds": -1},
    )
    functions.add_response("get_event_source_mapping", {"State": "Enabled"}, {"UUID": NEW_ID})


def script_of_the_end(functions) -> None:
    """The age of giving up is as before."""
    functions.add_response("update_event_source_mapping", {}, {"UUID": NEW_ID, "MaximumRecordAgeInSeconds": 82800})
    functions.add_response("get_event_source_mapping", {"State": "Enabled"}, {"UUID": NEW_ID})


@pytest.mark.slow
def test_no_record_is_too_old_while_the_stream_is_read_again():
    """From the beginning of a stream that keeps a week, a limit of 23 hours would put six days aside."""
    with stubbed("lambda", "kinesis") as (functions, kinesis):
        script_until_enabled(functions, kinesis)
        with mapping.recreated(STAGE) as uuid:
            assert uuid == NEW_ID
            functions.assert_no_pending_responses()
            script_of_the_end(functions)


def test_the_age_is_as_before_though_the_reading_fails():
    """A mapping without a limit would retry a bad batch until the stream forgets it."""
    with stubbed("lambda", "kinesis") as (functions, kinesis):
        script_until_enabled(functions, kinesis)
        script_of_the_end(functions)
        with pytest.raises(ZeroDivisionError), mapping.recreated(STAGE):
            raise ZeroDivisionError


def test_a_stream_without_a_mapping_is_told():
    """There is nothing to take the settings from."""
    with stubbed("lambda", "kinesis") as (functions, kinesis):
        summary(kinesis)
        functions.add_response(
            "list_event_source_mappings", {"EventSourceMappings": []}, {"EventSourceArn": STREAM_ARN}
        )
        complaint = "no event source mapping reads stream windrow-prod"
        with pytest.raises(WindrowError, match=complaint), mapping.recreated(STAGE):
            pass


def script_of_a_pause(functions, kinesis, uuid: str = OLD_ID) -> None:
    """The mapping stops, and has stopped when the block begins."""
    summary(kinesis)
    functions.add_response("list_event_source_mappings", {"EventSourceMappings": [OLD]}, {"EventSourceArn": STREAM_ARN})
    functions.add_response("update_event_source_mapping", {}, {"UUID": uuid, "Enabled": False})
    for state in ("Disabling", "Disabled"):
        functions.add_response("get_event_source_mapping", {"State": state}, {"UUID": uuid})


def script_of_going_on(functions, uuid: str = OLD_ID) -> None:
    """It reads again when the block has ended."""
    functions.add_response("update_event_source_mapping", {}, {"UUID": uuid, "Enabled": True})
    for state in ("Enabling", "Enabled"):
        functions.add_response("get_event_source_mapping", {"State": state}, {"UUID": uuid})


def test_a_pause_lasts_as_long_as_the_block():
    """No poller is left that could write its end over the state of the next one."""
    with stubbed("lambda", "kinesis") as (functions, kinesis):
        script_of_a_pause(functions, kinesis)
        with mapping.paused(STAGE):
            functions.assert_no_pending_responses()
            script_of_going_on(functions)


def test_a_pause_ends_though_the_change_fails():
    """A stage whose update failed must go on reading."""
    with stubbed("lambda", "kinesis") as (functions, kinesis):
        script_of_a_pause(functions, kinesis)
        script_of_going_on(functions)
        with pytest.raises(ZeroDivisionError), mapping.paused(STAGE):
            raise ZeroDivisionError


def test_a_mapping_that_somebody_disabled_stays_disabled():
    """The change is no reason to read again."""
    with stubbed("lambda", "kinesis") as (functions, kinesis):
        summary(kinesis)
        disabled = {"EventSourceMappings": [OLD | {"State": "Disabled"}]}
        functions.add_response("list_event_source_mappings", disabled, {"EventSourceArn": STREAM_ARN})
        with mapping.paused(STAGE):
            functions.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("place", "types"),
    [(PLACE, {mapping.MAPPING_TYPE}), (LOCAL, {"AWS::Lambda::Function"}), (LOCAL, set())],
    ids=["AWS", "another resource", "nothing"],
)
def test_the_mapping_reads_on_where_it_may(place: Place, types: set[str]):
    """On AWS always, and on LocalStack if the change is not of the mapping: not a single request is made."""
    with stubbed("lambda", "kinesis", "cloudformation"), mapping.still_for(place, "prod", types):
        pass


def test_localstack_pauses_a_mapping_that_changes(monkeypatch: pytest.MonkeyPatch):
    """The one of the stage."""
    monkeypatch.setattr(mapping, "find_stage", lambda place, name: STAGE if (place, name) == (LOCAL, "prod") else None)
    with stubbed("lambda", "kinesis") as (functions, kinesis):
        script_of_a_pause(functions, kinesis)
        with mapping.still_for(LOCAL, "prod", {mapping.MAPPING_TYPE}):
            functions.assert_no_pending_responses()
            script_of_going_on(functions)
