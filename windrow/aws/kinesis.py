"""The one adapter of boto3's `kinesis` client: list shards, put records, read all records between two times.

A sequence number is the decimal string that the stream gave; it is compared as an integer.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
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

from windrow.aws.clients import Place, client, one_line, readable
from windrow.aws.kinesis_answers import EPOCH, Page, put_answers, record_page, shard_iterator, shard_page
from windrow.aws.stream import (
    THROTTLED,
    UNREACHABLE,
    Answers,
    OutgoingRecord,
    Refused,
    Shard,
    StreamRecord,
    StreamSummary,
    Unanswered,
)
from windrow.errors import PermanentError, WindrowError

# GetRecords gives at most 10,000 records and 10 MiB, and takes five calls a second and shard.
_PAGE_RECORDS_MAX = 10_000
_THROTTLED_PAUSE_SECONDS = 0.25
_PAUSES_IN_A_ROW_MAX = 120
# An iterator lives five minutes, and the caller may take longer over a page.
_REOPENINGS_IN_A_ROW_MAX = 3
_MAYBE_STORED = frozenset({"InternalFailure", "InternalServerError", "ServiceUnavailable", "RequestTimeout"})
# No request went out, so nothing can be stored.
_NOT_SENT = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError, SSLError)
# A proxy, say, or the sign-in page of a network.
_IN_BETWEEN = "something else answers in place of Kinesis: check the network, its proxy, and the endpoint"
ARRIVAL_STEP_BACK_MS_MAX = 60_000
"""How far an arrival time may step back behind an earlier one of the shard.

