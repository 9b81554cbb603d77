"""Making the stream deliver everything again, by both ways there are, to show that it changes nothing."""

import hashlib
import json
from collections.abc import Sequence

from windrow.aws.clients import client, readable_errors
from windrow.aws.deployment import Deployment
from windrow.aws.kinesis import KinesisStream, OutgoingRecord, Stored
from windrow.errors import WindrowError
from windrow.lake.layout import rows_key
from windrow.lake.s3 import S3Store
from windrow.reading import Readings
from windrow.window import Window
from windrow.wire.json.strict import encode_readings
from windrow_cli.draining import wait_until_drained
from windrow_cli.stage import clock_ms

_SENTINEL = "windrow-rewind"


def rows_digests(deployment: Deployment, windows: Sequence[Window]) -> dict[Window, str]:
    """SHA-256 of the bytes of each window's rows object; windows without one are left out."""
    results = S3Store(client("s3", deployment.place), deployment.results_bucket)
    with readable_errors(deployment.place):
        stored = {window: results.get(rows_key(window)) for window in windows}
    return {window: hashlib.sha256(found.body).hexdigest() for window, found in stored.items() if found}


def replay_everything(deployment: Deployment) -> int:
    """Hand every record that the stream keeps to the consumer once more; how many records that were."""
    from processors.replay import replay_stage

    replayed = replay_stage(deployment, start_ms=0, end_ms=clock_ms())
    if replayed.failed:
        raise WindrowError(f"{len(replayed.failed)} invocations of the replay failed: {replayed.failed[0].detail}")
    return replayed.records


def recreate_mapping(deployment: Deployment) -> None:
    """Delete the mapping and create it anew, so that it reads from the beginning; return when it is at the end.

    How far it is shows only in what it writes, and it writes nothing new while it reads what is known. So each shard
    gets one more reading, of now, at its end: when all of those are in the lake, the rest has been delivered again.
    """
    from infra import mapping

    mapping.recreate(deployment)
    with readable_errors(deployment.place):
        produced = _send_sentinels(deployment)
    wait_until_drained(deployment, produced)


def _send_sentinels(deployment: Deployment) -> dict[str, int]:
    stream = KinesisStream.at(deployment.place, deployment.stream_name)
    now_ms = clock_ms()
    shards = [shard for shard in stream.list_shards() if shard.is_open]
    bodies = encode_readings(Readings.of((f"{_SENTINEL}-{shard.shard_id}", now_ms, 0, 0) for shard in shards))
    records = [
        OutgoingRecord(partition_key=_SENTINEL, body=body, explicit_hash_key=str(shard.first_hash_key))
        for shard, body in zip(shards, bodies, strict=True)
    ]
    answers = stream.put_records(records)
    stored = [answer for answer in answers.entries if isinstance(answer, Stored)]
    if len(stored) < len(records):
        raise WindrowError(f"the stream refused a record: {json.dumps([str(entry) for entry in answers.entries])}")
    return {answer.shard_id: int(answer.sequence_number) for answer in stored}
