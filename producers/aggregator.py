"""Shard-aware aggregation: readings become aggregated records, each for one shard and within the limits of a record.

A KCL consumer drops user records whose key does not hash into the shard that their aggregate is read from. So each
shard has its own buffer, a reading goes to the shard that its key hashes to, and the outer record is pinned to that
shard by an explicit hash key.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from producers.shard_payloads import RecordLimits, ShardPayloads, check_payloads
from producers.shards import Route, RouteCache, ShardMap, order_by_place, runs_of
from windrow.aws.stream import RECORD_BYTES_MAX, OutgoingRecord
from windrow.columns.arrays import Int64s
from windrow.columns.strings import Strings
from windrow.reading import Readings
from windrow.wire.json.encode import check_encodable, encode_readings
from windrow.wire.kpl_write import lengths_of

# The KPL's own default, AggregationMaxSize: https://github.com/awslabs/amazon-kinesis-producer.
TARGET_BYTES = 51_200
# Bounds how many user records one bad byte in an aggregate can cost.
USER_RECORDS_MAX = 16_384
# So many payloads are made at once: more need memory that is touched for the first time, fewer a pass over all keys of
# the column more often.
_ROWS_AT_ONCE, _ROWS_FOR_A_KEY = 16_384, 4


class Aggregator:
    """Collects payloads per shard and returns aggregated records, each as soon as it is full; `flush` returns the rest.

    A record, including its partition key, has at most `target_bytes` and `user_records_max`. A single payload is sent
    plain, as the KPL does (unless it begins like an aggregate), and may be longer: up to `record_bytes_max`, the
    stream's limit. Payloads of one shard keep their order. Not thread-safe.
    """

    def __init__(
        self,
        shard_map: ShardMap,
        *,
        target_bytes: int = TARGET_BYTES,
        user_records_max: int = USER_RECORDS_MAX,
        record_bytes_max: int = RECORD_BYTES_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Cap the record limit at 1 MiB: a longer record, in base64, would be too long for a function.

        clock: seconds, for `flush_older`.
        """
        self._limits = RecordLimits(
            target_bytes=min(target_bytes, record_bytes_max, RECORD_BYTES_MAX),
            user_records_max=user_records_max,
            record_bytes_max=min(record_bytes_max, RECORD_BYTES_MAX),
        )
        self._clock = clock
        self._buffers = [ShardPayloads(shard, self._limits) for shard in shard_map.shards]
        self._routes = RouteCache(shard_map)

    def __len__(self) -> int:
        """Return how many payloads wait."""
        return sum(map(len, self._buffers))

    def add(self, readings: Readings) -> list[OutgoingRecord]:
        """Take readings, as JSON keyed by sensor id; return the records that became full."""
        check_encodable(readings)  # in their order: the message counts rows
        route = self._routes.route(readings.sensor_ids)
        # Encoded shard by shard, the payloads of a shard lie next to each other.
        places, order = order_by_place(route.places[readings.sensor])
        full: list[OutgoingRecord] = []
        rows_at_once = max(_ROWS_AT_ONCE, _ROWS_FOR_A_KEY * len(route.fields))
        for first in range(0, len(readings), rows_at_once):
            some = slice(first, first + rows_at_once)
            part = readings.take(order[some])
            full += self._extend(route, places[some], part.sensor, encode_readings(part))
        return full

    def add_payloads(
        self, keys: Strings, key: npt.NDArray[np.integer], payloads: Sequence[bytes]
    ) -> list[OutgoingRecord]:
        """Take n payloads; return the records that became full.

        key: integer[n], the index in `keys` of each payload's partition key. WindrowError naming the key of a payload
        that is longer than any record; then none of them is taken.
        """
        route = self._routes.route(keys)
        places, order = order_by_place(route.places[key])
        return self._extend(route, places, key[order], list(map(payloads.__getitem__, order.tolist())))

    def _extend(
        self, route: Route, places: Int64s, key: npt.NDArray[np.integer], payloads: list[bytes]
    ) -> list[OutgoingRecord]:
        """Take n payloads in order of their shards: places, int64[n], the index of each one's shard."""
        which = route.first[key]
        lengths = lengths_of(payloads)
        check_payloads(route, which, payloads, lengths, record_bytes_max=self._limits.record_bytes_max)
        full: list[OutgoingRecord] = []
        for place, taken in runs_of(places):
            buffer = self._buffers[place]
            if not buffer:
                buffer.began_seconds = self._clock()
            records = buffer.extend(route, which[taken], payloads[taken], lengths[taken])
            if records:  # whatever still waits came just now
                buffer.began_seconds = self._clock()
            full += records
        return full

    def flush(self) -> list[OutgoingRecord]:
        """Remove everything that waits and return its records, at most one per shard."""
        return [buffer.take() for buffer in self._buffers if buffer]

    def flush_older(self, age_seconds: float) -> list[OutgoingRecord]:
        """Remove what waits for shards whose oldest payload came `age_seconds` ago or earlier; return its records."""
        since_seconds = self._clock() - age_seconds
        return [buffer.take() for buffer in self._buffers if buffer and buffer.began_seconds <= since_seconds]

    def remap(self, shard_map: ShardMap) -> list[OutgoingRecord]:
        """Switch to the shards of `shard_map`; payloads for a closed shard go to the shard their key hashes to now.

        Returns the records that became full.
        """
        before = {buffer.shard: buffer for buffer in self._buffers}
        kept = {shard: before.pop(shard) for shard in shard_map.shards if shard in before}
        self._buffers = [kept.get(shard) or ShardPayloads(shard, self._limits) for shard in shard_map.shards]
        self._routes = RouteCache(shard_map)
        full: list[OutgoingRecord] = []
        for closed in before.values():
            keys, key, payloads = closed.give_back()
            full += self.add_payloads(Strings.of_octets(keys), key, payloads)
        return full
