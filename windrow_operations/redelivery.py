"""Handing records to a stage's consumer once more: from the stream, from quarantine, from what Lambda gave up."""

from collections.abc import Callable, Iterator

from processors.invoke import LambdaInvoker
from processors.iot_message import VERBATIM
from processors.redrive import Redrive, RedriveResult, oldest_arrival_ms
from processors.replay import DryRunInvoker, ReplayResult, replay
from windrow.aws.stream import StreamRecord
from windrow.lake.quarantine_search import QuarantineSearch
from windrow.period import DAY_MS
from windrow.stage import Stage

_NO_STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/none"
"""What stands for the stream's ARN where there is none: the name of each record's stream takes the place of its own."""


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


class _NoStream:
    """What is read of a stage without a stream: nothing was given up of one."""

    def shard_records_between(self, shard_id: str, *, start_ms: int, end_ms: int) -> Iterator[StreamRecord]:  # noqa: ARG002 - the protocol's arguments
        return iter(())


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
        stream=stage.stream if stage.stream_name else _NoStream(),
        stream_arn=stage.stream.summary().arn if stage.stream_name else _NO_STREAM,
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
