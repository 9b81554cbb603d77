"""What most commands begin with: which stage, where it is, and what time an option means."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from windrow import settings

if TYPE_CHECKING:
    from windrow.deployment import Deployment

stage_option = click.option(
    "--stage", default="dev", envvar=settings.STAGE, show_default=True, metavar="NAME", help="The deployed stage."
)


def home_folder() -> Path:
    """Where windrow keeps what it needs on this machine."""
    from infra import embedded

    return embedded.home_folder(os.environ)


def deployment_of(stage: str) -> "Deployment":
    """The deployment of `stage`; WindrowError when it is not deployed, or nothing runs to deploy to."""
    from infra import embedded
    from windrow.deployment import find_deployment

    return find_deployment(embedded.place(home_folder()), stage)


def clock_ms() -> int:
    """The clock, in epoch milliseconds: read here, by commands, and passed on."""
    return time.time_ns() // 1_000_000
