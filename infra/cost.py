"""A rough model of what a fleet costs per month on AWS, part by part, with its assumptions named.

Prices and measurements are in `prices.json` beside this module, with their date and sources.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from windrow.window import WINDOW_MS

HOURS_PER_MONTH = 730
SECONDS_PER_MONTH = HOURS_PER_MONTH * 3600

# The limits of a shard, and how much of them to use.
SHARD_BYTES_PER_SECOND = 1_000_000
SHARD_RECORDS_PER_SECOND = 1_000
SHARD_LOAD = 0.8
PUT_UNIT_BYTES = 25 * 1024
# The producer sends once a second, in aggregates of at most this size.
LINGER_SECONDS = 1.0
AGGREGATE_BYTES = 51_200
BLOCK_RECORD_BYTES = 200_000
# Lambda calls the consumer every 20 s, or when a batch reaches 6 MB, which is 4.4 MB before base64.
BATCHING_SECONDS = 20
BATCH_BYTES = 4_400_000
# Start-up and waiting for S3, per call.
CALL_SECONDS = 0.3
CONSUMER_GB = 1769 / 1024
DISPATCHER_GB = 3008 / 1024
TICK_SECONDS = 2.0
# A tick lists and reads the last 24 windows, and 1/288 of the 2,016 windows within the horizon.
SETTLED_WINDOWS_PER_TICK = 24 + 7
PARTIALS_DAYS = 30
GB = 1e9
ATHENA_BYTES_MIN = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A number of sensors, each with one reading every `interval_seconds`."""

    sensors: int
    interval_seconds: float

    @property
    def readings_per_second(self) -> float:
        """The rate of all sensors together."""
        return self.sensors / self.interval_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a fleet needs and costs in one wire form. `dollars` is per part and month, `query` per query."""

    wire: str
    shards: int
    records_per_second: float
    megabytes_per_second: float
    dollars: Mapping[str, float]
    query: float

    @property
    def total(self) -> float:
        """The sum of all parts for a month, without queries."""
        return sum(self.dollars.values())


def prices() -> dict[str, Any]:
    """Return the content of prices.json."""
    found: dict[str, Any] = json.loads(files("infra").joinpath("prices.json").read_text())
    return found


def cost(fleet: Fleet, wire: str, table: Mapping[str, Any]) -> Cost:
    """Return what `fleet` costs in one wire form, by the prices in `table` (see `prices`).

    `wire` is "plain" (one record per reading), "json" (aggregates of JSON) or "blocks" (compressed blocks).
    """
    dollars, measured = table["dollars"], table["measured"]
    bytes_per_second, shards, records_per_second = _stream(fleet, wire, measured)
    record_bytes = bytes_per_second / records_per_second
    put_units = math.ceil(record_bytes / PUT_UNIT_BYTES) * records_per_second * SECONDS_PER_MONTH
    calls = shards * max(1 / BATCHING_SECONDS, bytes_per_second / shards / BATCH_BYTES) * SECONDS_PER_MONTH
    readings = fleet.readings_per_second * SECONDS_PER_MONTH
    windows = SECONDS_PER_MONTH * 1000 / WINDOW_MS
    consumer_cpu = measured["consumer_block_cpu_seconds" if wire == "blocks" else "consumer_json_cpu_seconds"]
    consumer_gb_seconds = (readings * consumer_cpu + calls * CALL_SECONDS) * CONSUMER_GB
    dispatcher_gb_seconds = (readings * measured["roll_cpu_seconds"] + windows * TICK_SECONDS) * DISPATCHER_GB
    partials = calls * (1 + BATCHING_SECONDS * 1000 / WINDOW_MS)
    lists = gets = windows * SETTLED_WINDOWS_PER_TICK
    row_bytes_per_month = fleet.sensors * windows * measured["row_bytes"]
    partial_bytes = readings / 30.4 * PARTIALS_DAYS * measured["partial_bytes"]
    scanned = max(ATHENA_BYTES_MIN, fleet.sensors * 288 * measured["row_bytes"])
    return Cost(
        wire=wire,
        shards=shards,
        records_per_second=records_per_second,
        megabytes_per_second=bytes_per_second / 1e6,
        dollars={
            "stream: shards": shards * HOURS_PER_MONTH * dollars["shard_hour"],
            "stream: PUT payload units": put_units / 1e6 * dollars["put_units_million"],
            "functions: consumer": consumer_gb_seconds * dollars["function_gb_second"]
            + calls / 1e6 * dollars["function_requests_million"],
            "functions: dispatcher": dispatcher_gb_seconds * dollars["function_gb_second"]
            + windows / 1e6 * dollars["function_requests_million"],
            "S3: writes and lists": (partials + 2 * windows + lists) / 1e3 * dollars["s3_put_thousand"],
            "S3: reads": (partials + gets) / 1e3 * dollars["s3_get_thousand"],
            "S3: storage, partials": partial_bytes / GB * dollars["s3_gb_month"],
            "S3: storage, a month of rows": row_bytes_per_month / GB * dollars["s3_gb_month"],
        },
        query=scanned / 1e12 * dollars["athena_tb"],
    )


def _stream(fleet: Fleet, wire: str, measured: Mapping[str, float]) -> tuple[float, int, float]:
    """Return bytes per second, the number of shards, and records per second."""
    per_second = fleet.readings_per_second
    if wire == "plain":
        bytes_per_second = per_second * measured["json_plain_bytes"]
        by_records = per_second / SHARD_RECORDS_PER_SECOND
    else:
        bytes_per_second = per_second * measured["json_aggregated_bytes" if wire == "json" else "block_bytes"]
        by_records = 0.0
    shards = max(1, math.ceil(max(by_records, bytes_per_second / SHARD_BYTES_PER_SECOND) / SHARD_LOAD))
    if wire == "plain":
        return bytes_per_second, shards, per_second
    full_bytes = AGGREGATE_BYTES if wire == "json" else BLOCK_RECORD_BYTES
    # A record that is not full is sent after LINGER_SECONDS, one per shard; there are never more records than readings.
    return bytes_per_second, shards, max(bytes_per_second / full_bytes, min(per_second, shards / LINGER_SECONDS))
