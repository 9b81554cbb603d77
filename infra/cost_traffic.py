"""How much a fleet sends to a stage, and how often the functions run for it: the quantities that are paid for."""

import math
import re
from dataclasses import dataclass

from infra.prices import PriceTable
from infra.shape import Shape
from infra.stream_bill import HOURS_PER_MONTH
from windrow.errors import UsageError
from windrow.window import WINDOW_MS

SECONDS_PER_MONTH = HOURS_PER_MONTH * 3600
WINDOWS_PER_MONTH = SECONDS_PER_MONTH * 1000 / WINDOW_MS

UPLOADS = "uploads"
WIRES = ("plain", "json", "blocks", "mqtt", UPLOADS)
"""One record per reading; aggregates of JSON; aggregates of compressed blocks; messages to AWS IoT Core; objects."""
SHARD_BYTES_PER_SECOND = 1_000_000
SHARD_RECORDS_PER_SECOND = 1_000
SHARD_LOAD = 0.8
"""How much of a shard's limits to use."""
ON_DEMAND_SHARDS = 4
"""Shards of a new on-demand stream."""
AGGREGATE_BYTES = 51_200
BLOCK_RECORD_BYTES = 200_000
LINGER_SECONDS = 1.0
"""A record that is not full is sent after so long; one for each shard."""
BATCH_BYTES = 4_400_000
"""The records of a full batch: 6 MB with base64."""
BATCHING_SECONDS_MIN = 1
"""Without a batching window, Lambda reads a shard about once a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A number of sensors, each with one reading every `interval_seconds`; none is an idle stage.

    late_windows: how many windows that ended more than an hour ago get late readings in an hour. readings_per_message:
    how many readings a device collects before it sends them, in the wire form "mqtt". gateways: how many upload a block
    every `upload_seconds`, in the wire form "uploads"; by_token: they have tokens of the stage's user pool. page_hours:
    how many hours a month somebody has the hosted page open, where there is one. excursions: how many begin in a month,
    where there are rules. backfill_gb: how many GB of text the state machine backfills in a month.
    """

    sensors: int
    interval_seconds: float
    late_windows: int = 0
    readings_per_message: int = 1
    gateways: int = 20
    upload_seconds: float = 300.0
    by_token: bool = False
    page_hours: float = 160.0
    excursions: int = 0
    backfill_gb: float = 0.0

    @property
    def readings_per_second(self) -> float:
        """The rate of all sensors together."""
        return self.sensors / self.interval_seconds


