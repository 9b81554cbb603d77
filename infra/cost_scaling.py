"""What Scaling=auto costs beside the shards: a run every five minutes, and the metrics that it reads."""

from collections.abc import Iterator

from infra.prices import PriceTable
from infra.shape import Shape
from infra.stream_bill import HOURS_PER_MONTH

RUNS_PER_HOUR = 12
METRICS_READ = 4
"""By each run, as infra.scaling_metrics asks for them."""


def scaling(shape: Shape, table: PriceTable) -> Iterator[tuple[str, float, str]]:
    """Yield name, dollars a month and basis of each part; none unless the stage scales its stream."""
    if not shape.is_true("HasScaling"):
        return
    runs = HOURS_PER_MONTH * RUNS_PER_HOUR * (shape.parameters["ScheduleState"] == "ENABLED")
    seconds = runs * table.figure("scaling_seconds")
    memory_gb = float(shape.resources("AWS::Serverless::Function")["ScalingFunction"]["MemorySize"]) / 1024
    dollars = seconds * memory_gb * table.usd("function_gb_second") + runs / 1e6 * table.usd(
        "function_requests_million"
    )
    yield "Lambda: scaling", dollars, f"{runs:,} calls of {table.figure('scaling_seconds'):.2f} s, {memory_gb:.2f} GB"
    read = runs * METRICS_READ
    basis = f"{read:,} metrics, {METRICS_READ} a run"
    yield "CloudWatch: metrics read", read / 1e3 * table.usd("metrics_read_thousand"), basis
