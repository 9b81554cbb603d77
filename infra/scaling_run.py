"""One run of the scaling: it reads load and log, decides, and acts, each action being an object in the results.

The object is written before Kinesis is asked, under the minute of the schedule and only if it is absent; so of two runs
of the same minute one acts. A run that dies in between leaves an action of which nobody knows: it counts as done while
it may be, and until the number of shards says that it is not.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from infra.scaling import ActionState, Decision, PeriodLoad, ScalingAction, ShardLimits, decide
from windrow.aws.stream import Refused, StreamSummary
from windrow.errors import WindrowError
from windrow.lake import layout
from windrow.lake.store import ObjectStore, PreconditionFailed
from windrow.period import DAY_MS, HOUR_MS
from windrow.timestamps import format_rfc3339, parse_rfc3339_ms


class ScaledStream(Protocol):
    """What the scaling asks of a stream; windrow.aws.kinesis.KinesisStream is one."""

    name: str

    def summary(self) -> StreamSummary:
        """Return the facts about the whole stream."""

    def update_shard_count(self, shards: int) -> Refused | None:
        """Ask for another number of shards; what is returned says why it was refused."""


@dataclass(frozen=True, slots=True)
class ScalingReport:
    """What one run decided, and the action that it took, None if none."""

    shards: int
    decision: Decision
    action: ScalingAction | None = None


def scale(
    stream: ScaledStream,
    results: ObjectStore,
    *,
    loads: Callable[[], Sequence[PeriodLoad]],
    limits: ShardLimits,
    now_ms: int,
    tell: Callable[[str, str], object],
) -> ScalingReport:
    """Do the run that is scheduled for `now_ms`; `tell` is given the subject and the text of a message.

    Raises Unanswered if Kinesis may have begun the change, WindrowError if stream, metrics or log cannot be read.
    """
    summary = stream.summary()
    shards, found = summary.open_shards, loads()

    def decided(actions: Sequence[ScalingAction]) -> Decision:
        return decide(found, shards=shards, is_active=summary.is_active, limits=limits, actions=actions, now_ms=now_ms)

    decision = decided(())  # a log can only forbid, so it need not be read for a stream that is well as it is
    if decision.shards_to is not None:
        decision = decided(read_actions(results, since_ms=now_ms - max(DAY_MS, limits.retention_hours * HOUR_MS)))
    if decision.shards_to is None:
        return ScalingReport(shards, decision)
    action = ScalingAction(at_ms=now_ms, shards_from=shards, shards_to=decision.shards_to, reason=decision.reason)
    key = layout.scaling_key(now_ms)
    try:
        results.put(key, _encoded(action), if_absent=True)
    except PreconditionFailed:
        return ScalingReport(shards, Decision(None, "another run of this minute acts"))
    refused = stream.update_shard_count(decision.shards_to)
    if refused is None:
        action = replace(action, state=ActionState.ACCEPTED)
    else:
        action = replace(action, state=ActionState.REFUSED, answer=f"{refused.code}: {refused.message}")
    results.put(key, _encoded(action))
    tell(*message_of(stream.name, action))
    return ScalingReport(shards, decision, action)


def read_actions(results: ObjectStore, *, since_ms: int) -> list[ScalingAction]:
    """Return the actions in the log from `since_ms` on, oldest first; WindrowError names one that cannot be read."""
    first = layout.scaling_key(max(0, since_ms))
    listed = (one.key for one in results.list_objects(layout.SCALING))
    keys = [key for key in listed if key >= first and not key.endswith(layout.SCALING_BILL)]
    found = ((key, results.get(key)) for key in keys)
    return [_decoded(key, stored.body) for key, stored in found if stored is not None]


def message_of(stream: str, action: ScalingAction) -> tuple[str, str]:
    """Return the subject and the text of a message about an action."""
    way = f"from {action.shards_from} to {action.shards_to} shards"
    if action.state is ActionState.REFUSED:
        subject = f"{stream}: Kinesis refused to go {way}"
        after = f"Kinesis said: {action.answer}\nIt is tried again in half an hour if the load is still so."
    else:
        subject = f"{stream}: {way}"
        after = "Nothing is to be done: readings go on being taken and counted meanwhile."
    return subject, f"{subject}.\nWhy: {action.reason}.\n{after}\n"


def _encoded(action: ScalingAction) -> bytes:
    fields = asdict(action) | {"at": format_rfc3339(action.at_ms)}
    del fields["at_ms"]
    return json.dumps(fields, indent=1, sort_keys=True).encode() + b"\n"


def _decoded(key: str, body: bytes) -> ScalingAction:
    try:
        fields = json.loads(body)
        return ScalingAction(
            at_ms=parse_rfc3339_ms(fields["at"]),
            shards_from=int(fields["shards_from"]),
            shards_to=int(fields["shards_to"]),
            reason=str(fields["reason"]),
            state=ActionState(fields["state"]),
            answer=str(fields["answer"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WindrowError(f"{key} is no action of the scaling: {error}") from error
