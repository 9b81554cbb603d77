"""JSON values read by msgspec, for payloads without a common layout.

A payload is read only if the strict reader, `windrow.wire.json.values`, would read the same values from it. In doubt it
is left to that: what msgspec refuses, whatever the reason, and what it accepts but the strict reader might not.
"""

import re
from collections.abc import Callable, Iterable, Iterator

import msgspec
import numpy as np

from windrow.columns.arrays import Int64s
from windrow.columns.payloads import Payloads
from windrow.reading import BadReading
from windrow.wire.json.values import NESTING_MAX, check_nesting

Written = msgspec.Raw
"""A number with a point or an exponent, as it is written; integers are int, of which -0 has lost its sign."""

UNSURE = object()
"""What is left to the strict reader."""

# Of the payloads that become Python objects at once: these take up to fifty times the bytes.
_CHUNK_OCTETS = 1 << 20
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_decode: Callable[[bytes], object] = msgspec.json.Decoder(float_hook=msgspec.Raw).decode
_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode


def read_values(payloads: Iterable[bytes]) -> list[object]:
    """Return the JSON value that each payload surely is; UNSURE where the strict reader has to be asked."""
    values: list[object] = []
    for payload in payloads:
        try:
            value = _decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            value = UNSURE
        else:
            if payload.count(b"[") + payload.count(b"{") > NESTING_MAX and not _is_shallow(payload, value):
                value = UNSURE
            elif b"\\" in payload:
                value = value if _texts(_encode(value)) == _texts(payload) else UNSURE
            elif _encode(value).count(b'"') != payload.count(b'"'):
                value = UNSURE
        values.append(value)
    return values


# A name that comes twice the strict reader refuses. msgspec keeps the value of the last one, so the value that it read,
# when it is written again, has fewer texts than the payload.
def _texts(written: bytes) -> int:
    """Count the quotes that begin or end a text."""
    if b"\\\\" in written:
        return _ESCAPE.sub(b"", written).count(b'"')
    return written.count(b'"') - written.count(b'\\"')


def _is_shallow(payload: bytes, value: object) -> bool:
    """Whether the value is nested no deeper than the strict reader accepts, seldom by looking at all of it."""
    arrays, objects = payload.count(b"["), payload.count(b"{")
    # Nested in one another are at most all arrays, an object in each of them, and the objects that are in no array.
    in_arrays = payload.count(b"[{") + payload.count(b",{") + payload.count(b", {")
    if 2 * arrays + objects - in_arrays <= NESTING_MAX:
        return True
    try:
        check_nesting(value)
    except BadReading:
        return False
    return True


def in_chunks(payloads: Payloads, which: Int64s) -> Iterator[Int64s]:
    """Split the payloads `which` into runs that take bounded memory as Python objects."""
    chunk = np.cumsum(payloads.lengths[which]) // _CHUNK_OCTETS
    yield from np.split(which, np.flatnonzero(np.diff(chunk)) + 1)
