"""The panels of the dashboard, computed from a snapshot of rows: plain lists and numbers, ready for JSON.

Temperatures are in °C, times in ms since the epoch. Means have MEAN_DECIMALS; every reading weighs the same in them.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analytics.means import MEAN_DECIMALS, rounded_mean
from analytics.row_cache import Snapshot, WindowRows
from analytics.silences import SilenceNow
from windrow.window import WINDOW_MS

POINTS_MAX = 600
HEATMAP_COLUMNS_MAX = 96
PAGE_SENSORS_MAX = 200
MOVERS = 8
SILENT_SHOWN_MAX = 100
SORTS = ("name", "hottest", "coldest", "rising", "falling", "silent")

NOBODY = SilenceNow()

Json = dict[str, Any]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SensorSummaries:
    """Columns with one value for each of the s sensors; NaN, or -1 in `last_row`, if it has no row in the range.

    first_c, last_c: float64[s], means of its first and last window; min_c, max_c: float64[s];
    last_row: int32[s], the position of its last window in `Snapshot.rows`.
    """

    first_c: Floats
    last_c: Floats
    min_c: Floats
    max_c: Floats
    last_row: npt.NDArray[np.int32]

    @property
    def change_c(self) -> Floats:
        """The last mean minus the first."""
        change_c: Floats = self.last_c - self.first_c
        return change_c

    @property
    def is_heard(self) -> npt.NDArray[np.bool_]:
        """Whether the sensor has any row."""
        heard: npt.NDArray[np.bool_] = self.last_row >= 0
        return heard


def summarize_sensors(snapshot: Snapshot) -> SensorSummaries:
    """Summarize every sensor in one pass over the windows.

    Adjacent windows usually have the same sensors; these are handled together.
    """
    count = len(snapshot.sensor_ids)
    first_c, last_c = np.full(count, np.nan), np.full(count, np.nan)
    low, high = np.full(count, np.iinfo(np.int32).max), np.full(count, np.iinfo(np.int32).min)
    last_row = np.full(count, -1, np.int32)
    place = -1
    for _, same in itertools.groupby(snapshot.rows, key=lambda rows: id(rows.sensor)):
        run = list(same)
        place += len(run)
        sensor = run[0].sensor
        is_new = last_row[sensor] < 0
        first_c[sensor[is_new]] = _mean_c(run[0])[is_new]
        last_c[sensor] = _mean_c(run[-1])
        last_row[sensor] = place
        low[sensor] = np.minimum(low[sensor], functools.reduce(np.minimum, (rows.min_milli for rows in run)))
        high[sensor] = np.maximum(high[sensor], functools.reduce(np.maximum, (rows.max_milli for rows in run)))
    is_heard = last_row >= 0
    return SensorSummaries(
        first_c=first_c,
        last_c=last_c,
        min_c=np.where(is_heard, low / 1000.0, np.nan),
        max_c=np.where(is_heard, high / 1000.0, np.nan),
        last_row=last_row,
    )


def _mean_c(rows: WindowRows) -> Floats:
    mean_c: Floats = rows.sum_milli / (rows.readings * 1000.0)
    return mean_c


def fleet(snapshot: Snapshot) -> Json:
    """Return the fleet over time, in columns of equal length; in a long range, a step has several windows."""
    groups = _grouped(snapshot.rows, columns_max=POINTS_MAX, snapshot=snapshot)
    readings = [sum(int(rows.readings.sum(dtype=np.int64)) for rows in group) for _, group in groups]
    sums = [sum(int(rows.sum_milli.sum()) for rows in group) for _, group in groups]
    return {
        "t": [start_ms for start_ms, _ in groups],
        "step_ms": _step_ms(snapshot, POINTS_MAX),
        "mean": [rounded_mean(total / (1000 * count)) for total, count in zip(sums, readings, strict=True)],
        "min": [min(int(rows.min_milli.min()) for rows in group) / 1000 for _, group in groups],
        "max": [max(int(rows.max_milli.max()) for rows in group) / 1000 for _, group in groups],
        "sensors": [max(len(rows) for rows in group) for _, group in groups],
        "readings": readings,
    }


def completeness(snapshot: Snapshot) -> Json:
    """Return the lineages, window by window, and the windows between the first and the last that have none.

    sensors: those with a row of the shown quantity; series, expected: of every quantity, as the lineages count them. By
    hours, `sensors` are the series too.
    """
    lineages = snapshot.lineages
    sensors = {rows.start_ms: len(rows) for rows in snapshot.rows}
    is_by_window = snapshot.length_ms == WINDOW_MS
    missing: list[int] = []
    if lineages:
        rolled = {lineage.start_ms for lineage in lineages}
        every = range(lineages[0].start_ms, lineages[-1].start_ms, WINDOW_MS)
        missing = [start_ms for start_ms in every if start_ms not in rolled]
    return {
        "t": [lineage.start_ms for lineage in lineages],
        "sensors": [sensors.get(one.start_ms, 0) if is_by_window else one.sensors for one in lineages],
        "series": [lineage.sensors for lineage in lineages],
        "expected": [lineage.sensors_expected for lineage in lineages],
        "readings": [lineage.readings for lineage in lineages],
        "late": [lineage.late for lineage in lineages],
        "duplicates": [lineage.duplicates_removed for lineage in lineages],
        "conflicts": [lineage.conflicts for lineage in lineages],
        "quarantined": [lineage.quarantined for lineage in lineages],
        "revision": [lineage.revision for lineage in lineages],
        "is_final": [lineage.is_final for lineage in lineages],
        "missing": missing,
    }


def movers(snapshot: Snapshot, sensors: SensorSummaries) -> Json:
    """Return the sensors whose mean rose and fell most from their first to their last window."""
    change_c = np.where(sensors.is_heard, sensors.change_c, np.nan)
    rising = [place for place in _greatest(change_c, MOVERS) if change_c[place] > 0]
    falling = [place for place in _greatest(-change_c, MOVERS) if change_c[place] < 0]

    def mover(place: int) -> Json:
        return {
            "sensor": snapshot.sensor_ids[place],
            "first": _rounded(sensors.first_c[place]),
            "last": _rounded(sensors.last_c[place]),
            "change": _rounded(change_c[place]),
        }

    return {"rising": list(map(mover, rising)), "falling": list(map(mover, falling))}


def silent(now: SilenceNow) -> Json:
    """Return who is silent, by name and since when: the first SILENT_SHOWN_MAX, and how many there are of each kind."""
    return {
        "at": now.at_ms,
        "is_outage": now.is_outage,
        "heard": now.sensors,
        "expected": now.expected,
        "count": now.count,
        "silent": len(now.silent),
        "gone": len(now.gone),
        "missing": len(now.missing),
        "sensors": [
            {"sensor": one.sensor_id, "heard": one.heard_ms, "state": one.state} for one in now.all[:SILENT_SHOWN_MAX]
        ],
    }


def heatmap(
    snapshot: Snapshot,
    sensors: SensorSummaries,
    *,
    search: str,
    sort: str,
    page: int,
    per_page: int,
    now: SilenceNow = NOBODY,
) -> Json:
    """Return a page of the sensors whose ids contain `search`, sorted by `sort`, with their means over time.

    The order "silent" has only those that are silent `now`, in the order of their panel.
    """
    found = page_of(snapshot, sensors, search=search, sort=sort, page=page, per_page=per_page, now=now)
    places = found.places
    groups = _grouped(snapshot.rows, columns_max=HEATMAP_COLUMNS_MAX, snapshot=snapshot)
    return {
        "t": [start_ms for start_ms, _ in groups],
        "step_ms": _step_ms(snapshot, HEATMAP_COLUMNS_MAX),
        "total": found.total,
        "page": found.page,
        "per_page": per_page,
        "sensors": [snapshot.sensor_ids[place] for place in places],
        "last": [_rounded(sensors.last_c[place]) for place in places],
        "min": [_rounded(sensors.min_c[place]) for place in places],
        "max": [_rounded(sensors.max_c[place]) for place in places],
        "change": [_rounded(sensors.change_c[place]) for place in places],
        "mean": _means(groups, places, len(snapshot.sensor_ids)),
    }


@dataclass(frozen=True, slots=True, eq=False)
class SensorPage:
    """A page of sensors: their positions in `Snapshot.sensor_ids`, its number, and how many sensors all pages have."""

    places: npt.NDArray[np.int64]
    page: int
    total: int


def page_of(
    snapshot: Snapshot,
    sensors: SensorSummaries,
    *,
    search: str,
    page: int,
    per_page: int,
    sort: str = "name",
    now: SilenceNow = NOBODY,
) -> SensorPage:
    """Return a page of the sensors whose ids contain `search`; the last page if there are fewer."""
    found = _found(snapshot, sensors, search=search, sort=sort, now=now)
    number = max(0, min(page, math.ceil(len(found) / per_page) - 1))
    return SensorPage(found[number * per_page : (number + 1) * per_page], number, len(found))


def _means(groups: "Groups", places: npt.NDArray[np.int64], count: int) -> list[list[float | None]]:
    """Return for each of the sensors at `places` its mean in each group of windows, None if it has no row there."""
    row_of = np.full(count, -1, np.int32)
    row_of[places] = np.arange(len(places))
    sums, readings = np.zeros((len(places), len(groups))), np.zeros((len(places), len(groups)))
    for column, (_, group) in enumerate(groups):
        for rows in group:
            row = row_of[rows.sensor]
            is_shown = row >= 0
            sums[row[is_shown], column] += rows.sum_milli[is_shown]
            readings[row[is_shown], column] += rows.readings[is_shown]
    with np.errstate(invalid="ignore"):
        means = np.round(sums / (readings * 1000), MEAN_DECIMALS)
    return [[None if value != value else value for value in row] for row in means.tolist()]  # noqa: PLR0124 - NaN


def _found(
    snapshot: Snapshot, sensors: SensorSummaries, *, search: str, sort: str, now: SilenceNow
) -> npt.NDArray[np.int64]:
    """Return the positions of sensors that have rows and whose ids contain `search`, ignoring case, sorted."""
    places = np.flatnonzero(sensors.is_heard)
    if sort == "silent":
        order = {one.sensor_id: place for place, one in enumerate(now.all)}
        silent = [place for place in places.tolist() if snapshot.sensor_ids[place] in order]
        places = np.array(sorted(silent, key=lambda place: order[snapshot.sensor_ids[place]]), np.int64)
    ids = snapshot.sensor_ids
    if search:
        wanted = search.casefold()
        places = np.array([place for place in places.tolist() if wanted in ids[place].casefold()], np.int64)
    if sort == "silent":
        return places
    if sort == "name":
        return np.array(sorted(places.tolist(), key=ids.__getitem__), np.int64)
    keys = {
        "hottest": -sensors.max_c,
        "coldest": sensors.min_c,
        "rising": -sensors.change_c,
        "falling": sensors.change_c,
    }
    return places[np.argsort(keys[sort][places], kind="stable")]


Groups = Sequence[tuple[int, Sequence[WindowRows]]]


def _step_ms(snapshot: Snapshot, columns_max: int) -> int:
    """Return the length of a step: as many windows (or hours) as needed to fit the range into `columns_max`."""
    windows = max(1, (snapshot.time_range.end_ms - snapshot.time_range.start_ms) // snapshot.length_ms)
    return math.ceil(windows / columns_max) * snapshot.length_ms


def _grouped(rows: Sequence[WindowRows], *, columns_max: int, snapshot: Snapshot) -> Groups:
    """Group the windows by step; return (start of the step, its windows) without empty steps."""
    step_ms = _step_ms(snapshot, columns_max)
    groups: dict[int, list[WindowRows]] = {}
    for one in rows:
        groups.setdefault(one.start_ms // step_ms * step_ms, []).append(one)
    return list(groups.items())


def _greatest(values: Floats, count: int) -> list[int]:
    """Return the positions of the `count` greatest values, the greatest first, ignoring NaN."""
    places = np.flatnonzero(~np.isnan(values))
    if len(places) > count:
        places = places[np.argpartition(-values[places], count)[:count]]
    return [int(place) for place in places[np.argsort(-values[places], kind="stable")]]


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else rounded_mean(value)
