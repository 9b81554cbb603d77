"""What may go wrong with a simulated fleet, as options: a preset, and a rate for each fault."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from producers.faults import Faults

_Command = TypeVar("_Command", bound=Callable[..., Any])
_HELP = {
    "malformed": "Part whose payload is broken.",
    "duplicates": "Part that is sent again in another record.",
    "echoes": "Part whose bytes are sent twice in a row.",
    "late": "Part that is sent a second to a day after its time.",
    "shuffled": "Part that is sent out of order.",
    "truncated": "Part of the aggregates of which a cut copy is sent before.",
    "dropout": "Part that is missing, ten minutes of a sensor at a time.",
    "stuck": "Part that repeats an old value, fifteen minutes of a sensor at a time.",
    "spikes": "Part that is off by 20 to 80 degrees.",
    "skewed": "Part of the sensors whose clock is wrong by up to two minutes.",
}


def fault_options(command: _Command) -> _Command:
    """Adds the options; the command hands their values to `chosen_faults`."""
    for name, text in reversed(_HELP.items()):
        command = click.option(f"--{name}", type=click.FloatRange(0, 1), metavar="RATE", help=text)(command)
    preset = click.option(
        "--faults",
        "preset",
        type=click.Choice(["none", "some"]),
        default="none",
        show_default=True,
        help="The rates, 0 to 1, that the options below leave open.",
    )
    return preset(command)


def chosen_faults(*, preset: str, **rates: float | None) -> "Faults":
    """The preset, with every rate that was given instead of its own."""
    import dataclasses

    from producers.faults import SOME, Faults

    given = {name: rate for name, rate in rates.items() if rate is not None}
    return dataclasses.replace(SOME if preset == "some" else Faults(), **given)
