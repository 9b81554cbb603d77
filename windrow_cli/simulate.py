"""`windrow simulate`: the readings of a simulated fleet, sent to the stream of a stage."""

import json
import re
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from windrow.errors import UsageError
from windrow.reading import EARLINESS_MS_MAX
from windrow.timerange import TimeRange, parse_time
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS
from windrow_cli.console import out, progress_bar
from windrow_cli.faults import chosen_faults, fault_options
from windrow_cli.stage import clock_ms, deployment_of, stage_option

if TYPE_CHECKING:
    from producers.fleet import FleetSpec
    from producers.simulation import RunReport
    from windrow.aws.deployment import Deployment

WINDOWS_DEFAULT = 4
# The readings must still be within the lateness horizon when the last of them arrives.
SENDING_MS_MAX = 3_600_000
_HOUR_MS = 3_600_000
REALTIME_DEFAULT = "10m"
_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """In which form, by the clock or as fast as the stream takes it, and whether at all."""

    wire: str = "json"
    is_realtime: bool = False
    is_dry_run: bool = False


@click.command()
@click.option("--sensors", default=200, show_default=True, help="How many sensors, up to 1,000,000.")
@click.option("--sites", default=10, show_default=True, help="How many sites they are spread over, up to 100.")
@click.option("--interval", default=10.0, show_default=True, metavar="SECONDS", help="Time between two samples.")
@click.option("--windows", type=click.IntRange(min=1), help="The last so many ended windows.  [default: 4]")
@click.option("--from", "start", metavar="TIME", help="First event time, inclusive (RFC 3339).")
@click.option("--to", "end", metavar="TIME", help="Last event time, exclusive (RFC 3339); default: now.")
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same readings.")
@click.option("--realtime", "is_realtime", is_flag=True, help="Send each reading when it is measured, from now on.")
@click.option("--for", "length", metavar="LENGTH", help="How long --realtime lasts, such as 90s or 2h.  [default: 10m]")
@click.option(
    "--wire", type=click.Choice(["json", "blocks"]), default="json", show_default=True, help="Form of readings."
)
@fault_options
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
    is_realtime: bool,
    length: str | None,
    wire: str,
    waits: bool,
    is_dry_run: bool,
    form: str,
    stage: str,
    **faults: Any,
) -> None:
    """Send the readings of a simulated fleet.

    They are aggregated by shard as the Kinesis Producer Library does. What was sent is recorded in the lake, so that
    `windrow verify` can make the truth again, whatever goes wrong on the way.

    \b
    windrow simulate --wait && windrow tick
    windrow simulate --faults some --wire blocks
    windrow simulate --realtime --for 1h --sensors 1000
    windrow simulate --sensors 20000 --windows 12 --duplicates 0.01 --malformed 0.001
    windrow simulate --from 2026-11-20T10:00:00Z --to 2026-11-20T11:00:00Z --dry-run
    """
    from producers.fleet import FleetSpec

    now_ms = clock_ms()
    if is_realtime:
        start_ms, end_ms = realtime_range_ms(start, end, windows=windows, length=length, now_ms=now_ms)
    elif length is not None:
        raise UsageError("--for needs --realtime", hint="without it, give --windows, or --from and --to")
    else:
        start_ms, end_ms = event_range_ms(start, end, windows=windows, now_ms=now_ms)
    try:
        spec = FleetSpec(
            seed=seed,
            sensors=sensors,
            sites=sites,
            interval_ms=round(interval * 1_000),
            start_ms=start_ms,
            end_ms=end_ms,
            faults=chosen_faults(**faults),
        )
    except (ValueError, OverflowError) as error:
        raise UsageError(f"there is no such fleet: {error}") from error
    how = How(wire=wire, is_realtime=is_realtime, is_dry_run=is_dry_run)
    report = _simulate(spec, stage, now_ms=now_ms, waits=waits, how=how)
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


