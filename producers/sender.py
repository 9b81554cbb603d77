"""From readings to the stream in the wire form that was chosen, also while the stream is being resharded.

When an answer names another shard than the one a record was made for, the stream has been split or merged: the shards
are asked for again, and what waits for a closed shard is made anew for those that its keys hash to now. A record that
was under way is stored in the shard that took the first hash key of its own, so nothing is lost, and nothing is sent
twice.

A consumer made with Amazon's KCL sees less than is stored: it leaves an aggregate out whole, at the first user record
whose key is outside the range of the shard that it reads it from (AggregatorUtil.deaggregate of the KCL 3.4.2). Plain
records, and blocks, which are plain records, it never leaves out. For such consumers `resends_strays` sends every
aggregate that they leave out once more, whole, each user record to its own shard.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from enum import StrEnum
from itertools import chain
from typing import Self

import numpy as np
import numpy.typing as npt

from producers.aggregator import TARGET_BYTES, Aggregator
from producers.block_aggregator import BlockAggregator
from producers.shard_queue import SHARD_RATE_LIMIT
from producers.shards import ShardMap
from producers.writer import Writer, WriterCounters
from windrow.aws.kinesis import KinesisStream
from windrow.aws.stream import OutgoingRecord, Shard, Stored
from windrow.columns.strings import Strings
from windrow.errors import WindrowError
from windrow.reading import BadReading, Readings
from windrow.wire.block.block import decode_block, is_block
from windrow.wire.kpl import MAGIC, BrokenAggregate, UserRecord, deaggregate

# Between two looks at the shards while answers keep naming others: ListShards takes 1,000 calls a second per account.
REFRESH_SECONDS_MIN = 0.5
# How often to ask while a reshard is under way: it takes some seconds, a minute at most.
STRAY_ROUNDS_MAX = 240


class Wire(StrEnum):
    """The form that readings have in the stream."""

    JSON = "json"  # one object per reading, in aggregates as the KPL makes them
    BLOCKS = "blocks"  # many readings as one compressed Arrow stream


class Sender:
    """Takes readings and payloads, and writes them aggregated by shard. Not thread-safe.

    `send` returns when what waits is bounded, `flush` when everything is stored; both raise WindrowError when the
    stream keeps refusing. list_shards: asks the stream for its shards anew; without it the first ones stay.
    resends_strays: after a reshard, send once more what a KCL consumer leaves out.
    """

    def __init__(
        self,
        writer: Writer,
        shard_map: ShardMap,
        *,
        wire: Wire = Wire.JSON,
        target_bytes: int = TARGET_BYTES,
        list_shards: Callable[[], Iterable[Shard]] | None = None,
        resends_strays: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        on_record: Callable[[OutgoingRecord], Iterable[OutgoingRecord]] = lambda record: [record],
    ) -> None:
        """`on_record` may put others beside each record before they are written; clock: seconds, monotonic."""
        self._writer = writer
        writer.on_misplaced = self._misplaced
        self._wire = wire
        self._payloads = Aggregator(shard_map, target_bytes=target_bytes, clock=clock)
        self._blocks = BlockAggregator(shard_map, clock=clock)
        self._shard_map = shard_map
        self._list_shards = list_shards
        self._clock = clock
        self._sleep = sleep
        self._on_record = on_record
        self._is_stale = False
        self._refreshed_seconds = clock() - REFRESH_SECONDS_MIN
        self._resends_strays = resends_strays
        self._strays: list[tuple[OutgoingRecord, str]] = []
        """Aggregates that are stored in another shard than theirs, and the id of that one."""
        self._resent = 0

    @classmethod
    def to_stream(cls, stream: KinesisStream, *, wire: Wire = Wire.JSON, resends_strays: bool = False) -> Self:
        """A sender to `stream`, which is asked for its shards; a stand-in for AWS is not paced, as it has no limits."""
        writer = Writer(stream, rate_limit=None if stream.is_stand_in else SHARD_RATE_LIMIT)
        list_shards = stream.list_shards
        return cls(writer, ShardMap(list_shards()), wire=wire, list_shards=list_shards, resends_strays=resends_strays)

    @property
    def counters(self) -> WriterCounters:
        """What the writer has done, and how much of it a second time for KCL consumers."""
        return replace(self._writer.counters, resent=self._resent)

    @property
    def last_sequence_numbers(self) -> dict[str, int]:
        """For each shard the highest sequence number that it gave to a record of ours."""
        return self._writer.last_sequence_numbers

    @property
    def waiting(self) -> int:
        """How many readings and payloads are in no record yet."""
        return len(self._payloads) + len(self._blocks)

    def send(self, readings: Readings) -> None:
        """Take readings, in the wire form."""
        aggregator = self._payloads if self._wire is Wire.JSON else self._blocks
        self._write(aggregator.add(readings))

    def send_payloads(self, keys: Strings, key: npt.NDArray[np.integer], payloads: Sequence[bytes]) -> None:
        """Take n payloads as they are, in aggregates; `key`: integer[n], which of `keys` is each one's."""
        self._write(self._payloads.add_payloads(keys, key, payloads))

    def flush_older(self, age_seconds: float) -> None:
        """Hand the writer what has waited for `age_seconds` or longer."""
        self._write([*self._payloads.flush_older(age_seconds), *self._blocks.flush_older(age_seconds)])

    def cut(self) -> None:
        """Hand the writer everything; later readings come in other records."""
        self._write([*self._payloads.flush(), *self._blocks.flush()])

    def flush(self) -> None:
        """On return everything ever taken is stored."""
        self._flush_writer()
        for _ in range(STRAY_ROUNDS_MAX):
            if not self._strays:
                return
            self._sleep(REFRESH_SECONDS_MIN)
            self._refresh_if_stale()
            self._flush_writer()
        raise WindrowError(f"{len(self._strays)} records are in other shards than their keys", hint="try again")

    def discard(self) -> int:
        """Forget what is not known to be stored; how many payloads and readings that is."""
        given_back = [*self._writer.give_back(), *self._payloads.flush(), *self._blocks.flush()]
        self._strays.clear()
        return sum(record.readings for record in given_back)

    def _flush_writer(self) -> None:
        self.cut()
        while self._writer.flush_some():
            self._refresh_if_stale()
            if self.waiting:
                self.cut()

    def _write(self, records: Iterable[OutgoingRecord]) -> None:
        self._writer.write(out for record in records for out in self._on_record(record))
        self._refresh_if_stale()

    def _misplaced(self, record: OutgoingRecord, stored: Stored) -> None:
        self._is_stale = True
        if self._resends_strays and self._list_shards is not None and record.body.startswith(MAGIC):
            self._strays.append((record, stored.shard_id))

    def _refresh_if_stale(self) -> None:
        """Ask for the shards if an answer has shown that ours are old; a stream amid a reshard is asked again later."""
        is_soon = self._clock() - self._refreshed_seconds < REFRESH_SECONDS_MIN
        if not self._is_stale or self._list_shards is None or is_soon:
            return
        self._refreshed_seconds = self._clock()
        try:
            shards = list(self._list_shards())
            self._shard_map = ShardMap(shards)
        except WindrowError:
            return
        self._is_stale = False
        opened = {shard.shard_id for shard in self._shard_map.shards}
        waiting = self._writer.give_back(but_for=opened)
        full = [*self._payloads.remap(self._shard_map), *self._blocks.remap(self._shard_map)]
        broken: list[OutgoingRecord] = []
        for record in waiting:
            made = self._made_anew(record)
            if made is None:
                broken.append(record)
            else:
                full += made
        full += self._strays_anew({shard.shard_id: shard for shard in shards})
        # In one call, which takes all of them even if the stream refuses one.
        self._writer.write(chain(broken, (out for record in full for out in self._on_record(record))))

    def _strays_anew(self, shards: dict[str, Shard]) -> list[OutgoingRecord]:
        """Take what KCL consumers leave out once more; the records that became full. `shards`: also closed ones."""
        strays, self._strays = self._strays, []
        full: list[OutgoingRecord] = []
        for record, shard_id in strays:
            user_records = _user_records(record)
            if user_records is not None and _is_left_out(user_records, shards.get(shard_id)):
                self._resent += len(user_records)
                full += self._payloads_anew(user_records)
        return full

    def _made_anew(self, record: OutgoingRecord) -> list[OutgoingRecord] | None:
        """Take what a record holds once more; the records that became full. None when it is cut short on purpose."""
        readings = _readings(record)
        if readings is not None:
            return self._blocks.add(readings)
        user_records = _user_records(record)
        return None if user_records is None else self._payloads_anew(user_records)

    def _payloads_anew(self, user_records: Sequence[UserRecord]) -> list[OutgoingRecord]:
        keys = Strings.of(one.partition_key for one in user_records)
        return self._payloads.add_payloads(keys, np.arange(len(user_records)), [one.payload for one in user_records])


def _readings(record: OutgoingRecord) -> Readings | None:
    """What a block holds; None when it is no sound block."""
    try:
        return decode_block(record.body) if is_block(record.body) else None
    except BadReading:
        return None


def _user_records(record: OutgoingRecord) -> list[UserRecord] | None:
    """What a plain or an aggregated record holds; None when it is no sound aggregate."""
    try:
        user_records = deaggregate(record.body)
    except BrokenAggregate:
        return None
    return [UserRecord(record.partition_key, record.body)] if user_records is None else user_records


def _is_left_out(user_records: Iterable[UserRecord], shard: Shard | None) -> bool:
    """Whether a KCL consumer of `shard` leaves an aggregate out; it may, where the shard's range is not known."""
    return shard is None or not all(
        shard.first_hash_key <= ShardMap.hash_key_of(one.partition_key) <= shard.last_hash_key for one in user_records
    )
