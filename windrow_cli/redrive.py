"""`windrow redrive`: hand what was quarantined or given up to the consumer once more."""

from typing import TYPE_CHECKING

import click

from windrow.errors import UsageError, WindrowError
from windrow_cli.console import err, out
from windrow_cli.progress import progress_bar
from windrow_cli.search import search_of, search_options
from windrow_cli.stage import clock_ms, open_stage, stage_option

if TYPE_CHECKING:
    from processors.redrive import RedriveResult
    from processors.replay import ReplayResult

# How many are named one by one; the rest is counted.
_SHOWN_MAX = 20


@click.command()
@click.option("--quarantined", "of_quarantine", is_flag=True, help="Only payloads in quarantine.")
@click.option("--on-failure", "of_failures", is_flag=True, help="Only batches that Lambda gave up.")
@search_options
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Read and count; invoke nothing.")
@stage_option
def redrive(
    *,
    of_quarantine: bool,
    of_failures: bool,
    start: str | None,
    end: str | None,
    reasons: tuple[str, ...],
    shard: str | None,
    is_dry_run: bool,
    stage_name: str,
) -> None:
    """Process payloads in quarantine, and batches that Lambda gave up, once more.

    The consumer is invoked with the original bytes, origin and arrival times. Payloads that count now join their
    windows, which the next tick rolls again; the others are in quarantine already. Nothing is deleted, so it is safe to
    run twice. Payloads older than the partials they would join stay where they are.

    \b
    windrow redrive --dry-run
    windrow redrive --on-failure && windrow tick
    windrow redrive --quarantined --reason too_late --from -2d
    """
    from windrow_operations.redelivery import redrive_stage

    if reasons and of_failures:
        raise UsageError("--reason is about quarantine", hint="leave out --on-failure")
    both = of_quarantine == of_failures
    search = search_of(start, end, reasons, shard, now_ms=clock_ms())
    stage = open_stage(stage_name)
    with progress_bar("redriving", total=None, unit="payloads") as bar:

        def so_far(replayed: "ReplayResult") -> None:
            bar.reached(replayed.records, note=f"{replayed.payload_bytes / 1e6:,.1f} MB")

        redriven = redrive_stage(
            stage,
            search,
            now_ms=clock_ms(),
            of_quarantine=of_quarantine or both,
            of_failures=of_failures or (both and not reasons),
            is_dry_run=is_dry_run,
            on_progress=so_far,
        )
    show(redriven, is_dry_run=is_dry_run)


def show(redriven: "RedriveResult", *, is_dry_run: bool = False) -> None:
    """Print the result; WindrowError when something failed or was kept back, after naming it."""
    delivered, failed, kept = redriven.delivered, redriven.delivered.failed, redriven.skipped
    told = f"{delivered.records:,} payloads of {redriven.objects:,} objects"
    if is_dry_run:
        out.print(f"redrive: {told} would take {delivered.invocations:,} invocations, {len(kept):,} objects stay")
    else:
        out.print(f"redrive: {told}, {delivered.invocations:,} invocations, {len(failed):,} failed")
    for one in failed[:_SHOWN_MAX]:
        err.print(f"{one.shard} {one.first} to {one.last} ({one.records:,} payloads): {one.detail}", markup=False)
    for left in kept[:_SHOWN_MAX]:
        err.print(f"{left.key} ({left.count:,}) stays: {left.why}", markup=False)
    if failed:
        raise WindrowError(
            f"{len(failed):,} of {delivered.invocations:,} invocations failed, the first at {failed[0].shard}",
            hint="run the redrive again: what succeeded is not written twice",
        )
    if kept:
        raise WindrowError(f"{len(kept):,} objects stay as they are, the first: {kept[0].key}: {kept[0].why}")
