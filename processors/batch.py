"""Processing a batch in this process, with the stage's lake, horizon and clock, and reporting it to log and metrics.

The direct consumer, the fan-out's processor and, for a throttled chunk, the fan-out function all run this. It works
slice by slice and stops while there is time to report: what is written counts, the rest is delivered again.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from processors.bookmark import BookmarkedWriter, begun_by
from processors.consumer import SLICE_READINGS_MAX, BatchPlan, WrittenPlan, act, plan, slices
from processors.event import MalformedRecord, Record
from processors.judge import PayloadReader
from processors.live_topic import LIVE_PARALLEL_MAX, HandedOn, LivePublisher, LiveTopic
from processors.puts import Deadline, OutOfTime, Puts
from processors.record_columns import records_of
from windrow.lake.store import ObjectStore
from windrow.reading import Reason
from windrow.stage import Stage

PUTS_PARALLEL_MAX = 16
"""A batch writes one object for each window it touches: usually one or two, thousands when a fleet catches up."""

COUNTED_ALWAYS = ("Readings", "Quarantined", "ObjectsNew")
"""Metrics of every batch, with 0 too: an alarm reads the first two, and to it no data is not the same as 0."""
COUNTED_IF_ANY = ("Duplicates", "Late", "LiveFailed", "LiveLeftOut")

logger = Logger()
metrics = Metrics()


@dataclass(slots=True)
class BatchResult:
    """What became of a batch.

    written: the plan of each slice, carried out. unprocessed: the sequence number of the record from which the batch
    must be delivered again; None when it is done. stage_ms: milliseconds spent in decoding, planning and putting, and
    in handing values on. handed_on: what became of the newest values; None if nobody is told of them.
    """

    written: list[WrittenPlan] = field(default_factory=list)
    unprocessed: str | None = None
    stage_ms: Counter[str] = field(default_factory=Counter)
    handed_on: HandedOn | None = None

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent in this context to that of `stage`."""
        began_ns = time.monotonic_ns()
        try:
            yield
        finally:
            self.stage_ms[stage] += (time.monotonic_ns() - began_ns) // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """What a consumer function keeps from one batch to the next: the lake, the horizon, and the threads that write.

    `reader` is that of the stage's payload contract; None reads the default form. `live` hands the newest values on, if
    the stage wants that.
    """

    lake: ObjectStore
    horizon_ms: int
    puts: Puts
    reader: PayloadReader | None = None
    slice_readings_max: int = SLICE_READINGS_MAX
    live: LivePublisher | None = None

    def hand_on(self, result: BatchResult, *, deadline: Deadline) -> None:
        """Hand on the newest values of what was written; nothing of that fails a batch, or makes it come again.

        It takes LIVE_MS_MAX at most, and none of the time that is kept for the report.
        """
        if self.live is not None:
            newest = [one.plan.newest for one in result.written if one.plan.newest is not None]
            with result.timed("Live"):
                result.handed_on = self.live.hand_on(newest, deadline=deadline)

    def process(self, event: object, *, deadline: Deadline, now_ms: int) -> BatchResult:
        """Write what the records of a parsed Kinesis event become; what S3 raises is raised.

        Stop before a slice that would take longer than there is time, judged by the longest so far.
        """
        result = BatchResult()
        with result.timed("Decode"):
            records = records_of(event)
        longest_ms = 0
        for cut in slices(records, readings_max_per_slice=self.slice_readings_max, reader=self.reader):
            rest = cut
            while rest:
                before_ms = deadline.left_ms()
                if result.written and longest_ms >= before_ms:
                    result.unprocessed = rest[0].sequence_number
                    return result
                try:
                    rest = self._write(rest, result, deadline=deadline, now_ms=now_ms)
                except OutOfTime:
                    result.unprocessed = rest[0].sequence_number
                    return result
                longest_ms = max(longest_ms, before_ms - deadline.left_ms())
        return result

    def _write(
        self, cut: Sequence[Record | MalformedRecord], result: BatchResult, *, deadline: Deadline, now_ms: int
    ) -> Sequence[Record | MalformedRecord]:
        """Write what a slice becomes, and return its records that are left: those after a shorter one, begun before.

        A slice of many objects that cannot be written in time is continued by its next delivery; see `bookmark`.
        """
        planned = self._plan(cut, result, now_ms=now_ms)
        with result.timed("Put"):
            if len(planned.writes) <= PUTS_PARALLEL_MAX:
                result.written.append(act(planned, store=self.lake, run=self.puts.until(deadline)))
                return []
            writer = BookmarkedWriter(lake=self.lake, puts=self.puts, deadline=deadline)
            bookmark = writer.open(cut[0])
        begun = begun_by(bookmark, cut)
        if begun < len(cut):
            planned = self._plan(cut[:begun], result, now_ms=now_ms)
        with result.timed("Put"):
            result.written.append(writer.write(planned, cut[:begun], bookmark))
        return cut[begun:]

    def _plan(self, cut: Sequence[Record | MalformedRecord], result: BatchResult, *, now_ms: int) -> BatchPlan:
        with result.timed("Plan"):
            return plan(
                cut,
                now_ms=now_ms,
                horizon_ms=self.horizon_ms,
                reader=self.reader,
                wants_newest=self.live is not None,
            )


@cache
def consumer_of_environment() -> Consumer:
    """Return the consumer of the stage that this function belongs to; the same one for all of its batches."""
    stage = Stage.of_function(os.environ)
    return Consumer(
        lake=stage.lake,
        horizon_ms=stage.lifetimes.lateness_horizon_ms,
        puts=Puts(PUTS_PARALLEL_MAX),
        reader=reader_of(stage),
        live=publisher_of(stage),
    )


def publisher_of(stage: Stage) -> LivePublisher | None:
    """Return what hands the newest values on; None if the stage does not want that."""
    if not stage.live_topic_arn:
        return None
    return LivePublisher(LiveTopic(stage.place, stage.live_topic_arn), Puts(LIVE_PARALLEL_MAX))


def reader_of(stage: Stage) -> PayloadReader | None:
    """Return the reader of the stage's contract, None if it has none; WindrowError if it is not in the lake."""
    if not stage.payload_contract:
        return None
    from windrow.payloads.reader import ContractReader  # noqa: PLC0415 - most stages do without a contract
    from windrow.payloads.stored import contract_of  # noqa: PLC0415

    return ContractReader(contract_of(stage.lake, stage.payload_contract))


