"""The dashboard's rows in memory, as columns: read once, and again only if they change.

A refresh lists the lineages. It reads those with a new ETag, and the rows of a window only if its `rows_sha256` has
changed. So a refresh costs as much as there is new, not as much as is shown. If a range has more rows than fit, it is
shown by hours, whose rows have the same columns.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analytics.abandon import Check, always_wanted, held
from analytics.frames import epoch_ms
from analytics.objects import window_etags
from analytics.presets import range_values
from analytics.query import Query
from analytics.result import Engine
from analytics.tables import AGGREGATES, AGGREGATES_1H, WINDOWS
from windrow.errors import WindrowError
from windrow.lake.store import ObjectStore
from windrow.period import HOUR_MS
from windrow.quantities import TEMPERATURE, Quantity
from windrow.timerange import TimeRange
from windrow.window import WINDOW_MS

ROWS_HELD_MAX = 25_000_000
"""The most rows in memory, 24 bytes each: a week of 12,000 sensors or, by hours, a day of a million."""
ROWS_AT_ONCE = 500_000
WINDOWS_AT_ONCE = 72
LINEAGES_AT_ONCE = 288

_LINEAGE_COLUMNS = (
    "revision",
    "readings",
    "sensors",
    "sensors_expected",
    "late",
    "duplicates_removed",
    "conflicts",
    "quarantined",
    "is_final",
    "rows_sha256",
    "silences_etag",
)
_IN_RANGE = """dt BETWEEN :first_dt AND :last_dt
  AND hour BETWEEN :hour_min AND :hour_max
  AND window_start >= CAST(:start AS TIMESTAMP)
  AND window_start < CAST(:end AS TIMESTAMP)"""
_LINEAGES_SQL = f"SELECT window_start, {', '.join(_LINEAGE_COLUMNS)} FROM windows WHERE {_IN_RANGE}"  # noqa: S608
_ROWS_SQL = (
    "SELECT window_start, sensor_id, readings, sum_milli, min_milli, max_milli "  # noqa: S608 - our own names
    f"FROM {{table}} WHERE {_IN_RANGE}\n  AND quantity = :quantity AND unit = :unit ORDER BY window_start, sensor_id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageSummary:
    """The columns of a window's lineage that the dashboard shows."""

    start_ms: int
    revision: int
    readings: int
    sensors: int
    sensors_expected: int | None
    late: int
    duplicates_removed: int
    conflicts: int
    quarantined: int
    is_final: bool
    rows_sha256: str
    silences_etag: str | None


