"""How often a series' newest value is written: what bounds the cost of a table that keeps them.

A value is written if it is newer than what was written last, and then

    HEARTBEAT_MS after it       always, so that the table tells who is heard
    before `interval_ms`        never
    otherwise                   if it differs by more than the deadband, or if there is none
"""

from dataclasses import dataclass

from windrow.live.newest import NewestValue

HEARTBEAT_MS = 300_000
"""The length of a window: by then the rows have a newer value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The deadband in thousandths of any unit, and the least time between two values that are written; 0 for none."""

    deadband_milli: int = 0
    interval_ms: int = 0

    def is_due(self, value: NewestValue, before: NewestValue | None) -> bool:
        """Whether a value is written, if `before` was the last one of its series; None if none is known."""
        if before is None:
            return True
        if value.order <= before.order:
            return False
        since_ms = value.event_time_ms - before.event_time_ms
        if since_ms >= HEARTBEAT_MS:
            return True
        if since_ms < self.interval_ms:
            return False
        return not self.deadband_milli or abs(value.value_milli - before.value_milli) > self.deadband_milli
