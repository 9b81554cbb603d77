"""The Lambda function of the direct consumer and of the fan-out's processor."""

from typing import Any

from windrow.cold_start import importing

with importing():
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from processors.batch import logger, metrics, process_batch
    from processors.invoke import batch_response


@logger.inject_lambda_context
@metrics.log_metrics
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Process one batch; if time runs short, return the record from which it must be delivered again.

    Bad input is quarantined. Any other failure fails the batch, which Lambda then delivers again.
    """
    return batch_response(process_batch(event, remaining_ms=context.get_remaining_time_in_millis).unprocessed)
