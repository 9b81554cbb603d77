"""A Kinesis data stream in memory, and the part of boto3's `kinesis` client that windrow uses, in front of it.

Semantics, after the Kinesis Data Streams developer guide and API reference:

- routing: a record goes to the open shard whose range of hash keys holds its explicit hash key or, without one, the MD5
  of its partition key as a 128-bit integer (API reference, PutRecords);
- SplitShard and MergeShards close the parents and open children over the same hash keys; ParentShardId and
  AdjacentParentShardId name them (developer guide, "Resharding a stream");
- ListShards may still show the shards as they were before the last split or merge, on some of its pages too;
- PutRecords answers entry by entry and "does not guarantee the ordering of records"; at most 500 entries, 5 MiB, 1 MiB
  each;
- a shard takes 1,000 records and 1 MB a second, partition keys included; beyond that an entry fails with
  ProvisionedThroughputExceededException (API reference, PutRecords; developer guide, "Quotas and limits");
- a request without an answer may have been stored, and its retry is a second record (developer guide, "Handling
  duplicate records": producer retries);
- sequence numbers rise within a shard and are not dense; arrival times have milliseconds, and "there are no guarantees
  about the time stamp accuracy, or that the time stamp is always increasing" (API reference, Record), so AT_TIMESTAMP
  may find any place at which the stamps pass the time;
- a shard forgets its records from the first on, as they become older than the retention period; a page of GetRecords
  may hold as few as it likes; an iterator lives five minutes (API reference, GetShardIterator:
  ExpiredIteratorException);
- what is between a client and Kinesis may answer in its place (wrong_shapes.py).
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from tests.simulation.faults import Chance
from tests.simulation.process import Process
from tests.simulation.virtual_time import Signal
from tests.simulation.wrong_shapes import wrong_answer, wrong_put_answer
from windrow.aws.stream import HASH_KEY_MAX, RECORD_BYTES_MAX, REQUEST_BYTES_MAX, REQUEST_RECORDS_MAX

ITERATOR_LIFE_MS = 300_000
PUT_LATENCY_MS = 25
GET_LATENCY_MS = 15
STEP_BACK_MS_MAX = 8_000
"""So far behind the time is an arrival that is stamped wrongly."""
PAGE_RECORDS_MAX = 7
# What a client waits for an answer before it gives up.
READ_TIMEOUT_MS = 5_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class HeldRecord:
    """A record as the stream holds it."""

    shard_id: str
    sequence_number: int
    arrival_ms: int
    partition_key: str
    body: bytes

    @property
    def place(self) -> tuple[str, int]:
        """Shard and sequence number."""
        return self.shard_id, self.sequence_number


@dataclass(slots=True)
class HeldShard:
    """A shard, open or closed, and all it was ever given."""

    shard_id: str
    first_hash_key: int
    last_hash_key: int
    parents: tuple[str, ...] = ()
    is_open: bool = True
    records: list[HeldRecord] = field(default_factory=list)
    second: int = -1
    second_records: int = 0
    second_bytes: int = 0

    def takes(self, size_bytes: int, *, second: int, records_max: int, bytes_max: int) -> bool:
        """Whether the shard's rate allows one more record of this size in this second; counts it if so."""
        if second != self.second:
            self.second, self.second_records, self.second_bytes = second, 0, 0
        if self.second_records + 1 > records_max or self.second_bytes + size_bytes > bytes_max:
            return False
        self.second_records += 1
        self.second_bytes += size_bytes
        return True

    def first_kept(self, horizon_ms: int) -> int:
        """The place of the first record that arrived at `horizon_ms` or later: what is before it is forgotten."""
        kept = (at for at, record in enumerate(self.records) if record.arrival_ms >= horizon_ms)
        return next(kept, len(self.records))


