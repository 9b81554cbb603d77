"""Handing records to a stage's consumer once more: from the stream, from quarantine, from what Lambda gave up."""

from collections.abc import Callable

from processors.invoke import LambdaInvoker
from processors.iot_message import VERBATIM
from processors.redrive import Redrive, RedriveResult, oldest_arrival_ms
from processors.replay import DryRunInvoker, ReplayResult, replay
from windrow.lake.quarantine_search import QuarantineSearch
from windrow.period import DAY_MS
from windrow.stage import Stage


def replay_stage(
    stage: Stage,
    *,
    start_ms: int,
    end_ms: int,
    is_dry_run: bool = False,
    on_progress: Callable[[ReplayResult], object] = lambda _: None,
) -> ReplayResult:
    """Replay what arrived in the stream with `start_ms <= arrival < end_ms`; as much of it as is retained.

    The consumer function is invoked in either mode; in fan-out mode it is the processor. What AWS refuses is a
    WindrowError; the failures of invocations are in the result.
    """
    return replay(
        stage.stream.records_between(start_ms, end_ms),
        stream_arn=stage.stream.summary().arn,
        invoker=DryRunInvoker() if is_dry_run else LambdaInvoker(stage.consumer),
        on_progress=on_progress,
    )


def redrive_stage(
    stage: Stage,
    search: QuarantineSearch,
    *,
    now_ms: int,
    of_quarantine: bool,
    of_failures: bool,
    is_dry_run: bool = False,
    on_progress: Callable[[ReplayResult], object] = lambda _: None,
) -> RedriveResult:
    """Redrive what was put aside in the stage; what AWS refuses is a WindrowError."""
    redrive = Redrive(
        lake=stage.lake,
        failures=stage.failures,
        stream=stage.stream,
        stream_arn=stage.stream.summary().arn,
        oldest_arrival_ms=oldest_arrival_ms(
            now_ms=now_ms,
            horizon_ms=stage.lifetimes.lateness_horizon_ms,
            partials_retention_ms=stage.partials_retention_days * DAY_MS,
        ),
        iot_select=stage.iot_select or VERBATIM,
    )
    return redrive.run(
        search,
        of_quarantine=of_quarantine,
        of_failures=of_failures,
        invoker=DryRunInvoker() if is_dry_run else LambdaInvoker(stage.consumer),
        on_progress=on_progress,
    )
