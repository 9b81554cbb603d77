"""Replay: the stream's records once more to the consumer, as the mapping would send them.

Nothing goes through the stream again: the function is invoked with the original records and arrival times, so it
judges as it did the first time, and what it wrote then it finds there.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby

from processors.chunk import Chunk, EncodedRecord, fill
from processors.event import Record, encode_record
from processors.invoke import Answer, Invoker, Outcome
from windrow.aws.stream import StreamRecord

# Chunks in flight: at most this many payloads in memory, and executions of the function beside the mapping's own.
INVOKES_PARALLEL = 4
# A throttled chunk waits 1, 2, 4, 8, 16 s; a function that is busy with the stream itself gets that much time.
ATTEMPTS_MAX = 6
_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedInvocation:
    """Records of a shard, first to last inclusive, that may not have been processed, and why."""

    shard: str
    first: str
    last: str
    records: int
    detail: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """How far a replay came, or what it came to."""

    records: int = 0
    payload_bytes: int = 0
    invocations: int = 0
    failed: tuple[FailedInvocation, ...] = ()


class Rehearsal:
    """The invoker of a dry run: it processes nothing and always succeeds."""

    def invoke(self, event: bytes) -> Answer:  # noqa: ARG002 - the protocol's argument
        """Nothing."""
        return Answer(Outcome.DONE)


def replay(
    records: Iterable[StreamRecord],
    *,
    stream_arn: str,
    invoker: Invoker,
    on_progress: Callable[[Replayed], object] = lambda _: None,
    sleep: Callable[[float], object] = time.sleep,
) -> Replayed:
    """Hand `records`, in their order shard by shard, to `invoker`; see `deliver`."""
    encoded = ((record.shard_id, encode_stream_record(record, stream_arn=stream_arn)) for record in records)
    return deliver(encoded, invoker=invoker, on_progress=on_progress, sleep=sleep)


def deliver(
    encoded: Iterable[tuple[str, EncodedRecord]],
    *,
    invoker: Invoker,
    on_progress: Callable[[Replayed], object] = lambda _: None,
    sleep: Callable[[float], object] = time.sleep,
) -> Replayed:
    """Hand records, each with its shard and one shard after another, to `invoker` in events as large as it takes.

    Chunks overlap in time; the order does not matter to a set. A failed chunk stops nothing. `on_progress` is
    told after every chunk; `sleep` takes seconds and is called while the function is throttled.
    """
    replayed = Replayed()
    in_flight: deque[tuple[str, Chunk, Future[Answer]]] = deque()
    with ThreadPoolExecutor(INVOKES_PARALLEL, thread_name_prefix="replay") as workers:
        for shard, chunk in _chunks(encoded):
            if len(in_flight) == INVOKES_PARALLEL:
                replayed = _settle(replayed, *in_flight.popleft())
                on_progress(replayed)
            in_flight.append((shard, chunk, workers.submit(_invoke, invoker, chunk, sleep)))
        for shard, chunk, future in in_flight:
            replayed = _settle(replayed, shard, chunk, future)
            on_progress(replayed)
    return replayed


def _chunks(encoded: Iterable[tuple[str, EncodedRecord]]) -> Iterator[tuple[str, Chunk]]:
    for shard, of_shard in groupby(encoded, key=lambda one: one[0]):
        yield from ((shard, chunk) for chunk in fill(record for _, record in of_shard))


def encode_stream_record(record: StreamRecord, *, stream_arn: str) -> EncodedRecord:
    """The record as the mapping would put it into an event."""
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
        if answer.outcome is not Outcome.THROTTLED:
            break
        sleep(_PAUSE_SECONDS * 2 ** (attempt - 1))
        answer = invoker.invoke(event)
    return answer


def _settle(replayed: Replayed, shard: str, chunk: Chunk, future: Future[Answer]) -> Replayed:
    answer = future.result()
    return replace(
        replayed,
        records=replayed.records + len(chunk.records),
        payload_bytes=replayed.payload_bytes + chunk.size_bytes,
        invocations=replayed.invocations + 1,
        failed=(*replayed.failed, *_failures(shard, chunk, answer)),
    )


def _failures(shard: str, chunk: Chunk, answer: Answer) -> Iterator[FailedInvocation]:
    """None or one; a function that reports failures has processed what comes before the lowest."""
    if answer.outcome is Outcome.DONE and not answer.failed:
        return
    first, detail = chunk.first, answer.detail or answer.outcome.value
    if answer.outcome is Outcome.DONE:
        first, detail = chunk.lowest_of(answer.failed), "reported by the function"
    numbers = [record.sequence_number for record in chunk.records]
    count = len(numbers) - numbers.index(first)
    yield FailedInvocation(shard=shard, first=first, last=chunk.last, records=count, detail=detail)
