"""Replay: the original records, as the mapping sent them, once more to the consumer."""

import io
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber
from click.testing import CliRunner
from moto import mock_aws

from processors.chunk import INVOKE_PAYLOAD_BYTES_MAX
from processors.event import Record, decode_event
from processors.invoke import Answer, InvocationOutcome
from processors.replay import ATTEMPTS_MAX, DryRunInvoker, FailedInvocation, ReplayResult, replay
from tests.consuming import consume, encode_event
from tests.horizon import LATENESS_HORIZON_MS
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from tests.unit.stream_records import ARRIVAL_MS, STREAM_ARN, aggregated, encoded, reading
from windrow.aws import clients as aws
from windrow.aws.kinesis import KinesisStream
from windrow.aws.stream import StreamRecord
from windrow.errors import UsageError, WindrowError
from windrow.stage import Stage
from windrow.timestamps import parse_rfc3339_ms
from windrow_cli.replay import arrival_range_ms, show
from windrow_cli.replay import replay as command
from windrow_operations.redelivery import replay_stage

FIRST_SHARD, SECOND_SHARD = "shardId-000000000000", "shardId-000000000001"
PLACE = aws.Place("test", None, "us-east-1")
FAR_AHEAD_MS = 4_000_000_000_000


def stream_record(number: int, *, shard: str = FIRST_SHARD, body: bytes = b"{}") -> StreamRecord:
    return StreamRecord(
        shard_id=shard, sequence_number=str(number), partition_key="a", arrival_ms=ARRIVAL_MS + number, body=body
    )


class FakeConsumer:
    """An Invoker that keeps the records of every event and answers what it is told, then DONE."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.events: list[list[Record]] = []
        self.sizes: list[int] = []

    def invoke(self, event: bytes) -> Answer:
        self.events.append([one for one in decode_event(json.loads(event)) if isinstance(one, Record)])
        self.sizes.append(len(event))
        return self._answers.pop(0) if self._answers else Answer(InvocationOutcome.DONE)


def run(records: list[StreamRecord], consumer: FakeConsumer, *, pauses: list[float] | None = None) -> ReplayResult:
    slept: list[float] = [] if pauses is None else pauses
    return replay(records, stream_arn=STREAM_ARN, invoker=consumer, sleep=slept.append)


def test_the_consumer_gets_the_original_records() -> None:
    """Stream, shard, number, arrival, key and bytes are what the mapping sent the first time."""
    consumer = FakeConsumer()

    replayed = run([stream_record(7, body=b"bytes")], consumer)

    assert consumer.events == [
        [
            Record(
                stream_arn=STREAM_ARN,
                shard=FIRST_SHARD,
                sequence_number="7",
                arrival_ms=ARRIVAL_MS + 7,
                partition_key="a",
                payload=b"bytes",
            )
        ]
    ]
    assert (replayed.records, replayed.invocations, replayed.failed) == (1, 1, ())


def test_an_event_holds_one_shard_only() -> None:
    """As the mapping's do: shards are never mixed, however few records they have."""
    consumer = FakeConsumer()

    run([stream_record(1), stream_record(2), stream_record(3, shard=SECOND_SHARD)], consumer)

    numbers = sorted([(one.shard, one.sequence_number) for one in event] for event in consumer.events)
    assert numbers == [[(FIRST_SHARD, "1"), (FIRST_SHARD, "2")], [(SECOND_SHARD, "3")]]


def test_events_stay_within_the_payload_limit_and_lose_nothing() -> None:
    """Ten records of a megabyte take three events: base64 makes 1.4 MB of each."""
    consumer = FakeConsumer()
    records = [stream_record(number, body=bytes(1_000_000)) for number in range(10)]

    replayed = run(records, consumer)

    assert replayed.invocations == len(consumer.sizes) == 3
    assert max(consumer.sizes) <= INVOKE_PAYLOAD_BYTES_MAX
    assert replayed.payload_bytes == sum(consumer.sizes)
    replayed_numbers = {int(one.sequence_number) for event in consumer.events for one in event}
    assert replayed_numbers == set(range(10))


def test_a_failed_invocation_stops_nothing_and_is_named() -> None:
    """The others are replayed; the failure tells shard, sequence numbers and why."""
    consumer = FakeConsumer(Answer(InvocationOutcome.FAILED, "boom"))

    replayed = run([stream_record(1), stream_record(2)], consumer)

    failure = FailedInvocation(shard=FIRST_SHARD, first="1", last="2", records=2, detail="boom")
    assert replayed == ReplayResult(2, consumer.sizes[0], 1, (failure,))


