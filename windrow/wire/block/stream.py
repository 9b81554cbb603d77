"""Parsing of the metadata of an Arrow IPC stream, before anything is decompressed.

A stream is a list of messages: a length, a flatbuffers table that says what follows, and a body of buffers. Compressed
buffers begin with their decompressed length, so the metadata alone tells how much memory the stream will take. Every
position is checked; nothing is followed deeper than the tables below.

Formats: https://arrow.apache.org/docs/format/Columnar.html (Message.fbs, Schema.fbs) and
https://flatbuffers.dev/internals/.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from windrow.wire.block.flatbuffers import FIELDS_MAX, INT32, INT64, UINT32, BadStream, CheckedBuffer, FlatbuffersTable

_CONTINUATION = 0xFFFFFFFF
_METADATA_VERSION = 4  # V5, which every writer since 2020 writes
_SCHEMA, _DICTIONARY_BATCH, _RECORD_BATCH = 1, 2, 3
_INT, _UTF8 = 2, 5
_LITTLE_ENDIAN = 0
_ZSTD = 1
_NOT_COMPRESSED = -1
_LENGTH_PREFIX_BYTES = 8
# Strings have the buffers validity, offsets and bytes; numbers have validity and values.
_STRING_BUFFERS, _NUMBER_BUFFERS = 3, 2
# More than any block can have; a longer stream is not read to its end.
_MESSAGES_MAX = 16
_SCHEMA_KNOWN_BYTES_MAX = 4_096
_BUFFERS_MAX = 3 * FIELDS_MAX


@dataclass(frozen=True, slots=True)
class ColumnSchema:
    """A column of the schema; `kind`: int8 to uint64, or utf8; `index`: the kind of a dictionary's indices, if any."""

    name: str
    kind: str
    index: str | None


@dataclass(frozen=True, slots=True)
class EncodedBuffer:
    """A buffer of a stream: its bytes as they are stored, and their length when decompressed.

    `is_compressed`: `stored` is a frame of zstd; otherwise it is the buffer itself.
    """

    stored: memoryview
    size_bytes: int
    is_compressed: bool


@dataclass(frozen=True, slots=True)
class EncodedStrings:
    """`count` strings without nulls: offsets, int32[count + 1], and bytes."""

    count: int
    offsets: EncodedBuffer
    octets: EncodedBuffer


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """A stream of one record batch, parsed but not decompressed; no column has nulls.

    values: for each column its numbers, its strings, or, for a dictionary column, its indices into the dictionary;
    dictionaries: by the number of the column; decompressed_bytes: of all buffers together.
    """

    columns: tuple[ColumnSchema, ...]
    rows: int
    values: tuple[EncodedBuffer | EncodedStrings, ...]
    dictionaries: Mapping[int, EncodedStrings]
    decompressed_bytes: int


def length_of_stream(octets: bytes, start: int) -> int:
    """Return the length of the stream that begins at `start`, up to and with its end mark; raises BadStream.

    Only the framing is looked at: what is in the messages is left to `parse_stream`.
    """
    framing, position = CheckedBuffer(octets), start
    for _ in range(_MESSAGES_MAX):
        if framing.read(UINT32, position) != _CONTINUATION:
            raise BadStream("no message where one is expected")
        length = framing.read(INT32, position + UINT32.size)
        position += 2 * UINT32.size
        if length == 0:
            return position - start
        metadata = CheckedBuffer(framing.slice(position, length) if length > 0 else b"")
        body_bytes = FlatbuffersTable(metadata, metadata.read(UINT32, 0)).int64(3)
        position += length + body_bytes
        if body_bytes < 0 or position > len(octets):
            raise BadStream("a body that is cut off")
    raise BadStream(f"more than {_MESSAGES_MAX} messages")


