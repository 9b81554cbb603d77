"""Every deliberate break of what guards a deployment is noticed by a test."""

import pytest

from tests.simulation.mutation import applied
from tests.unit.infra_mutants import INFRA_MUTANTS, KILLED, Guarded, outcome, texts_of

NAMES = [one.broken.name for one in INFRA_MUTANTS]


def test_names_are_told_apart() -> None:
    """The command finds a mutant by its name."""
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("guarded", INFRA_MUTANTS, ids=NAMES)
def test_what_a_mutant_breaks_is_there(guarded: Guarded) -> None:
    """In one place, and a function runs otherwise with it."""
    assert [count for _, count in texts_of(guarded)] == [1] * len(guarded.broken.edits)
    with applied(guarded.broken):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("guarded", INFRA_MUTANTS, ids=NAMES)
def test_an_infra_mutant_is_found(guarded: Guarded) -> None:
    """By a failing test, in a process of its own; a test that could not be run has noticed nothing."""
    code, printed = outcome(guarded.broken.name)
    assert code == KILLED, printed
