"""Histories of single sensors for the dashboard: the percentiles of every window, read again only if they change."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from analytics import presets
from analytics.frames import epoch_ms
from analytics.means import rounded_mean
from analytics.query import Query
from analytics.result import Engine
from analytics.row_cache import Snapshot
from windrow.errors import NotFound
from windrow.quantities import TEMPERATURE, Quantity
from windrow.timerange import TimeRange
from windrow.window import WINDOW_MS

SENSORS_KEPT_MAX = 16
CELSIUS = ("mean", "min", "p05", "p25", "p50", "p75", "p95", "max", "last")
_COUNTS = ("readings", "conflicts")
Row = dict[str, Any]


@dataclass(slots=True)
class _SensorHistory:
    """The windows of a sensor that were read: the window's `rows_sha256` at that time, and the sensor's row if any."""

    sha256: dict[int, str] = field(default_factory=dict)
    rows: dict[int, Row] = field(default_factory=dict)


class Histories:
    """The histories that were asked for most recently; safe for several threads."""

    def __init__(self, engine: Engine, lock: threading.Lock, *, quantity: Quantity = TEMPERATURE) -> None:
        """Ask `engine` for the rows of `quantity` while holding `lock`."""
        self._quantity = quantity
        self._ending = "_c" if quantity == TEMPERATURE else ""
        self._engine = engine
        self._lock = lock
        self._histories: OrderedDict[str, _SensorHistory] = OrderedDict()

    def of(self, sensor_id: str, snapshot: Snapshot) -> dict[str, Any]:
        """Return the sensor's rows in the windows of `snapshot`, as columns; NotFound if there are none."""
        with self._lock:
            history = self._histories.setdefault(sensor_id, _SensorHistory())
            self._histories.move_to_end(sensor_id)
            while len(self._histories) > SENSORS_KEPT_MAX:
                self._histories.popitem(last=False)
            self._read(sensor_id, history, snapshot)
            starts = [lineage.start_ms for lineage in snapshot.lineages if lineage.start_ms in history.rows]
            rows = [history.rows[start_ms] for start_ms in starts]
        if not rows:
            raise NotFound(f"no sensor {sensor_id!r} in this range", hint="search for it, or choose another range")
        columns = {name: [row[name] for row in rows] for name in (*CELSIUS, *_COUNTS)}
        return {"sensor": sensor_id, "t": starts, "step_ms": WINDOW_MS} | columns

    def of_many(self, sensor_ids: Sequence[str], snapshot: Snapshot) -> dict[str, dict[str, Any]]:
        """Return what `of` returns, for each of `sensor_ids` that has rows, by one query; none of it is kept."""
        if not sensor_ids or not snapshot.lineages:
            return {}
        time_range = TimeRange(snapshot.lineages[0].start_ms, snapshot.lineages[-1].start_ms + WINDOW_MS)
        with self._lock:
            frame = self._of_unit(presets.histories(sensor_ids, time_range, quantity=self._quantity.name))
        rolled = {lineage.start_ms for lineage in snapshot.lineages}
        found: dict[str, dict[str, Any]] = {}
        for sensor_id, rows in frame.groupby("sensor_id", sort=False):
            starts = epoch_ms(rows["window_start"])
            kept = rows[[start_ms in rolled for start_ms in starts]]
            columns = {name: [_plain(value) for value in kept[f"{name}{self._ending}"].tolist()] for name in CELSIUS}
            columns |= {name: [_plain(value) for value in kept[name].tolist()] for name in _COUNTS}
            of_sensor = {"sensor": sensor_id, "t": [at for at in starts if at in rolled], "step_ms": WINDOW_MS}
            found[str(sensor_id)] = of_sensor | columns
        return found

    def _read(self, sensor_id: str, history: _SensorHistory, snapshot: Snapshot) -> None:
        """Read what is missing or has changed, in one query from the first such window to the last."""
        sha256 = {lineage.start_ms: lineage.rows_sha256 for lineage in snapshot.lineages}
        stale = [start_ms for start_ms, digest in sha256.items() if history.sha256.get(start_ms) != digest]
        if not stale:
            return
        time_range = TimeRange(min(stale), max(stale) + WINDOW_MS)
        frame = self._of_unit(presets.sensor(sensor_id, time_range, quantity=self._quantity.name))
        for start_ms in stale:
            history.rows.pop(start_ms, None)
        names = [*(f"{name}{self._ending}" for name in CELSIUS), *_COUNTS]
        for start, *values in zip(epoch_ms(frame["window_start"]), *(frame[name] for name in names), strict=True):
            if start is not None:
                history.rows[start] = dict(zip((*CELSIUS, *_COUNTS), map(_plain, values), strict=True))
        history.sha256 |= {start_ms: sha256[start_ms] for start_ms in stale}

    def _of_unit(self, question: Query) -> pd.DataFrame:
        """Return the rows in the unit that is shown; those of temperatures have no column for it."""
        frame = self._engine.run(question).frame
        return frame[frame["unit"] == self._quantity.unit] if "unit" in frame.columns else frame


def _plain(value: Any) -> float | int:
    return int(value) if float(value).is_integer() and not isinstance(value, float) else rounded_mean(value)
