"""Waiting until the consumer has processed what was sent."""

import time
from collections.abc import Callable, Mapping

from windrow.aws.clients import readable_errors
from windrow.errors import WindrowError
from windrow.lake.frontier import Frontier, frontier_of, is_drained
from windrow.lake.layout import PARTIALS, QUARANTINE
from windrow.stage import Stage

# Give up when nothing moves for this long: a batching window of 20 s, a cold start and a retry are much less.
STANDSTILL_SECONDS_MAX = 120.0
_POLL_SECONDS = 0.5


def wait_until_drained(
    stage: Stage, produced: Mapping[str, int], *, on_progress: Callable[[Frontier], object] = lambda _: None
) -> Frontier:
    """Wait until everything up to `produced` (shard: last sequence number) is in the lake.

    `on_progress` is called after every look. WindrowError names the shards that are behind when the consumer stands
    still.
    """

    def look() -> Frontier:
        with readable_errors(stage.place):
            listed = (found.key for prefix in (PARTIALS, QUARANTINE) for found in stage.lake.list_objects(prefix))
            return frontier_of(listed, stream=stage.stream_name)

    before, moved_at = look(), time.monotonic()
    while True:
        time.sleep(_POLL_SECONDS)
        now = look()
        if is_drained(before, now, produced=produced):
            return now
        on_progress(now)
        if now != before:
            before, moved_at = now, time.monotonic()
        elif time.monotonic() - moved_at > STANDSTILL_SECONDS_MAX:
            message = f"the consumer stands still; behind: {', '.join(now.shards_behind(produced))}"
            raise WindrowError(message, hint=f"look into the log of {stage.consumer_function}")
