"""The on-failure bucket: one object for each batch that Lambda gave up.

Lambda sets the keys: aws/lambda/<mapping's UUID>/<shard>/yyyy/mm/dd/<time>-<UUID>. The object says where the batch was
in the stream and, when the destination is S3, holds the event itself under `payload`. Beside these lie messages of
devices: see processors/iot_message.py.

Shape: https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from processors.event import NotAKinesisEvent, raw_records
from windrow.timestamps import parse_rfc3339_ms

ROOT = "aws/lambda/"


class UnreadableFailure(ValueError):  # noqa: N818 - the domain's noun
    """The bytes are not an invocation record of a Kinesis mapping; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedBatch:
    """A batch that Lambda gave up.

    `first` and `last` are sequence numbers, inclusive; the arrivals are those of the first and the last record, in
    epoch milliseconds. `records` are the undecoded records of the event, None if the object holds only metadata.
    """

    stream_arn: str
    shard: str
    first: str
    last: str
    first_arrival_ms: int
    last_arrival_ms: int
    count: int
    condition: str
    records: tuple[object, ...] | None


def decode_failure(body: bytes) -> FailedBatch:
    """Decode an object of the on-failure bucket; raises UnreadableFailure."""
    try:
        record = json.loads(body)
        batch = record["KinesisBatchInfo"]
        return FailedBatch(
            stream_arn=str(batch["streamArn"]),
            shard=str(batch["shardId"]),
            first=str(int(batch["startSequenceNumber"])),
            last=str(int(batch["endSequenceNumber"])),
            first_arrival_ms=parse_rfc3339_ms(batch["approximateArrivalOfFirstRecord"]),
            last_arrival_ms=parse_rfc3339_ms(batch["approximateArrivalOfLastRecord"]),
            count=int(batch["batchSize"]),
            condition=str((record.get("requestContext") or {}).get("condition", "unknown")),
            records=_records(record.get("payload")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableFailure(f"{type(error).__name__}: {error}") from error


def shard_of_key(key: str) -> str:
    """Return the shard in a key, for ordering; "" if the key is not Lambda's."""
    parts = key.split("/")
    return parts[3] if key.startswith(ROOT) and len(parts) > 4 else ""


def _records(payload: object) -> tuple[object, ...] | None:
    """Return the records of the event, which is documented as a JSON string; some implementations write an object."""
    if payload is None or payload == "":
        return None
    event = json.loads(payload) if isinstance(payload, str) else payload
    if not isinstance(event, Mapping):
        raise NotAKinesisEvent("the payload is not an event")
    return tuple(raw_records(event))
