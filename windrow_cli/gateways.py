"""`windrow gateways`: who may upload to a stage by a token, and for which sensors."""

import json
from dataclasses import asdict

import click

from windrow_cli.choices import OneOf
from windrow_cli.console import confirm, err, out
from windrow_cli.stage import open_stage, stage_option


@click.group()
def gateways() -> None:
    """Let gateways upload by tokens to a stage with Web=on and Uploads=bucket (docs/uploads.md).

    \b
    windrow gateways add roof --sensors site-7/ > roof.json
    windrow upload --gateway roof.json readings.csv
    windrow gateways list
    """


@gateways.command("add")
@click.argument("name")
@click.option(
    "--sensors",
    "prefixes",
    multiple=True,
    required=True,
    metavar="PREFIX",
    help="How the ids of its sensors begin. May be repeated.",
)
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Say what would be done; do nothing.")
@stage_option
def add_command(*, name: str, prefixes: tuple[str, ...], is_dry_run: bool, stage_name: str) -> None:
    """Add the gateway NAME, and print the credentials that it needs, as JSON. The secret is not shown again.

    \b
    windrow gateways add roof --sensors site-7/ > roof.json
    windrow gateways add cellar --sensors site-8/a --sensors site-8/b --stage prod > cellar.json
    """
    from windrow_operations import gateways as operation

    operation.check_gateway(name, prefixes)
    stage = open_stage(stage_name)
    if is_dry_run:
        out.print(f"let {name} upload to stage {stage_name} for {_in_words(prefixes)}", markup=False, soft_wrap=True)
        return
    with err.status(f"adding {name}"):
        credentials = operation.add(stage, name, prefixes)
    out.print(json.dumps(asdict(credentials)), markup=False, soft_wrap=True)
    err.print(f"{name} may upload for {_in_words(prefixes)}; keep the secret, it is not shown again", markup=False)


@gateways.command("remove")
@click.argument("name")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Say what would be done; do nothing.")
@click.option("--yes", "is_agreed", is_flag=True, help="Do not ask.")
@stage_option
def remove_command(*, name: str, is_dry_run: bool, is_agreed: bool, stage_name: str) -> None:
    """Remove the gateway NAME; its tokens end at once. What it uploaded stays.

    \b
    windrow gateways remove roof --yes
    """
    from windrow_operations import gateways as operation

    stage = open_stage(stage_name)
    if is_dry_run:
        out.print(f"remove {name} from stage {stage_name}", markup=False)
        return
    if not is_agreed:
        confirm(f"Remove the gateway {name} from stage {stage_name}?")
    with err.status(f"removing {name}"):
        operation.remove(stage, name)
    out.print(f"{name} is removed", markup=False)


@gateways.command("list")
@click.option("--format", "form", type=OneOf(["table", "csv", "json"]), default="table", show_default=True)
@stage_option
def list_command(*, form: str, stage_name: str) -> None:
    """List the gateways: name, client of the user pool, and how the ids of their sensors begin.

    \b
    windrow gateways list --stage prod --format json
    """
    from analytics.plain import PlainRows
    from windrow_cli.formats import TEXTS
    from windrow_operations import gateways as operation

    with err.status("looking for gateways"):
        found = operation.gateways(open_stage(stage_name))
    columns = [[one.name for one in found], [one.client for one in found], [_in_words(one.sensors) for one in found]]
    for text in TEXTS[form]([PlainRows(("gateway", "client", "sensors"), columns)]):
        out.print(text, markup=False)
    err.print(f"{len(found):,} gateways")


def _in_words(prefixes: tuple[str, ...]) -> str:
    return ", ".join(f"{prefix}*" for prefix in prefixes)
