"""Encoding of readings as JSON payloads, column by column; `windrow.wire.json.strict.parse_reading` is the inverse.

    {"sensor_id":"roof","event_time":1763640300000,"temperature":21.437,"sequence":17}
    {"sensor_id":"roof","event_time":1763640300000,"quantity":"humidity","unit":"%","value":55.090,"sequence":17}

Every payload is a row of a byte matrix in which each field is as wide as its widest value, and unused bytes are NUL.
JSON text contains no raw NUL and no raw line feed (RFC 8259, section 7: control characters are escaped), so the matrix
becomes payloads by deleting every NUL and splitting at line feeds.
"""

import json

import numpy as np
import numpy.typing as npt

from windrow.columns.arrays import Int64s, Mask, Octets
from windrow.columns.strings import Strings
from windrow.quantities import split_series
from windrow.reading import Readings
from windrow.wire.json.values import value_field

# Bounds the matrix: a row is about 110 bytes wide, 900 with the longest ids. Small enough for a core's cache.
_ROWS_MAX = 2_048
_GROUP = 10_000  # numbers are written four digits at a time
_GROUP_DIGITS = 4
_GROUPS_MAX = 5  # 20 digits, more than 63 bits need
_FILLER = 0
_FILLER_BYTE = bytes([_FILLER])
_SPARSE = 16  # finding a byte by `replace` costs as much as looking at so many by `translate`
_INT64_MAX = 2**63 - 1


def encode_readings(readings: Readings) -> list[bytes]:
    """Encode each reading as one compact JSON object, in their order.

    ValueError names a row with a negative sequence, or with the least 64-bit time, which has no positive counterpart.
    """
    check_encodable(readings)
    series = split_series(readings.sensor_ids)
    ids = _quoted(series.sensor_ids)
    fields = [value_field(quantity).encode() for quantity in series.quantities]
    kinds = Strings.of_octets(fields)
    payloads: list[bytes] = []
    for first in range(0, len(readings), _ROWS_MAX):
        chunk = slice(first, first + _ROWS_MAX)
        milli = readings.value_milli[chunk].astype(np.int64)
        magnitude = np.abs(milli)
        whole = magnitude // 1000
        columns = [
            _text(b'{"sensor_id":'),
            _gathered(ids, readings.sensor[chunk]),
            _text(b',"event_time":'),
            *_integers(readings.event_time_ms[chunk]),
            _text(b","),
            _text(fields[0]) if len(fields) == 1 else _gathered(kinds, series.kind[readings.sensor[chunk]]),
            *_signs(milli),
            _digits(whole),
            _THOUSANDTHS[magnitude - whole * 1000],
            _text(b',"sequence":'),
            *_integers(readings.sequence[chunk]),
            _text(b"}\n"),
        ]
        payloads += _rows(columns, len(milli))
    return payloads


def check_encodable(readings: Readings) -> None:
    """Raise the ValueError that `encode_readings` would."""
    if not len(readings):
        return
    for name, values, least in (
        ("sequence", readings.sequence, 0),
        ("event_time_ms", readings.event_time_ms, -_INT64_MAX),
    ):
        if int(values.min()) < least:
            row = int(np.argmax(values < least))
            raise ValueError(f"row {row}: {name} {values[row]} cannot be encoded, it is less than {least}")


def _rows(columns: list[Octets], count: int) -> list[bytes]:
    """Join the columns to rows and delete the filler; each column has `count` rows, or a single one that all share."""
    matrix = np.empty((count, sum(column.shape[1] for column in columns)), np.uint8)
    # First fill in the constants, in one sweep; then the columns that vary.
    matrix[:] = np.concatenate([column[0] for column in columns])
    first = 0
    for column in columns:
        if len(column) > 1:
            matrix[:, first : first + column.shape[1]] = column
        first += column.shape[1]
    octets = matrix.tobytes()
    # `replace` looks for each filler, `translate` looks at each byte.
    is_sparse = (len(octets) - np.count_nonzero(matrix)) * _SPARSE < len(octets)
    text = octets.replace(_FILLER_BYTE, b"") if is_sparse else octets.translate(None, _FILLER_BYTE)
    return text.split(b"\n")[:-1]


def _text(constant: bytes) -> Octets:
    return np.frombuffer(constant, np.uint8)[np.newaxis]


