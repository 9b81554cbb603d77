"""Fan-out: one batch of a shard, processed by several functions at once, and reported as one.

No payload is parsed here. The batch is cut at record boundaries into chunks of about equal bytes. Each goes to the
processor function, synchronously: with an asynchronous hand-off the shard's checkpoint would advance while readings
still wait in a queue. The fan-out function processes a throttled chunk itself, so an account with few concurrent
executions is slow but never stuck.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from processors.chunk import INVOKE_PAYLOAD_BYTES_MAX, Chunk, EncodedRecord, balance
from processors.invoke import Answer, InvocationOutcome, Invoker, answer_of
from processors.puts import Deadline

CHUNK_BYTES_TARGET = 1_000_000
"""A full batch (6 MB) becomes six chunks; with smaller ones, starting functions costs more than it saves."""
INVOKES_PARALLEL_MAX = 16
ATTEMPTS_MAX = 3
"""As many as the AWS SDKs' standard retry mode makes."""


@dataclass(frozen=True, slots=True)
class FailedChunk:
    """A chunk that was not processed, or not from `sequence_number` on, and why."""

    sequence_number: str
    detail: str


@dataclass(frozen=True, slots=True)
class FanOutResult:
    """What became of a batch: the number of chunks, how many were processed in this function, and the failed ones."""

    chunks: int
    processed_here: int
    failed: tuple[FailedChunk, ...]

    @property
    def lowest_failed(self) -> str | None:
        """The record from which the batch must be delivered again; None when it is done."""
        return self.failed[0].sequence_number if self.failed else None


@dataclass(frozen=True, slots=True)
class FanOut:
    """How a batch is handed out.

    `process_here` does in this process what the processor function does with an event, and returns its answer; an
    exception fails the chunk. `remaining_ms` says how long the function may still run; it is the only clock.
    """

    invoker: Invoker
    process_here: Callable[[bytes], object]
    remaining_ms: Callable[[], int]
    bytes_target: int = CHUNK_BYTES_TARGET

    def run(self, records: Sequence[EncodedRecord]) -> FanOutResult:
        """Process `records` of one shard, in order; wait for all of them, but no longer than the function may run."""
        chunks = balance(records, bytes_target=self.bytes_target)
        # One chunk at a time is parsed here, or throttling would multiply the memory.
        here = _OneAtATime(self.process_here)
        workers = ThreadPoolExecutor(INVOKES_PARALLEL_MAX, thread_name_prefix="fan-out")
        try:
            futures = [workers.submit(self._process, chunk, here) for chunk in chunks]
            wait(futures, timeout=self._left_ms() / 1_000)
        finally:
            workers.shutdown(wait=False, cancel_futures=True)
        outcomes = [_failure(chunk, future) for chunk, future in zip(chunks, futures, strict=True)]
        return FanOutResult(len(chunks), here.count, tuple(failed for failed in outcomes if failed))

    def _process(self, chunk: Chunk, here: "_OneAtATime") -> Answer:
        event = chunk.event()
        answer = Answer(InvocationOutcome.TOO_LARGE)
        if len(event) <= INVOKE_PAYLOAD_BYTES_MAX:
            answer = self._invoke(event)
        if answer.outcome in (InvocationOutcome.THROTTLED, InvocationOutcome.TOO_LARGE):
            return answer_of(here(event))
        return answer

    def _invoke(self, event: bytes) -> Answer:
        """Invoke, and again after a failure, as often as ATTEMPTS_MAX and the remaining time allow."""
        answer, took_ms = Answer(InvocationOutcome.FAILED, "out of time"), 0
        for _ in range(ATTEMPTS_MAX):
            before_ms = self._left_ms()
            if took_ms >= before_ms:
                break
            answer = self.invoker.invoke(event)
            if answer.outcome is not InvocationOutcome.FAILED:
                break
            took_ms = before_ms - self._left_ms()
        return answer

    def _left_ms(self) -> int:
        return Deadline(self.remaining_ms).left_ms()


class _OneAtATime:
    """A function behind a lock, and how often it was called."""

    def __init__(self, process: Callable[[bytes], object]) -> None:
        self._process = process
        self._lock = threading.Lock()
        self.count = 0

    def __call__(self, event: bytes) -> object:
        with self._lock:
            self.count += 1
            return self._process(event)


def _failure(chunk: Chunk, future: Future[Answer]) -> FailedChunk | None:
    if future.cancelled() or not future.done():
        return FailedChunk(chunk.first, "out of time")
    error = future.exception()
    if error is not None:
        return FailedChunk(chunk.first, f"{type(error).__name__}: {error}")
    answer = future.result()
    if answer.outcome is not InvocationOutcome.DONE:
        return FailedChunk(chunk.first, answer.detail or answer.outcome)
    if answer.failed:
        return FailedChunk(chunk.lowest_of(answer.failed), "reported by the processor")
    return None
