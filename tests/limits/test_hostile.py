"""Whatever 6 MB of legal input hold, a function of the template's size gets through them, in time and in memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.limits.hostile import SCENES

# The template gives the function 1,769 MB; a third of it is a comfortable bound on what is resident.
PEAK_MB_MAX = 590
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("scene", SCENES)
def test_a_batch_of_the_most_hostile_input_is_done_in_time_and_memory(scene: str) -> None:
    """In a process of its own: every record leaves a trace, none is left over, and the peak of memory is bounded."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.limits.hostile", scene],
        cwd=ROOT,
        env=os.environ | {"POWERTOOLS_METRICS_NAMESPACE": "windrow", "POWERTOOLS_LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout.splitlines()[-1])
    assert told["event_bytes"] > 4_900_000
    assert told["unprocessed"] is None
    assert told["readings"] + told["quarantined"] >= told["records"] > 0
    assert told["peak_mb"] < PEAK_MB_MAX
