"""The ways from one number of shards to another that Kinesis allows, and which of them a deployment has to go.

Kinesis at most doubles or halves a stream's shards at once, ten times in 24 hours, and only if it is provisioned
(UpdateShardCount, "default limits"). CloudFormation makes one such call for an update of the stack, and rolls the
update back if it is refused. So a larger change is several updates. Each of them changes the parameter of the stack
too: wherever the way is broken off, the stack and its stream agree, and the next deployment goes on from there.
"""

from collections.abc import Mapping
from typing import Any

from infra import template
from windrow.aws.clients import LOCALSTACK, Place
from windrow.aws.kinesis import KinesisStream
from windrow.deployment import stack_name
from windrow.errors import UsageError, WindrowError

SHARD_COUNT = "ShardCount"
STREAM_MODE = "StreamMode"
PROVISIONED, NONE = "PROVISIONED", "NONE"
STREAM_TYPE = "AWS::Kinesis::Stream"
CHANGES_PER_DAY = 10


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
        raise _changed_by_hand(stage, shards, stops[0])
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
