"""The payloads that wait for one shard, and the aggregated records made from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from producers.shards import Route
from windrow.aws.stream import OutgoingRecord, Shard
from windrow.columns.arrays import Int64s
from windrow.errors import WindrowError
from windrow.wire.kpl import MAGIC, OUTER_PARTITION_KEY, seal
from windrow.wire.kpl_write import (
    ENVELOPE_BYTES,
    PLACES_MAX,
    PLACES_NEAR,
    aggregate_body,
    field_bytes,
    key_in,
    lengths_of,
    record_bytes,
)

# How many more payloads are measured than are expected to fit.
_AHEAD = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordLimits:
    """Limits of a record, including its key: `target_bytes`, or `record_bytes_max` for a single payload."""

    target_bytes: int
    user_records_max: int
    record_bytes_max: int

    def __post_init__(self) -> None:
        """Check `user_records_max`; ValueError if our aggregates cannot hold that many."""
        if not 1 <= self.user_records_max <= PLACES_MAX:
            raise ValueError(f"user_records_max must be from 1 to {PLACES_MAX}, not {self.user_records_max}")


class ShardPayloads:
    """The payloads that wait for one shard, in order; `take` makes them one record."""

    def __init__(self, shard: Shard, limits: RecordLimits) -> None:
        self.shard = shard
        self.began_seconds = 0.0
        """When the oldest payload came, on the owner's clock."""
        self._limits = limits
        self._clear()

    def _clear(self) -> None:
        self._payloads: list[bytes] = []
        self._places: list[Int64s] = []
        self._lengths: list[Int64s] = []
        self._fields: list[bytes] = []
        self._known: dict[bytes, int] = {}
        self.size_bytes = ENVELOPE_BYTES

    def __len__(self) -> int:
        """Return how many payloads wait."""
        return len(self._payloads)

    def extend(self, route: Route, key: Int64s, payloads: list[bytes], lengths: Int64s) -> list[OutgoingRecord]:
        """Take m payloads; return the records that became full.

        key, lengths: int64[m], the index in the route of each payload's key, and its length.
        """
        cutter = _Cutter(route, key, lengths, self._places_of_keys())
        full: list[OutgoingRecord] = []
        first = 0
        while first < len(payloads):
            room = self._limits.user_records_max - len(self)
            fitting = cutter.fit(first, room=room, room_bytes=self._limits.target_bytes - self.size_bytes)
            taken = slice(first, first + fitting.count)
            self._append(route, fitting, payloads[taken], lengths[taken])
            first += fitting.count
            if fitting.is_full and self:
                full.append(self.take())
                cutter.forget()
            elif fitting.is_full:  # longer than any aggregate may be
                full.append(self._alone(route.fields[key[first]], payloads[first]))
                first += 1
        return full

    def take(self) -> OutgoingRecord:
        """Remove all payloads, of which there is at least one, and return their record."""
        fields, places, payloads = self._fields, np.concatenate(self._places), self._payloads
        lengths = np.concatenate(self._lengths)
        self._clear()
        if len(payloads) == 1:
            return self._alone(fields[0], payloads[0])
        return self._aggregate(fields, places, payloads, lengths)

    def give_back(self) -> tuple[list[bytes], Int64s, list[bytes]]:
        """Remove and return all: keys, the index among them of each payload's key (int64[n]), and the n payloads."""
        keys, places, payloads = list(map(key_in, self._fields)), self._places, self._payloads
        self._clear()
        return keys, np.concatenate([*places, np.zeros(0, np.int64)]), payloads

    def _places_of_keys(self) -> dict[bytes, int]:
        """Return the position of each key's field in the table; updated only here, between two batches."""
        new = range(len(self._known), len(self._fields))
        self._known.update(zip(self._fields[new.start :], new, strict=True))
        return self._known

    def _append(self, route: Route, fitting: "_Fit", payloads: list[bytes], lengths: Int64s) -> None:
        self._fields += map(route.fields.__getitem__, fitting.new_keys.tolist())
        self._places.append(fitting.places)
        self._lengths.append(lengths)
        self._payloads += payloads
        self.size_bytes += fitting.size_bytes

    def _alone(self, field: bytes, payload: bytes) -> OutgoingRecord:
        if may_be_plain(payload):
            return OutgoingRecord(partition_key=key_in(field).decode(), body=payload, shard_id=self.shard.shard_id)
        return self._aggregate([field], np.zeros(1, np.int64), [payload], lengths_of([payload]))

    def _aggregate(self, fields: list[bytes], places: Int64s, payloads: list[bytes], lengths: Int64s) -> OutgoingRecord:
        return OutgoingRecord(
            partition_key=OUTER_PARTITION_KEY,
            body=seal(aggregate_body(fields, places, payloads, lengths)),
            explicit_hash_key=str(self.shard.first_hash_key),
            shard_id=self.shard.shard_id,
            readings=len(payloads),
        )


