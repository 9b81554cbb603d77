"""`windrow replay`: hand the stream's records to the consumer once more."""

from typing import TYPE_CHECKING

import click

from windrow.errors import UsageError, WindrowError
from windrow.timerange import TimeRange, parse_time
from windrow_cli.console import err, out
from windrow_cli.progress import progress_bar
from windrow_cli.stage import clock_ms, open_stage, stage_option

if TYPE_CHECKING:
    from processors.replay import ReplayResult

# Failed invocations that are named one by one; a replay against a broken function may have thousands.
_FAILURES_SHOWN_MAX = 20


@click.command()
@click.option("--from", "start", metavar="TIME", help="First arrival, inclusive (RFC 3339); default: all that is kept.")
@click.option("--to", "end", metavar="TIME", help="Last arrival, exclusive (RFC 3339); default: now.")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Read and count; invoke nothing.")
@stage_option
def replay(start: str | None, end: str | None, *, is_dry_run: bool, stage_name: str) -> None:
    """Read the stream again and process its records once more.

    The consumer is invoked with the original records and arrival times. Partials that exist are not written again, so a
    replay after a repaired fault adds what was missing, and any other replay changes nothing.

    \b
    windrow replay
    windrow replay --from 2026-11-20T10:00:00Z --to 2026-11-20T11:00:00Z
    windrow replay --from 2026-11-20T10:00:00Z --dry-run
    """
    from windrow_operations.redelivery import replay_stage

    start_ms, end_ms = arrival_range_ms(start, end, now_ms=clock_ms())
    stage = open_stage(stage_name)
    with progress_bar("replaying", total=None, unit="records") as bar:

        def so_far(replayed: "ReplayResult") -> None:
            bar.reached(replayed.records, note=f"{replayed.payload_bytes / 1e6:,.1f} MB")

        replayed = replay_stage(stage, start_ms=start_ms, end_ms=end_ms, is_dry_run=is_dry_run, on_progress=so_far)
    show(replayed, is_dry_run=is_dry_run)


def arrival_range_ms(start: str | None, end: str | None, *, now_ms: int) -> tuple[int, int]:
    """Return the half-open range that `--from` and `--to` ask for; UsageError when it is empty."""
    # No record is older than Kinesis, so whatever is before 1970 means all that is kept.
    start_ms = 0 if start is None else max(0, parse_time(start, now_ms=now_ms, option="--from"))
    end_ms = now_ms if end is None else parse_time(end, now_ms=now_ms, option="--to")
    if start is not None and start_ms >= now_ms:
        raise UsageError(f"--from {start} is in the future: nothing has arrived yet")
    arrivals = TimeRange(start_ms, end_ms)
    return arrivals.start_ms, arrivals.end_ms


def show(replayed: "ReplayResult", *, is_dry_run: bool = False) -> None:
    """Print the result; WindrowError when an invocation failed, after naming its records."""
    if is_dry_run:
        out.print(f"replay: {replayed.records:,} records would take {replayed.invocations:,} invocations")
        return
    failed = replayed.failed
    out.print(f"replay: {replayed.records:,} records, {replayed.invocations:,} invocations, {len(failed):,} failed")
    for one in failed[:_FAILURES_SHOWN_MAX]:
        err.print(f"{one.shard} {one.first} to {one.last} ({one.records:,} records): {one.detail}", markup=False)
    if len(failed) > _FAILURES_SHOWN_MAX:
        err.print(f"... and {len(failed) - _FAILURES_SHOWN_MAX:,} more")
    if failed:
        first = failed[0]
        raise WindrowError(
            f"{len(failed):,} of {replayed.invocations:,} invocations failed, "
            f"the first at {first.shard}, sequence numbers {first.first} to {first.last}",
            hint="run the replay again: what succeeded is not written twice",
        )
