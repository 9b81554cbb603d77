"""The adapter for the stream: against moto where that does what Kinesis does, else against scripted answers."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import boto3
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

import windrow.aws.clients
from producers.shards import ShardMap
from windrow.aws.clients import Place
from windrow.aws.kinesis import ARRIVAL_STEP_BACK_MS_MAX, KinesisStream
from windrow.aws.stream import (
    HASH_KEY_MAX,
    UNREACHABLE,
    Answers,
    OutgoingRecord,
    Refused,
    Shard,
    Stored,
    StreamRecord,
    Unanswered,
)
from windrow.errors import WindrowError

PLACE = Place("test", None, "us-east-1")
LONG_AGO_MS, FAR_AHEAD_MS = 0, 4_000_000_000_000


@pytest.fixture
def client() -> Iterator[Any]:
    """moto's Kinesis with one stream of two shards."""
    with mock_aws():
        kinesis = boto3.client("kinesis", region_name=PLACE.region)
        kinesis.create_stream(StreamName="readings", ShardCount=2)
        yield kinesis


def stream_of(client: Any, name: str = "readings") -> KinesisStream:
    return KinesisStream(client, name=name, place=PLACE, sleep=lambda _seconds: None)


def outgoing(count: int) -> list[OutgoingRecord]:
    return [OutgoingRecord(partition_key=f"sensor-{number}", body=b"%d" % number) for number in range(count)]


@pytest.mark.slow
def test_what_is_put_is_read_back_shard_by_shard(client: Any) -> None:
    """Every record comes back whole, in the shard that the answer named, in sequence."""
    stream = stream_of(client)
    sent = outgoing(40)

    answers = stream.put_records(sent)
    read = list(stream.records_between(LONG_AGO_MS, FAR_AHEAD_MS))

    stored = {
        (answer.shard_id, answer.sequence_number): record
        for answer, record in zip(answers.entries, sent, strict=True)
        if isinstance(answer, Stored)
    }
    assert {(record.shard_id, record.sequence_number) for record in read} == set(stored)
    for record in read:
        source = stored[record.shard_id, record.sequence_number]
        assert (record.partition_key, record.body) == (source.partition_key, source.body)
    order = [(record.shard_id, int(record.sequence_number)) for record in read]
    assert order == sorted(order)


@pytest.mark.slow
def test_a_record_goes_where_the_shard_map_says(client: Any) -> None:
    """Our routing by MD5, and by explicit hash key, is that of the stream."""
    stream = stream_of(client)
    shard_map = ShardMap(stream.list_shards())
    by_key = outgoing(40)
    pinned = [
        OutgoingRecord(partition_key="a", body=b"x", explicit_hash_key=str(shard.first_hash_key))
        for shard in shard_map.shards
    ]
    expected = [
        shard_map.shards[shard_map.places_of([record.partition_key.encode()])[0]] for record in by_key
    ] + shard_map.shards
    answers = stream.put_records(by_key + pinned)
    assert [answer.shard_id for answer in answers.entries if isinstance(answer, Stored)] == [
        shard.shard_id for shard in expected
    ]


def test_records_between_two_times_are_half_open() -> None:
    """A record that arrived at the start belongs to the range, one that arrived at the end does not."""
    page = [at(101_000, "1"), at(102_000, "2"), at(103_000, "3"), at(103_001, "4")]
    fake = FakeClient({"shardId-0": [reply(page)]})
    read = list(stream_of(fake).records_between(102_000, 103_001))
    assert [(record.arrival_ms, record.sequence_number) for record in read] == [(102_000, "2"), (103_000, "3")]
    assert fake.iterators == [("shardId-0", "AT_TIMESTAMP", datetime.fromtimestamp(42, UTC))]


