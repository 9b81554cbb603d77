"""What reports on days cost: worked out by hand, and counted where they are made."""

import re
from pathlib import Path

import pytest

from dispatcher.day_reports import DayReports
from dispatcher.due import days_within_reach
from dispatcher.observation import Buckets
from dispatcher.report import RollOutcome
from dispatcher.tick import Tick
from infra.cost import Cost, cost
from infra.cost_reports import DAYS_WITHIN_REACH
from infra.cost_traffic import IDLE, Fleet
from infra.prices import price_table
from infra.shape import Shape
from tests.simulation.lake import RESULTS, buckets, partial_put
from tests.simulation.simulated_s3 import S3State
from tests.simulation.steady_stage import LIFETIMES, MIDNIGHT
from windrow.lake.layout import REPORTS
from windrow.lake.store import CountingStore
from windrow.period import DAY_MS, HOUR_MS, Grain, Period
from windrow.window import Window

TABLE = price_table()
NEAR = 0.2
SENSORS = 50
FLEET = Fleet(sensors=1_000, interval_seconds=10)
PARTS = ("Lambda: reports", "S3: requests of reports", "S3: reports")


def of(fleet: Fleet, **parameters: str) -> Cost:
    """The cost of a fleet at a stage with some parameters set."""
    return cost(fleet, "json", Shape(parameters), TABLE)


def test_a_report_a_day_and_a_look_an_hour_are_paid_for() -> None:
    """By hand; whoever has no reports pays for none, and an idle stage for looking alone."""
    found = of(FLEET, Reports="on")
    days = 730 / 24
    lists, gets, puts = (730 + days) * 2, 730 * 12 + days * 26, days * 3
    asked = (lists + puts) * 0.005 / 1e3 + gets * 0.0004 / 1e3
    assert found.dollars("S3: requests of reports") == pytest.approx(asked)
    memory = float(Shape().resources("AWS::Serverless::Function")["DispatcherFunction"]["MemorySize"]) / 1024
    seconds = (lists + gets + puts) * 0.016 + days * 1_000 * 2.5e-5
    assert found.dollars("Lambda: reports") == pytest.approx(seconds * memory * 0.0000133334)
    assert found.dollars("S3: reports") == pytest.approx(days * (12_000 + 118_000) / 1e9 * TABLE.usd("s3_gb_month"))
    idle = of(IDLE, Reports="on")
    assert idle.dollars("S3: requests of reports") == pytest.approx(730 * 2 * 0.005 / 1e3)
    assert idle.dollars("S3: reports") == 0
    assert of(FLEET, Reports="on", ScheduleState="DISABLED").dollars("Lambda: reports") == 0
    assert not {part.name for part in of(FLEET).parts} & set(PARTS)


def test_late_readings_have_reports_made_anew() -> None:
    """Each day within reach at most once an hour, however many windows they come to."""
    none, few, many, more = (
        of(Fleet(sensors=1_000, interval_seconds=10, late_windows=count), Reports="on") for count in (0, 1, 8, 80)
    )
    added = few.dollars("S3: requests of reports") - none.dollars("S3: requests of reports")
    assert added == pytest.approx(730 * (5 * 0.005 + 26 * 0.0004) / 1e3)
    assert many.dollars("Lambda: reports") == more.dollars("Lambda: reports") > few.dollars("Lambda: reports")
    assert few.dollars("S3: reports") == none.dollars("S3: reports"), "one takes the place of another"
    assert LIFETIMES.lateness_horizon_ms // DAY_MS + 1 == DAYS_WITHIN_REACH


@pytest.mark.slow
def test_reports_ask_for_as_much_and_hold_as_much_as_is_paid_for() -> None:
    """All whole days within a tick's reach: made at once, then looked at."""
    state, days = S3State(), len(days_within_reach(MIDNIGHT, LIFETIMES)) - 1
    for hour in range(1, days * 24 + 1):
        window = Window(MIDNIGHT // DAY_MS * DAY_MS - hour * HOUR_MS)
        rows = [(f"site/sensor-{one:06}", one, 0, 20_000 + one + hour) for one in range(SENSORS)]
        state.apply(partial_put(window, rows))
    Tick(buckets=buckets(state.apply), lifetimes=LIFETIMES, scheduled_time_ms=MIDNIGHT).run()

    def calls(now_ms: int) -> tuple[int, dict[str, int]]:
        both = buckets(state.apply)
        counted = Buckets(lake=both.lake, results=CountingStore(both.results))
        reach = {Period(Grain.DAY, start) for start in days_within_reach(now_ms, LIFETIMES)}
        made = DayReports(buckets=counted, lifetimes=LIFETIMES, scheduled_time_ms=now_ms, time_left=lambda: True).make(
            rolled=(), within_reach=reach
        )
        assert {one.outcome for one in made} <= {RollOutcome.ROLLED}
        assert isinstance(counted.results, CountingStore)
        return len(made), dict(counted.results.calls)

    made, found = calls(MIDNIGHT)
    assert made == days
    assert found["list"] == TABLE.figure("report_lists")
    assert found["get"] / made == pytest.approx(TABLE.figure("report_gets"), rel=NEAR)
    assert found["put"] / made == TABLE.figure("report_puts")
    made, found = calls(MIDNIGHT + HOUR_MS)
    assert (made, found["list"]) == (0, TABLE.figure("report_lists"))
    assert found["get"] == pytest.approx(TABLE.figure("report_look_gets"), rel=NEAR)
    sizes = [len(stored.body) for key, stored in state.buckets[RESULTS].items() if key.startswith(REPORTS)]
    expected = TABLE.figure("report_fixed_bytes") + SENSORS * TABLE.figure("report_sensor_bytes")
    assert sum(sizes) / days == pytest.approx(expected, rel=NEAR)


def test_the_page_says_what_the_model_says() -> None:
    """docs/reports.md, for the fleet that it names, to the cent."""
    page = " ".join((Path(__file__).parents[2] / "docs" / "reports.md").read_text().split())
    said = re.search(r"Of ([\d,]+) sensors they cost ([\d.]+) USD a month, and their alarm ([\d.]+)", page)
    assert said is not None
    assert int(said[1].replace(",", "")) == FLEET.sensors
    found = of(FLEET, Reports="on")
    assert float(said[2]) == round(sum(found.dollars(name) for name in PARTS), 2)
    alarms = found.dollars("CloudWatch: alarms") - of(FLEET).dollars("CloudWatch: alarms")
    assert float(said[3]) == pytest.approx(alarms)
