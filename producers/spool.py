"""A bounded spool on local disk: entries that survive the process until they are removed.

    <folder>/lock                held by the one process that uses the folder
    <folder>/00000017.segment    a segment: entries one after another, in the frames of `producers.frames`
    <folder>/00000017.spool      a segment of the old format
    <folder>/00000016.damaged    every byte of a segment that was removed but could not be read completely

An entry is handed to the operating system in one write before `append` returns, so it survives the process. A loss of
power may take what the system had not yet written back (the last seconds), unless the spool `is_synced`.

Damage to a segment costs only the entries it touched. It is counted and logged, and never stops the rest. No byte of it
is deleted: the segment is kept as `*.damaged` for inspection. This includes the half-written or zeroed end that a loss
of power leaves. Files with other names are left alone.
"""

import contextlib
import errno
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from producers.damage import SegmentDamage
from producers.disk import Disk, LocalDisk
from producers.frames import Damage, framed, read_frames, read_old_entries
from windrow.errors import WindrowError

_logger = logging.getLogger("windrow.producers.spool")
SPOOL_BYTES_MAX = 256 * 1024 * 1024
# Segments are only removed whole, when the stream has everything in them.
SEGMENT_BYTES = 4 * 1024 * 1024
_NAME = re.compile(r"([0-9]{8,})\.(segment|spool|damaged)", re.ASCII)


class SpoolFull(WindrowError):  # noqa: N818 - reads better where it is caught
    """An entry did not fit: the spool has no room for it."""


