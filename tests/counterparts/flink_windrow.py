"""windrow over the same file: its consumer, batch by batch, and a tick at the end, with buckets in memory.

python -m tests.counterparts.flink_windrow RECORDS RESULTS
"""

import base64
import sys
from collections.abc import Iterator
from pathlib import Path

from dispatcher.tick import Tick
from processors.event import Record
from tests.consuming import consume
from tests.horizon import LATENESS_HORIZON_MS
from tests.simulation.lake import LAKE, LIFETIMES, RESULTS, buckets
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from windrow.lake.layout import AGGREGATES, WINDOWS
from windrow.window import WINDOW_MS

RECORDS_PER_BATCH = 500
_ARN = "arn:aws:kinesis:eu-central-1:123456789012:stream/fleet"


def run(records: Path, results: Path) -> None:
    """Write the rows and lineages of all windows to the folder `results`, under the keys that they have in a bucket."""
    state = S3State()
    arrival_ms = 0
    for batch in _batches(records):
        arrival_ms = max(arrival_ms, *(one.arrival_ms for one in batch))
        store = SimulatedStore(state.apply, LAKE)
        consume(batch, store=store, now_ms=arrival_ms, horizon_ms=LATENESS_HORIZON_MS)
    scheduled_ms = (arrival_ms // WINDOW_MS + 1) * WINDOW_MS + 2 * 60_000
    for _ in range(2):  # the second finds nothing to do, or finishes
        Tick(buckets=buckets(state.apply), lifetimes=LIFETIMES, scheduled_time_ms=scheduled_ms).run()
    for key, stored in state.buckets[RESULTS].items():
        if key.startswith((AGGREGATES, WINDOWS)):
            (results / key).parent.mkdir(parents=True, exist_ok=True)
            (results / key).write_bytes(stored.body)


def _batches(records: Path) -> Iterator[list[Record]]:
    batch: list[Record] = []
    with records.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            arrival, _, body = line.partition(b"\t")
            batch.append(
                Record(
                    stream_arn=_ARN,
                    shard="shardId-000000000000",
                    sequence_number=f"4965{number:052}",
                    arrival_ms=int(arrival),
                    partition_key="a",
                    payload=base64.b64decode(body),
                )
            )
            if len(batch) == RECORDS_PER_BATCH:
                yield batch
                batch = []
    if batch:
        yield batch


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]))
