"""What a consumer made with Amazon's KCL gets to see of a stream, shard by shard.

After AggregatorUtil.deaggregate of the KCL 3.4.2, and runs of it against our own records across a split:

- an aggregate is left out whole at the first user record whose hash key, the explicit one or else the MD5 of its
  partition key, is outside the range of the shard that it is read from, both ends of which belong to it;
- whatever is no sound aggregate (no magic, or another MD5) is one record, and is never left out;
- closed shards are read like open ones, each with its own range.

A KCL that runs while a stream is resharded leaves out nothing of a child that its list of shards does not name yet;
one that reads later does. This is the later one, the stricter.

The walk over the bytes is the simulation's own; nothing here asks the code under test.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from tests.simulation.payloads import MAGIC, fields_of, index_of, walk
from tests.simulation.simulated_kinesis import HeldRecord, StreamState


@dataclass(frozen=True, slots=True)
class Range:
    """The hash keys of a shard, both ends inclusive."""

    first: int
    last: int


def kcl_payloads(records: Iterable[tuple[str, bytes]], ranges: dict[str, Range]) -> list[bytes]:
    """The payloads of (shard id, body) that the application is given."""
    seen = (body for shard_id, body in records if not is_left_out(body, ranges[shard_id]))
    return [payload for body in seen for payload in (walk(body) if is_aggregate(body) else [body])]


def seen_by_kcl(stream: StreamState) -> list[HeldRecord]:
    """The records that the application is given anything of, which is all of them but for aggregates left out."""
    ranges = {shard.shard_id: Range(shard.first_hash_key, shard.last_hash_key) for shard in stream.shards.values()}
    return [record for record in stream.records if not is_left_out(record.body, ranges[record.shard_id])]


def is_aggregate(body: bytes) -> bool:
    """Whether the KCL takes it apart: magic, and the MD5 of what is between."""
    if not body.startswith(MAGIC) or len(body) < len(MAGIC) + 16:
        return False
    return hashlib.md5(body[len(MAGIC) : -16], usedforsecurity=False).digest() == body[-16:]


def is_left_out(body: bytes, shard: Range) -> bool:
    """Whether the application gets nothing of a record of this shard."""
    if not is_aggregate(body):
        return False
    aggregate = fields_of(body[len(MAGIC) : -16])
    keys, hash_keys = aggregate.get(1, []), aggregate.get(2, [])
    for one in aggregate.get(3, []):
        explicit = index_of(one, 2)
        hash_key = _md5(keys[index_of(one, 1) or 0]) if explicit is None else int(hash_keys[explicit])
        if not shard.first <= hash_key <= shard.last:
            return True
    return False


def _md5(key: bytes) -> int:
    return int.from_bytes(hashlib.md5(key, usedforsecurity=False).digest())
