"""The open shards of a stream, and which of them a partition key hashes to."""

import hashlib
import itertools
from collections import OrderedDict
from collections.abc import Iterable, Iterator

import numpy as np

from windrow.aws.stream import HASH_KEY_MAX, Shard
from windrow.columns.arrays import Int64s
from windrow.columns.strings import Strings
from windrow.errors import WindrowError
from windrow.quantities import split_series
from windrow.wire.kpl_write import field_bytes, key_field

# Each cached key takes about 100 bytes.
ROUTED_KEYS_MAX = 1 << 20
_LOW_BITS = 64


class ShardMap:
    """The open shards by hash key range: a key goes to the one whose range holds its MD5 as a 128-bit integer."""

    def __init__(self, shards: Iterable[Shard]) -> None:
        """Ignore closed shards; WindrowError if the open ones do not cover every hash key exactly once."""
        self.shards = sorted((shard for shard in shards if shard.is_open), key=lambda shard: shard.first_hash_key)
        firsts = [shard.first_hash_key for shard in self.shards]
        ends = [-1, *(shard.last_hash_key for shard in self.shards)]
        if [end + 1 for end in ends] != [*firsts, HASH_KEY_MAX + 1]:
            listed = ", ".join(shard.shard_id for shard in self.shards) or "none"
            message = f"the open shards do not cover all hash keys: {listed}"
            raise WindrowError(message, hint="the stream is being resharded: try again in a minute")
        self._first_high = np.array([first >> _LOW_BITS for first in firsts], np.uint64)
        self._first_low = np.array([first & 2**_LOW_BITS - 1 for first in firsts], np.uint64)

    @staticmethod
    def hash_key_of(partition_key: str) -> int:
        """Return the MD5 of the key as an integer, as Kinesis computes it."""
        return int.from_bytes(hashlib.md5(partition_key.encode(), usedforsecurity=False).digest())

    def places_of(self, partition_keys: list[bytes]) -> Int64s:
        """Return the index in `shards` of the shard that takes each of k UTF-8 keys: int64[k]."""
        if len(self.shards) == 1:
            return np.zeros(len(partition_keys), np.int64)
        digests = b"".join([hashlib.md5(key, usedforsecurity=False).digest() for key in partition_keys])
        high, low = np.frombuffer(digests, ">u8").astype(np.uint64).reshape(-1, 2).T
        places: Int64s = np.searchsorted(self._first_high, high, side="right") - 1
        while True:  # one round per shard that begins with the same high half: one, except for contrived ranges
            is_below = (high == self._first_high[places]) & (low < self._first_low[places])
            if not is_below.any():
                return places
            places = places - is_below


class Route:
    """The partition keys of a column of series, with the shard of each: the sensor id, whatever is measured.

    fields: k keys in UTF-8, each as a field of an aggregate's table; field_bytes: int64[k], their sizes; places:
    int64[k], the index of each key's shard; first: int64[k], the index of the first key that equals it.
    """

    def __init__(self, series: Strings, shard_map: ShardMap) -> None:
        keys = split_series(series).sensor_ids
        whole = keys.octets.tobytes()
        octets = [whole[first:end] for first, end in itertools.pairwise(keys.offsets.tolist())]
        self.places = shard_map.places_of(octets)
        self.fields = list(map(key_field, octets))
        self.field_bytes = field_bytes(keys.lengths)
        self.first = np.arange(len(keys))
        if len(set(octets)) < len(keys):
            firsts: dict[bytes, int] = {}
            self.first = np.array([firsts.setdefault(key, at) for at, key in enumerate(octets)], np.int64)


class RouteCache:
    """A cache of routes by column of series: a fleet's columns come again and again."""

    def __init__(self, shard_map: ShardMap) -> None:
        self._shard_map = shard_map
        self._routes: OrderedDict[int, tuple[Strings, Route]] = OrderedDict()

    def route(self, series: Strings) -> Route:
        """Return the route of `series`."""
        known = self._routes.pop(id(series), None)  # holding the column keeps its id from being given to another
        if known is None:
            known = series, Route(series, self._shard_map)
        self._routes[id(series)] = known
        while len(self._routes) > 1 and sum(len(column) for column, _ in self._routes.values()) > ROUTED_KEYS_MAX:
            self._routes.popitem(last=False)
        return known[1]


def order_by_place(places: Int64s) -> tuple[Int64s, Int64s]:
    """Return the places, int64[n], sorted, and the position that each had: int64[n] each, equal ones in their order."""
    order = np.argsort(places.astype(np.int16), kind="stable")  # numpy sorts 16 bits by radix
    return places[order], order


def runs_of(places: Int64s) -> Iterator[tuple[int, slice]]:
    """Yield each place that occurs in `places`, int64[n] and sorted, with the positions that have it."""
    bounds = [0, *(np.flatnonzero(np.diff(places)) + 1).tolist(), len(places)]
    for first, end in itertools.pairwise(bounds):
        if first < end:
            yield int(places[first]), slice(first, end)
