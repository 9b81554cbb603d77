"""Waiting, with a bound, for something that happens elsewhere."""

import time
from collections.abc import Callable
from typing import TypeVar

from windrow.aws.clients import Place
from windrow.errors import WindrowError

# A stack of ours takes four minutes; half an hour leaves room for a slow region.
OPERATION_SECONDS_MAX = 1800.0
OPERATION_MINUTES_MAX = round(OPERATION_SECONDS_MAX / 60)
AWS_PAUSE_SECONDS = 3.0
LOCAL_PAUSE_SECONDS = 0.1

Answer = TypeVar("Answer")


def poll(ask: Callable[[], Answer | None], *, seconds_max: float, pause_seconds: float) -> Answer | None:
    """Call `ask` until its answer is true, and return that answer; return None after `seconds_max`.

    `ask` is called at least once, and one last time when the time is up.
    """
    deadline = time.monotonic() + seconds_max
    while True:
        if answer := ask():
            return answer
        if time.monotonic() >= deadline:
            return None
        time.sleep(pause_seconds)


def wait_for(
    ask: Callable[[], Answer | None], *, seconds_max: float, pause_seconds: float, complaint: WindrowError
) -> Answer:
    """Do as `poll` does, but raise `complaint` when the time is up."""
    answer = poll(ask, seconds_max=seconds_max, pause_seconds=pause_seconds)
    if answer is None:
        raise complaint
    return answer


def wait_for_operation(
    place: Place, ask: Callable[[], Answer | None], *, complaint: WindrowError, more_minutes: int = 0
) -> Answer:
    """Wait for an operation of CloudFormation at `place`; else raise `complaint`.

    It may take OPERATION_SECONDS_MAX, and `more_minutes` in which CloudFormation only watches.
    """
    pause_seconds = AWS_PAUSE_SECONDS if place.endpoint_url is None else LOCAL_PAUSE_SECONDS
    seconds_max = OPERATION_SECONDS_MAX + 60.0 * more_minutes
    return wait_for(ask, seconds_max=seconds_max, pause_seconds=pause_seconds, complaint=complaint)