def parse_stream(stream: bytes) -> EncodedBatch:
    """Parse the metadata of `stream`; raises BadStream.

    It must be one schema of integers and strings, one whole dictionary of strings for each dictionary column, one
    record batch without nulls, the end mark, and nothing after it; bodies are uncompressed or zstd.
    """
    messages = list(_messages(stream))
    if not messages or messages[0].kind != _SCHEMA or messages[-1].kind != _RECORD_BATCH:
        raise BadStream("not a schema at its beginning and a record batch at its end")
    if any(message.kind != _DICTIONARY_BATCH for message in messages[1:-1]):
        raise BadStream("more than dictionaries between the schema and the record batch")
    columns, column_of_dictionary = _schema_of(messages[0].header)
    dictionaries: dict[int, EncodedStrings] = {}
    decompressed_bytes = 0
    for message in messages[1:-1]:
        column, batch = _dictionary(message, column_of_dictionary)
        if column in dictionaries:
            raise BadStream("a dictionary that is replaced")
        dictionaries[column] = batch.strings()
        decompressed_bytes += batch.decompressed_bytes
    if len(dictionaries) < len(column_of_dictionary):
        raise BadStream("a dictionary that is missing")
    batch = _batch(messages[-1].header, messages[-1])
    values = batch.values([column.kind if column.index is None else column.index for column in columns])
    return EncodedBatch(columns, batch.rows, values, dictionaries, decompressed_bytes + batch.decompressed_bytes)


@dataclass(frozen=True, slots=True)
class _Message:
    kind: int
    header: FlatbuffersTable
    body: memoryview


@dataclass(frozen=True, slots=True)
class _BatchMessage:
    """A record batch or dictionary batch: rows; (length, nulls) of each column; the buffers of all columns in order."""

    rows: int
    nodes: tuple[tuple[int, int], ...]
    buffers: tuple[EncodedBuffer, ...]

    @property
    def decompressed_bytes(self) -> int:
        return sum(buffer.size_bytes for buffer in self.buffers)

    def strings(self) -> EncodedStrings:
        """Return the only column, which must be strings."""
        (values,) = self.values(["utf8"])
        if not isinstance(values, EncodedStrings):
            raise TypeError("utf8 is strings")
        return values

    def values(self, kinds: Sequence[str]) -> tuple[EncodedBuffer | EncodedStrings, ...]:
        """Return the columns, of these kinds; BadStream for other kinds, nulls, or columns of different lengths."""
        counts = [_STRING_BUFFERS if kind == "utf8" else _NUMBER_BUFFERS for kind in kinds]
        if len(self.nodes) != len(kinds) or len(self.buffers) != sum(counts):
            raise BadStream("columns and buffers do not fit the schema")
        if any(nulls for _, nulls in self.nodes):
            raise BadStream("nulls")
        if self.rows < 0 or any(length != self.rows for length, _ in self.nodes):
            raise BadStream("columns of different lengths")
        rest = iter(self.buffers)
        columns = [tuple(islice(rest, count)) for count in counts]
        # The first buffer of each column is its validity, which is irrelevant without nulls.
        return tuple(
            EncodedStrings(self.rows, *column[1:]) if len(column) == _STRING_BUFFERS else column[1]
            for column in columns
        )


def _messages(stream: bytes) -> Iterator[_Message]:
    """Yield the messages up to the end mark, after which there must be nothing."""
    framing, whole = CheckedBuffer(stream), memoryview(stream)
    position = 0
    for _ in range(_MESSAGES_MAX):
        if framing.read(UINT32, position) != _CONTINUATION:
            raise BadStream("no message where one is expected")
        length = framing.read(INT32, position + UINT32.size)
        position += 2 * UINT32.size
        if length == 0:
            if position != len(stream):
                raise BadStream("bytes after the end")
            return
        metadata = CheckedBuffer(framing.slice(position, length) if length > 0 else b"")
        message = FlatbuffersTable(metadata, metadata.read(UINT32, 0))
        if message.int16(0) != _METADATA_VERSION:
            raise BadStream("a version of the metadata other than 5")
        position += length
        body_bytes = message.int64(3)
        if not 0 <= body_bytes <= len(stream) - position:
            raise BadStream("a body that is cut off")
        header = message.table(2, "a message without a header")
        yield _Message(message.uint8(1), header, whole[position : position + body_bytes])
        position += body_bytes
    raise BadStream(f"more than {_MESSAGES_MAX} messages")


