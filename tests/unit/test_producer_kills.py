"""kill -9 at random moments, again and again, against an endpoint that is slow, fails, and forgets to answer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.lossy_kinesis import LossyKinesis, lossy_kinesis

KILLS = int(os.environ.get("WINDROW_KILLS", "200"))
FOLDERS = 4
GATEWAY = Path(__file__).with_name("mortal_gateway.py")


@pytest.mark.slow
@pytest.mark.parametrize("wire", ["json", "blocks"])
def test_nothing_that_was_accepted_is_missing_after_kills_at_random_moments(wire: str, tmp_path: Path) -> None:
    """What `put` returned for arrives, what a true flush confirmed is there already, and no other reading ever is."""
    kills = 0
    with lossy_kinesis(seed=7) as kinesis:
        for folder in range(FOLDERS // 2):
            first = folder * 10_000_000
            kinesis.is_calm = False
            kills += _lives(kinesis, tmp_path / str(folder), wire, first, lives=KILLS // FOLDERS)
    assert kills == KILLS // 2


def _lives(kinesis: LossyKinesis, spool: Path, wire: str, first: int, *, lives: int) -> int:
    """All lives of one gateway; how many of them were killed."""
    command = [sys.executable, str(GATEWAY), kinesis.endpoint_url, str(spool), wire, str(first), str(lives), str(first)]
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    accepted: set[int] = set()
    kills, begin, damaged, confirmed = 0, first, -1, -1
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for kind, *told in map(str.split, process.stdout):
            match kind:
                case "a":
                    accepted.update(range(begin, int(told[0]) + 1))
                    last = int(told[0])
                    begin = last + 1
                case "f":
                    missing = {one for one in accepted if one <= int(told[0])} - kinesis.stored
                    assert not missing, f"flush was true, and {len(missing)} readings are not in the stream"
                    confirmed = int(told[0])
                case "k":
                    kills += 1
                    begin = last + 1_000
                    kinesis.is_calm = kills == lives
                case "d":
                    damaged = int(told[0])
    assert process.returncode == 0
    assert 0 <= damaged <= kills, "the end that a kill tore off is told, and nothing else"
    assert len(accepted) > 10 * lives
    stored = {one for one in kinesis.stored if one >= first}
    assert accepted <= stored
    assert confirmed >= max(accepted), "the last life's flush is true: all that was accepted is in the stream"
    # A put that was cut short by the kill may have kept its reading, or its batch, all the same.
    assert all(one - 41 <= max(known for known in accepted if known <= one) for one in stored - accepted)
    return kills
