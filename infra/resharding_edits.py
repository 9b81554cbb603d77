"""What MiniStack does otherwise than Kinesis when a stream is split or merged, as edits of its own functions.

MiniStack 1.5.33 deletes a parent with its unread records, lists no closed shards, heeds no ShardFilter, starts all
shards anew for UpdateShardCount, changes none for CloudFormation, and lets its event source mapping read a child from
its end. Kinesis keeps a parent
until its records have expired and says where it ends; its last page has no next iterator but the children; a mapping
reads children from their beginning, after their parents (API reference: SplitShard, MergeShards, ListShards,
ShardFilter, GetRecords, UpdateShardCount; Lambda's guide: polling of a stream while it is resharded).

`infra.mended_ministack` applies them. What is not mended: SubscribeToShard, which nothing of windrow calls.
"""

from dataclasses import dataclass

VERSION = "1.5.33"
KINESIS = "ministack.services.kinesis"
MAPPINGS = "ministack.services.lambda_svc"
CLOUDFORMATION = "ministack.services.cloudformation.provisioners"


@dataclass(frozen=True, slots=True)
class Edit:
    """Text of one function of MiniStack, and what stands there instead; `old` is found in it once."""

    module: str
    function: str
    old: str
    new: str


ADDED = {
    KINESIS: '''
def _all_shards(stream):
    """Closed shards that are still kept, and the open ones."""
    return {**stream.get("closed_shards", {}), **stream["shards"]}


def _close_shard(stream, shard_id):
    shard = stream["shards"][shard_id]
    stream.setdefault("closed_shards", {})[shard_id] = shard
    del stream["shards"][shard_id]


def _parents(shard):
    return [p for p in (shard.get("parent_shard_id"), shard.get("adjacent_parent_shard_id")) if p]


def _child_shards(stream, shard_id):
    return [{
        "ShardId": sid,
        "ParentShards": _parents(shard),
        "HashKeyRange": {"StartingHashKey": shard["starting_hash_key"], "EndingHashKey": shard["ending_hash_key"]},
    } for sid, shard in sorted(_all_shards(stream).items()) if shard_id in _parents(shard)]


def _instant_of(sequence_number):
    """Epoch seconds at which _next_sequence_number made it."""
    return int(sequence_number[:20]) / 1000


def _expire_closed_shards(stream, cutoff):
    closed = stream.get("closed_shards", {})
    for sid in [sid for sid, shard in closed.items() if _instant_of(shard["ending_sequence_number"]) < cutoff]:
        del closed[sid]


def _filter_shards(stream, shard_filter):
    shards = _all_shards(stream)
    kind = (shard_filter or {}).get("Type", "FROM_TRIM_HORIZON")
    if kind == "AFTER_SHARD_ID":
        return {sid: shard for sid, shard in shards.items() if sid > shard_filter["ShardId"]}
    if kind == "AT_LATEST":
        return dict(stream["shards"])
    if kind == "AT_TRIM_HORIZON":
        return {sid: shard for sid, shard in shards.items() if not any(p in shards for p in _parents(shard))}
    if kind in ("AT_TIMESTAMP", "FROM_TIMESTAMP"):
        at = float(shard_filter["Timestamp"])
        oldest = min(_instant_of(shard["starting_sequence_number"]) for shard in shards.values())
        at = max(at, oldest)
        return {sid: shard for sid, shard in shards.items()
                if ("ending_sequence_number" not in shard or _instant_of(shard["ending_sequence_number"]) >= at)
                and (kind == "FROM_TIMESTAMP" or _instant_of(shard["starting_sequence_number"]) <= at)}
    return shards


def _refused_count(stream, target):
    """What is said of a number of shards that Kinesis does not go to at once; None of one that it does."""
    current = len(stream["shards"])
    if current <= 2 * target and target <= 2 * current:
        return None
    return (f"UpdateShardCount cannot go from {current} to {target} shards at once: "
            "at most to double and at least to half")


def _reshard(stream, target):
    """Split every shard where a shard of the target begins, then merge those that lie within one."""
    def ordered():
        return sorted(stream["shards"].items(), key=lambda item: int(item[1]["starting_hash_key"]))

    name, starts = stream["StreamName"], [int(start) for start, _ in _compute_hash_ranges(target)]
    for start in starts:
        for sid, shard in ordered():
            if int(shard["starting_hash_key"]) < start <= int(shard["ending_hash_key"]):
                _split_shard({"StreamName": name, "ShardToSplit": sid, "NewStartingHashKey": str(start)})
    while extra := next((at for at, (_, shard) in enumerate(ordered())
                         if int(shard["starting_hash_key"]) not in starts), None):
        (left, _), (right, _) = ordered()[extra - 1:extra + 1]
        _merge_shards({"StreamName": name, "ShardToMerge": left, "AdjacentShardToMerge": right})
'''
}

