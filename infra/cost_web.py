"""What the hosted page, its API and live values cost while somebody looks, and what the hourly audit costs.

A page that is open asks by itself: for everything that is shown every half minute, and with Live=on for live values in
between. Each question passes CloudFront, the HTTP API and the function, which lists what is new in S3 and reads it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from infra.cost_traffic import WINDOWS_PER_MONTH, Traffic
from infra.prices import PriceTable
from infra.shape import Shape
from infra.stream_bill import HOURS_PER_MONTH

GB = 1e9
MIB = 2**20
AUDITED_HOURS = 22
"""How many hours of the stream a run of the audit reads."""
AUDIT_BYTES_PER_SECOND = MIB
"""How fast it reads a shard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What open pages ask in a month: calls of the API and their seconds, and the requests to S3 that answer them."""

    calls: float
    seconds: float
    lists: float
    gets: float


def questions(sent: Traffic, shape: Shape, table: PriceTable) -> Questions:
    """Return what the pages of a fleet ask of a stage, all of one server, which reads each object once."""
    hours, sensors = sent.fleet.page_hours * shape.is_true("HasWeb"), sent.fleet.sensors
    share = min(1.0, hours / HOURS_PER_MONTH)
    refreshes = hours * table.figure("page_refreshes_per_hour")
    asks = shape.is_true("HasLive") and not shape.is_true("HasPush")  # else a page asks once for each socket
    looks = hours * table.figure("live_looks_per_hour") * asks
    live_requests = looks * table.figure("live_windows")
    lists = refreshes * table.figure("page_refresh_lists") + live_requests
    gets = WINDOWS_PER_MONTH * share * table.figure("page_window_gets") + live_requests
    gets += sent.partials * share * asks
    cpu = refreshes * table.figure("page_refresh_cpu_seconds") + looks * table.figure("live_look_cpu_seconds")
    return Questions(
        calls=refreshes * table.figure("page_refresh_calls") + looks,
        seconds=cpu * sensors + (lists + gets) * table.figure("s3_request_seconds"),
        lists=lists,
        gets=gets,
    )


def web(sent: Traffic, shape: Shape, table: PriceTable) -> Iterator[tuple[str, float, str]]:
    """Yield name, dollars a month and basis of each part but the function; none unless the stage has the page."""
    if not shape.is_true("HasWeb"):
        return
    asked, hours = questions(sent, shape, table), sent.fleet.page_hours
    dollars = asked.lists / 1e3 * table.usd("s3_put_thousand") + asked.gets / 1e3 * table.usd("s3_get_thousand")
    yield "S3: requests of the API", dollars, f"{asked.lists:,.0f} LIST, {asked.gets:,.0f} GET"
    basis = f"{asked.calls:,.0f} requests of pages that are open for {hours:g} hours"
    yield "API Gateway: requests", asked.calls / 1e6 * table.usd("http_requests_million"), basis
    sent_bytes = asked.calls * table.figure("page_answer_bytes")
    dollars = asked.calls / 1e4 * table.usd("site_requests_ten_thousand") + sent_bytes / GB * table.usd("site_gb")
    yield "CloudFront", dollars, f"{asked.calls:,.0f} requests, {sent_bytes / GB:,.2f} GB"
    users = int(hours > 0)
    yield "Cognito: users", users * table.usd("user_month"), f"{users} who sign in, in the tier Essentials"
    log_bytes = asked.calls * table.figure("question_log_bytes")
    yield "CloudWatch: logs of the API", log_bytes / GB * table.usd("log_gb"), f"{log_bytes / GB:,.2f} GB"


def audit_seconds(sent: Traffic, shape: Shape, table: PriceTable) -> float:
    """Return the seconds of one run of the audit: all that the stream took in, or until the function's time is up."""
    timeout = float(shape.resources("AWS::Serverless::Function")["AuditFunction"]["Timeout"])
    read = sent.bytes_per_second * AUDITED_HOURS * 3600 / AUDIT_BYTES_PER_SECOND
    return min(timeout, table.figure("audit_start_seconds") + read)
