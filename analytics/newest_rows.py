"""The newest rows of some sensors as columns, and rows of a frame as objects: plain values, ready for JSON."""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pandas as pd

from analytics import presets
from analytics.frames import epoch_ms
from analytics.means import rounded_mean
from analytics.panels import SensorSummaries
from analytics.result import Engine
from analytics.row_cache import Snapshot
from windrow.period import HOUR_MS
from windrow.quantities import TEMPERATURE, Quantity
from windrow.timerange import TimeRange


def columns(
    engine: Engine, quantity: Quantity, snapshot: Snapshot, sensors: SensorSummaries, places: Sequence[int]
) -> dict[str, list[Any]]:
    """Return the newest row of each of the sensors at `places`, all of which have rows in `snapshot`, by one query.

    Only the windows from the first to the last of these rows are read.
    """
    names = ("sensors", "t", "last_time", "last", "mean", "readings")
    if not places:
        return {name: [] for name in names}
    starts = [snapshot.rows[sensors.last_row[place]].start_ms for place in places]
    wanted = TimeRange(min(starts), max(starts) + snapshot.length_ms)
    ids = [snapshot.sensor_ids[place] for place in places]
    window = "1h" if snapshot.length_ms == HOUR_MS else "5m"
    frame = engine.run(presets.latest_of(ids, wanted, window=window, quantity=quantity.name)).frame
    if "unit" in frame.columns:
        frame = frame[frame["unit"] == quantity.unit]
    ending = "_c" if quantity == TEMPERATURE else ""
    return {
        "sensors": frame["sensor_id"].tolist(),
        "t": epoch_ms(frame["window_start"]),
        "last_time": epoch_ms(frame["last_time"]),
        "last": [_plain(value) for value in frame[f"last{ending}"].tolist()],
        "mean": [_plain(value) for value in frame[f"mean{ending}"].tolist()],
        "readings": [_plain(value) for value in frame["readings"].tolist()],
    }


def objects(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as objects: instants in ms since the epoch, null for NULL."""
    by_name = {
        str(name): epoch_ms(frame[name])
        if isinstance(frame[name].dtype, pd.DatetimeTZDtype)
        else [_plain(value) for value in frame[name].tolist()]
        for name in frame.columns
    }
    return [dict(zip(by_name, row, strict=True)) for row in zip(*by_name.values(), strict=True)]


def _plain(value: Any) -> Any:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float | Decimal):
        return rounded_mean(value)
    return value
