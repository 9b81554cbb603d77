"""What the functions of a stage have logged, oldest first, and what they log from now on."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from windrow.aws.clients import client, readable_errors
from windrow.errors import WindrowError
from windrow.stage import Stage

ROLES = (
    "consumer",
    "fanout",
    "dispatcher",
    "uploads",
    "audit",
    "backfill",
    "scaling",
    "live",
    "api",
    "live-sockets",
    "live-push",
)
OVERLAP_MS = 60_000
"""How far each look goes back behind the newest line seen: CloudWatch Logs may show a line later than newer ones."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a function's log: when it was written (epoch milliseconds), by which function, and the text."""

    time_ms: int
    role: str
    text: str


def read_logs(stage: Stage, *, role: str | None, start_ms: int, end_ms: int | None = None) -> list[LogLine]:
    """Return the lines of one function or of all from `start_ms` to `end_ms` (exclusive); by time.

    WindrowError if the function that was asked for has logged nothing ever.
    """
    return [line for _, line in _events(stage, role=role, start_ms=start_ms, end_ms=end_ms)]


def follow_logs(stage: Stage, *, role: str | None, start_ms: int, wait: Callable[[], bool]) -> Iterator[LogLine]:
    """Yield each line from `start_ms` on once, and new ones as they come; look again while `wait` returns true."""
    seen: set[tuple[Any, ...]] = set()
    looks_from_ms = start_ms
    while True:
        events = _events(stage, role=role, start_ms=looks_from_ms)
        yield from (line for key, line in events if key not in seen)
        if events:
            looks_from_ms = max(looks_from_ms, events[-1][1].time_ms - OVERLAP_MS)
        seen = {key for key, line in events if line.time_ms >= looks_from_ms}
        if not wait():
            return


def _events(
    stage: Stage, *, role: str | None, start_ms: int, end_ms: int | None = None
) -> list[tuple[tuple[Any, ...], LogLine]]:
    """Return what identifies each line, and the line. A stand-in gives events no id: there, the n-th of its kind."""
    found = []
    for one in (role,) if role is not None else ROLES:
        counts: Counter[tuple[Any, ...]] = Counter()
        for event in _events_of(stage, one, start_ms=start_ms, end_ms=end_ms, is_needed=role is not None):
            line = LogLine(int(event["timestamp"]), one, str(event["message"]).rstrip("\n"))
            kind = (one, event.get("logStreamName"), event.get("eventId"), line.time_ms, line.text)
            counts[kind] += 1
            found.append(((*kind, counts[kind]), line))
    return sorted(found, key=lambda pair: pair[1].time_ms)


def _events_of(
    stage: Stage, role: str, *, start_ms: int, end_ms: int | None, is_needed: bool
) -> Iterator[dict[str, Any]]:
    group = f"/aws/lambda/windrow-{stage.name}-{role}"
    bounds = {"startTime": start_ms} | ({} if end_ms is None else {"endTime": end_ms - 1})  # both are inclusive
    with readable_errors(stage.place):
        pages = client("logs", stage.place).get_paginator("filter_log_events").paginate(logGroupName=group, **bounds)
        try:
            for page in pages:
                yield from page["events"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            if is_needed:
                hint = "not every stage has every function; see: windrow status"
                raise WindrowError(f"stage {stage.name!r} has no log group {group}", hint=hint) from error
