"""The package of the API's function, for a stage with Web=on."""

from pathlib import Path

from infra import package, stack, wheels
from infra.bytecode import find_compiler
from infra.package import Package
from infra.plan import DeploymentOptions, has_web, platform_of
from windrow.aws.clients import EMBEDDED, Place, readable_errors
from windrow.deployment import stack_name


def code_for(
    place: Place,
    stage: str,
    options: DeploymentOptions,
    *,
    functions_wheels: tuple[Path, ...] | None,
    home: Path,
    is_asked: bool = True,
) -> Package | None:
    """Return the package of the API, with `functions_wheels` and its own; None if the stage is to have none.

    If `options` do not say, it depends on what the stage has, unless nothing may be asked (not `is_asked`).
    """
    parameters = dict(options.parameters)
    if is_asked:
        with readable_errors(place):
            existing = stack.describe(place, stack_name(stage)).get("Parameters", [])
        parameters = {one["ParameterKey"]: one.get("ParameterValue", "") for one in existing} | parameters
    if not has_web(parameters):
        return None
    platform = platform_of(place, options)
    if place.name == EMBEDDED or functions_wheels is None:
        return package.build(package.API, platform=platform)
    return package.build(
        package.API,
        wheels=(*functions_wheels, *wheels.fetch(platform, cache=home / wheels.CACHE_FOLDER, lock=wheels.API_LOCK)),
        platform=platform,
        compiler=find_compiler(platform),
    )
