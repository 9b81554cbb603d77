"""The way of a program to the results of a stage: it finds what the command finds."""

import os
import re
from pathlib import Path

from analytics.engine import engine_of, local_engine
from analytics.library import Windrow
from infra.targets import find_place
from windrow import settings
from windrow.aws.clients import AWS, DEFAULT_REGION, EMBEDDED, LOCALSTACK, Place
from windrow.deployment import find_stage
from windrow.errors import UsageError
from windrow.installation import refuse_both
from windrow_operations.configuration import Choice, configured

TARGETS = (EMBEDDED, LOCALSTACK, AWS)


def connect(
    stage: str | None = None,
    *,
    target: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    endpoint_url: str | None = None,
    is_local: bool = False,
) -> Windrow:
    """Return the results of a deployed stage, by default WINDROW_STAGE or "dev"; WindrowError if it is not deployed.

    `target` is "embedded", "localstack" or "aws", as of the command: by default WINDROW_TARGET; with a region or a
    profile, AWS; else the embedded stack. What neither an argument nor the environment says is taken from
    `windrow.toml` in the working folder or the user's configuration, as `windrow config` shows it. An `endpoint_url`,
    or AWS_ENDPOINT_URL while no target is named, is that of a stand-in. Athena answers if there is one; with
    `is_local`, DuckDB on this machine does, over the same rows.
    """
    refuse_both()
    try:
        place = _place(target, region=region, profile=profile, endpoint_url=endpoint_url)
    except UsageError as error:
        raise UsageError(_in_python(error.message), hint=_in_python(error.hint)) from error
    found = find_stage(place, stage or _choices()["stage"].value or "dev")
    home = settings.home_folder(os.environ)
    return Windrow((local_engine if is_local else engine_of)(found, home=home), place, stage=found.name)


def _place(target: str | None, *, region: str | None, profile: str | None, endpoint_url: str | None) -> Place:
    if target is not None and endpoint_url is not None:
        raise UsageError("both a target and an endpoint_url", hint="give one of them")
    if endpoint_url is not None:
        return Place(EMBEDDED, endpoint_url, region or DEFAULT_REGION)
    chosen = target or os.environ.get(settings.TARGET) or None
    if chosen is None and os.environ.get(settings.AWS_ENDPOINT_URL):
        return Place(EMBEDDED, os.environ[settings.AWS_ENDPOINT_URL], region or DEFAULT_REGION)
    choices = _choices()
    implied = choices["target"].value if region is None and profile is None else AWS
    chosen = chosen or implied or EMBEDDED
    if chosen not in TARGETS:
        raise UsageError(f"there is no target {chosen!r}", hint=f"one of: {', '.join(TARGETS)}")
    if chosen == AWS:
        region = region or choices["region"].value
        if choices["profile"].source != settings.AWS_PROFILE:  # boto3 itself reads the variable
            profile = profile or choices["profile"].value
    return find_place(chosen, home=settings.home_folder(os.environ), region=region, profile=profile)


def _choices() -> dict[str, Choice]:
    return configured(os.environ, folder=Path.cwd())


def _in_python(text: str) -> str:
    """Return what is said of the command's options, said of the arguments of `connect`."""
    return re.sub(r"--(region|profile)\b", r"\1=", re.sub(r"--target (\w+)", r'target="\1"', text))
