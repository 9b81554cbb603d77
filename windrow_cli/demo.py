"""`windrow demo`: the whole pipeline once, on this machine, with the proof that it is exact."""

import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from windrow.errors import WindrowError
from windrow.window import WINDOW_MS, Window, windows_between
from windrow_cli.console import err, out
from windrow_cli.demo_stack import STAGE_NAME, only_demo, passing_home, remove_earlier, standing_home, started
from windrow_cli.stage import clock_ms

if TYPE_CHECKING:
    from analytics.verify import Verification
    from dispatcher.report import TickReport
    from producers.fleet import FleetSpec
    from windrow.stage import Stage

SHARDS = 2
WINDOWS = 4
_BARS = "▁▂▃▄▅▆▇█"
_INTRODUCTION = """\
windrow makes one exact row per sensor and five minutes out of readings that
come late, twice and in any order. Here a simulated fleet goes all the way, on
this machine:
"""
_REPORT = "this is a bug in windrow: please report it with the seed"


@click.command()
@click.option("--sensors", type=click.IntRange(1, 20_000), default=200, show_default=True, help="Number of sensors.")
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same fleet.")
@click.option("--once", "is_once", is_flag=True, help="Use a stack of its own, and remove it at the end.")
def demo(sensors: int, seed: int, *, is_once: bool) -> None:
    """Run the whole pipeline once on this machine, prove it exact, and leave it up to look at.

    Starts the embedded stack unless it runs, deploys the stage `demo` (anew, if an earlier demo left one), simulates a
    fleet over the last four windows with duplicate, late, shuffled and malformed readings, waits until the stream is
    drained, closes the windows, shows the fleet, verifies every row against the truth, delivers everything twice more
    and shows that not one byte changed. `windrow down` removes it all.

    With --once nothing stays: the demo has a stack of its own, beside any other. That is for scripts.

    Exit code 1 if a row is not the truth, or changed.

    \b
    windrow demo
    windrow demo --sensors 2000 --seed 3
    windrow demo --once
    """
    began = time.monotonic()
    options = options_of_stage(os.environ, folder=Path.cwd())
    err.print(_INTRODUCTION)
    with passing_home() if is_once else standing_home() as home:
        _said("up", started(home), "stands in for AWS: Kinesis, Lambda, S3; no account, no Docker")
        with only_demo(home):
            verification = _show_the_way(_deployed(home), _fleet(sensors=sensors, seed=seed), home)
    seconds = time.monotonic() - began
    err.print()
    if is_once:
        err.print(f"done in {seconds:.0f} s; the stack is down and nothing is left behind")
    else:
        _say_what_next(seconds, options)
    err.print()
    out.print(str(verification))
    out.print("rewind: results unchanged")


def _deployed(home: Path) -> "Stage":
    """Deploy the stage of the demo, in place of that of an earlier one."""
    from infra import embedded
    from infra import stack as stacks
    from infra.plan import DeploymentOptions, plan_deployment

    place = embedded.place(home)
    with err.status("looking for an earlier demo"):
        was_there = remove_earlier(place)
    with err.status("deploying"):
        stage = stacks.apply(
            plan_deployment(place, STAGE_NAME, DeploymentOptions(shard_count=SHARDS)), lambda _: None
        ).stage
    instead = ", in place of that of an earlier demo" if was_there else ""
    _said("deploy", f"stage {STAGE_NAME}{instead}", "the template that also goes to AWS: stream, functions, buckets")
    return stage


def _show_the_way(stage: "Stage", fleet: "FleetSpec", home: Path) -> "Verification":
    """Take the fleet's readings to rows, and return how these compare with the truth; WindrowError unless exact."""
    from windrow_operations.draining import wait_until_drained
    from windrow_operations.simulating import simulate_fleet

    windows = windows_between(fleet.start_ms, fleet.end_ms)
    with err.status("simulating"):
        sent = simulate_fleet(fleet, stage, now_ms=clock_ms())
    totals = sent.totals
    _said(
        "simulate",
        f"{totals.readings:,} readings of {fleet.sensors:,} sensors in {sent.counters.records:,} records",
        f"like real ones: {totals.repeated:,} sent twice, {totals.malformed:,} malformed, some late, shuffled",
    )
    with err.status("waiting for the consumer"):
        frontier = wait_until_drained(stage, sent.last_sequence_numbers)
    _said(
        "consume", f"{frontier.objects:,} objects in the lake", "every record is read; what is malformed is kept, apart"
    )
    report = _tick(stage, windows)
    _said("tick", rolled(report), "a row for each sensor and five minutes")
    _show_fleet(stage, windows, home)
    verification = _verify(stage, home)
    _said("verify", f"{verification.rows:,} rows", "every column is the truth, computed from the seed by other code")
    _rewind(stage, windows)
    return verification


