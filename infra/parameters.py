"""Parameters that follow from others, from what the stage has, or from the day of its first deployment."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from infra import template
from windrow.errors import UsageError

FIRST_DAY = "FirstDay"
GIVE_UP_HOURS = "GiveUpHours"
LATENESS_HORIZON_HOURS = "LatenessHorizonHours"
PYTHON_VERSION = "PythonVersion"
STREAM_RETENTION_HOURS = "StreamRetentionHours"
GIVE_UP_HOURS_BEFORE_END = 1
"""How long before the stream forgets a record it is put aside, unless GiveUpHours says otherwise."""


def settle(
    chosen: Mapping[str, str], existing: Mapping[str, Any], *, today: date, python: str | None = None
) -> dict[str, str]:
    """Return `chosen` with what follows from it. `existing` is the stack as DescribeStacks has it; empty for a new one.

    FirstDay of a new stage is `first_day(today)`; later deployments keep it. GiveUpHours stays an hour below
    StreamRetentionHours when that changes, unless it was set to something else. UsageError if it is not below, or if
    the packages are for another `python` than the stage keeps.
    """
    had = {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in existing.get("Parameters", [])}
    settled = dict(chosen)
    _refuse_packages_for_another_python(chosen, had, python)
    if not existing:
        settled.setdefault(FIRST_DAY, first_day(today).isoformat())
    retention_hours = _hours(STREAM_RETENTION_HOURS, chosen, had)
    if GIVE_UP_HOURS not in chosen and _follows_retention(had):
        hours = retention_hours - GIVE_UP_HOURS_BEFORE_END
        if hours != _hours(GIVE_UP_HOURS, {}, had):
            settled[GIVE_UP_HOURS] = str(hours)
    give_up_hours = _hours(GIVE_UP_HOURS, settled, had)
    if give_up_hours >= retention_hours:
        message = (
            f"{GIVE_UP_HOURS}={give_up_hours} is not less than {STREAM_RETENTION_HOURS}={retention_hours}:"
            " the stream would forget records before they are put aside"
        )
        raise UsageError(message, hint=f"--set {GIVE_UP_HOURS}={retention_hours - GIVE_UP_HOURS_BEFORE_END}")
    return settled


def _refuse_packages_for_another_python(chosen: Mapping[str, str], had: Mapping[str, str], python: str | None) -> None:
    """Raise UsageError if a stage that is told nothing would run packages on a Python that they are not for."""
    kept = had.get(PYTHON_VERSION)
    if PYTHON_VERSION in chosen or kept is None or python in (None, kept):
        return
    message = f"the stage's functions run on Python {kept}, and without being told these packages are for {python}"
    raise UsageError(message, hint=f"--set {PYTHON_VERSION}={kept}, or ={python} to change it")


def first_day(today: date) -> date:
    """Return the earliest day a reading of which can count in a stage that is first deployed `today`.

    That is the largest lateness horizon that can be chosen before that day, so that raising it later needs no change.
    """
    horizon = timedelta(hours=int(template.parameters()[LATENESS_HORIZON_HOURS]["MaxValue"]))
    return today - horizon


def _follows_retention(had: Mapping[str, str]) -> bool:
    """Whether GiveUpHours is as near to the stream's retention as it is by itself, or not there yet."""
    hours = _hours(GIVE_UP_HOURS, {}, had)
    return GIVE_UP_HOURS not in had or hours == _hours(STREAM_RETENTION_HOURS, {}, had) - GIVE_UP_HOURS_BEFORE_END


def _hours(name: str, chosen: Mapping[str, str], had: Mapping[str, str]) -> int:
    """Return a parameter's value: as chosen, else as the stage has it, else the template's default."""
    text = chosen.get(name) or had.get(name) or str(template.parameters()[name]["Default"])
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"{name}={text!r} is not a whole number of hours", hint=f"for example: {name}=24")
    return int(text)
