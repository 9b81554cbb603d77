"""Fan-out: what is cut, what is invoked again, what is processed here, and which record is reported."""

import io
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from processors.chunk import (
    INVOKE_PAYLOAD_BYTES_MAX,
    Chunk,
    EncodedRecord,
    balance,
    encoded_records,
    fill,
)
from processors.event import decode_event
from processors.fanout import ATTEMPTS_MAX, FanOut, FanOutResult
from processors.invoke import Answer, InvocationOutcome, LambdaInvoker, batch_response
from processors.puts import REPORT_RESERVE_MS
from tests.consuming import encode_event
from tests.unit.stream_records import record
from windrow.aws.functions import LambdaFunction

DONE = Answer(InvocationOutcome.DONE)
FAILED = Answer(InvocationOutcome.FAILED, "boom")
THROTTLED = Answer(InvocationOutcome.THROTTLED)


def numbers_in(event: bytes) -> list[int]:
    return [int(one.sequence_number) for one in decode_event(json.loads(event))]


class FakeProcessor:
    """An Invoker that answers by the event's first sequence number: one after the other, then the last for ever."""

    def __init__(self, answers: dict[int, list[Answer]] | None = None) -> None:
        self._answers = answers or {}
        self._lock = threading.Lock()
        self.invoked: list[list[int]] = []

    def invoke(self, event: bytes) -> Answer:
        numbers = numbers_in(event)
        with self._lock:
            self.invoked.append(numbers)
            answers = self._answers.get(numbers[0], [DONE])
            return answers.pop(0) if len(answers) > 1 else answers[0]

    @property
    def processed(self) -> list[list[int]]:
        return sorted(self.invoked)


class Here:
    """What the fan-out function processes itself."""

    def __init__(self, error: Exception | None = None, *, unprocessed: str | None = None) -> None:
        self._error = error
        self._unprocessed = unprocessed
        self._busy = threading.Lock()
        self.events: list[list[int]] = []

    def __call__(self, event: bytes) -> object:
        assert self._busy.acquire(blocking=False), "two chunks at a time"
        try:
            time.sleep(0.02)  # long enough for another chunk to come in between, if it could
            self.events.append(numbers_in(event))
            if self._error is not None:
                raise self._error
            return batch_response(self._unprocessed)
        finally:
            self._busy.release()


def batch(count: int) -> list[EncodedRecord]:
    """Records 1 to `count`, all of one size."""
    return encoded_records(json.loads(encode_event(record(b"x" * 100, number=n) for n in range(101, 101 + count))))


def fan_out(
    count: int,
    processor: FakeProcessor,
    *,
    here: Callable[[bytes], object] = Here(),  # noqa: B008 - records nothing that a test reads
    per_chunk: int = 2,
    remaining_ms: Callable[[], int] = lambda: 60_000,
) -> FanOutResult:
    """Fan out records 101 to 100 + `count`, `per_chunk` to a chunk."""
    records = batch(count)
    size = records[0].size_bytes * per_chunk
    run = FanOut(invoker=processor, process_here=here, remaining_ms=remaining_ms, bytes_target=size)
    return run.run(records)


def test_every_record_reaches_exactly_one_processor() -> None:
    """Chunks are consecutive, and together they are the batch."""
    processor = FakeProcessor()

    fanned_out = fan_out(6, processor)

    assert processor.processed == [[101, 102], [103, 104], [105, 106]]
    assert (fanned_out.chunks, fanned_out.processed_here, fanned_out.failed) == (3, 0, ())
    assert fanned_out.lowest_failed is None


def test_chunks_are_invoked_at_once() -> None:
    """All processors run together: each waits here until all have begun."""
    together = threading.Barrier(3)

    class Meeting(FakeProcessor):
        def invoke(self, event: bytes) -> Answer:
            together.wait(timeout=60)
            return super().invoke(event)

    assert fan_out(6, Meeting()).failed == ()


