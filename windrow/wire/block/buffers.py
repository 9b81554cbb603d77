"""The buffers of an Arrow IPC stream as numpy columns: decompressed within what they declare, and checked.

arro3 could read a stream too, but it aborts the whole process on some damaged ones (an assertion within a callback
that must not unwind), and a function that aborts holds up its shard. So nothing of a received stream is handed to it.
"""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

from windrow.columns.strings import Strings
from windrow.wire.block.flatbuffers import BadStream
from windrow.wire.block.stream import EncodedBuffer, EncodedStrings

# 16 MiB. A frame names the window that its decompressor must keep; ours never reach back further than they are long.
_ZSTD_WINDOW_LOG_MAX = 24
# The octets that continue a character of UTF-8 are 10xxxxxx.
_CONTINUES_MASK, _CONTINUES = 0xC0, 0x80

_Integer = TypeVar("_Integer", bound=np.integer[Any])


def numbers(buffer: EncodedBuffer | EncodedStrings, kind: type[_Integer], count: int) -> npt.NDArray[_Integer]:
    """The `count` numbers of a column; raises BadStream."""
    if isinstance(buffer, EncodedStrings):
        raise BadStream("strings where numbers are expected")
    little_endian = np.dtype(kind).newbyteorder("<")
    if buffer.size_bytes < count * little_endian.itemsize:
        raise BadStream("a column that is too short")
    values = np.frombuffer(_content(buffer), little_endian, count)
    return values.astype(kind, copy=False)


def strings(column: EncodedBuffer | EncodedStrings) -> Strings:
    """The strings of a column; raises BadStream."""
    if not isinstance(column, EncodedStrings):
        raise BadStream("numbers where strings are expected")
    if column.count == 0:
        return Strings(np.zeros(1, np.int64), np.zeros(0, np.uint8))
    offsets = numbers(column.offsets, np.int32, column.count + 1).astype(np.int64)
    octets = np.frombuffer(_content(column.octets), np.uint8)
    if offsets[0] < 0 or offsets[-1] > len(octets) or (np.diff(offsets) < 0).any():
        raise BadStream("offsets that do not ascend within the octets")
    found = Strings(offsets - offsets[0], octets[offsets[0] : offsets[-1]])
    if not _is_utf8(found):
        raise BadStream("a string that is not UTF-8")
    return found


def _content(buffer: EncodedBuffer) -> bytes | memoryview:
    """The buffer, decompressed; never more than it declares."""
    if not buffer.is_compressed:
        return buffer.stored
    decompressor = ZstdDecompressor(options={DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG_MAX})
    try:
        # One byte more than declared, so that a frame that holds more is found out.
        content = decompressor.decompress(buffer.stored, max_length=buffer.size_bytes + 1)
    except ZstdError as error:
        raise BadStream("a frame of zstd that is broken") from error
    if len(content) != buffer.size_bytes or not decompressor.eof:
        raise BadStream("a frame of zstd that is not as long as it declares")
    return content


def _is_utf8(found: Strings) -> bool:
    """Whether every string is: all octets together, and no string begins within a character."""
    try:
        found.octets.tobytes().decode()
    except UnicodeDecodeError:
        return False
    begins = found.offsets[:-1][found.lengths > 0]
    return not ((found.octets[begins] & _CONTINUES_MASK) == _CONTINUES).any()
