"""Synchronous invocations of a function, and what became of the records."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from windrow.aws.functions import LambdaFunction

DETAIL_CHARACTERS_MAX = 300
"""As much of a function's error message as is kept."""

_THROTTLED = {"TooManyRequestsException", "EC2ThrottledException", "ThrottlingException"}
_TOO_LARGE = {"RequestTooLargeException", "RequestEntityTooLargeException"}


class InvocationOutcome(StrEnum):
    """What became of an invocation."""

    DONE = "done"
    THROTTLED = "throttled"  # the function did not run
    TOO_LARGE = "too_large"  # the function did not run and never will with this payload
    FAILED = "failed"  # the function ran, or may have run, and did not finish


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome, a reason for people and, if the outcome is DONE, the sequence numbers that were not processed."""

    outcome: InvocationOutcome
    detail: str = ""
    failed: tuple[str, ...] = ()


class Invoker(Protocol):
    """Hands events to one function and waits for its answer. Safe to call from several threads."""

    def invoke(self, event: bytes) -> Answer:
        """Run the function with `event`; whatever goes wrong is in the Answer, not raised."""
        ...


class LambdaInvoker:
    """An Invoker of a deployed function."""

    def __init__(self, function: LambdaFunction) -> None:
        self._function = function

    def invoke(self, event: bytes) -> Answer:
        """Invoke and wait, at most for the client's read timeout."""
        try:
            returned = self._function.invoke(event)
        except ClientError as error:
            return _refused(error)
        except BotoCoreError as error:
            return Answer(InvocationOutcome.FAILED, _short(str(error)))
        if returned.is_error:
            return Answer(InvocationOutcome.FAILED, _error_message(returned.payload))
        return answer_of(_parse(returned.payload))


def batch_response(unprocessed: str | None) -> dict[str, Any]:
    """Return a function's answer to a batch: it must come again from the record `unprocessed`, or is done (None)."""
    return {"batchItemFailures": [] if unprocessed is None else [{"itemIdentifier": unprocessed}]}


def answer_of(response: object) -> Answer:
    """Return the Answer that a function's response means; FAILED if it is not a batch response."""
    failures = response.get("batchItemFailures") if isinstance(response, Mapping) else None
    if not isinstance(failures, list):
        return Answer(InvocationOutcome.FAILED, "the function's answer is not a batch response")
    failed = tuple(
        str(failure.get("itemIdentifier", "")) if isinstance(failure, Mapping) else "" for failure in failures
    )
    return Answer(InvocationOutcome.DONE, failed=failed)


def _refused(error: ClientError) -> Answer:
    code = str(error.response.get("Error", {}).get("Code", ""))
    detail = _short(str(error))
    if code in _THROTTLED:
        return Answer(InvocationOutcome.THROTTLED, detail)
    if code in _TOO_LARGE:
        return Answer(InvocationOutcome.TOO_LARGE, detail)
    return Answer(InvocationOutcome.FAILED, detail)


def _error_message(payload: bytes) -> str:
    parsed = _parse(payload)
    if isinstance(parsed, Mapping) and "errorMessage" in parsed:
        kind = f"{parsed['errorType']}: " if "errorType" in parsed else ""
        return _short(f"{kind}{parsed['errorMessage']}")
    return _short(payload[: 4 * DETAIL_CHARACTERS_MAX].decode(errors="replace"))


def _parse(payload: bytes) -> object:
    try:
        return json.loads(payload)
    except ValueError:
        return None


def _short(text: str) -> str:
    return " ".join(text.split())[:DETAIL_CHARACTERS_MAX]
