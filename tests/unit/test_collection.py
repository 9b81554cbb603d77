"""The tests themselves: every process that collects them collects the same ones, or their runs cannot be shared out."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HASH_SEEDS = ("1", "2")
COLLECTION_SECONDS_MAX = 300


@pytest.mark.slow
def test_another_process_collects_the_same_tests(request: pytest.FixtureRequest) -> None:
    """Neither the time, nor the order of a set, nor an address in memory gets into the name of a test.

    The other process is seconds later, and has sets and dicts of strings in another order.
    """
    here = [name_of(item) for item in request.session.items]
    there = collected(next(one for one in HASH_SEEDS if one != os.environ.get("PYTHONHASHSEED")), modules_of(here))
    assert set(here) - set(there) == set()


def name_of(item: pytest.Item) -> str:
    """As it is before xdist adds the test's group."""
    group = item.get_closest_marker("xdist_group")
    return item.nodeid.removesuffix(f"@{group.args[0]}") if group else item.nodeid


def modules_of(names: Iterable[str]) -> list[str]:
    """The files that these tests stand in."""
    return sorted({name.partition("::")[0] for name in names})


def collected(hash_seed: str, modules: list[str]) -> list[str]:
    """The names of all tests of `modules`, as a process with this hash seed finds them."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-o",
        "addopts=--import-mode=importlib",
        "-q",
        *modules,
    ]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTEST_ADDOPTS": ""}
    for name in [name for name in environment if name.startswith("PYTEST_XDIST")]:
        del environment[name]
    found = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=COLLECTION_SECONDS_MAX, check=False
    )
    assert found.returncode == 0, found.stdout[-2_000:] + found.stderr[-2_000:]
    return [line for line in found.stdout.splitlines() if "::" in line]
