"""A raw archive of the stream: objects of records one after another, as a Kinesis channel or Firehose writes them.

Such an object says nothing of a record but its bytes: not where it ends, not its shard, its sequence number or its
arrival. What a record says of itself is enough to find its end, whether or not something stands between records: an
aggregate ends in its own MD5, a block in its end mark, and JSON where its braces are closed. For the rest there is a
rule for each: see `ArchivedObject`.

Sources: "How Amazon S3 delivery works" and "Data delivery concepts", Kinesis Data Streams developer guide, and the
names of compressions in CreateChannel; Firehose with and without AppendDelimiterToRecord.
"""

import gzip
import hashlib
import io
import re
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError, ZstdFile
else:
    from backports.zstd import ZstdError, ZstdFile

from processors.chunk import EncodedRecord
from processors.event import Record, encode_record
from windrow.aws.stream import RECORD_BYTES_MAX
from windrow.wire.block import BLOCK_MAGIC
from windrow.wire.block.block import length_of_block
from windrow.wire.kpl import MAGIC, OUTER_PARTITION_KEY, length_of_aggregate

SHARD = "shardId-999999999999"
"""The shard of every archived record, as no stream will ever have it."""
OBJECT_BYTES_MAX = 1 << 30
"""The largest object, decompressed. Both services cut objects far below it."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_BETWEEN = re.compile(rb"[ \t\r\n]*")
_OPENS = b"{["
# A string, or a brace or bracket outside of any.
_JSON = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
_OFFSETS = 10**12
_OBJECTS = 10**15


class UnreadableArchive(ValueError):  # noqa: N818 - the domain's noun
    """The object cannot be decompressed, or is too large; the message says why."""


class OversizedArchive(UnreadableArchive):
    """The object is too large when it is decompressed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedObject:
    """An object of an archive. `written_ms` is when it was written, in epoch milliseconds.

    Every record in it counts as arrived when the object was written. That is never before it really arrived, so no
    reading counts that was too late for the stream; one that was late by nearly the horizon may be quarantined instead.
    """

    location: str
    written_ms: int

    def sequence_number(self, offset: int) -> str:
        """Return the number of the record at `offset` of the decompressed object: always the same, ascending."""
        return str((self.written_ms * _OBJECTS + self._digest) * _OFFSETS + offset)

    @property
    def order(self) -> tuple[int, int]:
        """The place among other objects, by which sequence numbers ascend."""
        return self.written_ms, self._digest

    @property
    def _digest(self) -> int:
        return int(hashlib.sha256(self.location.encode()).hexdigest(), 16) % _OBJECTS


@dataclass(frozen=True, slots=True)
class Span:
    """A record in an object: where it begins, and its bytes; `is_whole` is False if its end could not be found."""

    offset: int
    payload: bytes
    is_whole: bool = True


def encode_archived(archived: ArchivedObject, span: Span, *, stream_arn: str) -> EncodedRecord:
    """Encode a record as the mapping would put it into an event."""
    number = archived.sequence_number(span.offset)
    record = Record(
        stream_arn=stream_arn,
        shard=SHARD,
        sequence_number=number,
        arrival_ms=archived.written_ms,
        partition_key=OUTER_PARTITION_KEY,
        payload=span.payload,
    )
    return EncodedRecord(number, encode_record(record))


def decompress(stored: bytes, *, bytes_max: int | None = None) -> bytes:
    """Return the records of an object that is stored as it is, with gzip or with zstd; raises UnreadableArchive.

    Of more than `bytes_max` decompressed bytes (default: OBJECT_BYTES_MAX) not more than one is made: then it raises
    OversizedArchive.
    """
    bytes_max = OBJECT_BYTES_MAX if bytes_max is None else bytes_max
    try:
        if stored.startswith(_GZIP):
            with gzip.GzipFile(fileobj=io.BytesIO(stored)) as opened:
                body = opened.read(bytes_max + 1)
        elif stored.startswith(_ZSTD):
            with ZstdFile(io.BytesIO(stored)) as opened:
                body = opened.read(bytes_max + 1)
        else:
            body = stored
    except (EOFError, OSError, ZstdError, zlib.error) as error:
        raise UnreadableArchive(f"{type(error).__name__}: {error}") from error
    if len(body) > bytes_max:
        raise OversizedArchive(f"larger than {bytes_max:,} bytes")
    return body


def split(body: bytes) -> Iterator[Span]:
    """Yield the records of a decompressed object; every byte but white space between records is in one of them.

    What is none of our records goes on to the end of its line, or to the next aggregate or block, in pieces no larger
    than a record: the consumer quarantines it.
    """
    position = _after_space(body, 0)
    while position < len(body):
        end = _end_of_record(body, position)
        if end is not None:
            yield Span(position, body[position:end])
        else:
            end = _end_of_nothing(body, position)
            for start in range(position, end, RECORD_BYTES_MAX):
                yield Span(start, body[start : min(end, start + RECORD_BYTES_MAX)], is_whole=False)
        position = _after_space(body, end)


def _after_space(body: bytes, position: int) -> int:
    found = _BETWEEN.match(body, position)
    return position if found is None else found.end()


def _end_of_record(body: bytes, position: int) -> int | None:
    """Return the end of the record that begins at `position`; None if there is no whole one."""
    length = length_of_aggregate(body, position) or length_of_block(body, position)
    if length is not None:
        return position + length
    if body[position] in _OPENS:
        return _end_of_json(body, position)
    return None


def _end_of_json(body: bytes, position: int) -> int | None:
    depth = 0
    for token in _JSON.finditer(body, position, position + RECORD_BYTES_MAX):
        text = token.group()
        if len(text) == 1:  # a string has two quotes
            depth += 1 if text in b"{[" else -1
            if depth == 0:
                return token.end()
    return None


def _end_of_nothing(body: bytes, position: int) -> int:
    """Return where the next record may begin, after bytes at `position` that begin none."""
    is_text = not body.startswith((MAGIC, BLOCK_MAGIC), position)
    ends = [body.find(magic, position + 1) for magic in (MAGIC, BLOCK_MAGIC)]
    ends += [body.find(b"\n", position + 1)] if is_text else []
    return min((end for end in ends if end >= 0), default=len(body))