"There are no guarantees about the time stamp accuracy, or that the time stamp is always increasing" (API reference,
Record). The clocks of servers differ by far less than a minute, and reading one more minute of a shard costs little.
"""


class KinesisStream:
    """The stream `name` at `place`. What boto3 raises becomes a WindrowError that names the stream."""

    def __init__(
        self,
        kinesis: Any,
        *,
        name: str,
        place: Place,
        sleep: Callable[[float], None] = time.sleep,
        put_client: Any = None,
    ) -> None:
        """Use the boto3 client `kinesis`; `sleep` takes seconds and is called while reading is throttled.

        put_client: the client for PutRecords, if another: one that does not repeat requests by itself.
        """
        self._kinesis = kinesis
        self._put_client = kinesis if put_client is None else put_client
        self._place = place
        self._sleep = sleep
        self.name = name

    @classmethod
    def at(cls, place: Place, name: str) -> Self:
        """Return the stream, reached through the process's shared clients."""
        return cls(client("kinesis", place), name=name, place=place, put_client=client("kinesis", place, repeats=False))

    @property
    def is_stand_in(self) -> bool:
        """Whether this is not AWS's own Kinesis."""
        return self._place.endpoint_url is not None

    def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
        """Send one request, within REQUEST_RECORDS_MAX and REQUEST_BYTES_MAX.

        If the whole request was throttled or could not be sent, every record is Refused. Raises Unanswered when it may
        have been stored, which includes any answer that does not have the shape of Kinesis's; PermanentError or another
        WindrowError when repeating the request cannot help.
        """
        entries = [_entry(record) for record in records]
        try:
            response = self._put_client.put_records(StreamName=self.name, Records=entries)
            return put_answers(response, asked=len(records))
        except _NOT_SENT as error:
            return Answers((Refused(UNREACHABLE, self._readable(error).message),) * len(records))
        except HTTPClientError as error:
            raise Unanswered(one_line(error)) from error
        except ClientError as error:
            return self._refused(error, len(records))
        except BotoCoreError as error:
            raise self._readable(error) from error
        except Exception as error:
            # When an answer is not Kinesis's, botocore's parser raises whatever it runs into: AttributeError,
            # TypeError, UnicodeDecodeError, RecursionError. The request went out, and nobody knows its fate.
            raise Unanswered(_unreadable(error)) from error

    def _refused(self, error: ClientError, count: int) -> Answers:
        """Return the answers for `count` records from an error code, or from an HTTP status alone."""
        failure = Refused(_code(error), one_line(error.response["Error"].get("Message", "")))
        if failure.is_throttled:
            return Answers((failure,) * count)
        if failure.code in _MAYBE_STORED or _status(error) >= 500 or _is_of_another(error):
            raise Unanswered(f"{failure.code}: {failure.message}") from error
        raise self._readable(error) from error

    def summary(self) -> StreamSummary:
        """Ask for the facts about the whole stream; raises as `list_shards` does."""
        with self._readable_errors():
            answer = self._kinesis.describe_stream_summary(StreamName=self.name)["StreamDescriptionSummary"]
            return StreamSummary(
                arn=str(answer["StreamARN"]),
                open_shards=int(answer["OpenShardCount"]),
                retention_hours=int(answer["RetentionPeriodHours"]),
                created_ms=int(answer["StreamCreationTimestamp"].timestamp() * 1_000),
                ignores_keys=answer.get("RecordDistributionStrategy") == "AUTO",
                is_active=answer["StreamStatus"] == "ACTIVE",
            )

    def update_shard_count(self, shards: int) -> Refused | None:
        """Ask once for another number of shards, and return why Kinesis refuses; None if it has begun.

        Raises Unanswered if it may have begun, and PermanentError if no request can be sent.
        """
        try:
            self._put_client.update_shard_count(
                StreamName=self.name, TargetShardCount=shards, ScalingType="UNIFORM_SCALING"
            )
        except _NOT_SENT as error:
            return Refused(UNREACHABLE, self._readable(error).message)
        except ClientError as error:
            said = one_line(error.response["Error"].get("Message", ""))
            if _code(error) in _MAYBE_STORED or _status(error) >= 500:
                raise Unanswered(f"{_code(error)}: {said}") from error
            return Refused(_code(error), said)
        except HTTPClientError as error:
            raise Unanswered(one_line(error)) from error
        except BotoCoreError as error:
            raise self._readable(error) from error
        return None

    def list_shards(self) -> list[Shard]:
        """Return every shard that still holds or takes records, parents before their children.

        Raises PermanentError when no later try can succeed, another WindrowError for everything else.
        """
        with self._readable_errors():
            shards, token = shard_page(self._kinesis.list_shards(StreamName=self.name))
            while token is not None:
                more, token = shard_page(self._kinesis.list_shards(NextToken=token))
                shards += more
        return _parents_first(shards)

    def records_between(self, start_ms: int, end_ms: int) -> Iterator[StreamRecord]:
        """Yield the records with `start_ms <= arrival < end_ms`, shard by shard, parents before their children.

        Within a shard they come in sequence. It does not wait for new records: a shard ends at its tip.
        """
        for shard in self.list_shards():
            yield from self._shard_records(shard.shard_id, start_ms=start_ms, end_ms=end_ms)

    def shard_records_between(self, shard_id: str, *, start_ms: int, end_ms: int) -> Iterator[StreamRecord]:
        """Yield the records of one shard with `start_ms <= arrival < end_ms`, in sequence; none if it has expired."""
        if any(shard.shard_id == shard_id for shard in self.list_shards()):
            yield from self._shard_records(shard_id, start_ms=start_ms, end_ms=end_ms)

    def _shard_records(self, shard_id: str, *, start_ms: int, end_ms: int) -> Iterator[StreamRecord]:
        """Read from before the first possible record to after the last possible one.

        This finds all records as long as no arrival time steps back by more than ARRIVAL_STEP_BACK_MS_MAX.
        """
        for records in self._pages(shard_id, max(0, start_ms - ARRIVAL_STEP_BACK_MS_MAX)):
            yield from (record for record in records if start_ms <= record.arrival_ms < end_ms)
            beyond_ms = end_ms + ARRIVAL_STEP_BACK_MS_MAX
            if records and all(record.arrival_ms >= beyond_ms for record in records):
                return

    def _pages(self, shard_id: str, start_ms: int) -> Iterator[tuple[StreamRecord, ...]]:
        """Yield the pages of one shard from `start_ms` to its tip, or its end if it is closed; pages may be empty."""
        iterator = self._iterator(shard_id, start_ms=start_ms)
        last: str | None = None
        reopenings = 0
        while iterator is not None:
            page = self._get_records(iterator, shard_id)
            if page is None:
                reopenings += 1
                if reopenings > _REOPENINGS_IN_A_ROW_MAX:
                    raise WindrowError(f"stream {self.name!r}, shard {shard_id}: iterators expire at once")
                iterator = self._iterator(shard_id, start_ms=start_ms, after=last)
                continue
            reopenings = 0
            if not page.records and page.is_at_tip:
                return
            last = page.records[-1].sequence_number if page.records else last
            yield page.records
            iterator = page.next_iterator

    def _iterator(self, shard_id: str, *, start_ms: int, after: str | None = None) -> str | None:
        """Return where to read on; None when the shard, with all its records, has expired since it was listed."""
        where: dict[str, Any] = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": after}
        if after is None:
            where = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": EPOCH + timedelta(milliseconds=start_ms)}
        try:
            with self._readable_errors():
                answer = self._kinesis.get_shard_iterator(StreamName=self.name, ShardId=shard_id, **where)
                return shard_iterator(answer)
        except PermanentError:
            if any(shard.shard_id == shard_id for shard in self.list_shards()):
                raise
            return None

    def _get_records(self, iterator: str, shard_id: str) -> Page | None:
        """Return one page, or None when the iterator has expired; waits while the shard is throttled."""
        for _ in range(_PAUSES_IN_A_ROW_MAX):
            with self._readable_errors():
                try:
                    answer = self._kinesis.get_records(ShardIterator=iterator, Limit=_PAGE_RECORDS_MAX)
                    return record_page(answer, shard_id=shard_id)
                except ClientError as error:
                    if _code(error) == "ExpiredIteratorException":
                        return None
                    if _code(error) not in THROTTLED:
                        raise
            self._sleep(_THROTTLED_PAUSE_SECONDS)
        raise WindrowError(f"stream {self.name!r} throttles every read", hint="another consumer reads it: wait")

    @contextmanager
    def _readable_errors(self) -> Iterator[None]:
        """Turn whatever a request and the reading of its answer raise into a WindrowError that names the stream."""
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise self._readable(error) from error
        except Exception as error:  # as in put_records
            raise WindrowError(f"stream {self.name!r}: {_unreadable(error)}", hint=_IN_BETWEEN) from error

    def _readable(self, error: BotoCoreError | ClientError) -> WindrowError:
        where = self._place.endpoint_url or self._place.region
        if isinstance(error, ClientError) and _code(error) == "ResourceNotFoundException":
            hint = "check its name and the region, or run: windrow deploy"
            return PermanentError(f"there is no stream {self.name!r} in {where}", hint=hint)
        if isinstance(error, ClientError) and _is_of_another(error):
            message = f"{where} answers {error.operation_name} with HTTP status {_code(error)} and no code of Kinesis's"
            return WindrowError(f"stream {self.name!r}: {message}", hint=_IN_BETWEEN)
        told = readable(error, self._place)
        return type(told)(f"stream {self.name!r}: {told.message}", hint=told.hint)


