"""Random simulations: each seed deploys otherwise, fails otherwise, and must end alike. More: make simulate-faults."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.simulation.replay import main as replay
from tests.simulation.swarm import plan_of, run_seed

SEEDS = int(os.environ.get("WINDROW_SEEDS", "60"))
TOGETHER = 10


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """The commands switch it off for their whole process."""
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("first", range(0, SEEDS, TOGETHER))
def test_seeds_end_as_they_must(first: int) -> None:
    """Nothing lost, nothing twice, the bytes of a run without faults, every bad payload in quarantine, all at rest."""
    outcomes = [run_seed(seed) for seed in range(first, min(first + TOGETHER, SEEDS))]
    wrong = [outcome for outcome in outcomes if outcome.faults]
    assert not wrong, "\n".join(f"{outcome.faults[0]}\n  {outcome.command()}" for outcome in wrong)


def test_a_seed_is_one_simulation_in_every_process() -> None:
    """The trace does not depend on the hash seed of the process, nor on what was simulated before."""
    script = (
        "import hashlib; from tests.simulation.swarm import run_seed; world = run_seed(3, keep_world=True).world; "
        "print(hashlib.sha256('\\n'.join(world.timeline.lines()).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1


def test_replay_shows_the_plan_the_steps_and_the_timeline(capsys: pytest.CaptureFixture[str]) -> None:
    """A seed is replayed by one command, whose output tells what was deployed, what happened, and how it ended."""
    assert replay(["--seed", "3"]) == 0
    shown = capsys.readouterr().out
    assert f"seed 3: {plan_of(3).gateways} gateways" in shown
    assert "gateway  P" in shown
    assert "a column is" in shown
    assert shown.rstrip().endswith("as it must be")


def test_replay_of_a_broken_product_says_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code and the last lines tell."""
    assert replay(["--seed", "0", "--quiet", "--mutant", "drop the union"]) == 1
    assert "WRONG: aggregates/" in capsys.readouterr().out
