"""The table of docs/tuning.md: python -m bench.tuning prints it, from the cost model, its prices and what was measured.

Cost is all that a stage costs, idle parts included. Freshness is worked out, not measured: how long a reading takes
until a partial holds it, at most, and how long after a window's begin its first row is there.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from infra.cost import cost
from infra.cost_traffic import LINGER_SECONDS, SECONDS_PER_MONTH, Fleet
from infra.prices import PriceTable, price_table
from infra.shape import Shape
from windrow.window import WINDOW_MS

FLEET = Fleet(sensors=10_000, interval_seconds=10)
WIRES = {"plain": "one JSON a record", "json": "JSON in aggregates", "blocks": "blocks"}
WINDOWS = (0, 5, 20, 60, 300)
MEMORIES = (1_024, 1_769, 3_008)
CORE_MB = 1_769
"""With so much memory a function has one core; with less, a share of it."""
TICK_AFTER_SECONDS = 120
WINDOW_SECONDS = WINDOW_MS // 1_000
SETTINGS = {
    "cheapest": ("blocks", {"BatchingWindowSeconds": "60"}),
    "default": ("json", {}),
    "freshest": ("json", {"BatchingWindowSeconds": "0"}),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One setting: USD for a million readings, seconds until a partial holds a reading, and until its row is there."""

    usd_per_million: float
    partials_per_window: float
    batch_seconds: float
    partial_after: float
    row_after: float

    def __str__(self) -> str:
        """The cells of a table."""
        numbers = (f"{self.usd_per_million:.4f}", f"{self.partials_per_window:.0f}", f"{self.batch_seconds:.2f}")
        return " | ".join((*numbers, f"{self.partial_after:.0f}", f"{self.row_after:.0f}"))


def row(wire: str, parameters: dict[str, str], table: PriceTable, fleet: Fleet = FLEET) -> Row:
    """Work out one setting. With less than CORE_MB the CPU of a batch takes longer, and is paid by the second."""
    shape = Shape(parameters)
    found = cost(fleet, wire, shape, table)
    sent = found.traffic
    cpu = table.figure("consumer_block_cpu_seconds" if wire == "blocks" else "consumer_json_cpu_seconds")
    memory_mb = shape.number("ConsumerMemoryMb")
    slower = max(1.0, CORE_MB / memory_mb)
    cpu_seconds = sent.readings * cpu
    # The model bills the CPU of a whole core.
    more = cpu_seconds * (slower - 1) * memory_mb / 1_024 * table.usd("function_gb_second")
    batch_seconds = table.figure("call_seconds") + cpu_seconds / sent.batches * slower
    partial_after = LINGER_SECONDS + max(1.0, shape.number("BatchingWindowSeconds")) + batch_seconds
    # What is in the lake before the first tick is in its rows; else the next tick, a window later, rolls again.
    ticks = 0 if partial_after <= TICK_AFTER_SECONDS else 1
    return Row(
        usd_per_million=(found.total + more) / sent.readings * 1e6,
        partials_per_window=sent.partials * WINDOW_SECONDS / SECONDS_PER_MONTH,
        batch_seconds=batch_seconds,
        partial_after=partial_after,
        row_after=WINDOW_SECONDS + TICK_AFTER_SECONDS + ticks * WINDOW_SECONDS,
    )


def lines() -> Iterator[str]:
    """Yield the tables in Markdown."""
    table = price_table()
    cells = "USD a million readings | partials a window | s a batch | partial after s, at most | row after s, at most |"
    rule = "|---|" + "--:|" * 5
    yield f"For {FLEET.sensors:,} sensors with a reading every {FLEET.interval_seconds} s, {table.region}:"
    yield ""
    yield f"| setting | {cells}"
    yield rule
    for name, (wire, parameters) in SETTINGS.items():
        spelled = ", ".join(f"`{key}={value}`" for key, value in parameters.items()) or "the template's"
        yield f"| **{name}**: {WIRES[wire]}, {spelled} | {row(wire, parameters, table)} |"
    yield ""
    yield f"| form, batching window | {cells}"
    yield rule
    for wire, spelled in WIRES.items():
        for seconds in WINDOWS:
            parameters = {"BatchingWindowSeconds": str(seconds)}
            yield f"| {spelled}, {seconds} s | {row(wire, parameters, table)} |"
    yield ""
    yield f"| memory, JSON in aggregates, 20 s | {cells}"
    yield rule
    for memory_mb in MEMORIES:
        yield f"| {memory_mb:,} MB | {row('json', {'ConsumerMemoryMb': str(memory_mb)}, table)} |"


if __name__ == "__main__":
    print("\n".join(lines()))
