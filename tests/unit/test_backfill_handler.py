"""What a backfill's state machine decides by, and how it is followed; the embedded stack runs all steps."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dispatcher.report import RollOutcome
from processors.backfill_handler import idle_after, next_step
from processors.backfill_part import IDLE_TICKS_MAX, BackfillReport
from tests.unit.stubbed_aws import PLACE, stubbed
from tests.unit.test_deploy_command import STAGE
from windrow_operations.backfilling import POLL_SECONDS, Execution, follow_execution, start_execution

DONE = BackfillReport(digest="d", files=1, refused_files=(), size_bytes=0, parts=(), missing=(), unrolled=0)


def test_a_tick_that_rolled_something_is_followed_by_others() -> None:
    """Listed or not; others are counted."""
    rolled, settled = ({"outcome": outcome.value} for outcome in (RollOutcome.ROLLED, RollOutcome.SETTLED))
    assert idle_after({"windows": [settled, rolled], "unlisted": {}}, 2) == 0
    assert idle_after({"windows": [settled], "unlisted": {RollOutcome.ROLLED.value: 7}}, 2) == 0
    assert idle_after({"windows": [settled], "unlisted": {RollOutcome.SETTLED.value: 7}}, 2) == 3


@pytest.mark.parametrize(
    ("unrolled", "missing", "idle", "goes_on", "is_whole"),
    [
        (0, (), 0, False, True),
        (1, (), IDLE_TICKS_MAX - 1, True, False),
        (1, (), IDLE_TICKS_MAX, False, False),
        (0, (3,), 0, False, False),
        (1, (3,), 0, True, False),
    ],
)
def test_the_machine_goes_on_while_windows_wait(
    unrolled: int, missing: tuple[int, ...], idle: int, goes_on: bool, is_whole: bool
) -> None:
    """Also where parts are missing: what was written is rolled, and the execution fails in the end."""
    told = next_step(replace(DONE, unrolled=unrolled, missing=missing), idle=idle)
    assert (told["goes_on"], told["is_whole"]) == (goes_on, is_whole)


MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:windrow-dev-backfill"
EXECUTION = MACHINE.replace("stateMachine", "execution") + ":1"


def test_an_execution_is_started_and_followed_to_its_end() -> None:
    """With the bucket and the paths that were named; what it failed of is told."""
    stage = replace(STAGE, place=PLACE, backfill_machine=MACHINE)
    given = json.dumps({"bucket": "archive", "paths": ["2025/", "2026/"]})
    at = datetime(2026, 11, 20, tzinfo=UTC)
    found = {"executionArn": EXECUTION, "stateMachineArn": MACHINE, "startDate": at}
    slept: list[float] = []
    with stubbed("stepfunctions") as (states,):
        states.add_response(
            "start_execution",
            {"executionArn": EXECUTION, "startDate": at},
            {"stateMachineArn": MACHINE, "input": given},
        )
        for told in (
            {"status": "RUNNING"},
            {"status": "FAILED", "cause": "AccessDenied"},
            {"status": "SUCCEEDED", "output": '{"digest": "d1", "bucket": "archive"}'},
        ):
            states.add_response("describe_execution", found | told, {"executionArn": EXECUTION})
        started = start_execution(stage, ["s3://archive/2025/", "s3://archive/2026/"])
        ended = follow_execution(stage, started, sleep=slept.append)
        done = follow_execution(stage, started, sleep=slept.append)
    assert done == Execution(EXECUTION, "SUCCEEDED", digest="d1")
    assert (started.is_running, ended) == (True, Execution(EXECUTION, "FAILED", "AccessDenied"))
    assert slept == [POLL_SECONDS] * 3
