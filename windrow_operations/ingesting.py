"""Sending the readings of a recording to a stage, or writing them to its lake as a backfill."""

from collections.abc import Callable
from dataclasses import dataclass

from producers.backfill import BackfillPlan, plan_backfill, write_backfill
from producers.recording import Recording
from producers.sender import Sender, Wire
from producers.shards import ShardMap
from producers.simulation import DryRunStream
from producers.survey import Survey, shift_times, survey_arrivals, survey_rows
from producers.termination import Termination
from producers.writer import WriterCounters
from windrow.aws.clients import readable_errors
from windrow.reading import EARLINESS_MS_MAX
from windrow.stage import Stage
from windrow_operations.simulating import writer_to


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRecording:
    """What was sent, and for each shard the highest sequence number it gave; none in a dry run."""

    counters: WriterCounters
    last_sequence_numbers: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """What a backfill does, and how many partials it wrote that were not there."""

    plan: BackfillPlan
    partials_new: int


def survey_recording(
    recording: Recording, stage: Stage, *, shift_of: Callable[[Survey], int], now_ms: int
) -> tuple[Survey, int]:
    """Look the recording through; returns what is in it, and by how many ms its times are moved (`shift_of`)."""
    extent = survey_rows(recording.batches())
    shift_ms = shift_of(extent)
    horizon_ms = stage.lifetimes.lateness_horizon_ms
    survey = survey_arrivals(extent, recording.batches(), shift_ms=shift_ms, now_ms=now_ms, horizon_ms=horizon_ms)
    return survey, shift_ms


def send_recording(
    recording: Recording,
    stage: Stage,
    *,
    shift_ms: int,
    wire: Wire,
    is_dry_run: bool,
    on_progress: Callable[[int, WriterCounters], object] = lambda _done, _counters: None,
) -> SentRecording:
    """Send every reading, moved by `shift_ms`. SIGTERM or Ctrl-C sends what is buffered, then ends the process.

    `on_progress` is called with the number of readings taken, and the counters, after every batch.
    """
    stream = stage.stream
    is_limited = not (is_dry_run or stream.is_stand_in)
    writer = writer_to(DryRunStream(stream.name) if is_dry_run else stream, is_limited=is_limited)
    sender = Sender(writer, ShardMap(stream.list_shards()), wire=wire, list_shards=stream.list_shards)
    done = 0
    termination = Termination()
    termination.begin()
    try:
        for batch in recording.batches():
            if len(batch.readings):
                sender.send(shift_times(batch.readings, shift_ms))
            done += len(batch.readings)
            on_progress(done, sender.counters)
        sender.flush()
    except (KeyboardInterrupt, SystemExit):  # what was taken is sent
        sender.flush()
        raise
    finally:
        termination.end()
    last = {} if is_dry_run else sender.last_sequence_numbers
    return SentRecording(counters=sender.counters, last_sequence_numbers=last)


def backfill_recording(recording: Recording, stage: Stage, *, shift_ms: int, now_ms: int, is_dry_run: bool) -> Backfill:
    """Write partials for the windows that are not rolled yet; a dry run only plans."""
    batches = (shift_times(batch.readings, shift_ms) for batch in recording.batches() if len(batch.readings))
    known = (batch.take(batch.event_time_ms <= now_ms + EARLINESS_MS_MAX) for batch in batches)
    with readable_errors(stage.place):
        plan = plan_backfill(known, stage.results)
        new = 0 if is_dry_run else write_backfill(plan.create, stage.lake)
    return Backfill(plan=plan, partials_new=new)
