"""Shard-aware aggregation: readings become aggregated records, each for one shard and within its limits.

A KCL consumer drops user records whose key does not hash into the shard that their aggregate is read from. So there
is one buffer per shard, a reading goes to the shard that its own key hashes to, and the outer record is pinned to
that shard by an explicit hash key.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from windrow.errors import WindrowError
from windrow.kinesis import HASH_KEY_MAX, RECORD_BYTES_MAX, OutgoingRecord, Shard
from windrow.kpl import DIGEST_BYTES, MAGIC, OUTER_PARTITION_KEY, UserRecord, aggregate
from windrow.reading import Readings
from windrow.reading_json import encode_readings
from windrow.strings import Strings

# The KPL's own default, AggregationMaxSize: https://github.com/awslabs/amazon-kinesis-producer.
TARGET_BYTES = 51_200
# Far more than fit into a record; bounds what one bad byte in an aggregate can take along.
USER_RECORDS_MAX = 16_384

_ENVELOPE_BYTES = len(MAGIC) + DIGEST_BYTES + len(OUTER_PARTITION_KEY)


class ShardMap:
    """Which open shard a partition key goes to: the one whose range holds the key's MD5 as a 128-bit integer."""

    def __init__(self, shards: Iterable[Shard]) -> None:
        """Closed shards are ignored; WindrowError if the open ones do not tile the range of hash keys."""
        self.shards = sorted((shard for shard in shards if shard.is_open), key=lambda shard: shard.first_hash_key)
        self._first_hash_keys = [shard.first_hash_key for shard in self.shards]
        ends = [-1, *(shard.last_hash_key for shard in self.shards)]
        if [end + 1 for end in ends] != [*self._first_hash_keys, HASH_KEY_MAX + 1]:
            listed = ", ".join(shard.shard_id for shard in self.shards) or "none"
            message = f"the open shards do not cover all hash keys: {listed}"
            raise WindrowError(message, hint="the stream is being resharded: try again in a minute")

    def place_of(self, partition_key: str) -> int:
        """The index in `shards` of the shard that takes `partition_key`."""
        digest = hashlib.md5(partition_key.encode(), usedforsecurity=False).digest()
        return bisect_right(self._first_hash_keys, int.from_bytes(digest)) - 1


class Aggregator:
    """Collects payloads per shard and gives aggregated records, each as soon as it is full; `flush` gives the rest.

    A record, its partition key included, is at most `target_bytes` long and holds at most `user_records_max`. A
    payload that is alone is sent plain, as the KPL does (unless it begins as an aggregate does), and may be longer: up
    to `record_bytes_max`, the stream's limit. In a shard the order of payloads is kept. Not thread-safe.
    """

    def __init__(
        self,
        shard_map: ShardMap,
        *,
        target_bytes: int = TARGET_BYTES,
        user_records_max: int = USER_RECORDS_MAX,
        record_bytes_max: int = RECORD_BYTES_MAX,
    ) -> None:
        """A record limit above 1 MiB is taken as 1 MiB: base64 makes more than that too long for a function."""
        self._shard_map = shard_map
        record_bytes_max = min(record_bytes_max, RECORD_BYTES_MAX)
        self._buffers = [
            _Buffer(
                shard,
                target_bytes=min(target_bytes, record_bytes_max),
                user_records_max=user_records_max,
                record_bytes_max=record_bytes_max,
            )
            for shard in shard_map.shards
        ]
        self._routed: tuple[Strings, list[str], list[_Buffer]] | None = None

    def add(self, readings: Readings) -> list[OutgoingRecord]:
        """Take readings, as JSON under their sensor ids; the records that became full."""
        return self.add_payloads(readings.sensor_ids, readings.sensor, encode_readings(readings))

    def add_payloads(
        self, keys: Strings, key: npt.NDArray[np.integer], payloads: Sequence[bytes]
    ) -> list[OutgoingRecord]:
        """Take n payloads; `key`: integer[n], which of `keys` is the partition key of each."""
        spelled, buffers = self._route(keys)
        full: list[OutgoingRecord] = []
        for place, payload in zip(key.tolist(), payloads, strict=True):
            record = buffers[place].add(spelled[place], payload)
            if record is not None:
                full.append(record)
        return full

    def flush(self) -> list[OutgoingRecord]:
        """The records of everything that is still buffered, at most one per shard."""
        return [buffer.take() for buffer in self._buffers if buffer]

    def _route(self, keys: Strings) -> tuple[list[str], list["_Buffer"]]:
        """The keys as Python strings, and the buffer of each; remembered while the same column comes again."""
        if self._routed is None or self._routed[0] is not keys:
            spelled = keys.to_list()
            buffers = [self._buffers[self._shard_map.place_of(partition_key)] for partition_key in spelled]
            self._routed = keys, spelled, buffers
        return self._routed[1:]


