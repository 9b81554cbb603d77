"""Backfill: a recording's readings as partials straight in the lake, for windows that have never been rolled.

A window with a lineage is left alone: its partials may have expired, and adding one would freeze it. Each window
becomes one partial, so an interrupted backfill can be run again: what it already wrote has the same key.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from windrow.errors import UsageError
from windrow.lake.layout import MarkerKey, Origin, PartialKey, lineage_key
from windrow.lake.store import ObjectStore, PreconditionFailed, etag_of
from windrow.reading import Readings
from windrow.rows.partial import Partial
from windrow.rows.partial_parquet import DeliveryCounts, encode_partial
from windrow.window import WINDOW_MS, Window

# All of them are sorted in memory, at about 100 bytes each.
READINGS_MAX = 20_000_000
ORIGIN = Origin(stream="backfill", shard="unknown", first=0, last=0)


@dataclass(frozen=True, slots=True)
class BackfillPlan:
    """The partials to write (`create`), and the windows left alone with their numbers of readings (`kept`)."""

    create: tuple[Partial, ...]
    kept: tuple[tuple[Window, int], ...]

    @property
    def readings(self) -> int:
        """Return how many distinct readings are to be written."""
        return sum(map(len, self.create))

    @property
    def readings_left_out(self) -> int:
        """Return how many distinct readings are left out, because their windows have a lineage."""
        return sum(readings for _, readings in self.kept)


def plan_backfill(batches: Iterable[Readings], results: ObjectStore) -> BackfillPlan:
    """Plan a backfill; UsageError for a recording of more than READINGS_MAX readings."""
    taken: list[Readings] = []
    count = 0
    for batch in batches:
        taken.append(batch)
        count += len(batch)
        if count > READINGS_MAX:
            raise UsageError(f"more than {READINGS_MAX:,} readings in one backfill", hint="cut the recording by time")
    create: list[Partial] = []
    kept: list[tuple[Window, int]] = []
    for partial in _partials(Readings.concat(taken)):
        if etag_of(results, lineage_key(partial.window)) is None:
            create.append(partial)
        else:
            kept.append((partial.window, len(partial)))
    return BackfillPlan(tuple(create), tuple(kept))


def _partials(readings: Readings) -> Iterator[Partial]:
    """Yield one partial per window, ascending: like `partials_of`, but for any number of windows."""
    index = readings.event_time_ms // WINDOW_MS
    order = np.argsort(index, kind="stable")
    is_first = np.ones(len(index), bool)
    is_first[1:] = np.diff(index[order]) != 0
    firsts = np.flatnonzero(is_first).tolist()
    for first, end in itertools.pairwise([*firsts, len(index)]):
        yield Partial.of(Window.from_index(int(index[order[first]])), readings.take(order[first:end]))


def write_backfill(partials: Sequence[Partial], lake: ObjectStore) -> int:
    """Write each partial, then the marker that asks for a roll; return how many partials were new."""
    new = 0
    for partial in partials:
        key = PartialKey(window=partial.window, origin=ORIGIN, digest=partial.digest)
        new += _put_new(lake, str(key), encode_partial(partial, DeliveryCounts()))
        _put_new(lake, str(MarkerKey(window=partial.window, digest=partial.digest)), b"")
    return new


def _put_new(lake: ObjectStore, key: str, body: bytes) -> bool:
    try:
        lake.put(key, body, if_absent=True)
    except PreconditionFailed:
        return False
    return True