@pytest.mark.slow
def test_parents_are_read_before_their_children(client: Any) -> None:
    """After a split and a merge the order of shards follows the lineage."""
    stream = stream_of(client)
    first, second = stream.list_shards()
    client.split_shard(
        StreamName="readings", ShardToSplit=first.shard_id, NewStartingHashKey=str(first.last_hash_key // 2)
    )
    halves = [shard for shard in stream.list_shards() if shard.parents == (first.shard_id,)]
    right = max(halves, key=lambda shard: shard.first_hash_key)
    client.merge_shards(StreamName="readings", ShardToMerge=right.shard_id, AdjacentShardToMerge=second.shard_id)

    shards = stream.list_shards()

    place = {shard.shard_id: number for number, shard in enumerate(shards)}
    assert len(shards) == 5
    assert all(place[parent] < place[shard.shard_id] for shard in shards for parent in shard.parents)
    merged = shards[-1]
    assert set(merged.parents) == {right.shard_id, second.shard_id}
    assert [shard.is_open for shard in shards].count(True) == 2
    ShardMap(shards)


def test_lineage_decides_even_against_the_order_of_ids() -> None:
    """A child whose id sorts before its parent's still comes after it; an expired parent is no obstacle."""
    fake = FakeClient(
        {}, shards=[described("shardId-1", parents=["shardId-2"]), described("shardId-2", parents=["shardId-0"])]
    )
    assert [shard.shard_id for shard in stream_of(fake).list_shards()] == ["shardId-2", "shardId-1"]


def test_a_long_list_of_shards_is_read_to_its_end() -> None:
    """The list comes in pages."""
    fake = FakeClient({}, shards=[described(f"shardId-{number}") for number in range(5)], shards_per_page=2)
    assert len(stream_of(fake).list_shards()) == 5


def test_a_shard_is_described_whole() -> None:
    """Hash keys are integers, both ends inclusive."""
    fake = FakeClient({}, shards=[described("shardId-9", parents=["shardId-3", "shardId-4"], is_open=False)])
    assert stream_of(fake).list_shards() == [
        Shard(
            shard_id="shardId-9",
            first_hash_key=0,
            last_hash_key=HASH_KEY_MAX,
            parents=("shardId-3", "shardId-4"),
            is_open=False,
        )
    ]


def test_empty_pages_behind_the_tip_are_read_on() -> None:
    """Kinesis gives empty pages between records; only one at the tip ends the shard."""
    pages = [reply([], behind_ms=5_000), reply([at(1, "1")], behind_ms=10), reply([], behind_ms=1), reply([at(2, "2")])]
    read = list(stream_of(FakeClient({"shardId-0": pages})).records_between(0, 10))
    assert [record.sequence_number for record in read] == ["1", "2"]


def test_a_closed_shard_ends_with_its_last_page() -> None:
    """Its last page names no next iterator."""
    fake = FakeClient({"shardId-0": [reply([at(1, "1")]), {**reply([at(2, "2")]), "NextShardIterator": None}]})
    assert [record.sequence_number for record in stream_of(fake).records_between(0, 10)] == ["1", "2"]


def test_reading_stops_when_a_whole_page_is_far_beyond_the_end() -> None:
    """A shard that is written faster than it is read must not be read for ever; one odd stamp does not end it."""
    far = 10 + ARRIVAL_STEP_BACK_MS_MAX
    pages = [reply([at(1, "1"), at(far, "2")]), reply([at(2, "3")]), reply([at(far, "4")]), reply([at(3, "5")])]
    read = list(stream_of(FakeClient({"shardId-0": pages})).records_between(0, 10))
    assert [record.sequence_number for record in read] == ["1", "3"]


def test_an_expired_shard_holds_nothing() -> None:
    """A closed shard may expire between the list and its turn; what is missing is the shard and not the stream."""
    fake = FakeClient({"shardId-0": [reply([at(1, "1")])], "shardId-1": [reply([at(2, "2")])]})
    fake.expires = "shardId-0"
    assert [record.sequence_number for record in stream_of(fake).records_between(0, 10)] == ["2"]


@pytest.mark.slow
@pytest.mark.parametrize("page_records", [1, 2, 3, 100])
@given(seed=st.integers(0, 2**32), bounds=st.tuples(st.integers(0, 400), st.integers(0, 400)))
def test_stamps_that_step_back_hide_no_record(page_records: int, seed: int, bounds: tuple[int, int]) -> None:
    """Every record of the range is read, as long as no arrival is further back than the bound, on pages of any size.

        sequence   1   2   3   4   5   6   7   8
        arrival    5  90  31  92  61  88 120 119          the stream finds a time anywhere that it is passed

    Units are seconds; the range is half-open.
    """
    random = Random(seed)
    step_back_ms = ARRIVAL_STEP_BACK_MS_MAX
    clock_ms, newest_ms, stamps = 0, 0, list[int]()
    for _ in range(random.randint(0, 40)):
        clock_ms += random.choice([0, 1_000, random.randint(0, 60_000)])
        stamps.append(max(0, newest_ms - step_back_ms, clock_ms - random.randint(0, step_back_ms)))
        newest_ms = max(newest_ms, stamps[-1])
    start_ms, end_ms = sorted(bound * 1_000 for bound in bounds)
    fake = SteppingClient([at(stamp, str(number)) for number, stamp in enumerate(stamps)], page_records, random)
    read = list(stream_of(fake).records_between(start_ms, end_ms))
    wanted = [str(number) for number, stamp in enumerate(stamps) if start_ms <= stamp < end_ms]
    assert [record.sequence_number for record in read] == wanted


def test_an_expired_iterator_goes_on_after_the_last_record() -> None:
    """Whoever takes the records may take longer than an iterator lives; nothing is read twice or left out."""
    fake = FakeClient(
        {"shardId-0": [reply([at(1, "1")]), client_error("ExpiredIteratorException"), reply([at(2, "2")])]}
    )
    read = list(stream_of(fake).records_between(0, 10))
    assert [record.sequence_number for record in read] == ["1", "2"]
    assert fake.iterators[1] == ("shardId-0", "AFTER_SEQUENCE_NUMBER", "1")


def test_iterators_that_always_expire_are_given_up() -> None:
    """Reopening is bounded."""
    fake = FakeClient({"shardId-0": [client_error("ExpiredIteratorException")] * 100})
    with pytest.raises(WindrowError, match="shardId-0: iterators expire"):
        list(stream_of(fake).records_between(0, 10))


def test_reading_waits_while_the_shard_is_throttled() -> None:
    """A shard takes five reads a second from all its readers."""
    slept: list[float] = []
    throttled = client_error("ProvisionedThroughputExceededException")
    fake = FakeClient({"shardId-0": [throttled, throttled, reply([at(1, "1")])]})
    stream = KinesisStream(fake, name="readings", place=PLACE, sleep=slept.append)
    assert len(list(stream.records_between(0, 10))) == 1
    assert len(slept) == 2


def test_reading_a_shard_that_never_stops_throttling_is_given_up() -> None:
    """The waiting is bounded."""
    fake = FakeClient({"shardId-0": [client_error("ProvisionedThroughputExceededException")] * 1_000})
    with pytest.raises(WindrowError, match="throttles"):
        list(stream_of(fake).records_between(0, 10))


@pytest.mark.parametrize("microseconds", [0, 1, 499])
def test_arrival_is_the_nearest_millisecond(microseconds: int) -> None:
    """The wire carries seconds as a binary fraction; a replay must judge by the same millisecond as the mapping."""
    for drift in (timedelta(microseconds=microseconds), -timedelta(microseconds=microseconds)):
        raw = {**at(1_763_640_000_987, "1")}
        raw["ApproximateArrivalTimestamp"] += drift
        (record,) = stream_of(FakeClient({"shardId-0": [reply([raw])]})).records_between(0, FAR_AHEAD_MS)
        assert record == StreamRecord(
            shard_id="shardId-0", sequence_number="1", partition_key="k", arrival_ms=1_763_640_000_987, body=b"x"
        )


def test_each_entry_has_its_own_answer() -> None:
    """A request that fails in part is no exception; the answers keep the order of the records."""
    response = {
        "FailedRecordCount": 1,
        "Records": [
            {"ShardId": "shardId-0", "SequenceNumber": "5"},
            {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded"},
        ],
        "ResponseMetadata": {"RetryAttempts": 2},
    }
    answers = stream_of(FakeClient({}, put=response)).put_records(outgoing(2))
    refused = Refused("ProvisionedThroughputExceededException", "Rate exceeded")
    assert answers == Answers((Stored("shardId-0", "5"), refused), repeats=2)
    assert refused.is_throttled


def test_a_throttled_request_refuses_every_record() -> None:
    """So that the writer treats it as it treats throttled entries."""
    answers = stream_of(FakeClient({}, put=client_error("LimitExceededException"))).put_records(outgoing(3))
    assert len(answers.entries) == 3
    assert all(isinstance(answer, Refused) and answer.is_throttled for answer in answers.entries)


@pytest.mark.parametrize(
    "failure",
    [
        ReadTimeoutError(endpoint_url="https://kinesis"),
        ConnectionClosedError(endpoint_url="https://kinesis"),
        ClientError({"Error": {"Code": "InternalFailure", "Message": "oops"}}, "PutRecords"),
        ClientError({"Error": {"Code": "502"}, "ResponseMetadata": {"HTTPStatusCode": 502}}, "PutRecords"),  # type: ignore[typeddict-item]
        ResponseParserError("<html>"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_a_request_that_may_be_stored_is_unanswered(failure: Exception) -> None:
    """The caller must send it again and count it as ambiguous."""
    with pytest.raises(Unanswered):
        stream_of(FakeClient({}, put=failure)).put_records(outgoing(1))


def test_what_cannot_help_to_repeat_is_an_error_that_names_the_stream() -> None:
    """A missing permission stays missing."""
    with pytest.raises(WindrowError, match="stream 'readings'"):
        stream_of(FakeClient({}, put=client_error("AccessDeniedException"))).put_records(outgoing(1))


@pytest.mark.parametrize(
    "failure", [EndpointConnectionError, ConnectTimeoutError], ids=lambda failure: failure.__name__
)
def test_a_request_that_never_went_out_is_refused_and_not_ambiguous(failure: Any) -> None:
    """Nothing listens there now: nothing is stored, and another try may succeed."""
    fake = FakeClient({}, put=failure(endpoint_url="https://kinesis"))
    answers = stream_of(fake).put_records(outgoing(2))
    assert [isinstance(answer, Refused) and answer.code for answer in answers.entries] == [UNREACHABLE] * 2


@pytest.mark.slow
def test_records_are_put_by_a_client_that_never_repeats_by_itself(client: Any) -> None:
    """So that every request that may have been stored twice is seen and counted."""
    place = Place("test-repeats", None, PLACE.region)
    KinesisStream.at(place, "readings").put_records(outgoing(1))
    putting, reading = (
        windrow.aws.clients.client("kinesis", place, repeats=False),
        windrow.aws.clients.client("kinesis", place),
    )
    assert putting.meta.config.retries["total_max_attempts"] == 1
    assert reading.meta.config.retries["total_max_attempts"] > 1


@pytest.mark.slow
def test_a_stream_that_is_not_there_is_said_to_be_missing(client: Any) -> None:
    """Writing, listing and reading say the same."""
    stream = stream_of(client, "missing")
    for act in (
        lambda: stream.put_records(outgoing(1)),
        stream.list_shards,
        lambda: list(stream.records_between(LONG_AGO_MS, FAR_AHEAD_MS)),
    ):
        with pytest.raises(WindrowError, match="there is no stream 'missing'"):
            act()


def test_the_size_of_a_record_counts_its_partition_key() -> None:
    """In octets, as the stream does."""
    assert OutgoingRecord(partition_key="é", body=b"123").size_bytes == 5


class SteppingClient:
    """One shard with these records; AT_TIMESTAMP is answered by any place where the stamps pass the time."""

    def __init__(self, records: list[dict[str, Any]], page_records: int, random: Random) -> None:
        self._records = records
        self._page_records = page_records
        self._random = random

    def list_shards(self, **_: Any) -> dict[str, Any]:
        return {"Shards": [described("shardId-0")]}

    def get_shard_iterator(self, *, Timestamp: datetime, **_: Any) -> dict[str, Any]:  # noqa: N803
        is_there = [one["ApproximateArrivalTimestamp"] >= Timestamp for one in self._records]
        passes = [at for at, there in enumerate(is_there) if there and not (at and is_there[at - 1])]
        return {"ShardIterator": str(self._random.choice(passes or [len(self._records)]))}

    def get_records(self, *, ShardIterator: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        first = int(ShardIterator)
        end = min(first + self._page_records, len(self._records))
        page = {"Records": self._records[first:end], "MillisBehindLatest": len(self._records) - end}
        return page | {"NextShardIterator": str(end)}


# A scripted client ----------------------------------------------------------------------------------------------------


class FakeClient:
    """Answers GetRecords of each shard from a script, page by page, and with an empty page at the tip after it."""

    def __init__(
        self,
        pages: dict[str, list[Any]],
        *,
        shards: list[dict[str, Any]] | None = None,
        shards_per_page: int = 100,
        put: Any = None,
    ) -> None:
        self.iterators: list[tuple[str, str, Any]] = []
        self._pages = pages
        self._shards = [described(shard_id) for shard_id in pages] if shards is None else shards
        self._shards_per_page = shards_per_page
        self._put = put
        self.expires = ""
        """A shard that is gone once it has been listed."""

    def list_shards(self, *, StreamName: str = "", NextToken: str = "0") -> dict[str, Any]:  # noqa: N803
        assert bool(StreamName) != (NextToken != "0")
        end = int(NextToken) + self._shards_per_page
        page = {"Shards": self._shards[int(NextToken) : end]}
        self._shards = [shard for shard in self._shards if shard["ShardId"] != self.expires]
        return {**page, "NextToken": str(end)} if end < len(self._shards) else page

    def get_shard_iterator(self, *, StreamName: str, ShardId: str, ShardIteratorType: str, **where: Any) -> Any:  # noqa: ARG002, N803
        self.iterators.append((ShardId, ShardIteratorType, *where.values()))
        if ShardId == self.expires:
            raise client_error("ResourceNotFoundException")
        return {"ShardIterator": ShardId}

    def get_records(self, *, ShardIterator: str, Limit: int) -> Any:  # noqa: ARG002, N803
        script = self._pages[ShardIterator]
        return {"NextShardIterator": ShardIterator, **acted(script.pop(0))} if script else reply([])

    def put_records(self, *, StreamName: str, Records: list[Any]) -> Any:  # noqa: ARG002, N803
        return acted(self._put)


def acted(scripted: Any) -> Any:
    if isinstance(scripted, Exception):
        raise scripted
    return scripted


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "by the script"}}, "Operation")


def described(shard_id: str, *, parents: list[str] | None = None, is_open: bool = True) -> dict[str, Any]:
    parent_names = ["ParentShardId", "AdjacentParentShardId"]
    return {
        "ShardId": shard_id,
        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": str(HASH_KEY_MAX)},
        "SequenceNumberRange": {"StartingSequenceNumber": "1"} | ({} if is_open else {"EndingSequenceNumber": "9"}),
        **dict(zip(parent_names, parents or [], strict=False)),
    }


def at(arrival_ms: int, sequence_number: str) -> dict[str, Any]:
    arrival = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=arrival_ms)
    return {
        "SequenceNumber": sequence_number,
        "PartitionKey": "k",
        "ApproximateArrivalTimestamp": arrival,
        "Data": b"x",
    }


def reply(records: list[dict[str, Any]], *, behind_ms: int = 0) -> dict[str, Any]:
    return {"Records": records, "MillisBehindLatest": behind_ms}
