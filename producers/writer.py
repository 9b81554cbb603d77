"""Writing records to the stream: full requests, retry of only the failed entries, bounded patience.

PutRecords fails entry by entry and says so in an answer that is otherwise a success. A request without an answer may
have been stored; it is sent again, and what that stores twice is one reading by its identity.
"""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from windrow.errors import WindrowError
from windrow.kinesis import (
    REQUEST_BYTES_MAX,
    REQUEST_RECORDS_MAX,
    Answers,
    OutgoingRecord,
    Refused,
    Stored,
    Unanswered,
)

# Attempts in a row of which none stored anything: about ten seconds at the mean.
ATTEMPTS_MAX = 10
BACKOFF_BASE_SECONDS = 0.1
BACKOFF_MAX_SECONDS = 5.0
# Between requests while the stream throttles. One full request needs 5 s of one shard's 1 MB/s.
PACE_MIN_SECONDS = 0.05
PACE_MAX_SECONDS = 5.0


class RecordStream(Protocol):
    """Where records go: `windrow.kinesis.KinesisStream`, or a simulated stream."""

    @property
    def name(self) -> str:
        """The stream's name, for errors."""
        ...

    def put_records(self, records: Sequence[OutgoingRecord]) -> Answers:
        """One request; an answer per record, in order. Raises Unanswered when it may be stored or not."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterCounters:
    """What a writer has done.

    records, readings, bytes: what the stream acknowledged, once each. retried: entries sent again; throttled:
    entries refused because the stream was over its rate; ambiguous: entries that may be stored more than once,
    because a request went without an answer.
    """

    requests: int = 0
    records: int = 0
    readings: int = 0
    bytes: int = 0
    retried: int = 0
    throttled: int = 0
    ambiguous: int = 0


class Writer:
    """Sends records in requests as large as the stream takes. `flush` sends the rest; nothing is sent after it fails.

    clock: seconds, monotonic; sleep: takes seconds; uniform: a number from 0 up to 1, for the backoff's jitter.
    Not thread-safe.
    """

    def __init__(
        self,
        stream: RecordStream,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        uniform: Callable[[], float] = random.random,
        attempts_max: int = ATTEMPTS_MAX,
    ) -> None:
        """A writer that has sent nothing."""
        self._stream = stream
        self._pace = _Pace(clock, sleep)
        self._sleep = sleep
        self._uniform = uniform
        self._attempts_max = attempts_max
        self._waiting: list[OutgoingRecord] = []
        self._waiting_bytes = 0
        self._counters = WriterCounters()
        self._last: dict[str, int] = {}

    @property
    def counters(self) -> WriterCounters:
        """The counters as they are now."""
        return self._counters

    @property
    def last_sequence_numbers(self) -> dict[str, int]:
        """For each shard the highest sequence number that it gave to a record of ours."""
        return dict(self._last)

    def write(self, records: Iterable[OutgoingRecord]) -> None:
        """Take records; sends whenever a request is full. Raises WindrowError when the stream keeps refusing."""
        for record in records:
            size_bytes = record.size_bytes
            if len(self._waiting) == REQUEST_RECORDS_MAX or self._waiting_bytes + size_bytes > REQUEST_BYTES_MAX:
                self.flush()
            self._waiting.append(record)
            self._waiting_bytes += size_bytes

    def flush(self) -> None:
        """Send what waits; on return all records ever taken are stored. Raises WindrowError as `write` does."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if waiting:
            self._send(waiting)

    def _send(self, records: Sequence[OutgoingRecord]) -> None:
        """Send one request until every record is stored, each time only those that are not."""
        attempts_in_vain = 0
        while True:
            attempt = self._attempt(records)
            if not attempt.unsent:
                return
            attempts_in_vain = attempts_in_vain + 1 if len(attempt.unsent) == len(records) else 0
            if attempts_in_vain == self._attempts_max:
                raise self._gave_up(attempt)
            records = attempt.unsent
            self._count(retried=len(records))
            ceiling_seconds = min(BACKOFF_MAX_SECONDS, BACKOFF_BASE_SECONDS * 2**attempts_in_vain)
            self._sleep(self._uniform() * ceiling_seconds)

    def _attempt(self, records: Sequence[OutgoingRecord]) -> "_Attempt":
        self._pace.wait()
        self._count(requests=1)
        try:
            answers = self._stream.put_records(records)
        except Unanswered as error:
            self._count(ambiguous=len(records))
            return _Attempt(list(records), f"no answer: {error}")
        if answers.repeats:
            self._count(ambiguous=len(records))
        attempt = _Attempt([], "")
        for record, answer in zip(records, answers.entries, strict=True):
            if isinstance(answer, Stored):
                self._stored(record, answer)
            else:
                attempt.refuse(record, answer)
        self._count(throttled=attempt.throttled)
        self._pace.learn(is_throttled=attempt.throttled > 0)
        return attempt

    def _stored(self, record: OutgoingRecord, answer: Stored) -> None:
        self._count(records=1, readings=record.readings, bytes=record.size_bytes)
        sequence_number = int(answer.sequence_number)
        self._last[answer.shard_id] = max(sequence_number, self._last.get(answer.shard_id, sequence_number))

    def _count(self, **growth: int) -> None:
        totals = {name: getattr(self._counters, name) + count for name, count in growth.items()}
        self._counters = replace(self._counters, **totals)

    def _gave_up(self, attempt: "_Attempt") -> WindrowError:
        shards = ", ".join(sorted({record.shard_id or "unknown" for record in attempt.unsent}))
        message = (
            f"stream {self._stream.name!r}, shard {shards}: {len(attempt.unsent)} records failed "
            f"{self._attempts_max} times in a row: {attempt.reason}"
        )
        if attempt.throttled:
            return WindrowError(message, hint="a shard takes 1 MB/s and 1,000 records/s: add shards, or wait")
        return WindrowError(message, hint="run it again later: what was stored already counts once")


class _Attempt:
    """What came of one request: the records that are not known to be stored, and the first reason for it."""

    def __init__(self, unsent: list[OutgoingRecord], reason: str) -> None:
        self.unsent = unsent
        self.reason = reason
        self.throttled = 0

    def refuse(self, record: OutgoingRecord, answer: Refused) -> None:
        self.unsent.append(record)
        self.reason = self.reason or f"{answer.code}: {answer.message}"
        self.throttled += answer.is_throttled


class _Pace:
    """The least time between requests: none, doubled with every throttled request, halved with every other."""

    def __init__(self, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._clock = clock
        self._sleep = sleep
        self._gap_seconds = 0.0
        self._last_seconds = clock()

    def wait(self) -> None:
        """Sleep until the next request may go."""
        if self._gap_seconds:
            remaining_seconds = self._last_seconds + self._gap_seconds - self._clock()
            if remaining_seconds > 0:
                self._sleep(remaining_seconds)
        self._last_seconds = self._clock()

    def learn(self, *, is_throttled: bool) -> None:
        """Take the answer to the latest request into account."""
        if is_throttled:
            self._gap_seconds = min(PACE_MAX_SECONDS, max(PACE_MIN_SECONDS, self._gap_seconds * 2))
        else:
            self._gap_seconds = self._gap_seconds / 2 if self._gap_seconds > PACE_MIN_SECONDS else 0.0
