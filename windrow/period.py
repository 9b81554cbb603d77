"""Hours and days: coarser windows that are merged from finer ones. Half-open, UTC, aligned to the epoch."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from windrow.window import WINDOW_MS

HOUR_MS = 3_600_000
DAY_MS = 86_400_000


class Grain(StrEnum):
    """The length of a period; the value is the suffix of its tables."""

    HOUR = "1h"
    DAY = "1d"

    @property
    def length_ms(self) -> int:
        """The length of a period."""
        return HOUR_MS if self is Grain.HOUR else DAY_MS

    @property
    def part_ms(self) -> int:
        """The length of the parts it is merged from: windows for an hour, hours for a day."""
        return WINDOW_MS if self is Grain.HOUR else HOUR_MS


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """An hour or day: the event times t with `start_ms <= t < end_ms`."""

    grain: Grain
    start_ms: int

    def __post_init__(self) -> None:
        """Refuse a start that is not a multiple of the length."""
        if self.start_ms % self.grain.length_ms:
            raise ValueError(f"{self.start_ms} is not a multiple of {self.grain.length_ms} ms")

    @classmethod
    def containing(cls, grain: Grain, instant_ms: int) -> Self:
        """Return the one period of this grain that an instant belongs to."""
        return cls(grain, instant_ms // grain.length_ms * grain.length_ms)

    @property
    def end_ms(self) -> int:
        """The first instant after the period."""
        return self.start_ms + self.grain.length_ms

    @property
    def part_starts_ms(self) -> range:
        """The starts of all parts that it can be merged from."""
        return range(self.start_ms, self.end_ms, self.grain.part_ms)
