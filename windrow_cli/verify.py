"""`windrow verify`: the results against the truth of what was simulated."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from windrow.errors import WindrowError
from windrow_cli.console import err
from windrow_cli.progress import progress_bar
from windrow_cli.stage import home_folder, open_stage, stage_option

if TYPE_CHECKING:
    from analytics.verify import Verification
    from windrow.stage import Stage


@click.command()
@click.option("--run", "run_id", metavar="ID", help="Only this simulation, as if there were no other.")
@stage_option
def verify(run_id: str | None, *, stage_name: str) -> None:
    """Compare the results with the truth of all simulations on the stage.

    The truth is computed again from their seeds, in pandas and independently of the pipeline, and compared with the
    stored rows: every row and every column of every window that the simulations touch.

    Exit code 0 if they agree, else 1.

    \b
    windrow verify
    windrow verify --run 20261120T223512Z-3fa9c1d2
    """
    from windrow.aws.clients import readable_errors

    stage = open_stage(stage_name)
    with readable_errors(stage.place):
        verification = verify_with_bar(stage, home=home_folder(), run_id=run_id)
    click.echo(verification)
    if not verification.is_exact:
        for culprit in verification.culprits:
            err.print(f"  {culprit}", markup=False)
        raise WindrowError("the results are not the truth")


def verify_with_bar(stage: "Stage", *, home: Path, run_id: str | None = None) -> "Verification":
    """Verify the stage, with a progress bar; warn on standard error of what makes a difference likely."""
    from windrow_operations.verifying import verify_stage

    with progress_bar("verifying", total=None, unit="windows") as bar:
        return verify_stage(
            stage,
            home=home,
            run_id=run_id,
            on_warning=lambda line: err.print(line, markup=False),
            on_window=lambda done, total: bar.reached(done, total=total),
        )