def test_a_partial_failure_is_named_from_its_first_record() -> None:
    """What the function says it has processed is not complained about."""
    consumer = FakeConsumer(Answer(InvocationOutcome.DONE, failed=("3", "2")))

    (failure,) = run([stream_record(number) for number in (1, 2, 3)], consumer).failed

    assert (failure.first, failure.last, failure.records) == ("2", "3", 2)


def test_a_throttled_chunk_waits_and_is_tried_again() -> None:
    """The function is busy with the stream itself; the pauses double."""
    consumer, pauses = FakeConsumer(*[Answer(InvocationOutcome.THROTTLED)] * 3), list[float]()

    replayed = run([stream_record(1)], consumer, pauses=pauses)

    assert replayed.failed == ()
    assert pauses == [1, 2, 4]


def test_throttling_is_borne_within_a_bound() -> None:
    """After the last attempt the chunk has failed."""
    consumer, pauses = FakeConsumer(*[Answer(InvocationOutcome.THROTTLED, "busy")] * 100), list[float]()

    replayed = run([stream_record(1)], consumer, pauses=pauses)

    assert [failure.detail for failure in replayed.failed] == ["busy"]
    assert len(consumer.events) == ATTEMPTS_MAX
    assert sum(pauses) == 31


def test_a_dry_run_counts_the_same_and_invokes_nothing() -> None:
    """Its invoker does nothing; everything before it is the real thing."""
    records = [stream_record(1), stream_record(2, shard=SECOND_SHARD)]

    rehearsed = replay(records, stream_arn=STREAM_ARN, invoker=DryRunInvoker())

    assert rehearsed == run(records, FakeConsumer())


@pytest.mark.slow
def test_progress_is_told_after_every_invocation() -> None:
    """It ends with the result."""
    told: list[ReplayResult] = []
    records = [stream_record(number, body=bytes(4_000_000)) for number in range(6)]

    replayed = replay(records, stream_arn=STREAM_ARN, invoker=FakeConsumer(), on_progress=told.append)

    assert [one.invocations for one in told] == [1, 2, 3, 4, 5, 6]
    assert told[-1] == replayed


def test_a_replay_of_what_was_consumed_writes_nothing_new() -> None:
    """The same cut finds every object there; another cut adds partials with the same readings."""
    state = S3State()
    store = SimulatedStore(state.apply, "lake")

    class Consumer:
        def invoke(self, event: bytes) -> Answer:
            records = decode_event(json.loads(event))
            consume(records, store=store, now_ms=ARRIVAL_MS, horizon_ms=LATENESS_HORIZON_MS)
            return Answer(InvocationOutcome.DONE)

    records = [stream_record(n, body=aggregated([*encoded([reading(at_ms=n)]), b"bad"])) for n in range(5)]
    replay(records, stream_arn=STREAM_ARN, invoker=Consumer())
    before = state.fingerprint()

    replay(records, stream_arn=STREAM_ARN, invoker=Consumer())

    assert state.fingerprint() == before


# ---- a stage -------------------------------------------------------------------------------------------------------


def stage() -> Stage:
    return Stage(
        place=PLACE,
        lateness_horizon_hours=168,
        stream_retention_hours=24,
        partials_retention_days=30,
        name="test",
        stream_name="windrow-test",
        lake_bucket="lake",
        results_bucket="results",
        failures_bucket="on-failure",
        consumer_function="windrow-test-consumer",
        dispatcher_function="windrow-test-dispatcher",
        database="",
        workgroup="",
        mode="direct",
    )


