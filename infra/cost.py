"""What a stage costs per month on AWS, part by part: one model for `windrow cost` and the table in docs/deploy.md.

The stage is the template with its parameters (infra.shape); so its shards, retention, functions, alarms and keys are
counted, not repeated. Prices and measurements are in `prices.json`, each with its source. A new service is a new
function that returns parts, and a line in `cost`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from infra.cost_backfill import backfill
from infra.cost_flink import flink
from infra.cost_live import live, live_seconds, live_traffic, push_seconds
from infra.cost_messages import messages
from infra.cost_reports import reports
from infra.cost_rules import rules
from infra.cost_scaling import scaling
from infra.cost_traffic import SECONDS_PER_MONTH, UPLOADS, WINDOWS_PER_MONTH, Fleet, Traffic, traffic
from infra.cost_united import late_rolls, united
from infra.cost_uploads import tokens, uploads
from infra.cost_web import audit_seconds, questions, web
from infra.prices import PriceTable
from infra.shape import Shape
from infra.stream_bill import FIRST_DAY_HOURS, HOURS_PER_MONTH, StreamUse, on_demand_bill, provisioned_bill
from windrow.settings import METRICS_DISABLED

GB = 1e9
DAYS_PER_MONTH = HOURS_PER_MONTH / 24
DISK_MB_FREE = 512
LIST_KEYS_MAX = 1_000
READERS = 16
"""Partials that the dispatcher reads at once."""
ATHENA_BYTES_MIN = 10_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """One line of a bill: dollars a month, and in words what is paid for."""

    name: str
    dollars: float
    basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a fleet costs in one wire form. `query` is the price of a query over the rows of one day."""

    traffic: Traffic
    parts: tuple[Part, ...]
    query: float

    @property
    def total(self) -> float:
        """The sum of all parts for a month, without queries."""
        return sum(part.dollars for part in self.parts)

    def dollars(self, name: str) -> float:
        """Return the dollars of one part; 0 if the stage does not have it."""
        return sum(part.dollars for part in self.parts if part.name == name)


def cost(fleet: Fleet, wire: str, shape: Shape, table: PriceTable) -> Cost:
    """Return what `fleet` costs a month in one wire form (of WIRES) at a stage of this shape."""
    sent = traffic(fleet, wire, shape, table)
    parts = (
        *(Part(*one) for one in messages(sent, table)),
        *(Part(*one) for one in uploads(sent, shape, table)),
        *_stream(sent, shape, table),
        *_functions(sent, shape, table),
        *_requests(sent, table),
        *_late(sent, shape, table),
        *_storage(sent, shape, table),
        *_keys(sent, shape, table),
        *_watching(sent, shape, table),
        *(Part(*one) for one in rules(sent, shape, table)),
        *(Part(*one) for one in reports(sent, shape, table)),
        *(Part(*one) for one in web(sent, shape, table)),
        *(Part(*one) for one in live(sent, shape, table)),
        *(Part(*one) for one in tokens(sent, shape, table)),
        *(Part(*one) for one in backfill(sent, shape, table)),
        *(Part(*one) for one in scaling(shape, table)),
        *(Part(*one) for one in flink(sent, shape, table)),
    )
    scanned = max(ATHENA_BYTES_MIN, _row_bytes(fleet, table, windows=24 * 12))
    return Cost(traffic=sent, parts=parts, query=scanned / 1e12 * table.usd("athena_tb"))


def _stream(sent: Traffic, shape: Shape, table: PriceTable) -> Iterator[Part]:
    if not shape.is_true("HasStream"):
        return
    if sent.wire == UPLOADS:
        sent = replace(sent, records_per_second=0.0, bytes_per_second=0.0)
    retention_hours = shape.number("StreamRetentionHours")
    if not shape.is_true("IsProvisioned"):
        yield from _on_demand(sent, retention_hours, table)
        return
    use = use_of(sent)
    bill = provisioned_bill(use, retention_hours=retention_hours, table=table)
    yield Part("Kinesis: shards", bill.hourly, f"{many(sent.shards, 'shard')} for {HOURS_PER_MONTH} hours")
    basis = f"{use.put_units / 1e6:,.1f} million units of 25 KB, in {sent.records_per_second:,.1f} records a second"
    yield Part("Kinesis: PUT payload units", bill.bytes_in, basis)
    basis = f"{retention_hours:g} hours, of which {FIRST_DAY_HOURS} are in the price of a shard"
    yield Part("Kinesis: retention", bill.kept, basis)


