"""What the hosted page, live values and the hourly audit cost: worked out by hand, and counted where they ask."""

import re
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest

from analytics.cache import ObjectCache
from analytics.dashboard import Dashboard
from analytics.hourly_audit import BYTES_PER_SECOND_MAX, HOURS_BACK
from analytics.local import LocalEngine
from infra.cost import Cost, cost
from infra.cost_traffic import IDLE, Fleet
from infra.cost_web import AUDIT_BYTES_PER_SECOND, AUDITED_HOURS
from infra.prices import price_table
from infra.shape import Shape
from tests.unit.stored_results import StoredResults
from tests.unit.test_open_windows import START_MS, Lake
from tests.unit.test_row_cache import ALL, readings_of, store
from windrow.lake.layout import lineage_key
from windrow.lake.store import CountingStore
from windrow.reading import Reading
from windrow.window import WINDOW_MS, Window

TABLE = price_table()
APP = files("analytics").joinpath("static/app.js").read_text("utf-8")
FLEET = Fleet(sensors=1_000, interval_seconds=10, page_hours=100)
OF_PAGE = ("Lambda: API", "S3: requests of the API", "API Gateway: requests", "CloudFront", "Cognito: users")


def of(fleet: Fleet = FLEET, **parameters: str) -> Cost:
    """The cost of `fleet`, in aggregates of JSON, at a stage with some parameters set."""
    return cost(fleet, "json", Shape(parameters), TABLE)


@pytest.mark.parametrize(
    ("constant", "figure"), [("REFRESH_MS", "page_refreshes_per_hour"), ("LIVE_MS", "live_looks_per_hour")]
)
def test_the_page_asks_as_often_as_the_model_says(constant: str, figure: str) -> None:
    """By the page's own constants."""
    (milliseconds,) = re.findall(rf"const {constant} = ([\d_]+);", APP)
    assert TABLE.figure(figure) == 3_600_000 / int(milliseconds)


def test_a_page_that_is_open_costs_what_it_asks() -> None:
    """A hundred hours: 12,000 refreshes of three questions and four LISTs, and 36,000 looks at 2.4 open windows."""
    page, live = of(Web="on"), of(Web="on", Live="on")
    assert page.dollars("API Gateway: requests") == pytest.approx(36_000 / 1e6 * 1.0)
    assert live.dollars("API Gateway: requests") == pytest.approx(72_000 / 1e6 * 1.0)
    gets = 100 * 12 * 2
    assert page.dollars("S3: requests of the API") == pytest.approx(48 * 0.005 + gets / 1e3 * 0.0004)
    gets += 36_000 * 2.4 + live.traffic.partials * 100 / 730
    assert live.dollars("S3: requests of the API") == pytest.approx((48 + 86.4) * 0.005 + gets / 1e3 * 0.0004)
    assert live.dollars("Lambda: API") > page.dollars("Lambda: API") > 0
    pushed = of(Web="on", Live="push")  # which is asked once for each socket
    for part in ("API Gateway: requests", "S3: requests of the API", "Lambda: API"):
        assert pushed.dollars(part) == page.dollars(part)


def test_nobody_pays_for_what_a_stage_does_not_have() -> None:
    """Without Web=on no part of it; Live=on needs the page; and a page that nobody opens is nothing but its alarms."""
    names = {part.name for part in of(Live="on").parts}
    assert names.isdisjoint([*OF_PAGE, "Lambda: audit"])
    closed = of(IDLE, Web="on", Live="on")
    assert [closed.dollars(name) for name in OF_PAGE] == [0.0] * len(OF_PAGE)
    more = closed.total - of(IDLE).total
    assert more == pytest.approx(closed.dollars("CloudWatch: alarms") - of(IDLE).dollars("CloudWatch: alarms"))


def test_an_audit_takes_a_second_for_each_megabyte_and_no_more_than_its_time() -> None:
    """Every hour it reads 22 hours of the stream; the metric is there in idle hours, too."""
    per_second = 3008 / 1024 * 0.0000133334 + 3.5 * 0.0000000309
    small = Fleet(sensors=100, interval_seconds=10)
    seconds = 3 + small.readings_per_second * 114 * 22 * 3600 / 2**20
    expected = 730 * (seconds * per_second + 0.2e-6)
    assert of(small, Audit="daily").dollars("Lambda: audit") == pytest.approx(expected)
    capped = [of(Fleet(sensors=n, interval_seconds=10), Audit="daily").dollars("Lambda: audit") for n in (2_000, 9_000)]
    assert capped == pytest.approx([730 * (900 * per_second + 0.2e-6)] * 2)
    assert of(small, Audit="daily", ScheduleState="DISABLED").dollars("Lambda: audit") == 0
    metrics = [of(IDLE, Audit=audit).dollars("CloudWatch: metrics") for audit in ("none", "daily")]
    assert metrics[1] - metrics[0] == pytest.approx(0.30)


def test_a_look_asks_for_as_many_open_windows_as_the_model_says() -> None:
    """Every ten seconds of a window, whose predecessor is rolled two minutes after its end."""
    lake, looks = Lake(), range(0, WINDOW_MS, 10_000)
    window = Window(START_MS + WINDOW_MS)
    lake.deliver([Reading("a", window.start_ms - 1, 0, 1_000), Reading("a", window.start_ms, 0, 1_000)])
    for earlier in (START_MS - WINDOW_MS, START_MS - 2 * WINDOW_MS):
        lake.results.put(lineage_key(Window(earlier)), b"{}")
    lake.open.at(window.start_ms)
    lake.results.calls.clear()
    lake.lake.calls.clear()
    for before_ms, now_ms in pairwise([-1, *looks]):
        if before_ms < 120_000 <= now_ms:
            lake.results.put(lineage_key(Window(START_MS)), b"{}")
        lake.open.at(window.start_ms + now_ms)
    expected = TABLE.figure("live_windows") * len(looks)
    assert lake.lake.calls["list"] == pytest.approx(expected, rel=0.02)
    assert lake.results.calls["get"] == pytest.approx(expected, rel=0.02)


@pytest.mark.slow
def test_a_refresh_lists_as_often_as_the_model_says(tmp_path: Path) -> None:
    """Once all is read a refresh lists; a new window is read by its rows and its lineage."""
    stored = StoredResults(tmp_path / "results")
    for window in range(2):
        store(stored, readings_of(window))
    counted = CountingStore(stored.results)
    engine = LocalEngine(lake=counted, results=counted, cache=ObjectCache(tmp_path / "cache"))
    made = Dashboard(engine=engine, results=counted, stage="dev", clock_ms=lambda: ALL.end_ms)

    def calls_of_a_refresh() -> dict[str, int]:
        counted.calls.clear()
        made.overview("-24h", "now")
        made.heatmap("-24h", "now", search="", sort="name", page=0, per_page=25)
        return dict(counted.calls)

    calls_of_a_refresh()
    assert calls_of_a_refresh() == {"list": TABLE.figure("page_refresh_lists")}
    store(stored, readings_of(2))
    assert calls_of_a_refresh()["get"] == TABLE.figure("page_window_gets")


def test_the_audit_that_is_paid_for_is_the_one_that_runs() -> None:
    """It reads as many hours, as fast."""
    assert (AUDITED_HOURS, AUDIT_BYTES_PER_SECOND) == (HOURS_BACK, BYTES_PER_SECOND_MAX)
