"""What most commands begin with: which stage, where it is, and what time it is."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from windrow import settings
from windrow_cli.choices import OneOf
from windrow_cli.console import err
from windrow_operations.configuration import DEFAULTS, TARGETS, Choice, configured

if TYPE_CHECKING:
    from windrow.aws.clients import Place
    from windrow.stage import Stage

_Command = TypeVar("_Command", bound=Callable[..., Any])
_META = "windrow.target"


def _remember(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    context.meta.setdefault(_META, {})[parameter.name] = value


def target_option(command: _Command) -> _Command:
    """Add options that say where a stage is. They are not arguments of the command: `chosen_place` reads them."""
    options = (
        click.option(
            "--target",
            type=OneOf(TARGETS, noun="target"),
            default=lambda: _configured("target"),
            envvar=settings.TARGET,
            show_envvar=True,
            show_default=TARGETS[0],
            expose_value=False,
            callback=_remember,
            help="Where: the embedded stack, a LocalStack, or AWS.",
        ),
        click.option(
            "--region",
            metavar="NAME",
            expose_value=False,
            callback=_remember,
            help="The AWS region; default: AWS_REGION, else the profile's.",
        ),
        click.option(
            "--profile",
            metavar="NAME",
            expose_value=False,
            callback=_remember,
            help="The AWS profile; default: AWS_PROFILE, else the usual chain of credentials.",
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
        default=lambda: _configured("stage"),
        envvar=settings.STAGE,
        show_envvar=True,
        show_default=str(DEFAULTS["stage"]),
        metavar="NAME",
        help="The deployed stage.",
    )
    return option(target_option(command))


def home_folder() -> Path:
    """Return the folder where windrow keeps its files on this machine."""
    return settings.home_folder(os.environ)


def chosen_target() -> str:
    """Return the target of the running command; the embedded stack outside of any command."""
    return _chosen("target") or TARGETS[0]


def chosen_place() -> "Place":
    """Return the place that the running command's options, the environment or a file name; WindrowError if none."""
    from infra.targets import find_place

    profile = _chosen("profile")
    if profile is None and chosen_target() == "aws":
        choice = _configuration()["profile"]
        profile = None if choice.source == settings.AWS_PROFILE else choice.value  # boto3 itself reads the variable
    return find_place(chosen_target(), home=home_folder(), region=chosen_region(), profile=profile)


def chosen_region() -> str | None:
    """Return the region that the options or, on AWS, the environment or a file name; None: the profile's."""
    region = _chosen("region")
    return region or (_configured("region") if chosen_target() == "aws" else None)


def open_stage(name: str) -> "Stage":
    """Return the stage `name`; WindrowError when it is not deployed, or nothing runs to deploy to."""
    with err.status(f"looking for stage {name}"):
        from windrow.deployment import find_stage

        return find_stage(chosen_place(), name)


def clock_ms() -> int:
    """Return the time in epoch milliseconds. Commands read the clock here and pass it on."""
    return time.time_ns() // 1_000_000


def _configuration() -> "dict[str, Choice]":
    return configured(os.environ, folder=Path.cwd())


def _configured(name: str) -> str | None:
    return _configuration()[name].value


def _chosen(name: str) -> str | None:
    context = click.get_current_context(silent=True)
    return None if context is None else context.meta.get(_META, {}).get(name)
