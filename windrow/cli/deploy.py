"""`windrow deploy` and `windrow destroy`: a stage comes and goes."""

import os
import time
from typing import TYPE_CHECKING

import click

from windrow.cli.console import err, out

if TYPE_CHECKING:
    from rich.status import Status

    from infra.stack import Event, OnEvent
    from windrow.deployment import Deployment


@click.command()
@click.option("--stage", default="dev", envvar="WINDROW_STAGE", show_default=True, help="The stage to deploy.")
@click.option(
    "--shards", type=click.IntRange(1, 500), help="Shards of the stream; default: as it is, 2 for a new stage."
)
@click.option("--mode", type=click.Choice(["direct", "fanout"]), help="Default: as it is, direct for a new stage.")
@click.option("--schedule/--no-schedule", "is_scheduled", default=None, help="Whether ticks come by themselves.")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Show what would be done, and do nothing.")
def deploy(stage: str, shards: int | None, mode: str | None, *, is_scheduled: bool | None, is_dry_run: bool) -> None:
    """Package the functions and deploy a stage: a CloudFormation stack of its own.

    Run again, it updates what changed and nothing else.

    \b
    windrow deploy
    windrow deploy --stage test --shards 4 --mode fanout
    windrow deploy --dry-run
    """
    from infra import embedded, stack
    from infra.plan import Choices, make_plan

    place = embedded.place(embedded.home_folder(os.environ))
    plan = make_plan(place, stage, Choices(shard_count=shards, mode=mode, is_scheduled=is_scheduled))
    if is_dry_run:
        for line in plan.lines():
            out.print(line, markup=False)
        return
    began = time.monotonic()
    with err.status(f"deploying stage {stage}") as progress:
        applied = stack.apply(plan, _show_on(progress))
    for what in plan.left_out:
        err.print(f"left out: {what}", markup=False)
    if applied.is_changed:
        out.print(f"stage {stage} is deployed ({time.monotonic() - began:.1f} s)")
    else:
        out.print(f"stage {stage} is up to date")
    _print_names(applied.deployment)


@click.command()
@click.option("--stage", default="dev", envvar="WINDROW_STAGE", show_default=True, help="The stage to destroy.")
@click.option("--delete-data", is_flag=True, help="Delete its buckets too; the embedded stack never keeps them.")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Show what would be done, and do nothing.")
def destroy(stage: str, *, delete_data: bool, is_dry_run: bool) -> None:
    """Remove a deployed stage, its stream included. On AWS its buckets are kept unless --delete-data is given.

    \b
    windrow destroy --stage test --dry-run
    windrow destroy --stage test
    """
    from infra import destroy as infra_destroy
    from infra import embedded
    from windrow.aws import EMBEDDED

    place = embedded.place(embedded.home_folder(os.environ))
    plan = infra_destroy.plan_destruction(place, stage, deletes_data=delete_data or place.name == EMBEDDED)
    if is_dry_run:
        for line in plan.lines():
            out.print(line, markup=False)
        return
    with err.status(f"destroying stage {stage}") as progress:
        objects = infra_destroy.apply(plan, _show_on(progress))
    if plan.deletes_data:
        out.print(f"stage {stage} is destroyed, with {objects:,} objects in {len(plan.buckets)} buckets")
    else:
        out.print(f"stage {stage} is destroyed; kept: {', '.join(plan.buckets)}")


def _show_on(progress: "Status") -> "OnEvent":
    """Progress: on a terminal the latest event in one moving line; what fails is printed and stays."""

    def show(event: "Event") -> None:
        progress.update(f"{event.resource}: {event.status.lower().replace('_', ' ')}")
        if event.is_failure:
            err.print(f"{event.resource} ({event.resource_type}): {event.reason}", markup=False, style="red")

    return show


def _print_names(deployment: "Deployment") -> None:
    names = {
        "stream": deployment.stream_name,
        "lake bucket": deployment.lake_bucket,
        "results bucket": deployment.results_bucket,
        "consumer": deployment.consumer_function,
        "dispatcher": deployment.dispatcher_function,
        "database": deployment.database or "none here",
    }
    for what, name in names.items():
        out.print(f"  {what:<15}{name}", markup=False)
