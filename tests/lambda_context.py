"""The context that Lambda hands to a function, as far as our handlers and powertools ask it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LambdaContext:
    """An invocation of the function `windrow-test` with `remaining_ms` left."""

    remaining_ms: int = 120_000
    function_name: str = "windrow-test"
    memory_limit_in_mb: int = 1769
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:windrow-test"
    aws_request_id: str = "request"

    def get_remaining_time_in_millis(self) -> int:
        """Return what is left."""
        return self.remaining_ms
