"""Lambda's event source mapping for a Kinesis stream: what no emulator models, after the Lambda developer guide.

    shard ── poller ── batch ── function ── success: the checkpoint moves
                         │          └────── error: bisect, or retry; at last the on-failure destination, and on
                         └── lanes (parallelization factor): records by partition key, in order within a lane

- "Batching behavior": a batch is full, or 6 MB long, or its window is over;
- "Process records in order": a shard's next batch waits for the one before; parents are consumed before their children;
- at least once: a poller may be replaced at any time; it goes on at the last checkpoint with batches of its own cut,
  while an invocation of the old one may still run;
- "Error handling": on an error BisectBatchOnFunctionError splits the batch in two; "splitting a batch does not consume
  the retry quota"; after MaximumRetryAttempts, or when its records are older than MaximumRecordAgeInSeconds, a batch is
  discarded, and the shard goes on. Throttling and service errors before the invocation do not count as attempts;
- "Configuring partial batch response": an empty or missing list is success; the lowest sequence number is the
  checkpoint, and the records from it on are retried; an identifier that is empty, null or none of the batch fails it
  whole;
- what a shard forgets before the poller comes to it is lost to the mapping, which goes on behind it (GetRecords gives
  no record older than the retention period); what a poller holds it goes on retrying;
- "Retain discarded batch records": an S3 destination gets the whole invocation record, under
  aws/lambda/<mapping>/<shard>/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-<uuid>; what the destination refuses, the mapping drops.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tests.simulation.faults import Chance
from tests.simulation.process import Process
from tests.simulation.simulated_kinesis import HeldRecord, HeldShard, StreamState
from tests.simulation.simulated_lambda import Function, Log, Returned
from tests.simulation.simulated_s3 import Put, S3State
from tests.simulation.virtual_time import Signal, Task, VirtualTime
from windrow.timestamps import format_rfc3339

ON_FAILURE = "on-failure"
RETRY_PAUSE_MS = 1_000
RETRY_PAUSE_MS_MAX = 60_000
PAYLOAD_BYTES_MAX = 6_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The mapping's settings; the defaults are those of the template."""

    batch_records_max: int = 10_000
    window_ms: int = 20_000
    parallelization_factor: int = 1
    bisects: bool = True
    reports_items: bool = True
    retries_max: int = -1
    """Attempts beside the first; -1 sets no limit."""
    age_ms_max: int = 82_800_000
    keeps_lineage: bool = True
    """False: children are read beside their parents, as after a restart from the stream's beginning elsewhere."""