def test_a_failed_chunk_is_reported_from_its_first_record() -> None:
    """The mapping delivers everything from there again; what succeeded after it is absorbed by union."""
    fanned_out = fan_out(6, FakeProcessor({103: [FAILED]}))

    assert fanned_out.lowest_failed == "103"
    assert [failed.detail for failed in fanned_out.failed] == ["boom"]


def test_of_several_failed_chunks_the_lowest_is_reported() -> None:
    """In the order of the batch, whichever failed first."""
    assert fan_out(8, FakeProcessor({107: [FAILED], 103: [FAILED]})).lowest_failed == "103"


def test_what_a_processor_reports_is_reported_to_the_record() -> None:
    """A processor that ran short of time names where it stopped, and not a record more is delivered again."""
    answer = Answer(InvocationOutcome.DONE, failed=("106", "105"))

    assert fan_out(8, FakeProcessor({105: [answer]})).lowest_failed == "105"
    assert fan_out(8, FakeProcessor({105: [Answer(InvocationOutcome.DONE, failed=("106",))]})).lowest_failed == "106"


def test_a_processor_that_names_a_foreign_record_fails_its_whole_chunk() -> None:
    """A report that cannot be right is not trusted about anything."""
    assert (
        fan_out(8, FakeProcessor({105: [Answer(InvocationOutcome.DONE, failed=("106", "999"))]})).lowest_failed == "105"
    )


def test_a_failure_is_tried_again_and_forgotten_when_it_passes() -> None:
    """A function error or a timeout costs another attempt, not the batch."""
    processor = FakeProcessor({101: [FAILED, FAILED, DONE]})

    assert fan_out(2, processor).failed == ()
    assert len(processor.invoked) == ATTEMPTS_MAX == 3


def test_attempts_are_bounded() -> None:
    """A processor that never succeeds is given up after the bound."""
    processor = FakeProcessor({101: [FAILED]})

    fan_out(2, processor)

    assert len(processor.invoked) == ATTEMPTS_MAX


def test_no_attempt_is_begun_that_would_not_fit_into_the_remaining_time() -> None:
    """The first attempt took 40 of 60 seconds; the 20 that remain are kept to report."""
    remaining = [60_000]

    class Slow(FakeProcessor):
        def invoke(self, event: bytes) -> Answer:
            remaining[0] -= 40_000
            return super().invoke(event)

    processor = Slow({101: [FAILED]})

    fanned_out = fan_out(2, processor, remaining_ms=lambda: remaining[0])

    assert len(processor.invoked) == 1
    assert fanned_out.lowest_failed == "101"


def test_a_processor_that_hangs_is_reported_while_there_is_time() -> None:
    """The function answers before it would be killed: what is done counts, what hangs comes again."""
    released = threading.Event()

    class Hanging(FakeProcessor):
        def invoke(self, event: bytes) -> Answer:
            if numbers_in(event)[0] == 103:
                released.wait(timeout=30)
            return super().invoke(event)

    try:
        fanned_out = fan_out(6, Hanging(), remaining_ms=lambda: REPORT_RESERVE_MS + 300)
        assert [(failed.sequence_number, failed.detail) for failed in fanned_out.failed] == [("103", "out of time")]
    finally:
        released.set()


def test_throttled_chunks_are_processed_here_one_at_a_time() -> None:
    """With no concurrency left the function does the work alone, and memory stays that of one chunk."""
    processor = FakeProcessor({n: [THROTTLED] for n in (101, 103, 105)})
    here = Here()

    fanned_out = fan_out(8, processor, here=here)

    assert sorted(here.events) == [[101, 102], [103, 104], [105, 106]]
    assert (fanned_out.processed_here, fanned_out.failed) == (3, ())


