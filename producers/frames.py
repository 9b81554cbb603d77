"""The format of a spool's segment: entries in frames, each of which can be found whatever happened to those before it.

    93 77 73 70 | escaped( 02 | length u32 | CRC-32 u32 | content )          numbers little-endian

The CRC-32 covers the version (02), the length and the content. Escaping inserts a zero after every `93 77 73` in what
follows the four magic bytes, so these four occur only at the beginning of a frame. A reader splits at them: damage
costs only the frames it touched, no entry is ever read out of the middle of another, and the work is linear in the
bytes, even if they are noise.

The old format is still read: entries one after another, each its length u32, the CRC-32 u32 of its content, and its
content. Nothing marks where an entry begins, so after damage every possible offset is tried.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

MAGIC = b"\x93wsp"
VERSION = 2
# The smallest unit in which a write may be cut short: write(2) copies into the page cache page by page.
PAGE_BYTES = 4096
_BEGINS_LIKE_MAGIC = MAGIC[:3]
_ESCAPED = _BEGINS_LIKE_MAGIC + b"\0"
_HEAD = struct.Struct("<BI")
_CHECKSUM = struct.Struct("<I")
_CONTENT_FIRST = _HEAD.size + _CHECKSUM.size
_OLD_HEAD = struct.Struct("<II")
# Searching 4 MiB of noise for entries of the old format computes checksums of 3 GB (length cubed / 6 / 2^32), at
# 2 GB/s. Beyond this bound, which only crafted input reaches, the search stops, and the rest counts as damage.
SEARCHED_BYTES_MAX = 8 << 30
# Offsets that are examined in one step.
_SEARCHED_TOGETHER = 16_384


@dataclass(frozen=True, slots=True)
class Damage:
    """A stretch of a segment between intact entries: the bytes from `first` to `end` (exclusive).

    is_torn: the stretch is the beginning of a frame cut off at the end of the file, at a multiple of a memory page. A
    process killed during a write leaves this, because Linux writes page by page. Such an entry was never accepted.
    """

    first: int
    end: int
    is_torn: bool = False


def framed(entry: bytes) -> bytes:
    """Frame an entry of less than 4 GiB."""
    head = _HEAD.pack(VERSION, len(entry))
    checksum = _CHECKSUM.pack(zlib.crc32(entry, zlib.crc32(head)))
    return MAGIC + (head + checksum + entry).replace(_BEGINS_LIKE_MAGIC, _ESCAPED)


def read_frames(octets: bytes) -> Iterator[bytes | Damage]:
    """Yield the entries of a segment, and the damage between them; together they cover every byte."""
    first, intact_end = octets.find(MAGIC), 0
    while first >= 0:
        end = octets.find(MAGIC, first + len(MAGIC))
        entry = _unframed(octets[first + len(MAGIC) : len(octets) if end < 0 else end])
        if entry is not None:
            if first > intact_end:
                yield Damage(intact_end, first)
            yield entry
            intact_end = first + len(framed(entry))
        first = end
    if intact_end < len(octets):
        yield Damage(intact_end, len(octets), is_torn=_is_torn(octets, intact_end))


def _is_torn(octets: bytes, first: int) -> bool:
    """Return whether the bytes from `first`, in which no entry could be read, are a frame without its end."""
    if len(octets) % PAGE_BYTES or octets.find(MAGIC, first + 1) >= 0:
        return False
    magic, escaped = octets[first : first + len(MAGIC)], octets[first + len(MAGIC) :]
    frame = escaped.replace(_ESCAPED, _BEGINS_LIKE_MAGIC)
    if len(frame) < _CONTENT_FIRST:
        return MAGIC.startswith(magic)
    version, length = _HEAD.unpack_from(frame)
    return magic == MAGIC and version == VERSION and _CONTENT_FIRST + length > len(frame)


def _unframed(escaped: bytes) -> bytes | None:
    """Return the entry at the start of the bytes after a magic; None if it is damaged."""
    octets = escaped.replace(_ESCAPED, _BEGINS_LIKE_MAGIC)
    if len(octets) < _CONTENT_FIRST:
        return None
    version, length = _HEAD.unpack_from(octets)
    (checksum,) = _CHECKSUM.unpack_from(octets, _HEAD.size)
    entry = octets[_CONTENT_FIRST : _CONTENT_FIRST + length]
    is_intact = zlib.crc32(entry, zlib.crc32(octets[: _HEAD.size])) == checksum
    return entry if is_intact and version == VERSION else None


def read_old_entries(octets: bytes) -> Iterator[bytes | Damage]:
    """Yield the entries and the damage of a segment of the old format, as `read_frames` does."""
    search = _OldSearch(octets)
    first = 0
    while first < len(octets):
        end = search.end_of(first)
        if end is None:
            intact = search.next_intact(first + 1)
            yield Damage(first, intact)
            first = intact
        else:
            yield octets[first + _OLD_HEAD.size : end]
            first = end


class _OldSearch:
    """A search for the intact entries of the old format, with bounded work for a whole segment."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._affordable_bytes = SEARCHED_BYTES_MAX

    def end_of(self, first: int) -> int | None:
        """Return where the intact entry at `first` ends; None if there is none. Zeros are not an empty entry."""
        content_first = first + _OLD_HEAD.size
        if content_first > len(self._octets):
            return None
        length, checksum = _OLD_HEAD.unpack_from(self._octets, first)
        end: int = content_first + length
        is_possible = length > 0 and end <= len(self._octets)
        return end if is_possible and zlib.crc32(memoryview(self._octets)[content_first:end]) == checksum else None

    def next_intact(self, first: int) -> int:
        """Return the first offset from `first` where an intact entry begins, or the end."""
        for slice_first in range(first, len(self._octets) - _OLD_HEAD.size, _SEARCHED_TOGETHER):
            for offset, length in self._possible(slice_first):
                self._affordable_bytes -= length
                if self._affordable_bytes < 0:
                    return len(self._octets)
                if self.end_of(offset) is not None:
                    return offset
        return len(self._octets)

    def _possible(self, first: int) -> Iterator[tuple[int, int]]:
        """Yield the next offsets from `first` that hold a length that fits, with that length."""
        room = len(self._octets) - _OLD_HEAD.size - first
        count = min(_SEARCHED_TOGETHER, room)
        lengths = np.ndarray((count,), dtype="<u4", buffer=self._octets, offset=first, strides=(1,))
        (fitting,) = np.nonzero((lengths > 0) & (lengths <= np.arange(room, room - count, -1)))
        return zip((first + fitting).tolist(), lengths[fitting].tolist(), strict=True)
