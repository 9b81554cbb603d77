"""The trace of a simulation: every step as a line, and the whole as an ASCII timeline of lanes."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.simulation.virtual_time import VirtualTime
from windrow.timestamps import format_rfc3339

LANES = {
    "gateway": "P put, k killed, g gave up",
    "stream": "S split, M merged",
    "mapping": "B batch, x failed, t throttled, / bisected, D put aside, ! destination denied, ~ poller restarted",
    "lake": "p partial, m marker, q quarantine, d marker deleted",
    "results": "r rows, l lineage",
    "tick": "T tick, x failed, - missed",
    "operator": "R replay, V redrive",
    "fault": "Z zombie, O outage, v vandal",
}
COLUMNS = 100


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened."""

    at_ms: int
    lane: str
    symbol: str
    text: str


class Timeline:
    """What happened, in order."""

    def __init__(self, time: VirtualTime) -> None:
        self.steps: list[Step] = []
        self._time = time

    def add(self, lane: str, symbol: str, text: str) -> None:
        """Note a step, now."""
        self.steps.append(Step(self._time.now_ms, lane, symbol, text))

    def lines(self) -> Iterator[str]:
        """Every step, one to a line."""
        for step in self.steps:
            yield f"{format_rfc3339(step.at_ms)[5:23]}  {step.lane:8} {step.symbol} {step.text}"

    def drawing(self, *, until_ms: int | None = None) -> Iterator[str]:
        """The lanes over time, up to `until_ms`; where a column holds several steps, one of them (* for many)."""
        steps = [step for step in self.steps if until_ms is None or step.at_ms <= until_ms]
        if not steps:
            return
        first_ms = steps[0].at_ms
        column_ms = max(1, -(-(steps[-1].at_ms - first_ms + 1) // COLUMNS))
        for lane, legend in LANES.items():
            cells: list[set[str]] = [set() for _ in range(COLUMNS)]
            for step in steps:
                if step.lane == lane:
                    cells[(step.at_ms - first_ms) // column_ms].add(step.symbol)
            if any(cells):
                drawn = "".join("." if not cell else cell.pop() if len(cell) == 1 else "*" for cell in cells)
                yield f"{lane:8} |{drawn}|  {legend}"
        yield f"{'':8}  {format_rfc3339(first_ms)[:19]}, a column is {column_ms / 1000:,.0f} s"
