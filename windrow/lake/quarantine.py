"""Quarantine: every rejected payload is kept, with its reason, its origin and its bytes, and can be queried in Athena.

An object holds one JSON object per line, compressed; its columns are those of the table `quarantine`. A repeated batch
writes the same object again. The same records in other batches store their payloads once more in another object, so
count distinct identities to count payloads.
"""

import binascii
import gzip
import hashlib
import io
import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pybase64

from windrow import schemas
from windrow.reading import Reason
from windrow.timestamps import format_sql, parse_sql_ms
from windrow.window import Window

COLUMNS = schemas.QUARANTINE
# Reasons to reject a whole record: the payload is all of it. With all other reasons it is a part of a record.
WHOLE_RECORD_REASONS = frozenset(
    {
        Reason.RECORD_MALFORMED,
        Reason.AGGREGATE_DIGEST,
        Reason.AGGREGATE_MALFORMED,
        Reason.AGGREGATE_EMPTY,
        Reason.TOO_MANY_READINGS,
        Reason.RECORD_PAYLOADS,
        Reason.UPLOAD_UNREADABLE,
        Reason.UPLOAD_TOO_LARGE,
        Reason.UPLOAD_FOREIGN,
        Reason.UPLOAD_PAYLOADS,
    }
)

DIGEST_BYTES = 16
# The fastest level: there is little to compress, and a batch waits for it.
_COMPRESSION_LEVEL = 1
_GZIP = 16 + zlib.MAX_WBITS  # asks zlib for a gzip header, according to its manual; without a timestamp
_quoted = json.encoder.encode_basestring_ascii


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinedPayload:
    """One rejected payload.

    `index` is its position in the aggregate, 0 for a plain record or a whole record. `block_row`, for a single reading
    of a block, is its position in the block; its payload is then JSON with the same meaning. `arrival_ms` is None if a
    malformed record has no arrival time.
    """

    reason: Reason
    detail: str
    stream: str
    shard: str
    sequence_number: str
    index: int
    arrival_ms: int | None
    payload: bytes
    block_row: int | None = None

    @property
    def identity(self) -> tuple[str, str, str, int, int | None]:
        """The identity of the payload, which is the same in every object that repeats it."""
        return self.stream, self.shard, self.sequence_number, self.index, self.block_row

    @property
    def is_whole_record(self) -> bool:
        """Whether the payload is a whole record, not a part of one."""
        return self.reason in WHOLE_RECORD_REASONS


@dataclass(frozen=True, slots=True)
class QuarantineFile:
    """The encoded payloads that arrived in one window; equal payloads give equal bytes and an equal digest."""

    arrival_window: Window
    count: int
    digest: str
    body: bytes


class UnreadableQuarantine(ValueError):  # noqa: N818 - the domain's noun
    """Bytes that are no quarantine object."""


def encode_quarantine(quarantined: Iterable[QuarantinedPayload], *, arrival_ms_default: int) -> list[QuarantineFile]:
    """Encode payloads as one file per arrival window, ascending, each in the order of the stream.

    `arrival_ms_default` decides only the window of payloads whose arrival is unknown.
    """
    by_window: defaultdict[Window, list[QuarantinedPayload]] = defaultdict(list)
    for one in sorted(quarantined, key=_stream_order):
        arrival_ms = arrival_ms_default if one.arrival_ms is None else one.arrival_ms
        by_window[Window.containing(arrival_ms)].append(one)
    return [_file(window, by_window[window]) for window in sorted(by_window)]


def decode_quarantine(body: bytes) -> Iterator[QuarantinedPayload]:
    """Decode the payloads of a quarantine object, one at a time; raises UnreadableQuarantine."""
    try:
        with gzip.open(io.BytesIO(body)) as lines:
            for line in lines:
                yield _quarantined(json.loads(line))
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise UnreadableQuarantine(f"{type(error).__name__}: {error}") from error


def _stream_order(one: QuarantinedPayload) -> tuple[int, int, int]:
    return int(one.sequence_number), one.index, -1 if one.block_row is None else one.block_row


def _file(window: Window, quarantined: list[QuarantinedPayload]) -> QuarantineFile:
    """Encode line by line: a batch of bad payloads only must not be in memory several times."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    compressor = zlib.compressobj(_COMPRESSION_LEVEL, wbits=_GZIP)
    parts = []
    for one in quarantined:
        line = f"{_line(one)}\n".encode("ascii")
        # Taken over the uncompressed lines: the name must not depend on the version of zlib.
        digest.update(line)
        parts.append(compressor.compress(line))
    return QuarantineFile(window, len(quarantined), digest.hexdigest(), b"".join([*parts, compressor.flush()]))


def _line(one: QuarantinedPayload) -> str:
    """Encode a row as `json.dumps` would without spaces, in a third of the time."""
    block_row = "" if one.block_row is None else f'"block_row":{one.block_row},'
    arrival_time = "null" if one.arrival_ms is None else f'"{format_sql(one.arrival_ms)}"'
    return (
        f'{{"reason":"{one.reason}","detail":{_quoted(one.detail)},"stream":{_quoted(one.stream)},'
        f'"shard":{_quoted(one.shard)},"sequence_number":{_quoted(one.sequence_number)},"index":{one.index},{block_row}'
        f'"arrival_time":{arrival_time},"payload_base64":"{pybase64.b64encode_as_string(one.payload)}"}}'
    )


def _quarantined(row: dict[str, Any]) -> QuarantinedPayload:
    arrival_time = row["arrival_time"]
    return QuarantinedPayload(
        reason=Reason(row["reason"]),
        detail=str(row["detail"]),
        stream=str(row["stream"]),
        shard=str(row["shard"]),
        sequence_number=str(row["sequence_number"]),
        index=int(row["index"]),
        block_row=None if row.get("block_row") is None else int(row["block_row"]),
        arrival_ms=None if arrival_time is None else parse_sql_ms(arrival_time),
        payload=binascii.a2b_base64(row["payload_base64"], strict_mode=True),
    )