class StreamState:
    """The stream itself: what it does, without anything that goes wrong on the way to it."""

    def __init__(
        self,
        *,
        name: str = "windrow-sim",
        shards: int = 2,
        retention_ms: int = 24 * 3_600_000,
        records_per_second: int = 1_000,
        bytes_per_second: int = 1_000_000,
    ) -> None:
        """`shards` open shards that share the hash keys evenly; the rates are those of one shard."""
        self.name = name
        self.retention_ms = retention_ms
        self.records_per_second = records_per_second
        self.bytes_per_second = bytes_per_second
        self.page_records_max = PAGE_RECORDS_MAX
        """So many records a page of GetRecords holds at most."""
        self.ignores_keys = False
        """Whether records are distributed by the stream (AUTO): each goes to the next shard in turn."""
        self.shards: dict[str, HeldShard] = {}
        self.shards_before: list[HeldShard] = []
        """The shards as they were before the last split or merge."""
        self.arrived = Signal()
        # From here the numbers soon have a digit more, so that comparing them as strings would show.
        self._number = 49_999_999_999_999_999_900
        step = (HASH_KEY_MAX + 1) // shards
        for place in range(shards):
            last = HASH_KEY_MAX if place == shards - 1 else (place + 1) * step - 1
            self._open(place * step, last, ())

    @property
    def arn(self) -> str:
        """The stream's ARN."""
        return f"arn:aws:kinesis:eu-central-1:123456789012:stream/{self.name}"

    @property
    def records(self) -> Iterator[HeldRecord]:
        """All records there ever were, shard by shard."""
        return (record for shard in self.shards.values() for record in shard.records)

    @property
    def open_shards(self) -> list[HeldShard]:
        """The shards that take records, by hash key."""
        return sorted((shard for shard in self.shards.values() if shard.is_open), key=lambda one: one.first_hash_key)

    def put(self, entry: dict[str, Any], *, now_ms: int, gap: int = 1, back_ms: int = 0) -> HeldRecord | None:
        """Take one entry of a request, stamped `back_ms` before now; None when its shard is over its rate."""
        explicit = entry.get("ExplicitHashKey")
        digest = hashlib.md5(entry["PartitionKey"].encode(), usedforsecurity=False).hexdigest()
        hash_key = int(digest, 16) if explicit is None else int(explicit)
        shard = next(one for one in self.open_shards if one.first_hash_key <= hash_key <= one.last_hash_key)
        if self.ignores_keys:
            shard = self.open_shards[self._number % len(self.open_shards)]
        if not shard.takes(
            len(entry["Data"]) + len(entry["PartitionKey"].encode()),
            second=now_ms // 1_000,
            records_max=self.records_per_second,
            bytes_max=self.bytes_per_second,
        ):
            return None
        self._number += gap
        record = HeldRecord(shard.shard_id, self._number, now_ms - back_ms, entry["PartitionKey"], entry["Data"])
        shard.records.append(record)
        self.arrived.fire()
        return record

    def split(self, shard_id: str, *, at_hash_key: int) -> tuple[str, str]:
        """Close a shard and open two; the second begins at `at_hash_key`."""
        parent = self.shards[shard_id]
        assert parent.is_open
        assert parent.first_hash_key < at_hash_key <= parent.last_hash_key
        self.shards_before = [replace(shard) for shard in self.shards.values()]
        parent.is_open = False
        self.arrived.fire()
        return (
            self._open(parent.first_hash_key, at_hash_key - 1, (shard_id,)),
            self._open(at_hash_key, parent.last_hash_key, (shard_id,)),
        )

    def merge(self, shard_id: str, adjacent: str) -> str:
        """Close two shards whose hash keys adjoin and open one."""
        first, second = sorted((self.shards[shard_id], self.shards[adjacent]), key=lambda one: one.first_hash_key)
        assert first.is_open
        assert second.is_open
        assert first.last_hash_key + 1 == second.first_hash_key
        self.shards_before = [replace(shard) for shard in self.shards.values()]
        first.is_open = second.is_open = False
        self.arrived.fire()
        return self._open(first.first_hash_key, second.last_hash_key, (shard_id, adjacent))

    def _open(self, first_hash_key: int, last_hash_key: int, parents: tuple[str, ...]) -> str:
        shard_id = f"shardId-{len(self.shards):012}"
        self.shards[shard_id] = HeldShard(shard_id, first_hash_key, last_hash_key, parents)
        return shard_id