def process_batch(event: object, *, remaining_ms: Callable[[], int], consumer: Consumer | None = None) -> BatchResult:
    """Process a parsed Kinesis event and report it; what S3 raises is raised.

    `remaining_ms` says how long the function may still run. `consumer` is that of the environment unless given.
    """
    now_ms = time.time_ns() // 1_000_000
    chosen, deadline = consumer or consumer_of_environment(), Deadline(remaining_ms)
    result = chosen.process(event, deadline=deadline, now_ms=now_ms)
    chosen.hand_on(result, deadline=deadline)
    report(result, now_ms=now_ms)
    return result


def report(result: BatchResult, *, now_ms: int) -> None:
    """Report counts, never payloads: an id or a value in a log would outlive its partial."""
    plans = [written.plan for written in result.written]
    quarantined = sum((Counter(plan.quarantined) for plan in plans), Counter[Reason]())
    counts = {
        "Batches": 1,
        "BatchesCutShort": int(result.unprocessed is not None),
        "Slices": len(plans),
        "Records": sum(plan.records for plan in plans),
        "Readings": sum(plan.readings for plan in plans),
        "Duplicates": sum(plan.duplicates for plan in plans),
        "Late": sum(plan.late for plan in plans),
        "Quarantined": quarantined.total(),
        "Partials": sum(plan.partials for plan in plans),
        "ObjectsNew": sum(written.objects_new for written in result.written),
    }
    if result.handed_on is not None:
        counts |= result.handed_on.counts
        for error in result.handed_on.errors:
            logger.warning("live values were not handed on", extra={"error": error})
    oldest_event_ms = min((plan.oldest_event_ms for plan in plans if plan.oldest_event_ms is not None), default=None)
    _measure(counts, oldest_event_age_ms=None if oldest_event_ms is None else now_ms - oldest_event_ms)
    fields: dict[str, object] = {name.lower(): count for name, count in counts.items()}
    fields["origins"] = [str(origin) for plan in plans for origin in plan.origins]
    fields["quarantined_by_reason"] = dict(sorted(quarantined.items()))
    fields["payload_bytes"] = sum(plan.payload_bytes for plan in plans)
    fields["lake_bytes"] = sum(written.bytes_new for written in result.written)
    fields["stage_ms"] = dict(result.stage_ms)
    if result.unprocessed is None:
        logger.info("consumed", extra=fields)
    else:
        logger.warning("out of time", extra=fields | {"unprocessed_from": result.unprocessed})


def _measure(counts: Mapping[str, int], *, oldest_event_age_ms: int | None) -> None:
    """Write the metrics that alarms and the dashboard show; each is paid for by the hours in which it has data."""
    for name in (*COUNTED_ALWAYS, *(name for name in COUNTED_IF_ANY if counts.get(name))):
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=counts[name])
    if oldest_event_age_ms is not None:
        metrics.add_metric(name="OldestEventAge", unit=MetricUnit.Milliseconds, value=oldest_event_age_ms)
