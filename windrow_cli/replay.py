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
@click.option("--archive", metavar="URL", help="Read a raw archive, s3://bucket/prefix, instead of the stream.")
@click.option("--older", "with_older", is_flag=True, help="With --archive: also what partials may have expired for.")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Read and count; invoke nothing.")
@stage_option
def replay(
    start: str | None, end: str | None, *, archive: str | None, with_older: bool, is_dry_run: bool, stage_name: str
) -> None:
    """Read the stream again and process its records once more.

    The consumer is invoked with the original records and arrival times. Partials that exist are not written again, so a
    replay after a repaired fault adds what was missing, and any other replay changes nothing.

    \b
    windrow replay
    windrow replay --from 2026-11-20T10:00:00Z --to 2026-11-20T11:00:00Z
    windrow replay --from 2026-11-20T10:00:00Z --dry-run
    windrow replay --archive s3://bucket/kinesis-channel/ --from 2026-11-01T00:00:00Z
    """
    from windrow_operations.redelivery import replay_stage

    now_ms = clock_ms()
    start_ms, end_ms = arrival_range_ms(start, end, now_ms=now_ms)
    if with_older and archive is None:
        raise UsageError("--older is for an archive", hint="give --archive s3://bucket/prefix")
    if archive is not None:
        times = TimeRange(start_ms, end_ms)
        _replay_archive(stage_name, archive, times, now_ms=now_ms, with_older=with_older, is_dry_run=is_dry_run)
        return
    stage = open_stage(stage_name)
    with progress_bar("replaying", total=None, unit="records") as bar:

        def so_far(replayed: "ReplayResult") -> None:
            bar.reached(replayed.records, note=f"{replayed.payload_bytes / 1e6:,.1f} MB")

        replayed = replay_stage(stage, start_ms=start_ms, end_ms=end_ms, is_dry_run=is_dry_run, on_progress=so_far)
    show(replayed, is_dry_run=is_dry_run)


def _replay_archive(
    stage_name: str, url: str, times: TimeRange, *, now_ms: int, with_older: bool, is_dry_run: bool
) -> None:
    """Replay what was written to the archive in `times`, and say what was skipped."""
    from windrow_operations.archives import ArchiveLocation, replay_archive

    location, stage = ArchiveLocation.parse(url), open_stage(stage_name)
    with progress_bar("replaying", total=None, unit="records") as bar:

        def so_far(replayed: "ReplayResult") -> None:
            bar.reached(replayed.records, note=f"{replayed.payload_bytes / 1e6:,.1f} MB")

        replayed = replay_archive(
            stage,
            location,
            start_ms=times.start_ms,
            end_ms=times.end_ms,
            now_ms=now_ms,
            with_older=with_older,
            is_dry_run=is_dry_run,
            on_progress=so_far,
        )
    out.print(f"archive: {replayed.objects:,} objects, {len(replayed.skipped):,} skipped")
    for one in replayed.skipped[:_FAILURES_SHOWN_MAX]:
        err.print(f"{one.key}: {one.why}", markup=False)
    if replayed.unrecognised:
        err.print(f"{replayed.unrecognised:,} pieces are no records of ours; the consumer quarantines them")
    show(replayed.delivered, is_dry_run=is_dry_run)


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
