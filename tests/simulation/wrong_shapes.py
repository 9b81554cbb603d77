"""What boto3's `kinesis` client gives when something answers in the place of Kinesis, or Kinesis answers amiss.

Each was seen with botocore 1.43 in front of a server that answers so (tests/unit/test_kinesis_answers.py): most answers
pass its parser with whatever they hold, others end in an error of Python's own, pages in one that is named after their
HTTP status. None of them says what was stored.
"""

from collections.abc import Callable
from random import Random
from typing import Any

from botocore.exceptions import ClientError

Answers = list[dict[str, Any]]


def wrong_put_answer(answers: Answers, random: Random) -> dict[str, Any]:
    """An answer to PutRecords in the place of the one that holds `answers`; or what the client raises."""
    return random.choice(_PUT)(answers) if random.random() < 0.7 else wrong_answer(random)


def wrong_answer(random: Random) -> dict[str, Any]:
    """An answer to any other request; or what the client raises."""
    return random.choice(_ANY)()


def _with(answers: Answers, last: object) -> dict[str, Any]:
    return {"FailedRecordCount": 0, "Records": [*answers[:-1], last]}


_PUT: tuple[Callable[[Answers], dict[str, Any]], ...] = (
    lambda answers: {"Records": answers[:-1]},
    lambda answers: {"Records": answers[1:]},
    lambda answers: {"Records": [*answers, *answers]},
    lambda answers: {"Records": [*answers, {}]},
    lambda answers: _with(answers, None),
    lambda answers: _with(answers, {}),
    lambda answers: _with(answers, {"ShardId": "shardId-000000000000"}),
    lambda answers: _with(answers, {"SequenceNumber": "1"}),
    lambda answers: _with(answers, {"ShardId": "shardId-000000000000", "SequenceNumber": "first"}),
    lambda answers: _with(answers, {"ShardId": "shardId-000000000000", "SequenceNumber": 7}),
    lambda answers: _with(answers, {"ErrorCode": 500}),
    lambda answers: _with(answers, {"ErrorCode": {"Code": "InternalFailure"}}),
)


def _raising(error: Callable[[], Exception]) -> Callable[[], dict[str, Any]]:
    def answer() -> dict[str, Any]:
        raise error()

    return answer


def _page(status: int) -> ClientError:
    details = {"Code": str(status), "Message": "<html>Please sign in</html>"}
    return ClientError({"Error": details, "ResponseMetadata": {"HTTPStatusCode": status}}, "Kinesis")  # type: ignore[typeddict-item]


_ANY: tuple[Callable[[], dict[str, Any]], ...] = (
    dict,
    lambda: {"message": "<html>"},
    lambda: {"Records": "none", "Shards": None, "ShardIterator": 5},
    _raising(lambda: AttributeError("'list' object has no attribute 'get'")),
    _raising(lambda: TypeError("'int' object is not iterable")),
    _raising(lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")),
    _raising(lambda: RecursionError("maximum recursion depth exceeded")),
    *[_raising(lambda status=status: _page(status)) for status in (302, 400, 403, 404, 429, 511)],  # type: ignore[misc]
)
