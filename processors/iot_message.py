"""Messages of devices that a rule of AWS IoT Core could not hand to the stream, in the on-failure bucket.

The rule's error action writes one object a message: iot/yyyy/mm/dd/<epoch ms>-<UUID>. It holds the message as it was
published, its topic and what was wrong. From these the record is made that the stream would have got.

Shape: https://docs.aws.amazon.com/iot/latest/developerguide/rule-error-handling.html
SQL: https://docs.aws.amazon.com/iot/latest/developerguide/iot-sql-functions.html
"""

import base64
import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from processors.event import ARRIVAL_MS_MAX, Record
from processors.on_failure import UnreadableFailure
from windrow.lake.layout import IOT_MESSAGES
from windrow.wire.kpl import OUTER_PARTITION_KEY

SHARD = "shardId-999999999999"
"""The shard of these records: they were never in one, and no stream has so many."""
VERBATIM = "*"
"""The template's default of IotSelect: the message as it is."""
_KEY = re.compile(
    rf"{IOT_MESSAGES}\d{{4}}/\d{{2}}/\d{{2}}/(?P<ms>\d{{1,15}})-(?P<id>[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})"
)
_ADDED = re.compile(r"(?P<function>topic|timestamp|clientid)\((?P<level>[1-8]?)\) AS (?P<name>[a-z][a-z0-9_]{0,29})")
_UUID_BITS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class IotMessage:
    """A message that was put aside; `time_ms` is when, in epoch milliseconds, and `why` the first failure's text."""

    topic: str
    client_id: str
    time_ms: int
    number: int
    payload: bytes
    why: str

    def record(self, select: str, stream_arn: str) -> Record:
        """Return the record that the rule would have sent, with `select` as the template's IotSelect.

        The same object gives the same record, so redriving it twice changes nothing. UnreadableFailure if `select`
        adds fields and the message is no JSON object.
        """
        return Record(
            stream_arn=stream_arn,
            shard=SHARD,
            sequence_number=str(self.number),
            arrival_ms=self.time_ms,
            partition_key=OUTER_PARTITION_KEY,
            payload=self.payload if select == VERBATIM else self._with_fields(select),
        )

    def _with_fields(self, select: str) -> bytes:
        try:
            found = json.loads(self.payload)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise UnreadableFailure(f"IotSelect={select!r} adds fields, and the message is no JSON object")
        return json.dumps(found | dict(self._fields(select)), separators=(",", ":"), ensure_ascii=False).encode()

    def _fields(self, select: str) -> Iterator[tuple[str, str | int]]:
        """Yield the fields that the rule adds; a level that the topic does not have is none."""
        levels = self.topic.split("/")
        for item in select.split(", ")[1:]:
            match = _ADDED.fullmatch(item)
            if match is None:
                raise UnreadableFailure(f"IotSelect has {item!r}, which cannot be made again")
            name, level = match["name"], match["level"]
            if match["function"] == "timestamp":
                yield name, self.time_ms
            elif match["function"] == "clientid":
                yield name, self.client_id
            elif not level:
                yield name, self.topic
            elif int(level) <= len(levels):
                yield name, levels[int(level) - 1]


def is_iot_key(key: str) -> bool:
    """Whether an object of the on-failure bucket is a rule's."""
    return key.startswith(IOT_MESSAGES)


def decode_iot_message(key: str, body: bytes) -> IotMessage:
    """Decode an object that the error action wrote; raises UnreadableFailure."""
    match = _KEY.fullmatch(key)
    if match is None or int(match["ms"]) > ARRIVAL_MS_MAX:
        raise UnreadableFailure("its key is not iot/yyyy/mm/dd/<epoch ms>-<UUID>")
    time_ms = int(match["ms"])
    try:
        found = json.loads(body)
        failures = found["failures"]
        return IotMessage(
            topic=str(found["topic"]),
            client_id=str(found.get("clientId", "n/a")),
            time_ms=time_ms,
            number=time_ms << _UUID_BITS | uuid.UUID(match["id"]).int,
            payload=base64.b64decode(found["base64OriginalPayload"], validate=True),
            why=str(failures[0]["errorMessage"]) if failures else "",
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UnreadableFailure(f"{type(error).__name__}: {error}") from error
