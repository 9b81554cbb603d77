"""Waiting until the consumer has come to the end of what was produced."""

import time
from collections.abc import Mapping

from windrow.aws.clients import client, readable_errors
from windrow.aws.deployment import Deployment
from windrow.errors import WindrowError
from windrow.lake.frontier import Frontier, frontier_of, is_drained
from windrow.lake.layout import PARTIALS, QUARANTINE
from windrow.lake.s3 import S3Store
from windrow_cli.console import progress_bar

# Give up when nothing moves for so long: a batching window of 20 s, a cold start and a retry are much less.
STANDSTILL_SECONDS_MAX = 120.0
_POLL_SECONDS = 0.5


def wait_until_drained(deployment: Deployment, produced: Mapping[str, int]) -> Frontier:
    """Wait until everything up to `produced` (shard: last sequence number) is in the lake.

    WindrowError naming the shards that are behind when the consumer stands still.
    """
    lake = S3Store(client("s3", deployment.place), deployment.lake_bucket)

    def look() -> Frontier:
        with readable_errors(deployment.place):
            listed = (found.key for prefix in (PARTIALS, QUARANTINE) for found in lake.list_objects(prefix))
            return frontier_of(listed, stream=deployment.stream_name)

    before, moved_at = look(), time.monotonic()
    with progress_bar("draining", total=len(produced), unit="shards") as bar:
        while True:
            time.sleep(_POLL_SECONDS)
            now = look()
            if is_drained(before, now, produced=produced):
                return now
            behind = now.shards_behind(produced)
            bar.reached(len(produced) - len(behind), note=f"{now.objects:,} objects in the lake")
            if now != before:
                before, moved_at = now, time.monotonic()
            elif time.monotonic() - moved_at > STANDSTILL_SECONDS_MAX:
                message = f"the consumer stands still; behind: {', '.join(behind)}"
                raise WindrowError(message, hint=f"look into the log of {deployment.consumer_function}")
