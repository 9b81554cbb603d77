"""A sender for KCL consumers to a stream that distributes records by itself."""

import datetime
import logging
from typing import Any

import pytest

from producers.sender import Sender
from tests.unit.stubbed_aws import PLACE, stubbed
from windrow.aws.kinesis import KinesisStream

SHARDS = {
    "Shards": [
        {
            "ShardId": "shardId-000000000000",
            "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": str(2**128 - 1)},
            "SequenceNumberRange": {"StartingSequenceNumber": "1"},
        }
    ]
}


def summary(**more: str) -> dict[str, Any]:
    """An answer of DescribeStreamSummary."""
    return {
        "StreamDescriptionSummary": {
            "StreamName": "readings",
            "StreamARN": "arn:aws:kinesis:eu-central-1:123456789012:stream/readings",
            "StreamStatus": "ACTIVE",
            "RetentionPeriodHours": 24,
            "StreamCreationTimestamp": datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC),
            "EnhancedMonitoring": [],
            "OpenShardCount": 1,
            **more,
        }
    }


@pytest.mark.parametrize(
    ("strategy", "resends"),
    [
        ({"RecordDistributionStrategy": "AUTO"}, False),
        ({"RecordDistributionStrategy": "USER_PARTITION_KEY"}, True),
        ({}, True),
    ],
)
def test_nothing_is_sent_twice_where_keys_are_ignored(
    strategy: dict[str, str], caplog: pytest.LogCaptureFixture, *, resends: bool
) -> None:
    """It would be stored in a wrong shard again and again, and flush would never be done; the log says so once."""
    with stubbed("kinesis") as (kinesis,), caplog.at_level(logging.WARNING, logger="windrow.producers"):
        kinesis.add_response("describe_stream_summary", summary(**strategy), {"StreamName": "readings"})
        kinesis.add_response("list_shards", SHARDS, {"StreamName": "readings"})
        sender = Sender.to_stream(KinesisStream.at(PLACE, "readings"), resends_strays=True)
    assert sender.resends_strays is resends
    warned = [
        record.getMessage() for record in caplog.records if "distributes records by itself" in record.getMessage()
    ]
    assert len(warned) == (0 if resends else 1)


def test_a_producer_without_the_right_to_ask_goes_on() -> None:
    """Producers need no right but to write and to list shards."""
    with stubbed("kinesis") as (kinesis,):
        kinesis.add_client_error("describe_stream_summary", "AccessDeniedException", "no")
        kinesis.add_response("list_shards", SHARDS, {"StreamName": "readings"})
        sender = Sender.to_stream(KinesisStream.at(PLACE, "readings"), resends_strays=True)
    assert sender.resends_strays


def test_other_producers_do_not_ask() -> None:
    """Without KCL consumers it makes no difference."""
    with stubbed("kinesis") as (kinesis,):
        kinesis.add_response("list_shards", SHARDS, {"StreamName": "readings"})
        Sender.to_stream(KinesisStream.at(PLACE, "readings"))