def _schema_of(header: FlatbuffersTable) -> tuple[tuple[ColumnSchema, ...], Mapping[int, int]]:
    """Return `_schema`, cached: gateways of one make send the same few hundred bytes of schema in every block."""
    metadata, position = header.place
    return (_known_schema if len(metadata) <= _SCHEMA_KNOWN_BYTES_MAX else _schema_at)(metadata, position)


def _schema_at(metadata: bytes, position: int) -> tuple[tuple[ColumnSchema, ...], Mapping[int, int]]:
    return _schema(FlatbuffersTable(CheckedBuffer(metadata), position))


_known_schema = lru_cache(maxsize=16)(_schema_at)


def _schema(schema: FlatbuffersTable) -> tuple[tuple[ColumnSchema, ...], dict[int, int]]:
    """Return the columns, and the number of the column by the id of each dictionary."""
    if schema.int16(0) != _LITTLE_ENDIAN:
        raise BadStream("big-endian")
    columns: list[ColumnSchema] = []
    column_of_dictionary: dict[int, int] = {}
    for field in schema.tables(1):
        index = None
        if field.has(4):
            encoding = field.table(4, "")
            if encoding.int64(0) in column_of_dictionary:
                raise BadStream("columns that share a dictionary")
            column_of_dictionary[encoding.int64(0)] = len(columns)
            index = _int_kind(encoding.table(1, "")) if encoding.has(1) else "int32"
        columns.append(ColumnSchema(field.text(0), _kind(field), index))
        if index is not None and columns[-1].kind != "utf8":
            raise BadStream("a dictionary of something other than strings")
    return tuple(columns), column_of_dictionary


def _kind(field: FlatbuffersTable) -> str:
    kind = field.uint8(2)
    if kind == _UTF8:
        return "utf8"
    if kind == _INT:
        return _int_kind(field.table(3, "a field without a type"))
    raise BadStream(f"a column of type {kind}, neither integers nor strings")


def _int_kind(integer: FlatbuffersTable) -> str:
    return f"{'int' if integer.flag(1) else 'uint'}{integer.int32(0)}"


def _dictionary(message: _Message, column_of_dictionary: Mapping[int, int]) -> tuple[int, _BatchMessage]:
    """Return the number of the column, and its strings as a batch."""
    column = column_of_dictionary.get(message.header.int64(0))
    if column is None:
        raise BadStream("a dictionary of no column")
    if message.header.flag(2):
        raise BadStream("a delta dictionary")
    return column, _batch(message.header.table(1, "a dictionary without values"), message)


def _batch(batch: FlatbuffersTable, message: _Message) -> _BatchMessage:
    is_compressed = batch.has(3)
    if is_compressed and (batch.table(3, "").int8(0) != _ZSTD or batch.table(3, "").int8(1) != 0):
        raise BadStream("not compressed buffer by buffer with zstd")
    spans = batch.pairs(2, _BUFFERS_MAX)
    buffers = tuple(_buffer(message.body, *span, is_compressed=is_compressed) for span in spans)
    return _BatchMessage(batch.int64(0), batch.pairs(1, FIELDS_MAX), buffers)


def _buffer(body: memoryview, offset: int, length: int, *, is_compressed: bool) -> EncodedBuffer:
    if length < 0 or not 0 <= offset <= len(body) - length:
        raise BadStream("a buffer outside its body")
    stored = body[offset : offset + length]
    if not is_compressed or length == 0:
        return EncodedBuffer(stored, length, is_compressed=False)
    if length < _LENGTH_PREFIX_BYTES:
        raise BadStream("a compressed buffer that is cut off")
    size_bytes: int = INT64.unpack_from(stored)[0]
    stored = stored[_LENGTH_PREFIX_BYTES:]
    if size_bytes == _NOT_COMPRESSED:
        return EncodedBuffer(stored, len(stored), is_compressed=False)
    if size_bytes < 0:
        raise BadStream("a negative length")
    return EncodedBuffer(stored, size_bytes, is_compressed=True)
