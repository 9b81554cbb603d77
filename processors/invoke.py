"""Invoking a function synchronously and learning what became of the records."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from windrow.aws.functions import LambdaFunction

# Enough of a function's error message to see what it is.
DETAIL_CHARACTERS_MAX = 300

_THROTTLED = {"TooManyRequestsException", "EC2ThrottledException", "ThrottlingException"}
_TOO_LARGE = {"RequestTooLargeException", "RequestEntityTooLargeException"}


class Outcome(StrEnum):
    """What became of an invocation."""

    DONE = "done"
    THROTTLED = "throttled"  # the function did not run
    TOO_LARGE = "too_large"  # the function did not run and never will with this payload
    FAILED = "failed"  # the function ran, or may have run, and did not finish


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome, for people why, and, of an invocation that is DONE, the sequence numbers it could not process."""

    outcome: Outcome
    detail: str = ""
    failed: tuple[str, ...] = ()


class Invoker(Protocol):
    """Something that hands an event to one function and waits for it. Safe to call from several threads."""

    def invoke(self, event: bytes) -> Answer:
        """Run the function with `event`; whatever goes wrong is an Answer, not an exception."""
        ...


class LambdaInvoker:
    """An Invoker of a deployed function."""

    def __init__(self, function: LambdaFunction) -> None:
        self._function = function

    def invoke(self, event: bytes) -> Answer:
        """Invoke and wait; how long is bounded by the client's read timeout."""
        try:
            returned = self._function.invoke(event)
        except ClientError as error:
            return _refused(error)
        except BotoCoreError as error:
            return Answer(Outcome.FAILED, _short(str(error)))
        if returned.is_error:
            return Answer(Outcome.FAILED, _error_message(returned.payload))
        return answer_of(_parse(returned.payload))


def batch_response(unprocessed: str | None) -> dict[str, Any]:
    """What a function answers to a batch that has to come again from the record `unprocessed`, or is done (None)."""
    return {"batchItemFailures": [] if unprocessed is None else [{"itemIdentifier": unprocessed}]}


def answer_of(response: object) -> Answer:
    """The answer behind what a function returned; FAILED when it is no batch response."""
    failures = response.get("batchItemFailures") if isinstance(response, Mapping) else None
    if not isinstance(failures, list):
        return Answer(Outcome.FAILED, "the function's answer is not a batch response")
    failed = tuple(
        str(failure.get("itemIdentifier", "")) if isinstance(failure, Mapping) else "" for failure in failures
    )
    return Answer(Outcome.DONE, failed=failed)


def _refused(error: ClientError) -> Answer:
    code = str(error.response.get("Error", {}).get("Code", ""))
    detail = _short(str(error))
    if code in _THROTTLED:
        return Answer(Outcome.THROTTLED, detail)
    if code in _TOO_LARGE:
        return Answer(Outcome.TOO_LARGE, detail)
    return Answer(Outcome.FAILED, detail)


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
