"""A late partial of a window that is rolled already: python -m bench.rollup_late FOLDER, in a process of its own.

The window's partials are files (bench.rollup_window); what is written is held in memory. Prints JSON.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import dispatcher.rows
from bench.measure import peak_mb
from bench.rollup_window import WINDOW, FolderStore
from dispatcher.due import DueReason, DueWindow
from dispatcher.observation import Buckets, Observation, observe_lineage
from dispatcher.report import RollOutcome
from dispatcher.roll import roll_window
from dispatcher.roller import Roller
from dispatcher.united import UnionWriter
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from windrow.columns.strings import Strings
from windrow.lake.layout import MarkerKey, Origin, PartialKey, lineage_key, partials_prefix, rows_key, unions_prefix
from windrow.lake.store import Body, CountingStore, ListedObject, StoredObject, etag_of
from windrow.lifetimes import Lifetimes
from windrow.reading import Readings
from windrow.rows.partial import Partial
from windrow.rows.partial_parquet import DeliveryCounts, encode_partial
from windrow.window import Window

LIFETIMES = Lifetimes.of_hours(lateness_horizon_hours=168, stream_retention_hours=24, late_roll_minutes=60)
FIRST_TICK_MS = WINDOW.end_ms + 120_000
LATE_TICK_MS = FIRST_TICK_MS + 86_400_000
SENSOR = "site-07/sensor-0000007"


class Overlay:
    """The folder's partials, and on top of them everything that is written."""

    def __init__(self, folder: Path) -> None:
        self._files = FolderStore(folder)
        self._written = SimulatedStore(S3State().apply, "lake")

    def get(self, key: str) -> StoredObject | None:
        return self._written.get(key) or self._files.get(key)

    def put(self, key: str, body: Body, *, if_match: str | None = None, if_absent: bool = False) -> str:
        return self._written.put(key, body, if_match=if_match, if_absent=if_absent)

    def delete(self, key: str) -> None:
        self._written.delete(key)

    def delete_all(self, keys: Iterable[str]) -> None:
        self._written.delete_all(keys)

    def list_objects(self, prefix: str) -> Iterator[ListedObject]:
        both = [*self._files.list_objects(prefix), *self._written.list_objects(prefix)]
        return iter(sorted(both, key=lambda one: one.key))

    def list_prefixes(self, prefix: str, *, delimiter: str = "/") -> Iterator[str]:
        return self._files.list_prefixes(prefix, delimiter=delimiter)


class TimedWriter(UnionWriter):
    """The writer of united sets, and the CPU time that it took."""

    cpu_seconds = 0.0

    def add(self, partial: Partial, *, first: str | None = None) -> None:
        started = time.process_time()
        super().add(partial, first=first)
        TimedWriter.cpu_seconds += time.process_time() - started


def main() -> None:
    """Roll, add a late partial, roll again, and say what each took."""
    folder = Path(sys.argv[1]) / "ours"
    store, files = Overlay(folder), FolderStore(folder)
    dispatcher.rows.UnionWriter = TimedWriter  # type: ignore[attr-defined]
    with ThreadPoolExecutor(2) as readers:
        first_seconds, _ = _roll(store, readers, FIRST_TICK_MS, ())
        union_seconds = TimedWriter.cpu_seconds
        ranges = list(store.list_objects(unions_prefix(WINDOW)))
        _know_silence(store)
        late = _put_late(store)
        late_seconds, calls = _roll(store, readers, LATE_TICK_MS, (MarkerKey(window=WINDOW, digest=late),))
    found = {
        "first_cpu_seconds": first_seconds,
        "union_cpu_seconds": union_seconds,
        "late_cpu_seconds": late_seconds,
        "late_calls": calls,
        "ranges": len(ranges),
        "union_mb": sum(one.size_bytes for one in ranges) / 1e6,
        "partials_mb": sum(one.size_bytes for one in files.list_objects(partials_prefix(WINDOW))) / 1e6,
        "peak_mb": peak_mb(),
    }
    print(json.dumps(found))


def _roll(
    store: Overlay, readers: ThreadPoolExecutor, scheduled_time_ms: int, markers: tuple[MarkerKey, ...]
) -> tuple[float, dict[str, int]]:
    """CPU seconds and S3 requests of one roll, whose rows' ETag comes from the tick's listing of the day."""
    counting = CountingStore(store)
    buckets = Buckets(lake=counting, results=counting)
    rows_etag = etag_of(store, rows_key(WINDOW))

    def look(buckets: Buckets, window: Window) -> Observation:
        return observe_lineage(buckets, window, rows_etag=rows_etag)

    roller = Roller(buckets=buckets, lifetimes=LIFETIMES, scheduled_time_ms=scheduled_time_ms, mapper=readers.map)
    due = DueWindow(window=WINDOW, reasons=(DueReason.MARKED if markers else DueReason.RECENT,), markers=markers)
    started = time.process_time()
    report = roll_window(roller, due, first_look=look)
    seconds = time.process_time() - started
    assert report.outcome is RollOutcome.ROLLED, report
    assert not report.markers_kept, report
    return seconds, dict(counting.calls)


def _know_silence(store: Overlay) -> None:
    """Write into the lineage what the tick would work out after the roll, so that the late roll need not mark it."""
    lineage = observe_lineage(Buckets(lake=store, results=store), WINDOW, rows_etag=None).lineage
    assert lineage is not None
    store.put(lineage_key(WINDOW), dataclasses.replace(lineage, presence="0" * 32).to_json())


def _put_late(store: Overlay) -> str:
    """Store a partial of 30 more readings of a sensor that the window has; return its digest."""
    count = 30
    readings = Readings(
        Strings.of([SENSOR]),
        np.zeros(count, np.int32),
        WINDOW.start_ms + 9_500 * np.arange(count, dtype=np.int64),
        np.full(count, 1 << 40, np.int64),
        np.full(count, 21_000, np.int32),
    )
    partial = Partial.of(WINDOW, readings)
    origin = Origin(stream="fleet", shard="shardId-000000000000", first=10**9, last=10**9)
    key = PartialKey(window=WINDOW, origin=origin, digest=partial.digest)
    store.put(str(key), encode_partial(partial, DeliveryCounts(late=count)), if_absent=True)
    return partial.digest


if __name__ == "__main__":
    main()