def _integers(values: Int64s) -> list[Octets]:
    """Write integers: a sign column if any is negative, the digits that all begin with, and the others."""
    least, greatest = int(values.min()), int(values.max())
    if least < 0:
        return [*_signs(values), _digits(np.abs(values))]
    shared = greatest // _GROUP**2
    if not shared or least // _GROUP**2 != shared:
        return [_digits(values)]
    rest = values - shared * _GROUP**2
    above = rest // _GROUP
    written = np.stack([_FOUR_DIGITS[above + _GROUP], _FOUR_DIGITS[rest - above * _GROUP + _GROUP]], axis=1)
    return [_text(b"%d" % shared), written.view(np.uint8)]


def _signs(values: Int64s) -> list[Octets]:
    """Write the signs of the values: no column if none is negative."""
    is_negative = values < 0
    if not is_negative.any():
        return []
    return [np.where(is_negative, np.uint8(ord("-")), np.uint8(_FILLER))[:, np.newaxis]]


def _digits(values: Int64s) -> Octets:
    """Write values from 0 to 2^63-1 in decimal, right-aligned with filler: uint8[n, digits of the greatest]."""
    greatest = int(values.max()) if len(values) else 0
    groups = next(groups for groups in range(1, _GROUPS_MAX + 1) if greatest < _GROUP**groups)
    written = np.empty((len(values), groups), np.uint32)
    rest = values
    for place in reversed(range(1, groups)):
        above = rest // _GROUP
        # After the first digit of a number every digit counts, zeros too.
        written[:, place] = _FOUR_DIGITS[rest - above * _GROUP + np.where(above > 0, _GROUP, 0)]
        rest = above
    written[:, 0] = _FOUR_DIGITS[rest]
    # A group of leading zeros is all filler; the number 0 itself keeps its last digit.
    octets = written.view(np.uint8)
    octets[:, -1] = np.maximum(octets[:, -1], ord("0"))
    return octets[:, -len(str(greatest)) :]


def _gathered(column: Strings, which: npt.NDArray[np.int32]) -> Octets:
    """Write string `which[i]` of `column` into row i, with filler at the end: uint8[n, bytes of the longest]."""
    lengths = column.lengths
    width = int(lengths.max()) if len(lengths) else 0
    if width and np.all(lengths == width):
        return column.octets.reshape(-1, width)[which]
    present, place = np.unique(which, return_inverse=True)
    shorter = column.take(present)
    lengths = shorter.lengths
    padded = np.full((len(present), width), _FILLER, np.uint8)
    row = np.repeat(np.arange(len(present)), lengths)
    padded[row, np.arange(len(shorter.octets)) - np.repeat(shorter.offsets[:-1], lengths)] = shorter.octets
    return padded[place]


def _quoted(strings: Strings) -> Strings:
    """Encode each string as a JSON string."""
    if _needs_escape(strings.octets).any():
        return Strings.of(json.dumps(string, ensure_ascii=False) for string in strings.to_list())
    # Nothing to escape: only add quotation marks.
    offsets = strings.offsets + 2 * np.arange(len(strings) + 1)
    octets = np.full(int(offsets[-1]), ord('"'), np.uint8)
    within = np.ones(len(octets), bool)
    within[offsets[:-1]] = False
    within[offsets[1:] - 1] = False
    octets[within] = strings.octets
    return Strings(offsets, octets)


def _needs_escape(octets: Octets) -> Mask:
    """Return which bytes JSON escapes: quotation mark, backslash and U+0000 to U+001F (RFC 8259, section 7)."""
    return _ESCAPED[octets]


def _four_digits() -> npt.NDArray[np.uint32]:
    """Make 0 to 9,999 as four digits in one word each: first with leading zeros as filler, then with them as digits."""
    numbers = np.arange(_GROUP)
    digits = np.stack([numbers // 10**place % 10 for place in reversed(range(_GROUP_DIGITS))], axis=1) + ord("0")
    leading = np.stack([numbers < 10**place for place in reversed(range(_GROUP_DIGITS))], axis=1)
    leading[:, -1] = numbers == 0
    both = np.concatenate([np.where(leading, _FILLER, digits), digits]).astype(np.uint8)
    return both.view(np.uint32)[:, 0]


def _thousandths() -> Octets:
    """Make the texts .000 to .999: uint8[1000, 4]."""
    return np.frombuffer(b"".join(b".%03d" % number for number in range(1000)), np.uint8).reshape(1000, 4)


def _escaped() -> Mask:
    table = np.zeros(256, bool)
    table[:32] = True
    table[[ord('"'), ord("\\")]] = True
    return table


_FOUR_DIGITS = _four_digits()
_THOUSANDTHS = _thousandths()
_ESCAPED = _escaped()
