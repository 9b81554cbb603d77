"""The event source mapping of a stage. A new one reads the stream again from its beginning."""

from collections.abc import Callable
from typing import Any

from infra.waiting import wait_for
from windrow.aws.clients import Place, client, readable_errors
from windrow.errors import WindrowError
from windrow.stage import Stage

WAIT_SECONDS_MAX = 300.0
_PAUSE_SECONDS = 0.2
# The settings in the answer of GetEventSourceMapping that CreateEventSourceMapping accepts.
_SETTINGS = (
    "EventSourceArn",
    "BatchSize",
    "MaximumBatchingWindowInSeconds",
    "ParallelizationFactor",
    "StartingPosition",
    "DestinationConfig",
    "MaximumRecordAgeInSeconds",
    "BisectBatchOnFunctionError",
    "MaximumRetryAttempts",
    "FunctionResponseTypes",
)


def recreate(stage: Stage) -> str:
    """Delete the mapping of the stage's stream, create it again with the same settings, and return its id.

    The new mapping starts at the oldest record in the stream, as the template says. The stack does not know it until
    the next deployment, so use this for rehearsals only. WindrowError if it takes longer than WAIT_SECONDS_MAX.
    """
    functions = client("lambda", stage.place)
    with readable_errors(stage.place):
        stream_arn = stage.stream.summary().arn
        old = next(iter(mappings_of(stage.place, stream_arn)), None)
        if old is None:
            message = f"no event source mapping reads stream {stage.stream_name}"
            raise WindrowError(message, hint="run: windrow deploy")
        functions.delete_event_source_mapping(UUID=old["UUID"])
        _wait_until(
            lambda: all(one["UUID"] != old["UUID"] for one in mappings_of(stage.place, stream_arn)),
            f"mapping {old['UUID']} is not deleted",
        )
        settings = {name: old[name] for name in _SETTINGS if old.get(name) not in (None, "", [], {})}
        new = functions.create_event_source_mapping(FunctionName=old["FunctionArn"], **settings)
        uuid = str(new["UUID"])
        _wait_until(
            lambda: functions.get_event_source_mapping(UUID=uuid)["State"] == "Enabled",
            f"mapping {uuid} is not enabled",
        )
    return uuid


def mappings_of(place: Place, stream_arn: str) -> list[dict[str, Any]]:
    """Return the event source mappings of one stream."""
    pages = client("lambda", place).get_paginator("list_event_source_mappings").paginate(EventSourceArn=stream_arn)
    return [mapping for page in pages for mapping in page["EventSourceMappings"]]


def _wait_until(is_done: Callable[[], bool], complaint: str) -> None:
    late = WindrowError(f"{complaint} after {WAIT_SECONDS_MAX:.0f} s", hint="run: windrow status")
    wait_for(is_done, seconds_max=WAIT_SECONDS_MAX, pause_seconds=_PAUSE_SECONDS, complaint=late)
