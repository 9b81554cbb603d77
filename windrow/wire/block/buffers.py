"""The buffers of an Arrow IPC stream as numpy columns: decompressed up to their declared size, and checked.

arro3 could read a stream too, but it aborts the whole process on some damaged ones (an assertion within a callback
that must not unwind), and a function that aborts blocks its shard. So received streams are never passed to it.
"""

import sys
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

if sys.version_info >= (3, 14):
    from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
else:
    from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

from windrow.columns.strings import Strings
from windrow.wire.block.flatbuffers import BadStream
from windrow.wire.block.stream import EncodedBuffer, EncodedStrings

# 16 MiB. A frame of zstd names the size of the history window that its decompressor must keep; frames of blocks are
# never longer than this.
_ZSTD_WINDOW_LOG_MAX = 24

_Integer = TypeVar("_Integer", bound=np.integer[Any])


def numbers(buffer: EncodedBuffer | EncodedStrings, kind: type[_Integer], count: int) -> npt.NDArray[_Integer]:
    """Decode the `count` numbers of a column; raises BadStream."""
    if isinstance(buffer, EncodedStrings):
        raise BadStream("strings where numbers are expected")
    little_endian = np.dtype(kind).newbyteorder("<")
    if buffer.size_bytes < count * little_endian.itemsize:
        raise BadStream("a column that is too short")
    values = np.frombuffer(_content(buffer), little_endian, count)
    return values.astype(kind, copy=False)


def strings(column: EncodedBuffer | EncodedStrings) -> Strings:
    """Decode the strings of a column; raises BadStream."""
    if not isinstance(column, EncodedStrings):
        raise BadStream("numbers where strings are expected")
    if column.count == 0:
        return Strings(np.zeros(1, np.int64), np.zeros(0, np.uint8))
    offsets = numbers(column.offsets, np.int32, column.count + 1).astype(np.int64)
    octets = np.frombuffer(_content(column.octets), np.uint8)
    if offsets[0] < 0 or offsets[-1] > len(octets) or (np.diff(offsets) < 0).any():
        raise BadStream("offsets that do not ascend within the bytes")
    found = Strings(offsets - offsets[0], octets[offsets[0] : offsets[-1]])
    if not found.is_utf8():
        raise BadStream("a string that is not UTF-8")
    return found


def _content(buffer: EncodedBuffer) -> bytes | memoryview:
    """Decompress a buffer, never beyond its declared size."""
    if not buffer.is_compressed:
        return buffer.stored
    decompressor = ZstdDecompressor(options={DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG_MAX})
    try:
        # One byte more than declared, to detect a frame that holds more.
        content = decompressor.decompress(buffer.stored, max_length=buffer.size_bytes + 1)
    except ZstdError as error:
        raise BadStream("a frame of zstd that is broken") from error
    if len(content) != buffer.size_bytes or not decompressor.eof:
        raise BadStream("a frame of zstd that is not as long as it declares")
    return content
