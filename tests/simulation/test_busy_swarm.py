"""Busy stages by the seed: a backlog, slow S3, late readings; live windows stay fresh, and all ends as it must."""

import os

import pytest

from tests.simulation.busy_swarm import run_busy_seed

SEEDS = int(os.environ.get("WINDROW_BUSY_SEEDS", "2"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_busy_stages_stay_fresh_and_end_as_they_must(seed: int) -> None:
    """A window on time is rolled by one of its first two ticks, and the rows are those of a run without faults."""
    assert run_busy_seed(seed) == []