@pytest.fixture
def kinesis(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """moto's Kinesis."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield boto3.client("kinesis", region_name=PLACE.region)


@pytest.mark.slow
def test_a_stage_is_replayed_from_its_stream_to_its_consumer(kinesis: Any) -> None:
    """What was put into the stream is, to the byte, what the mapping would hand to the consumer function."""
    kinesis.create_stream(StreamName="windrow-test", ShardCount=1)
    number = kinesis.put_record(StreamName="windrow-test", Data=b"bytes", PartitionKey="key")["SequenceNumber"]
    (stored,) = KinesisStream.at(PLACE, "windrow-test").records_between(0, FAR_AHEAD_MS)
    sent_again = Record(
        stream_arn="arn:aws:kinesis:us-east-1:123456789012:stream/windrow-test",
        shard=FIRST_SHARD,
        sequence_number=number,
        arrival_ms=stored.arrival_ms,
        partition_key="key",
        payload=b"bytes",
    )
    answer = b'{"batchItemFailures": []}'

    with Stubber(aws.client("lambda", PLACE, repeats=False)) as function:
        function.add_response(
            "invoke",
            {"StatusCode": 200, "Payload": StreamingBody(io.BytesIO(answer), len(answer))},
            {
                "FunctionName": "windrow-test-consumer",
                "InvocationType": "RequestResponse",
                "Payload": encode_event([sent_again]),
            },
        )
        replayed = replay_stage(stage(), start_ms=0, end_ms=FAR_AHEAD_MS)

    assert (replayed.records, replayed.invocations, replayed.failed) == (1, 1, ())


@pytest.mark.slow
def test_a_dry_run_of_a_stage_invokes_no_function(kinesis: Any) -> None:
    """A stubbed client without answers would refuse the call."""
    kinesis.create_stream(StreamName="windrow-test", ShardCount=1)
    kinesis.put_record(StreamName="windrow-test", Data=b"bytes", PartitionKey="key")

    with Stubber(aws.client("lambda", PLACE, repeats=False)):
        replayed = replay_stage(stage(), start_ms=0, end_ms=FAR_AHEAD_MS, is_dry_run=True)

    assert (replayed.records, replayed.invocations, replayed.failed) == (1, 1, ())


@pytest.mark.slow
def test_a_missing_stream_is_one_line(kinesis: Any) -> None:
    """No traceback, but the stream's name and what to do."""
    with pytest.raises(WindrowError, match="windrow-test") as raised:
        replay_stage(stage(), start_ms=0, end_ms=FAR_AHEAD_MS)

    assert "\n" not in raised.value.message


# ---- the command ---------------------------------------------------------------------------------------------------

NOW = "2026-11-20T11:00:00Z"
NOW_MS = parse_rfc3339_ms(NOW)


def test_the_default_range_is_all_that_is_kept() -> None:
    """From the beginning until now."""
    assert arrival_range_ms(None, None, now_ms=NOW_MS) == (0, NOW_MS)


def test_a_range_is_half_open_and_exact() -> None:
    """The options are read to the millisecond; before 1970 is the beginning."""
    expected = (NOW_MS - 3_599_999, NOW_MS)
    assert arrival_range_ms("2026-11-20T10:00:00.001Z", NOW, now_ms=NOW_MS) == expected
    assert arrival_range_ms("0001-01-01T00:00:00Z", NOW, now_ms=NOW_MS) == (0, NOW_MS)


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z", "the range is"),
        ("2026-11-20T10:00:00Z", "2026-11-20T09:00:00Z", "the range is"),
        ("2026-11-20T12:00:00Z", None, "in the future"),
        ("2026-11-20T12:00:00Z", "2026-11-20T13:00:00Z", "in the future"),
        (None, "1969-01-01T00:00:00Z", "the range"),
        ("yesterday", None, "--from 'yesterday'"),
        (None, "2026-11-31T00:00:00Z", "--to '2026-11-31T00:00:00Z'"),
        ("2026-11-20", None, "--from '2026-11-20'"),
    ],
)
def test_a_range_that_is_none_is_a_usage_error(start: str | None, end: str | None, message: str) -> None:
    """One line that names the option; exit code 2."""
    with pytest.raises(UsageError) as raised:
        arrival_range_ms(start, end, now_ms=NOW_MS)

    assert message in raised.value.message
    assert "\n" not in raised.value.message
    assert raised.value.exit_code == 2


def test_the_range_is_checked_before_any_place_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """A wrong option is told as such, even where nothing runs."""
    monkeypatch.setenv("WINDROW_HOME", str(tmp_path))

    wrong = CliRunner().invoke(command, ["--from", "soon"])
    nothing_runs = CliRunner().invoke(command, ["--from", "2026-11-20T10:00:00Z"])

    assert isinstance(wrong.exception, UsageError)
    assert isinstance(nothing_runs.exception, WindrowError)
    assert nothing_runs.exception.hint == "run: windrow up"


def test_the_result_is_one_line_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """Records, invocations and failures; a dry run says that nothing happened."""
    show(ReplayResult(12_345, 99, 3))
    show(ReplayResult(12_345, 99, 3), is_dry_run=True)

    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "replay: 12,345 records, 3 invocations, 0 failed",
        "replay: 12,345 records would take 3 invocations",
    ]
    assert printed.err == ""


def test_failures_are_named_on_stderr_and_end_with_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    """Shard and sequence numbers of each, up to a bound; the last line says how to go on."""
    failed = [
        FailedInvocation(shard=FIRST_SHARD, first=str(n), last=str(n + 9), records=10, detail="[boom]")
        for n in range(0, 250, 10)
    ]

    with pytest.raises(WindrowError) as raised:
        show(ReplayResult(250, 99, 25, tuple(failed)))

    printed = capsys.readouterr()
    assert printed.out == "replay: 250 records, 25 invocations, 25 failed\n"
    assert printed.err.splitlines()[0] == f"{FIRST_SHARD} 0 to 9 (10 records): [boom]"
    assert printed.err.splitlines()[-1] == "... and 5 more"
    assert raised.value.exit_code == 1
    assert f"{FIRST_SHARD}, sequence numbers 0 to 9" in raised.value.message
