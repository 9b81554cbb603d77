"""What a month's backfills cost on the stage's state machine: its steps, its function, and what these write to S3."""

import math
from collections.abc import Iterator

from infra.cost_traffic import Traffic
from infra.prices import PriceTable
from infra.shape import Shape

GB = 1e9
PART_BYTES = 16 * 2**20
"""What a part holds of text, as processors.backfill_plan has it."""
STEPS_PER_PART = 2
"""The start of a part's own execution, and its one state."""
STEPS = 8
"""Those of a backfill beside its parts: plan, parts, look, waits, one tick and what follows, ends, whole."""
WINDOWS_PER_PART = 12
"""Of files that are sorted by time: an hour of a fleet each. Sorted by sensor, each part touches all windows."""


def backfill(sent: Traffic, shape: Shape, table: PriceTable) -> Iterator[tuple[str, float, str]]:
    """Yield name, dollars a month and basis of each part; none unless the stage has the state machine."""
    if not shape.is_true("HasBackfill"):
        return
    size_bytes = sent.fleet.backfill_gb * GB
    parts = math.ceil(size_bytes / PART_BYTES)
    steps = STEPS_PER_PART * parts + STEPS * (parts > 0)
    basis = f"{steps:,} steps: {parts:,} parts of {PART_BYTES / 2**20:.0f} MiB of text"
    yield "Step Functions: backfill", steps / 1e3 * table.usd("steps_thousand"), basis
    readings = size_bytes / table.figure("backfill_line_bytes")
    seconds = parts * table.figure("call_seconds") + readings * table.figure("consumer_json_cpu_seconds")
    memory_gb = float(shape.resources("AWS::Serverless::Function")["BackfillFunction"]["MemorySize"]) / 1024
    dollars = seconds * memory_gb * table.usd("function_gb_second") + parts / 1e6 * table.usd(
        "function_requests_million"
    )
    basis = f"{readings / 1e6:,.0f} million readings in {seconds:,.0f} s, {memory_gb:.2f} GB"
    yield "Lambda: backfill", dollars, basis
    puts, gets = parts * (WINDOWS_PER_PART + 2), parts * 2
    dollars = puts / 1e3 * table.usd("s3_put_thousand") + gets / 1e3 * table.usd("s3_get_thousand")
    basis = f"{puts:,} PUT and {gets:,} GET: partials of {WINDOWS_PER_PART} windows a part, reports and markers"
    yield "S3: requests of backfill", dollars, basis
