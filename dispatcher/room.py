"""Room in memory and on local disk for the work that several threads do at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

ROOM_BYTES = 32 << 20
"""Bytes of objects in S3 that windows and periods under way may read together; decoded, they take ten times as much."""


class Room:
    """Lets work in while all that is under way reads at most `bytes_max`; what reads more than that goes in alone.

    So small windows are rolled side by side, and the memory and disk for a large one are those of one roll.
    """

    def __init__(self, bytes_max: int = ROOM_BYTES) -> None:
        """Begin empty."""
        self._bytes_max = bytes_max
        self._bytes_free = bytes_max
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, size_bytes: int) -> Iterator[None]:
        """Wait until there is room for `size_bytes`, and hold it for as long as the context lasts."""
        held = min(size_bytes, self._bytes_max)
        with self._changed:
            self._changed.wait_for(lambda: held <= self._bytes_free)
            self._bytes_free -= held
        try:
            yield
        finally:
            with self._changed:
                self._bytes_free += held
                self._changed.notify_all()