def _on_demand(sent: Traffic, retention_hours: float, table: PriceTable) -> Iterator[Part]:
    """On-demand Standard; a record counts as at least 1 KB, rounded up."""
    use = use_of(sent)
    bill = on_demand_bill(use, retention_hours=retention_hours, table=table)
    yield Part("Kinesis: stream", bill.hourly, f"one on-demand stream for {HOURS_PER_MONTH} hours")
    basis = f"{use.gigabytes_in:,.1f} GB in, records rounded up to 1 KB"
    yield Part("Kinesis: bytes in", bill.bytes_in, basis)
    yield Part("Kinesis: bytes out", bill.bytes_out, f"{use.gigabytes_out:,.1f} GB out, read once")
    basis = f"{retention_hours:g} hours, of which {FIRST_DAY_HOURS} are in the price"
    yield Part("Kinesis: retention", bill.kept, basis)


def use_of(sent: Traffic) -> StreamUse:
    """Return what a month's traffic is to its stream, which is read once."""
    return StreamUse(
        hours=HOURS_PER_MONTH,
        shard_hours=sent.shards * HOURS_PER_MONTH,
        records=sent.records,
        bytes_in=sent.bytes_per_second * SECONDS_PER_MONTH,
        bytes_out=sent.bytes_per_second * SECONDS_PER_MONTH,
    )


def _functions(sent: Traffic, shape: Shape, table: PriceTable) -> Iterator[Part]:
    are_blocks = sent.wire in ("blocks", UPLOADS)
    cpu = table.figure("consumer_block_cpu_seconds" if are_blocks else "consumer_json_cpu_seconds")
    seconds = sent.batches * table.figure("call_seconds") + sent.readings * cpu
    if sent.wire == UPLOADS:
        yield _function("UploadsFunction", "uploads", sent.batches, seconds, shape, table)
    else:
        yield _function("ConsumerFunction", "consumer", sent.batches, seconds, shape, table)
    if shape.is_true("IsFanout"):
        # It waits for its processors, and is started beside them.
        waiting = seconds + sent.batches * table.figure("call_seconds")
        yield _function("FanoutFunction", "fan-out", sent.batches, waiting, shape, table)
    yield _function("DispatcherFunction", "dispatcher", sent.ticks, _dispatcher_seconds(sent, table), shape, table)
    if shape.is_true("HasWeb"):
        asked = questions(sent, shape, table)
        yield _function("ApiFunction", "API", asked.calls, asked.seconds, shape, table)
    if shape.is_true("HasPush"):
        pushed = live_traffic(sent, shape, table)
        yield _function("LiveFunction", "newest values", pushed.calls, live_seconds(pushed, table), shape, table)
        yield _function("LivePushFunction", "push", pushed.push_calls, push_seconds(pushed, table), shape, table)
    if shape.is_true("HasAudit"):
        runs = HOURS_PER_MONTH * (shape.parameters["ScheduleState"] == "ENABLED")
        yield _function("AuditFunction", "audit", runs, runs * audit_seconds(sent, shape, table), shape, table)


def _dispatcher_seconds(sent: Traffic, table: PriceTable) -> float:
    """Return the seconds of all ticks: requests one after another, partials 16 at once, and CPU."""
    lists, gets, puts = _tick_requests(sent, table)
    request_seconds = table.figure("s3_request_seconds")
    cpu = sent.readings * table.figure("roll_cpu_seconds") + sent.fleet.sensors * (
        sent.ticks * table.figure("silence_cpu_seconds")
        + HOURS_PER_MONTH * table.figure("hour_cpu_seconds")
        + DAYS_PER_MONTH * table.figure("day_cpu_seconds")
    )
    return (sent.ticks * (lists + gets + puts) + sent.partials / READERS) * request_seconds + cpu