class Mapping:
    """One mapping of the stream to a function."""

    def __init__(
        self,
        name: str,
        options: Options,
        *,
        stream: StreamState,
        function: Function,
        s3: S3State,
        time: VirtualTime,
        chance: Chance,
        log: Log,
    ) -> None:
        """Reads nothing before `start`."""
        self.name = name
        self.options = options
        self.denied = 0
        """Batches that the destination refused."""
        self.discarded = 0
        self.in_flight = 0
        self.done: set[tuple[str, int]] = set()
        """The places of the records that a function has processed, or that are put aside."""
        self.lost: set[tuple[str, int]] = set()
        """The places of those that the stream had forgotten when the poller came to them."""
        self._stream = stream
        self._function = function
        self._s3 = s3
        self._time = time
        self._chance = chance
        self._log = log
        self._checkpoints: dict[tuple[str, int], int] = {}
        self._history: dict[tuple[str, int], list[int]] = {}
        self._pollers: list[Task] = []
        self._advanced = Signal()
        self._generation = 0

    def start(self) -> None:
        """Read the stream from the last checkpoints on."""
        self._generation += 1
        self._pollers = [self._time.spawn(f"{self.name} supervisor", self._supervise, Process(self._time, self.name))]

    def stop(self) -> None:
        """Stop polling; invocations that run go on."""
        self._generation += 1
        for poller in self._pollers:
            poller.kill()
        self._pollers = []

    def restart(self, options: Options, *, checkpoints_back: int = 0, from_horizon: bool = False) -> None:
        """Another poller takes over, from checkpoints that may be older, with batches cut otherwise."""
        self.stop()
        lanes_change = options.parallelization_factor != self.options.parallelization_factor
        self.options = options
        for lane, history in self._history.items():
            kept = history[: max(0, len(history) - checkpoints_back)]
            self._checkpoints[lane] = kept[-1] if kept else 0
        if from_horizon or lanes_change:
            self._checkpoints.clear()
            self._history.clear()
        self.start()

    @property
    def is_drained(self) -> bool:
        """Whether every record has been processed or given up."""
        return self.in_flight == 0 and all(self._is_at_end(shard) for shard in self._stream.shards.values())

    def _is_at_end(self, shard: HeldShard) -> bool:
        lanes = range(self.options.parallelization_factor)
        return all(self._checkpoint(shard, lane) == len(self._lane_records(shard, lane)) for lane in lanes)

    def _checkpoint(self, shard: HeldShard, lane: int) -> int:
        return self._checkpoints.get((shard.shard_id, lane), 0)

    def _supervise(self) -> None:
        """A poller for each shard whose parents are done with, as the shards appear."""
        begun: set[str] = set()
        while True:
            for shard in list(self._stream.shards.values()):
                if shard.shard_id not in begun and self._may_begin(shard):
                    begun.add(shard.shard_id)
                    for lane in range(self.options.parallelization_factor):
                        self._pollers.append(self._begin(shard, lane))
            self._stream.arrived.wait(5_000 if len(begun) < len(self._stream.shards) else None)

    def _begin(self, shard: HeldShard, lane: int) -> Task:
        poller = Process(self._time, f"{self.name} {shard.shard_id}")
        return self._time.spawn(poller.name, lambda: self._poll(shard, lane, self._generation), poller)

    def _may_begin(self, shard: HeldShard) -> bool:
        return not self.options.keeps_lineage or all(
            self._is_at_end(self._stream.shards[parent]) for parent in shard.parents
        )

    def _lane_records(self, shard: HeldShard, lane: int) -> list[HeldRecord]:
        factor = self.options.parallelization_factor
        if factor == 1:
            return shard.records
        return [one for one in shard.records if _lane_of(one.partition_key, factor) == lane]

    def _poll(self, shard: HeldShard, lane: int, generation: int) -> None:
        while shard.is_open or self._checkpoint(shard, lane) < len(self._lane_records(shard, lane)):
            batch = self._gather(shard, lane)
            if batch:
                end = self._checkpoint(shard, lane) + len(batch)
                self._deliver(batch, generation)
                self._move(shard, lane, end, generation)
            else:
                self._stream.arrived.wait()

    def _gather(self, shard: HeldShard, lane: int) -> list[HeldRecord]:
        """The next batch: whatever came within the window that the first record opened, as far as it fits."""
        self._skip_forgotten(shard, lane)
        first = self._checkpoint(shard, lane)
        if len(self._lane_records(shard, lane)) == first:
            return []
        until_ms = self._time.now_ms + self.options.window_ms
        while self._time.now_ms < until_ms and len(self._fitting(shard, lane, first)) < self.options.batch_records_max:
            self._stream.arrived.wait(until_ms - self._time.now_ms)
        return self._fitting(shard, lane, first)

    def _skip_forgotten(self, shard: HeldShard, lane: int) -> None:
        """Go on behind what the shard has forgotten."""
        place = shard.first_kept(self._time.now_ms - self._stream.retention_ms)
        if not place:
            return
        first = self._checkpoint(shard, lane)
        last_forgotten = shard.records[place - 1].sequence_number
        waiting = self._lane_records(shard, lane)[first:]
        forgotten = [record.place for record in waiting if record.sequence_number <= last_forgotten]
        if forgotten:
            self._log("mapping", "!", f"{self.name}: {shard.shard_id} has forgotten {len(forgotten)} records")
            self._checkpoints[shard.shard_id, lane] = first + len(forgotten)
            self.lost.update(forgotten)

    def _fitting(self, shard: HeldShard, lane: int, first: int) -> list[HeldRecord]:
        fitting: list[HeldRecord] = []
        size_bytes = 0
        for record in self._lane_records(shard, lane)[first : first + self.options.batch_records_max]:
            size_bytes += len(record.body) * 4 // 3 + 600
            if fitting and size_bytes > PAYLOAD_BYTES_MAX:
                break
            fitting.append(record)
        return fitting

    def _move(self, shard: HeldShard, lane: int, end: int, generation: int) -> None:
        """The checkpoint, unless another poller has taken over since."""
        if generation == self._generation:
            self._checkpoints[shard.shard_id, lane] = end
            self._history.setdefault((shard.shard_id, lane), []).append(end)
            self._advanced.fire()

    def _deliver(self, batch: Sequence[HeldRecord], generation: int, attempts: int = 0) -> None:
        """Invoke until nothing of `batch` is left, processed or given up."""
        throttles = 0
        while True:
            batch = self._drop_aged(batch, attempts)
            if not batch or generation != self._generation:
                return
            returned = self._invoke(batch)
            if returned.is_throttled:
                throttles += 1
                self._time.sleep(min(RETRY_PAUSE_MS_MAX, RETRY_PAUSE_MS * 2 ** min(throttles, 6)))
                continue
            failed_from = self._failed_from(batch, returned)
            self._note_done(batch[:failed_from])
            if failed_from is None:
                return
            if self.options.bisects and failed_from == 0 and returned.error and len(batch) > 1:
                middle = len(batch) // 2
                self._log("mapping", "/", f"{self.name} bisects {_span(batch)}")
                self._deliver(batch[:middle], generation, attempts)
                batch = batch[middle:]
                continue
            batch = batch[failed_from:]
            attempts += 1
            if 0 <= self.options.retries_max < attempts:
                self._discard(batch, "RetryAttemptsExhausted", attempts)
                return
            self._time.sleep(min(RETRY_PAUSE_MS_MAX, RETRY_PAUSE_MS * 2 ** min(attempts, 6)))

    def _note_done(self, batch: Sequence[HeldRecord]) -> None:
        self.done.update(record.place for record in batch)

    def _invoke(self, batch: Sequence[HeldRecord]) -> Returned:
        self.in_flight += 1
        try:
            returned = self._function.invoke(event_of(self._stream, batch))
        finally:
            self.in_flight -= 1
        symbol = "t" if returned.is_throttled else "x" if returned.error else "B"
        outcome = returned.error or returned.payload.decode()
        self._log("mapping", symbol, f"{self.name} {_span(batch)} -> {self._function.name}: {outcome}")
        return returned

    def _failed_from(self, batch: Sequence[HeldRecord], returned: Returned) -> int | None:
        """The place of the first record that is to be retried; None when all is done."""
        if returned.error:
            return 0
        answer = json.loads(returned.payload)
        failures = answer.get("batchItemFailures") if isinstance(answer, dict) and self.options.reports_items else None
        if not failures:
            return None
        numbers = {str(record.sequence_number): place for place, record in enumerate(batch)}
        named = [failure.get("itemIdentifier") for failure in failures]
        if self._chance.happens("wrong_identifier"):
            named = ["0"]
        return min(numbers[name] for name in named) if all(name in numbers for name in named) else 0

    def _drop_aged(self, batch: Sequence[HeldRecord], attempts: int) -> Sequence[HeldRecord]:
        oldest_ms = self._time.now_ms - self.options.age_ms_max
        aged = [record for record in batch if record.arrival_ms < oldest_ms]
        if aged:
            self._discard(aged, "RecordAgeExceeded", attempts)
        return [record for record in batch if record.arrival_ms >= oldest_ms]

    def _discard(self, batch: Sequence[HeldRecord], condition: str, attempts: int) -> None:
        self.discarded += 1
        if self._chance.happens("destination_denied"):
            self.denied += 1
            self._log("mapping", "!", f"{self.name} {_span(batch)}: the destination is denied")
            return
        self._note_done(batch)
        key = on_failure_key(self.name, batch[0].shard_id, self._time.now_ms, self.discarded)
        body = self._invocation_record(batch, condition, attempts)
        self._s3.apply(Put(ON_FAILURE, key, body))
        self._log("mapping", "D", f"{self.name} {_span(batch)}: {condition}, put aside")

    def _invocation_record(self, batch: Sequence[HeldRecord], condition: str, attempts: int) -> bytes:
        record = {
            "requestContext": {
                "requestId": f"{self.discarded}",
                "functionArn": f"arn:aws:lambda:eu-central-1:123456789012:function:{self._function.name}",
                "condition": condition,
                "approximateInvokeCount": attempts,
            },
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "version": "1.0",
            "timestamp": format_rfc3339(self._time.now_ms),
            "KinesisBatchInfo": {
                "shardId": batch[0].shard_id,
                "startSequenceNumber": str(batch[0].sequence_number),
                "endSequenceNumber": str(batch[-1].sequence_number),
                "approximateArrivalOfFirstRecord": format_rfc3339(batch[0].arrival_ms),
                "approximateArrivalOfLastRecord": format_rfc3339(batch[-1].arrival_ms),
                "batchSize": len(batch),
                "streamArn": self._stream.arn,
            },
            "payload": event_of(self._stream, batch).decode(),
        }
        return json.dumps(record).encode()


