"""The rows that a rule watches, from a stage's results: what its rules would have said in a range."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analytics.frames import epoch_ms
from analytics.presets import IN_RANGE, range_values
from analytics.query import Query
from analytics.result import Engine
from windrow.columns.arrays import Int64s
from windrow.errors import WindrowError
from windrow.quantities import Quantity, series_of
from windrow.rows.held import Held
from windrow.rows.rollup import PERCENTILES
from windrow.rules.excursion import Excursion, Tracks, lasting, step
from windrow.rules.judge import WatchedRows, judge
from windrow.rules.rule import Rule, Statistic
from windrow.rules.watched import may_be_held, no_rows
from windrow.timerange import TimeRange
from windrow.window import WINDOW_MS

_STATISTICS = {Statistic.MIN: "min", Statistic.MAX: "max", Statistic.LAST: "last"} | {
    Statistic(f"p{percent:02}"): f"p{percent:02}" for percent in PERCENTILES
}
_PLAIN = ("readings", "sum_milli", "integral_milli_ms", "covered_ms", "first_milli")
_TIMES = ("first_time", "last_time")
_COLUMNS = ", ".join(
    ["window_start", "sensor_id", "quantity", "unit", *_PLAIN, *_TIMES]
    + [f"{name}_milli" for name in _STATISTICS.values()]
)
_SQL = f"SELECT {_COLUMNS} FROM aggregates WHERE {IN_RANGE}\n  AND quantity IN ({{wanted}})\nORDER BY window_start"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Checked:
    """What rules say of a range: the excursions by the time they ring, and how much there was to judge.

    unknown: the windows, by their starts in ms, that have no verdict of rules that count minutes, and why not.
    """

    excursions: tuple[Excursion, ...]
    windows: int
    rows: int
    unknown: Mapping[int, str]


def check_rules(
    engine: Engine, rules: Iterable[Rule], time_range: TimeRange, *, held_of: Callable[[int], Held] | None = None
) -> Checked:
    """Return the excursions that `rules` find in the rows of a range, as if nothing had been before it.

    So an excursion that was under way begins with the range. Memory holds a page of rows, and the series that are
    beyond a limit. For rules that count minutes, `held_of` gives the held times of a window by its start, and is asked
    for those alone in which a reading may be beyond; what it raises as WindrowError is why the window has no verdict.
    """
    tracks: dict[str, Tracks] = {}
    found: list[Excursion] = []
    unknown: dict[int, str] = {}
    windows = rows = 0
    before: WatchedRows | None = None
    ruled = tuple(rules)
    names = {f"quantity_{place}": name for place, name in enumerate(sorted({rule.quantity for rule in ruled}))}
    sql = _SQL.format(wanted=", ".join(f":{name}" for name in names))
    frames = (page.frame for page in engine.pages(Query.bind(sql, range_values(time_range) | names)))
    for of_window in _by_window(frames, time_range):
        watched = replace(of_window, held=_held(of_window, ruled, held_of, unknown))
        windows, rows = windows + 1, rows + len(watched.series)
        for rule in ruled:
            tracks[rule.name], ended = step(rule, tracks.get(rule.name, {}), judge(rule, watched, before))
            found += ended
        before = watched
    found += [one for rule in ruled for one in lasting(rule, tracks.get(rule.name, {}))]
    found.sort(key=lambda one: (one.rang_ms, one.rule, one.sensor_id))
    return Checked(tuple(found), windows, rows, unknown)


def _held(
    watched: WatchedRows, rules: Sequence[Rule], held_of: Callable[[int], Held] | None, unknown: dict[int, str]
) -> Held | None:
    """Return the held times of a window, none if nothing can be beyond; None, and a reason, if nobody knows them."""
    if not may_be_held(rules, watched):
        return {}
    try:
        return held_of(watched.window_start_ms) if held_of else None
    except WindrowError as error:
        unknown[watched.window_start_ms] = error.message
        return None


def _by_window(frames: Iterable[pd.DataFrame], time_range: TimeRange) -> Iterator[WatchedRows]:
    """Yield the rows of each window from the first with rows to the last that starts in the range, empty ones too."""
    next_ms: int | None = None
    for frame in _frames_of_windows(frames):
        watched = _watched(frame)
        for start_ms in range(
            watched.window_start_ms if next_ms is None else next_ms, watched.window_start_ms, WINDOW_MS
        ):
            yield no_rows(start_ms)
        yield watched
        next_ms = watched.window_start_ms + WINDOW_MS
    if next_ms is not None:
        yield from map(no_rows, range(next_ms, time_range.end_ms, WINDOW_MS))


def _frames_of_windows(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Divide pages of rows, ascending by window, into the rows of each window."""
    held: pd.DataFrame | None = None
    for page in frames:
        rows = page if held is None else pd.concat([held, page], ignore_index=True)
        if rows.empty:
            continue
        *whole, (_, held) = rows.groupby("window_start")
        yield from (frame for _, frame in whole)
    if held is not None:
        yield held


def _watched(frame: pd.DataFrame) -> WatchedRows:
    frame = frame.assign(series=list(map(_series_of, frame["sensor_id"], frame["quantity"], frame["unit"])))
    frame = frame.sort_values("series")
    columns: dict[str, Int64s] = {name: frame[name].to_numpy(np.int64) for name in _PLAIN}
    columns |= {f"{name}_ms": np.array(epoch_ms(frame[name]), np.int64) for name in _TIMES}
    return WatchedRows(
        window_start_ms=epoch_ms(frame["window_start"].iloc[:1])[0] or 0,
        series=frame["series"].tolist(),
        statistics={one: frame[f"{name}_milli"].to_numpy(np.int64) for one, name in _STATISTICS.items()},
        held=None,
        **columns,
    )


def _series_of(sensor_id: str, name: str, unit: str) -> str:
    return series_of(sensor_id, Quantity(name, unit))
