"""A reader of flatbuffers tables, the metadata of an Arrow IPC stream; every position is checked before it is read.

Format: https://flatbuffers.dev/internals/.
"""

import struct
from collections.abc import Iterator

# More than any table of a block can have; vectors that claim more are refused.
FIELDS_MAX = 64

INT8, UINT8, INT16, UINT16 = (struct.Struct(code) for code in ("<b", "<B", "<h", "<H"))
INT32, UINT32, INT64 = (struct.Struct(code) for code in ("<i", "<I", "<q"))
_PAIR = struct.Struct("<qq")


class BadStream(ValueError):  # noqa: N818 - the format's noun
    """Bytes that are no Arrow IPC stream of the plain kind that is read here; the message says why."""


class CheckedBuffer:
    """Bytes that can be read within their bounds only."""

    def __init__(self, buffer: bytes) -> None:
        self.buffer = buffer

    def read(self, code: struct.Struct, position: int) -> int:
        """Return the number of format `code` at `position`."""
        if not 0 <= position <= len(self.buffer) - code.size:
            raise BadStream("metadata points outside itself")
        value: int = code.unpack_from(self.buffer, position)[0]
        return value

    def slice(self, position: int, length: int) -> bytes:
        """Return `length` bytes from `position`."""
        if not 0 <= position <= len(self.buffer) - length:
            raise BadStream("metadata points outside itself")
        return self.buffer[position : position + length]


class FlatbuffersTable:
    """A flatbuffers table; fields are named by number, and a field that is left out reads as its default."""

    def __init__(self, metadata: CheckedBuffer, position: int) -> None:
        self._metadata = metadata
        self._position = position
        self._vtable = position - metadata.read(INT32, position)
        self._vtable_bytes = metadata.read(UINT16, self._vtable)

    @property
    def place(self) -> tuple[bytes, int]:
        """The bytes that the table is in, and its position in them."""
        return self._metadata.buffer, self._position

    def int8(self, field: int) -> int:
        """Return a field as int8."""
        return self._scalar(field, INT8)

    def uint8(self, field: int) -> int:
        """Return a field as uint8."""
        return self._scalar(field, UINT8)

    def int16(self, field: int) -> int:
        """Return a field as int16."""
        return self._scalar(field, INT16)

    def int32(self, field: int) -> int:
        """Return a field as int32."""
        return self._scalar(field, INT32)

    def int64(self, field: int) -> int:
        """Return a field as int64."""
        return self._scalar(field, INT64)

    def flag(self, field: int) -> bool:
        """Return a field as bool."""
        return self.uint8(field) != 0

    def has(self, field: int) -> bool:
        """Return whether the field is present."""
        return self._field(field) is not None

    def table(self, field: int, missing: str) -> "FlatbuffersTable":
        """Return the table that a field points to; BadStream says `missing` if it is left out."""
        return FlatbuffersTable(self._metadata, self._target(field, missing))

    def text(self, field: int) -> str:
        """Return a string, empty if it is left out."""
        if not self.has(field):
            return ""
        position = self._target(field, "")
        length = self._metadata.read(UINT32, position)
        try:
            return self._metadata.slice(position + UINT32.size, length).decode()
        except UnicodeDecodeError as error:
            raise BadStream("a name that is not UTF-8") from error

    def tables(self, field: int) -> Iterator["FlatbuffersTable"]:
        """Iterate over a vector of tables, empty if it is left out."""
        position, count = self._vector(field, FIELDS_MAX)
        for place in range(position, position + count * UINT32.size, UINT32.size):
            yield FlatbuffersTable(self._metadata, place + self._metadata.read(UINT32, place))

    def pairs(self, field: int, count_max: int) -> tuple[tuple[int, int], ...]:
        """Return a vector of structs of two int64."""
        position, count = self._vector(field, count_max)
        return tuple(_PAIR.iter_unpack(self._metadata.slice(position, count * _PAIR.size)))

    def _scalar(self, field: int, code: struct.Struct) -> int:
        position = self._field(field)
        return 0 if position is None else self._metadata.read(code, position)

    def _field(self, field: int) -> int | None:
        entry = 4 + 2 * field
        if entry + 2 > self._vtable_bytes:
            return None
        offset = self._metadata.read(UINT16, self._vtable + entry)
        return self._position + offset if offset else None

    def _target(self, field: int, missing: str) -> int:
        position = self._field(field)
        if position is None:
            raise BadStream(missing)
        return position + self._metadata.read(UINT32, position)

    def _vector(self, field: int, count_max: int) -> tuple[int, int]:
        """Return the position of the first element, and the number of elements."""
        if not self.has(field):
            return 0, 0
        position = self._target(field, "")
        count = self._metadata.read(UINT32, position)
        if count > count_max:
            raise BadStream(f"{count} elements where at most {count_max} are expected")
        return position + UINT32.size, count
