"""What Kinesis answers, as typed values; an answer of any other shape is refused whole.

Between a client and Kinesis there may be something that answers in its place: the sign-in page of a network, a proxy,
a stand-in that fell over. Its answer must never be taken for one of Kinesis. Shapes after the API reference.
"""

import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from windrow.aws.stream import Answers, Refused, Shard, Stored, StreamRecord

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The API reference's patterns of SequenceNumber and ShardId; some stand-ins put zeros before a number.
_DECIMAL = re.compile(r"[0-9]{1,129}")
_SHARD_ID = re.compile(r"[a-zA-Z0-9_.-]{1,128}")

Value = TypeVar("Value")


class WrongShape(Exception):  # noqa: N818 - what an answer is, not an error of the caller
    """The answer does not have the shape of Kinesis's; the message says where it differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An answer to GetRecords. next_iterator: None when a closed shard ends here; is_at_tip: nothing follows yet."""

    records: tuple[StreamRecord, ...]
    next_iterator: str | None
    is_at_tip: bool


def put_answers(response: object, *, asked: int) -> Answers:
    """Parse the answer to a PutRecords request of `asked` records; raises WrongShape."""
    answer = _as(dict, response, "PutRecords")
    entries = _as(list, answer.get("Records"), "Records")
    if len(entries) != asked:
        raise WrongShape(f"{len(entries)} answers to {asked} records")
    repeats = answer.get("ResponseMetadata", {}).get("RetryAttempts", 0)
    return Answers(tuple(map(_put_answer, entries)), repeats)


def _put_answer(entry: object) -> Stored | Refused:
    fields = _as(dict, entry, "Records")
    code = fields.get("ErrorCode")
    if code is not None and code != "":
        return Refused(_as(str, code, "ErrorCode"), str(fields.get("ErrorMessage") or ""))
    return Stored(_shard_id(fields, "ShardId"), _decimal(fields, "SequenceNumber"))


def shard_page(response: object) -> tuple[list[Shard], str | None]:
    """Parse an answer to ListShards: its shards, and the token of the next page, if any; raises WrongShape."""
    answer = _as(dict, response, "ListShards")
    token = answer.get("NextToken") or None
    return [_shard(one) for one in _as(list, answer.get("Shards"), "Shards")], token


def _shard(described: object) -> Shard:
    fields = _as(dict, described, "Shards")
    hash_keys = _as(dict, fields.get("HashKeyRange"), "HashKeyRange")
    numbers = _as(dict, fields.get("SequenceNumberRange"), "SequenceNumberRange")
    parents = [name for name in ("ParentShardId", "AdjacentParentShardId") if fields.get(name)]
    return Shard(
        shard_id=_shard_id(fields, "ShardId"),
        first_hash_key=int(_decimal(hash_keys, "StartingHashKey")),
        last_hash_key=int(_decimal(hash_keys, "EndingHashKey")),
        parents=tuple(_shard_id(fields, name) for name in parents),
        is_open=numbers.get("EndingSequenceNumber") is None,
    )


def shard_iterator(response: object) -> str:
    """Parse the iterator in an answer to GetShardIterator; raises WrongShape."""
    return _as(str, _as(dict, response, "GetShardIterator").get("ShardIterator"), "ShardIterator")


def record_page(response: object, *, shard_id: str) -> Page:
    """Parse an answer to GetRecords for a shard; raises WrongShape."""
    answer = _as(dict, response, "GetRecords")
    records = _as(list, answer.get("Records"), "Records")
    iterator = answer.get("NextShardIterator")
    return Page(
        records=tuple(_stream_record(shard_id, one) for one in records),
        next_iterator=None if iterator is None else _as(str, iterator, "NextShardIterator"),
        is_at_tip=not answer.get("MillisBehindLatest"),
    )


def _stream_record(shard_id: str, record: object) -> StreamRecord:
    fields = _as(dict, record, "Records")
    arrival = _as(datetime, fields.get("ApproximateArrivalTimestamp"), "ApproximateArrivalTimestamp")
    return StreamRecord(
        shard_id=shard_id,
        sequence_number=_decimal(fields, "SequenceNumber"),
        partition_key=_as(str, fields.get("PartitionKey"), "PartitionKey"),
        # To the nearest millisecond: the wire carries seconds as a binary fraction.
        arrival_ms=round((arrival - EPOCH) / timedelta(milliseconds=1)),
        body=_as(bytes, fields.get("Data"), "Data"),
    )


def _as(kind: type[Value], value: object, name: str) -> Value:
    if not isinstance(value, kind):
        raise WrongShape(f"{name} is {_shown(value)}")
    return value


def _decimal(fields: Mapping[str, Any], name: str) -> str:
    return _matching(_DECIMAL, fields, name)


def _shard_id(fields: Mapping[str, Any], name: str) -> str:
    return _matching(_SHARD_ID, fields, name)


def _matching(pattern: re.Pattern[str], fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise WrongShape(f"{name} is {_shown(value)}")
    return value


def _shown(value: object) -> str:
    return "missing" if value is None else reprlib.repr(value)
