"""`windrow drift`: show what was changed in a stage outside its template."""

import click

from windrow.errors import WindrowError
from windrow_cli.console import err, out
from windrow_cli.stage import chosen_place, stage_option


@click.command()
@stage_option
def drift(stage_name: str) -> None:
    """Compare a deployed stage with its template: what somebody changed by hand, or removed.

    Exit code 0 if nothing was, else 1. The next deployment does not repair it, because CloudFormation compares
    templates: set the property back, or change the template.

    \b
    windrow drift
    windrow drift --target aws --stage prod
    """
    from infra.drift import differences

    with err.status(f"comparing stage {stage_name}"):
        found = differences(chosen_place(), stage_name)
    for difference in found:
        out.print(str(difference), markup=False)
    if found:
        raise WindrowError(f"stage {stage_name} differs from its template in {len(found)} places")
    out.print(f"stage {stage_name} matches its template")