_CLOSES = '    for parent in ({parents}):\n        parent["ending_sequence_number"] = _next_sequence_number()\n'
EDITS = (
    Edit(
        KINESIS,
        "_split_shard",
        "    base = _max_shard_index(stream) + 1\n",
        _CLOSES.format(parents="old,") + "    base = _max_shard_index(stream) + 1\n",
    ),
    Edit(
        KINESIS,
        "_split_shard",
        '    del stream["shards"][shard_id]\n',
        "    _close_shard(stream, shard_id)\n",
    ),
    Edit(
        KINESIS,
        "_merge_shards",
        "    new_idx = _max_shard_index(stream) + 1\n",
        _CLOSES.format(parents="s1, s2") + "    new_idx = _max_shard_index(stream) + 1\n",
    ),
    Edit(
        KINESIS,
        "_merge_shards",
        '    del stream["shards"][s1_id]\n    del stream["shards"][s2_id]\n',
        "    _close_shard(stream, s1_id)\n    _close_shard(stream, s2_id)\n",
    ),
    Edit(
        KINESIS,
        "_update_shard_count",
        '    stream["shards"] = _build_shards(target)\n',
        "    if refused := _refused_count(stream, target):\n"
        '        return error_response_json("LimitExceededException", refused, 400)\n'
        "    _reshard(stream, target)\n",
    ),
    Edit(
        KINESIS,
        "_expire_records",
        '    for shard in stream["shards"].values():\n',
        "    _expire_closed_shards(stream, cutoff)\n    for shard in _all_shards(stream).values():\n",
    ),
    Edit(
        KINESIS,
        "_shard_out",
        '    if shard.get("parent_shard_id"):\n',
        '    if "ending_sequence_number" in shard:\n'
        '        result["SequenceNumberRange"]["EndingSequenceNumber"] = shard["ending_sequence_number"]\n'
        '    if shard.get("parent_shard_id"):\n',
    ),
    Edit(
        KINESIS,
        "_stream_desc",
        '_shard_out(sid, stream["shards"][sid])',
        "_shard_out(sid, _all_shards(stream)[sid])",
    ),
    Edit(KINESIS, "_stream_desc", 'sorted(stream["shards"].keys())', "sorted(_all_shards(stream))"),
    Edit(KINESIS, "_describe_stream", 'sorted(stream["shards"].keys())', "sorted(_all_shards(stream))"),
    Edit(
        KINESIS,
        "_list_shards",
        '    shard_ids = sorted(stream["shards"].keys())\n',
        '    _expire_records(stream)\n    shards = _filter_shards(stream, data.get("ShardFilter"))\n'
        "    shard_ids = sorted(shards)\n",
    ),
    Edit(KINESIS, "_list_shards", '_shard_out(sid, stream["shards"][sid])', "_shard_out(sid, shards[sid])"),
    Edit(
        KINESIS,
        "_get_shard_iterator",
        '    if shard_id not in stream["shards"]:\n',
        "    if shard_id not in _all_shards(stream):\n",
    ),
    Edit(
        KINESIS,
        "_get_shard_iterator",
        '    shard = stream["shards"][shard_id]\n',
        "    shard = _all_shards(stream)[shard_id]\n",
    ),
    Edit(
        KINESIS,
        "_get_records",
        '    shard = stream["shards"].get(state["shard_id"])\n',
        '    shard = _all_shards(stream).get(state["shard_id"])\n',
    ),
    Edit(
        KINESIS,
        "_get_records",
        "    next_token = new_uuid()\n",
        '    if "ending_sequence_number" in shard and new_pos >= len(shard["records"]):\n'
        '        return json_response({"Records": out_records, "NextShardIterator": None, "MillisBehindLatest": 0,\n'
        '                              "ChildShards": _child_shards(stream, state["shard_id"])})\n'
        "    next_token = new_uuid()\n",
    ),
    Edit(
        MAPPINGS,
        "_poll_kinesis",
        '                for shard_id, shard in stream["shards"].items():\n                    if starting',
        "                for shard_id, shard in _kin._all_shards(stream).items():\n                    if starting",
    ),
    Edit(
        MAPPINGS,
        "_poll_kinesis",
        '            for shard_id, shard in stream["shards"].items():\n                if shard_id not in positions:\n'
        '                    positions[shard_id] = len(shard["records"])\n                    continue\n',
        "            shards = _kin._all_shards(stream)\n            for shard_id, shard in shards.items():\n"
        "                positions.setdefault(shard_id, 0)\n"
        '                if any(positions.get(p, 0) < len(shards[p]["records"])\n'
        "                       for p in _kin._parents(shard) if p in shards):\n"
        "                    continue\n",
    ),
    Edit(
        CLOUDFORMATION,
        "_kinesis_stream_update",
        "    # ShardCount changes keep the existing shards — records live in them.\n",
        '    count, mode = new_props.get("ShardCount"), stream.get("StreamModeDetails", {}).get("StreamMode")\n'
        '    if count and mode != "ON_DEMAND" and int(count) != len(stream["shards"]):\n'
        "        if refused := _kinesis._refused_count(stream, int(count)):\n"
        "            raise ValueError(refused)\n"
        "        _kinesis._reshard(stream, int(count))\n",
    ),
)
