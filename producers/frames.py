"""The octets of a spool's segment: entries in frames, each found again whatever happened to those before it.

    93 77 73 70 | escaped( 02 | length u32 | CRC-32 u32 | content )          numbers little-endian

The CRC-32 covers the version (02), the length and the content. Escaping puts a zero behind every `93 77 73` in what
follows the four magic octets, so these four stand nowhere but at the beginning of a frame. A reader splits at them:
damage costs the frames that it touched and no other, no entry is ever read out of the middle of another, and the work
is linear in the octets, be they noise.

The old form is still read: entries one after another, each its length u32, the CRC-32 u32 of its content, and its
content. Nothing marks where an entry begins, so behind damage every offset is tried at which one could.
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
# Searching 4 MiB of noise for entries of the old form computes checksums of 3 GB (length cubed / 6 / 2^32), at 2 GB a
# second. What is built to cost more is given up, and is damage.
SEARCHED_BYTES_MAX = 8 << 30
# Offsets that are looked at in one step.
_SEARCHED_TOGETHER = 16_384


@dataclass(frozen=True, slots=True)
class Damage:
    """The octets `first` to `end` (exclusive) of a segment belong to no intact entry, and those on both sides do.

    is_torn: they are the beginning of a frame that ends with the file, and the file with a page of memory: what a
    process leaves that is killed amid a write, which Linux does page by page. Such an entry was never accepted.
    """

    first: int
    end: int
    is_torn: bool = False


def framed(entry: bytes) -> bytes:
    """The frame of an entry of less than 4 GiB."""
    head = _HEAD.pack(VERSION, len(entry))
    checksum = _CHECKSUM.pack(zlib.crc32(entry, zlib.crc32(head)))
    return MAGIC + (head + checksum + entry).replace(_BEGINS_LIKE_MAGIC, _ESCAPED)


def read_frames(octets: bytes) -> Iterator[bytes | Damage]:
    """Yield the entries of a segment, and what lies between them that is none; all octets are accounted for."""
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
    """Whether the octets from `first` on, of which no entry could be read, are a frame without its end."""
    if len(octets) % PAGE_BYTES or octets.find(MAGIC, first + 1) >= 0:
        return False
    magic, escaped = octets[first : first + len(MAGIC)], octets[first + len(MAGIC) :]
    frame = escaped.replace(_ESCAPED, _BEGINS_LIKE_MAGIC)
    if len(frame) < _CONTENT_FIRST:
        return MAGIC.startswith(magic)
    version, length = _HEAD.unpack_from(frame)
    return magic == MAGIC and version == VERSION and _CONTENT_FIRST + length > len(frame)


def _unframed(escaped: bytes) -> bytes | None:
    """The entry that the octets behind a magic begin with; None if they are damaged."""
    octets = escaped.replace(_ESCAPED, _BEGINS_LIKE_MAGIC)
    if len(octets) < _CONTENT_FIRST:
        return None
    version, length = _HEAD.unpack_from(octets)
    (checksum,) = _CHECKSUM.unpack_from(octets, _HEAD.size)
    entry = octets[_CONTENT_FIRST : _CONTENT_FIRST + length]
    is_intact = zlib.crc32(entry, zlib.crc32(octets[: _HEAD.size])) == checksum
    return entry if is_intact and version == VERSION else None


def read_old_entries(octets: bytes) -> Iterator[bytes | Damage]:
    """Yield the same for a segment of the old form."""
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
    """Finds where intact entries of the old form begin, with bounded work for a whole segment."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._affordable_bytes = SEARCHED_BYTES_MAX

    def end_of(self, first: int) -> int | None:
        """Where the entry at `first` ends; None if there is no intact one. Two zeros are not one of length zero."""
        content_first = first + _OLD_HEAD.size
        if content_first > len(self._octets):
            return None
        length, checksum = _OLD_HEAD.unpack_from(self._octets, first)
        end: int = content_first + length
        is_possible = length > 0 and end <= len(self._octets)
        return end if is_possible and zlib.crc32(memoryview(self._octets)[content_first:end]) == checksum else None

    def next_intact(self, first: int) -> int:
        """The first offset from `first` on where an intact entry begins, or the end."""
        for slice_first in range(first, len(self._octets) - _OLD_HEAD.size, _SEARCHED_TOGETHER):
            for offset, length in self._possible(slice_first):
                self._affordable_bytes -= length
                if self._affordable_bytes < 0:
                    return len(self._octets)
                if self.end_of(offset) is not None:
                    return offset
        return len(self._octets)

    def _possible(self, first: int) -> Iterator[tuple[int, int]]:
        """Some offsets from `first` on that hold a length which fits, and that length."""
        room = len(self._octets) - _OLD_HEAD.size - first
        count = min(_SEARCHED_TOGETHER, room)
        lengths = np.ndarray((count,), dtype="<u4", buffer=self._octets, offset=first, strides=(1,))
        (fitting,) = np.nonzero((lengths > 0) & (lengths <= np.arange(room, room - count, -1)))
        return zip((first + fitting).tolist(), lengths[fitting].tolist(), strict=True)