def _function(resource: str, name: str, calls: float, seconds: float, shape: Shape, table: PriceTable) -> Part:
    """Return the part of one function, by the memory and disk that the template gives it."""
    properties = shape.resources("AWS::Serverless::Function")[resource]
    memory_gb = float(properties["MemorySize"]) / 1024
    disk_mb = float(properties.get("EphemeralStorage", {}).get("Size", DISK_MB_FREE))
    disk_gb = max(0.0, disk_mb - DISK_MB_FREE) / 1024
    per_second = memory_gb * table.usd("function_gb_second") + disk_gb * table.usd("function_disk_gb_second")
    dollars = seconds * per_second + calls / 1e6 * table.usd("function_requests_million")
    basis = f"{calls:,.0f} calls of {seconds / calls:.2f} s, {memory_gb:.2f} GB" if calls else "no calls"
    return Part(f"Lambda: {name}", dollars, basis)


def _tick_requests(sent: Traffic, table: PriceTable) -> tuple[float, float, float]:
    """Return LIST, GET and PUT requests of one tick, without the GETs of the partials themselves."""
    per_window = sent.partials / WINDOWS_PER_MONTH
    more_pages = max(0, math.ceil(per_window / LIST_KEYS_MAX) - 1)
    has_readings = sent.fleet.sensors > 0
    return (
        table.figure("tick_lists") + table.figure("windows_per_tick") * more_pages,
        table.figure("tick_gets") + has_readings * table.figure("tick_fleet_gets"),
        table.figure("tick_puts") + has_readings * table.figure("tick_fleet_puts") + _ranges_per_tick(sent, table),
    )


def _ranges_per_tick(sent: Traffic, table: PriceTable) -> float:
    return united(sent, table).ranges * WINDOWS_PER_MONTH / sent.ticks if sent.ticks else 0.0


def _late(sent: Traffic, shape: Shape, table: PriceTable) -> Iterator[Part]:
    """Rolls of old windows for late readings: their requests and their share of the dispatcher's function."""
    late = late_rolls(sent, shape, table)
    if not late.rolls:
        yield Part("Late readings", 0.0, "none; windrow cost --late-windows tells more")
        return
    dollars = (late.lists + late.puts) * table.usd("s3_put_thousand") + late.gets * table.usd("s3_get_thousand")
    function = _function("DispatcherFunction", "", late.rolls, late.rolls * late.seconds, shape, table)
    requests = late.lists + late.gets + late.puts
    basis = f"{late.rolls:,.0f} rolls of old windows, each {requests:.0f} requests and {late.seconds:.2f} s"
    yield Part("Late readings", late.rolls / 1e3 * dollars + function.dollars, basis)


def _requests(sent: Traffic, table: PriceTable) -> Iterator[Part]:
    dollars = sent.partials / 1e3 * table.usd("s3_put_thousand")
    yield Part("S3: requests of the consumer", dollars, f"{sent.partials:,.0f} PUT of partials")
    lists, gets, puts = _tick_requests(sent, table)
    reads = gets + (sent.partials / sent.ticks if sent.ticks else 0.0)
    dollars = (lists + puts) * table.usd("s3_put_thousand") + reads * table.usd("s3_get_thousand")
    listing = sent.ticks / 1e3 * lists * table.usd("s3_put_thousand")
    basis = f"{lists:.0f} LIST, {reads:.0f} GET and {puts:.1f} PUT a tick, {sent.ticks:,.0f} ticks; LIST {listing:,.2f}"
    yield Part("S3: requests of the dispatcher", sent.ticks / 1e3 * dollars, basis)


