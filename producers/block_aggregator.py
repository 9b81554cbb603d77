"""Aggregation into blocks: many readings of one shard as one compressed Arrow stream, for those who own both ends.

A block is sent as a plain record, pinned by an explicit hash key to the shard that its sensor ids hash to.
"""

import time
from collections.abc import Callable

import numpy as np

from producers import blocks
from producers.shards import Route, RouteCache, ShardMap, order_by_place, runs_of
from windrow.aws.stream import RECORD_BYTES_MAX, OutgoingRecord, Shard
from windrow.errors import WindrowError
from windrow.reading import READINGS_PER_RECORD_MAX, Readings
from windrow.wire.kpl import OUTER_PARTITION_KEY

# Larger blocks hardly save bytes per reading, and a bad one costs more readings.
BLOCK_READINGS = 40_000


class BlockAggregator:
    """Collects readings per shard and returns blocks, each as soon as it is full; `flush` returns the rest.

    A block holds at most `block_readings`; a record, including its partition key, has at most `record_bytes_max`.
    Readings of one shard keep their order. Not thread-safe.
    """

    def __init__(
        self,
        shard_map: ShardMap,
        *,
        block_readings: int = BLOCK_READINGS,
        record_bytes_max: int = RECORD_BYTES_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Cap the record limit at 1 MiB. clock: seconds, for `flush_older`."""
        if not 1 <= block_readings <= READINGS_PER_RECORD_MAX:
            raise ValueError(f"block_readings must be from 1 to {READINGS_PER_RECORD_MAX}, not {block_readings}")
        self._block_readings = block_readings
        self._body_bytes_max = min(record_bytes_max, RECORD_BYTES_MAX) - len(OUTER_PARTITION_KEY)
        self._clock = clock
        self._buffers = [_ShardReadings(shard) for shard in shard_map.shards]
        self._routes = RouteCache(shard_map)

    def __len__(self) -> int:
        """Return how many readings wait."""
        return sum(map(len, self._buffers))

    def add(self, readings: Readings) -> list[OutgoingRecord]:
        """Take readings; return the records that became full."""
        route: Route = self._routes.route(readings.sensor_ids)
        full: list[OutgoingRecord] = []
        places, order = order_by_place(route.places[readings.sensor])
        for place, run in runs_of(places):
            chosen = order[run]
            buffer = self._buffers[place]
            if not buffer:
                buffer.began_seconds = self._clock()
            buffer.add(readings if len(chosen) == len(readings) else readings.take(chosen))
            while len(buffer) >= self._block_readings:
                full += self._records(buffer, self._block_readings)
                buffer.began_seconds = self._clock()
        return full

    def flush(self) -> list[OutgoingRecord]:
        """Remove everything that waits and return its records."""
        return [record for buffer in self._buffers if buffer for record in self._records(buffer, len(buffer))]

    def flush_older(self, age_seconds: float) -> list[OutgoingRecord]:
        """Remove what waits for shards whose oldest reading came `age_seconds` ago or earlier; return its records."""
        since_seconds = self._clock() - age_seconds
        old = [buffer for buffer in self._buffers if buffer and buffer.began_seconds <= since_seconds]
        return [record for buffer in old for record in self._records(buffer, len(buffer))]

    def remap(self, shard_map: ShardMap) -> list[OutgoingRecord]:
        """Switch to the shards of `shard_map`; readings for a closed shard go to the shard their sensor hashes to now.

        Returns the records that became full.
        """
        before = {buffer.shard: buffer for buffer in self._buffers}
        kept = {shard: before.pop(shard) for shard in shard_map.shards if shard in before}
        self._buffers = [kept.get(shard) or _ShardReadings(shard) for shard in shard_map.shards]
        self._routes = RouteCache(shard_map)
        return [record for closed in before.values() if closed for record in self.add(closed.take(len(closed)))]

    def _records(self, buffer: "_ShardReadings", count: int) -> list[OutgoingRecord]:
        return self._blocks(buffer.shard, buffer.take(count))

    def _blocks(self, shard: Shard, readings: Readings) -> list[OutgoingRecord]:
        """Encode one record, or several if one would be too long."""
        body = blocks.encode(readings)
        if len(body) > self._body_bytes_max:
            if len(readings) == 1:
                raise WindrowError(
                    f"a block of one reading takes {len(body)} bytes, more than the stream's limit for a record"
                )
            half = np.arange(len(readings) // 2)
            rest = np.arange(len(half), len(readings))
            return self._blocks(shard, readings.take(half)) + self._blocks(shard, readings.take(rest))
        record = OutgoingRecord(
            partition_key=OUTER_PARTITION_KEY,
            body=body,
            explicit_hash_key=str(shard.first_hash_key),
            shard_id=shard.shard_id,
            readings=len(readings),
        )
        return [record]


class _ShardReadings:
    """The readings that wait for one shard."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.began_seconds = 0.0
        self._parts: list[Readings] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, readings: Readings) -> None:
        self._parts.append(readings)
        self._count += len(readings)

    def take(self, count: int) -> Readings:
        """Remove and return the first `count` readings."""
        whole = _joined(self._parts)
        rest = whole.take(np.arange(count, len(whole)))
        self._parts, self._count = ([rest] if len(rest) else []), len(rest)
        return whole.take(np.arange(count)) if len(rest) else whole


def _joined(parts: list[Readings]) -> Readings:
    """Concatenate the parts; if they share one column of ids, without comparing ids."""
    if len(parts) == 1:
        return parts[0]
    ids = parts[0].sensor_ids
    if any(part.sensor_ids is not ids for part in parts):
        return Readings.concat(parts)
    return Readings(
        ids,
        np.concatenate([part.sensor for part in parts]),
        np.concatenate([part.event_time_ms for part in parts]),
        np.concatenate([part.sequence for part in parts]),
        np.concatenate([part.value_milli for part in parts]),
    )
