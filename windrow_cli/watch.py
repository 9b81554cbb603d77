"""`windrow watch`: ticks on this machine while data comes, as the schedule gives them on AWS."""

import itertools
import time

import click

from windrow.errors import UsageError
from windrow_cli.console import out
from windrow_cli.progress import waiting
from windrow_cli.stage import chosen_target, clock_ms, open_stage, stage_option
from windrow_cli.tick_report import changes


@click.command()
@click.option(
    "--every", type=click.IntRange(1, 3_600), default=60, show_default=True, help="Seconds from one tick to the next."
)
@click.option("--ticks", "count", type=click.IntRange(min=1), help="End after so many; default: at Ctrl-C.")
@stage_option
def watch(every: int, *, count: int | None, stage_name: str) -> None:
    """Close the windows that are due, again and again, and show what changes. Ctrl-C ends it.

    On AWS the schedule does this; on this machine nothing ticks by itself.

    \b
    windrow watch
    windrow watch --every 10 --ticks 30
    """
    from windrow_operations import ticks

    if chosen_target() == "aws":
        raise UsageError("on AWS the schedule ticks", hint="see it: windrow logs --function dispatcher --follow")
    stage = open_stage(stage_name)
    try:
        for number in itertools.count(1) if count is None else range(1, count + 1):
            if number > 1:
                with waiting(f"{number - 1:,} ticks; one every {every} s"):
                    time.sleep(every)
            with waiting("the dispatcher closes windows"):
                report = ticks.invoke_tick(stage, ticks.tick_event(clock_ms(), is_dry_run=False))
            for line in changes(report):
                out.print(line, markup=False)
    except KeyboardInterrupt:  # how it ends
        return