def test_a_throttled_chunk_that_runs_out_of_time_here_is_reported_to_the_record() -> None:
    """What is left of the chunk comes again, and nothing before it."""
    here = Here(unprocessed="104")

    assert fan_out(6, FakeProcessor({103: [THROTTLED]}), here=here).lowest_failed == "104"


def test_a_throttled_chunk_that_fails_here_is_reported() -> None:
    """S3 down for us is S3 down for the chunk, not for those that succeeded elsewhere."""
    here = Here(error=OSError("503"))

    fanned_out = fan_out(6, FakeProcessor({103: [THROTTLED]}), here=here)

    assert [(failed.sequence_number, failed.detail) for failed in fanned_out.failed] == [("103", "OSError: 503")]


def test_a_record_beyond_the_payload_limit_is_processed_here() -> None:
    """No invocation can carry it, but it is in our hands already."""
    here, processor = Here(), FakeProcessor()
    huge = encode_event([record(b"x" * INVOKE_PAYLOAD_BYTES_MAX, number=101)])

    run = FanOut(invoker=processor, process_here=here, remaining_ms=lambda: 60_000)
    fanned_out = run.run([*encoded_records(json.loads(huge)), *batch(3)[1:]])

    assert here.events == [[101]]
    assert processor.processed == [[102, 103]]
    assert fanned_out.failed == ()


def test_an_empty_batch_invokes_nothing() -> None:
    """No records, no chunks."""
    run = FanOut(invoker=FakeProcessor(), process_here=Here(), remaining_ms=lambda: 60_000)

    assert run.run([]) == FanOutResult(0, 0, ())


# ---- cutting -------------------------------------------------------------------------------------------------------

sizes = st.lists(st.integers(1, 400), max_size=40)


def records_of(lengths: list[int]) -> list[EncodedRecord]:
    return [EncodedRecord(str(n), b"7" * length) for n, length in enumerate(lengths)]


@given(sizes, st.integers(20, 1_000))
def test_filled_chunks_are_the_records_in_order_within_the_limits(lengths: list[int], bytes_max: int) -> None:
    """No record is lost, moved or torn; only a record too long by itself exceeds the limit, alone."""
    records = records_of(lengths)

    chunks = list(fill(records, bytes_max=bytes_max, records_max=7))

    assert [one for chunk in chunks for one in chunk.records] == records
    assert all(len(chunk.event()) == chunk.size_bytes for chunk in chunks)
    assert all(chunk.size_bytes <= bytes_max or len(chunk.records) == 1 for chunk in chunks)
    assert all(1 <= len(chunk.records) <= 7 for chunk in chunks)


@given(sizes, st.integers(20, 1_000))
def test_filled_chunks_are_as_few_as_their_order_allows(lengths: list[int], bytes_max: int) -> None:
    """The first record of a chunk never had room in the chunk before."""
    chunks = list(fill(records_of(lengths), bytes_max=bytes_max))

    for chunk, following in itertools.pairwise(chunks):
        assert chunk.size_bytes + following.records[0].size_bytes > bytes_max


@given(sizes, st.integers(1, 1_000), st.integers(450, 1_000))
def test_balanced_chunks_are_the_records_in_order(lengths: list[int], bytes_target: int, bytes_max: int) -> None:
    """No record is lost, moved or torn, and none of the chunks is over the limit."""
    records = records_of(lengths)

    chunks = balance(records, bytes_target=bytes_target, bytes_max=bytes_max)

    assert [one for chunk in chunks for one in chunk.records] == records
    assert all(chunk.size_bytes <= bytes_max for chunk in chunks)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=40), st.integers(1, 1_000))
