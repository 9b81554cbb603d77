"""docs/example.py, run as a reader would run it, against results on the embedded stack."""

import os
import subprocess
import sys
import time
from pathlib import Path

from windrow import settings
from windrow.aws.stream import OutgoingRecord, Stored
from windrow.reading import Reading, Readings
from windrow.stage import Stage
from windrow.wire.json.encode import encode_readings
from windrow.wire.kpl import UserRecord, aggregate
from windrow_operations.draining import wait_until_drained
from windrow_operations.ticks import invoke_tick, tick_event

EXAMPLE = Path(__file__).parents[2] / "docs" / "example.py"
HOUR_MS = 3_600_000
# Windows that no other test of the session touches.
HOURS_BACK = 18


def test_the_example_runs(stack: Stage, home: Path) -> None:
    """From connect() to the last table."""
    start_ms = (time.time_ns() // 1_000_000 // HOUR_MS - HOURS_BACK) * HOUR_MS
    readings = [Reading(f"example-{n}/x", start_ms + n * 1_000, 0, 40_000_00 + n) for n in range(3)]
    body = aggregate([UserRecord("k", payload) for payload in encode_readings(Readings.of(readings))])
    stream = stack.stream
    (answer,) = stream.put_records([OutgoingRecord(partition_key="a", body=body)]).entries
    assert isinstance(answer, Stored)
    wait_until_drained(stack, {answer.shard_id: int(answer.sequence_number)})
    invoke_tick(stack, tick_event(time.time_ns() // 1_000_000 + 120_000, is_dry_run=False))
    environment = os.environ | {
        settings.AWS_ENDPOINT_URL: str(stack.place.endpoint_url),
        settings.HOME: str(home),
        settings.STAGE: stack.name,
    }
    done = subprocess.run([sys.executable, str(EXAMPLE)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "example-2/x: 95 % of its readings were below 4000.00 °C at most" in done.stdout
    assert "example-2" in done.stdout.splitlines()[-3]
