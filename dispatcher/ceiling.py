"""What a roll may take of a run's memory, local disk and time, and how near it came to having to stop.

A roll that would take more stops with BeyondCeiling before the system stops the whole run: its window is reported with
the reason, and the run goes on with the others.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from windrow.timestamps import format_rfc3339, parse_rfc3339_ms
from windrow.window import Window

MIB = 1 << 20
ROLL_BYTES = 400 * MIB
"""Memory of a roll whatever its window holds: the process, what is read at once, the rows of a batch."""
READING_BYTES = 150
"""Memory for each reading of a range while it is united. bench/ceilings.py measures both."""
SURE_AFTER_SHARE = 0.05
"""So much of what is read must have been read before a roll is given up because the rest would take too long."""
SLOW_START = 1.5
"""And it must be so many times too long, because requests are slower at first."""
END_MS = 10_000
"""What a run keeps to itself for its report, or a twentieth of the run if that is less."""
NEAR_PERCENT = 70
"""From here on a window is near a ceiling: `windrow tick` says so, and the alarm of the template rings."""


class Means(StrEnum):
    """What a run has only so much of; as a value, the parameter of the template that says how much."""

    MEMORY = "DispatcherMemoryMb"
    DISK = "DispatcherDiskMb"
    TIME = "DispatcherTimeoutSeconds"

    @property
    def noun(self) -> str:
        """What people call it."""
        return {Means.MEMORY: "memory", Means.DISK: "local disk", Means.TIME: "time"}[self]


class BeyondCeiling(Exception):  # noqa: N818 - the domain's noun
    """A roll would take more than its run has; the message says of what, why, and which parameter to raise.

    `is_for_now` says that a run that begins with this window has enough.
    """

    def __init__(self, message: str, *, is_for_now: bool = False) -> None:
        """Say what is wrong."""
        super().__init__(message)
        self.is_for_now = is_for_now


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """What a run has: bytes of memory and of local disk, and milliseconds; `remaining_ms` tells what is left."""

    memory_bytes: int = sys.maxsize
    disk_bytes: int = sys.maxsize
    run_ms: int = sys.maxsize
    remaining_ms: Callable[[], int] = lambda: sys.maxsize


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """How near the roll of a window came to a ceiling, in percent of what the run has; more if it had to stop."""

    window: Window
    means: Means
    percent: int

    def to_fields(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return {"window": format_rfc3339(self.window.start_ms), "parameter": self.means.value, "percent": self.percent}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> "Nearest":
        """Undo `to_fields`."""
        window = Window(parse_rfc3339_ms(fields["window"]))
        return cls(window=window, means=Means(fields["parameter"]), percent=fields["percent"])


class Use:
    """What one roll has taken so far; each method is told of more, and raises BeyondCeiling before it is too much."""

    def __init__(self, ceiling: Ceiling | None = None) -> None:
        """Begin with nothing, now."""
        self._ceiling = ceiling or Ceiling()
        self._left_ms_at_start = self._ceiling.remaining_ms()
        self._disk_bytes = 0
        self._percent: dict[Means, float] = {Means.MEMORY: 100 * ROLL_BYTES / self._ceiling.memory_bytes}

    def nearest(self, window: Window) -> Nearest:
        """Return what came nearest to its ceiling."""
        means = max(self._percent, key=lambda one: self._percent[one])
        return Nearest(window=window, means=means, percent=int(self._percent[means]))

    def write(self, size_bytes: int) -> None:
        """Take so much more of the local disk; less if it is negative."""
        self._disk_bytes += size_bytes
        self._take(Means.DISK, self._disk_bytes / self._ceiling.disk_bytes)
        if self._disk_bytes > self._ceiling.disk_bytes:
            raise BeyondCeiling(
                f"its readings take more than the {self._ceiling.disk_bytes / MIB:,.0f} MB of local disk that there"
                f" are: raise {Means.DISK}"
            )

    def unite(self, readings: int, sensor: Callable[[], str]) -> None:
        """Take memory for so many readings at once, those of a range; `sensor` tells the first in it."""
        needed = ROLL_BYTES + READING_BYTES * readings
        self._take(Means.MEMORY, needed / self._ceiling.memory_bytes)
        if needed > self._ceiling.memory_bytes:
            raise BeyondCeiling(
                f"{readings:,} readings of the sensor {sensor()!r} take about {needed / MIB:,.0f} MB of memory, there"
                f" are {self._ceiling.memory_bytes / MIB:,.0f}: raise {Means.MEMORY}"
            )

    def read(self, done_bytes: int, of_bytes: int) -> None:
        """Say how much has been read of all that has to be."""
        spent_ms, run_ms = self._spent_ms(), self._ceiling.run_ms
        share = done_bytes / of_bytes if of_bytes else 1.0
        if share >= SURE_AFTER_SHARE and spent_ms / share > SLOW_START * run_ms:
            self._take(Means.TIME, spent_ms / share / run_ms)
            raise BeyondCeiling(
                f"to read it takes about {spent_ms / share / 1_000:,.0f} s, a run has {run_ms / 1_000:,.0f}:"
                f" raise {Means.TIME}, or {Means.MEMORY}, which also makes it faster"
            )
        self.go_on()

    def go_on(self) -> None:
        """Stop if the run is about to end."""
        if self._ceiling.remaining_ms() > min(END_MS, self._ceiling.run_ms // 20):
            return
        self._take(Means.TIME, 1.0)
        spent_s, run_s = self._spent_ms() / 1_000, self._ceiling.run_ms / 1_000
        # What came before the roll (the plan, windows before this one) is not its own.
        is_for_now = self._left_ms_at_start < 0.8 * self._ceiling.run_ms
        raise BeyondCeiling(
            f"its roll was not through after {spent_s:,.0f} s, and the run of {run_s:,.0f} s was over"
            + ("" if is_for_now else f": raise {Means.TIME}, or {Means.MEMORY}, which also makes it faster"),
            is_for_now=is_for_now,
        )

    def end(self) -> None:
        """Take the time until now."""
        self._take(Means.TIME, self._spent_ms() / self._ceiling.run_ms)

    def _spent_ms(self) -> int:
        return self._left_ms_at_start - self._ceiling.remaining_ms()

    def _take(self, means: Means, share: float) -> None:
        self._percent[means] = max(self._percent.get(means, 0.0), 100 * share)
