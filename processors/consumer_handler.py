"""The Lambda function of the direct consumer, and of the fan-out's processor: the same code for both."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from processors.invoke import batch_response
from processors.process import logger, metrics, process


@logger.inject_lambda_context
@metrics.log_metrics
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Process one batch, and report the record from which it must come again when time runs short.

    Bad input is quarantined; anything else that fails, fails the batch, to be retried.
    """
    return batch_response(process(event, remaining_ms=context.get_remaining_time_in_millis).unprocessed)
