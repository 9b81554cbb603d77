"""What a Managed Flink application costs: of a stage with Engine=flink, and instead of a stage."""

import math
from collections.abc import Iterator

from infra.cost_traffic import Traffic
from infra.prices import PriceTable
from infra.shape import Shape
from infra.stream_bill import HOURS_PER_MONTH

STORAGE_GB = 50
"""Running storage that comes with a KPU."""


def application(sent: Traffic, table: PriceTable) -> tuple[float, str]:
    """Return dollars a month and their basis: as many KPUs as the readings need, and one for the application itself."""
    kpus = max(1, math.ceil(sent.fleet.readings_per_second / table.figure("flink_readings_per_kpu")))
    running = (kpus + 1) * HOURS_PER_MONTH * table.usd("flink_kpu_hour")
    storage = kpus * STORAGE_GB * table.usd("flink_gb_month")
    return running + storage, f"{kpus} + 1 KPU with {kpus * STORAGE_GB} GB"


def flink(sent: Traffic, shape: Shape, table: PriceTable) -> Iterator[tuple[str, float, str]]:
    """Yield the part of the stage's own application, if it has one, which it pays for without readings too."""
    if shape.resources("AWS::KinesisAnalyticsV2::Application"):
        dollars, basis = application(sent, table)
        yield "Managed Flink", dollars, f"{basis}, all month"
