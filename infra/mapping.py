"""The event source mapping of a stage. A new one reads the stream again from its beginning."""

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from infra.waiting import wait_for
from windrow.aws.clients import LOCALSTACK, Place, client, readable_errors
from windrow.deployment import find_stage
from windrow.errors import WindrowError
from windrow.stage import Stage

MAPPING_TYPE = "AWS::Lambda::EventSourceMapping"
WAIT_SECONDS_MAX = 300.0
_PAUSE_SECONDS = 0.2
NO_LIMIT = -1
"""MaximumRecordAgeInSeconds of a mapping that never gives a record up by its age (API reference of Lambda)."""
# The settings in the answer of GetEventSourceMapping that CreateEventSourceMapping accepts.
_SETTINGS = (
    "EventSourceArn",
    "BatchSize",
    "MaximumBatchingWindowInSeconds",
    "ParallelizationFactor",
    "StartingPosition",
    "DestinationConfig",
    "BisectBatchOnFunctionError",
    "MaximumRetryAttempts",
    "FunctionResponseTypes",
)


@contextmanager
def recreated(stage: Stage) -> Iterator[str]:
    """Delete the mapping of the stage's stream, create it again with the same settings, and yield its id.

    The new mapping starts at the oldest record in the stream, as the template says. Within the block no record is too
    old for it, or it would put aside instead of reading what is older than the age of giving up; afterwards the age is
    as before. The stack does not know the new mapping until the next deployment, so use this for rehearsals only.
    WindrowError if it takes longer than WAIT_SECONDS_MAX.
    """
    with readable_errors(stage.place):
        old = _only_mapping(stage)
        _delete(stage, old["UUID"])
        uuid = _create_like(stage, old)
    try:
        yield uuid
    finally:
        with readable_errors(stage.place):
            age_seconds = old.get("MaximumRecordAgeInSeconds") or NO_LIMIT
            client("lambda", stage.place).update_event_source_mapping(UUID=uuid, MaximumRecordAgeInSeconds=age_seconds)
            _wait_until_it_is(stage, uuid, "Enabled")


def still_for(place: Place, stage: str, changed_types: Collection[str]) -> AbstractContextManager[None]:
    """Return a context for a stack update that changes resources of these types; at LocalStack it pauses the mapping.

    LocalStack replaces the poller of a mapping that is changed while it reads. When the old poller ends, it writes
    ``Disabled`` over the state of the new one, which reads on, and no later answer corrects it. A mapping that is
    disabled meanwhile has no old poller. On AWS a mapping takes changes while it reads, and is left alone.
    """
    if place.name != LOCALSTACK or MAPPING_TYPE not in changed_types:
        return nullcontext()
    return paused(find_stage(place, stage))


@contextmanager
def paused(stage: Stage) -> Iterator[None]:
    """Disable the stage's mapping, and enable it again after the block, also if that fails.

    A mapping that is disabled already stays so. WindrowError if it takes longer than WAIT_SECONDS_MAX.
    """
    functions = client("lambda", stage.place)
    with readable_errors(stage.place):
        found = _only_mapping(stage)
        if found["State"] == "Disabled":
            yield
            return
        uuid = str(found["UUID"])
        functions.update_event_source_mapping(UUID=uuid, Enabled=False)
        try:
            _wait_until_it_is(stage, uuid, "Disabled")
            yield
        finally:
            functions.update_event_source_mapping(UUID=uuid, Enabled=True)
            _wait_until_it_is(stage, uuid, "Enabled")


def _only_mapping(stage: Stage) -> dict[str, Any]:
    found = mappings_of(stage.place, stage.stream.summary().arn)
    if not found:
        raise WindrowError(f"no event source mapping reads stream {stage.stream_name}", hint="run: windrow deploy")
    return found[0]


def _delete(stage: Stage, uuid: str) -> None:
    stream_arn = stage.stream.summary().arn
    client("lambda", stage.place).delete_event_source_mapping(UUID=uuid)
    _wait_until(
        lambda: all(one["UUID"] != uuid for one in mappings_of(stage.place, stream_arn)),
        f"mapping {uuid} is not deleted",
    )


def _create_like(stage: Stage, old: dict[str, Any]) -> str:
    """Create a mapping with the settings of `old`, but without a limit of age, and return its id once it reads."""
    settings = {name: old[name] for name in _SETTINGS if old.get(name) not in (None, "", [], {})}
    new = client("lambda", stage.place).create_event_source_mapping(
        FunctionName=old["FunctionArn"], MaximumRecordAgeInSeconds=NO_LIMIT, **settings
    )
    _wait_until_it_is(stage, str(new["UUID"]), "Enabled")
    return str(new["UUID"])


def _wait_until_it_is(stage: Stage, uuid: str, state: str) -> None:
    functions = client("lambda", stage.place)
    _wait_until(
        lambda: functions.get_event_source_mapping(UUID=uuid)["State"] == state,
        f"mapping {uuid} is not {state.lower()}",
    )


def mappings_of(place: Place, stream_arn: str) -> list[dict[str, Any]]:
    """Return the event source mappings of one stream."""
    functions = client("lambda", place)
    page = functions.list_event_source_mappings(EventSourceArn=stream_arn)
    found: list[dict[str, Any]] = page["EventSourceMappings"]
    while page.get("NextMarker"):
        page = functions.list_event_source_mappings(EventSourceArn=stream_arn, Marker=page["NextMarker"])
        found += page["EventSourceMappings"]
    return found


def _wait_until(is_done: Callable[[], bool], complaint: str) -> None:
    late = WindrowError(f"{complaint} after {WAIT_SECONDS_MAX:.0f} s", hint="run: windrow status")
    wait_for(is_done, seconds_max=WAIT_SECONDS_MAX, pause_seconds=_PAUSE_SECONDS, complaint=late)
