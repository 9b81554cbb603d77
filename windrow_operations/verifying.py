"""Comparing a stage's results with the truth of what was simulated on it."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analytics.engine import local_engine
from analytics.frames import epoch_ms
from analytics.oracle import READING_COLUMNS
from analytics.presets import IN_RANGE, range_values
from analytics.query import Query
from analytics.result import Engine
from analytics.verify import Verification, rows_of_window, verify
from producers.fleet import FleetSpec, readings
from producers.manifest import Manifest, stored_runs
from windrow.errors import UsageError
from windrow.lake.store import ObjectStore
from windrow.quantities import split_series
from windrow.stage import Stage
from windrow.timerange import TimeRange
from windrow.timestamps import format_rfc3339
from windrow.window import Window, windows_between

OnWindow = Callable[[int, int], object]
"""Called with the number of windows done, and of all windows."""


def verify_stage(
    stage: Stage,
    *,
    home: Path,
    run_id: str | None = None,
    on_warning: Callable[[str], object] = lambda _: None,
    on_window: OnWindow = lambda _done, _total: None,
) -> Verification:
    """Compare the rows of `stage` with the truth of its simulations, or of the one named; see `verify_runs`."""
    # Rows are read as they are stored, whatever engine the place has.
    engine = local_engine(stage, home=home)
    return verify_runs(stage.lake, engine, run_id=run_id, stage=stage.name, on_warning=on_warning, on_window=on_window)


def verify_runs(
    lake: ObjectStore,
    engine: Engine,
    *,
    run_id: str | None,
    stage: str,
    on_warning: Callable[[str], object] = lambda _: None,
    on_window: OnWindow = lambda _done, _total: None,
) -> Verification:
    """Compare what `engine` finds with the truth of the simulations in `lake`.

    `on_warning` is told what makes a difference likely: runs that were interrupted, windows that are not rolled.
    UsageError when there is no such simulation.
    """
    runs = chosen_runs(list(stored_runs(lake)), run_id=run_id, stage=stage)
    fleets = [run.fleet for run in runs]
    windows = windows_of(fleets)
    for warning in warnings(runs, windows, unrolled_windows(engine, windows)):
        on_warning(warning)
    return verify(truth_by_window(fleets, windows, on_window), lambda start_ms: rows_of_window(engine, start_ms))


def chosen_runs(runs: Sequence[Manifest], *, run_id: str | None, stage: str) -> list[Manifest]:
    """Return all runs, or the one named; UsageError when there is none."""
    chosen = [run for run in runs if run_id in (None, run.run_id)]
    if chosen:
        return chosen
    if not runs:
        raise UsageError(f"nothing was simulated on stage {stage!r}", hint="run: windrow simulate")
    known = ", ".join(run.run_id for run in runs[-5:])
    raise UsageError(f"no simulation {run_id!r} on stage {stage!r}", hint=f"the newest are: {known}")


def windows_of(fleets: Sequence[FleetSpec]) -> list[Window]:
    """Return every window that any of the fleets touches, ascending."""
    return sorted({window for fleet in fleets for window in windows_between(fleet.start_ms, fleet.end_ms)})


def truth_by_window(
    fleets: Sequence[FleetSpec], windows: Sequence[Window], on_window: OnWindow = lambda _done, _total: None
) -> Iterator[tuple[int, pd.DataFrame]]:
    """Yield the start of each window and all its readings, in the columns of analytics.oracle.READING_COLUMNS."""
    for done, window in enumerate(windows):
        on_window(done, len(windows))
        yield window.start_ms, readings_of_window(fleets, window)
    on_window(len(windows), len(windows))


def readings_of_window(fleets: Sequence[FleetSpec], window: Window) -> pd.DataFrame:
    """Return what the fleets measured in one window, in the columns of analytics.oracle.READING_COLUMNS."""
    frames = []
    for fleet in fleets:
        start_ms, end_ms = max(fleet.start_ms, window.start_ms), min(fleet.end_ms, window.end_ms)
        if start_ms >= end_ms:
            continue
        for batch in readings(dataclasses.replace(fleet, start_ms=start_ms, end_ms=end_ms)):
            series = split_series(batch.sensor_ids)
            of_series = (series.sensor_ids, series.names, series.units)
            parts = (np.array(part.to_list(), object)[batch.sensor] for part in of_series)
            columns = (*parts, batch.event_time_ms, batch.sequence, batch.value_milli)
            frames.append(pd.DataFrame(dict(zip(READING_COLUMNS, columns, strict=True))))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=pd.Index(READING_COLUMNS))


def unrolled_windows(engine: Engine, windows: Sequence[Window]) -> list[Window]:
    """Return those of the windows that have no lineage yet, ascending."""
    bounds = TimeRange(windows[0].start_ms, windows[-1].end_ms)
    sql = f"SELECT window_start FROM windows WHERE {IN_RANGE}"  # noqa: S608 - no value in it
    rolled = set(epoch_ms(engine.run(Query.bind(sql, range_values(bounds))).frame["window_start"]))
    return [window for window in windows if window.start_ms not in rolled]


def warnings(runs: Sequence[Manifest], windows: Sequence[Window], unrolled: Sequence[Window]) -> list[str]:
    """Return what will make readings seem lost although the pipeline lost none, one line each."""
    lines = [
        f"simulation {run.run_id} was interrupted, or still runs: what it did not send counts as lost"
        for run in runs
        if not run.is_completed
    ]
    if unrolled:
        first = format_rfc3339(unrolled[0].start_ms)
        lines.append(
            f"{len(unrolled)} of {len(windows)} windows are not rolled yet, the first {first}: run windrow tick"
        )
    return lines
