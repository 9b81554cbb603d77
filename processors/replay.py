"""Replay: the stream's records are handed to the consumer once more, as the mapping would send them.

Nothing goes through the stream again: the function is invoked with the original records and arrival times. So it judges
as it did the first time, and finds that what it wrote then is there.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby

from processors.chunk import Chunk, EncodedRecord, fill
from processors.event import Record, encode_record
from processors.invoke import Answer, InvocationOutcome, Invoker
from windrow.aws.stream import StreamRecord

INVOKES_PARALLEL = 4
"""Chunks in memory at once, and executions of the function beside those for the mapping."""
ATTEMPTS_MAX = 6
"""A throttled chunk waits 1, 2, 4, 8 and 16 s, while the function is busy with the stream."""
_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedInvocation:
    """Records of a shard, `first` to `last` inclusive, that may not have been processed, and why."""

    shard: str
    first: str
    last: str
    records: int
    detail: str


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What has been handed to the consumer: during a delivery its progress, at its end the result."""

    records: int = 0
    payload_bytes: int = 0
    invocations: int = 0
    failed: tuple[FailedInvocation, ...] = ()


class DryRunInvoker:
    """The invoker of a dry run, which processes nothing and always succeeds."""

    def invoke(self, event: bytes) -> Answer:  # noqa: ARG002 - the protocol's argument
        """Do nothing."""
        return Answer(InvocationOutcome.DONE)


def replay(
    records: Iterable[StreamRecord],
    *,
    stream_arn: str,
    invoker: Invoker,
    on_progress: Callable[[ReplayResult], object] = lambda _: None,
    sleep: Callable[[float], object] = time.sleep,
) -> ReplayResult:
    """Hand `records`, one shard after another, to `invoker`; see `deliver`."""
    encoded = ((record.shard_id, encode_stream_record(record, stream_arn=stream_arn)) for record in records)
    return deliver(encoded, invoker=invoker, on_progress=on_progress, sleep=sleep)


def deliver(
    encoded: Iterable[tuple[str, EncodedRecord]],
    *,
    invoker: Invoker,
    on_progress: Callable[[ReplayResult], object] = lambda _: None,
    sleep: Callable[[float], object] = time.sleep,
) -> ReplayResult:
    """Hand records, each with its shard and one shard after another, to `invoker`, in events as large as it takes.

    Chunks overlap in time; the order does not matter to a set. A failed chunk does not stop the others. `on_progress`
    is called after every chunk, and `sleep`, with seconds, while the function is throttled.
    """
    result = ReplayResult()
    in_flight: deque[tuple[str, Chunk, Future[Answer]]] = deque()
    with ThreadPoolExecutor(INVOKES_PARALLEL, thread_name_prefix="replay") as workers:
        for shard, chunk in _chunks(encoded):
            if len(in_flight) == INVOKES_PARALLEL:
                result = _add(result, *in_flight.popleft())
                on_progress(result)
            in_flight.append((shard, chunk, workers.submit(_invoke, invoker, chunk, sleep)))
        for shard, chunk, future in in_flight:
            result = _add(result, shard, chunk, future)
            on_progress(result)
    return result


def _chunks(encoded: Iterable[tuple[str, EncodedRecord]]) -> Iterator[tuple[str, Chunk]]:
    for shard, of_shard in groupby(encoded, key=lambda one: one[0]):
        yield from ((shard, chunk) for chunk in fill(record for _, record in of_shard))


def encode_stream_record(record: StreamRecord, *, stream_arn: str) -> EncodedRecord:
    """Encode a record as the mapping would put it into an event."""
    as_sent = Record(
        stream_arn=stream_arn,
        shard=record.shard_id,
        sequence_number=record.sequence_number,
        arrival_ms=record.arrival_ms,
        partition_key=record.partition_key,
        payload=record.body,
    )
    return EncodedRecord(record.sequence_number, encode_record(as_sent))


def _invoke(invoker: Invoker, chunk: Chunk, sleep: Callable[[float], object]) -> Answer:
    event = chunk.event()
    answer = invoker.invoke(event)
    for attempt in range(1, ATTEMPTS_MAX):
        if answer.outcome is not InvocationOutcome.THROTTLED:
            break
        sleep(_PAUSE_SECONDS * 2 ** (attempt - 1))
        answer = invoker.invoke(event)
    return answer


def _add(result: ReplayResult, shard: str, chunk: Chunk, future: Future[Answer]) -> ReplayResult:
    answer = future.result()
    return replace(
        result,
        records=result.records + len(chunk.records),
        payload_bytes=result.payload_bytes + chunk.size_bytes,
        invocations=result.invocations + 1,
        failed=(*result.failed, *_failures(shard, chunk, answer)),
    )


def _failures(shard: str, chunk: Chunk, answer: Answer) -> Iterator[FailedInvocation]:
    """Yield the failure, if any; a function that reports failed records has processed those before the first."""
    if answer.outcome is InvocationOutcome.DONE and not answer.failed:
        return
    first, detail = chunk.first, answer.detail or answer.outcome.value
    if answer.outcome is InvocationOutcome.DONE:
        first, detail = chunk.lowest_of(answer.failed), "reported by the function"
    numbers = [record.sequence_number for record in chunk.records]
    count = len(numbers) - numbers.index(first)
    yield FailedInvocation(shard=shard, first=first, last=chunk.last, records=count, detail=detail)
