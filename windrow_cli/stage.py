"""What most commands begin with: which stage, where it is, and what time it is."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from windrow import settings
from windrow_cli.choices import OneOf

if TYPE_CHECKING:
    from windrow.aws.clients import Place
    from windrow.stage import Stage

_Command = TypeVar("_Command", bound=Callable[..., Any])
# The same names as in windrow.aws.clients, which takes a while to import.
_TARGETS = ("embedded", "localstack", "aws")
_META = "windrow.target"


def _remember(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    context.meta.setdefault(_META, {})[parameter.name] = value


def target_option(command: _Command) -> _Command:
    """Add options that say where a stage is. They are not arguments of the command: `chosen_place` reads them."""
    options = (
        click.option(
            "--target",
            type=OneOf(_TARGETS, noun="target"),
            default="embedded",
            envvar=settings.TARGET,
            show_default=True,
            expose_value=False,
            callback=_remember,
            help="Where: the embedded stack, a LocalStack, or AWS.",
        ),
        click.option(
            "--region",
            metavar="NAME",
            expose_value=False,
            callback=_remember,
            help="The AWS region; default: the profile's.",
        ),
        click.option(
            "--profile",
            metavar="NAME",
            expose_value=False,
            callback=_remember,
            help="The AWS profile; default: the usual chain of credentials.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def stage_option(command: _Command) -> _Command:
    """Add `--stage`, the argument `stage_name` of the command, and the options that say where it is."""
    option = click.option(
        "--stage",
        "stage_name",
        default="dev",
        envvar=settings.STAGE,
        show_default=True,
        metavar="NAME",
        help="The deployed stage.",
    )
    return option(target_option(command))


def home_folder() -> Path:
    """Return the folder where windrow keeps its files on this machine."""
    return settings.home_folder(os.environ)


def chosen_target() -> str:
    """Return the target of the running command; the embedded stack outside of any command."""
    return _chosen("target") or _TARGETS[0]


def chosen_place() -> "Place":
    """Return the place that the running command's options name; WindrowError when there is none."""
    from infra.targets import find_place

    return find_place(chosen_target(), home=home_folder(), region=chosen_region(), profile=_chosen("profile"))


def chosen_region() -> str | None:
    """Return the region that the options or, for AWS, the environment name; None leaves it to the profile."""
    region = _chosen("region")
    if chosen_target() == "aws":  # boto3 itself reads only the second
        region = region or os.environ.get(settings.AWS_REGION) or os.environ.get(settings.AWS_DEFAULT_REGION)
    return region


def open_stage(name: str) -> "Stage":
    """Return the stage `name`; WindrowError when it is not deployed, or nothing runs to deploy to."""
    from windrow.deployment import find_stage

    return find_stage(chosen_place(), name)


def clock_ms() -> int:
    """Return the time in epoch milliseconds. Commands read the clock here and pass it on."""
    return time.time_ns() // 1_000_000


def _chosen(name: str) -> str | None:
    context = click.get_current_context(silent=True)
    return None if context is None else context.meta.get(_META, {}).get(name)
