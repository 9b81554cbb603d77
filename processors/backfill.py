"""Backfill: readings of history as partials straight in the lake, for windows that have never been rolled.

A window with a lineage is left alone: its partials may have expired, and adding one would freeze it. Each window
becomes one partial, so an interrupted backfill can be run again: what it already wrote has the same key.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import numpy as np

from windrow.errors import UsageError
from windrow.lake.backfill_marker import backfill_markers
from windrow.lake.layout import (
    WINDOWS,
    MarkerKey,
    Origin,
    PartialKey,
    day_prefix,
    lineage_key,
    parse_result_key,
)
from windrow.lake.store import ObjectStore, PreconditionFailed
from windrow.reading import Readings
from windrow.rows.partial import Partial
from windrow.rows.partial_parquet import DeliveryCounts, encode_partial
from windrow.window import WINDOW_MS, Window

# All of them are sorted in memory, at about 100 bytes each.
READINGS_MAX = 20_000_000
# Requests at a time: they wait for S3, not for this process.
WRITERS = 16
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
    partials = list(window_partials(Readings.concat(taken)))
    rolled = _rolled([partial.window for partial in partials], results)
    for partial in partials:
        if lineage_key(partial.window) not in rolled:
            create.append(partial)
        else:
            kept.append((partial.window, len(partial)))
    return BackfillPlan(tuple(create), tuple(kept))


def _rolled(windows: Sequence[Window], results: ObjectStore) -> frozenset[str]:
    """Return the keys of all lineages on the days of `windows`: one listing of the days, and one of each that is there.

    A request for each window would take a quarter of an hour for years of hourly readings.
    """
    wanted = {day_prefix(WINDOWS, window.start_ms) for window in windows}
    there = set(results.list_prefixes(WINDOWS)) if wanted else set()
    return frozenset(_lineages(wanted & there, results))


def all_rolled(results: ObjectStore) -> list[Window]:
    """Return all windows that have a lineage, ascending: a listing of each day."""
    return sorted(
        map(parse_result_key, _lineages(results.list_prefixes(WINDOWS), results)), key=lambda one: one.start_ms
    )


def _lineages(days: Iterable[str], results: ObjectStore) -> Iterator[str]:
    with ThreadPoolExecutor(WRITERS) as readers:
        for listed in readers.map(lambda day: [found.key for found in results.list_objects(day)], sorted(days)):
            yield from listed


def window_partials(readings: Readings) -> Iterator[Partial]:
    """Yield one partial per window, ascending: like `partials_of`, but for any number of windows."""
    index = readings.event_time_ms // WINDOW_MS
    order = np.argsort(index, kind="stable")
    is_first = np.ones(len(index), bool)
    is_first[1:] = np.diff(index[order]) != 0
    firsts = np.flatnonzero(is_first).tolist()
    for first, end in itertools.pairwise([*firsts, len(index)]):
        yield Partial.of(Window.from_index(int(index[order[first]])), readings.take(order[first:end]))


def distinct_readings(readings: Readings) -> int:
    """Return how many readings differ in identity or value: by sorting them all, not by window as partials are made."""
    if not len(readings):
        return 0
    _, place = readings.sensor_ids.rank()
    columns = (readings.value_milli, readings.sequence, readings.event_time_ms, place[readings.sensor])
    order = np.lexsort(columns)
    is_other = np.zeros(len(readings) - 1, bool)
    for column in columns:
        is_other |= np.diff(column[order].astype(np.int64)) != 0
    return 1 + int(is_other.sum())


def write_backfill(
    partials: Sequence[Partial],
    lake: ObjectStore,
    *,
    on_progress: Callable[[int, int], object] = lambda _done, _total: None,
) -> int:
    """Write the partials of WINDOWS_MAX windows, then the marker that asks for their rolls, and so on.

    Return how many partials were new. WRITERS at a time; `on_progress` gets how many of how many windows are written,
    after each one. A marker stands behind all that it names: who finds it finds them.
    """
    by_marker = {MarkerKey(window=partial.window, digest=partial.digest): partial for partial in partials}
    new = done = 0
    with ThreadPoolExecutor(WRITERS) as writers:
        try:
            for key, text, markers in backfill_markers(by_marker):
                futures = [writers.submit(_write, by_marker[marker], lake) for marker in markers]
                for future in as_completed(futures):
                    new += future.result()
                    done += 1
                    on_progress(done, len(partials))
                _put_new(lake, key, text)
        except BaseException:
            writers.shutdown(cancel_futures=True)
            raise
    return new


def _write(partial: Partial, lake: ObjectStore) -> bool:
    key = PartialKey(window=partial.window, origin=ORIGIN, digest=partial.digest)
    return _put_new(lake, str(key), encode_partial(partial, DeliveryCounts()))


def _put_new(lake: ObjectStore, key: str, body: bytes) -> bool:
    try:
        lake.put(key, body, if_absent=True)
    except PreconditionFailed:
        return False
    return True
