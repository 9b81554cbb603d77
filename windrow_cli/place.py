"""`windrow up`, `down`, `status`: the embedded stack, and what is deployed there or elsewhere."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from windrow.errors import WindrowError
from windrow.timestamps import parse_rfc3339_ms
from windrow.window import WINDOW_MS
from windrow_cli.ago import ago
from windrow_cli.choices import OneOf
from windrow_cli.console import err, out
from windrow_cli.stage import chosen_place, chosen_target, clock_ms, home_folder, target_option

if TYPE_CHECKING:
    from infra.embedded import Embedded
    from infra.stage_status import StageStatus
    from windrow.aws.clients import Place


_IGNORES_KEYS = (
    "its stream distributes records by itself (AUTO): windrow counts all of them, KCL consumers skip most aggregates;"
    " see docs/producing.md"
)


@click.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), default=4566, show_default=True, help="Used if free, else another one."
)
@click.option("--enforce-iam", "enforces_iam", is_flag=True, help="Let functions do only what their roles allow.")
def up(port: int, *, enforces_iam: bool) -> None:
    """Start the embedded stack on this machine: Kinesis, S3, Lambda and the rest, with no account and no Docker.

    It listens on the loopback interface only, keeps its files in $WINDROW_HOME (default ~/.windrow), and runs until
    `windrow down`. If it runs already, nothing happens.

    \b
    windrow up
    windrow up --port 4600
    """
    from infra import embedded

    home = home_folder()
    already = embedded.status(home)
    with err.status("starting the embedded stack"):
        running = embedded.up(home, port=port, enforces_iam=enforces_iam)
    state = "runs already" if already is not None and already.process == running.process else "runs"
    out.print(f"the embedded stack {state} at {running.endpoint_url} (pid {running.process.pid})")


@click.command()
def down() -> None:
    """Stop the embedded stack and remove everything it stored.

    \b
    windrow down
    """
    from infra import embedded

    with err.status("stopping the embedded stack"):
        was_running = embedded.down(home_folder())
    out.print("the embedded stack is stopped, its data removed" if was_running else "no embedded stack was running")


@click.command()
@click.option("--format", "form", type=OneOf(["table", "json"]), default="table", show_default=True)
@click.option("--stage", "wanted", metavar="NAME", help="Only this stage; default: all.")
@target_option
def status(form: str, *, wanted: str | None) -> None:
    """Show what runs where, and each deployed stage: its stream, its mapping, its newest closed window.

    Exit code 1 if the stream of a stage is not read, because its mapping is disabled or missing.

    \b
    windrow status
    windrow status --stage prod --format json
    windrow status --target aws
    """
    from infra import stage_status

    if chosen_target() == "embedded" and _running() is None:
        if wanted is not None:
            chosen_place()  # says that nothing runs, so the stage is not there
        if form == "json":
            out.print_json(data={"place": None, "stages": []})
        else:
            out.print("the embedded stack is not running; start it with: windrow up")
        return
    place = chosen_place()
    with err.status("asking what is deployed"):
        found = stage_status.stage_statuses(place)
    stages = _chosen(found, wanted)
    if form == "json":
        out.print_json(data={"place": _place_facts(place), "stages": [asdict(stage) for stage in stages]})
    else:
        _print_table(place, stages)
    for stage in stages:
        if stage.ignores_keys:
            err.print(f"stage {stage.stage}: {_IGNORES_KEYS}", markup=False)
    stopped = [stage for stage in stages if not stage.is_reading]
    if stopped:
        names = ", ".join(f"{stage.stage} ({stage.mapping or 'no mapping'})" for stage in stopped)
        hint = "nothing is processed; the stream forgets records: docs/runbook.md#nothing-is-processed"
        raise WindrowError(f"the stream is not read: {names}", hint=hint)


def _chosen(stages: "list[StageStatus]", wanted: str | None) -> "list[StageStatus]":
    """Return the stage that is `wanted`, or all; WindrowError if it is not there."""
    from windrow.deployment import status_hint
    from windrow.likely import did_you_mean, likely

    chosen = [stage for stage in stages if wanted in (None, stage.stage)]
    if wanted is not None and not chosen:
        hint = did_you_mean(likely(wanted, [stage.stage for stage in stages])) or status_hint(wanted, "")
        raise WindrowError(f"no stage {wanted!r} is deployed", hint=hint)
    return chosen


def _running() -> "Embedded | None":
    from infra import embedded

    return embedded.status(home_folder())


def _place_facts(place: "Place") -> dict[str, object]:
    """Return the facts about the place itself; for the embedded stack, its process too."""
    from infra import embedded

    running = _running() if chosen_target() == "embedded" else None
    if running is None:
        return {"name": place.name, "endpoint_url": place.endpoint_url, "region": place.region}
    return {
        "name": "embedded",
        "endpoint_url": running.endpoint_url,
        "pid": running.process.pid,
        "is_healthy": embedded.is_healthy(running),
        "version": embedded.version(),
        "log": str(running.log),
    }


def _print_table(place: "Place", stages: "list[StageStatus]") -> None:
    from windrow.deployment import status_hint
    from windrow.lake.layout import UPLOADS

    running = _running() if chosen_target() == "embedded" else None
    if running is not None:
        where = f"embedded stack at {running.endpoint_url} (pid {running.process.pid}), log {running.log}"
    elif place.endpoint_url is not None:
        where = f"LocalStack at {place.endpoint_url}"
    else:
        where = f"AWS in {place.region}"
    out.print(where, markup=False)
    if not stages:
        out.print("no stage is deployed; deploy one with: windrow deploy")
    for stage in stages:
        out.print(f"stage {stage.stage}: {stage.stack_status}", markup=False)
        if not stage.stack_status.endswith("_COMPLETE") or not stage.mode:
            out.print(f"  {status_hint(stage.stage, stage.stack_status)}", markup=False)
        if stage.stream:
            out.print(f"  mode           {stage.mode}")
            out.print(f"  stream         {stage.stream}, {stage.shards} open shards", markup=False)
            out.print(f"  mapping        {stage.mapping}, last batch: {stage.last_batch}", markup=False)
        if stage.uploads_bucket:
            out.print(f"  uploads        s3://{stage.uploads_bucket}/{UPLOADS}", markup=False)
        if stage.mode:
            out.print(f"  payloads       {_payloads(stage.payload_contract)}")
            out.print(f"  rules          {stage.rules[:16] or 'none'}")
            out.print(f"  newest window  {_newest_window(stage.newest_window)}")
        if stage.iot_topic:
            out.print(f"  MQTT           {stage.iot_topic}, messages put aside: {_put_aside(stage)}", markup=False)


def _newest_window(start: str) -> str:
    if not start:
        return "none yet"
    end_ms = parse_rfc3339_ms(start) + WINDOW_MS
    return f"{start}, ended {ago(end_ms, now_ms=clock_ms())}"


def _payloads(digest: str) -> str:
    return f"by the contract {digest[:16]}" if digest else "the default form"


def _put_aside(stage: "StageStatus") -> str:
    from infra.stage_status import IOT_PUT_ASIDE_MAX

    if not stage.iot_put_aside:
        return "none"
    count = f"{stage.iot_put_aside:,}" + (" or more" if stage.iot_put_aside == IOT_PUT_ASIDE_MAX else "")
    return f"{count}; see docs/runbook.md#iot-messages-fail"
