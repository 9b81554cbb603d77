"""Sending the readings of files to a stage, or writing them to its lake as a backfill."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from processors.backfill import BackfillPlan, plan_backfill, write_backfill
from producers.files.identities import Numbering
from producers.files.recording import Recording
from producers.files.survey import count_arrivals
from producers.sender import Sender, Wire
from producers.shards import ShardMap
from producers.termination import Termination
from producers.writer import WriterCounters
from windrow.aws.clients import readable_errors
from windrow.aws.many_puts import ManyPuts
from windrow.lake.s3 import S3Store
from windrow.reading import EARLINESS_MS_MAX, Readings
from windrow.stage import Stage
from windrow_operations.simulating import writer_to


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReadings:
    """The readings of some files that are sent: their times moved by `shift_ms`, numbered where they share them."""

    recordings: Sequence[Recording]
    shift_ms: int = 0
    numbering: Numbering | None = None

    def batches(self) -> Iterator[Readings]:
        """Yield all of them, in the order in which a survey has seen them."""
        position = 0
        for recording in self.recordings:
            for batch in recording.batches():
                for one in batch.found:
                    if len(one.readings):
                        yield self._as_sent(one.series, position)
                        position += len(one.readings)

    def arrivals(self, *, now_ms: int, horizon_ms: int) -> tuple[int, int]:
        """Return how many of them would be too late, and too early, if they arrived at `now_ms`."""
        counts = [
            count_arrivals(readings.event_time_ms, now_ms=now_ms, horizon_ms=horizon_ms) for readings in self.batches()
        ]
        return sum(too_late for too_late, _ in counts), sum(too_early for _, too_early in counts)

    def _as_sent(self, readings: Readings, position: int) -> Readings:
        if self.shift_ms:
            readings = replace(readings, event_time_ms=readings.event_time_ms + self.shift_ms)
        if self.numbering is not None:
            readings = replace(readings, sequence=self.numbering.sequences(position, len(readings)))
        return readings


@dataclass(frozen=True, slots=True, kw_only=True)
class SentReadings:
    """What was sent, and for each shard the highest sequence number it gave."""

    counters: WriterCounters
    last_sequence_numbers: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """What a backfill does, and how many partials it wrote that were not there."""

    plan: BackfillPlan
    partials_new: int


def send_files(
    files: FileReadings,
    stage: Stage,
    *,
    wire: Wire,
    on_progress: Callable[[int, WriterCounters], object] = lambda _done, _counters: None,
) -> SentReadings:
    """Send every reading. SIGTERM or Ctrl-C sends what is buffered, then ends the process.

    `on_progress` is called with the number of readings taken, and the counters, after every batch.
    """
    stream = stage.stream
    writer = writer_to(stream, is_limited=not stream.is_stand_in)
    sender = Sender(writer, ShardMap(stream.list_shards()), wire=wire, list_shards=stream.list_shards)
    done = 0
    termination = Termination()
    termination.begin()
    try:
        for readings in files.batches():
            sender.send(readings)
            done += len(readings)
            on_progress(done, sender.counters)
        sender.flush()
    except (KeyboardInterrupt, SystemExit):  # what was taken is sent
        sender.flush()
        raise
    finally:
        termination.end()
    return SentReadings(counters=sender.counters, last_sequence_numbers=sender.last_sequence_numbers)


def backfill_files(
    files: FileReadings, stage: Stage, *, now_ms: int, on_progress: Callable[[int, int], object] = lambda _d, _t: None
) -> Backfill:
    """Write partials for the windows that are not rolled yet; `on_progress` gets how many of how many are written."""
    known = (one.take(one.event_time_ms <= now_ms + EARLINESS_MS_MAX) for one in files.batches())
    with readable_errors(stage.place), ManyPuts(stage.place, stage.lake_bucket) as many_puts:
        plan = plan_backfill(known, stage.results)
        lake = S3Store(many_puts, stage.lake_bucket)
        new = write_backfill(plan.create, lake, on_progress=on_progress)
    return Backfill(plan=plan, partials_new=new)
