"""What the commands that send readings have in common."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from producers.realtime import Clock
    from producers.writer import RecordStream, Writer, WriterCounters


def writer_to(stream: "RecordStream", *, is_paced: bool) -> "Writer":
    """A writer at the pace of AWS's shards, or as fast as a stand-in takes it, which has no limits."""
    from producers.pace import SHARD_PACE
    from producers.writer import Writer

    return Writer(stream, pace=SHARD_PACE if is_paced else None)


def clock_of(*, is_realtime: bool) -> "Clock | None":
    """The machine's clock, for a run that is sent by it."""
    from producers.realtime import Clock

    return Clock() if is_realtime else None


def progress_note(readings: int, counters: "WriterCounters", *, seconds: float, lag_ms: int | None = None) -> str:
    """The rate, how far behind the clock, and what went wrong so far, in one line."""
    note = f"{readings / max(seconds, 1e-3):,.0f}/s {counters.bytes / 1e6:,.1f} MB sent"
    if lag_ms is not None:
        note += f", lag {lag_ms / 1_000:.1f} s"
    if counters.retried or counters.ambiguous:
        note += f", {counters.retried:,} retried ({counters.throttled:,} throttled, {counters.ambiguous:,} ambiguous)"
    return note
