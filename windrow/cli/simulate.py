"""`windrow simulate`: the readings of a simulated fleet, sent to the stream of a stage."""

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from windrow.cli.console import out, progress_bar
from windrow.cli.stage import clock_ms, deployment_of, stage_option
from windrow.errors import UsageError
from windrow.reading import EARLINESS_MS_MAX
from windrow.timerange import TimeRange, parse_time
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS

if TYPE_CHECKING:
    from producers.fleet import FleetSpec
    from producers.simulation import RunReport
    from windrow.deployment import Deployment

WINDOWS_DEFAULT = 4
# The readings must still be within the lateness horizon when the last of them arrives.
SENDING_MS_MAX = 3_600_000
_HOUR_MS = 3_600_000
_RATE = click.FloatRange(0, 1)


@click.command()
@click.option("--sensors", default=200, show_default=True, help="How many sensors, up to 1,000,000.")
@click.option("--sites", default=10, show_default=True, help="How many sites they are spread over, up to 100.")
@click.option("--interval", default=10.0, show_default=True, metavar="SECONDS", help="Time between two samples.")
@click.option("--windows", type=click.IntRange(min=1), help="The last so many ended windows.  [default: 4]")
@click.option("--from", "start", metavar="TIME", help="First event time, inclusive (RFC 3339).")
@click.option("--to", "end", metavar="TIME", help="Last event time, exclusive (RFC 3339); default: now.")
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same readings.")
@click.option("--malformed", type=_RATE, default=0.0, metavar="RATE", help="Part whose payload is broken, 0 to 1.")
@click.option("--duplicates", type=_RATE, default=0.0, metavar="RATE", help="Part that is sent twice.")
@click.option("--late", type=_RATE, default=0.0, metavar="RATE", help="Part that is sent after all others.")
@click.option("--shuffled", type=_RATE, default=0.0, metavar="RATE", help="Part that is sent out of order.")
@click.option("--wait", "waits", is_flag=True, help="Return when the consumer has come to the end of it.")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Make and count everything, but send nothing.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@stage_option
def simulate(
    *,
    sensors: int,
    sites: int,
    interval: float,
    windows: int | None,
    start: str | None,
    end: str | None,
    seed: int,
    malformed: float,
    duplicates: float,
    late: float,
    shuffled: float,
    waits: bool,
    is_dry_run: bool,
    form: str,
    stage: str,
) -> None:
    """Send the readings of a simulated fleet.

    They are aggregated by shard as the Kinesis Producer Library does. What was sent is recorded in the lake, so that
    `windrow verify` can make the truth again.

    \b
    windrow simulate --wait && windrow tick
    windrow simulate --sensors 20000 --windows 12 --duplicates 0.01 --malformed 0.001
    windrow simulate --from 2026-11-20T10:00:00Z --to 2026-11-20T11:00:00Z --dry-run
    """
    from producers.faults import Faults
    from producers.fleet import FleetSpec

    now_ms = clock_ms()
    start_ms, end_ms = event_range_ms(start, end, windows=windows, now_ms=now_ms)
    try:
        spec = FleetSpec(
            seed=seed,
            sensors=sensors,
            sites=sites,
            interval_ms=round(interval * 1_000),
            start_ms=start_ms,
            end_ms=end_ms,
            faults=Faults(malformed=malformed, duplicates=duplicates, late=late, shuffled=shuffled),
        )
    except (ValueError, OverflowError) as error:
        raise UsageError(f"there is no such fleet: {error}") from error
    report = _simulate(spec, stage, now_ms=now_ms, waits=waits, is_dry_run=is_dry_run)
    if form == "json":
        out.print_json(json.dumps(report_json(report, spec, is_dry_run=is_dry_run)))
    else:
        _print_report(report, spec, is_dry_run=is_dry_run)


def event_range_ms(start: str | None, end: str | None, *, windows: int | None, now_ms: int) -> tuple[int, int]:
    """The half-open range of event times that the options ask for; UsageError when it is not one."""
    if start is None and end is not None:
        raise UsageError("--to needs --from", hint="give both, or --windows")
    if start is not None and windows is not None:
        raise UsageError("--windows and --from exclude each other", hint="give one of them")
    if start is None:
        last_end_ms = now_ms // WINDOW_MS * WINDOW_MS
        return last_end_ms - (windows or WINDOWS_DEFAULT) * WINDOW_MS, last_end_ms
    start_ms = parse_time(start, now_ms=now_ms, option="--from")
    end_ms = now_ms if end is None else parse_time(end, now_ms=now_ms, option="--to")
    events = TimeRange(start_ms, end_ms)
    if end_ms > now_ms + EARLINESS_MS_MAX:
        raise UsageError(
            f"--to {format_rfc3339(end_ms)} is in the future: its readings would be quarantined as too early",
            hint="end the range now or before",
        )
    return events.start_ms, events.end_ms


