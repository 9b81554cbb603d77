"""`windrow up`, `down`, `status`: the embedded stack, and what is deployed in it."""

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from windrow.cli.console import out

if TYPE_CHECKING:
    from infra.embedded import Embedded
    from infra.facts import StageFacts


@click.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), default=4566, show_default=True, help="Taken if free, else another one."
)
def up(port: int) -> None:
    """Start the embedded stack on this machine: Kinesis, S3, Lambda and the rest, with no account and no Docker.

    It listens on the loopback interface alone, keeps what it needs in $WINDROW_HOME (default ~/.windrow), and runs
    until `windrow down`. If it runs already, nothing happens.

    \b
    windrow up
    windrow up --port 4600
    """
    from infra import embedded

    home = embedded.home_folder(os.environ)
    already = embedded.status(home)
    running = embedded.up(home, port=port)
    state = "runs already" if already is not None and already.process == running.process else "runs"
    out.print(f"the embedded stack {state} at {running.endpoint_url} (pid {running.process.pid})")


@click.command()
def down() -> None:
    """Stop the embedded stack and remove everything it stored.

    \b
    windrow down
    """
    from infra import embedded

    was_running = embedded.down(embedded.home_folder(os.environ))
    out.print("the embedded stack is stopped, its data removed" if was_running else "no embedded stack was running")


@click.command()
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def status(form: str) -> None:
    """Show whether the embedded stack runs, and each deployed stage: its stream, its mapping, its newest closed window.

    \b
    windrow status
    windrow status --format json
    """
    from infra import embedded, facts

    home = embedded.home_folder(os.environ)
    running = embedded.status(home)
    stages = [] if running is None else facts.stages(embedded.place(home))
    if form == "json":
        out.print_json(data={"place": _place_facts(running), "stages": [asdict(stage) for stage in stages]})
    else:
        _print_table(running, stages)


def _place_facts(running: "Embedded | None") -> dict[str, object] | None:
    from infra import embedded

    if running is None:
        return None
    return {
        "name": "embedded",
        "endpoint_url": running.endpoint_url,
        "pid": running.process.pid,
        "is_healthy": embedded.is_healthy(running),
        "version": embedded.version(),
        "log": str(running.log),
    }


def _print_table(running: "Embedded | None", stages: "list[StageFacts]") -> None:
    if running is None:
        out.print("the embedded stack is not running; start it with: windrow up")
        return
    out.print(f"embedded stack at {running.endpoint_url} (pid {running.process.pid}), log {running.log}", markup=False)
    if not stages:
        out.print("no stage is deployed; deploy one with: windrow deploy")
    for stage in stages:
        out.print(f"stage {stage.stage}: {stage.stack_status}", markup=False)
        if stage.stream:
            out.print(f"  mode           {stage.mode}")
            out.print(f"  stream         {stage.stream}, {stage.shards} open shards", markup=False)
            out.print(f"  mapping        {stage.mapping}, last batch: {stage.last_batch}", markup=False)
            out.print(f"  newest window  {stage.newest_window or 'none yet'}")