def event_of(stream: StreamState, batch: Sequence[HeldRecord]) -> bytes:
    """The event that holds these records, in the shape that the developer guide shows ("Using Lambda with Kinesis")."""
    return json.dumps({"Records": [_event_record(stream, record) for record in batch]}).encode()


def _event_record(stream: StreamState, record: HeldRecord) -> dict[str, object]:
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record.partition_key,
            "sequenceNumber": str(record.sequence_number),
            "data": base64.b64encode(record.body).decode(),
            "approximateArrivalTimestamp": record.arrival_ms / 1_000,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{record.shard_id}:{record.sequence_number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/consumer",
        "awsRegion": "eu-central-1",
        "eventSourceARN": stream.arn,
    }


def on_failure_key(mapping: str, shard_id: str, now_ms: int, number: int) -> str:
    """The key that Lambda fixes."""
    time = format_rfc3339(now_ms)
    return f"aws/lambda/{mapping}/{shard_id}/{time[:10].replace('-', '/')}/{time[:19].replace(':', '.')}-{number:08}"


@lru_cache(maxsize=10_000)
def _lane_of(partition_key: str, factor: int) -> int:
    return hashlib.md5(partition_key.encode(), usedforsecurity=False).digest()[0] % factor


def _span(batch: Sequence[HeldRecord]) -> str:
    first, last = batch[0], batch[-1]
    return f"{first.shard_id[-3:]}:{first.sequence_number % 100_000}..{last.sequence_number % 100_000} ({len(batch)})"
