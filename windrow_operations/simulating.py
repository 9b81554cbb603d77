"""Sending the readings of a simulated fleet to a stage."""

from collections.abc import Callable
from dataclasses import dataclass

from producers import simulation
from producers.fleet import FleetSpec
from producers.realtime import Pacer
from producers.sender import Wire
from producers.shard_queue import SHARD_RATE_LIMIT
from producers.shards import ShardMap
from producers.simulation import RunProgress, RunReport
from producers.termination import Termination
from producers.writer import RecordStream, Writer
from windrow.errors import UsageError
from windrow.period import HOUR_MS
from windrow.stage import Stage
from windrow.timestamps import format_rfc3339
from windrow_operations.forms import reads_default_form

# The readings must still be within the lateness horizon when the last of them arrives.
SENDING_MS_MAX = HOUR_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingOptions:
    """In which form, in real time or as fast as the stream takes it, and whether at all."""

    wire: Wire = Wire.JSON
    is_realtime: bool = False
    is_dry_run: bool = False


def check_horizon(spec: FleetSpec, *, now_ms: int, horizon_ms: int) -> None:
    """Raise UsageError for a fleet whose first readings would be quarantined as too late."""
    first_ms = now_ms - horizon_ms + SENDING_MS_MAX
    if spec.start_ms < first_ms:
        hours = horizon_ms // HOUR_MS
        raise UsageError(
            f"the range begins at {format_rfc3339(spec.start_ms)}: its readings would be quarantined as too late",
            hint=f"the stage takes readings of the last {hours} h: begin at {format_rfc3339(first_ms)}",
        )


def simulate_fleet(
    spec: FleetSpec,
    stage: Stage,
    *,
    now_ms: int,
    options: SendingOptions | None = None,
    on_progress: Callable[[RunProgress], None] = lambda _: None,
) -> RunReport:
    """Send what the fleet delivers; `now_ms` names the run. SIGTERM sends what is buffered, then ends the process."""
    options = options or SendingOptions()
    if options.wire is Wire.JSON and not options.is_dry_run and not reads_default_form(stage):
        message = f"stage {stage.name!r} reads other payloads than the simulated ones by its contract"
        raise UsageError(message, hint="--wire blocks: blocks are read under any contract")
    stream = stage.stream
    shards = stream.list_shards()
    run_id = simulation.run_id_of(spec, started_ms=now_ms)
    pacer = Pacer() if options.is_realtime else None
    of_run = simulation.RunOptions(wire=options.wire, list_shards=stream.list_shards, pacer=pacer)
    termination = Termination()
    termination.begin()
    try:
        if options.is_dry_run:
            nowhere = simulation.DryRunStream(stream.name)
            return simulation.send(
                spec,
                run_id=run_id,
                stream=nowhere,
                shard_map=ShardMap(shards),
                writer=writer_to(nowhere, is_limited=False),
                options=of_run,
                progress=on_progress,
            )
        return simulation.run(
            spec,
            run_id=run_id,
            stream=stream,
            shards=shards,
            store=stage.lake,
            writer=writer_to(stream, is_limited=not stream.is_stand_in),
            options=of_run,
            progress=on_progress,
        )
    finally:
        termination.end()


def writer_to(stream: RecordStream, *, is_limited: bool) -> Writer:
    """Return a writer within the rate limits of AWS's shards, or without any for a stand-in, which has none."""
    return Writer(stream, rate_limit=SHARD_RATE_LIMIT if is_limited else None)
