"""Keeping the newest value of each series in a table: messages are folded, then each series is put, if it is newer.

The table's condition decides what is newer, so messages may come more than once and in any order. What is remembered of
earlier puts only saves some; another process remembers others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from processors.puts import Deadline, OutOfTime, Puts
from windrow.aws.clients import one_line
from windrow.live.columns import decode_message, newest, values_of
from windrow.live.newest import NewestValue, put_if_newer
from windrow.live.pace import Pace
from windrow.reading import Readings

REMEMBERED_SERIES_MAX = 200_000
"""Series of which the last put is remembered, 100 MB; with more, all are forgotten, and written once more."""
REASON_CHARACTERS_MAX = 256
WRITES_SHARE = 0.75
"""Of the time that is left. Threads that put keep the processor busy, and who is killed remembers nothing."""
_NOT_NEWER = "ConditionalCheckFailedException"


class LatestValues(Protocol):
    """The table of latest values."""

    def put(self, value: NewestValue) -> bool:
        """Put a value unless one as new is there; whether it was put. Raises what DynamoDB does."""


class DeadLetters(Protocol):
    """Where messages go that nobody will ever read."""

    def send(self, text: str, *, reason: str) -> None:
        """Send a message with the reason. Raises what SQS does."""


class LatestValuesTable:
    """LatestValues in DynamoDB. Its client repeats what was throttled, up to four times in all."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def put(self, value: NewestValue) -> bool:
        """Put a value with one request."""
        try:
            self._client.put_item(TableName=self._name, **put_if_newer(value))
        except ClientError as error:
            if error.response["Error"]["Code"] == _NOT_NEWER:
                return False
            raise
        return True


class DeadLetterQueue:
    """DeadLetters in SQS; the reason is an attribute of the message."""

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url

    def send(self, text: str, *, reason: str) -> None:
        """Send one message."""
        attributes = {"reason": {"DataType": "String", "StringValue": reason}}
        self._client.send_message(QueueUrl=self._url, MessageBody=text, MessageAttributes=attributes)


@dataclass(frozen=True, slots=True)
class LiveMessage:
    """A message of the queue, by its id."""

    message_id: str
    text: str


@dataclass(slots=True, kw_only=True)
class FoldedBatch:
    """What became of a batch of messages.

    series: distinct ones. not_due: those that were left out by the pace. written: those that were put; older: those of
    which a value as new was there. unreadable: why messages went to the dead letters. failed: ids of the messages that
    must come again; errors: why.
    """

    series: int = 0
    not_due: int = 0
    written: int = 0
    older: int = 0
    unreadable: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    errors: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueKeeper:
    """What the function keeps from one batch to the next; `remembered` is the last value known to be in the table."""

    table: LatestValues
    dead_letters: DeadLetters
    puts: Puts
    pace: Pace
    remembered: dict[tuple[str, str], NewestValue] = field(default_factory=dict)

    def process(self, messages: Sequence[LiveMessage], *, deadline: Deadline) -> FoldedBatch:
        """Put the newest value of each series in `messages`; what is not put in time makes its messages come again."""
        batch = FoldedBatch()
        read = self._read(messages, batch)
        values = list(values_of(newest([readings for _, readings in read])))
        due = [value for value in values if self.pace.is_due(value, self.remembered.get(value.key))]
        batch.series, batch.not_due = len(values), len(values) - len(due)
        failed = self._put(due, batch, deadline=deadline)
        if failed:
            batch.failed += [one.message_id for one, readings in read if not failed.isdisjoint(_keys_of(readings))]
        return batch

    def _read(self, messages: Sequence[LiveMessage], batch: FoldedBatch) -> list[tuple[LiveMessage, Readings]]:
        """Return the messages with their readings; those that are none go to the dead letters, or come again."""
        read = []
        for message in messages:
            try:
                read.append((message, decode_message(message.text)))
            except ValueError as error:
                reason = one_line(error)[:REASON_CHARACTERS_MAX]
                try:
                    self.dead_letters.send(message.text, reason=reason)
                except (BotoCoreError, ClientError) as not_sent:
                    batch.failed.append(message.message_id)
                    batch.errors.add(_told(not_sent))
                else:
                    batch.unreadable.append(reason)
        return read

    def _put(
        self, values: Sequence[NewestValue], batch: FoldedBatch, *, deadline: Deadline
    ) -> frozenset[tuple[str, str]]:
        """Put values in parallel, and return the keys of those that were not."""
        answers: dict[int, bool | str] = {}

        def put(place: int) -> None:
            try:
                answers[place] = self.table.put(values[place])
            except (BotoCoreError, ClientError) as error:
                answers[place] = _told(error)

        try:
            self.puts.until(deadline, share=WRITES_SHARE)(put, range(len(values)))
        except OutOfTime as error:
            batch.errors.add(f"out of time: {error}")
        if len(self.remembered) + len(values) > REMEMBERED_SERIES_MAX:
            self.remembered.clear()
        failed = set()
        for place, value in enumerate(values):
            answer = answers.get(place)
            if isinstance(answer, bool):
                batch.written += answer
                batch.older += not answer
                self.remembered[value.key] = value
            else:
                failed.add(value.key)
                batch.errors |= {answer} if answer else set()
        return frozenset(failed)


def decode_messages(event: Any) -> list[LiveMessage]:
    """Return the messages of an event of the queue."""
    return [LiveMessage(str(record["messageId"]), str(record["body"])) for record in event["Records"]]


def _keys_of(readings: Readings) -> set[tuple[str, str]]:
    return {value.key for value in values_of(readings)}


def _told(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}")