@dataclass(frozen=True, slots=True, eq=False)
class WindowRows:
    """The k rows of a window or hour. sensor: int32[k], positions in `Snapshot.sensor_ids`; values in thousandths."""

    start_ms: int
    sensor: npt.NDArray[np.int32]
    readings: npt.NDArray[np.int32]
    sum_milli: npt.NDArray[np.int64]
    min_milli: npt.NDArray[np.int32]
    max_milli: npt.NDArray[np.int32]

    def __len__(self) -> int:
        """Return the number of rows, which is the number of sensors."""
        return len(self.sensor)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The lineages of a range, and its rows by windows of `length_ms`, ascending; windows without rows are left out.

    Snapshots with different content have a different `version`. `sensor_ids` only ever grows.
    """

    time_range: TimeRange
    version: int
    lineages: tuple[LineageSummary, ...]
    rows: tuple[WindowRows, ...]
    sensor_ids: Sequence[str]
    length_ms: int = WINDOW_MS


@dataclass(frozen=True, slots=True)
class _NeededRows:
    """The rows that a range needs: the table, and the start of each window or hour -> a fingerprint of its content."""

    table: str
    length_ms: int
    fingerprints: Mapping[int, str]


class RowCache:
    """The rows in memory; safe for several threads, of which one refreshes at a time."""

    def __init__(
        self, engine: Engine, results: ObjectStore, lock: threading.Lock, *, quantity: Quantity = TEMPERATURE
    ) -> None:
        """Ask `engine` for the rows of `quantity` while holding `lock`; list the lineages in the `results` bucket."""
        self._quantity = quantity
        self._engine = engine
        self._results = results
        self._lock = lock
        self._etags: dict[int, str] = {}
        self._lineages: dict[int, LineageSummary] = {}
        self._rows: dict[tuple[str, int], WindowRows] = {}
        self._fingerprints: dict[tuple[str, int], str] = {}
        self._places: dict[str, int] = {}
        self._sensor_ids: list[str] = []
        self._newest_ids: tuple[npt.NDArray[Any], npt.NDArray[np.int32]] | None = None
        self._version = 0

    def refresh(
        self,
        time_range: TimeRange,
        on_progress: Callable[[int, int], object] = lambda *_: None,
        check: Check = always_wanted,
    ) -> Snapshot:
        """Bring the windows that start in `time_range` up to date, and return them.

        `on_progress` is called with the number of windows that are loaded, and of all. WindrowError if the range has
        more rows than ROWS_HELD_MAX, even by hours. What `check` raises between two steps ends the refresh; what was
        read before stays.
        """
        with held(self._lock, check):
            lineages = self._refresh_lineages(time_range, check)
            needed = self._needed_rows(time_range, lineages)
            stale = [
                start for start, digest in needed.fingerprints.items() if self._fingerprint_of(needed, start) != digest
            ]
            self._version += bool(stale)  # before anything can end the refresh halfway
            for start_ms in [start for table, start in self._rows if table == needed.table]:
                if start_ms in stale or (_is_in(time_range, start_ms) and start_ms not in needed.fingerprints):
                    self._forget(needed.table, start_ms)
            sensors = max((lineage.sensors for lineage in lineages), default=0)
            self._make_room(time_range, needed, rows_more=len(stale) * sensors)
            at_once = max(1, min(WINDOWS_AT_ONCE, ROWS_AT_ONCE // max(1, sensors)))
            for run in _runs(stale, step_ms=needed.length_ms, at_once=at_once):
                check()
                self._load_rows(run, needed)
                loaded = sum((needed.table, start) in self._rows for start in needed.fingerprints)
                on_progress(loaded, len(needed.fingerprints))
            found = [self._rows.get((needed.table, start_ms)) for start_ms in needed.fingerprints]
            rows = tuple(one for one in found if one is not None)
            return Snapshot(time_range, self._version, lineages, rows, self._sensor_ids, needed.length_ms)

    def _refresh_lineages(self, time_range: TimeRange, check: Check) -> tuple[LineageSummary, ...]:
        """Read the lineages of the range that have changed, and return all."""
        found = window_etags(WINDOWS, time_range, self._results, check)
        changed = [start_ms for start_ms, etag in found.items() if self._etags.get(start_ms) != etag]
        for start_ms in [start for start in self._etags if _is_in(time_range, start) and start not in found]:
            del self._etags[start_ms], self._lineages[start_ms]
            self._version += 1
        for run in _runs(changed, step_ms=WINDOW_MS, at_once=LINEAGES_AT_ONCE):
            check()
            for lineage in self._lineages_between(run[0], run[-1] + WINDOW_MS):
                self._lineages[lineage.start_ms] = lineage
        self._etags |= {start_ms: found[start_ms] for start_ms in changed if start_ms in self._lineages}
        self._version += bool(changed)
        return tuple(self._lineages[start_ms] for start_ms in found if start_ms in self._lineages)

    def _lineages_between(self, start_ms: int, end_ms: int) -> Iterator[LineageSummary]:
        frame = self._engine.run(Query.bind(_LINEAGES_SQL, range_values(TimeRange(start_ms, end_ms)))).frame
        columns = [frame[name].tolist() for name in _LINEAGE_COLUMNS]
        for start, *values in zip(epoch_ms(frame["window_start"]), *columns, strict=True):
            if start is not None:
                plain: list[Any] = [None if value is pd.NA else value for value in values]
                yield LineageSummary(start_ms=start, **dict(zip(_LINEAGE_COLUMNS, plain, strict=True)))

    def _needed_rows(self, time_range: TimeRange, lineages: Sequence[LineageSummary]) -> _NeededRows:
        """Return the windows of the range or, if they have too many rows, its hours; WindrowError if both have."""
        rows = sum(lineage.sensors for lineage in lineages)
        if rows <= ROWS_HELD_MAX:
            fingerprints = {lineage.start_ms: lineage.rows_sha256 for lineage in lineages if lineage.sensors}
            return _NeededRows(AGGREGATES.name, WINDOW_MS, fingerprints)
        hours = window_etags(AGGREGATES_1H, time_range, self._results)
        by_hour = len(hours) * max(lineage.sensors for lineage in lineages)
        if by_hour > ROWS_HELD_MAX or not hours:
            raise WindrowError(
                f"the range has {rows:,} rows, more than the {ROWS_HELD_MAX:,} that the dashboard holds"
                + (f", and {by_hour:,} by hours" if hours else ", and no hours are rolled"),
                hint="choose a shorter range",
            )
        return _NeededRows(AGGREGATES_1H.name, HOUR_MS, hours)

    def _fingerprint_of(self, needed: _NeededRows, start_ms: int) -> str | None:
        return self._fingerprints.get((needed.table, start_ms))

    def _load_rows(self, run: Sequence[int], needed: _NeededRows) -> None:
        """Read the rows of adjacent windows; if that fails, keep none of them."""
        values = range_values(TimeRange(run[0], run[-1] + needed.length_ms)) | {
            "quantity": self._quantity.name,
            "unit": self._quantity.unit,
        }
        loaded: dict[int, WindowRows] = {}
        for page in self._engine.pages(Query.bind(_ROWS_SQL.format(table=needed.table), values)):
            starts = page.frame["window_start"].astype("int64").to_numpy()  # of datetime64[ms, UTC]
            cuts = np.flatnonzero(np.diff(starts, prepend=-1))
            for first, last in zip(cuts, [*cuts[1:], len(starts)][: len(cuts)], strict=True):  # none of an empty page
                rows = self._columns(int(starts[first]), page.frame.iloc[first:last])
                before = loaded.get(rows.start_ms)
                loaded[rows.start_ms] = rows if before is None else _joined(before, rows)
        for start_ms in run:
            self._fingerprints[needed.table, start_ms] = needed.fingerprints[start_ms]
            if start_ms in loaded:
                self._rows[needed.table, start_ms] = loaded[start_ms]

    def _columns(self, start_ms: int, frame: pd.DataFrame) -> WindowRows:
        return WindowRows(
            start_ms,
            self._places_of(frame["sensor_id"].to_numpy(object)),
            frame["readings"].to_numpy(np.int32),
            frame["sum_milli"].to_numpy(np.int64),
            frame["min_milli"].to_numpy(np.int32),
            frame["max_milli"].to_numpy(np.int32),
        )

    def _places_of(self, sensor_ids: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        """Return the position of each id, and add new ids. Usually the ids are those of the previous call."""
        if self._newest_ids is not None and np.array_equal(self._newest_ids[0], sensor_ids):
            return self._newest_ids[1]
        for sensor_id in sensor_ids:
            if sensor_id not in self._places:
                self._places[sensor_id] = len(self._sensor_ids)
                self._sensor_ids.append(sensor_id)
        places = np.fromiter(map(self._places.__getitem__, sensor_ids), np.int32, len(sensor_ids))
        self._newest_ids = (sensor_ids, places)
        return places

    def _make_room(self, time_range: TimeRange, needed: _NeededRows, *, rows_more: int) -> None:
        """Forget rows that are not needed, the farthest from the range first, until `rows_more` fit."""
        held = rows_more + sum(map(len, self._rows.values()))
        middle_ms = (time_range.start_ms + time_range.end_ms) // 2
        for table, start_ms in sorted(self._rows, key=lambda key: -abs(key[1] - middle_ms)):
            if held <= ROWS_HELD_MAX:
                break
            if table != needed.table or start_ms not in needed.fingerprints:
                held -= len(self._rows[table, start_ms])
                self._forget(table, start_ms)

    def _forget(self, table: str, start_ms: int) -> None:
        self._rows.pop((table, start_ms), None)
        self._fingerprints.pop((table, start_ms), None)


def _is_in(time_range: TimeRange, start_ms: int) -> bool:
    return time_range.start_ms <= start_ms < time_range.end_ms


def _joined(before: WindowRows, after: WindowRows) -> WindowRows:
    return WindowRows(
        before.start_ms,
        np.concatenate([before.sensor, after.sensor]),
        np.concatenate([before.readings, after.readings]),
        np.concatenate([before.sum_milli, after.sum_milli]),
        np.concatenate([before.min_milli, after.min_milli]),
        np.concatenate([before.max_milli, after.max_milli]),
    )


def _runs(starts: Iterable[int], *, step_ms: int, at_once: int) -> list[list[int]]:
    """Group starts, in any order, into runs that are `step_ms` apart, each of at most `at_once`."""
    runs: list[list[int]] = []
    for start_ms in sorted(starts):
        if runs and start_ms == runs[-1][-1] + step_ms and len(runs[-1]) < at_once:
            runs[-1].append(start_ms)
        else:
            runs.append([start_ms])
    return runs
