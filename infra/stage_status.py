"""The stages at a place and the state of each, from a few cheap requests."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from infra.mapping import mappings_of
from windrow.aws.clients import Place, client, readable_errors
from windrow.deployment import STACK_PREFIX, USABLE_STATUSES, find_stage, is_adopted, is_stage
from windrow.lake.layout import IOT_MESSAGES, WINDOWS, parse_result_key
from windrow.stage import Stage
from windrow.timestamps import format_rfc3339


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStatus:
    """The state of one stage. ``newest_window`` is the start of the newest rolled window (RFC 3339), empty if none.
    ``payload_contract`` is the digest of the contract that says what payloads mean, empty for the default form, and
    ``rules`` that of the rules on values, empty for none.

    ``iot_topic`` is the topic filter of the stage's rule in AWS IoT Core, empty if it has none; ``iot_put_aside`` how
    many messages the rule has put aside, counted to IOT_PUT_ASIDE_MAX. Without a stream ``stream`` is empty, and
    without uploads ``uploads_bucket``.
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
    payload_contract: str = ""
    rules: str = ""
    ignores_keys: bool = False
    iot_topic: str = ""
    iot_put_aside: int = 0
    uploads_bucket: str = ""

    @property
    def is_reading(self) -> bool:
        """Whether its mapping reads the stream, or will once it has settled; true while the stack is not usable."""
        return not self.stream or self.mapping in _READING


IOT_PUT_ASIDE_MAX = 1_000
"""As many as one LIST returns."""
_READING = frozenset({"Creating", "Enabling", "Enabled", "Updating"})
"""States of an event source mapping (API reference of Lambda) other than Disabling, Disabled and Deleting."""


def stage_statuses(place: Place) -> list[StageStatus]:
    """Return the state of every stage at ``place``, by name; four requests each."""
    with readable_errors(place):
        found = {
            stack["StackName"].removeprefix(STACK_PREFIX): stack
            for stack in _stacks(place)
            if is_stage(stack) and stack["StackStatus"] != "DELETE_COMPLETE"
        }
        return [_status_of(place, stage, stack) for stage, stack in sorted(found.items())]


def _stacks(place: Place) -> Iterator[Mapping[str, Any]]:
    """Yield all stacks at ``place``, page by page."""
    page = client("cloudformation", place).describe_stacks()
    yield from page["Stacks"]
    while page.get("NextToken"):
        page = client("cloudformation", place).describe_stacks(NextToken=page["NextToken"])
        yield from page["Stacks"]


def _status_of(place: Place, name: str, stack: Mapping[str, Any]) -> StageStatus:
    status = str(stack["StackStatus"])
    # During a first deployment there are no outputs yet, and none in a stack of buckets and key alone.
    if status not in USABLE_STATUSES or is_adopted(stack):
        return StageStatus(stage=name, stack_status=status)
    stage = find_stage(place, name)
    summary = stage.stream.summary() if stage.stream_name else None
    mapping = next(iter(mappings_of(stage.place, summary.arn)), {}) if summary else {}
    return StageStatus(
        stage=name,
        stack_status=status,
        mode=stage.mode,
        stream=stage.stream_name,
        shards=summary.open_shards if summary else 0,
        mapping=mapping.get("State", ""),
        last_batch=mapping.get("LastProcessingResult", ""),
        payload_contract=stage.payload_contract,
        rules=stage.rules,
        newest_window=_newest_window(stage),
        ignores_keys=summary is not None and summary.ignores_keys,
        uploads_bucket=stage.uploads_bucket,
        iot_topic=stage.iot_topic,
        iot_put_aside=_iot_put_aside(stage) if stage.iot_topic else 0,
    )


def _iot_put_aside(stage: Stage) -> int:
    return sum(1 for _ in islice(stage.failures.list_objects(IOT_MESSAGES), IOT_PUT_ASIDE_MAX))


def _newest_window(stage: Stage) -> str:
    days = list(stage.results.list_prefixes(WINDOWS))
    if not days:
        return ""
    keys = [listed.key for listed in stage.results.list_objects(max(days))]
    return format_rfc3339(parse_result_key(max(keys)).start_ms) if keys else ""
