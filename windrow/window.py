"""Tumbling five-minute windows of event time: half-open, UTC, aligned to the epoch."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

WINDOW_MS = 300_000


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A window: the event times t with `start_ms <= t < end_ms`."""

    start_ms: int

    def __post_init__(self) -> None:
        """Refuse a start that is not a multiple of the window's length."""
        if self.start_ms % WINDOW_MS:
            raise ValueError(f"{self.start_ms} is not a multiple of {WINDOW_MS} ms")

    @classmethod
    def containing(cls, event_time_ms: int) -> Self:
        """Return the one window that `event_time_ms` belongs to."""
        return cls(event_time_ms // WINDOW_MS * WINDOW_MS)

    @classmethod
    def from_index(cls, index: int) -> Self:
        """Return the window with this `index`; window 0 starts at the epoch."""
        return cls(index * WINDOW_MS)

    @property
    def end_ms(self) -> int:
        """The first instant after the window."""
        return self.start_ms + WINDOW_MS

    @property
    def index(self) -> int:
        """The number of windows between the epoch and this one."""
        return self.start_ms // WINDOW_MS


@lru_cache(maxsize=8)  # a tick asks for its reach several times
def windows_between(start_ms: int, end_ms: int) -> tuple[Window, ...]:
    """Return every window that overlaps `start_ms <= t < end_ms`, ascending; none if the range is empty."""
    if end_ms <= start_ms:
        return ()
    first, last = start_ms // WINDOW_MS, (end_ms - 1) // WINDOW_MS
    return tuple(Window.from_index(index) for index in range(first, last + 1))
