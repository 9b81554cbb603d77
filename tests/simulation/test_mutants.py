"""Every deliberate break of the product is noticed; a guard that no test misses is no guard."""

import logging
from collections.abc import Iterator

import pytest

from tests.simulation.mutants import MUTANTS, SEEDS_MAX, find
from tests.simulation.mutation import Mutant, applied, mutant
from windrow.window import Window


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The dispatcher logs what fails, and here everything does."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("broken", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_mutant_is_found(broken: Mutant) -> None:
    """By its scenario, or by the swarm within a bounded number of seeds."""
    found = find(broken)
    assert found.by_scenario or found.seeds is not None, f"not found within {SEEDS_MAX} seeds"


def test_a_mutant_lasts_only_as_long_as_it_is_applied() -> None:
    """Whoever has imported the function runs the broken one meanwhile, and the sound one afterwards."""
    containing = Window.containing
    broken = mutant(
        "off by one window", "windrow.window", "return cls(event_time_ms //", "return cls(WINDOW_MS + event_time_ms //"
    )
    with applied(broken):
        assert containing(0) == Window(300_000)
    assert containing(0) == Window(0)
