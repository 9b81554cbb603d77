"""Writing records to the stream: full requests within each shard's rate, retries of failed records only, then an error.

PutRecords can fail for single entries; the answer is a success all the same and says which. A request without an answer
may have been stored; it is sent again, and a reading that this stores twice counts once, by its identity.
"""

import random
import time
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from producers.shard_queue import SHARD_RATE_LIMIT, RateLimit, ShardQueue
from windrow.aws.stream import (
    REQUEST_BYTES_MAX,
    REQUEST_RECORDS_MAX,
    Answers,
    OutgoingRecord,
    Refused,
    Stored,
    Unanswered,
)
from windrow.errors import WindrowError

# Consecutive requests that store nothing of a shard before giving up: about ten seconds on average.
ATTEMPTS_MAX = 10
# Bounds on what waits for shards that do not keep up; beyond them `write` blocks.
WAITING_BYTES_MAX = 32 * 1024 * 1024
WAITING_RECORDS_MAX = 20_000
# A request that the rate limit cut short is not sent at once, unless someone waits for it.
_LOOK_AGAIN_SECONDS = 0.02
_NO_ANSWER = "no answer"


class RecordStream(Protocol):
    """A stream that takes records: `windrow.aws.kinesis.KinesisStream`, or a simulated one."""

    @property
    def name(self) -> str:
        """Return the stream's name, for errors."""
        ...

    def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
        """Send one request and return an answer per record, in order. Raises Unanswered if the outcome is unknown."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterCounters:
    """Counts of what a writer has done.

    records, readings, bytes: acknowledged by the stream, once each. retried: entries sent again. throttled: entries
    refused because the stream was over its rate. ambiguous: entries that may be stored more than once, because a
    request got no answer. misplaced: records stored in another shard than the one they were made for, as after a split
    or a merge. resent: user records sent a second time because a KCL consumer skips the misplaced aggregates that held
    them (`readings` counts them again). spooled: readings kept on local disk only, because the stream was away.
    damaged: places in the spool that could not be read.
    """

    requests: int = 0
    records: int = 0
    readings: int = 0
    bytes: int = 0
    retried: int = 0
    throttled: int = 0
    ambiguous: int = 0
    misplaced: int = 0
    resent: int = 0
    spooled: int = 0
    damaged: int = 0


class Writer:
    """A writer of records to a stream, in requests as large as the stream takes, within the rate limit of each shard.

    `write` returns once at most about `waiting_bytes_max` wait, `flush` once nothing does. Not thread-safe.

    clock: seconds, monotonic; sleep: takes seconds; uniform: gives numbers from 0 to 1, for the jitter of the back-off;
    rate_limit: of one shard, None for a stand-in without limits; on_misplaced: called for each record that is stored in
    another shard than the one it was made for.
    """

    def __init__(
        self,
        stream: RecordStream,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        uniform: Callable[[], float] = random.random,
        attempts_max: int = ATTEMPTS_MAX,
        rate_limit: RateLimit | None = SHARD_RATE_LIMIT,
        waiting_bytes_max: int = WAITING_BYTES_MAX,
        on_misplaced: Callable[[OutgoingRecord, Stored], None] = lambda _record, _stored: None,
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._sleep = sleep
        self._uniform = uniform
        self._attempts_max = attempts_max
        self._rate_limit = rate_limit
        self._waiting_bytes_max = waiting_bytes_max
        self._room_bytes = min(REQUEST_BYTES_MAX, waiting_bytes_max)
        self.on_misplaced = on_misplaced
        self._queues: dict[str, ShardQueue] = {}
        self._waiting = 0
        self._waiting_bytes = 0
        self._look_again_seconds = 0.0
        self._counters = WriterCounters()
        self._last: dict[str, int] = {}

    @property
    def counters(self) -> WriterCounters:
        """Return the counters as of now."""
        return self._counters

    @property
    def last_sequence_numbers(self) -> dict[str, int]:
        """Return, per shard, the highest sequence number it gave to a record of ours."""
        return dict(self._last)

    def write(self, records: Iterable[OutgoingRecord]) -> None:
        """Queue records, and send whenever a request is full.

        Raises WindrowError when the stream keeps refusing; all the records are queued even then.
        """
        coming = iter(records)
        for record in coming:
            try:
                if self._waiting >= REQUEST_RECORDS_MAX or self._waiting_bytes + record.size_bytes > self._room_bytes:
                    self._make_room()
            except WindrowError:
                for untaken in (record, *coming):
                    self._append(untaken)
                raise
            self._append(record)

    def _append(self, record: OutgoingRecord) -> None:
        self._queue(record.shard_id).waiting.append(record)
        self._waiting += 1
        self._waiting_bytes += record.size_bytes

    def flush(self) -> None:
        """Send until every record ever taken is stored. Raises WindrowError as `write` does."""
        while self.flush_some():
            pass

    def flush_some(self) -> bool:
        """Send one request as soon as the rate limits allow; return whether anything still waits."""
        if self._waiting:
            self._send(self._draft_in_time())
        return self._waiting > 0

    def give_back(self, *, except_shards: Container[str] = ()) -> list[OutgoingRecord]:
        """Remove and return the records not known to be stored, except those for some shards."""
        given_back: list[OutgoingRecord] = []
        for shard_id in [shard_id for shard_id in self._queues if shard_id not in except_shards]:
            given_back += self._queues.pop(shard_id).waiting
        self._waiting -= len(given_back)
        self._waiting_bytes -= sum(record.size_bytes for record in given_back)
        return given_back

    def _queue(self, shard_id: str) -> ShardQueue:
        queue = self._queues.get(shard_id)
        if queue is None:
            queue = self._queues[shard_id] = ShardQueue(self._rate_limit, now_seconds=self._clock())
        return queue

    def _make_room(self) -> None:
        """Send a full request if the rate limits allow one; wait for them only when too much waits."""
        while self._waiting_bytes > self._waiting_bytes_max or self._waiting > WAITING_RECORDS_MAX:
            self._send(self._draft_in_time())
        if not self._waiting or self._clock() < self._look_again_seconds:
            return
        draft = self._draft()
        if draft.is_full or draft.records == self._waiting:
            self._send(draft)
        else:
            self._look_again_seconds = self._clock() + _LOOK_AGAIN_SECONDS

    def _draft_in_time(self) -> "_RequestDraft":
        """Wait until some shard may take a record, and draft a request."""
        while True:
            draft = self._draft()
            if draft.records:
                return draft
            now_seconds = self._clock()
            self._sleep(min(queue.ready_seconds(now_seconds) for queue in self._queues.values() if queue.waiting))

    def _draft(self) -> "_RequestDraft":
        """Draft a request of what may go now, beginning with another shard each time."""
        draft = _RequestDraft()
        queues = [queue for queue in self._queues.values() if queue.waiting]
        first = self._counters.requests % max(1, len(queues))
        now_seconds = self._clock()
        for queue in queues[first:] + queues[:first]:
            draft.fill(queue, now_seconds)
        return draft

    def _send(self, draft: "_RequestDraft") -> None:
        """Send a request; records that it does not store go back to the front of their shard's queue."""
        queues = [(queue, queue.take(count)) for queue, count in draft.parts]
        request = [record for _, records in queues for record in records]
        try:
            failures = self._attempt(request)
        except BaseException:  # whatever happened, no record is known to be stored
            for queue, records in queues:
                queue.give_back(records)
            raise
        self._waiting -= len(request) - len(failures)
        self._waiting_bytes -= sum(one.size_bytes for at, one in enumerate(request) if at not in failures)
        self._count(retried=len(failures))
        first = 0
        exhausted: WindrowError | None = None
        for queue, records in queues:
            places = range(first, first + len(records))
            first += len(records)
            unsent = [at for at in places if at in failures]
            queue.answered(records, [request[at] for at in unsent])
            if unsent:
                queue.pause(self._clock(), uniform=self._uniform())
            if queue.attempts_in_vain >= self._attempts_max:
                queue.attempts_in_vain = 0  # the next try gets the full number of attempts again
                exhausted = self._gave_up([request[at] for at in unsent], failures[unsent[0]])
        if exhausted is not None:
            raise exhausted

    def _attempt(self, request: Sequence[OutgoingRecord]) -> dict[int, Refused]:
        """Send a request; return the positions of the records not known to be stored, and why."""
        self._count(requests=1)
        try:
            answers = self._stream.put_records(request)
        except Unanswered as error:
            self._count(ambiguous=len(request))
            return dict.fromkeys(range(len(request)), Refused(_NO_ANSWER, str(error)))
        if answers.repeats:
            self._count(ambiguous=len(request))
        failures: dict[int, Refused] = {}
        for at, (record, answer) in enumerate(zip(request, answers.entries, strict=True)):
            if isinstance(answer, Stored):
                self._stored(record, answer)
            else:
                failures[at] = answer
        self._count(throttled=sum(failure.is_throttled for failure in failures.values()))
        return failures

    def _stored(self, record: OutgoingRecord, answer: Stored) -> None:
        self._count(records=1, readings=record.readings, bytes=record.size_bytes)
        sequence_number = int(answer.sequence_number)
        self._last[answer.shard_id] = max(sequence_number, self._last.get(answer.shard_id, sequence_number))
        if record.shard_id not in ("", answer.shard_id):
            self._count(misplaced=1)
            self.on_misplaced(record, answer)

    def _count(self, **growth: int) -> None:
        totals = {name: getattr(self._counters, name) + count for name, count in growth.items()}
        self._counters = replace(self._counters, **totals)

    def _gave_up(self, unsent: Sequence[OutgoingRecord], failure: Refused) -> WindrowError:
        message = (
            f"stream {self._stream.name!r}, shard {unsent[0].shard_id or 'unknown'}: {len(unsent)} records failed "
            f"{self._attempts_max} times in a row: {failure.code}: {failure.message}"
        )
        if failure.is_throttled:
            return WindrowError(message, hint="a shard takes 1 MB/s and 1,000 records/s: add shards, or wait")
        return WindrowError(message, hint="run it again later: what was stored already counts once")


class _RequestDraft:
    """A request being filled: how many of the first records of each queue go."""

    def __init__(self) -> None:
        self.parts: list[tuple[ShardQueue, int]] = []
        self.records = 0
        self.is_full = False
        self._bytes = 0

    def fill(self, queue: ShardQueue, now_seconds: float) -> None:
        """Add the records that both the queue and the limits of a request allow."""
        count = 0
        for record in queue.allowed(now_seconds):
            size_bytes = record.size_bytes
            if self.records == REQUEST_RECORDS_MAX or self._bytes + size_bytes > REQUEST_BYTES_MAX:
                self.is_full = True
                break
            self.records += 1
            self._bytes += size_bytes
            count += 1
        if count:
            self.parts.append((queue, count))
