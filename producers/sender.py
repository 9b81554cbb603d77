"""Sending readings to the stream in the chosen wire form, also while the stream is being resharded.

When an answer names another shard than the one a record was made for, shards have been split or merged: the sender
lists the shards again, and aggregates what waits for a closed shard anew, for the shards that its keys hash to now. A
record that was already on its way is stored in the shard that took over the first hash key of its old one, so nothing
is lost and nothing is sent twice.

A consumer made with Amazon's KCL sees less than is stored: it skips a whole aggregate at the first user record whose
key is outside the range of the shard it was read from (AggregatorUtil.deaggregate of the KCL 3.4.2). It never skips
plain records, nor blocks, which are plain records. For such consumers `resends_strays` sends every skipped aggregate
once more, whole, each user record to its own shard.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from enum import StrEnum
from itertools import chain
from typing import Self

import numpy as np
import numpy.typing as npt

from producers import blocks
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
from windrow.wire.block import is_block
from windrow.wire.kpl import MAGIC, UserRecord
from windrow.wire.kpl_read import own_user_records

_logger = logging.getLogger("windrow.producers")

# At most one ListShards in this time while answers keep naming other shards; its limit is 1,000 calls/s per account.
REFRESH_SECONDS_MIN = 0.5
# How often `flush` lists the shards for strays: a reshard takes some seconds, a minute at most.
STRAY_ROUNDS_MAX = 240


class Wire(StrEnum):
    """The form of readings in the stream."""

    JSON = "json"  # one object per reading, in aggregates as the KPL makes them
    BLOCKS = "blocks"  # many readings as one compressed Arrow stream


class Sender:
    """Aggregates readings and payloads by shard, and writes them. Not thread-safe.

    `send` returns once what waits is within bounds, `flush` once everything is stored; both raise WindrowError when the
    stream keeps refusing. list_shards: lists the stream's shards again; without it the first ones stay in use.
    resends_strays: after a reshard, send once more what a KCL consumer skips.
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
        """`on_record` gives the records to write in place of each record; clock: seconds, monotonic."""
        self._writer = writer
        writer.on_misplaced = self._note_misplaced
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
        """Aggregates stored in another shard than they were made for, and the id of that shard."""
        self._resent = 0

    @classmethod
    def to_stream(cls, stream: KinesisStream, *, wire: Wire = Wire.JSON, resends_strays: bool = False) -> Self:
        """List the shards of `stream` and make a sender to it; a stand-in for AWS has no rate limit.

        Nothing is sent twice to a stream that ignores keys: it would be stored in a wrong shard again, without end.
        """
        writer = Writer(stream, rate_limit=None if stream.is_stand_in else SHARD_RATE_LIMIT)
        list_shards = stream.list_shards
        if resends_strays and _ignores_keys(stream):
            resends_strays = False
            _logger.warning(
                "stream %s distributes records by itself (AUTO): KCL consumers skip most aggregates, and sending them"
                " again cannot help; send blocks, or set its strategy to USER_PARTITION_KEY",
                stream.name,
            )
        return cls(writer, ShardMap(list_shards()), wire=wire, list_shards=list_shards, resends_strays=resends_strays)

    @property
    def resends_strays(self) -> bool:
        """Whether it sends once more what a KCL consumer skips."""
        return self._resends_strays

    @property
    def counters(self) -> WriterCounters:
        """Return the writer's counters, with what was resent for KCL consumers."""
        return replace(self._writer.counters, resent=self._resent)

    @property
    def last_sequence_numbers(self) -> dict[str, int]:
        """Return, per shard, the highest sequence number it gave to a record of ours."""
        return self._writer.last_sequence_numbers

    @property
    def waiting(self) -> int:
        """Return how many readings and payloads are in no record yet."""
        return len(self._payloads) + len(self._blocks)

    def send(self, readings: Readings) -> None:
        """Take readings, in the wire form."""
        aggregator = self._payloads if self._wire is Wire.JSON else self._blocks
        self._write(aggregator.add(readings))

    def send_payloads(self, keys: Strings, key: npt.NDArray[np.integer], payloads: Sequence[bytes]) -> None:
        """Take n payloads as they are, in aggregates; `key`: integer[n], the index in `keys` of each one's key."""
        self._write(self._payloads.add_payloads(keys, key, payloads))

    def flush_older(self, age_seconds: float) -> None:
        """Hand the writer what has waited for `age_seconds` or longer."""
        self._write([*self._payloads.flush_older(age_seconds), *self._blocks.flush_older(age_seconds)])

    def cut(self) -> None:
        """Hand the writer everything, so that later readings go into other records."""
        self._write([*self._payloads.flush(), *self._blocks.flush()])

    def flush(self) -> None:
        """Send until everything ever taken is stored."""
        self._flush_writer()
        for _ in range(STRAY_ROUNDS_MAX):
            if not self._strays:
                return
            self._sleep(REFRESH_SECONDS_MIN)
            self._refresh_if_stale()
            self._flush_writer()
        message = f"{len(self._strays)} records are stored in other shards than their keys hash to"
        raise WindrowError(message, hint="the stream is being resharded: try again in a minute")

    def discard(self) -> int:
        """Forget what is not known to be stored; return how many payloads and readings that is."""
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

    def _note_misplaced(self, record: OutgoingRecord, stored: Stored) -> None:
        self._is_stale = True
        if self._resends_strays and self._list_shards is not None and record.body.startswith(MAGIC):
            self._strays.append((record, stored.shard_id))

    def _refresh_if_stale(self) -> None:
        """List the shards if an answer has shown that ours are old; try again later if a reshard is still going on."""
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
        waiting = self._writer.give_back(except_shards=opened)
        full = [*self._payloads.remap(self._shard_map), *self._blocks.remap(self._shard_map)]
        broken: list[OutgoingRecord] = []
        for record in waiting:
            records = self._add_again(record)
            if records is None:  # truncated on purpose: a fault of a simulated fleet
                broken.append(record)
            else:
                full += records
        full += self._resend_strays({shard.shard_id: shard for shard in shards})
        # In one call, because `write` queues all its records even if it raises.
        self._writer.write(chain(broken, (out for record in full for out in self._on_record(record))))

    def _resend_strays(self, shards: dict[str, Shard]) -> list[OutgoingRecord]:
        """Aggregate again what KCL consumers skip; return the records that became full. `shards`: closed ones too."""
        strays, self._strays = self._strays, []
        full: list[OutgoingRecord] = []
        for record, shard_id in strays:
            user_records = _user_records(record)
            if user_records is not None and _is_skipped(user_records, shards.get(shard_id)):
                self._resent += len(user_records)
                full += self._add_user_records(user_records)
        return full

    def _add_again(self, record: OutgoingRecord) -> list[OutgoingRecord] | None:
        """Aggregate a record's content again; return the records that became full. None for a truncated record."""
        readings = _readings(record)
        if readings is not None:
            return self._blocks.add(readings)
        user_records = _user_records(record)
        return None if user_records is None else self._add_user_records(user_records)

    def _add_user_records(self, user_records: Sequence[UserRecord]) -> list[OutgoingRecord]:
        keys = Strings.of(one.partition_key for one in user_records)
        return self._payloads.add_payloads(keys, np.arange(len(user_records)), [one.payload for one in user_records])


def _ignores_keys(stream: KinesisStream) -> bool:
    """Ask whether the stream ignores keys; False if it does not say, for which a producer needs no right."""
    try:
        return stream.summary().ignores_keys
    except WindrowError:
        return False


def _readings(record: OutgoingRecord) -> Readings | None:
    """Return the readings of a block; None if the record is not a sound block."""
    try:
        return blocks.decode(record.body) if is_block(record.body) else None
    except BadReading:
        return None


def _user_records(record: OutgoingRecord) -> list[UserRecord] | None:
    """Return the user records of a plain or aggregated record; None for a broken aggregate."""
    if not record.body.startswith(MAGIC):
        return [UserRecord(record.partition_key, record.body)]
    return own_user_records(record.body)


def _is_skipped(user_records: Iterable[UserRecord], shard: Shard | None) -> bool:
    """Return whether a KCL consumer of `shard` skips an aggregate; True if the shard's range is unknown."""
    return shard is None or not all(
        shard.first_hash_key <= ShardMap.hash_key_of(one.partition_key) <= shard.last_hash_key for one in user_records
    )
