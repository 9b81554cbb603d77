"""The Kinesis stream as typed values: its shards and their lineage, requests of records, all records between two times.

The one adapter between boto3's `kinesis` client and the producer, the replay and the audit. A sequence number
is the decimal string that the stream gave; it is compared as an integer.
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
    StreamSummary,
    Unanswered,
)
from windrow.errors import PermanentError, WindrowError

__all__ = [
    "ARRIVAL_STEP_BACK_MS_MAX",
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
# Of what stands between the client and Kinesis: a proxy, the sign-in page of a network.
_IN_BETWEEN = "something answers in the place of Kinesis: check the network, its proxy, and the endpoint"
ARRIVAL_STEP_BACK_MS_MAX = 60_000
"""How far an arrival time may be behind one before it in the shard.

"There are no guarantees about the time stamp accuracy, or that the time stamp is always increasing" (API reference,
Record). The clocks of servers differ by far less than a minute, and a minute more of a shard is soon read.
"""


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
        Unanswered when it may have been stored, which is also what an answer of any other shape than Kinesis's says;
        PermanentError, or another WindrowError, for what the same request again cannot mend.
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
            # botocore lets slip what its parser meets in an answer that is not Kinesis's: AttributeError, TypeError,
            # UnicodeDecodeError, RecursionError and others. The request went out, and nobody knows what became of it.
            raise Unanswered(_unreadable(error)) from error

    def _refused(self, error: ClientError, count: int) -> Answers:
        """What an answer with an error code, or with no more than an HTTP status, says of `count` records."""
        failure = Refused(_code(error), one_line(error.response["Error"].get("Message", "")))
        if failure.is_throttled:
            return Answers((failure,) * count)
        if failure.code in _MAYBE_STORED or _status(error) >= 500 or _is_of_another(error):
            raise Unanswered(f"{failure.code}: {failure.message}") from error
        raise self._readable(error) from error

    def summary(self) -> StreamSummary:
        """Ask for what holds for the whole stream; raises as `list_shards` does."""
        with self._readable_errors():
            answer = self._kinesis.describe_stream_summary(StreamName=self.name)["StreamDescriptionSummary"]
            return StreamSummary(
                arn=str(answer["StreamARN"]),
                open_shards=int(answer["OpenShardCount"]),
                retention_hours=int(answer["RetentionPeriodHours"]),
                created_ms=int(answer["StreamCreationTimestamp"].timestamp() * 1_000),
            )

    def list_shards(self) -> list[Shard]:
        """Every shard that still holds records or takes them, parents before their children.

        Raises PermanentError where no later try can succeed, another WindrowError for everything else that goes wrong.
        """
        with self._readable_errors():
            shards, token = shard_page(self._kinesis.list_shards(StreamName=self.name))
            while token is not None:
                more, token = shard_page(self._kinesis.list_shards(NextToken=token))
                shards += more
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
        """From where the first of them may be to where no more of them can be.

        That holds as long as no arrival time steps back by more than ARRIVAL_STEP_BACK_MS_MAX.
        """
        for records in self._pages(shard_id, max(0, start_ms - ARRIVAL_STEP_BACK_MS_MAX)):
            yield from (record for record in records if start_ms <= record.arrival_ms < end_ms)
            beyond_ms = end_ms + ARRIVAL_STEP_BACK_MS_MAX
            if records and all(record.arrival_ms >= beyond_ms for record in records):
                return

    def _pages(self, shard_id: str, start_ms: int) -> Iterator[tuple[StreamRecord, ...]]:
        """Pages of one shard from `start_ms` to its tip, or to its end if it is closed; pages may be empty."""
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
        """Where to read on; None when the shard, and with it all its records, has expired since it was listed."""
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
        """One page, or None when the iterator has expired; waits while the shard is throttled."""
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
        """Around one request and what is taken from its answer: whatever goes wrong names the stream."""
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
    """The error code; where the answer has none, botocore gives the HTTP status."""
    return str(error.response["Error"].get("Code", ""))


def _status(error: ClientError) -> int:
    """The HTTP status, 0 when it is not known."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _is_of_another(error: ClientError) -> bool:
    """Whether the answer has no error code of its own, as every refusal by Kinesis has: it is somebody else's page."""
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
    """`shards` by id, but never a child before a parent that is still listed."""
    by_id = {shard.shard_id: shard for shard in sorted(shards, key=lambda shard: shard.shard_id)}
    listed = {key: [parent for parent in shard.parents if parent in by_id] for key, shard in by_id.items()}
    return [by_id[shard_id] for shard_id in TopologicalSorter(listed).static_order()]
