"""The Lambda function of the fan-out: it hands chunks of a batch to the processor function and waits for them."""

import json
import os
from functools import cache
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from processors.chunk import encoded_records
from processors.fanout import FannedOut, FanOut
from processors.invoke import Invoker, LambdaInvoker, batch_response
from processors.process import logger, metrics, process
from windrow.errors import WindrowError
from windrow.settings import PROCESSOR_FUNCTION
from windrow.stage import Stage


@logger.inject_lambda_context
@metrics.log_metrics
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Process one batch, and report the lowest record that was not processed, from which it comes again."""
    remaining_ms = context.get_remaining_time_in_millis
    fan_out = FanOut(
        invoker=_processor(),
        process_here=lambda chunk: batch_response(process(json.loads(chunk), remaining_ms=remaining_ms).unprocessed),
        remaining_ms=remaining_ms,
    )
    fanned_out = fan_out.run(encoded_records(event))
    _report(fanned_out)
    return batch_response(fanned_out.lowest_failed)


@cache
def _processor() -> Invoker:
    stage = Stage.of_function(os.environ)
    if not stage.consumer_function:
        raise WindrowError(f"the environment variable {PROCESSOR_FUNCTION} is not set")
    return LambdaInvoker(stage.consumer)


def _report(fanned_out: FannedOut) -> None:
    counts = {
        "Chunks": fanned_out.chunks,
        "ChunksProcessedHere": fanned_out.processed_here,
        "ChunksFailed": len(fanned_out.failed),
    }
    for name, count in counts.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=count)
    for failed in fanned_out.failed:
        logger.error("chunk failed", sequence_number=failed.sequence_number, detail=failed.detail)
