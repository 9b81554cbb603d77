"""Thrift's compact protocol, in which Parquet writes its footer: read to Python values, and written again.

Format: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md. A struct is read as a dict
from the number of a field to its `ThriftField`; what is not understood (fields of later formats) is written as it was
read. Maps, which Parquet does not use, are refused.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

DEPTH_MAX = 16
"""Structs and lists within each other; Parquet's footer has six."""
_VARINT_OCTETS_MAX = 10
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET = range(1, 11)
STRUCT: Final = 12
_INTEGERS = (I16, I32, I64)
_DOUBLE_OCTETS = 8
_LONG_LIST = 15


class ThriftField(NamedTuple):
    """A value and its kind: whole numbers, bytes, None for a Boolean, a `ThriftList`, a `Struct`."""

    kind: int
    value: Any


Struct: TypeAlias = dict[int, ThriftField]


@dataclass(frozen=True, slots=True)
class ThriftList:
    """Elements of one kind."""

    kind: int
    elements: list[Any]


def read_struct(octets: bytes) -> Struct:
    """Read one struct from the beginning of `octets`; ValueError if they are none or end within it."""
    try:
        return _Reader(octets).struct(DEPTH_MAX)
    except IndexError:
        raise ValueError("a Thrift struct ends too early") from None


def write_struct(struct: Struct) -> bytes:
    """Write a struct: the inverse of `read_struct`."""
    out = bytearray()
    _write_struct(out, struct)
    return bytes(out)


class _Reader:
    """Bytes and a position; IndexError where they end."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    def struct(self, depth: int) -> Struct:
        """Read fields up to the stop byte; each names its number by the distance to the one before, or in full."""
        fields: Struct = {}
        number = 0
        while head := self._octet():
            kind, distance = head & 0x0F, head >> 4
            number = number + distance if distance else self._integer()
            # The value of a Boolean field is its kind.
            value = None if kind in (TRUE, FALSE) else self._value(kind, depth)
            fields[number] = ThriftField(kind, value)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _INTEGERS:
            return self._integer()
        if kind in (BYTE, TRUE, FALSE):  # an element of a list of Booleans is a byte
            return self._octet()
        if kind == BINARY:
            return self._take(self._varint())
        if kind == DOUBLE:
            return self._take(_DOUBLE_OCTETS)
        if kind not in (LIST, SET, STRUCT):
            raise ValueError(f"a Thrift value of kind {kind}")
        if not depth:
            raise ValueError("Thrift structs within each other, too deep")
        return self.struct(depth - 1) if kind == STRUCT else self._list(depth - 1)

    def _list(self, depth: int) -> ThriftList:
        head = self._octet()
        count = head >> 4
        if count == _LONG_LIST:
            count = self._varint()
        # Every element takes at least a byte, so a count that claims more meets the end.
        return ThriftList(head & 0x0F, [self._value(head & 0x0F, depth) for _ in range(count)])

    def _integer(self) -> int:
        """Read a zigzag number: 0, -1, 1, -2, ... are written as 0, 1, 2, 3, ..."""
        coded = self._varint()
        return (coded >> 1) ^ -(coded & 1)

    def _varint(self) -> int:
        """Read seven bits of each byte, the lowest first; the eighth says that more follow."""
        octets, start = self._octets, self._at
        octet = octets[start]
        number, at = octet & 0x7F, start + 1
        while octet >= 0x80:
            octet = octets[at]
            number |= (octet & 0x7F) << 7 * (at - start)
            at += 1
            if at - start > _VARINT_OCTETS_MAX:
                raise ValueError("a Thrift number is too long")
        self._at = at
        return number

    def _octet(self) -> int:
        octet = self._octets[self._at]
        self._at += 1
        return octet

    def _take(self, count: int) -> bytes:
        taken = self._octets[self._at : self._at + count]
        if len(taken) < count:
            raise IndexError
        self._at += count
        return taken


def _write_struct(out: bytearray, struct: Struct) -> None:
    before = 0
    for number, field in struct.items():
        distance = number - before
        if 0 < distance <= 0x0F:
            out.append(distance << 4 | field.kind)
        else:
            out.append(field.kind)
            _write_integer(out, number)
        before = number
        if field.kind not in (TRUE, FALSE):
            _write_value(out, field.kind, field.value)
    out.append(0)


def _write_value(out: bytearray, kind: int, value: Any) -> None:
    if kind in _INTEGERS:
        _write_integer(out, value)
    elif kind in (BYTE, TRUE, FALSE):
        out.append(value)
    elif kind == BINARY:
        _write_varint(out, len(value))
        out += value
    elif kind == DOUBLE:
        out += value
    elif kind == STRUCT:
        _write_struct(out, value)
    else:
        count = len(value.elements)
        out.append(min(count, _LONG_LIST) << 4 | value.kind)
        if count >= _LONG_LIST:
            _write_varint(out, count)
        for element in value.elements:
            _write_value(out, value.kind, element)


def _write_integer(out: bytearray, number: int) -> None:
    _write_varint(out, number << 1 if number >= 0 else (-number << 1) - 1)


def _write_varint(out: bytearray, number: int) -> None:
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
