"""`windrow simulate`: the readings of a simulated fleet, sent to the stream of a stage."""

import json
import re
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from windrow.errors import UsageError
from windrow.reading import EARLINESS_MS_MAX
from windrow.timerange import TimeRange, parse_time
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS
from windrow_cli.choices import OneOf
from windrow_cli.console import out
from windrow_cli.faults import chosen_faults, fault_options
from windrow_cli.progress import progress_bar, progress_note, wait_with_bar
from windrow_cli.stage import clock_ms, open_stage, stage_option

if TYPE_CHECKING:
    from producers.fleet import FleetSpec
    from producers.simulation import RunProgress, RunReport
    from windrow.stage import Stage
    from windrow_operations.simulating import SendingOptions

WINDOWS_DEFAULT = 4
REALTIME_DEFAULT = "10m"
_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@click.command()
@click.option("--sensors", default=200, show_default=True, help="Number of sensors, up to 1,000,000.")
@click.option("--sites", default=10, show_default=True, help="Number of sites they are spread over, up to 100.")
@click.option("--interval", default=10.0, show_default=True, metavar="SECONDS", help="Time between two samples.")
@click.option(
    "--quantity",
    "quantities",
    multiple=True,
    type=OneOf(["temperature", "humidity", "pressure"]),
    default=["temperature"],
    show_default=True,
    help="What each sensor measures; may be given several times.",
)
@click.option("--windows", type=click.IntRange(min=1), help="This many of the last ended windows.  [default: 4]")
@click.option("--from", "start", metavar="TIME", help="First event time, inclusive (RFC 3339).")
@click.option("--to", "end", metavar="TIME", help="Last event time, exclusive (RFC 3339); default: now.")
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same readings.")
@click.option("--realtime", "is_realtime", is_flag=True, help="Send each reading when it is measured, from now on.")
@click.option("--for", "length", metavar="LENGTH", help="How long --realtime lasts, such as 90s or 2h.  [default: 10m]")
@click.option(
    "--wire", type=OneOf(["json", "blocks"]), default="json", show_default=True, help="How readings are encoded."
)
@fault_options
@click.option("--wait", "waits", is_flag=True, help="Wait until the consumer has processed everything sent.")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Generate and count everything; send nothing.")
@click.option("--format", "form", type=OneOf(["table", "json"]), default="table", show_default=True)
@stage_option
def simulate(
    *,
    sensors: int,
    sites: int,
    interval: float,
    quantities: tuple[str, ...],
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
    stage_name: str,
    **faults: Any,
) -> None:
    """Send the readings of a simulated fleet.

    Readings are aggregated by shard, as the Kinesis Producer Library does. A manifest of the run is stored in the lake,
    so that `windrow verify` can compute the truth again, whatever goes wrong on the way.

    \b
    windrow simulate --wait && windrow tick
    windrow simulate --faults some --wire blocks
    windrow simulate --quantity temperature --quantity humidity --wait
    windrow simulate --realtime --for 1h --sensors 1000
    windrow simulate --sensors 20000 --windows 12 --duplicates 0.01 --malformed 0.001
    windrow simulate --from 2026-11-20T10:00:00Z --to 2026-11-20T11:00:00Z --dry-run
    """
    from producers.fleet import FleetSpec
    from producers.measured import SIMULATED
    from producers.sender import Wire
    from windrow_operations.simulating import SendingOptions, check_horizon

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
            quantities=tuple(name for name in SIMULATED if name in quantities),
            faults=chosen_faults(**faults),
        )
    except (ValueError, OverflowError) as error:
        raise UsageError(f"no such fleet is possible: {error}") from error
    stage = open_stage(stage_name)
    check_horizon(spec, now_ms=now_ms, horizon_ms=stage.lifetimes.lateness_horizon_ms)
    options = SendingOptions(wire=Wire(wire), is_realtime=is_realtime, is_dry_run=is_dry_run)
    report = simulate_with_bar(spec, stage, now_ms=now_ms, options=options)
    if waits and not is_dry_run:
        wait_with_bar(stage, report.last_sequence_numbers)
    if form == "json":
        out.print_json(json.dumps(report_json(report, spec, is_dry_run=is_dry_run)))
    else:
        _print_report(report, spec, is_dry_run=is_dry_run)


def event_range_ms(start: str | None, end: str | None, *, windows: int | None, now_ms: int) -> tuple[int, int]:
    """Return the half-open range of event times that the options ask for; UsageError when it is empty."""
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
    """Return the range that begins now and lasts as long as `--for` says."""
    if start is not None or end is not None or windows is not None:
        raise UsageError("--realtime excludes --from, --to and --windows", hint="say how long it lasts: --for 10m")
    text = length or REALTIME_DEFAULT
    match = re.fullmatch(r"(\d{1,9})([smhd])", text, re.ASCII)
    if match is None or int(match[1]) == 0:
        raise UsageError(f"--for {text!r} is not a length of time", hint="write 90s, 10m, 2h or 1d")
    return now_ms, now_ms + int(match[1]) * _UNITS_MS[match[2]]


def simulate_with_bar(spec: "FleetSpec", stage: "Stage", *, now_ms: int, options: "SendingOptions") -> "RunReport":
    """Send the fleet to the stage, with a progress bar; `now_ms` names the run."""
    from windrow_operations.simulating import simulate_fleet

    began_seconds = time.monotonic()
    with progress_bar("simulating", total=spec.samples_expected, unit="readings") as bar:

        def show(progress: "RunProgress") -> None:
            seconds = time.monotonic() - began_seconds
            newest_ms = progress.newest_ms if options.is_realtime else None
            lag_ms = None if newest_ms is None else clock_ms() - newest_ms
            note = progress_note(progress.payloads, progress.counters, seconds=seconds, lag_ms=lag_ms)
            bar.reached(progress.payloads, note=note)

        return simulate_fleet(spec, stage, now_ms=now_ms, options=options, on_progress=show)


def report_json(report: "RunReport", spec: "FleetSpec", *, is_dry_run: bool) -> dict[str, object]:
    """Return the report in JSON's types, sequence numbers as strings. A dry run has neither an id nor numbers."""
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
        **({"quantities": ", ".join(spec.quantities)} if len(spec.quantities) > 1 else {}),
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
