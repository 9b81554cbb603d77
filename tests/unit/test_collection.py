"""The tests themselves: every process that collects them collects the same ones, or their runs cannot be shared out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Collections by processes of their own: seconds apart, and with sets and dicts of strings in another order.
HASH_SEEDS = ("1", "2")
COLLECTION_SECONDS_MAX = 300
TESTS_MIN = 1_000


@pytest.mark.slow
def test_every_collection_finds_the_same_tests() -> None:
    """Neither the time, nor the order of a set, nor an address in memory gets into the name of a test."""
    first, second = (collected(hash_seed) for hash_seed in HASH_SEEDS)

    assert len(first) > TESTS_MIN, "names are expected, not how many tests a file has"
    assert [(one, other) for one, other in zip(first, second, strict=False) if one != other] == []
    assert len(first) == len(second)


def collected(hash_seed: str) -> list[str]:
    """The names of all tests, in order, as a process with this hash seed finds them."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-o", "addopts=--import-mode=importlib", "-q"]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTEST_ADDOPTS": ""}
    for name in [name for name in environment if name.startswith("PYTEST_XDIST")]:
        del environment[name]
    found = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=COLLECTION_SECONDS_MAX, check=False
    )
    assert found.returncode == 0, found.stdout[-2_000:] + found.stderr[-2_000:]
    return [line for line in found.stdout.splitlines() if "::" in line]
