"""The Lambda function of the fan-out, which hands chunks of a batch to the processor function and waits for them."""

import json
import os
from functools import cache
from typing import Any

from windrow.cold_start import importing

with importing():
    from aws_lambda_powertools.metrics import MetricUnit
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from processors.batch import logger, metrics, process_batch
    from processors.chunk import encoded_records
    from processors.fanout import FanOut, FanOutResult
    from processors.invoke import Invoker, LambdaInvoker, batch_response
    from windrow.errors import WindrowError
    from windrow.settings import PROCESSOR_FUNCTION
    from windrow.stage import Stage


@logger.inject_lambda_context
@metrics.log_metrics
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Process one batch, and return the first record that was not processed; the mapping delivers again from there."""
    remaining_ms = context.get_remaining_time_in_millis
    fan_out = FanOut(
        invoker=_processor(),
        process_here=lambda chunk: batch_response(
            process_batch(json.loads(chunk), remaining_ms=remaining_ms).unprocessed
        ),
        remaining_ms=remaining_ms,
    )
    result = fan_out.run(encoded_records(event))
    _report(result)
    return batch_response(result.lowest_failed)


@cache
def _processor() -> Invoker:
    stage = Stage.of_function(os.environ)
    if not stage.consumer_function:
        raise WindrowError(f"the environment variable {PROCESSOR_FUNCTION} is not set")
    return LambdaInvoker(stage.consumer)


def _report(result: FanOutResult) -> None:
    counts = {
        "Chunks": result.chunks,
        "ChunksProcessedHere": result.processed_here,
        "ChunksFailed": len(result.failed),
    }
    for name, count in counts.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=count)
    for failed in result.failed:
        logger.error("chunk failed", sequence_number=failed.sequence_number, detail=failed.detail)
