"""`windrow config`: which stage commands mean here, and who says so."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from windrow_cli.choices import OneOf
from windrow_cli.stage import home_folder
from windrow_operations.configuration import Choice, config_files, configured

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command()
@click.option("--format", "form", type=OneOf(["table", "json"]), default="table", show_default=True)
def config(form: str) -> None:
    """Show which stage commands mean here, and who says so.

    An option counts before the environment, that before windrow.toml in this folder, and that before
    windrow/windrow.toml in $XDG_CONFIG_HOME (default ~/.config). A file has any of these lines; region and profile are
    for AWS only:

    \b
    target = "aws"
    stage = "prod"
    region = "eu-central-1"
    profile = "operations"

    \b
    windrow config
    windrow config --format json
    """
    choices = configured(os.environ, folder=Path.cwd())
    files = config_files(os.environ, folder=Path.cwd())
    if form == "json":
        click.echo(json.dumps(_facts(choices, files), ensure_ascii=False, indent=2))
        return
    rows = [(name, _value(name, choice), _source(choice)) for name, choice in choices.items()]
    rows.append(("home", str(home_folder()), "WINDROW_HOME" if os.environ.get("WINDROW_HOME") else "default"))
    widths = [max(len(row[place]) for row in rows) for place in range(2)]
    for name, value, source in rows:
        click.echo(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {source}".rstrip())
    for path in files:
        click.echo(f"{'read' if path.is_file() else 'not there'}: {path}")


def _value(name: str, choice: Choice) -> str:
    if choice.value is not None:
        return choice.value
    return "the profile's" if name == "region" else "the usual chain of credentials"


def _source(choice: Choice) -> str:
    return choice.source or "default"


def _facts(choices: "Mapping[str, Choice]", files: list[Path]) -> dict[str, object]:
    chosen = {name: {"value": one.value, "source": one.source or None} for name, one in choices.items()}
    return chosen | {
        "home": str(home_folder()),
        "files": [{"path": str(one), "is_there": one.is_file()} for one in files],
    }
