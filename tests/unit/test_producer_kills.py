"""kill -9 at random moments, again and again, against an endpoint that is slow, fails, and forgets to answer."""

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from random import Random

import pytest

from producers.frames import PAGE_BYTES
from tests.oracle import Fact
from tests.unit.lossy_kinesis import LossyKinesis, lossy_kinesis
from tests.unit.mortal_gateway import fact

KILLS = int(os.environ.get("WINDROW_KILLS", "200"))
FOLDERS = {"json": (0, 1), "blocks": (2, 3)}
FOLDER_COUNT = sum(map(len, FOLDERS.values()))
# How much of what each life asks for comes to grief.
TROUBLES = (0.0, 0.0, 0.1, 0.4)
ROOT = Path(__file__).parents[2]


@dataclass
class Told:
    """What a gateway said of its lives, by number; `confirmed` has the last number and the time of each true flush."""

    first: int
    offered: int
    accepted: list[int] = field(default_factory=list)
    confirmed: list[tuple[int, int]] = field(default_factory=list)
    confirmed_in_time: int = 0
    kills: int = 0


@pytest.mark.slow
@pytest.mark.parametrize("wire", list(FOLDERS))
def test_nothing_that_was_accepted_is_missing_after_kills_at_random_moments(wire: str, tmp_path: Path) -> None:
    """What `put` returned for arrives, what a true flush confirmed is there by then, and no other reading ever is."""
    confirmed = 0
    for folder in FOLDERS[wire]:
        lives = (KILLS + folder) // FOLDER_COUNT
        with lossy_kinesis(seed=folder) as kinesis:
            told = _told(kinesis, tmp_path / str(folder), wire, first=folder * 10_000_000, lives=lives)
            assert not kinesis.errors
            assert told.kills == lives
            _check(told, kinesis.stored)
        assert {name for name in _left(tmp_path / str(folder)) if not name.endswith(".damaged")} == {"lock"}
        confirmed += told.confirmed_in_time
    assert confirmed >= KILLS // 20, "flushes of lives that were killed said True, or this shows little"


def _told(kinesis: LossyKinesis, spool: Path, wire: str, *, first: int, lives: int) -> Told:
    """Let a gateway live so many lives and one more, and hear what it says."""
    random, told, begin = Random(first), Told(first, first - 1), first
    command = [sys.executable, "-m", "tests.unit.mortal_gateway", kinesis.endpoint_url, str(spool), wire]
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    with subprocess.Popen(
        [*command, str(first), str(lives)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for kind, *numbers in map(str.split, process.stdout):
            match kind, *map(int, numbers):
                case "o", last:
                    told.offered = last
                case "a", last:
                    told.accepted += range(begin, last + 1)
                    begin = last + 1
                case "f", last, time_ns:
                    told.confirmed.append((last, time_ns))
                case ("k",):
                    told.kills += 1
                    told.confirmed_in_time = len(told.confirmed)
                    begin = told.offered + 1
                    kinesis.trouble = random.choice(TROUBLES) if told.kills < lives else 0.0
    assert process.returncode == 0, kinesis.errors
    return told


def _check(told: Told, stored: dict[Fact, int]) -> None:
    missing = [number for number in told.accepted if fact(number) not in stored]
    assert not missing, f"{len(missing)} of {len(told.accepted)} accepted readings never arrived"
    strange = stored.keys() - map(fact, range(told.first, told.offered + 1))
    assert not strange, f"{len(strange)} readings arrived that were never put"
    complete_ns = dict(zip(told.accepted, accumulate((stored[fact(one)] for one in told.accepted), max), strict=True))
    for last, time_ns in told.confirmed:
        assert complete_ns.get(last, 0) <= time_ns, f"flush was true before readings up to {last} were in the stream"
    assert told.confirmed[-1][0] == told.offered, "the last life's flush is true"
    assert len(told.accepted) > 10 * told.kills


def _left(spool: Path) -> Iterable[str]:
    """The names in a spool that was drained. What is damaged is the end that a kill tore off amid a write."""
    for file in spool.iterdir():
        assert file.suffix != ".damaged" or file.stat().st_size % PAGE_BYTES == 0
        yield file.name
