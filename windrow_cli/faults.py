"""Options for the faults of a simulated fleet: a preset, and a rate for each fault."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from windrow_cli.choices import OneOf

if TYPE_CHECKING:
    from producers.faults import Faults

_Command = TypeVar("_Command", bound=Callable[..., Any])
_HELP = {
    "malformed": "Share of readings whose payload is broken.",
    "duplicates": "Share sent again in another record.",
    "echoes": "Share whose bytes are sent twice in a row.",
    "late": "Share sent a second to a day after its time.",
    "shuffled": "Share sent out of order.",
    "truncated": "Share of aggregates preceded by a truncated copy.",
    "dropout": "Share missing, ten minutes of a sensor at a time.",
    "stuck": "Share that repeats an old value, fifteen minutes of a sensor at a time.",
    "spikes": "Share off by 20 to 80 degrees.",
    "skewed": "Share of sensors whose clock is wrong by up to two minutes.",
}


def fault_options(command: _Command) -> _Command:
    """Add the options; the command passes their values to `chosen_faults`."""
    for name, text in reversed(_HELP.items()):
        command = click.option(f"--{name}", type=click.FloatRange(0, 1), metavar="RATE", help=text)(command)
    preset = click.option(
        "--faults",
        "preset",
        type=OneOf(["none", "some"]),
        default="none",
        show_default=True,
        help="Default rates, 0 to 1, for the options below.",
    )
    return preset(command)


def chosen_faults(*, preset: str, **rates: float | None) -> "Faults":
    """Return the preset, with each rate that was given in place of its own."""
    import dataclasses

    from producers.faults import SOME, Faults

    given = {name: rate for name, rate in rates.items() if rate is not None}
    return dataclasses.replace(SOME if preset == "some" else Faults(), **given)
