"""How late a reading may arrive, and how long the stream can still deliver it after that."""

from dataclasses import dataclass

from windrow.period import HOUR_MS
from windrow.window import Window

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """The lateness horizon of a stage and the retention of its stream, in milliseconds.

    late_roll_ms: how often, at most, markers alone have a window rolled again that ended longer ago than this; 0: at
    every tick.
    """

    lateness_horizon_ms: int
    stream_retention_ms: int
    late_roll_ms: int = 0

    @classmethod
    def of_hours(
        cls, *, lateness_horizon_hours: int, stream_retention_hours: int, late_roll_minutes: int = 0
    ) -> "Lifetimes":
        """Convert whole hours and minutes, as the settings have them."""
        return cls(
            lateness_horizon_ms=lateness_horizon_hours * HOUR_MS,
            stream_retention_ms=stream_retention_hours * HOUR_MS,
            late_roll_ms=late_roll_minutes * MINUTE_MS,
        )

    @property
    def final_after_ms(self) -> int:
        """How long after a window's end the last partial can arrive."""
        return self.lateness_horizon_ms + self.stream_retention_ms

    def is_final(self, window: Window, *, scheduled_time_ms: int) -> bool:
        """Whether no partial of `window` can arrive any more."""
        return scheduled_time_ms >= window.end_ms + self.final_after_ms
