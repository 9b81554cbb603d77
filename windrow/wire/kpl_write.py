"""Fast writing of aggregated records (see `windrow.wire.kpl`): the table of keys, then the user records.

    0x0A  length of the key  the key
    0x1A  length of what follows   0x08  place of its key in the table   0x1A  length of the payload   the payload

The size is known to the byte before anything is written. Lengths and places are varints.
"""

from collections.abc import Sequence

import numpy as np

from windrow.columns.arrays import Int64s
from windrow.wire.kpl import DIGEST_BYTES, MAGIC, OUTER_PARTITION_KEY

# The bytes of a record besides the protobuf message.
ENVELOPE_BYTES = len(MAGIC) + DIGEST_BYTES + len(OUTER_PARTITION_KEY)

# The place of a key in the table takes one byte below PLACES_NEAR and two bytes below PLACES_MAX.
PLACES_NEAR = 1 << 7
PLACES_MAX = 1 << 14

_KEY_TAG = b"\x0a"
_RECORD_TAG = b"\x1a"
_PLACE_TAG = b"\x08"
_PAYLOAD_TAG = b"\x1a"
# A payload's length is below 2^21: it and its key's place fit into one number.
_LENGTH_BITS = 21
_VARINT_BITS = 7
_HEADERS_MAX = 1 << 17


def lengths_of(payloads: Sequence[bytes]) -> Int64s:
    """Return the length of each of n payloads: int64[n]."""
    return np.fromiter(map(len, payloads), np.int64, len(payloads))


def key_field(key: bytes) -> bytes:
    """Encode a key as a field of the table."""
    return _KEY_TAG + varint(len(key)) + key


def key_in(field: bytes) -> bytes:
    """Return the key in a field of the table: the inverse of `key_field`."""
    at = len(_KEY_TAG)
    while field[at] & 0x80:  # the length goes on
        at += 1
    return field[at + 1 :]


def aggregate_body(fields: Sequence[bytes], places: Int64s, payloads: Sequence[bytes], lengths: Int64s) -> bytes:
    """Encode n payloads as one message.

    fields: the table of keys, see `key_field`; places, lengths: int64[n], which of them each payload has, and how long
    it is.
    """
    codes = (places << _LENGTH_BITS) + lengths
    if len(_headers) > _HEADERS_MAX:
        _headers.clear()
    parts: list[bytes] = [b""] * (2 * len(payloads))
    parts[0::2] = map(_headers.__getitem__, codes.tolist())
    parts[1::2] = payloads
    return b"".join([*fields, *parts])


def record_bytes(payload_field_bytes: Int64s, *, place_bytes: int) -> Int64s:
    """Return the bytes that each user record adds, without its key: int64[n].

    payload_field_bytes: int64[n], see `field_bytes`; place_bytes: of the place of its key, 1 below PLACES_NEAR, else 2.
    """
    within = payload_field_bytes + 1 + place_bytes
    grown: Int64s = within + varint_bytes(within) + 1
    return grown


def field_bytes(lengths: Int64s) -> Int64s:
    """Return the bytes of a length-delimited field: a tag of one byte, the length as a varint, and the content."""
    return 1 + varint_bytes(lengths) + lengths


def varint_bytes(values: Int64s) -> Int64s:
    """Return the bytes of the varint of each value, none negative: seven bits a byte, one byte for zero."""
    greatest = int(values.max(initial=0))
    sizes = np.ones(len(values), np.int64)
    for bits in range(_VARINT_BITS, greatest.bit_length(), _VARINT_BITS):
        sizes += values >= 1 << bits
    return sizes


def varint(value: int) -> bytes:
    """Encode a protobuf varint: seven bits a byte, the lowest first, the top bit set in all but the last."""
    octets = bytearray()
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


class _Headers(dict[int, bytes]):
    """A cache of the bytes before a payload, by the place of its key and its length in one number."""

    def __missing__(self, code: int) -> bytes:
        place, length = divmod(code, 1 << _LENGTH_BITS)
        within = _PLACE_TAG + varint(place) + _PAYLOAD_TAG + varint(length)
        header = self[code] = _RECORD_TAG + varint(len(within) + length) + within
        return header


_headers = _Headers()
