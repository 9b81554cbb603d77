"""The table at the end of `make counterparts`: who judged what, in which version, and with which result."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Counterpart:
    """What a test module asks; each has one as COUNTERPART."""

    name: str
    version: str
    judged: str


@dataclass(slots=True)
class Result:
    """How the tests of one counterpart ended, why some were skipped, and what they found."""

    passed: int = 0
    failed: int = 0
    skipped: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return it in one cell."""
        parts = [f"{self.failed} of {self.failed + self.passed} DIFFER"] if self.failed else []
        if self.passed and not self.failed:
            parts.append(f"equal ({self.passed} tests)")
        parts += [f"skipped: {reason}" for reason in dict.fromkeys(self.skipped)]
        return "; ".join([*parts, *self.found]) or "not asked"


def lines(results: Iterable[tuple[Counterpart, Result]]) -> list[str]:
    """Return the table as lines of Markdown."""
    rows = [f"| {one.name} | {one.version} | {one.judged} | {result} |" for one, result in results]
    return ["| counterpart | version | judged | result |", "|---|---|---|---|", *rows]
