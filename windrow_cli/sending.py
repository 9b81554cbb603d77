"""What the progress bars of sending commands say."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from producers.writer import WriterCounters


def progress_note(readings: int, counters: "WriterCounters", *, seconds: float, lag_ms: int | None = None) -> str:
    """The rate, how far behind the clock, and what went wrong so far, in one line."""
    note = f"{readings / max(seconds, 1e-3):,.0f}/s {counters.bytes / 1e6:,.1f} MB sent"
    if lag_ms is not None:
        note += f", lag {lag_ms / 1_000:.1f} s"
    if counters.retried or counters.ambiguous:
        note += f", {counters.retried:,} retried ({counters.throttled:,} throttled, {counters.ambiguous:,} ambiguous)"
    return note
