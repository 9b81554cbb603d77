"""The exhaustive search over two dispatchers and a consumer, as a scenario for mutants: its first fault, if any."""

import dispatcher.roll
from tests.simulation.test_two_dispatchers import SCENARIOS, clean_run, faults_of


def faults_of_two_dispatchers() -> list[str]:
    """What the first bad node of any schedule has wrong."""
    clean_run.cache_clear()
    try:
        for scenario in SCENARIOS.values():
            for fault in faults_of(scenario, dispatcher.roll):
                if fault:
                    return [fault]
        return []
    finally:
        clean_run.cache_clear()  # what a broken product gave must not be anybody else's measure