IDLE = Fleet(sensors=0, interval_seconds=1, page_hours=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """A fleet in one wire form at a stage; what is counted is per month.

    shards: those that the stage has, or more if the fleet needs them. batches: calls of the function that reads.
    """

    fleet: Fleet
    wire: str
    shards: int
    shards_needed: int
    records_per_second: float
    bytes_per_second: float
    batches: float
    ticks: float

    @property
    def readings(self) -> float:
        """Readings in a month."""
        return self.fleet.readings_per_second * SECONDS_PER_MONTH

    @property
    def records(self) -> float:
        """Records in a month."""
        return self.records_per_second * SECONDS_PER_MONTH

    @property
    def record_bytes(self) -> float:
        """The mean size of a record; 0 if there are none."""
        return self.bytes_per_second / self.records_per_second if self.records_per_second else 0.0

    @property
    def partials(self) -> float:
        """Partials in a month: one for each batch, two for a batch that spans the end of a window.

        A gateway that uploads every five minutes does it in the midst of a window.
        """
        if self.wire == UPLOADS:
            return 2 * self.batches
        batches_per_window = self.batches / WINDOWS_PER_MONTH
        return self.batches + min(batches_per_window, self.shards) * WINDOWS_PER_MONTH if self.batches else 0.0


def traffic(fleet: Fleet, wire: str, shape: Shape, table: PriceTable) -> Traffic:
    """Return the quantities of `fleet` in one of WIRES at a stage with the parameters of `shape`."""
    if wire == UPLOADS:
        return _by_uploads(fleet, shape, table)
    per_second = fleet.readings_per_second
    sizes = {"plain": "json_plain_bytes", "json": "json_aggregated_bytes", "blocks": "block_bytes"}
    bytes_per_second = per_second * table.figure(sizes.get(wire, "json_plain_bytes"))
    messages_per_second = per_second / (fleet.readings_per_message if wire == "mqtt" else 1)
    by_records = messages_per_second / SHARD_RECORDS_PER_SECOND if wire in ("plain", "mqtt") else 0.0
    needed = max(1, math.ceil(max(by_records, bytes_per_second / SHARD_BYTES_PER_SECOND) / SHARD_LOAD))
    if not shape.is_true("HasStream"):
        raise UsageError("the stage has no stream", hint="add: --wire uploads")
    shards = max(needed, _deployed_shards(shape))
    records = messages_per_second
    if wire in ("json", "blocks"):
        full = AGGREGATE_BYTES if wire == "json" else BLOCK_RECORD_BYTES
        # A record that is not full is sent after LINGER_SECONDS, one per shard; never more records than readings.
        records = max(bytes_per_second / full, min(per_second, shards / LINGER_SECONDS))
    batching_seconds = max(shape.number("BatchingWindowSeconds"), BATCHING_SECONDS_MIN)
    batches_per_second = min(records, max(shards / batching_seconds, bytes_per_second / BATCH_BYTES))
    return Traffic(
        fleet=fleet,
        wire=wire,
        shards=shards,
        shards_needed=needed,
        records_per_second=records,
        bytes_per_second=bytes_per_second,
        batches=batches_per_second * SECONDS_PER_MONTH,
        ticks=ticks_per_month(shape),
    )


def _by_uploads(fleet: Fleet, shape: Shape, table: PriceTable) -> Traffic:
    """Return the quantities of objects in place of records; the stream, if there is one, idles."""
    if not shape.is_true("HasUploads"):
        raise UsageError("the stage has no uploads", hint="add: --set Uploads=bucket")
    per_second = fleet.readings_per_second
    objects = min(per_second, fleet.gateways / fleet.upload_seconds)
    waiting_seconds = max(shape.number("BatchingWindowSeconds"), BATCHING_SECONDS_MIN)
    return Traffic(
        fleet=fleet,
        wire=UPLOADS,
        shards=_deployed_shards(shape),
        shards_needed=0,
        records_per_second=objects,
        bytes_per_second=per_second * table.figure("block_bytes") + objects * table.figure("upload_fixed_bytes"),
        batches=min(objects, 1 / waiting_seconds) * SECONDS_PER_MONTH,
        ticks=ticks_per_month(shape),
    )


def _deployed_shards(shape: Shape) -> int:
    if not shape.is_true("HasStream"):
        return 0
    return int(shape.number("ShardCount")) if shape.is_true("IsProvisioned") else ON_DEMAND_SHARDS


def ticks_per_month(shape: Shape) -> float:
    """Return how often the schedule runs; UsageError unless it names minutes of the hour or a rate."""
    if shape.parameters["ScheduleState"] != "ENABLED":
        return 0.0
    expression = shape.parameters["ScheduleExpression"]
    if found := re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression):
        hours = {"minute": 1 / 60, "hour": 1, "day": 24}[found[2]] * int(found[1])
        return HOURS_PER_MONTH / hours
    if found := re.fullmatch(r"cron\((?:(\d+|\*)/(\d+)|(\d+(?:,\d+)*)|\*) \* \* \* \? \*\)", expression):
        if found[2]:
            begin = 0 if found[1] == "*" else int(found[1])
            return HOURS_PER_MONTH * len(range(begin, 60, int(found[2])))
        return HOURS_PER_MONTH * (len(found[3].split(",")) if found[3] else 60)
    raise UsageError(
        f"cannot tell how often {expression!r} runs", hint="give --set ScheduleExpression='rate(5 minutes)' or the like"
    )
