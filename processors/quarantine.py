"""Quarantine: what does not count is kept, with its reason, its origin and its bytes, where Athena can ask for it.

An object holds one JSON object per line, compressed; its columns are those of the table `quarantine`. The same batch
again finds its object there; the same records in batches cut otherwise leave the payload in another object once more,
so whoever counts payloads counts distinct (stream, shard, sequence_number, index).
"""

import base64
import gzip
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from processors.event import MalformedRecord, Record
from windrow.reading import Reason
from windrow.timestamps import format_sql
from windrow.window import Window

DIGEST_BYTES = 16
# Payloads are small and alike; the level that zlib itself takes for a fair bargain.
_GZIP_LEVEL = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """One payload that does not count.

    `index` is its position in the aggregate, 0 for a plain record or a record as a whole; `arrival_ms` is None when
    a malformed record names none.
    """

    reason: Reason
    detail: str
    stream: str
    shard: str
    sequence_number: str
    index: int
    arrival_ms: int | None
    payload: bytes


@dataclass(frozen=True, slots=True)
class QuarantineFile:
    """The payloads that arrived in one window, as bytes; equal payloads give equal bytes and an equal digest."""

    arrival_window: Window
    count: int
    digest: str
    body: bytes


def quarantine_record(record: Record, *, reason: Reason, detail: str) -> Quarantined:
    """All of `record`."""
    return quarantine_payload(record, index=0, payload=record.payload, reason=reason, detail=detail)


def quarantine_payload(record: Record, *, index: int, payload: bytes, reason: Reason, detail: str) -> Quarantined:
    """The `payload` that `record` carries at `index`."""
    return Quarantined(
        reason=reason,
        detail=detail,
        stream=record.stream,
        shard=record.shard,
        sequence_number=record.sequence_number,
        index=index,
        arrival_ms=record.arrival_ms,
        payload=payload,
    )


def quarantine_malformed(record: MalformedRecord) -> Quarantined:
    """A record that could not be read: its payload is the JSON that the event held."""
    return Quarantined(
        reason=Reason.RECORD_MALFORMED,
        detail=record.detail,
        stream=record.stream,
        shard=record.shard,
        sequence_number=record.sequence_number,
        index=0,
        arrival_ms=record.arrival_ms,
        payload=record.original,
    )


def encode_quarantine(quarantined: Iterable[Quarantined], *, arrival_ms_default: int) -> list[QuarantineFile]:
    """One file per arrival window, ascending, each in stream order.

    `arrival_ms_default` decides the window, and only that, of a payload whose arrival is unknown.
    """
    by_window: defaultdict[Window, list[Quarantined]] = defaultdict(list)
    for one in sorted(quarantined, key=lambda one: (int(one.sequence_number), one.index)):
        arrival_ms = arrival_ms_default if one.arrival_ms is None else one.arrival_ms
        by_window[Window.containing(arrival_ms)].append(one)
    return [_file(window, by_window[window]) for window in sorted(by_window)]


def _file(window: Window, quarantined: list[Quarantined]) -> QuarantineFile:
    lines = "".join(f"{_line(one)}\n" for one in quarantined).encode("ascii")
    # Taken over the lines, so that the name does not depend on the version of zlib.
    digest = hashlib.blake2b(lines, digest_size=DIGEST_BYTES).hexdigest()
    body = gzip.compress(lines, compresslevel=_GZIP_LEVEL, mtime=0)
    return QuarantineFile(window, len(quarantined), digest, body)


def _line(one: Quarantined) -> str:
    row = {
        "reason": one.reason,
        "detail": one.detail,
        "stream": one.stream,
        "shard": one.shard,
        "sequence_number": one.sequence_number,
        "index": one.index,
        "arrival_time": None if one.arrival_ms is None else format_sql(one.arrival_ms),
        "payload_base64": base64.b64encode(one.payload).decode("ascii"),
    }
    return json.dumps(row, separators=(",", ":"))
