"""The Lambda function of uploads: batches of the queue, and the sweep that finds objects whose event was lost."""

import os
import time
from functools import cache
from typing import Any

from windrow.cold_start import importing

with importing():
    from aws_lambda_powertools.metrics import MetricUnit
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from processors.batch import PUTS_PARALLEL_MAX, BatchResult, logger, metrics, reader_of, report
    from processors.puts import Deadline, Puts
    from processors.upload_event import decode_messages, is_schedule
    from processors.uploads import UploadsConsumer, UploadsResult
    from windrow.stage import Stage


@cache
def _of_environment() -> tuple[UploadsConsumer, Stage]:
    """Return the consumer of the stage that this function belongs to; the same one for all of its batches."""
    stage = Stage.of_function(os.environ)
    consumer = UploadsConsumer(
        source=stage.uploads,
        lake=stage.lake,
        horizon_ms=stage.lifetimes.lateness_horizon_ms,
        puts=Puts(PUTS_PARALLEL_MAX),
        reader=reader_of(stage),
    )
    return consumer, stage


@logger.inject_lambda_context
@metrics.log_metrics
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Process a batch of messages, or sweep; return the messages that must come again.

    Bad objects are quarantined. A failure to write fails the batch, which the queue then delivers again.
    """
    consumer, stage = _of_environment()
    now_ms = time.time_ns() // 1_000_000
    deadline = Deadline(context.get_remaining_time_in_millis)
    if is_schedule(event):
        oldest_ms = now_ms - stage.lifetimes.stream_retention_ms
        lost = consumer.without_receipt(now_ms=now_ms, oldest_ms=oldest_ms)
        result = consumer.process(lost, deadline=deadline, now_ms=now_ms)
        _report(result, lost=len(lost), now_ms=now_ms)
        return {"lost": len(lost), "left": len(result.unprocessed) + len(result.unreadable)}
    messages = decode_messages(event, bucket=stage.uploads_bucket)
    result = consumer.process((one.ref for one in messages if one.ref), deadline=deadline, now_ms=now_ms)
    _report(result, lost=0, now_ms=now_ms)
    left = {None, *result.unprocessed, *(ref for ref, _ in result.unreadable)}
    return {"batchItemFailures": [{"itemIdentifier": one.message_id} for one in messages if one.ref in left]}


def _report(result: UploadsResult, *, lost: int, now_ms: int) -> None:
    """Report counts, as for batches of the stream, and objects beside that; never keys, which uploaders choose."""
    refused = sum(1 for receipt in result.receipts if receipt.refusal)
    counts = {
        "Uploads": len(result.receipts),
        "UploadsRefused": refused,
        "UploadsMissing": len(result.missing),
        "UploadsUnreadable": len(result.unreadable),
        "UploadsLost": lost,
    }
    for name, count in counts.items():
        if count or name == "Uploads":
            metrics.add_metric(name=name, unit=MetricUnit.Count, value=count)
    fields = {name.lower(): count for name, count in counts.items()} | {"unprocessed": len(result.unprocessed)}
    logger.info("uploads", extra=fields)
    for _, error in result.unreadable:
        logger.warning("unreadable upload", extra={"error": str(error)})
    report(BatchResult(written=result.written), now_ms=now_ms)