def check_horizon(spec: "FleetSpec", *, now_ms: int, horizon_hours: int) -> None:
    """UsageError for a fleet whose first readings would be quarantined as too late."""
    first_ms = now_ms - horizon_hours * _HOUR_MS + SENDING_MS_MAX
    if spec.start_ms < first_ms:
        raise UsageError(
            f"the range begins at {format_rfc3339(spec.start_ms)}: its readings would be quarantined as too late",
            hint=f"the stage takes readings of the last {horizon_hours} h: begin at {format_rfc3339(first_ms)}",
        )


def _simulate(spec: "FleetSpec", stage: str, *, now_ms: int, waits: bool, is_dry_run: bool) -> "RunReport":
    from windrow.cli.draining import wait_until_drained

    deployment = deployment_of(stage)
    check_horizon(spec, now_ms=now_ms, horizon_hours=deployment.lateness_horizon_hours)
    report = simulate_fleet(spec, deployment, now_ms=now_ms, is_dry_run=is_dry_run)
    if waits and not is_dry_run:
        wait_until_drained(deployment, report.last_sequence_numbers)
    return report


def simulate_fleet(
    spec: "FleetSpec", deployment: "Deployment", *, now_ms: int, is_dry_run: bool = False
) -> "RunReport":
    """Send the fleet to the stage, with a progress bar; `now_ms` names the run."""
    from producers import simulation
    from producers.aggregator import ShardMap
    from windrow.aws import client
    from windrow.kinesis import KinesisStream
    from windrow.s3 import S3Store

    run_id = simulation.run_id_of(spec, started_ms=now_ms)
    stream = KinesisStream.at(deployment.place, deployment.stream_name)
    shards = stream.list_shards()
    began_seconds = time.monotonic()
    with progress_bar("simulating", total=spec.samples_expected, unit="readings") as bar:

        def show(progress: simulation.Progress) -> None:
            seconds = max(time.monotonic() - began_seconds, 1e-3)
            megabytes = progress.counters.bytes / 1e6
            bar.reached(progress.payloads, note=f"{progress.payloads / seconds:,.0f}/s {megabytes:,.1f} MB sent")

        if is_dry_run:
            nowhere = simulation.NowhereStream(stream.name)
            return simulation.send(spec, run_id=run_id, stream=nowhere, shard_map=ShardMap(shards), progress=show)
        lake = S3Store(client("s3", deployment.place), deployment.lake_bucket)
        return simulation.run(spec, run_id=run_id, stream=stream, shards=shards, store=lake, progress=show)


def report_json(report: "RunReport", spec: "FleetSpec", *, is_dry_run: bool) -> dict[str, object]:
    """The report as JSON's types; sequence numbers are strings. A dry run has neither an id nor numbers."""
    last = {} if is_dry_run else report.last_sequence_numbers
    return {
        "run_id": None if is_dry_run else report.run_id,
        "stream": report.stream,
        "is_dry_run": is_dry_run,
        "fleet": spec.to_json(),
        "totals": asdict(report.totals),
        "counters": asdict(report.counters),
        "last_sequence_numbers": {shard: str(number) for shard, number in last.items()},
    }


def _print_report(report: "RunReport", spec: "FleetSpec", *, is_dry_run: bool) -> None:
    from rich.table import Table

    totals, counters = report.totals, report.counters
    rows = {
        "run": "none: nothing was sent" if is_dry_run else report.run_id,
        "stream": report.stream,
        "event times": f"{format_rfc3339(spec.start_ms)} to {format_rfc3339(spec.end_ms)}",
        "sensors": f"{spec.sensors:,}",
        "readings": f"{totals.readings:,}",
        "sent again": f"{totals.repeated:,}",
        "malformed": f"{totals.malformed:,}",
        "records": f"{counters.records:,} in {counters.requests:,} requests",
        "bytes": f"{counters.bytes:,}",
        "retried": f"{counters.retried:,} ({counters.throttled:,} throttled, {counters.ambiguous:,} ambiguous)",
    }
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in rows.items():
        table.add_row(name, value)
    out.print(table)
