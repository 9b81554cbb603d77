"""Processing an event in this process: with the stage's lake, horizon and clock, seen from outside by log and metrics.

The direct consumer, the fan-out's processor and the fan-out function itself, for a throttled chunk, all run this. It
goes slice by slice and stops while there is time to say so: what is written counts, the rest is delivered again.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from processors.consumer import Consumed, act, plan
from processors.deadline import Deadline
from processors.event import MalformedRecord, Record, decode_event
from processors.puts import OutOfTime, Puts
from processors.slices import slices
from windrow.lake.store import ObjectStore
from windrow.reading import Reason
from windrow.stage import Stage

# A batch writes an object for each window it touches: one or two as a rule, thousands when a fleet catches up.
PUTS_PARALLEL_MAX = 16

logger = Logger()
metrics = Metrics()


@dataclass(frozen=True, slots=True)
class _Sink:
    lake: ObjectStore
    horizon_ms: int
    puts: Puts


@dataclass(slots=True)
class Processed:
    """What became of a batch.

    consumed: what each slice came to; unprocessed: the number of the record from which the batch has to be delivered
    again, None when it is done; stage_ms: milliseconds in decoding, planning and putting.
    """

    consumed: list[Consumed] = field(default_factory=list)
    unprocessed: str | None = None
    stage_ms: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time within to that of `stage`."""
        began_ns = time.monotonic_ns()
        try:
            yield
        finally:
            self.stage_ms[stage] += (time.monotonic_ns() - began_ns) // 1_000_000


def process(event: object, *, remaining_ms: Callable[[], int]) -> Processed:
    """Consume the records of a parsed Kinesis event and report it; what S3 raises is raised.

    `remaining_ms` says how long the function may still run.
    """
    now_ms = time.time_ns() // 1_000_000
    processed = Processed()
    with processed.timed("Decode"):
        records = decode_event(event)
    _process_slices(records, processed, sink=_sink(), deadline=Deadline(remaining_ms), now_ms=now_ms)
    _report(processed, now_ms=now_ms)
    return processed


def _process_slices(
    records: Sequence[Record | MalformedRecord], processed: Processed, *, sink: _Sink, deadline: Deadline, now_ms: int
) -> None:
    """Slice by slice, until one would take longer than there is time, judged by the longest so far."""
    longest_ms = 0
    for one in slices(records):
        before_ms = deadline.left_ms()
        if processed.consumed and longest_ms >= before_ms:
            processed.unprocessed = one[0].sequence_number
            return
        try:
            with processed.timed("Plan"):
                planned = plan(one, now_ms=now_ms, horizon_ms=sink.horizon_ms)
            with processed.timed("Put"):
                processed.consumed.append(act(planned, store=sink.lake, run=sink.puts.until(deadline)))
        except OutOfTime:
            processed.unprocessed = one[0].sequence_number
            return
        longest_ms = max(longest_ms, before_ms - deadline.left_ms())


@cache
def _sink() -> _Sink:
    stage = Stage.of_function(os.environ)
    return _Sink(stage.lake, stage.lifetimes.lateness_horizon_ms, Puts(PUTS_PARALLEL_MAX))


def _report(processed: Processed, *, now_ms: int) -> None:
    """Counts, never payloads: an id or a value in a log would outlive its partial."""
    plans = [consumed.plan for consumed in processed.consumed]
    quarantined = sum((Counter(plan.quarantined) for plan in plans), Counter[Reason]())
    counts = {
        "Batches": 1,
        "BatchesCutShort": int(processed.unprocessed is not None),
        "Slices": len(plans),
        "Records": sum(plan.records for plan in plans),
        "Readings": sum(plan.readings for plan in plans),
        "Duplicates": sum(plan.duplicates for plan in plans),
        "Late": sum(plan.late for plan in plans),
        "Quarantined": quarantined.total(),
        "Partials": sum(plan.partials for plan in plans),
        "ObjectsNew": sum(consumed.objects_new for consumed in processed.consumed),
    }
    for name, count in counts.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=count)
    payload_bytes = sum(plan.payload_bytes for plan in plans)
    metrics.add_metric(name="PayloadBytes", unit=MetricUnit.Bytes, value=payload_bytes)
    lake_bytes = sum(consumed.bytes_new for consumed in processed.consumed)
    metrics.add_metric(name="LakeBytes", unit=MetricUnit.Bytes, value=lake_bytes)
    for stage, took_ms in processed.stage_ms.items():
        metrics.add_metric(name=f"{stage}Time", unit=MetricUnit.Milliseconds, value=took_ms)
    oldest_event_ms = min((plan.oldest_event_ms for plan in plans if plan.oldest_event_ms is not None), default=None)
    if oldest_event_ms is not None:
        age_ms = now_ms - oldest_event_ms
        metrics.add_metric(name="OldestEventAge", unit=MetricUnit.Milliseconds, value=age_ms)
    for reason, count in sorted(quarantined.items()):
        with single_metric(name="QuarantinedByReason", unit=MetricUnit.Count, value=count) as metric:
            metric.add_dimension(name="reason", value=reason)
    said: dict[str, object] = {name.lower(): count for name, count in counts.items()}
    said["origins"] = [str(origin) for plan in plans for origin in plan.origins]
    said["quarantined_by_reason"] = dict(sorted(quarantined.items()))
    said["stage_ms"] = dict(processed.stage_ms)
    if processed.unprocessed is None:
        logger.info("consumed", extra=said)
    else:
        logger.warning("out of time", extra=said | {"unprocessed_from": processed.unprocessed})
