"""What pictures and summaries of days add to the bill: looking for missing ones, making a day's, and keeping them."""

from collections.abc import Iterator

from infra.cost_traffic import Traffic
from infra.prices import PriceTable
from infra.shape import Shape
from infra.stream_bill import HOURS_PER_MONTH

GB = 1e9
DAYS_PER_MONTH = HOURS_PER_MONTH / 24
DAYS_WITHIN_REACH = 8
"""Days whose reports may change within the lateness horizon of a week; each at most once an hour."""


def reports_per_month(sent: Traffic) -> float:
    """Return how many reports are made in a month: one a day, and at most one a day and hour for late readings."""
    if not (sent.fleet.sensors and sent.ticks):
        return 0.0
    return DAYS_PER_MONTH + HOURS_PER_MONTH * min(sent.fleet.late_windows, DAYS_WITHIN_REACH)


def reports(sent: Traffic, shape: Shape, table: PriceTable) -> Iterator[tuple[str, float, str]]:
    """Yield name, dollars a month and basis of each part; none unless the stage makes reports.

    An idle stage looks for days, and has none.
    """
    if not shape.is_true("HasReports"):
        return
    made, looks = reports_per_month(sent), HOURS_PER_MONTH * (sent.ticks > 0)
    lists = (looks + made) * table.figure("report_lists")
    gets = looks * table.figure("report_look_gets") * (made > 0) + made * table.figure("report_gets")
    puts = made * table.figure("report_puts")
    seconds = (lists + gets + puts) * table.figure("s3_request_seconds")
    seconds += made * sent.fleet.sensors * table.figure("report_cpu_seconds")
    memory_gb = float(shape.resources("AWS::Serverless::Function")["DispatcherFunction"]["MemorySize"]) / 1024
    basis = f"{made:,.0f} reports, {seconds:,.0f} s of the dispatcher, {memory_gb:.2f} GB"
    yield "Lambda: reports", seconds * memory_gb * table.usd("function_gb_second"), basis
    dollars = (lists + puts) / 1e3 * table.usd("s3_put_thousand") + gets / 1e3 * table.usd("s3_get_thousand")
    yield "S3: requests of reports", dollars, f"{lists:,.0f} LIST, {gets:,.0f} GET and {puts:,.0f} PUT"
    each = table.figure("report_fixed_bytes") + sent.fleet.sensors * table.figure("report_sensor_bytes")
    kept = DAYS_PER_MONTH * each * (made > 0)
    basis = f"{kept / GB:,.3f} GB: reports of one month; each month kept adds as much"
    yield "S3: reports", kept / GB * table.usd("s3_gb_month"), basis
