"""A tick that somebody asks for rolls what the schedule's ticks let wait: nobody asks in order to see old rows."""

from collections.abc import Mapping
from typing import Any

from dispatcher import handler
from dispatcher.report import RollOutcome
from tests.simulation.lake import buckets, markers_of, report_of
from tests.simulation.simulated_s3 import S3State
from tests.simulation.test_united_sets import HOURLY, LATE_ROWS, LATE_TICK, WINDOW, arrive, is_right, rolled
from windrow.timestamps import format_rfc3339
from windrow_operations.ticks import tick_event


def outcome_of(state: S3State, event: Mapping[str, Any]) -> RollOutcome:
    """What the dispatcher of a stage that lets late readings wait for an hour does with the window at this event."""
    report = handler.run(event, buckets=buckets(state.apply), lifetimes=HOURLY, remaining_ms=lambda: 600_000)
    return report_of(report, WINDOW).outcome


def faults_of_a_tick_by_hand() -> list[str]:
    """What is wrong after a late partial, a tick of the schedule, a dry run by hand and a tick by hand."""
    state = rolled()
    arrive(state, LATE_ROWS)
    faults = []
    scheduled = outcome_of(state, {"time": format_rfc3339(LATE_TICK), "detail": {}})
    if scheduled is not RollOutcome.WAITING:
        faults.append(f"by the schedule it is {scheduled}")
    planned = outcome_of(state, tick_event(LATE_TICK, is_dry_run=True))
    if planned is not RollOutcome.DUE:
        faults.append(f"in a dry run it is {planned}")
    by_hand = outcome_of(state, tick_event(LATE_TICK, is_dry_run=False))
    if by_hand is not RollOutcome.ROLLED or not is_right(state, LATE_ROWS) or markers_of(state):
        faults.append(f"by hand it is {by_hand}, and {len(markers_of(state))} markers are left")
    return faults


def test_tick_by_hand_does_not_let_late_readings_wait() -> None:
    """What `windrow tick` sends has them in the rows at once; what the schedule sends does not."""
    assert faults_of_a_tick_by_hand() == []
