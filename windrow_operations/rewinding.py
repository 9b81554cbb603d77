"""Delivering a stage's whole stream again, in both ways there are, to show that it changes nothing."""

import hashlib
import json
from collections.abc import Sequence

from infra import mapping
from windrow.aws.clients import readable_errors
from windrow.aws.stream import OutgoingRecord, Stored
from windrow.errors import WindrowError
from windrow.lake.layout import rows_key
from windrow.stage import Stage
from windrow.timestamps import format_rfc3339
from windrow.window import Window
from windrow_operations.draining import wait_until_drained
from windrow_operations.redelivery import replay_stage

_SENTINEL = "windrow-rewind"


def rows_digests(stage: Stage, windows: Sequence[Window]) -> dict[Window, str]:
    """Return the SHA-256 of the bytes of each window's rows object; windows without one are left out."""
    with readable_errors(stage.place):
        stored = {window: stage.results.get(rows_key(window)) for window in windows}
    return {window: hashlib.sha256(found.body).hexdigest() for window, found in stored.items() if found}


def replay_everything(stage: Stage, *, now_ms: int) -> int:
    """Hand every record that the stream keeps to the consumer once more; return how many records that were."""
    replayed = replay_stage(stage, start_ms=0, end_ms=now_ms)
    if replayed.failed:
        raise WindrowError(f"{len(replayed.failed)} invocations of the replay failed: {replayed.failed[0].detail}")
    return replayed.records


def recreate_mapping(stage: Stage, *, now_ms: int) -> None:
    """Delete the mapping and create it anew, so that it reads from the beginning; return when it is at the end.

    Its progress shows only in what it writes, and it writes nothing new while it reads what is known. So each shard
    gets one more record at its end: when all of those are in the lake, the rest has been delivered again. They hold no
    readings, so they are in quarantine, and there are no rows of them.
    Records of any age are delivered, also those older than the age at which the stage gives records up.
    """
    with mapping.recreated(stage):
        with readable_errors(stage.place):
            produced = _send_sentinels(stage, now_ms=now_ms)
        wait_until_drained(stage, produced)


def _send_sentinels(stage: Stage, *, now_ms: int) -> dict[str, int]:
    shards = [shard for shard in stage.stream.list_shards() if shard.is_open]
    records = [
        OutgoingRecord(
            partition_key=_SENTINEL,
            body=f"{_SENTINEL}: the end of {shard.shard_id} at {format_rfc3339(now_ms)}, not a reading".encode(),
            explicit_hash_key=str(shard.first_hash_key),
        )
        for shard in shards
    ]
    answers = stage.stream.put_records(records)
    stored = [answer for answer in answers.entries if isinstance(answer, Stored)]
    if len(stored) < len(records):
        raise WindrowError(f"the stream refused a record: {json.dumps([str(entry) for entry in answers.entries])}")
    return {answer.shard_id: int(answer.sequence_number) for answer in stored}
