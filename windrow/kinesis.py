"""The Kinesis stream as typed values: its shards and their lineage, requests of records, all records between two times.

The one adapter between boto3's `kinesis` client and the producer, the replay and the audit. A sequence number
is the decimal string that the stream gave; it is compared as an integer.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from graphlib import TopologicalSorter
from typing import Any, Self

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from windrow.aws import Place, client, readable
from windrow.errors import WindrowError
from windrow.stream import (
    HASH_KEY_MAX,
    RECORD_BYTES_MAX,
    REQUEST_BYTES_MAX,
    REQUEST_RECORDS_MAX,
    THROTTLED,
    UNREACHABLE,
    Answers,
    OutgoingRecord,
    Refused,
    Shard,
    Stored,
    StreamRecord,
    Unanswered,
)

__all__ = [
    "HASH_KEY_MAX",
    "RECORD_BYTES_MAX",
    "REQUEST_BYTES_MAX",
    "REQUEST_RECORDS_MAX",
    "Answers",
    "KinesisStream",
    "OutgoingRecord",
    "Refused",
    "Shard",
    "Stored",
    "StreamRecord",
    "Unanswered",
]

# GetRecords gives at most 10,000 records and 10 MiB, and takes five calls a second and shard.
_PAGE_RECORDS_MAX = 10_000
_THROTTLED_PAUSE_SECONDS = 0.25
_PAUSES_IN_A_ROW_MAX = 120
# An iterator lives five minutes, and whoever takes the records may take longer over a page.
_REOPENINGS_IN_A_ROW_MAX = 3
_MAYBE_STORED = frozenset({"InternalFailure", "InternalServerError", "ServiceUnavailable", "RequestTimeout"})
# No request went out, so nothing can be stored.
_NOT_SENT = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError, SSLError)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class KinesisStream:
    """The stream `name` at `place`; what boto3 raises becomes a WindrowError that names the stream."""

    def __init__(
        self,
        kinesis: Any,
        *,
        name: str,
        place: Place,
        sleep: Callable[[float], None] = time.sleep,
        put_client: Any = None,
    ) -> None:
        """`kinesis` is a boto3 client; `sleep` takes seconds and is called while reading is throttled.

        put_client: another client for PutRecords, one that does not repeat requests by itself.
        """
        self._kinesis = kinesis
        self._put_client = kinesis if put_client is None else put_client
        self._place = place
        self._sleep = sleep
        self.name = name

    @classmethod
    def at(cls, place: Place, name: str) -> Self:
        """The stream through the process's own client."""
        return cls(client("kinesis", place), name=name, place=place, put_client=client("kinesis", place, repeats=False))

    @property
    def is_stand_in(self) -> bool:
        """Whether this is not AWS's own Kinesis."""
        return self._place.endpoint_url is not None

    def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
        """Send one request, within REQUEST_RECORDS_MAX and REQUEST_BYTES_MAX.

        A request throttled as a whole, or one that could not be sent, answers Refused for every record. Raises
        Unanswered when it may have been stored, WindrowError for what another try cannot mend.
        """
        entries = [_entry(record) for record in records]
        try:
            response = self._put_client.put_records(StreamName=self.name, Records=entries)
        except _NOT_SENT as error:
            return Answers((Refused(UNREACHABLE, self._readable(error).message),) * len(records))
        except (HTTPClientError, ResponseParserError) as error:
            raise Unanswered(" ".join(str(error).split())) from error
        except ClientError as error:
            failure = Refused(_code(error), str(error.response["Error"].get("Message", "")))
            if failure.is_throttled:
                return Answers((failure,) * len(records))
            if failure.code in _MAYBE_STORED or _status(error) >= 500:
                raise Unanswered(f"{failure.code}: {failure.message}") from error
            raise self._readable(error) from error
        except BotoCoreError as error:
            raise self._readable(error) from error
        repeats = response.get("ResponseMetadata", {}).get("RetryAttempts", 0)
        return Answers(tuple(_answer(entry) for entry in response["Records"]), repeats)

    def list_shards(self) -> list[Shard]:
        """Every shard that still holds records or takes them, parents before their children."""
        shards: list[Shard] = []
        with self._readable_errors():
            page = self._kinesis.list_shards(StreamName=self.name)
            shards.extend(map(_shard, page["Shards"]))
            while page.get("NextToken"):
                page = self._kinesis.list_shards(NextToken=page["NextToken"])
                shards.extend(map(_shard, page["Shards"]))
        return _parents_first(shards)

    def records_between(self, start_ms: int, end_ms: int) -> Iterator[StreamRecord]:
        """The records with `start_ms <= arrival < end_ms`, shard by shard, parents before their children.

        Within a shard they come in sequence. Nothing waits for records yet to come: a shard ends at its tip.
        """
        for shard in self.list_shards():
            yield from self._shard_records(shard.shard_id, start_ms=start_ms, end_ms=end_ms)

    def shard_records_between(self, shard_id: str, *, start_ms: int, end_ms: int) -> Iterator[StreamRecord]:
        """The records of one shard with `start_ms <= arrival < end_ms`, in sequence; none when it has expired."""
        if any(shard.shard_id == shard_id for shard in self.list_shards()):
            yield from self._shard_records(shard_id, start_ms=start_ms, end_ms=end_ms)

    def _shard_records(self, shard_id: str, *, start_ms: int, end_ms: int) -> Iterator[StreamRecord]:
        for page in self._pages(shard_id, start_ms):
            yield from (record for record in page if start_ms <= record.arrival_ms < end_ms)
            # Arrival times are approximate, so one late stamp does not yet mean that the end is reached.
            if all(record.arrival_ms >= end_ms for record in page) and page:
                return

    def _pages(self, shard_id: str, start_ms: int) -> Iterator[list[StreamRecord]]:
        """Pages of one shard from `start_ms` to its tip, or to its end if it is closed; pages may be empty."""
        iterator: str | None = self._iterator(shard_id, start_ms=start_ms)
        last: str | None = None
        reopenings = 0
        while iterator is not None:
            response = self._get_records(iterator)
            if response is None:
                reopenings += 1
                if reopenings > _REOPENINGS_IN_A_ROW_MAX:
                    raise WindrowError(f"stream {self.name!r}, shard {shard_id}: iterators expire at once")
                iterator = self._iterator(shard_id, start_ms=start_ms, after=last)
                continue
            reopenings = 0
            page = [_stream_record(shard_id, record) for record in response["Records"]]
            if not page and not response.get("MillisBehindLatest"):
                return
            last = page[-1].sequence_number if page else last
            yield page
            iterator = response.get("NextShardIterator")

    def _iterator(self, shard_id: str, *, start_ms: int, after: str | None = None) -> str:
        where: dict[str, Any] = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": after}
        if after is None:
            where = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": _EPOCH + timedelta(milliseconds=start_ms)}
        with self._readable_errors():
            answer = self._kinesis.get_shard_iterator(StreamName=self.name, ShardId=shard_id, **where)
            iterator: str = answer["ShardIterator"]
        return iterator

    def _get_records(self, iterator: str) -> dict[str, Any] | None:
        """One page, or None when the iterator has expired; waits while the shard is throttled."""
        for _ in range(_PAUSES_IN_A_ROW_MAX):
            try:
                page: dict[str, Any] = self._kinesis.get_records(ShardIterator=iterator, Limit=_PAGE_RECORDS_MAX)
            except ClientError as error:
                if _code(error) == "ExpiredIteratorException":
                    return None
                if _code(error) not in THROTTLED:
                    raise self._readable(error) from error
                self._sleep(_THROTTLED_PAUSE_SECONDS)
            except BotoCoreError as error:
                raise self._readable(error) from error
            else:
                return page
        raise WindrowError(f"stream {self.name!r} throttles every read", hint="another consumer reads it: wait")

    @contextmanager
    def _readable_errors(self) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise self._readable(error) from error

    def _readable(self, error: BotoCoreError | ClientError) -> WindrowError:
        if isinstance(error, ClientError) and _code(error) == "ResourceNotFoundException":
            return WindrowError(f"there is no stream {self.name!r}", hint="run: windrow deploy")
        told = readable(error, self._place)
        return WindrowError(f"stream {self.name!r}: {told.message}", hint=told.hint)


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


