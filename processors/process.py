"""Processing an event in this process: with the stage's lake, horizon and clock, seen from outside by log and metrics.

The direct consumer, the fan-out's processor and the fan-out function itself, for a throttled chunk, all run this.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from processors.consumer import Consumed, Mapper, consume
from processors.event import decode_event
from windrow.aws import Place, client
from windrow.s3 import S3Store
from windrow.settings import Settings
from windrow.store import ObjectStore

# A batch writes an object for each window it touches: one or two as a rule, thousands when a fleet catches up.
PUTS_PARALLEL_MAX = 16
_MS_PER_HOUR = 3_600_000

logger = Logger()
metrics = Metrics()


@dataclass(frozen=True, slots=True)
class _Stage:
    lake: ObjectStore
    horizon_ms: int
    run: Mapper


def process(event: object) -> Consumed:
    """Consume the records of a parsed Kinesis event and report it; what S3 raises is raised."""
    stage = _stage()
    now_ms = time.time_ns() // 1_000_000
    consumed = consume(decode_event(event), store=stage.lake, now_ms=now_ms, horizon_ms=stage.horizon_ms, run=stage.run)
    _report(consumed, now_ms=now_ms)
    return consumed


@cache
def _stage() -> _Stage:
    settings = Settings.from_environment(os.environ)
    lake = S3Store(client("s3", Place.of_function(os.environ)), settings.lake_bucket)
    run = ThreadPoolExecutor(PUTS_PARALLEL_MAX, thread_name_prefix="put").map
    return _Stage(lake, settings.lateness_horizon_hours * _MS_PER_HOUR, run)


def _report(consumed: Consumed, *, now_ms: int) -> None:
    """Counts, never payloads: an id or a value in a log would outlive its partial."""
    plan = consumed.plan
    quarantined = sum(plan.quarantined.values())
    counts = {
        "Batches": 1,
        "Records": plan.records,
        "Readings": plan.readings,
        "Duplicates": plan.duplicates,
        "Late": plan.late,
        "Quarantined": quarantined,
        "Partials": plan.partials,
        "ObjectsNew": consumed.objects_new,
    }
    for name, count in counts.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=count)
    metrics.add_metric(name="PayloadBytes", unit=MetricUnit.Bytes, value=plan.payload_bytes)
    metrics.add_metric(name="LakeBytes", unit=MetricUnit.Bytes, value=consumed.bytes_new)
    if plan.oldest_event_ms is not None:
        age_ms = now_ms - plan.oldest_event_ms
        metrics.add_metric(name="OldestEventAge", unit=MetricUnit.Milliseconds, value=age_ms)
    for reason, count in sorted(plan.quarantined.items()):
        with single_metric(name="QuarantinedByReason", unit=MetricUnit.Count, value=count) as metric:
            metric.add_dimension(name="reason", value=reason)
    said: dict[str, object] = {name.lower(): count for name, count in counts.items()}
    said["origins"] = [str(origin) for origin in plan.origins]
    said["quarantined_by_reason"] = dict(sorted(plan.quarantined.items()))
    logger.info("consumed", extra=said)