def realtime_range_ms(
    start: str | None, end: str | None, *, windows: int | None, length: str | None, now_ms: int
) -> tuple[int, int]:
    """From now on, as long as the option says."""
    if start is not None or end is not None or windows is not None:
        raise UsageError("--realtime excludes --from, --to and --windows", hint="say how long it lasts: --for 10m")
    text = length or REALTIME_DEFAULT
    match = re.fullmatch(r"(\d{1,9})([smhd])", text, re.ASCII)
    if match is None or int(match[1]) == 0:
        raise UsageError(f"--for {text!r} is no length", hint="write 90s, 10m, 2h or 1d")
    return now_ms, now_ms + int(match[1]) * _UNITS_MS[match[2]]


def check_horizon(spec: "FleetSpec", *, now_ms: int, horizon_hours: int) -> None:
    """UsageError for a fleet whose first readings would be quarantined as too late."""
    first_ms = now_ms - horizon_hours * _HOUR_MS + SENDING_MS_MAX
    if spec.start_ms < first_ms:
        raise UsageError(
            f"the range begins at {format_rfc3339(spec.start_ms)}: its readings would be quarantined as too late",
            hint=f"the stage takes readings of the last {horizon_hours} h: begin at {format_rfc3339(first_ms)}",
        )


def _simulate(spec: "FleetSpec", stage: str, *, now_ms: int, waits: bool, how: How) -> "RunReport":
    from windrow_cli.draining import wait_until_drained

    deployment = deployment_of(stage)
    check_horizon(spec, now_ms=now_ms, horizon_hours=deployment.lateness_horizon_hours)
    report = simulate_fleet(spec, deployment, now_ms=now_ms, how=how)
    if waits and not how.is_dry_run:
        wait_until_drained(deployment, report.last_sequence_numbers)
    return report


def simulate_fleet(spec: "FleetSpec", deployment: "Deployment", *, now_ms: int, how: How | None = None) -> "RunReport":
    """Send the fleet to the stage, with a progress bar; `now_ms` names the run. SIGTERM sends what is buffered."""
    from producers import simulation
    from producers.sender import Wire
    from producers.shards import ShardMap
    from producers.termination import Termination
    from windrow.aws.clients import client
    from windrow.aws.kinesis import KinesisStream
    from windrow.lake.s3 import S3Store
    from windrow_cli.sending import clock_of, progress_note, writer_to

    how = how or How()
    run_id = simulation.run_id_of(spec, started_ms=now_ms)
    stream = KinesisStream.at(deployment.place, deployment.stream_name)
    shards = stream.list_shards()
    clock = clock_of(is_realtime=how.is_realtime)
    options = simulation.Options(wire=Wire(how.wire), list_shards=stream.list_shards, clock=clock)
    began_seconds = time.monotonic()
    termination = Termination()
    termination.begin()
    with progress_bar("simulating", total=spec.samples_expected, unit="readings") as bar:

        def show(progress: simulation.Progress) -> None:
            seconds = time.monotonic() - began_seconds
            lag_ms = None if clock is None or progress.newest_ms is None else clock.now_ms() - progress.newest_ms
            note = progress_note(progress.payloads, progress.counters, seconds=seconds, lag_ms=lag_ms)
            bar.reached(progress.payloads, note=note)

        try:
            if how.is_dry_run:
                nowhere = simulation.NowhereStream(stream.name)
                writer = writer_to(nowhere, is_paced=False)
                shard_map = ShardMap(shards)
                return simulation.send(
                    spec,
                    run_id=run_id,
                    stream=nowhere,
                    shard_map=shard_map,
                    writer=writer,
                    options=options,
                    progress=show,
                )
            lake = S3Store(client("s3", deployment.place), deployment.lake_bucket)
            writer = writer_to(stream, is_paced=not stream.is_stand_in)
            return simulation.run(
                spec,
                run_id=run_id,
                stream=stream,
                shards=shards,
                store=lake,
                writer=writer,
                options=options,
                progress=show,
            )
        finally:
            termination.end()


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
        "malformed": f"{totals.malformed:,} payloads, {totals.truncated:,} records",
        "records": f"{counters.records:,} in {counters.requests:,} requests",
        "bytes": f"{counters.bytes:,}",
        "retried": f"{counters.retried:,} ({counters.throttled:,} throttled, {counters.ambiguous:,} ambiguous)",
    }
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in rows.items():
        table.add_row(name, value)
    out.print(table)