def rolled(report: "TickReport") -> str:
    """Say how many windows got rows. A first tick also rolls the windows just before, which have none."""
    from dispatcher.report import RollOutcome

    done = [window for window in report.windows if window.outcome is RollOutcome.ROLLED]
    filled = [window for window in done if window.readings]
    rest = f"; {len(done) - len(filled)} before them have no readings" if len(done) > len(filled) else ""
    return f"{len(filled)} windows rolled{rest}"


def _verify(stage: "Stage", home: Path) -> "Verification":
    from windrow_operations.verifying import verify_stage

    with err.status("verifying"):
        verification = verify_stage(stage, home=home, on_warning=lambda line: err.print(line, markup=False))
    if not verification.is_exact:
        for culprit in verification.culprits:
            err.print(f"  {culprit}", markup=False)
        raise WindrowError(f"the results are not the truth: {verification}", hint=_REPORT)
    return verification


def _say_what_next(seconds: float, options: str) -> None:
    """Propose what to type next. `options`: see `options_of_stage`."""
    windrow = as_called()
    proposals = (
        (f"dashboard --open {options}", "the fleet in a browser"),
        (f"query hottest {options}", "ask: by name, or in SQL"),
        ("down", "stop it, and delete it"),
    )
    width = max(len(command) for command, _ in proposals)
    err.print(f"done in {seconds:.0f} s, and the stack stays up. Look around:", markup=False)
    for command, what in proposals:
        err.print(f"  {windrow} {command:<{width}}  {what}", markup=False)


def options_of_stage(environment: Mapping[str, str], *, folder: Path) -> str:
    """Return with which options any command finds the demo's stage, whatever the environment and files choose.

    UsageError names a file that is wrong.
    """
    from windrow_operations.configuration import configured

    target = configured(environment, folder=folder)["target"].value
    return f"--stage {STAGE_NAME}" if target == "embedded" else f"--stage {STAGE_NAME} --target embedded"


def as_called() -> str:
    """Return what to type for `windrow`: its name if the shell will find it, else how it was called."""
    # uv names itself to what it runs, and puts it on a PATH that the user's shell does not have.
    if os.environ.get("UV"):
        is_passing = any(part.startswith("archive-v") for part in Path(sys.prefix).parts)  # in the cache of uv
        return "uvx windrow" if is_passing else "uv run windrow"
    typed, found = Path(sys.argv[0]), shutil.which("windrow")
    is_found = found is not None and typed.exists() and typed.samefile(found)
    return "windrow" if is_found or typed.name != "windrow" else sys.argv[0]


def _rewind(stage: "Stage", windows: Sequence[Window]) -> None:
    """Deliver the whole stream again, in both ways there are; WindrowError if a byte of the rows changes."""
    from windrow_operations.rewinding import recreate_mapping, replay_everything, rows_digests

    before = rows_digests(stage, windows)
    with err.status("replaying the stream"):
        records = replay_everything(stage, now_ms=clock_ms())
    _said("replay", f"{records:,} records handed to the consumer again", "as a retry does: everything came twice now")
    with err.status("recreating the mapping"):
        recreate_mapping(stage, now_ms=clock_ms())
    _said("rewind", "the stream read again from its beginning", "as after a disaster: everything came three times now")
    _tick(stage, windows)
    after = rows_digests(stage, windows)
    if len(before) != len(windows) or before != after:
        raise WindrowError("rewind: results changed", hint=_REPORT)
    _said("tick", f"{len(windows)} windows looked at again", "not a byte of their rows changed")


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


def _tick(stage: "Stage", windows: Sequence[Window]) -> "TickReport":
    from dispatcher.due import FIRST_TICK_AFTER_MS
    from windrow_operations.ticks import invoke_tick, tick_event

    # A tick closes windows that ended FIRST_TICK_AFTER_MS before it. The stream is known to be drained, so ask for the
    # first tick that can close the last window, though the clock may not be there yet.
    with err.status("closing the windows"):
        return invoke_tick(stage, tick_event(windows[-1].end_ms + FIRST_TICK_AFTER_MS, is_dry_run=False))


def _show_fleet(stage: "Stage", windows: Sequence[Window], home: Path) -> None:
    from analytics import presets
    from analytics.engine import engine_of
    from windrow.timerange import TimeRange
    from windrow_cli.formats import as_table

    with err.status("asking for the fleet"):
        engine = engine_of(stage, home=home)
        fleet = engine.run(presets.fleet(TimeRange(windows[0].start_ms, windows[-1].end_ms))).frame
        sites = _site_means(stage, windows, home)
    click.echo(as_table(fleet))
    for site, means in sites.items():
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
        f" FROM aggregates WHERE {IN_RANGE} AND quantity = 'temperature' GROUP BY 1, 2 ORDER BY 1, 2"
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


def _said(step: str, what: str, why: str) -> None:
    """Print a step: what was done, and below it, what that is good for or proves."""
    err.print(f"[bold]{step:<9}[/bold] {what}")
    err.print(f"{'':<9} [dim]{why}[/dim]")
