"""How far the consumer has read a stream, derived from the keys it wrote.

The keys under partials/ and quarantine/ name the first and the last record of the batch they came from, and batches of
a shard are consumed in order. Sequence numbers have gaps, so the only possible question is "has it reached this one?".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from windrow.lake.layout import PARTIALS, Origin, parse_partial_key, parse_quarantine_key


@dataclass(frozen=True, slots=True)
class Frontier:
    """The progress of the consumer, from one listing.

    reached: for each shard the highest sequence number that a batch with an object ended with; objects: the number of
    objects of the stream.
    """

    reached: Mapping[str, int] = field(default_factory=dict)
    objects: int = 0

    def shards_behind(self, produced: Mapping[str, int]) -> tuple[str, ...]:
        """Return the shards whose last number in `produced` no batch has reached, ascending."""
        return tuple(sorted(shard for shard, last in produced.items() if self.reached.get(shard, -1) < last))


def frontier_of(keys: Iterable[str], *, stream: str) -> Frontier:
    """Compute the frontier of `stream` from the keys under partials/ and quarantine/; ValueError for any other key."""
    reached: dict[str, int] = {}
    objects = 0
    for origin in map(_origin, keys):
        if origin.stream == stream:
            reached[origin.shard] = max(origin.last, reached.get(origin.shard, origin.last))
            objects += 1
    return Frontier(reached, objects)


def is_drained(before: Frontier, now: Frontier, *, produced: Mapping[str, int]) -> bool:
    """Return whether everything up to `produced` (last sequence number by shard) is in the lake.

    A batch becomes several objects, written concurrently, so one of them does not prove that the others are there yet.
    Therefore two listings, some time apart, must both have reached the end and be equal.
    """
    return not now.shards_behind(produced) and before == now


def _origin(key: str) -> Origin:
    return parse_partial_key(key).origin if key.startswith(PARTIALS) else parse_quarantine_key(key).origin
