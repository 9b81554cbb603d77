"""Fan-out: one batch of a shard, processed by several functions at once, and reported as one.

Nothing is parsed here. The batch is cut at record boundaries into chunks of about equal bytes; each goes to the
processor function, synchronously: an asynchronous hand-off would let the shard's checkpoint advance while readings
still sit in a queue. A throttled chunk is processed by the fan-out function itself, so an account with few
concurrent executions is slow and never stuck.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from processors.chunk import INVOKE_PAYLOAD_BYTES_MAX, Chunk, EncodedRecord, balance
from processors.deadline import Deadline
from processors.invoke import Answer, Invoker, Outcome, answer_of

# A full batch (6 MB) becomes six chunks; below that, starting functions costs more than it saves.
CHUNK_BYTES_TARGET = 1_000_000
INVOKES_PARALLEL_MAX = 16
# As many as the AWS SDKs' standard retry mode makes.
ATTEMPTS_MAX = 3


@dataclass(frozen=True, slots=True)
class FailedChunk:
    """A chunk that was not processed, or not from `sequence_number` on, and why."""

    sequence_number: str
    detail: str


@dataclass(frozen=True, slots=True)
class FannedOut:
    """What became of a batch: how many chunks, how many of them processed here, and the failed ones in order."""

    chunks: int
    processed_here: int
    failed: tuple[FailedChunk, ...]

    @property
    def lowest_failed(self) -> str | None:
        """The record from which the batch has to be delivered again; None when it is done."""
        return self.failed[0].sequence_number if self.failed else None


@dataclass(frozen=True, slots=True)
class FanOut:
    """The way a batch goes out.

    `process_here` does in this process what the processor function does with an event, and returns what that answers;
    what it raises fails the chunk. `remaining_ms` says how long the function may still run; it is the only clock.
    """

    invoker: Invoker
    process_here: Callable[[bytes], object]
    remaining_ms: Callable[[], int]
    bytes_target: int = CHUNK_BYTES_TARGET

    def run(self, records: Sequence[EncodedRecord]) -> FannedOut:
        """Process `records`, in order one shard's, and wait for all of them, but not beyond the remaining time."""
        chunks = balance(records, bytes_target=self.bytes_target)
        # One chunk at a time is parsed here, so that throttling does not multiply the memory.
        here = _OneAtATime(self.process_here)
        workers = ThreadPoolExecutor(INVOKES_PARALLEL_MAX, thread_name_prefix="fan-out")
        try:
            futures = [workers.submit(self._process, chunk, here) for chunk in chunks]
            wait(futures, timeout=self._left_ms() / 1_000)
        finally:
            workers.shutdown(wait=False, cancel_futures=True)
        outcomes = [_failure(chunk, future) for chunk, future in zip(chunks, futures, strict=True)]
        return FannedOut(len(chunks), here.count, tuple(failed for failed in outcomes if failed))

    def _process(self, chunk: Chunk, here: "_OneAtATime") -> Answer:
        event = chunk.event()
        answer = Answer(Outcome.TOO_LARGE)
        if len(event) <= INVOKE_PAYLOAD_BYTES_MAX:
            answer = self._invoke(event)
        if answer.outcome in (Outcome.THROTTLED, Outcome.TOO_LARGE):
            return answer_of(here(event))
        return answer

    def _invoke(self, event: bytes) -> Answer:
        """Invoke until it does not fail, as often as the bound and the remaining time allow."""
        answer, took_ms = Answer(Outcome.FAILED, "out of time"), 0
        for _ in range(ATTEMPTS_MAX):
            before_ms = self._left_ms()
            if took_ms >= before_ms:
                break
            answer = self.invoker.invoke(event)
            if answer.outcome is not Outcome.FAILED:
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
    if answer.outcome is not Outcome.DONE:
        return FailedChunk(chunk.first, answer.detail or answer.outcome)
    if answer.failed:
        return FailedChunk(chunk.lowest_of(answer.failed), "reported by the processor")
    return None
