"""The exhaustive search over two dispatchers and a consumer, as a scenario for mutants: its first fault, if any."""

import itertools

import dispatcher.roll
from tests.simulation.test_two_dispatchers import SCENARIOS, clean_run, faults_of


def faults_of_two_dispatchers(scenario: str) -> list[str]:
    """What the first bad node of any schedule of one of SCENARIOS has wrong."""
    clean_run.cache_clear()
    try:
        return list(itertools.islice(filter(None, faults_of(SCENARIOS[scenario], dispatcher.roll)), 1))
    finally:
        clean_run.cache_clear()  # what a broken product gave must not be anybody else's measure