def _code(error: ClientError) -> str:
    """Return the error code; if the answer has none, botocore gives the HTTP status."""
    return str(error.response["Error"].get("Code", ""))


def _status(error: ClientError) -> int:
    """Return the HTTP status, 0 if it is not known."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _is_of_another(error: ClientError) -> bool:
    """Whether the answer lacks the error code that every refusal by Kinesis has: it is somebody else's page."""
    code = _code(error)
    return not code or code.isdecimal()


def _unreadable(error: Exception) -> str:
    return f"the answer cannot be read: {type(error).__name__}: {one_line(error)}"


def _entry(record: OutgoingRecord) -> dict[str, Any]:
    entry: dict[str, Any] = {"Data": record.body, "PartitionKey": record.partition_key}
    if record.explicit_hash_key is not None:
        entry["ExplicitHashKey"] = record.explicit_hash_key
    return entry


def _parents_first(shards: Iterable[Shard]) -> list[Shard]:
    """Return `shards` by id, but never a child before a parent that is still listed."""
    by_id = {shard.shard_id: shard for shard in sorted(shards, key=lambda shard: shard.shard_id)}
    listed = {key: [parent for parent in shard.parents if parent in by_id] for key, shard in by_id.items()}
    return [by_id[shard_id] for shard_id in TopologicalSorter(listed).static_order()]
