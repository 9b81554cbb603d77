"""`windrow demo`: the whole pipeline once, on this machine, with the proof that it is exact."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from windrow.errors import WindrowError
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS, Window, windows_between
from windrow_cli.console import err, out
from windrow_cli.stage import clock_ms

if TYPE_CHECKING:
    from producers.fleet import FleetSpec
    from windrow.stage import Stage

STAGE_NAME = "demo"
SHARDS = 2
WINDOWS = 4
_BARS = "▁▂▃▄▅▆▇█"


@click.command()
@click.option("--sensors", type=click.IntRange(1, 20_000), default=200, show_default=True, help="Number of sensors.")
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same fleet.")
def demo(sensors: int, seed: int) -> None:
    """Run the whole pipeline once on this machine, and prove it exact.

    Starts an embedded stack of its own, deploys, simulates a fleet over the last four windows with duplicate, shuffled
    and malformed readings, waits until the stream is drained, closes the windows, shows the fleet, verifies every row
    against the truth, delivers everything twice more, shows that not one byte changed, and removes everything again.

    \b
    windrow demo
    windrow demo --sensors 2000 --seed 3
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="windrow-demo-") as folder:
        home = Path(folder)
        with _stage(home) as stage:
            _show_the_way(stage, _fleet(sensors=sensors, seed=seed), home)
    out.print(f"done in {time.monotonic() - began:.0f} s; the stack is down and nothing is left behind")


@contextmanager
def _stage(home: Path) -> "Iterator[Stage]":
    """Start an embedded stack, deploy a stage to it, and take it down whatever happens."""
    from infra import embedded
    from infra import stack as stacks
    from infra.plan import DeploymentOptions, plan_deployment

    try:
        running = embedded.up(home)
        _said("up", f"embedded stack at {running.endpoint_url}")
        plan = plan_deployment(embedded.place(home), STAGE_NAME, DeploymentOptions(shard_count=SHARDS))
        with err.status("deploying"):
            stage = stacks.apply(plan, lambda _: None).stage
        _said("deploy", f"stream {stage.stream_name}, results in {stage.results_bucket}")
        yield stage
    finally:
        embedded.down(home)


def _show_the_way(stage: "Stage", fleet: "FleetSpec", home: Path) -> None:
    from windrow_operations.draining import wait_until_drained
    from windrow_operations.simulating import simulate_fleet
    from windrow_operations.verifying import verify_stage

    windows = windows_between(fleet.start_ms, fleet.end_ms)
    with err.status("simulating"):
        sent = simulate_fleet(fleet, stage, now_ms=clock_ms())
    totals = sent.totals
    _said(
        "simulate",
        f"{totals.readings:,} readings of {fleet.sensors:,} sensors in {sent.counters.records:,} records, "
        f"{totals.repeated:,} sent twice, {totals.malformed:,} malformed",
    )
    with err.status("draining"):
        frontier = wait_until_drained(stage, sent.last_sequence_numbers)
    _said("drain", f"{frontier.objects:,} partials and quarantine files from {len(frontier.reached)} shards")
    _tick(stage, windows)
    _show_fleet(stage, windows, home)
    with err.status("verifying"):
        verification = verify_stage(stage, home=home, on_warning=lambda line: err.print(line, markup=False))
    out.print(str(verification))
    if not verification.is_exact:
        raise WindrowError(
            "the results are not the truth", hint="this is a bug in windrow: please report it with the seed"
        )
    _rewind(stage, windows)


def _rewind(stage: "Stage", windows: Sequence[Window]) -> None:
    from windrow_operations.rewinding import recreate_mapping, replay_everything, rows_digests

    before = rows_digests(stage, windows)
    with err.status("replaying the stream"):
        records = replay_everything(stage, now_ms=clock_ms())
    _said("replay", f"{records:,} records handed to the consumer again")
    with err.status("recreating the mapping"):
        recreate_mapping(stage, now_ms=clock_ms())
    _said("rewind", "the mapping was recreated and has read the stream from its beginning")
    _tick(stage, windows)
    after = rows_digests(stage, windows)
    if len(before) != len(windows) or before != after:
        raise WindrowError("rewind: results changed", hint="this is a bug in windrow: please report it with the seed")
    out.print("rewind: results unchanged")


def _fleet(*, sensors: int, seed: int) -> "FleetSpec":
    """Return a fleet over the last ended windows, with a little of everything that goes wrong."""
    from producers.faults import Faults
    from producers.fleet import FleetSpec

    end_ms = clock_ms() // WINDOW_MS * WINDOW_MS
    return FleetSpec(
        seed=seed,
        sensors=sensors,
        sites=10,
        interval_ms=10_000,
        start_ms=end_ms - WINDOWS * WINDOW_MS,
        end_ms=end_ms,
        faults=Faults(malformed=0.001, duplicates=0.01, late=0.01, shuffled=0.1),
    )


def _tick(stage: "Stage", windows: Sequence[Window]) -> None:
    from dispatcher.due import FIRST_TICK_AFTER_MS
    from windrow_operations.ticks import invoke_tick, tick_event

    # A tick closes windows that ended FIRST_TICK_AFTER_MS before it. The stream is known to be drained, so ask for the
    # first tick that can close the last window, though the clock may not be there yet.
    report = invoke_tick(stage, tick_event(windows[-1].end_ms + FIRST_TICK_AFTER_MS, is_dry_run=False))
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(report.outcomes.items()))
    _said("tick", f"scheduled {format_rfc3339(report.scheduled_time_ms)}: {outcomes} windows")


def _show_fleet(stage: "Stage", windows: Sequence[Window], home: Path) -> None:
    from analytics import presets
    from analytics.engine import engine_of
    from windrow.timerange import TimeRange
    from windrow_cli.formats import as_table

    engine = engine_of(stage, home=home)
    fleet = engine.run(presets.fleet(TimeRange(windows[0].start_ms, windows[-1].end_ms))).frame
    click.echo(as_table(fleet))
    for site, means in _site_means(stage, windows, home).items():
        click.echo(f"{site}  {sparkline(means)}  {means[0]:6.2f} to {means[-1]:6.2f} °C")


def _site_means(stage: "Stage", windows: Sequence[Window], home: Path) -> dict[str, list[float]]:
    """Return the mean of each site, window by window, asked in SQL."""
    from analytics.engine import engine_of
    from analytics.presets import IN_RANGE, range_values
    from analytics.query import Query
    from windrow.timerange import TimeRange

    bounds = TimeRange(windows[0].start_ms, windows[-1].end_ms)
    sql = (
        "SELECT split_part(sensor_id, '/', 1) AS site, window_start,"  # noqa: S608 - no value in it
        " SUM(sum_milli) * 0.001 / SUM(readings) AS mean_c"
        f" FROM aggregates WHERE {IN_RANGE} GROUP BY 1, 2 ORDER BY 1, 2"
    )
    frame = engine_of(stage, home=home).run(Query.bind(sql, range_values(bounds))).frame
    means: dict[str, list[float]] = {}
    for site, mean_c in zip(frame["site"], frame["mean_c"], strict=True):
        means.setdefault(str(site), []).append(float(mean_c))
    return means


def sparkline(values: Sequence[float]) -> str:
    """Return one character per value, as high as the value is between the least and the greatest."""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(_BARS[round((value - low) / span * (len(_BARS) - 1))] for value in values)


def _said(step: str, what: str) -> None:
    err.print(f"[bold]{step:<9}[/bold] {what}")