def _storage(sent: Traffic, shape: Shape, table: PriceTable) -> Iterator[Part]:
    """Partials and united sets of a month as long as they are kept, and one month's rows: windows, hours, days."""
    readings_per_partial = sent.readings / sent.partials if sent.partials else 0.0
    sensors_per_partial = min(sent.fleet.sensors / max(1, sent.shards), readings_per_partial)
    partials = sent.partials * (
        table.figure("partial_fixed_bytes") + sensors_per_partial * table.figure("partial_sensor_bytes")
    ) + sent.readings * table.figure("partial_bytes")
    days = shape.number("PartialsRetentionDays")
    kept = partials * days / DAYS_PER_MONTH
    basis = f"{kept / GB:,.1f} GB: partials of {days:g} days"
    yield Part("S3: partials", kept / GB * table.usd("s3_gb_month"), basis)
    kept = united(sent, table).bytes_per_month * days / DAYS_PER_MONTH
    basis = f"{kept / GB:,.1f} GB: united sets of {days:g} days"
    yield Part("S3: united sets", kept / GB * table.usd("s3_gb_month"), basis)
    rows = _row_bytes(sent.fleet, table, windows=WINDOWS_PER_MONTH + HOURS_PER_MONTH + DAYS_PER_MONTH)
    basis = f"{rows / GB:,.1f} GB: rows of one month; each month kept adds as much"
    yield Part("S3: rows", rows / GB * table.usd("s3_gb_month"), basis)


def _row_bytes(fleet: Fleet, table: PriceTable, *, windows: float) -> float:
    """Return the bytes of the rows of so many windows, hours or days."""
    if not fleet.sensors:
        return 0.0
    return windows * (table.figure("rows_fixed_bytes") + fleet.sensors * table.figure("row_bytes"))


def _keys(sent: Traffic, shape: Shape, table: PriceTable) -> Iterator[Part]:
    keys = len(shape.resources("AWS::KMS::Key"))
    requests = sent.ticks * table.figure("key_requests_per_tick")
    if sent.fleet.sensors:
        requests += WINDOWS_PER_MONTH * max(1, sent.shards) * table.figure("key_requests_per_shard")
    dollars = keys * table.usd("key_month") + requests / 1e4 * table.usd("key_requests_ten_thousand")
    yield Part("KMS: key", dollars, f"{many(keys, 'key')}, {requests:,.0f} requests")


def _watching(sent: Traffic, shape: Shape, table: PriceTable) -> Iterator[Part]:
    """CloudWatch: metrics, alarms and logs. The first three dashboards of an account are free."""
    metrics = alarm_metrics = 0
    if sent.ticks:
        metrics += int(table.figure("dispatcher_metrics"))
        metrics += sum(map(shape.is_true, ("HasRules", "HasAudit", "HasScaling")))
    if sent.fleet.sensors:
        metrics += int(table.figure("consumer_metrics"))
        metrics += int(table.figure("fanout_metrics")) * shape.is_true("IsFanout")
        metrics += int(table.figure("live_metrics")) * shape.is_true("HasPush")
    if shape.environment()[METRICS_DISABLED] == "true":
        metrics = 0
    yield Part("CloudWatch: metrics", metrics * table.usd("metric_month"), many(metrics, "custom metric"))
    alarms = shape.resources("AWS::CloudWatch::Alarm")
    alarm_metrics = sum(map(metrics_of_alarm, alarms.values()))
    basis = f"{many(len(alarms), 'alarm')} on {many(alarm_metrics, 'metric')}"
    yield Part("CloudWatch: alarms", alarm_metrics * table.usd("alarm_metric_month"), basis)
    log_bytes = sent.batches * table.figure("batch_log_bytes") + sent.ticks * table.figure("tick_log_bytes")
    months = shape.number("LogRetentionDays") / DAYS_PER_MONTH
    dollars = log_bytes / GB * (table.usd("log_gb") + months * table.usd("log_gb_month"))
    yield Part(
        "CloudWatch: logs", dollars, f"{log_bytes / GB:,.2f} GB, kept for {shape.parameters['LogRetentionDays']} days"
    )


def metrics_of_alarm(properties: dict[str, object]) -> int:
    """Return how many metrics an alarm is billed for: those that its expression reads, or its one."""
    queries = properties.get("Metrics")
    if not isinstance(queries, list):
        return 1
    return sum("MetricStat" in query for query in queries)


def many(count: int, noun: str) -> str:
    """Return a count with its noun: "1 shard", "2 shards"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