@dataclass(frozen=True, slots=True)
class _Fit:
    """The next `count` payloads that fit: the position of each one's key, the keys new to the table, and the growth.

    is_full: the next payload does not fit.
    """

    count: int
    is_full: bool
    places: Int64s
    new_keys: Int64s
    size_bytes: int


class _Cutter:
    """Computes, for one batch of payloads, how many of them still fit into an aggregate.

    key: int64[m], the index in the route of each payload's key; lengths: int64[m], of the payloads.
    """

    def __init__(self, route: Route, key: Int64s, lengths: Int64s, known: dict[bytes, int]) -> None:
        self._key_bytes = route.field_bytes
        self._key = key
        payload_bytes = field_bytes(lengths)
        # The bytes that a payload adds at a place of one byte, and at one of two.
        self._record_bytes = record_bytes(payload_bytes, place_bytes=1)
        self._record_bytes_far = record_bytes(payload_bytes, place_bytes=2)
        self._mean_bytes = max(1, int(lengths.sum()) // max(1, len(key)))
        # Per key of the route: its position in the aggregate's table, or -1; and scratch to find first occurrences.
        self._place = np.full(len(route.fields), -1, np.int64)
        self._first = np.zeros(len(route.fields), np.int64)
        self._known = len(known)
        if known:
            for which in np.unique(key).tolist():
                self._place[which] = known.get(route.fields[which], -1)

    def forget(self) -> None:
        """Start a new aggregate, with an empty table."""
        self._place.fill(-1)
        self._known = 0

    def fit(self, first: int, *, room: int, room_bytes: int) -> _Fit:
        """Count the payloads from `first` that fit into `room` records and `room_bytes`.

        It may return fewer than would fit; `is_full` is then false.
        """
        ahead = max(0, min(room, room_bytes // self._mean_bytes + _AHEAD))
        key = self._key[first : first + ahead]
        order = np.arange(len(key))
        self._first[key[::-1]] = order[::-1]  # for equal indices the last assignment wins
        is_new = (self._first[key] == order) & (self._place[key] < 0)
        new_keys = key[is_new]
        self._place[new_keys] = self._known + np.arange(len(new_keys))
        places = self._place[key]
        chosen = slice(first, first + ahead)
        growth = np.where(places < PLACES_NEAR, self._record_bytes[chosen], self._record_bytes_far[chosen])
        growth[is_new] += self._key_bytes[new_keys]
        size_bytes = np.cumsum(growth)
        count = int(np.searchsorted(size_bytes, room_bytes, side="right"))
        gained = int(np.count_nonzero(is_new[:count]))
        self._place[new_keys[gained:]] = -1
        self._known += gained
        is_full = count < len(key) or count == room
        grown_bytes = int(size_bytes[count - 1]) if count else 0
        return _Fit(count, is_full, places[:count], new_keys[:gained], grown_bytes)


def check_payloads(
    route: Route, key: Int64s, payloads: Sequence[bytes], lengths: Int64s, *, record_bytes_max: int
) -> None:
    """Raise WindrowError naming the key of a payload that does not fit into a record even alone."""
    overhead = ENVELOPE_BYTES + int(route.field_bytes.max(initial=0)) + _AHEAD
    for at in np.flatnonzero(lengths + overhead > record_bytes_max).tolist():
        field, payload = route.fields[key[at]], payloads[at]
        key_octets = key_in(field)
        size_bytes = len(payload) + len(key_octets)
        if not may_be_plain(payload):
            body = aggregate_body([field], np.zeros(1, np.int64), [payload], lengths_of([payload]))
            size_bytes = len(body) + ENVELOPE_BYTES
        if size_bytes > record_bytes_max:
            message = f"{key_octets.decode()!r}: a payload of {len(payload)} bytes exceeds the stream's record limit"
            raise WindrowError(message, hint=f"a record with its key holds at most {record_bytes_max} bytes")


def may_be_plain(payload: bytes) -> bool:
    """Return whether the payload can be a record of its own without looking like an aggregate."""
    return not payload.startswith(MAGIC)
