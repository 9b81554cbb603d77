"""The file operations that a spool needs in its folder."""

import contextlib
import errno
import fcntl
import io
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

_LOCK = "lock"
# Readings that wait to be sent are private to the user.
_FOLDER_MODE = 0o700
_FILE_MODE = 0o600


class Disk(Protocol):
    """A folder that one process uses. Every method raises OSError as the operating system does."""

    def __str__(self) -> str:
        """Name the folder, for messages."""
        ...

    def lock(self) -> None:
        """Make the folder and lock it until `close` or the end of the process; BlockingIOError if another holds it."""
        ...

    def sizes(self) -> dict[str, int]:
        """Return the bytes of everything in the folder, by name."""
        ...

    def append(self, name: str, octets: bytes) -> int:
        """Write to the end of a file, which is made if needed; return how many bytes were written."""
        ...

    def truncate(self, name: str, *, size_bytes: int) -> None:
        """Cut a file off after its first `size_bytes`."""
        ...

    def sync(self, name: str) -> None:
        """Wait until a file's content survives a loss of power. Its name does so only after `sync_folder`."""
        ...

    def sync_folder(self) -> None:
        """Wait until the names in the folder survive a loss of power."""
        ...

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        ...

    def rename(self, name: str, *, to: str) -> None:
        """Give a file another name."""
        ...

    def remove(self, name: str) -> None:
        """Delete a file."""
        ...

    def close(self) -> None:
        """Release the folder. In a child of a fork, the parent keeps its lock."""
        ...


class LocalDisk:
    """A folder of the local file system. The file last appended to stays open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: io.FileIO | None = None
        self._appended: tuple[str, io.FileIO] | None = None

    def __str__(self) -> str:
        """Name the folder."""
        return str(self._folder)

    def lock(self) -> None:
        """Make the folder, with mode 0700, if needed, and take an exclusive `flock` on its file `lock`."""
        _make_folder(self._folder)
        lock = _opened(self._folder / _LOCK, os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise
        self._lock = lock
        _held.add(self)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of everything in the folder, by name; for a link, of the link itself."""
        found = {}
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # someone else removed it after it was listed
                found[path.name] = path.lstat().st_size
        return found

    def append(self, name: str, octets: bytes) -> int:
        """Write in one unbuffered system call, so what was written survives the process."""
        if self._appended is None or self._appended[0] != name:
            self._end_appending()
            self._appended = name, _opened(self._folder / name, os.O_CREAT | os.O_APPEND)
        return os.write(self._appended[1].fileno(), octets)

    def truncate(self, name: str, *, size_bytes: int) -> None:
        """Cut a file off after its first `size_bytes`."""
        with self._borrowed(name) as file:
            os.ftruncate(file.fileno(), size_bytes)

    def sync(self, name: str) -> None:
        """Wait for `fsync` of a file."""
        with self._borrowed(name) as file:
            os.fsync(file.fileno())

    def sync_folder(self) -> None:
        """Wait for `fsync` of the folder."""
        _sync(self._folder)

    def read(self, name: str) -> bytes:
        """Return the content of a file; OSError if it is not a regular file, since reading a pipe would block."""
        path = self._folder / name
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "not a file", str(path))
        return path.read_bytes()

    def rename(self, name: str, *, to: str) -> None:
        """Give a file another name."""
        self._end_appending(name)
        (self._folder / name).rename(self._folder / to)

    def remove(self, name: str) -> None:
        """Delete a file."""
        self._end_appending(name)
        (self._folder / name).unlink()

    def close(self) -> None:
        """Close what is open. In a child of a fork this happened at its start, since it would share the lock."""
        self._end_appending()
        if self._lock is not None:
            self._lock.close()
        self._lock = None
        _held.discard(self)

    @contextlib.contextmanager
    def _borrowed(self, name: str) -> Iterator[io.FileIO]:
        """Give the file that is being appended to, or open the file for the duration."""
        if self._appended is not None and self._appended[0] == name:
            yield self._appended[1]
            return
        with _opened(self._folder / name, 0) as file:
            yield file

    def _end_appending(self, name: str | None = None) -> None:
        if self._appended is not None and name in {None, self._appended[0]}:
            opened, self._appended = self._appended[1], None
            opened.close()


def _opened(path: Path, flags: int) -> io.FileIO:
    """Open a file for writing, without following links; the last reference to it closes it."""
    return io.FileIO(os.open(path, os.O_WRONLY | os.O_NOFOLLOW | flags, _FILE_MODE), "wb")


def _make_folder(folder: Path) -> None:
    """Make the folder and those above it, and sync them, so that all survive a loss of power."""
    if folder.is_dir():
        return
    missing = [folder]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for path in reversed(missing):
        path.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        _sync(path.parent)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


# A child of a fork closes its copies at once: otherwise it would go on holding the lock after its parent has ended.
_held: "weakref.WeakSet[LocalDisk]" = weakref.WeakSet()


def _let_go_after_fork() -> None:
    for disk in list(_held):
        disk.close()


os.register_at_fork(after_in_child=_let_go_after_fork)
