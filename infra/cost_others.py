"""The same fleet elsewhere on AWS, for comparison: what it costs a month, and what it does not do.

None of it was measured. What is compared is the bill for taking the readings in and doing the least with them.
"""

import math
from dataclasses import dataclass, replace

from infra.cost import DISK_MB_FREE, many, use_of
from infra.cost_flink import application
from infra.cost_traffic import SECONDS_PER_MONTH, Fleet, Traffic, traffic
from infra.prices import PriceTable
from infra.shape import Shape
from infra.stream_bill import FIRST_DAY_HOURS, HOURS_PER_MONTH, StreamBill, on_demand_bill, provisioned_bill

GIB = 2**30
FIREHOSE_RECORD_BYTES = 5 * 1024
"""Firehose rounds each record up to this."""
ADVANTAGE_BYTES_PER_SECOND_MIN = 25 * 2**20
"""What an account pays for at least in the mode on-demand Advantage, whatever it sends."""
USUAL_BATCH_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Other:
    """Another way to take the fleet's readings in: dollars a month, what is in them, and what is missing."""

    name: str
    dollars: float
    basis: str
    lacks: str


def others(fleet: Fleet, wire: str, shape: Shape, table: PriceTable) -> tuple[Other, ...]:
    """Return the comparisons for `fleet`, whose producers send in the wire form `wire`."""
    sent, plain = traffic(fleet, wire, shape, table), traffic(fleet, "plain", shape, table)
    return (
        _raw(plain, table),
        _firehose(plain, table, name="Firehose to S3", price="firehose_gb"),
        _firehose(plain, table, name="Firehose to Iceberg", price="firehose_iceberg_gb"),
        _flink(sent, table),
        _on_demand(sent, table),
        _advantage(sent, table),
    )


def _raw(plain: Traffic, table: PriceTable) -> Other:
    """One record a reading, and a function of 512 MB that parses it and writes an object a batch."""
    shards = plain.shards_needed
    units = plain.records / 1e6 * table.usd("put_units_million")
    batches = min(plain.records, shards * SECONDS_PER_MONTH / USUAL_BATCH_SECONDS)
    seconds = batches * table.figure("call_seconds") + plain.readings * table.figure("usual_consumer_cpu_seconds")
    dollars = (
        shards * HOURS_PER_MONTH * table.usd("shard_hour")
        + units
        + seconds * (DISK_MB_FREE / 1024) * table.usd("function_gb_second")
        + batches / 1e6 * table.usd("function_requests_million")
        + batches / 1e3 * table.usd("s3_put_thousand")
    )
    basis = f"one record a reading, {many(shards, 'shard')}, a function of 512 MB, one object a batch"
    return Other("raw Kinesis and Lambda", dollars, basis, "windows, removal of duplicates, late readings, alarms")


def _firehose(plain: Traffic, table: PriceTable, *, name: str, price: str) -> Other:
    """One record a reading, each rounded up to 5 KB; without the storage."""
    rounded = math.ceil(plain.record_bytes / FIREHOSE_RECORD_BYTES) * FIREHOSE_RECORD_BYTES * plain.records
    basis = f"one record a reading: {rounded / GIB:,.0f} GB, records rounded up to 5 KB"
    return Other(name, rounded / GIB * table.usd(price), basis, "windows, removal of duplicates, late readings")


def _flink(sent: Traffic, table: PriceTable) -> Other:
    """The same stream, read by an application instead of the functions."""
    dollars, basis = application(sent, table)
    stream = sent.shards_needed * HOURS_PER_MONTH * table.usd("shard_hour")
    basis = f"{basis}, and a stream of {many(sent.shards_needed, 'shard')}"
    return Other("Managed Flink", stream + dollars, basis, "corrections of closed windows, re-delivery at will")


def stream_bills(sent: Traffic, shape: Shape, table: PriceTable) -> tuple[StreamBill, StreamBill]:
    """Return what the stage's stream costs a month with the shards that it has or needs, and on demand."""
    is_provisioned = shape.is_true("IsProvisioned")
    use = use_of(sent if is_provisioned else replace(sent, shards=sent.shards_needed))
    retention_hours = shape.number("StreamRetentionHours")
    return (
        provisioned_bill(use, retention_hours=retention_hours, table=table),
        on_demand_bill(use, retention_hours=retention_hours, table=table),
    )


def _on_demand(sent: Traffic, table: PriceTable) -> Other:
    use = use_of(sent)
    bill = on_demand_bill(use, retention_hours=FIRST_DAY_HOURS, table=table)
    basis = f"the stream alone, {use.gigabytes_in:,.1f} GB in (--set StreamMode=ON_DEMAND)"
    return Other("the stream on demand, Standard", bill.total, basis, "nothing; it replaces the shards")


def _advantage(sent: Traffic, table: PriceTable) -> Other:
    """The mode of an account, not of a stage; so it pays off for many streams together."""
    use = use_of(sent)
    least = ADVANTAGE_BYTES_PER_SECOND_MIN * SECONDS_PER_MONTH / GIB
    dollars = max(use.gigabytes_in, least) * table.usd("advantage_gb_in")
    dollars += use.gigabytes_out * table.usd("advantage_gb_out")
    basis = f"the stream alone; an account pays for {least:,.0f} GB at least"
    return Other("the stream on demand, Advantage", dollars, basis, "nothing; it replaces the shards")
