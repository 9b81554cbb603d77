"""The stages at a place and the state of each, from a few cheap requests."""

from dataclasses import dataclass
from typing import Any

from windrow.aws.clients import Place, client, readable_errors
from windrow.deployment import STACK_PREFIX, USABLE_STATUSES, find_stage
from windrow.lake.layout import WINDOWS, parse_result_key
from windrow.stage import Stage
from windrow.timestamps import format_rfc3339


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStatus:
    """The state of one stage. ``newest_window`` is the start of the newest rolled window (RFC 3339), empty if none.

    While the stack is not usable, all but the first two are empty or 0.
    """

    stage: str
    stack_status: str
    mode: str = ""
    stream: str = ""
    shards: int = 0
    mapping: str = ""
    last_batch: str = ""
    newest_window: str = ""


def stage_statuses(place: Place) -> list[StageStatus]:
    """Return the state of every stage at ``place``, by name; four requests each."""
    with readable_errors(place):
        pages = client("cloudformation", place).get_paginator("describe_stacks").paginate()
        found = {
            stack["StackName"].removeprefix(STACK_PREFIX): stack["StackStatus"]
            for page in pages
            for stack in page["Stacks"]
            if stack["StackName"].startswith(STACK_PREFIX) and stack["StackStatus"] != "DELETE_COMPLETE"
        }
        return [_status_of(place, stage, status) for stage, status in sorted(found.items())]


def _status_of(place: Place, name: str, status: str) -> StageStatus:
    # During a first deployment there are no outputs yet.
    if status not in USABLE_STATUSES:
        return StageStatus(stage=name, stack_status=status)
    stage = find_stage(place, name)
    mapping = _mapping(stage)
    return StageStatus(
        stage=name,
        stack_status=status,
        mode=stage.mode,
        stream=stage.stream_name,
        shards=stage.stream.summary().open_shards,
        mapping=mapping.get("State", ""),
        last_batch=mapping.get("LastProcessingResult", ""),
        newest_window=_newest_window(stage),
    )


def _mapping(stage: Stage) -> dict[str, Any]:
    """Return the event source mapping of the stage's stream, for whichever function; empty if there is none."""
    pages = client("lambda", stage.place).get_paginator("list_event_source_mappings").paginate()
    for page in pages:
        for mapping in page["EventSourceMappings"]:
            if mapping["EventSourceArn"].endswith(f"stream/{stage.stream_name}"):
                return dict(mapping)
    return {}


def _newest_window(stage: Stage) -> str:
    days = list(stage.results.list_prefixes(WINDOWS))
    if not days:
        return ""
    keys = [listed.key for listed in stage.results.list_objects(max(days))]
    return format_rfc3339(parse_result_key(max(keys)).start_ms) if keys else ""