class _Buffer:
    """The payloads that wait for one shard, and to the byte how long their aggregate is."""

    def __init__(self, shard: Shard, *, target_bytes: int, user_records_max: int, record_bytes_max: int) -> None:
        self._shard = shard
        self._target_bytes = target_bytes
        self._user_records_max = user_records_max
        self._record_bytes_max = record_bytes_max
        self._clear()

    def _clear(self) -> None:
        self._user_records: list[UserRecord] = []
        self._places: dict[str, int] = {}
        self._size_bytes = _ENVELOPE_BYTES

    def __len__(self) -> int:
        return len(self._user_records)

    def add(self, partition_key: str, payload: bytes) -> OutgoingRecord | None:
        """Take one payload; the record of those before it, if it does not fit beside them."""
        growth_bytes = self._growth_bytes(partition_key, payload)
        full = None
        if self._user_records and (
            self._size_bytes + growth_bytes > self._target_bytes or len(self) == self._user_records_max
        ):
            full = self.take()
            growth_bytes = self._growth_bytes(partition_key, payload)
        if not self._user_records:
            self._check_alone(partition_key, payload, aggregate_bytes=self._size_bytes + growth_bytes)
        self._places.setdefault(partition_key, len(self._places))
        self._user_records.append(UserRecord(partition_key, payload))
        self._size_bytes += growth_bytes
        return full

    def take(self) -> OutgoingRecord:
        """The record of all that is here, at least one payload; the buffer is empty afterwards."""
        user_records = self._user_records
        self._clear()
        first = user_records[0]
        if len(user_records) == 1 and _may_be_plain(first.payload):
            return OutgoingRecord(partition_key=first.partition_key, body=first.payload, shard_id=self._shard.shard_id)
        return OutgoingRecord(
            partition_key=OUTER_PARTITION_KEY,
            body=aggregate(user_records),
            explicit_hash_key=str(self._shard.first_hash_key),
            shard_id=self._shard.shard_id,
            readings=len(user_records),
        )

    def _growth_bytes(self, partition_key: str, payload: bytes) -> int:
        """How much longer the aggregate becomes; see `windrow.kpl` for the message.

        A length-delimited field takes one byte for its tag, a varint for its length, and its content.
        """
        place = self._places.get(partition_key)
        key_bytes = 0
        if place is None:
            place = len(self._places)
            key_bytes = _field_bytes(len(partition_key.encode()))
        return key_bytes + _field_bytes(1 + _varint_bytes(place) + _field_bytes(len(payload)))

    def _check_alone(self, partition_key: str, payload: bytes, *, aggregate_bytes: int) -> None:
        """Refuse a payload that no record can hold, even alone."""
        plain_bytes = len(payload) + len(partition_key.encode())
        record_bytes = plain_bytes if _may_be_plain(payload) else aggregate_bytes
        if record_bytes > self._record_bytes_max:
            message = f"{partition_key!r}: a payload of {len(payload)} bytes exceeds the stream's record limit"
            raise WindrowError(message, hint=f"a record with its key holds at most {self._record_bytes_max} bytes")


def _may_be_plain(payload: bytes) -> bool:
    """Whether nobody can take the payload for an aggregate when it comes as a record of its own."""
    return not payload.startswith(MAGIC)


def _varint_bytes(value: int) -> int:
    """How many bytes protobuf takes for `value`: seven bits each, one for zero."""
    return max(1, -(-value.bit_length() // 7))


def _field_bytes(length: int) -> int:
    return 1 + _varint_bytes(length) + length