class SimulatedKinesis:
    """boto3's client as one process has it."""

    def __init__(self, state: StreamState, process: Process, chance: Chance) -> None:
        """Requests of `process` to `state`, with what `chance` does to them."""
        self._state = state
        self._process = process
        self._chance = chance

    def put_records(self, *, StreamName: str, Records: Sequence[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        """PutRecords."""
        self._check(StreamName)
        _check_request(Records)
        return self._process.call(lambda: self._put(Records), latency_ms=self._chance.latency_ms(PUT_LATENCY_MS))

    def list_shards(self, *, StreamName: str = "", NextToken: str | None = None) -> dict[str, Any]:  # noqa: N803
        """ListShards, two to a page."""

        def answer() -> dict[str, Any]:
            if self._chance.happens("get_wrong_shape"):
                return wrong_answer(self._chance.random)
            first = int(NextToken or 0)
            shards = list(self._state.shards.values())
            if self._state.shards_before and self._chance.happens("list_stale"):
                shards = self._state.shards_before
            page: dict[str, Any] = {"Shards": [_described(shard) for shard in shards[first : first + 2]]}
            return page | ({"NextToken": str(first + 2)} if first + 2 < len(shards) else {})

        if NextToken is None:
            self._check(StreamName)
        return self._process.call(answer, latency_ms=self._chance.latency_ms(GET_LATENCY_MS))

    def get_shard_iterator(
        self,
        *,
        StreamName: str,  # noqa: N803
        ShardId: str,  # noqa: N803
        ShardIteratorType: str,  # noqa: N803
        Timestamp: datetime | None = None,  # noqa: N803
        StartingSequenceNumber: str | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        """GetShardIterator: AT_TIMESTAMP, AFTER_SEQUENCE_NUMBER or TRIM_HORIZON."""
        self._check(StreamName)

        def answer() -> dict[str, Any]:
            if self._chance.happens("get_wrong_shape"):
                return wrong_answer(self._chance.random)
            records = self._state.shards[ShardId].records
            place = 0
            if ShardIteratorType == "AT_TIMESTAMP":
                assert Timestamp is not None
                place = self._place_of(records, round((Timestamp - _EPOCH) / timedelta(milliseconds=1)))
            elif ShardIteratorType == "AFTER_SEQUENCE_NUMBER":
                after = int(StartingSequenceNumber or 0)
                place = next((at for at, one in enumerate(records) if one.sequence_number > after), len(records))
            return {"ShardIterator": self._iterator(ShardId, place)}

        return self._process.call(answer, latency_ms=self._chance.latency_ms(GET_LATENCY_MS))

    def get_records(self, *, ShardIterator: str, Limit: int) -> dict[str, Any]:  # noqa: N803
        """GetRecords."""

        def answer() -> dict[str, Any]:
            shard_id, place, made_ms = ShardIterator.split("|")
            if self._chance.happens("get_throttled"):
                raise _error("GetRecords", "ProvisionedThroughputExceededException", 400)
            expired = self._process.time.now_ms - int(made_ms) > ITERATOR_LIFE_MS
            if expired or self._chance.happens("iterator_expired"):
                raise _error("GetRecords", "ExpiredIteratorException", 400)
            if self._chance.happens("get_wrong_shape"):
                return wrong_answer(self._chance.random)
            shard = self._state.shards[shard_id]
            first = max(int(place), shard.first_kept(self._process.time.now_ms - self._state.retention_ms))
            end = min(
                first + min(Limit, self._chance.random.randint(1, self._state.page_records_max)), len(shard.records)
            )
            held = [_delivered(one) for one in shard.records[first:end]]
            page: dict[str, Any] = {"Records": held, "MillisBehindLatest": len(shard.records) - end}
            is_over = not shard.is_open and end == len(shard.records)
            return page if is_over else page | {"NextShardIterator": self._iterator(shard_id, end)}

        return self._process.call(answer, latency_ms=self._chance.latency_ms(GET_LATENCY_MS))

    def split_shard(self, *, StreamName: str, ShardToSplit: str, NewStartingHashKey: str) -> None:  # noqa: N803
        """SplitShard."""
        self._check(StreamName)
        self._process.call(lambda: self._state.split(ShardToSplit, at_hash_key=int(NewStartingHashKey)), latency_ms=1)

    def merge_shards(self, *, StreamName: str, ShardToMerge: str, AdjacentShardToMerge: str) -> None:  # noqa: N803
        """MergeShards."""
        self._check(StreamName)
        self._process.call(lambda: self._state.merge(ShardToMerge, AdjacentShardToMerge), latency_ms=1)

    def _put(self, entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
        happens = self._chance.happens
        if happens("put_throttled"):
            raise _error("PutRecords", "ProvisionedThroughputExceededException", 400)
        if happens("put_lost"):
            raise self._unanswered()
        if happens("put_zombie"):
            delay_ms = self._chance.random.randint(1, 60_000)
            self._process.time.later(delay_ms, lambda: self._take(entries, is_sound=True))
            raise self._unanswered()
        if happens("put_half_stored"):
            self._take(entries[: self._chance.random.randint(0, len(entries))], is_sound=True)
            raise _error("PutRecords", "InternalFailure", 500)
        if happens("put_ack_lost"):
            self._take(entries)
            raise self._unanswered()
        if happens("put_wrong_shape"):
            return self._wrong_shape(entries)
        repeats = 0
        if happens("put_sdk_repeat"):
            self._take(entries)
            repeats = 1
        answers = self._take(entries)
        failed = sum("ErrorCode" in answer for answer in answers)
        return {"FailedRecordCount": failed, "Records": answers, "ResponseMetadata": {"RetryAttempts": repeats}}

    def _wrong_shape(self, entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """All are stored, some or none, and the answer does not say."""
        stored = self._chance.pick([entries, entries, entries[: len(entries) // 2], []])
        answers = self._take(stored, is_sound=True)
        made_up = {"ShardId": self._state.open_shards[0].shard_id, "SequenceNumber": "1"}
        return wrong_put_answer([*answers, *[made_up] * (len(entries) - len(stored))], self._chance.random)

    def _take(self, entries: Sequence[dict[str, Any]], *, is_sound: bool = False) -> list[dict[str, Any]]:
        """Store the entries in an order of the stream's own; the answers are in theirs."""
        answers: list[dict[str, Any]] = [{} for _ in entries]
        order = list(range(len(entries)))
        self._chance.random.shuffle(order)
        for place in order:
            answers[place] = self._take_one(entries[place], is_sound=is_sound)
        return answers

    def _take_one(self, entry: dict[str, Any], *, is_sound: bool) -> dict[str, Any]:
        if not is_sound and self._chance.happens("put_entry_failed"):
            code = self._chance.pick(["InternalFailure", "ProvisionedThroughputExceededException"])
            return {"ErrorCode": code, "ErrorMessage": "injected"}
        gap = self._chance.random.randint(1, 40)
        back_ms = self._chance.random.randint(1, STEP_BACK_MS_MAX) if self._chance.happens("stamped_back") else 0
        held = self._state.put(entry, now_ms=self._process.time.now_ms, gap=gap, back_ms=back_ms)
        if held is None:
            message = f"Rate exceeded for shard in stream {self._state.name}"
            return {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": message}
        return {"ShardId": held.shard_id, "SequenceNumber": str(held.sequence_number)}

    def _place_of(self, records: Sequence[HeldRecord], from_ms: int) -> int:
        """A place at which the arrival times pass `from_ms`; there may be several."""
        is_there = [record.arrival_ms >= from_ms for record in records]
        places = [at for at, there in enumerate(is_there) if there and not (at and is_there[at - 1])]
        if not places:
            return len(records)
        return places[0] if len(places) == 1 else self._chance.pick(places)

    def _iterator(self, shard_id: str, place: int) -> str:
        return f"{shard_id}|{place}|{self._process.time.now_ms}"

    def _unanswered(self) -> ReadTimeoutError:
        self._process.time.sleep(READ_TIMEOUT_MS)
        return ReadTimeoutError(endpoint_url="https://kinesis.simulated")

    def _check(self, name: str) -> None:
        if name != self._state.name:
            raise _error("Kinesis", "ResourceNotFoundException", 400)


def _check_request(entries: Sequence[dict[str, Any]]) -> None:
    sizes = [len(entry["Data"]) + len(entry["PartitionKey"].encode()) for entry in entries]
    if not 1 <= len(entries) <= REQUEST_RECORDS_MAX or sum(sizes) > REQUEST_BYTES_MAX or max(sizes) > RECORD_BYTES_MAX:
        raise _error("PutRecords", "InvalidArgumentException", 400)


def _described(shard: HeldShard) -> dict[str, Any]:
    hash_keys = {"StartingHashKey": str(shard.first_hash_key), "EndingHashKey": str(shard.last_hash_key)}
    numbers = {"StartingSequenceNumber": "0"} | ({} if shard.is_open else {"EndingSequenceNumber": str(2**128)})
    parents = dict(zip(("ParentShardId", "AdjacentParentShardId"), shard.parents, strict=False))
    return {"ShardId": shard.shard_id, "HashKeyRange": hash_keys, "SequenceNumberRange": numbers, **parents}


def _delivered(record: HeldRecord) -> dict[str, Any]:
    return {
        "SequenceNumber": str(record.sequence_number),
        "ApproximateArrivalTimestamp": _EPOCH + timedelta(milliseconds=record.arrival_ms),
        "Data": record.body,
        "PartitionKey": record.partition_key,
    }


def _error(operation: str, code: str, status: int) -> ClientError:
    response = {"Error": {"Code": code, "Message": "injected"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)
