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
            objects, is_deep = payload.count(b"{"), False
            if objects + payload.count(b"[") > NESTING_MAX:
                is_deep = not _is_shallow(payload, value)
            # Of one object with no more colons than names none came twice.
            is_flat = objects == 1 and type(value) is dict and payload.count(b":") == len(value)
            if is_deep or not (is_flat or _has_every_text(payload, value)):
                value = UNSURE
        values.append(value)
    return values


def _has_every_text(payload: bytes, value: object) -> bool:
    """Whether the value, when it is written again, has as many texts as the payload.

    A name that comes twice the strict reader refuses. Of the values of both msgspec keeps the last.
    """
    if b"\\" in payload:
        return _texts(_encode(value)) == _texts(payload)
    return _encode(value).count(b'"') == payload.count(b'"')


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
