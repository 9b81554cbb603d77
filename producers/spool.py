"""A bounded spool on local disk: entries that survive a killed process, until they are removed.

    <folder>/lock              held by the one process that uses the folder
    <folder>/00000017.spool    a segment: entries one after another

An entry is its length and its CRC-32, both as four bytes, little-endian, and its bytes. It is handed to the operating
system in one write before `append` returns, so it survives the process; a loss of power may take the last seconds,
unless `is_synced`. What a killed process left half written at the end of a segment was never accepted, and is not read.
"""

import fcntl
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from windrow.errors import WindrowError

SPOOL_BYTES_MAX = 256 * 1024 * 1024
# A segment is removed as a whole, when the stream has all of it.
SEGMENT_BYTES = 4 * 1024 * 1024
_HEAD = struct.Struct("<II")
_SUFFIX = ".spool"


class SpoolFull(WindrowError):  # noqa: N818 - what happened to the spool
    """There is no room for another entry."""


class Spool:
    """Segments in a folder. Not thread-safe; another process that uses the folder is refused."""

    def __init__(
        self,
        folder: Path,
        *,
        bytes_max: int = SPOOL_BYTES_MAX,
        segment_bytes: int = SEGMENT_BYTES,
        is_synced: bool = False,
    ) -> None:
        """Makes the folder; finds what an earlier process left. WindrowError when another one holds it."""
        self._folder = folder
        self._bytes_max = bytes_max
        self._segment_bytes = segment_bytes
        self._is_synced = is_synced
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = self._locked(folder)
        self._sizes = {int(path.stem): path.stat().st_size for path in folder.glob(f"*{_SUFFIX}")}
        self._next = max(self._sizes, default=0) + 1
        self._open: BinaryIO | None = None
        self._open_bytes = 0

    @property
    def size_bytes(self) -> int:
        """All segments together."""
        return sum(self._sizes.values()) + self._open_bytes

    @property
    def is_segment_full(self) -> bool:
        """Whether it is time to seal."""
        return self._open_bytes >= self._segment_bytes

    def append(self, entry: bytes) -> None:
        """Keep an entry; SpoolFull when it does not fit."""
        framed = _HEAD.pack(len(entry), zlib.crc32(entry)) + entry
        if self.size_bytes + len(framed) > self._bytes_max:
            message = f"the spool in {self._folder} is full: {self.size_bytes} of {self._bytes_max} bytes"
            raise SpoolFull(message, hint="give it more room, or see why the stream does not answer")
        if self._open is None:
            self._open = self._path(self._next).open("xb", buffering=0)
        try:
            written = self._open.write(framed)
        except OSError as error:
            self._drop_half_written()
            raise WindrowError(f"the spool in {self._folder}: {error}", hint="make room on the disk") from error
        if written != len(framed):
            self._drop_half_written()
            raise WindrowError(f"the spool in {self._folder}: a write was cut short", hint="make room on the disk")
        if self._is_synced:
            os.fsync(self._open.fileno())
        self._open_bytes += len(framed)

    def seal(self) -> list[int]:
        """End the segment that is written to; all segments there are, oldest first."""
        if self._open is not None:
            self._open.close()
            self._sizes[self._next] = self._open_bytes
            self._open, self._open_bytes, self._next = None, 0, self._next + 1
        return sorted(self._sizes)

    def entries(self, segment: int) -> Iterator[bytes]:
        """The entries of a sealed segment, up to where it was left half written."""
        content = self._path(segment).read_bytes()
        first = 0
        while first + _HEAD.size <= len(content):
            length, checksum = _HEAD.unpack_from(content, first)
            entry = content[first + _HEAD.size : first + _HEAD.size + length]
            if len(entry) < length or zlib.crc32(entry) != checksum:
                return
            yield entry
            first += _HEAD.size + length

    def remove(self, segment: int) -> None:
        """The stream has all of a sealed segment."""
        self._path(segment).unlink()
        del self._sizes[segment]

    def close(self) -> None:
        """Leave the folder to others; what is in it stays."""
        self.seal()
        self._lock.close()

    def _path(self, segment: int) -> Path:
        return self._folder / f"{segment:08}{_SUFFIX}"

    def _drop_half_written(self) -> None:
        assert self._open is not None  # noqa: S101 - called while it is
        self._open.truncate(self._open_bytes)
        self._open.seek(self._open_bytes)

    @staticmethod
    def _locked(folder: Path) -> BinaryIO:
        lock = (folder / "lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise WindrowError(f"another process uses the spool in {folder}", hint="give each its own") from error
        return lock
