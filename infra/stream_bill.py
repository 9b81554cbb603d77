"""What a stream costs by its use: with shards, and on demand. A pure function of what came in and out, and of prices.

Both ways of paying have an hourly price and one for what goes through. A shard is paid for by the hour, full or not,
and records in units of 25 KB; on demand each GB is paid for, records rounded up to 1 KB. So shards that are full most
of the day are cheaper, and shards that stand for a peak are dearer.
"""

import math
from dataclasses import dataclass

from infra.prices import PriceTable

HOURS_PER_MONTH = 730
PUT_UNIT_BYTES = 25 * 1024
ON_DEMAND_UNIT_BYTES = 1024
FIRST_DAY_HOURS = 24
"""The retention of a stream that is in the price of a shard, and of a stream on demand."""
_GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamUse:
    """What a stream took and gave in so many hours. `shard_hours` is the sum of the hours of its open shards."""

    hours: float
    shard_hours: float
    records: float
    bytes_in: float
    bytes_out: float

    @property
    def put_units(self) -> float:
        """Payload units of 25 KB, as if all records had the mean size."""
        return self._units(PUT_UNIT_BYTES)

    @property
    def gigabytes_in(self) -> float:
        """GB in, each record rounded up to 1 KB."""
        return self._units(ON_DEMAND_UNIT_BYTES) * ON_DEMAND_UNIT_BYTES / _GIB

    @property
    def gigabytes_out(self) -> float:
        """GB out, by all readers."""
        return self.bytes_out / _GIB

    def _units(self, unit_bytes: int) -> float:
        return math.ceil(self.bytes_in / self.records / unit_bytes) * self.records if self.records else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamBill:
    """US dollars for a use: by the hour, for what goes in and out, and for what is kept for more than a day."""

    hourly: float
    bytes_in: float
    bytes_out: float
    kept: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.hourly + self.bytes_in + self.bytes_out + self.kept


def provisioned_bill(use: StreamUse, *, retention_hours: float, table: PriceTable) -> StreamBill:
    """Return what `use` costs with shards, for a retention up to a week."""
    is_extended = retention_hours > FIRST_DAY_HOURS
    return StreamBill(
        hourly=use.shard_hours * table.usd("shard_hour"),
        bytes_in=use.put_units / 1e6 * table.usd("put_units_million"),
        bytes_out=0.0,
        kept=use.shard_hours * table.usd("extended_shard_hour") * is_extended,
    )


def on_demand_bill(use: StreamUse, *, retention_hours: float, table: PriceTable) -> StreamBill:
    """Return what `use` costs in the mode on-demand Standard, for a retention up to a week."""
    kept = use.bytes_in / _GIB * max(0.0, retention_hours - FIRST_DAY_HOURS) / HOURS_PER_MONTH
    return StreamBill(
        hourly=use.hours * table.usd("on_demand_stream_hour"),
        bytes_in=use.gigabytes_in * table.usd("on_demand_gb_in"),
        bytes_out=use.gigabytes_out * table.usd("on_demand_gb_out"),
        kept=kept * table.usd("on_demand_retention_gb_month"),
    )
