"""United sets and late readings on the bill: what the model says, and the same measured."""

import dataclasses

import numpy as np
import pytest

from dispatcher import spill
from dispatcher import united as keeping
from dispatcher.due import DueReason, DueWindow
from dispatcher.observation import Buckets
from dispatcher.report import RollOutcome
from dispatcher.roll import roll_window
from dispatcher.roller import Roller
from infra import cost_united
from infra.cost import Cost, cost
from infra.cost_traffic import IDLE, WINDOWS_PER_MONTH, Fleet
from infra.cost_united import united
from infra.prices import price_table
from infra.shape import Shape
from infra.stream_bill import HOURS_PER_MONTH
from tests.simulation.lake import LIFETIMES, OLD, SCHEDULED, Row, buckets, marker_put, partial_of, partial_put, tick
from tests.simulation.simulated_s3 import S3State
from windrow.columns.strings import Strings
from windrow.lake.layout import MarkerKey
from windrow.lake.store import CountingStore
from windrow.reading import Readings
from windrow.rows.partial import Partial
from windrow.rows.united_parquet import encode_range
from windrow.window import WINDOW_MS, Window

TABLE = price_table()
LARGE = Fleet(sensors=1_000_000, interval_seconds=10)
"""30 million readings a window."""
NEAR = 0.2


def of(fleet: Fleet, **parameters: str) -> Cost:
    """The cost of `fleet` at a stage with some parameters set."""
    return cost(fleet, "json", Shape(parameters), TABLE)


def test_the_model_cuts_windows_as_the_dispatcher_does() -> None:
    """Its constants are those of the code that it describes."""
    assert cost_united.UNITED_ABOVE_PARTIALS == keeping.UNITED_ABOVE_PARTIALS
    assert cost_united.READINGS_HELD == spill.READINGS_HELD_MAX
    assert cost_united.RANGES_MAX == spill.RANGES_MAX
    assert cost_united.TICK_MINUTES * 60_000 == WINDOW_MS


def test_only_windows_of_several_partials_have_one() -> None:
    """An idle stage has none, nor one whose batches last as long as a window; a small fleet has one object."""
    small = Fleet(sensors=1_000, interval_seconds=10)
    assert united(of(IDLE).traffic, TABLE).ranges == 0
    assert united(of(small, BatchingWindowSeconds="300").traffic, TABLE).ranges == 0
    assert united(of(small).traffic, TABLE).ranges == 1
    assert united(of(LARGE).traffic, TABLE).ranges == spill.RANGES_MAX


def test_each_object_is_put_once_and_kept_as_long_as_partials() -> None:
    """More days cost more storage, by the day; objects cost their PUTs."""
    bill, longer = of(LARGE, PartialsRetentionDays="30"), of(LARGE, PartialsRetentionDays="60")
    assert longer.dollars("S3: united sets") == pytest.approx(2 * bill.dollars("S3: united sets"))
    lists_and_more = of(dataclasses.replace(LARGE, interval_seconds=20))
    sets = [united(one.traffic, TABLE) for one in (bill, lists_and_more)]
    assert [one.ranges for one in sets] == [128, 115]
    assert 0 < sets[1].bytes_per_month < sets[0].bytes_per_month
    # 9 TB of partials and more are kept anyway; a united set is much less.
    assert bill.dollars("S3: united sets") < bill.dollars("S3: partials") / 2


def test_late_readings_cost_a_roll_an_hour_and_window() -> None:
    """Nothing without them; at each tick if the stage says so; a day's windows cost a fraction of the first rolls."""
    late = dataclasses.replace(LARGE, late_windows=24)
    assert of(LARGE).dollars("Late readings") == 0
    hourly, always = of(late), of(late, LateRollMinutes="0")
    assert always.dollars("Late readings") == pytest.approx(12 * hourly.dollars("Late readings"))
    part = next(part for part in hourly.parts if part.name == "Late readings")
    assert f"{24 * HOURS_PER_MONTH:,} rolls" in part.basis
    assert hourly.total - of(LARGE).total == pytest.approx(part.dollars)
    assert part.dollars < 24 / 12 * of(LARGE).dollars("Lambda: dispatcher")
    assert of(late, ScheduleState="DISABLED").dollars("Late readings") == 0


def test_listings_are_told_and_grow_with_the_shards_by_pages() -> None:
    """A window of up to 1,000 partials is one LIST, and 500 shards write 8,000."""
    parts = [
        next(part for part in of(LARGE, ShardCount=shards).parts if part.name == "S3: requests of the dispatcher")
        for shards in ("500", "400")
    ]
    told = [float(part.basis.rsplit("LIST ", 1)[1].replace(",", "")) for part in parts]
    ticks = WINDOWS_PER_MONTH
    pages = {500: 8, 400: 7}
    for dollars, shards in zip(told, pages, strict=True):
        lists = TABLE.figure("tick_lists") + TABLE.figure("windows_per_tick") * (pages[shards] - 1)
        assert dollars == pytest.approx(ticks * lists * 0.005 / 1e3, abs=0.01)


@pytest.mark.parametrize(("sensors", "each"), [(100, 1), (1_000, 6), (7_800, 30)])
def test_ranges_are_as_large_as_is_paid_for(sensors: int, each: int) -> None:
    """So much an object, a sensor and a reading."""
    window = Window(OLD.start_ms)
    sensor = np.repeat(np.arange(sensors, dtype=np.int32), each)
    times = np.tile(np.arange(each) * (WINDOW_MS // each), sensors) + sensor * 37 % (WINDOW_MS // each)
    noise = np.random.default_rng(sensors).integers(-300, 300, len(sensor))
    readings = Readings(
        Strings.of(f"hall-07/sensor-{one:06d}" for one in range(sensors)),
        sensor,
        times + window.start_ms,
        np.ones(len(sensor), np.int64),
        (20_000 + 1_500 * (sensor % 7) + noise).astype(np.int32),
    )
    predicted = (
        TABLE.figure("united_fixed_bytes")
        + sensors * TABLE.figure("united_sensor_bytes")
        + len(sensor) * TABLE.figure("united_bytes")
    )
    assert len(encode_range(Partial.of(window, readings))) == pytest.approx(predicted, rel=NEAR)


def test_a_late_roll_asks_for_as_much_as_is_paid_for() -> None:
    """Requests of one roll of a window of eight partials, when another has come; the tick's own are paid for anyway."""
    state = S3State()
    for number in range(8):
        rows: list[Row] = [(f"sensor-{number}", 1_000 * number, 0, 20_000)]
        state.apply(partial_put(OLD, rows, first=number + 1))
    tick(state.apply, SCHEDULED)
    late: list[Row] = [("sensor-3", 77, 0, 1)]
    state.apply(partial_put(OLD, late, first=100))
    state.apply(marker_put(OLD, late))
    both = buckets(state.apply)
    lake, results = CountingStore(both.lake), CountingStore(both.results)
    roller = Roller(buckets=Buckets(lake=lake, results=results), lifetimes=LIFETIMES, scheduled_time_ms=SCHEDULED)
    marker = MarkerKey(window=OLD, digest=partial_of(OLD, late).digest)
    report = roll_window(roller, DueWindow(window=OLD, reasons=(DueReason.MARKED,), markers=(marker,)))
    assert report.outcome is RollOutcome.ROLLED
    calls = lake.calls + results.calls
    assert [calls[kind] for kind in ("list", "get", "put")] == [
        TABLE.figure("late_lists"),
        TABLE.figure("late_gets"),
        TABLE.figure("late_puts"),
    ], calls