def test_balanced_chunks_exceed_an_equal_share_by_at_most_one_record(lengths: list[int], bytes_target: int) -> None:
    """Record boundaries allow no better."""
    records = records_of(lengths)
    bytes_total = sum(one.size_bytes for one in records)
    share = bytes_total / -(-bytes_total // bytes_target)

    for chunk in balance(records, bytes_target=bytes_target):
        assert sum(one.size_bytes for one in chunk.records) <= share + max(one.size_bytes for one in records)


def test_a_malformed_record_travels_as_it_is() -> None:
    """The fan-out does not judge: what the processor quarantines is what the mapping sent."""
    event: dict[str, Any] = {"Records": [{"kinesis": {"data": "?"}}, 17, None]}

    records = encoded_records(event)

    assert json.loads(Chunk(tuple(records)).event()) == event
    assert [one.sequence_number for one in records] == ["0", "0", "0"]


# ---- the Lambda client ---------------------------------------------------------------------------------------------


@pytest.fixture
def stubber() -> Iterator[Stubber]:
    """A real client whose answers are given."""
    client = boto3.client("lambda", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    with Stubber(client) as stubbed:
        yield stubbed


def invoke(stubber: Stubber) -> Answer:
    return LambdaInvoker(LambdaFunction(stubber.client, "windrow-test-consumer")).invoke(b"{}")


def answered(payload: bytes, **more: Any) -> dict[str, Any]:
    return {"StatusCode": 200, "Payload": StreamingBody(io.BytesIO(payload), len(payload)), **more}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"batchItemFailures": []}', DONE),
        (b'{"batchItemFailures": [{"itemIdentifier": "7"}]}', Answer(InvocationOutcome.DONE, failed=("7",))),
        (b'{"batchItemFailures": [7]}', Answer(InvocationOutcome.DONE, failed=("",))),
        (b"null", Answer(InvocationOutcome.FAILED, "the function's answer is not a batch response")),
        (b"", Answer(InvocationOutcome.FAILED, "the function's answer is not a batch response")),
        (b'{"statusCode": 200}', Answer(InvocationOutcome.FAILED, "the function's answer is not a batch response")),
    ],
)
def test_only_a_batch_response_is_success(stubber: Stubber, payload: bytes, expected: Answer) -> None:
    """Another function under our name must not make records vanish."""
    stubber.add_response("invoke", answered(payload))

    assert invoke(stubber) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("payload", "detail"),
    [
        (b'{"errorType": "StoreError", "errorMessage": "503\\nSlow Down"}', "StoreError: 503 Slow Down"),
        (b'{"errorMessage": "Task timed out after 120.00 seconds"}', "Task timed out after 120.00 seconds"),
        (b"killed", "killed"),
    ],
)
def test_a_function_error_is_a_failure_with_its_message(stubber: Stubber, payload: bytes, detail: str) -> None:
    """Lambda answers 200 with FunctionError; the message is on one line."""
    stubber.add_response("invoke", answered(payload, FunctionError="Unhandled"))

    assert invoke(stubber) == Answer(InvocationOutcome.FAILED, detail)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("TooManyRequestsException", InvocationOutcome.THROTTLED),
        ("EC2ThrottledException", InvocationOutcome.THROTTLED),
        ("RequestTooLargeException", InvocationOutcome.TOO_LARGE),
        ("ServiceException", InvocationOutcome.FAILED),
        ("ResourceNotFoundException", InvocationOutcome.FAILED),
    ],
)
def test_a_refusal_tells_throttling_from_failure(stubber: Stubber, code: str, outcome: InvocationOutcome) -> None:
    """Throttled and too large mean that the function did not run; anything else may have."""
    stubber.add_client_error("invoke", code, "no")

    answer = invoke(stubber)

    assert answer.outcome is outcome
    assert code in answer.detail


def test_the_time_that_is_kept_to_report_is_not_spent_on_another_attempt() -> None:
    """With nothing left but the reserve no chunk is invoked, and all of them are told as failed."""
    processor = FakeProcessor()
    fanned_out = fan_out(3, processor, remaining_ms=lambda: REPORT_RESERVE_MS)
    assert processor.processed == []
    assert len(fanned_out.failed) == fanned_out.chunks > 0
