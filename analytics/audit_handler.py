"""The Lambda function of a stage with Audit=daily: it audits the hour of a scheduled event, and counts differences."""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from analytics.audit import Verdict
from analytics.cache import ObjectCache
from analytics.hourly_audit import HourlyAudit, audit_hour
from analytics.local import LocalEngine
from windrow.errors import WindrowError
from windrow.stage import Stage
from windrow.timestamps import parse_rfc3339_ms

RESERVE_MS = 180_000
"""Reading ends with this much of the run's time left, which is for comparing and for the report."""
CACHE_BYTES_MAX = 1024**3
"""Rows on the local disk, of 4 GB that the template gives it; the readings of the hour are there, too."""
DIFFERENCES_LOGGED_MAX = 20

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context
@metrics.log_metrics
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Audit the hour of one scheduled event, an EventBridge event with `time`; return how many windows differ."""
    try:
        scheduled_time_ms = parse_rfc3339_ms(event["time"])
    except (KeyError, TypeError, ValueError) as error:
        raise WindrowError(f"the event has no RFC 3339 `time`: {event!r:.300}") from error
    stage = Stage.of_function(os.environ)
    cache = ObjectCache(Path(tempfile.gettempdir()) / f"windrow-{stage.name}-audit", bytes_max=CACHE_BYTES_MAX)
    report = audit_hour(
        stage,
        LocalEngine(lake=stage.lake, results=stage.results, cache=cache),
        scheduled_time_ms=scheduled_time_ms,
        now_ms=time.time_ns() // 1_000_000,
        time_left=lambda: context.get_remaining_time_in_millis() > RESERVE_MS,
        clock=time.monotonic,
        sleep=time.sleep,
    )
    _log(report)
    return {"hour": str(report.hour), "different": report.different, "is_all_read": report.is_all_read}


def _log(report: HourlyAudit) -> None:
    """Log what differs, and write the metric that the alarms read, with 0 too."""
    different = [window for window in report.audited.windows if window.verdict is Verdict.DIFFERENT]
    for window in different[:DIFFERENCES_LOGGED_MAX]:
        logger.error("a window differs from the stream", extra={"window": str(window)})
    if not report.is_all_read:
        logger.warning("there was no time to read the stream to its end", extra={"hour": str(report.hour)})
    logger.info(str(report.audited), extra={"hour": str(report.hour)})
    metrics.add_metric(name="AuditDifferent", unit=MetricUnit.Count, value=report.different)
