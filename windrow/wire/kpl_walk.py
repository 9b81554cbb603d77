"""Finding the payloads in many aggregated records at once, with numpy, if the records have the usual shape.

The usual shape is first the keys, then records of a key index, a hash key index if any, and a payload:

    0A <length> <key> ... 12 <length> <hash key> ...
    1A <length> 08 <key index> [10 <hash key index>] 1A <length> <payload> ...

Lengths and indices are varints of at most three bytes, and of one byte in the keys. A body has this shape only if
every byte of it is accounted for; then it can be read in one way only, the way of `windrow.wire.kpl.deaggregate`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from windrow.columns.arrays import Int64s, Mask, Octets
from windrow.columns.strings import is_utf8, offsets_of
from windrow.columns.words import ROWS_AT_ONCE

_KEY = 0x0A
_HASH_KEY = 0x12
_RECORD = 0x1A
_KEY_INDEX = 0x08
_HASH_KEY_INDEX = 0x10
_PAYLOAD = 0x1A
_LOW_BITS = 0x7F  # of a byte of a varint; the high bit says that another byte follows
_VARINT_OCTETS_MAX = 3
# This many bytes and a mask over them fit into a core's own cache.
_OCTETS_AT_ONCE = 262_144


@dataclass(frozen=True, slots=True, eq=False)
class AggregateBodies:
    """The protobuf messages of m aggregates: message i is `octets[starts[i]:ends[i]]`, ascending, without overlap.

    octets: uint8, PADDING_OCTETS longer than the last end; starts, ends: int64[m].
    """

    octets: Octets
    starts: Int64s
    ends: Int64s


@dataclass(frozen=True, slots=True, eq=False)
class UserRecordSpans:
    """Where n user records are: record i, of message `owner[i]`, extends from `at[i]` to the end of its payload.

    hash_key_index is -1 where there is none. All int64[n], ascending by `at`.
    """

    owner: Int64s
    at: Int64s
    key_index: Int64s
    hash_key_index: Int64s
    payload_start: Int64s
    payload_length: Int64s

    @property
    def payload_end(self) -> Int64s:
        """The end of each record, which is the end of its payload: int64[n]."""
        return self.payload_start + self.payload_length

    def take(self, chosen: Mask) -> "UserRecordSpans":
        """Return the records where `chosen` is true: bool[n]."""
        if chosen.all():
            return self
        return UserRecordSpans(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @classmethod
    def concat(cls, batches: Sequence["UserRecordSpans"]) -> Self:
        """Join the records of `batches`, at least one, in their order."""
        return cls(*(np.concatenate([getattr(one, field.name) for one in batches]) for field in fields(cls)))


def walk(bodies: AggregateBodies) -> tuple[UserRecordSpans, Mask]:
    """Return the records of all messages of the usual shape, and which messages have it: bool[m].

    A message with an index beyond its keys, or with keys that are not UTF-8, counts as not having it.
    """
    if not len(bodies.starts):
        return UserRecordSpans(*[bodies.starts] * 6), np.zeros(0, bool)
    records = _record_like(bodies)
    is_usual, keys_end = _chained(bodies, records)
    keys = _keys(bodies, np.where(is_usual, keys_end, bodies.starts))
    is_usual &= keys.is_sound
    is_beyond = records.key_index >= keys.count[records.owner]
    is_beyond |= records.hash_key_index >= keys.hash_count[records.owner]
    is_usual[records.owner[is_beyond]] = False
    return records.take(is_usual[records.owner]), is_usual


@dataclass(frozen=True, slots=True, eq=False)
class _Varints:
    """n varints: their values and ends, int64[n], and whether they have at most three bytes, bool[n]."""

    value: Int64s
    end: Int64s
    ok: Mask


def _varints(octets: Octets, at: Int64s) -> _Varints:
    """Read the varints at `at`; usually all have one byte, which takes a single fetch."""
    first = octets[at].astype(np.int64)
    value, end = first & _LOW_BITS, at + 1
    goes_on = first > _LOW_BITS
    for shift in (7, 14):
        if not goes_on.any():
            break
        octet = octets[end].astype(np.int64)
        value += ((octet & _LOW_BITS) << shift) * goes_on
        end += goes_on
        goes_on &= octet > _LOW_BITS
    return _Varints(value, end, ~goes_on)


def _record_like(bodies: AggregateBodies) -> UserRecordSpans:
    """Return everything in a message that looks like a record, which includes all records of the usual shape."""
    key_at = _key_index_tags(bodies.octets, int(bodies.ends[-1]))
    bounds = np.searchsorted(key_at, np.append(bodies.starts, len(bodies.octets)))
    key_at = key_at[bounds[0] :]
    owner = np.repeat(np.arange(len(bodies.starts)), np.diff(bounds))
    chunks = range(0, max(1, len(key_at)), ROWS_AT_ONCE)
    return UserRecordSpans.concat(
        [_parse(bodies, owner[i : i + ROWS_AT_ONCE], key_at[i : i + ROWS_AT_ONCE]) for i in chunks]
    )


def _key_index_tags(octets: Octets, end: int) -> Int64s:
    """Return where the tag of a key index is, a byte that JSON never contains: int64, ascending."""
    chunks = range(0, end, _OCTETS_AT_ONCE)
    return np.concatenate(
        [np.flatnonzero(octets[first : min(first + _OCTETS_AT_ONCE, end)] == _KEY_INDEX) + first for first in chunks]
    )


def _parse(bodies: AggregateBodies, owner: Int64s, key_at: Int64s) -> UserRecordSpans:
    """Read the records whose key index has its tag at `key_at`; leave out what is no record of the usual shape."""
    octets = bodies.octets
    length_octets = _length_octets_before(octets, key_at)
    at = key_at - 1 - length_octets
    end = key_at + _varints(octets, at + 1).value
    key_index = _varints(octets, key_at + 1)
    hash_key_index, payload_at = _hash_key_index(octets, key_index)
    payload = _varints(octets, payload_at + 1)
    ok = (length_octets > 0) & key_index.ok & payload.ok & (octets[payload_at] == _PAYLOAD)
    ok &= (at >= bodies.starts[owner]) & (payload.end + payload.value == end) & (end <= bodies.ends[owner])
    return UserRecordSpans(owner, at, key_index.value, hash_key_index, payload.end, payload.value).take(ok)


def _length_octets_before(octets: Octets, key_at: Int64s) -> Int64s:
    """Count the bytes of the length between the tag of a record and `key_at`; 0 if there is no such tag."""
    count = np.zeros(len(key_at), np.int64)
    # Before the last byte of the length is the tag, or another byte of the length with its high bit set.
    could_be = octets[key_at - 1] <= _LOW_BITS
    for octets_of_length in range(1, _VARINT_OCTETS_MAX + 1):
        octet = octets[key_at - 1 - octets_of_length]
        count += (could_be & (octet == _RECORD)) * octets_of_length
        could_be &= octet > _LOW_BITS
        if not could_be.any():
            break
    return count


def _hash_key_index(octets: Octets, key_index: _Varints) -> tuple[Int64s, Int64s]:
    """Return the hash key index, -1 where there is none, and where the next field is."""
    index, end = np.full(len(key_index.end), -1), key_index.end.copy()
    present = np.flatnonzero(octets[end] == _HASH_KEY_INDEX)
    if len(present):
        found = _varints(octets, key_index.end[present] + 1)
        # A longer varint counts as an index beyond every table.
        index[present], end[present] = np.where(found.ok, found.value, np.iinfo(np.int64).max), found.end
    return index, end


def _chained(bodies: AggregateBodies, records: UserRecordSpans) -> tuple[Mask, Int64s]:
    """Return in which messages the records are adjacent to the end, bool[m], and where the first starts, int64[m]."""
    owner = records.owner
    is_first, is_last = _edges(owner)
    next_at = np.append(records.at[1:], 0)[: len(owner)]
    next_at[is_last] = bodies.ends[owner[is_last]]
    is_usual = np.bincount(owner, minlength=len(bodies.ends)) > 0
    is_usual[owner[records.payload_end != next_at]] = False
    keys_end = bodies.starts.copy()
    keys_end[owner[is_first]] = records.at[is_first]
    return is_usual, keys_end


def _edges(owner: Int64s) -> tuple[Mask, Mask]:
    """Return the first and the last row of each owner; `owner` ascends: bool[n] each."""
    changes = np.ones(len(owner) + 1, bool)
    changes[1:-1] = owner[1:] != owner[:-1]
    return changes[:-1], changes[1:]


@dataclass(frozen=True, slots=True, eq=False)
class _KeyCounts:
    """How many keys and hash keys each of m messages has, int64[m], and whether its keys are sound, bool[m].

    Sound means: there is at least one key, all of them are UTF-8, and there is nothing else.
    """

    count: Int64s
    hash_count: Int64s
    is_sound: Mask


def _keys(bodies: AggregateBodies, ends: Int64s) -> _KeyCounts:
    """Read the keys from the start of each message to `ends`: int64[m]."""
    regions = [bodies.octets[start:end] for start, end in zip(bodies.starts.tolist(), ends.tolist(), strict=True)]
    octets = np.concatenate([*regions, np.zeros(1, np.uint8)])
    bounds = offsets_of(ends - bodies.starts)
    at = np.flatnonzero((octets == _KEY) | (octets == _HASH_KEY))
    at = at[np.diff(at, prepend=-2) > 1]  # after a tag comes a length, which may look like a tag
    owner = np.repeat(np.arange(len(regions)), np.diff(np.searchsorted(at, bounds)))
    length = octets[at + 1]
    is_first, is_last = _edges(owner)
    next_at = np.append(at[1:], 0)[: len(at)]
    next_at[is_last] = bounds[1:][owner[is_last]]
    ok = (length <= _LOW_BITS) & (at + 2 + length == next_at)
    ok &= ~is_first | (at == bounds[owner])
    is_sound = (np.bincount(owner, minlength=len(regions)) > 0) & _are_utf8(octets, regions)
    is_sound[owner[~ok]] = False
    is_key = octets[at] == _KEY
    count, hash_count = (np.bincount(owner[mask], minlength=len(regions)) for mask in (is_key, ~is_key))
    return _KeyCounts(count, hash_count, is_sound)


def _are_utf8(octets: Octets, regions: list[Octets]) -> Mask:
    """Return which regions have only UTF-8 keys; tags and lengths are ASCII, so no character spans two keys."""
    if octets.max(initial=0) <= _LOW_BITS:
        return np.ones(len(regions), bool)
    return np.fromiter((is_utf8(region.tobytes()) for region in regions), bool, len(regions))
