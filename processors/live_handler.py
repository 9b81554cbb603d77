"""The Lambda function of live values: batches of messages with the newest values that consumers handed on."""

import os
from functools import cache
from typing import Any

from windrow.cold_start import importing

with importing():
    from aws_lambda_powertools import Logger, Metrics
    from aws_lambda_powertools.metrics import MetricUnit
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from processors.live_values import (
        DeadLetterQueue,
        FoldedBatch,
        LatestValuesTable,
        ValueKeeper,
        decode_messages,
    )
    from processors.puts import Deadline, Puts
    from windrow.aws.clients import Place, client
    from windrow.live.pace import Pace
    from windrow.settings import LiveSettings

WRITES_PARALLEL_MAX = 32
"""A put takes some milliseconds, most of them waiting; more threads than this wait for the processor."""

logger = Logger()
metrics = Metrics()


@cache
def _of_environment() -> ValueKeeper:
    """Return what keeps the values of the stage that this function belongs to; the same for all of its batches."""
    settings, place = LiveSettings.from_environment(os.environ), Place.of_function(os.environ)
    return ValueKeeper(
        table=LatestValuesTable(client("dynamodb", place), settings.table),
        dead_letters=DeadLetterQueue(client("sqs", place), settings.dead_letters_url),
        puts=Puts(WRITES_PARALLEL_MAX),
        pace=Pace(deadband_milli=settings.deadband_milli, interval_ms=settings.interval_seconds * 1_000),
    )


@logger.inject_lambda_context
@metrics.log_metrics
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Write the newest values of a batch of messages; return those that must come again."""
    deadline = Deadline(context.get_remaining_time_in_millis)
    batch = _of_environment().process(decode_messages(event), deadline=deadline)
    _report(batch)
    return {"batchItemFailures": [{"itemIdentifier": one} for one in batch.failed]}


def _report(batch: FoldedBatch) -> None:
    """Report counts and causes; never values."""
    counts = {
        "LiveWritten": batch.written,
        "LiveOlder": batch.older,
        "LiveNotDue": batch.not_due,
        "LiveUnreadable": len(batch.unreadable),
        "LiveMessagesFailed": len(batch.failed),
    }
    for name, count in counts.items():
        if count or name == "LiveWritten":
            metrics.add_metric(name=name, unit=MetricUnit.Count, value=count)
    logger.info("live values", extra={name.lower(): count for name, count in counts.items()} | {"series": batch.series})
    for error in sorted(batch.errors):
        logger.warning("live values were not written", extra={"error": error})
    for reason in sorted(set(batch.unreadable)):
        logger.warning("unreadable message", extra={"reason": reason})
