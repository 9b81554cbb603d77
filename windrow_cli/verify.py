"""`windrow verify`: the results against the truth of what was simulated."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from windrow.errors import UsageError, WindrowError
from windrow.timestamps import format_rfc3339
from windrow.window import Window, windows_between
from windrow_cli.console import err, progress_bar
from windrow_cli.stage import deployment_of, home_folder, stage_option

if TYPE_CHECKING:
    import pandas as pd

    from analytics.result import Engine
    from analytics.verify import Verification
    from producers.fleet import FleetSpec
    from producers.manifest import Manifest
    from windrow.aws.deployment import Deployment
    from windrow.lake.store import ObjectStore


@click.command()
@click.option("--run", "run_id", metavar="ID", help="Only this simulation, and as if there were no other.")
@stage_option
def verify(run_id: str | None, *, stage: str) -> None:
    """Compare the results with the truth of all simulations on the stage.

    The truth is worked out anew from their seeds, in pandas and by another way than the pipeline's, and compared with
    the stored rows: every row and every column of every window that the simulations touch.

    Exit code 0 when they agree, 1 when they do not.

    \b
    windrow verify
    windrow verify --run 20261120T223512Z-3fa9c1d2
    """
    from windrow.aws.clients import readable_errors

    deployment, home = deployment_of(stage), home_folder()
    with readable_errors(deployment.place):
        verification = verify_stage(deployment, home=home, run_id=run_id)
    click.echo(verification)
    if not verification.is_exact:
        for culprit in verification.culprits:
            err.print(f"  {culprit}", markup=False)
        raise WindrowError("the results are not the truth")


def verify_stage(deployment: "Deployment", *, home: Path, run_id: str | None = None) -> "Verification":
    """Compare the rows of `deployment` with the truth of its simulations, or of the one named."""
    from analytics.engine import local_engine
    from windrow.aws.clients import client
    from windrow.lake.s3 import S3Store

    lake = S3Store(client("s3", deployment.place), deployment.lake_bucket)
    # Rows are read as they are stored, whatever engine the place has.
    return verify_runs(lake, local_engine(deployment, home=home), run_id=run_id, stage=deployment.stage)


def verify_runs(lake: "ObjectStore", engine: "Engine", *, run_id: str | None, stage: str) -> "Verification":
    """Compare what `engine` finds with the truth of the simulations in `lake`.

    Says on standard error what makes a difference likely: runs that were interrupted, windows that are not rolled.
    UsageError when there is no such simulation.
    """
    from analytics.verify import rows_of_window
    from analytics.verify import verify as compare
    from producers.manifest import stored_runs

    runs = chosen_runs(list(stored_runs(lake)), run_id=run_id, stage=stage)
    fleets = [run.fleet for run in runs]
    windows = windows_of(fleets)
    for warning in warnings(runs, windows, unrolled_windows(engine, windows)):
        err.print(warning, markup=False)
    with progress_bar("verifying", total=len(windows), unit="windows") as bar:
        return compare(truth_by_window(fleets, windows, bar.reached), lambda start_ms: rows_of_window(engine, start_ms))


def chosen_runs(runs: Sequence["Manifest"], *, run_id: str | None, stage: str) -> list["Manifest"]:
    """All runs, or the one named; UsageError when there is none."""
    chosen = [run for run in runs if run_id in (None, run.run_id)]
    if chosen:
        return chosen
    if not runs:
        raise UsageError(f"nothing was simulated on stage {stage!r}", hint="run: windrow simulate")
    known = ", ".join(run.run_id for run in runs[-5:])
    raise UsageError(f"no simulation {run_id!r} on stage {stage!r}", hint=f"the newest are: {known}")


def windows_of(fleets: Sequence["FleetSpec"]) -> list[Window]:
    """Every window that any of the fleets touches, ascending."""
    return sorted({window for fleet in fleets for window in windows_between(fleet.start_ms, fleet.end_ms)})


def truth_by_window(
    fleets: Sequence["FleetSpec"], windows: Sequence[Window], on_window: Callable[[int], object] = lambda _: None
) -> Iterator[tuple[int, "pd.DataFrame"]]:
    """The start of each window and all readings of it, as analytics.oracle takes them; counts the windows done."""
    for done, window in enumerate(windows):
        on_window(done)
        yield window.start_ms, readings_of_window(fleets, window)
    on_window(len(windows))


def readings_of_window(fleets: Sequence["FleetSpec"], window: Window) -> "pd.DataFrame":
    """What the fleets measured in one window, with the columns of analytics.oracle.READING_COLUMNS."""
    import numpy as np
    import pandas as pd

    from analytics.oracle import READING_COLUMNS
    from producers.fleet import readings

    frames = []
    for fleet in fleets:
        start_ms, end_ms = max(fleet.start_ms, window.start_ms), min(fleet.end_ms, window.end_ms)
        if start_ms >= end_ms:
            continue
        for batch in readings(dataclasses.replace(fleet, start_ms=start_ms, end_ms=end_ms)):
            sensor_ids = np.array(batch.sensor_ids.to_list(), object)[batch.sensor]
            columns = (sensor_ids, batch.event_time_ms, batch.sequence, batch.temperature_milli_c)
            frames.append(pd.DataFrame(dict(zip(READING_COLUMNS, columns, strict=True))))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=pd.Index(READING_COLUMNS))


def unrolled_windows(engine: "Engine", windows: Sequence[Window]) -> list[Window]:
    """Those of the windows that have no lineage yet, ascending."""
    from analytics.query import Query
    from analytics.result import epoch_ms
    from windrow.timerange import TimeRange

    bounds = TimeRange(windows[0].start_ms, windows[-1].end_ms)
    sql = (
        "SELECT window_start FROM windows WHERE dt BETWEEN :first_dt AND :last_dt"
        " AND window_start >= CAST(:start AS TIMESTAMP) AND window_start < CAST(:end AS TIMESTAMP)"
    )
    values = {
        "first_dt": bounds.first_partition[0],
        "last_dt": bounds.last_partition[0],
        "start": bounds.start_sql,
        "end": bounds.end_sql,
    }
    rolled = set(epoch_ms(engine.run(Query.bind(sql, values)).frame["window_start"]))
    return [window for window in windows if window.start_ms not in rolled]


def warnings(runs: Sequence["Manifest"], windows: Sequence[Window], unrolled: Sequence[Window]) -> list[str]:
    """What will make readings seem lost although the pipeline lost none."""
    told = [
        f"simulation {run.run_id} was interrupted, or still runs: what it did not send counts as lost"
        for run in runs
        if not run.is_completed
    ]
    if unrolled:
        first = format_rfc3339(unrolled[0].start_ms)
        told.append(
            f"{len(unrolled)} of {len(windows)} windows are not rolled yet, the first {first}: run windrow tick"
        )
    return told
