"""Sending readings as objects: the transport of `Producer.to_uploads` and `Producer.to_uploads_by_token`.

An object is named after its content, and written only if the name is free. So an upload whose answer was lost is sent
again under the same name, and finds itself there.
"""

import gzip
import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from producers import blocks
from producers.sender import Wire
from producers.writer import WriterCounters
from windrow.lake.layout import UPLOADS
from windrow.reading import READINGS_PER_RECORD_MAX, Readings
from windrow.wire.json.encode import encode_readings

OBJECT_READINGS_MAX = READINGS_PER_RECORD_MAX
"""Readings in one object: as many as a block holds, and far less than the stage reads of one."""
_DIGEST_CHARACTERS = 32


class UploadTarget(Protocol):
    """A bucket that takes objects: `windrow.aws.uploads.UploadClient`, or `windrow.lake.gateway_api.GatewayApi`."""

    def put_once(self, key: str, body: bytes, *, content_type: str) -> str | None:
        """Store an object and return its version; None if the key is taken. WindrowError if neither is known."""
        ...


@dataclass(frozen=True, slots=True)
class OutgoingObject:
    """An object to store, and how many readings are in it."""

    key: str
    body: bytes
    content_type: str
    readings: int


class Uploader:
    """Makes objects of readings, and stores them. Not thread-safe.

    `flush` returns once everything ever taken is stored; `send` and `flush` raise WindrowError when the bucket refuses,
    and what they took stays with the uploader. name: of the gateway, a part of each key.
    """

    def __init__(
        self,
        target: UploadTarget,
        *,
        name: str,
        wire: Wire = Wire.JSON,
        object_readings_max: int = OBJECT_READINGS_MAX,
    ) -> None:
        """Begin with nothing to send."""
        self._target = target
        self._prefix = f"{UPLOADS}{name}/"
        self._encode: Callable[[str, Readings], OutgoingObject] = _lines if wire is Wire.JSON else _block
        self._object_readings_max = object_readings_max
        self._waiting: list[Readings] = []
        self._objects: deque[OutgoingObject] = deque()
        self._counters = WriterCounters()

    @property
    def counters(self) -> WriterCounters:
        """Return the counts: an object is a record; one that was there already is ambiguous, as sent twice."""
        return self._counters

    def send(self, readings: Readings) -> None:
        """Take readings; store objects once they are full."""
        self._waiting.append(readings)
        if sum(map(len, self._waiting)) >= self._object_readings_max:
            self.flush()

    def flush(self) -> None:
        """Store everything ever taken."""
        self._cut()
        while self._objects:
            one = self._objects[0]
            self._count(requests=1)
            version = self._target.put_once(one.key, one.body, content_type=one.content_type)
            self._objects.popleft()
            self._count(records=1, readings=one.readings, bytes_sent=len(one.body), ambiguous=0 if version else 1)

    def discard(self) -> int:
        """Forget what is not known to be stored; return how many readings that is."""
        count = sum(map(len, self._waiting)) + sum(one.readings for one in self._objects)
        self._waiting.clear()
        self._objects.clear()
        return count

    def _cut(self) -> None:
        """Make objects of what waits, in order, each of at most so many readings."""
        if not self._waiting:
            return
        readings = Readings.concat(self._waiting)
        for start in range(0, len(readings), self._object_readings_max):
            part = readings.take(np.arange(start, min(start + self._object_readings_max, len(readings))))
            self._objects.append(self._encode(self._prefix, part))
        self._waiting.clear()

    def _count(
        self, *, requests: int = 0, records: int = 0, readings: int = 0, bytes_sent: int = 0, ambiguous: int = 0
    ) -> None:
        before = self._counters
        self._counters = replace(
            before,
            requests=before.requests + requests,
            records=before.records + records,
            readings=before.readings + readings,
            bytes=before.bytes + bytes_sent,
            ambiguous=before.ambiguous + ambiguous,
        )


def _lines(prefix: str, readings: Readings) -> OutgoingObject:
    body = gzip.compress(b"\n".join(encode_readings(readings)), mtime=0)  # no time: the same readings, the same name
    return _named(prefix, body, ending=".jsonl.gz", content_type="application/x-ndjson", readings=len(readings))


def _block(prefix: str, readings: Readings) -> OutgoingObject:
    content_type = "application/vnd.apache.arrow.stream"
    return _named(prefix, blocks.encode(readings), ending=".arrow", content_type=content_type, readings=len(readings))


def _named(prefix: str, body: bytes, *, ending: str, content_type: str, readings: int) -> OutgoingObject:
    digest = hashlib.sha256(body).hexdigest()[:_DIGEST_CHARACTERS]
    return OutgoingObject(f"{prefix}{digest}{ending}", body, content_type, readings)
