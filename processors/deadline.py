"""How long a function may still run, less what it keeps to report."""

from collections.abc import Callable
from dataclasses import dataclass

# What a function keeps of its time to report, rather than be killed: logs, metrics, the answer.
REPORT_RESERVE_MS = 3_000


@dataclass(frozen=True, slots=True)
class Deadline:
    """`remaining_ms` is what Lambda says; it is the only clock."""

    remaining_ms: Callable[[], int]

    def left_ms(self) -> int:
        """What may still be used for work."""
        return max(0, self.remaining_ms() - REPORT_RESERVE_MS)
