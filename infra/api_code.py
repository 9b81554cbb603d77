"""The packages of the functions that few stages have: the API's, with Web=on, and the audit's, with Audit=daily."""

from collections.abc import Callable, Mapping
from pathlib import Path

from infra import package, stack, wheels
from infra.bytecode import find_compiler
from infra.package import Function, Package
from infra.plan import DeploymentOptions, has_audit, has_web, platform_of
from windrow.aws.clients import EMBEDDED, Place, readable_errors
from windrow.deployment import stack_name

HAS: dict[Function, Callable[[Mapping[str, str]], bool]] = {package.API: has_web, package.AUDIT: has_audit}
"""Whether a stage with these parameters has the function. Both read rows, and so need the same wheels."""


def code_for(
    place: Place,
    stage: str,
    options: DeploymentOptions,
    *,
    functions_wheels: tuple[Path, ...] | None,
    home: Path,
    is_asked: bool = True,
    function: Function = package.API,
) -> Package | None:
    """Return the package of `function`, with `functions_wheels` and its own; None if the stage is to have none.

    If `options` do not say, it depends on what the stage has, unless nothing may be asked (not `is_asked`).
    """
    parameters = dict(options.parameters)
    if is_asked:
        with readable_errors(place):
            existing = stack.describe(place, stack_name(stage)).get("Parameters", [])
        parameters = {one["ParameterKey"]: one.get("ParameterValue", "") for one in existing} | parameters
    if not HAS[function](parameters):
        return None
    platform = platform_of(place, options)
    if place.name == EMBEDDED or functions_wheels is None:
        return package.build(function, platform=platform)
    return package.build(
        function,
        wheels=(*functions_wheels, *wheels.fetch(platform, cache=home / wheels.CACHE_FOLDER, lock=wheels.API_LOCK)),
        platform=platform,
        compiler=find_compiler(platform),
    )
