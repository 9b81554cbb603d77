"""A folder on a disk in memory, with a page cache between the process and what survives a loss of power.

    SimulatedFolder   the files, as the system shows them (`octets`) and as they were last synced
      .disk()         a process's view of it: a Disk
      .kill()         the processes are gone: the lock is free, the page cache is still there
      .lose_power()   the page cache is gone as well, in any of the ways in which that happens
      .write_back()   the system has written everything by itself, as it does within about thirty seconds

What was not synced when the power goes (after the ext4 and fsync(2) manual pages; Pillai et al., "All File Systems Are
Not Created Equal", OSDI 2014): the end of a file is missing, torn anywhere, zeros, garbage, or there with zeros in
front of it; what was cut off is back; a file that was made is not there; a rename or removal has not happened. `fsync`
of a file does not keep its name; that takes `fsync` of the folder.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

# What the reordered tail of a file is made of; small, so that small files have several.
BLOCK_BYTES = 64


class ProcessEnded(BaseException):
    """The process is killed within an operation, of which any part has happened."""


@dataclass(slots=True, eq=False)
class SimulatedFile:
    """A file: what the system shows, what was last synced, and how much of that was never cut off since."""

    octets: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    untouched_bytes: int = 0

    def sync(self) -> None:
        """Write it to the medium."""
        self.synced, self.untouched_bytes = bytes(self.octets), len(self.octets)

    def lose_power(self, random: Random) -> None:
        """Leave what was synced, and of the rest what chance leaves."""
        kept = self.synced[: self.untouched_bytes]
        unsynced = bytes(self.octets[self.untouched_bytes :])
        tails = [self.synced[self.untouched_bytes :], *_tails(unsynced, random)]
        self.octets[:] = kept + random.choice(tails)
        self.sync()


@dataclass(frozen=True, slots=True)
class NameChange:
    """`name` came to mean `file` (None: nothing), and `instead_of`, if any, nothing."""

    name: str
    file: SimulatedFile | None
    instead_of: str | None = None

    def happen_to(self, names: dict[str, SimulatedFile]) -> None:
        """Make the change."""
        if self.instead_of is not None:
            names.pop(self.instead_of, None)
        names.pop(self.name, None)
        if self.file is not None:
            names[self.name] = self.file


class SimulatedFolder:
    """See above. `capacity_bytes`: what its files may take together. `broken`: the errno with which an operation fails.

    `ends_in`: after how many more operations that write the process is killed within the next one; None for never.
    """

    def __init__(self, *, capacity_bytes: int | None = None) -> None:
        self.capacity_bytes = capacity_bytes
        self.broken: dict[str, int] = {}
        self.ends_in: int | None = None
        self.names: dict[str, SimulatedFile] = {}
        self._synced_names: dict[str, SimulatedFile] = {}
        self._unsynced_changes: list[NameChange] = []
        self.holder: SimulatedDisk | None = None

    def disk(self) -> "SimulatedDisk":
        """Start a process that uses the folder."""
        return SimulatedDisk(self)

    def kill(self) -> None:
        """End the process that holds the folder; what it wrote is in the page cache."""
        if self.holder is not None:
            self.holder.is_dead = True
        self.holder, self.ends_in = None, None

    def lose_power(self, random: Random) -> None:
        """End the process, and leave of the files what chance leaves."""
        self.kill()
        for change in self._unsynced_changes:
            if random.random() < 0.5:
                change.happen_to(self._synced_names)
        self.names = dict(self._synced_names)
        self._unsynced_changes = []
        for file in self.names.values():
            file.lose_power(random)

    def write_back(self) -> None:
        """Let the system write everything."""
        for file in self.names.values():
            file.sync()
        self.sync_names()

    def sync_names(self) -> None:
        """Write the names to the medium."""
        self._synced_names, self._unsynced_changes = dict(self.names), []

    def flip(self, name: str, at: int, mask: int) -> None:
        """Flip bits of one octet."""
        self.names[name].octets[at] ^= mask

    def change(self, change: NameChange) -> None:
        """Change a name in the page cache."""
        change.happen_to(self.names)
        self._unsynced_changes.append(change)

    def room_bytes(self) -> int | None:
        """How much may still be written; None for any amount."""
        if self.capacity_bytes is None:
            return None
        return max(0, self.capacity_bytes - sum(len(file.octets) for file in self.names.values()))


class SimulatedDisk:
    """The Disk of one process."""

    def __init__(self, folder: SimulatedFolder) -> None:
        self._folder = folder
        self.is_dead = False

    def __str__(self) -> str:
        return "simulated folder"

    def lock(self) -> None:
        self._begin("lock")
        if self._folder.holder is not None:
            raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))
        self._folder.holder = self

    def sizes(self) -> dict[str, int]:
        self._begin("sizes")
        return {name: len(file.octets) for name, file in self._folder.names.items()}

    def append(self, name: str, octets: bytes) -> int:
        self._begin("append")
        if name not in self._folder.names:
            self._write(lambda: self._folder.change(NameChange(name, SimulatedFile())))
        room_bytes = self._folder.room_bytes()
        written = octets if room_bytes is None else octets[:room_bytes]
        if not written and octets:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        # Killed within this one, it has written some of it, which the page cache keeps in order.
        file = self._folder.names[name]
        self._write(lambda: file.octets.extend(written), lambda: file.octets.extend(written[: len(written) // 2]))
        return len(written)

    def truncate(self, name: str, *, size_bytes: int) -> None:
        self._begin("truncate")
        file = self._file(name)

        def cut() -> None:
            del file.octets[size_bytes:]
            file.untouched_bytes = min(file.untouched_bytes, size_bytes)

        self._write(cut)

    def sync(self, name: str) -> None:
        self._begin("sync")
        self._write(self._file(name).sync)

    def sync_folder(self) -> None:
        self._begin("sync_folder")
        self._write(self._folder.sync_names)

    def read(self, name: str) -> bytes:
        self._begin("read")
        return bytes(self._file(name).octets)

    def rename(self, name: str, *, to: str) -> None:
        self._begin("rename")
        change = NameChange(to, self._file(name), instead_of=name)
        self._write(lambda: self._folder.change(change))

    def remove(self, name: str) -> None:
        self._begin("remove")
        self._file(name)
        self._write(lambda: self._folder.change(NameChange(name, None)))

    def close(self) -> None:
        if self._folder.holder is self:
            self._folder.holder = None

    def _begin(self, operation: str) -> None:
        if self.is_dead:
            raise ProcessEnded
        if operation in self._folder.broken:
            number = self._folder.broken[operation]
            raise OSError(number, os.strerror(number))

    def _write(self, action: Callable[[], None], half: Callable[[], None] | None = None) -> None:
        """Perform `action`, or die within it: before, halfway if there is a `half`, or after it."""
        if self._folder.ends_in is None:
            action()
            return
        steps = [lambda: None, action] if half is None else [lambda: None, half, action]
        if self._folder.ends_in >= len(steps):
            self._folder.ends_in -= len(steps)
            action()
            return
        steps[self._folder.ends_in]()
        self._folder.kill()
        raise ProcessEnded

    def _file(self, name: str) -> SimulatedFile:
        try:
            return self._folder.names[name]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name) from None


def _tails(octets: bytes, random: Random) -> list[bytes]:
    """What may be there of octets that were not synced."""
    cut = random.randint(0, len(octets))
    block_first = random.randint(0, len(octets) // BLOCK_BYTES) * BLOCK_BYTES
    block_end = min(len(octets), block_first + BLOCK_BYTES)
    return [
        b"",
        octets,
        octets[:cut],
        bytes(len(octets)),
        octets[:cut] + bytes(len(octets) - cut),
        octets[:cut] + bytes(random.randint(1, 2 * BLOCK_BYTES)),
        octets[:cut] + random.randbytes(len(octets) - cut),
        octets[:block_first] + bytes(block_end - block_first) + octets[block_end:],
    ]
