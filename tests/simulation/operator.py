"""What an operator does: `windrow replay` and `windrow redrive`, by the product's own code, as a part of a task."""

from typing import TYPE_CHECKING

from processors.invoke import LambdaInvoker
from processors.redrive import Redrive, RedriveResult, oldest_arrival_ms
from processors.replay import ReplayResult, replay
from tests.simulation.gateway import PLACE
from tests.simulation.process import Process
from tests.simulation.simulated_kinesis import SimulatedKinesis
from tests.simulation.simulated_mapping import ON_FAILURE
from windrow.aws.functions import LambdaFunction
from windrow.aws.kinesis import KinesisStream
from windrow.lake.quarantine_search import QuarantineSearch

if TYPE_CHECKING:
    from tests.simulation.world import World

PARTIALS_RETENTION_MS = 30 * 24 * 3_600_000


def replay_now(world: "World", start_ms: int = 0, end_ms: int | None = None) -> ReplayResult:
    """The records that arrived in the range, all by default, once more to the consumer."""
    process = Process(world.time, "operator")
    replayed = replay(
        _stream(world, process).records_between(start_ms, world.now_ms if end_ms is None else end_ms),
        stream_arn=world.stream.arn,
        invoker=LambdaInvoker(LambdaFunction(world.functions(process), world.consumer.name)),
        sleep=process.sleep_seconds,
    )
    world.timeline.add("operator", "R", f"replayed {replayed.records} records, {len(replayed.failed)} failed")
    return replayed


def redrive_now(world: "World", *, of_quarantine: bool = False) -> RedriveResult:
    """Every batch in the on-failure bucket, and perhaps every payload in quarantine, once more to the consumer."""
    process = Process(world.time, "operator")
    redrive = Redrive(
        lake=world.store(process, "lake"),
        failures=world.store(process, ON_FAILURE),
        stream=_stream(world, process),
        stream_arn=world.stream.arn,
        oldest_arrival_ms=oldest_arrival_ms(
            now_ms=world.now_ms, horizon_ms=world.horizon_ms, partials_retention_ms=PARTIALS_RETENTION_MS
        ),
    )
    redriven = redrive.run(
        QuarantineSearch(start_ms=0, end_ms=world.now_ms + 1),
        of_quarantine=of_quarantine,
        of_failures=True,
        invoker=LambdaInvoker(LambdaFunction(world.functions(process), world.consumer.name)),
        sleep=process.sleep_seconds,
    )
    failed = len(redriven.delivered.failed)
    world.timeline.add("operator", "V", f"redrove {redriven.delivered.records} records, {failed} failed")
    return redriven


def _stream(world: "World", process: Process) -> KinesisStream:
    kinesis = SimulatedKinesis(world.stream, process, world.chance)
    return KinesisStream(kinesis, name=world.stream.name, place=PLACE, sleep=process.sleep_seconds)
