"""The ways from one number of shards to another that Kinesis allows, and which of them a deployment has to go.

Kinesis at most doubles or halves a stream's shards at once, ten times in 24 hours, and only if it is provisioned
(UpdateShardCount, "default limits"). CloudFormation makes one such call for an update of the stack, and rolls the
update back if it is refused. So a larger change is several updates. Each of them changes the parameter of the stack
too: wherever the way is broken off, the stack and its stream agree, and the next deployment goes on from there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra import template
from windrow.aws.clients import LOCALSTACK, Place
from windrow.aws.kinesis import KinesisStream
from windrow.aws.stream import Unanswered
from windrow.deployment import stack_name
from windrow.errors import UsageError, WindrowError

SHARD_COUNT = "ShardCount"
STREAM_MODE = "StreamMode"
PROVISIONED, NONE = "PROVISIONED", "NONE"
STREAM_TYPE = "AWS::Kinesis::Stream"
CHANGES_PER_DAY = 10
SCALING, AUTO = "Scaling", "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredShards:
    """What became of the shards of a scaled stream that an update of its stack had changed.

    `had` before it, `found` after it; `refusal` says why they were not set back, and is empty if they were.
    """

    had: int
    found: int
    refusal: str = ""


def way(shards: int, wanted: int) -> tuple[int, ...]:
    """Return the numbers of shards after each change on the shortest way to ``wanted``; none if it is there already.

    >>> way(2, 8), way(7, 2), way(4, 4)
    ((4, 8), (4, 2), ())
    """
    if min(shards, wanted) < 1:
        raise ValueError(f"a stream has at least one shard: {shards}, {wanted}")
    stops: list[int] = []
    while shards != wanted:
        shards = min(wanted, 2 * shards) if wanted > shards else max(wanted, -(-shards // 2))
        stops.append(shards)
    return tuple(stops)


def way_without(avoided: int, shards: int, wanted: int) -> tuple[int, ...]:
    """Return a way that does not begin with `avoided`, which the stack has and CloudFormation would not change.

    By way of the number next to it, up or down, that Kinesis goes to; none if there is no such number.

    >>> way_without(2, 4, 2), way_without(4, 2, 4), way_without(2, 1, 2)
    ((3, 2), (3, 4), ())
    """
    within = range(-(-shards // 2), 2 * shards + 1)
    first = min((one for one in within if one not in {avoided, shards}), key=lambda one: abs(one - avoided), default=0)
    return (first, *way(first, wanted)) if first else ()


def shards_to_keep(
    place: Place, stage: str, settled: Mapping[str, str], existing: Mapping[str, Any]
) -> tuple[int, int] | None:
    """Return the shards of a scaled stream, and those that its stack says, if they differ and nobody asked for others.

    CloudFormation compares a property with that of its template before, so it should leave the shards alone. None if
    there is nothing to watch over: the stage is not scaled, or a number was chosen.
    """
    had = {one["ParameterKey"]: one["ParameterValue"] for one in existing.get("Parameters", [])}
    is_provisioned = PROVISIONED == had.get(STREAM_MODE, PROVISIONED) == settled.get(STREAM_MODE, PROVISIONED)
    if had.get(SCALING) != AUTO or SHARD_COUNT in settled or not is_provisioned:
        return None
    shards, of_stack = KinesisStream.at(place, stack_name(stage)).summary().open_shards, int(had.get(SHARD_COUNT, 0))
    return None if shards == of_stack else (shards, of_stack)


def restore(place: Place, stage: str, *, shards: int, of_stack: int) -> RestoredShards | None:
    """Set the shards of a scaled stream back to `shards`, if an update left it with those that the stack says.

    None if it did not. Nothing is lost either way: only the load would be too much until the scaling has seen it.
    """
    stream = KinesisStream.at(place, stack_name(stage))
    if stream.summary().open_shards != of_stack:
        return None
    try:
        refused = stream.update_shard_count(shards)
    except Unanswered as error:
        return RestoredShards(had=shards, found=of_stack, refusal=str(error))
    return RestoredShards(had=shards, found=of_stack, refusal="" if refused is None else refused.message)


def updates_before(
    place: Place, stage: str, chosen: Mapping[str, str], existing: Mapping[str, Any]
) -> tuple[dict[str, str], ...]:
    """Return the parameters of each update that a deployment of ``chosen`` parameters needs before its own.

    ``existing`` is the stack as DescribeStacks has it. UsageError if a number of shards was chosen for a stream on
    demand; WindrowError if the stream differs from the stack, so that CloudFormation would see nothing to change.
    """
    had = {one["ParameterKey"]: one["ParameterValue"] for one in existing.get("Parameters", [])}
    defaults = template.parameters()
    mode = chosen.get(STREAM_MODE) or had.get(STREAM_MODE) or PROVISIONED
    if mode != PROVISIONED:
        if SHARD_COUNT in chosen and mode == NONE:
            raise UsageError(f"stage {stage!r} has no stream", hint=f"add: --set {STREAM_MODE}={PROVISIONED}")
        if SHARD_COUNT in chosen:
            message = f"the stream of stage {stage!r} is on demand: Kinesis chooses the number of its shards"
            raise UsageError(message, hint=f"leave out --shards, or add: --set {STREAM_MODE}={PROVISIONED}")
        return ()
    was_on_demand = had.get(STREAM_MODE, PROVISIONED) != PROVISIONED
    has_new_stream = had.get(STREAM_MODE) == NONE
    if not had or has_new_stream or place.name == LOCALSTACK or (SHARD_COUNT not in chosen and not was_on_demand):
        return ()
    shards = KinesisStream.at(place, stack_name(stage)).summary().open_shards
    stops = way(shards, int(chosen.get(SHARD_COUNT) or had.get(SHARD_COUNT) or defaults[SHARD_COUNT]["Default"]))
    if max((shards, *stops)) > defaults[SHARD_COUNT]["MaxValue"]:
        message = f"stream {stack_name(stage)} has {shards} shards, more than the template takes"
        raise WindrowError(message, hint=f"{SHARD_COUNT} is at most {defaults[SHARD_COUNT]['MaxValue']}")
    if was_on_demand:
        # It keeps its shards when it becomes provisioned; only then can their number be changed.
        leaving = ({STREAM_MODE: PROVISIONED, SHARD_COUNT: str(shards)},) if stops else ()
        return leaving + tuple({SHARD_COUNT: str(stop)} for stop in stops[:-1])
    if stops and str(stops[0]) == had.get(SHARD_COUNT):
        detour = way_without(stops[0], shards, stops[-1]) if had.get(SCALING) == AUTO else ()
        if not detour:
            raise _changed_by_hand(stage, shards, stops[0])
        stops = detour
    return tuple({SHARD_COUNT: str(stop)} for stop in stops[:-1])


def refused(error: WindrowError, place: Place, stage: str) -> WindrowError:
    """Return what to say when a change of the shards failed: how many there are, and how it can go on."""
    try:
        has = f"the stream has {KinesisStream.at(place, stack_name(stage)).summary().open_shards} shards now"
    except WindrowError:  # not allowed to look, perhaps; the refusal is what counts
        has = "the stream keeps the shards it has now"
    hint = (
        f"{has}, and everything runs; Kinesis changes them at most {CHANGES_PER_DAY} times in 24 hours, and an account"
        " has a limit of shards: when it may, the same command goes on from here"
    )
    return WindrowError(error.message, hint=hint)


def _changed_by_hand(stage: str, shards: int, stop: int) -> WindrowError:
    stream = stack_name(stage)
    message = f"stream {stream} has {shards} shards and its stack says {stop}: somebody changed them outside of it"
    command = f"aws kinesis update-shard-count --stream-name {stream} --target-shard-count {stop}"
    return WindrowError(message, hint=f"set them right first: {command} --scaling-type UNIFORM_SCALING")
