"""One run of a stage's dispatcher, deployed or in this process."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dispatcher import handler
from dispatcher.observation import Buckets
from dispatcher.report import TickReport
from windrow.aws.clients import readable_errors
from windrow.errors import WindrowError
from windrow.stage import Stage
from windrow.timestamps import format_rfc3339


def tick_event(scheduled_time_ms: int, *, is_dry_run: bool) -> dict[str, Any]:
    """Return the event of a tick that somebody asks for, in the form of the schedule's.

    Its `detail`, which is empty in the schedule's, says that marked old windows do not wait for LateRollMinutes.
    """
    return {
        "version": "0",
        "id": "windrow-tick",
        "detail-type": "Scheduled Event",
        "source": "windrow.tick",
        "time": format_rfc3339(scheduled_time_ms),
        "resources": [],
        "detail": {"dry_run": is_dry_run, "late_rolls_now": True},
    }


def invoke_tick(stage: Stage, event: dict[str, Any]) -> TickReport:
    """Run the deployed dispatcher with `event` and wait for its report."""
    function = stage.dispatcher
    with readable_errors(stage.place):
        returned = function.invoke(json.dumps(event).encode())
    try:
        answer = json.loads(returned.payload)
        if returned.is_error:
            message = " ".join(str(answer.get("errorMessage", "no message")).split())
            raise WindrowError(f"{function.name} failed: {message}", hint="its log group has the details")
        return TickReport.from_fields(answer)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        shown = repr(returned.payload[:200])
        raise WindrowError(f"{function.name} answered with something other than a report: {shown}") from error


def run_tick_here(stage: Stage, event: dict[str, Any]) -> TickReport:
    """Run the same tick in this process, for as long as it takes; what rules find is left to the stage's own ticks."""
    with ThreadPoolExecutor(handler.READERS) as readers, ThreadPoolExecutor(handler.WORKERS) as workers:
        return handler.run(
            event,
            buckets=Buckets(lake=stage.lake, results=stage.results),
            lifetimes=stage.lifetimes,
            remaining_ms=lambda: handler.RESERVE_MS_MAX * 10,
            mapper=readers.map,
            work_mapper=workers.map,
            leaves_rules=bool(stage.rules),
        )
