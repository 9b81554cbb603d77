"""What Live=push costs: the newest values on their way to the table, their puts, and what open pages are pushed.

Each batch hands on the newest value of each of its series; one put a series and batch is most of the bill. An interval
bounds the puts surely, a deadband as much as the values stay within it. Lambda reads a table's stream for nothing.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from infra.cost_traffic import SECONDS_PER_MONTH, UPLOADS, Traffic
from infra.prices import PriceTable
from infra.shape import Shape
from infra.stream_bill import HOURS_PER_MONTH

GB = 1e9
METERED_BYTES = 65_536
"""SNS and SQS count a message by 64 KB."""
READ_BYTES = 4_096
"""DynamoDB counts a consistent read by 4 KB ("Read consistency")."""
MESSAGE_SERIES = 3_600
"""Series with ids of 21 characters in a message; compared with what is encoded by tests/unit/test_cost_live.py."""
HEARTBEAT_SECONDS = 300
"""After so long a value is written whatever the deadband is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveTraffic:
    """What is handed on in a month: messages and their 64 KB each, and puts; and calls of the two functions."""

    messages: float = 0.0
    metered: float = 0.0
    values: float = 0.0
    puts: float = 0.0
    calls: float = 0.0
    push_calls: float = 0.0


def live_traffic(sent: Traffic, shape: Shape, table: PriceTable) -> LiveTraffic:
    """Return what a fleet hands on at a stage with Live=push; nothing of what is uploaded, or of an idle stage."""
    if not shape.is_true("HasPush") or sent.wire == UPLOADS or not sent.batches:
        return LiveTraffic()
    series = min(sent.fleet.sensors / max(1, sent.shards), sent.readings / sent.batches)
    parts = math.ceil(series / MESSAGE_SERIES)
    size = table.figure("live_fixed_bytes") + series / parts * table.figure("live_series_bytes")
    values = sent.batches * series
    puts = _puts(values, sent, shape, table)
    mappings = shape.resources("AWS::Lambda::EventSourceMapping")
    windows = [float(mappings[name]["MaximumBatchingWindowInSeconds"]) for name in ("LiveMapping", "LivePushMapping")]
    calls = min(sent.batches * parts, SECONDS_PER_MONTH / windows[0])
    return LiveTraffic(
        messages=sent.batches * parts,
        metered=sent.batches * parts * math.ceil(size / METERED_BYTES),
        values=values,
        puts=puts,
        calls=calls,
        push_calls=min(puts, SECONDS_PER_MONTH / windows[1]),
    )


def _puts(values: float, sent: Traffic, shape: Shape, table: PriceTable) -> float:
    interval_seconds = shape.number("LiveIntervalSeconds")
    puts = min(values, sent.fleet.sensors * SECONDS_PER_MONTH / interval_seconds) if interval_seconds else values
    if not shape.number("LiveDeadbandMilli"):
        return puts
    at_least = min(puts, sent.fleet.sensors * SECONDS_PER_MONTH / HEARTBEAT_SECONDS)
    return max(at_least, puts * table.figure("live_deadband_share"))


def live_seconds(handed_on: LiveTraffic, table: PriceTable) -> float:
    """Return the seconds of the function that puts."""
    return handed_on.calls * table.figure("call_seconds") + handed_on.puts * table.figure("live_put_seconds")


def push_seconds(handed_on: LiveTraffic, table: PriceTable) -> float:
    """Return the seconds of the function that pushes."""
    return handed_on.push_calls * table.figure("call_seconds") + handed_on.puts * table.figure("live_push_seconds")


def live(sent: Traffic, shape: Shape, table: PriceTable) -> Iterator[tuple[str, float, str]]:
    """Yield name, dollars a month and basis of each part but the functions; none unless the stage has Live=push."""
    if not shape.is_true("HasPush"):
        return
    handed_on = live_traffic(sent, shape, table)
    basis = f"{handed_on.messages:,.0f} messages with the newest values, {handed_on.metered:,.0f} times 64 KB"
    yield "SNS: newest values", handed_on.metered / 1e6 * table.usd("message_publishes_million"), basis
    polls = SECONDS_PER_MONTH * table.figure("queue_polls_per_second")
    requests = polls + 3 * handed_on.metered
    basis = f"{requests:,.0f} requests, of which {polls:,.0f} ask an empty queue"
    yield "SQS: newest values", requests / 1e6 * table.usd("queue_requests_million"), basis
    basis = f"{handed_on.puts / 1e6:,.1f} million puts of {handed_on.values / 1e6:,.1f} million values of batches"
    yield "DynamoDB: newest values", handed_on.puts / 1e6 * table.usd("table_writes_million"), basis
    stored = sent.fleet.sensors * table.figure("live_item_bytes") / GB
    yield "DynamoDB: storage", stored * table.usd("table_gb_month"), f"{stored:,.3f} GB: an item a series"
    hours = sent.fleet.page_hours
    pushes = handed_on.push_calls * min(1.0, hours / HOURS_PER_MONTH)
    reads = pushes * math.ceil(sent.fleet.sensors * table.figure("live_item_bytes") / READ_BYTES)
    basis = f"{reads / 1e6:,.2f} million reads of 4 KB, if each push touches all sites while a page is open"
    yield "DynamoDB: tallies", reads / 1e6 * table.usd("table_reads_million"), basis
    messages = min(hours * 3600, handed_on.push_calls)
    dollars = hours * 60 / 1e6 * table.usd("socket_minutes_million")
    dollars += messages / 1e6 * table.usd("socket_messages_million")
    basis = f"{messages:,.0f} messages of 32 KB at most to pages that are open for {hours:g} hours"
    yield "API Gateway: sockets", dollars, basis
