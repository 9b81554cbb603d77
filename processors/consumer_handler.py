"""The Lambda function of the direct consumer, and of the fan-out's processor: the same code for both."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from processors.process import logger, metrics, process


@logger.inject_lambda_context
@metrics.log_metrics
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Process one batch whole. Bad input is quarantined; anything else that fails, fails the batch, to be retried."""
    process(event)
    return {"batchItemFailures": []}
