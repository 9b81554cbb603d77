"""`windrow drift`: what was changed in a stage behind the template's back."""

import click

from windrow.errors import WindrowError
from windrow_cli.console import err, out
from windrow_cli.stage import chosen_place, stage_option


@click.command()
@stage_option
def drift(stage_name: str) -> None:
    """Compare a deployed stage with its template: what somebody changed by hand, or removed.

    Exit code 0 when nothing was, 1 otherwise. The next deployment does not mend it by itself, for CloudFormation
    compares templates: put the property back, or change the template.

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
    out.print(f"stage {stage_name} is as its template says")
