"""A backfill done by this process: its parts one after another, and the rolls of their windows by the dispatcher."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from dispatcher.report import RollOutcome, TickReport
from processors.backfill import all_rolled
from processors.backfill_part import (
    IDLE_TICKS_MAX,
    BackfillReport,
    BackfillRun,
    checked,
    keep_plan,
    report_of,
    stored_plan,
)
from processors.backfill_plan import HistoryPlan, backfill_id, plan_parts
from processors.backfill_source import FilesOfMachine, HistoryFile, HistorySource, ObjectsOfBucket
from processors.batch import reader_of
from windrow.aws.clients import Place, client, readable_errors
from windrow.aws.many_puts import ManyPuts
from windrow.errors import UsageError
from windrow.lake.s3 import S3Store
from windrow.stage import Stage
from windrow_operations import ticks

S3 = "s3://"
POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class History:
    """Files of one place, each once, in the order in which they were named."""

    source: HistorySource
    files: tuple[HistoryFile, ...]


def find_history(names: Sequence[str], place: Place | None) -> History:
    """Return what is at paths of this machine, or at URLs of one bucket at `place`; UsageError names a bad one."""
    if not any(name.startswith(S3) for name in names):
        source: HistorySource = FilesOfMachine()
        paths = list(names)
    else:
        bucket, paths = bucket_and_paths(names)
        if place is None:
            raise UsageError(f"{names[0]} is at no place")
        source = ObjectsOfBucket(client("s3", place), bucket)
    found = [file for path in paths for file in source.find(path)]
    return History(source, tuple({file.key: file for file in found}.values()))


def bucket_and_paths(names: Sequence[str]) -> tuple[str, list[str]]:
    """Return the bucket of URLs, and the paths in it; UsageError if they are of several places."""
    remote = [name.removeprefix(S3).partition("/") for name in names if name.startswith(S3)]
    buckets = {bucket for bucket, _, _ in remote}
    if len(remote) < len(names) or len(buckets) > 1:
        raise UsageError("files of more than one place", hint="one backfill reads one bucket, or this machine")
    (bucket,) = buckets
    if not bucket:
        raise UsageError(f"{names[0]} names no bucket")
    return bucket, [path for _, _, path in remote]


def plan_only(history: History) -> HistoryPlan:
    """Return the plan for a stage that has not rolled anything; nothing is stored."""
    return plan_parts(history.source, history.files, rolled=())


@contextmanager
def begun(history: History, stage: Stage) -> Iterator[BackfillRun]:
    """Plan a backfill into a stage, or find the plan that was made when it was begun."""
    digest = backfill_id(history.source, history.files, contract=stage.payload_contract)
    with readable_errors(stage.place), ManyPuts(stage.place, stage.lake_bucket) as many_puts:
        lake = S3Store(many_puts, stage.lake_bucket)
        plan = stored_plan(lake, digest)
        if plan is None:
            made = plan_parts(history.source, history.files, rolled=all_rolled(stage.results))
            plan = keep_plan(lake, digest, made)
        yield BackfillRun(digest=digest, plan=plan, source=history.source, lake=lake, reader=reader_of(stage))


def do_parts(backfill: BackfillRun, *, on_progress: Callable[[int], object] = lambda _done: None) -> BackfillReport:
    """Do the parts that are not done, in their order; `on_progress` gets how many are."""
    for number in range(len(backfill.plan.parts)):
        backfill.part(number)
        on_progress(number + 1)
    return report_of(backfill)


def roll_all(
    backfill: BackfillRun,
    report: BackfillReport,
    *,
    tick: Callable[[], TickReport],
    on_progress: Callable[[BackfillReport], object] = lambda _report: None,
) -> BackfillReport:
    """Run ticks until no window of the backfill waits, or IDLE_TICKS_MAX of them rolled nothing."""
    idle = 0
    while report.unrolled and idle < IDLE_TICKS_MAX:
        outcomes = tick().outcomes
        idle = 0 if outcomes[RollOutcome.ROLLED] else idle + 1
        report = replace(report, unrolled=report_of(backfill).unrolled)
        on_progress(report)
    return report


def check(backfill: BackfillRun, report: BackfillReport, stage: Stage) -> BackfillReport:
    """Compare the windows that were rolled with what was written."""
    return checked(backfill, report, stage.results)


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution of a state machine: its ARN, its status as Step Functions spells it, and the cause if it failed.

    digest: the name of the backfill, once that has come to a good end.
    """

    arn: str
    status: str
    cause: str = ""
    digest: str = ""

    @property
    def is_running(self) -> bool:
        """Whether it is not over."""
        return self.status == "RUNNING"


def start_execution(stage: Stage, names: Sequence[str]) -> Execution:
    """Have the stage's state machine backfill what is at these URLs of one bucket; UsageError if they are not."""
    bucket, paths = bucket_and_paths(names)
    with readable_errors(stage.place):
        started = client("stepfunctions", stage.place).start_execution(
            stateMachineArn=stage.backfill_machine, input=json.dumps({"bucket": bucket, "paths": paths})
        )
    return Execution(str(started["executionArn"]), "RUNNING")


def follow_execution(stage: Stage, execution: Execution, *, sleep: Callable[[float], object] = time.sleep) -> Execution:
    """Wait until an execution is over."""
    while execution.is_running:
        sleep(POLL_SECONDS)
        with readable_errors(stage.place):
            found = client("stepfunctions", stage.place).describe_execution(executionArn=execution.arn)
        execution = Execution(
            execution.arn,
            status=str(found["status"]),
            cause=str(found.get("cause", "")),
            digest=str(json.loads(found.get("output", "{}")).get("digest", "")),
        )
    return execution


def report_on(history: History, stage: Stage, execution: Execution) -> BackfillReport | None:
    """Return the report on a backfill that an execution does; None if it has no plan.

    Its windows are compared with what was written. Where the execution does not tell its name, it is worked out, as a
    stage of this release does it.
    """
    digest = execution.digest or backfill_id(history.source, history.files, contract=stage.payload_contract)
    with readable_errors(stage.place):
        plan = stored_plan(stage.lake, digest)
        if plan is None:
            return None
        run = BackfillRun(digest=digest, plan=plan, source=history.source, lake=stage.lake)
        return checked(run, report_of(run), stage.results)


def tick_of(stage: Stage, *, clock_ms: Callable[[], int]) -> Callable[[], TickReport]:
    """Return what runs one tick of the deployed dispatcher now."""
    return lambda: ticks.invoke_tick(stage, ticks.tick_event(clock_ms(), is_dry_run=False))