class Spool:
    """Segments in a folder that belongs to one process.

    All of its files together stay within `bytes_max`. Damaged ones count too: delete them if they take the room.
    Not thread-safe, but `entries` and `refuse` may run in one thread while another appends. After a fork the parent
    continues to use it; the child can only close it.
    """

    def __init__(
        self,
        folder: Path | Disk,
        *,
        bytes_max: int = SPOOL_BYTES_MAX,
        segment_bytes: int = SEGMENT_BYTES,
        is_synced: bool = False,
    ) -> None:
        """Make the folder, or find what an earlier process left. WindrowError if another process holds it."""
        self._disk = LocalDisk(folder) if isinstance(folder, Path) else folder
        self._bytes_max = bytes_max
        self._segment_bytes = segment_bytes
        self._is_synced = is_synced
        self._process_id = os.getpid()
        self._is_closed = False
        self._open_bytes = 0
        self._damaged = 0
        self._lost = 0
        self._damage: dict[int, SegmentDamage] = {}
        self._sizes = _locked_sizes(self._disk)
        self._size_bytes = sum(self._sizes.values())
        self._names, self._next = _numbered(self._sizes)

    @property
    def size_bytes(self) -> int:
        """Return the bytes of all files, including damaged ones."""
        return self._size_bytes

    @property
    def damaged(self) -> int:
        """Return how many damaged places this process found: gaps between intact entries, and refused entries."""
        return self._damaged

    @property
    def lost(self) -> int:
        """Return how many of them may have held an accepted entry: all but the torn ends that a kill leaves."""
        return self._lost

    def append(self, entry: bytes) -> None:
        """Keep an entry; SpoolFull if it does not fit, WindrowError if it could not be written.

        An entry that could not be written is not kept, and earlier entries are untouched.
        """
        self._check()
        octets = framed(entry)
        if self._size_bytes + len(octets) > self._bytes_max:
            self._look_for_room()
        if self._size_bytes + len(octets) > self._bytes_max:
            message = f"the spool in {self._disk} is full: {self._size_bytes} of {self._bytes_max} bytes"
            hint = "raise spool_bytes_max, delete *.damaged there, or see why the stream does not answer"
            raise SpoolFull(message, hint=hint)
        try:
            self._write(octets)
        except OSError as error:
            self._drop_tail(len(octets))
            message = f"the spool in {self._disk} cannot be written: {error}"
            raise WindrowError(message, hint="check the disk, or free space on it") from error
        except BaseException:  # from a signal handler, at any point: how much was written is unknown
            self._leave_segment(len(octets))
            raise
        if self._open_bytes >= self._segment_bytes:
            self._end_segment()

    def seal(self) -> list[int]:
        """End the current segment; return all segments, oldest first, without the damaged ones set aside."""
        self._check()
        self._end_segment()
        return sorted(self._names)

    def entries(self, segment: int) -> Iterator[bytes]:
        """Yield the intact entries of a sealed segment, in order, and count the damage found on the way.

        A file that cannot be read yields none, and is damaged as a whole.
        """
        name = self._names[segment]
        damage = self._damage.setdefault(segment, SegmentDamage(name))
        damage.begin_reading()
        try:
            octets = self._disk.read(name)
        except OSError as error:
            damage.unread = str(error)
            more = damage.add(Damage(0, self._sizes.get(name, 0)))
            self._damaged += more
            self._lost += more
            return
        for part in read_old_entries(octets) if name.endswith(".spool") else read_frames(octets):
            if isinstance(part, Damage):
                more = damage.add(part)
                self._damaged += more
                self._lost += 0 if part.is_torn else more
            else:
                yield part

    def refuse(self, segment: int, why: str) -> None:
        """Count an intact entry that the caller could not use, so that its segment is kept as damaged.

        Reading the segment again and refusing the entry again does not count twice.
        """
        more = self._damage.setdefault(segment, SegmentDamage(self._names[segment])).refuse(why)
        self._damaged += more
        self._lost += more

    def remove(self, segment: int) -> None:
        """Delete a segment of which the stream has all readable entries, or set it aside if it is damaged.

        If that fails, the file stays; this process ignores it, and the next one reads it again.
        """
        self._check()
        name = self._names.pop(segment)
        damage = self._damage.pop(segment, None)
        if damage:
            self._set_aside(segment, damage)
            return
        try:
            self._disk.remove(name)
        except FileNotFoundError:
            pass
        except OSError as error:
            _logger.error("%s in %s is sent, but could not be deleted: %s", name, self._disk, error)
            return
        self._resize(name, 0)

    def close(self) -> None:
        """Release the folder, with what is in it. In a child of a fork, the parent keeps it."""
        if self._is_closed:
            return
        self._is_closed = True
        if os.getpid() == self._process_id:
            for damage in filter(None, self._damage.values()):
                self._log_damage(damage, "it stays, because its intact entries are not sent yet")
        self._disk.close()

    def _check(self) -> None:
        if os.getpid() != self._process_id:
            message = f"the spool in {self._disk} was used after a fork, and belongs to the parent process"
            raise WindrowError(message, hint="make the producer after the fork, in the process that uses it")
        if self._is_closed:
            raise WindrowError(f"the spool in {self._disk} is closed")

    def _write(self, octets: bytes) -> None:
        name = _segment_name(self._next)
        if self._disk.append(name, octets) != len(octets):
            raise OSError(errno.ENOSPC, "a write was cut short", name)
        if self._is_synced:
            self._disk.sync(name)
            if not self._open_bytes:
                self._disk.sync_folder()
        self._open_bytes += len(octets)
        self._resize(name, self._open_bytes)

    def _drop_tail(self, frame_bytes: int) -> None:
        """Cut off a frame that was not written completely; if that fails too, go on in another segment."""
        try:
            self._disk.truncate(_segment_name(self._next), size_bytes=self._open_bytes)
        except OSError:
            self._leave_segment(frame_bytes)

    def _leave_segment(self, frame_bytes: int) -> None:
        """End the segment, which may hold part of a rejected frame after its last entry."""
        tail_bytes = frame_bytes
        with contextlib.suppress(OSError):
            tail_bytes = self._disk.sizes().get(_segment_name(self._next), 0) - self._open_bytes
        self._end_segment(max(0, tail_bytes))

    def _end_segment(self, tail_bytes: int = 0) -> None:
        """Start the next segment, if this one holds anything."""
        if not self._open_bytes and not tail_bytes:
            return
        name = _segment_name(self._next)
        self._names[self._next] = name
        self._resize(name, self._open_bytes + tail_bytes)
        self._open_bytes, self._next = 0, self._next + 1

    def _set_aside(self, segment: int, damage: SegmentDamage) -> None:
        kept_as, size_bytes = f"{segment:08}.damaged", self._sizes.get(damage.name, 0)
        try:
            self._disk.rename(damage.name, to=kept_as)
        except FileNotFoundError:
            self._log_damage(damage, "it is gone")
            self._resize(damage.name, 0)
        except OSError as error:
            self._log_damage(damage, f"it could not be renamed, and stays until the next start: {error}")
        else:
            self._log_damage(damage, f"it is kept as {kept_as}")
            self._resize(damage.name, 0)
            self._resize(kept_as, size_bytes)
            if self._is_synced:
                with contextlib.suppress(OSError):  # if a loss of power undoes the renaming, it is done again
                    self._disk.sync_folder()

    def _log_damage(self, damage: SegmentDamage, outcome: str) -> None:
        description = damage.description(size_bytes=self._sizes.get(damage.name, 0))
        _logger.error("%s in %s is damaged: %s; %s", damage.name, self._disk, description, outcome)

    def _look_for_room(self) -> None:
        """Count damaged files out that were deleted meanwhile, as the hint of SpoolFull suggests."""
        with contextlib.suppress(OSError):
            found = self._disk.sizes()
            for name in [name for name in self._sizes if name.endswith(".damaged") and name not in found]:
                self._resize(name, 0)

    def _resize(self, name: str, size_bytes: int) -> None:
        self._size_bytes += size_bytes - self._sizes.pop(name, 0)
        if size_bytes:
            self._sizes[name] = size_bytes


def _locked_sizes(disk: Disk) -> dict[str, int]:
    """Lock the folder; return the sizes of the spool's files in it, by name."""
    try:
        disk.lock()
        return {name: size_bytes for name, size_bytes in disk.sizes().items() if _NAME.fullmatch(name)}
    except BlockingIOError as error:
        message = f"another process uses the spool in {disk}"
        raise WindrowError(message, hint="give each process a folder of its own") from error
    except OSError as error:
        disk.close()
        message = f"the spool in {disk} cannot be used: {error}"
        raise WindrowError(message, hint="choose a folder that this user can write to") from error


def _numbered(names: dict[str, int]) -> tuple[dict[int, str], int]:
    """Return the segments among `names` by number, and the next number, which is above all of theirs.

    Of two files with one number the second gets a new number, so that neither is ever renamed over the other.
    """
    numbers = sorted((int(name.partition(".")[0]), name) for name in names)
    following = numbers[-1][0] + 1 if numbers else 1
    segments: dict[int, str] = {}
    taken = {number for number, name in numbers if name.endswith(".damaged")}
    for number, name in numbers:
        if name.endswith(".damaged"):
            continue
        if number in taken:
            segments[following], following = name, following + 1
        else:
            segments[number] = name
            taken.add(number)
    return segments, following


def _segment_name(number: int) -> str:
    return f"{number:08}.segment"
