"""Writing records to the stream: full requests at each shard's pace, retry of what failed alone, bounded patience.

PutRecords fails entry by entry and says so in an answer that is otherwise a success. A request without an answer may
have been stored; it is sent again, and what that stores twice is one reading by its identity.
"""

import random
import time
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from producers.pace import SHARD_PACE, Lane, Pace
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

# Requests in a row that store nothing of a shard: about ten seconds at the mean.
ATTEMPTS_MAX = 10
# What waits for shards that do not keep up; `write` takes no more until there is less.
WAITING_BYTES_MAX = 32 * 1024 * 1024
WAITING_RECORDS_MAX = 20_000
# A request that pace has cut short is not sent at once, unless someone waits for it.
_LOOK_AGAIN_SECONDS = 0.02
_NO_ANSWER = "no answer"


class RecordStream(Protocol):
    """Where records go: `windrow.aws.kinesis.KinesisStream`, or a simulated stream."""

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
    because a request went without an answer; misplaced: records stored in another shard than the one they were made
    for, as after a split or a merge; resent: user records sent a second time, because a KCL consumer leaves out the
    misplaced aggregates that held them (they count among `readings` once more); spooled: readings that went to local
    disk because the stream was away; damaged: places in the spool that could not be read.
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
    """Sends records in requests as large as the stream takes, each shard at its pace.

    `write` returns when at most about `waiting_bytes_max` wait, `flush` when nothing does. Not thread-safe.

    clock: seconds, monotonic; sleep: takes seconds; uniform: a number from 0 up to 1, for the backoff's jitter;
    pace: of one shard, None for a stand-in without limits; on_misplaced: told of records stored in another shard than
    theirs.
    """

    def __init__(
        self,
        stream: RecordStream,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        uniform: Callable[[], float] = random.random,
        attempts_max: int = ATTEMPTS_MAX,
        pace: Pace | None = SHARD_PACE,
        waiting_bytes_max: int = WAITING_BYTES_MAX,
        on_misplaced: Callable[[OutgoingRecord, Stored], None] = lambda _record, _stored: None,
    ) -> None:
        """A writer that has sent nothing."""
        self._stream = stream
        self._clock = clock
        self._sleep = sleep
        self._uniform = uniform
        self._attempts_max = attempts_max
        self._pace = pace
        self._waiting_bytes_max = waiting_bytes_max
        self._room_bytes = min(REQUEST_BYTES_MAX, waiting_bytes_max)
        self.on_misplaced = on_misplaced
        """Told of each record that is stored in another shard than the one it was made for."""
        self._lanes: dict[str, Lane] = {}
        self._waiting = 0
        self._waiting_bytes = 0
        self._look_again_seconds = 0.0
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
        """Take records; sends whenever a request is full.

        Raises WindrowError when the stream keeps refusing; all the records are taken nevertheless.
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
        self._lane(record.shard_id).waiting.append(record)
        self._waiting += 1
        self._waiting_bytes += record.size_bytes

    def flush(self) -> None:
        """Send what waits; on return all records ever taken are stored. Raises WindrowError as `write` does."""
        while self.flush_some():
            pass

    def flush_some(self) -> bool:
        """One request of what waits, in time; False when nothing does."""
        if self._waiting:
            self._send(self._plan_in_time())
        return self._waiting > 0

    def give_back(self, *, but_for: Container[str] = ()) -> list[OutgoingRecord]:
        """The records that are not known to be stored, but for those of some shards; the writer forgets them."""
        given_back: list[OutgoingRecord] = []
        for shard_id in [shard_id for shard_id in self._lanes if shard_id not in but_for]:
            given_back += self._lanes.pop(shard_id).waiting
        self._waiting -= len(given_back)
        self._waiting_bytes -= sum(record.size_bytes for record in given_back)
        return given_back

    def _lane(self, shard_id: str) -> Lane:
        lane = self._lanes.get(shard_id)
        if lane is None:
            lane = self._lanes[shard_id] = Lane(self._pace, now_seconds=self._clock())
        return lane

    def _make_room(self) -> None:
        """Send a full request if the shards' paces allow one; wait for them only when too much waits."""
        while self._waiting_bytes > self._waiting_bytes_max or self._waiting > WAITING_RECORDS_MAX:
            self._send(self._plan_in_time())
        if not self._waiting or self._clock() < self._look_again_seconds:
            return
        plan = self._plan()
        if plan.is_full or plan.records == self._waiting:
            self._send(plan)
        else:
            self._look_again_seconds = self._clock() + _LOOK_AGAIN_SECONDS

    def _plan_in_time(self) -> "_Plan":
        """A request, as soon as some shard takes something."""
        while True:
            plan = self._plan()
            if plan.records:
                return plan
            now_seconds = self._clock()
            self._sleep(min(lane.ready_seconds(now_seconds) for lane in self._lanes.values() if lane.waiting))

    def _plan(self) -> "_Plan":
        """What may go now, up to the limits of a request; it begins with another shard each time."""
        plan = _Plan()
        lanes = [lane for lane in self._lanes.values() if lane.waiting]
        first = self._counters.requests % max(1, len(lanes))
        now_seconds = self._clock()
        for lane in lanes[first:] + lanes[:first]:
            plan.fill(lane, now_seconds)
        return plan

    def _send(self, plan: "_Plan") -> None:
        """One request; what it does not store waits again, before all else of its shard."""
        lanes = [(lane, lane.take(count)) for lane, count in plan.parts]
        request = [record for _, records in lanes for record in records]
        try:
            failures = self._attempt(request)
        except BaseException:  # nothing is known to be stored
            for lane, records in lanes:
                lane.give_back(records)
            raise
        self._waiting -= len(request) - len(failures)
        self._waiting_bytes -= sum(one.size_bytes for at, one in enumerate(request) if at not in failures)
        self._count(retried=len(failures))
        first = 0
        exhausted: WindrowError | None = None
        for lane, records in lanes:
            places = range(first, first + len(records))
            first += len(records)
            unsent = [at for at in places if at in failures]
            lane.answered(records, [request[at] for at in unsent])
            if unsent:
                lane.pause(self._clock(), uniform=self._uniform())
            if lane.attempts_in_vain >= self._attempts_max:
                lane.attempts_in_vain = 0  # whoever tries again gets as much patience again
                exhausted = self._gave_up([request[at] for at in unsent], failures[unsent[0]])
        if exhausted is not None:
            raise exhausted

    def _attempt(self, request: Sequence[OutgoingRecord]) -> dict[int, Refused]:
        """Send it; the positions of the records that are not known to be stored, and why."""
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


class _Plan:
    """A request in the making: how many of the first records of each lane go."""

    def __init__(self) -> None:
        self.parts: list[tuple[Lane, int]] = []
        self.records = 0
        self.is_full = False
        self._bytes = 0

    def fill(self, lane: Lane, now_seconds: float) -> None:
        """Add what the lane allows and the limits of a request leave."""
        count = 0
        for record in lane.allowed(now_seconds):
            size_bytes = record.size_bytes
            if self.records == REQUEST_RECORDS_MAX or self._bytes + size_bytes > REQUEST_BYTES_MAX:
                self.is_full = True
                break
            self.records += 1
            self._bytes += size_bytes
            count += 1
        if count:
            self.parts.append((lane, count))