def _status(error: ClientError) -> int:
    """The HTTP status, 0 when it is not known."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _entry(record: OutgoingRecord) -> dict[str, Any]:
    entry: dict[str, Any] = {"Data": record.body, "PartitionKey": record.partition_key}
    if record.explicit_hash_key is not None:
        entry["ExplicitHashKey"] = record.explicit_hash_key
    return entry


def _answer(entry: dict[str, Any]) -> Stored | Refused:
    if entry.get("ErrorCode"):
        return Refused(entry["ErrorCode"], entry.get("ErrorMessage", ""))
    return Stored(entry["ShardId"], entry["SequenceNumber"])


def _shard(described: dict[str, Any]) -> Shard:
    parents = (described.get("ParentShardId"), described.get("AdjacentParentShardId"))
    hash_keys = described["HashKeyRange"]
    return Shard(
        shard_id=described["ShardId"],
        first_hash_key=int(hash_keys["StartingHashKey"]),
        last_hash_key=int(hash_keys["EndingHashKey"]),
        parents=tuple(parent for parent in parents if parent),
        is_open=described["SequenceNumberRange"].get("EndingSequenceNumber") is None,
    )


def _parents_first(shards: Iterable[Shard]) -> list[Shard]:
    """`shards` by id, but never a child before a parent that is still listed."""
    by_id = {shard.shard_id: shard for shard in sorted(shards, key=lambda shard: shard.shard_id)}
    listed = {key: [parent for parent in shard.parents if parent in by_id] for key, shard in by_id.items()}
    return [by_id[shard_id] for shard_id in TopologicalSorter(listed).static_order()]


def _stream_record(shard_id: str, record: dict[str, Any]) -> StreamRecord:
    return StreamRecord(
        shard_id=shard_id,
        sequence_number=record["SequenceNumber"],
        partition_key=record["PartitionKey"],
        # To the nearest millisecond: the wire carries seconds as a binary fraction.
        arrival_ms=round((record["ApproximateArrivalTimestamp"] - _EPOCH) / timedelta(milliseconds=1)),
        body=record["Data"],
    )
