"""The price of a scaled stream beside that on demand: worked out by hand, compared once a day, told once a week."""

import json
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.cost_others import stream_bills
from infra.cost_traffic import Fleet, traffic
from infra.prices import price_table
from infra.scaling import ActionState, ScalingAction
from infra.scaling_bill import Comparison, Passed, compare, keep_comparison, shard_hours, suggestion_of
from infra.scaling_run import read_actions
from infra.shape import Shape
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from windrow.errors import WindrowError
from windrow.lake import layout
from windrow.period import DAY_MS, HOUR_MS

TABLE = price_table()
START_MS = 1_763_596_800_000  # a midnight
WEEK_HOURS = 7 * 24
KB = 1024


def action(hour: float, shards_from: int, shards_to: int, state: ActionState = ActionState.ACCEPTED) -> ScalingAction:
    """A change of the shards, so many hours after START_MS."""
    at_ms = START_MS + round(hour * HOUR_MS)
    return ScalingAction(at_ms=at_ms, shards_from=shards_from, shards_to=shards_to, reason="", state=state)


def hours_of(actions: list[ScalingAction], *, shards: int, first: float = 0, last: float = 10) -> float:
    """The hours of shards between two hours after START_MS."""
    start_ms, end_ms = (START_MS + round(hour * HOUR_MS) for hour in (first, last))
    return shard_hours(actions, shards=shards, start_ms=start_ms, end_ms=end_ms)


def test_shards_are_counted_back_from_those_of_now() -> None:
    """Two for three hours, four for four, two for three; what came after the span, before it, or not at all."""
    doubled, halved = action(3, 2, 4), action(7, 4, 2)
    assert hours_of([], shards=2) == 20
    assert hours_of([doubled, halved], shards=2) == 2 * 3 + 4 * 4 + 2 * 3
    assert hours_of([doubled, halved, action(12, 2, 4)], shards=4) == 28
    assert hours_of([action(-5, 8, 2), doubled, halved], shards=2) == 28
    assert hours_of([doubled, halved, action(8, 2, 4, ActionState.REFUSED)], shards=2) == 28
    assert hours_of([action(3, 2, 4, ActionState.BEGUN)], shards=4) == 2 * 3 + 4 * 7, "its run died after the call"
    assert hours_of([doubled, halved], shards=2, first=5, last=6) == 4


@given(st.lists(st.tuples(st.integers(-3, 13), st.integers(1, 9)), max_size=6), st.integers(1, 9))
def test_hours_of_shards_are_the_sum_of_each_quarter(changes: list[tuple[int, int]], first: int) -> None:
    """Looked at every quarter of an hour, as nobody would pay for it but everybody understands it."""
    shards, actions = first, []
    for hour, to in sorted(changes):
        actions.append(action(hour, shards, to))
        shards = to

    def at(hour: float) -> int:
        before = [one for one in actions if one.at_ms <= START_MS + round(hour * HOUR_MS)]
        return before[-1].shards_to if before else first

    assert hours_of(actions, shards=shards) == sum(at(quarter / 4) for quarter in range(40)) / 4


def of_week(
    *, shards: int, records: int, record_bytes: int, hours: int = WEEK_HOURS, retention: int = 24
) -> Comparison:
    """A stream that had these shards all the time."""
    passed = Passed(
        start_ms=START_MS,
        end_ms=START_MS + hours * HOUR_MS,
        records=records,
        bytes_in=records * record_bytes,
        bytes_out=2 * records * record_bytes,
    )
    return compare(passed, [], shards=shards, retention_hours=retention, table=TABLE)


def test_both_prices_are_those_of_the_list() -> None:
    """Four shards with a million records of 100 KB a week, read twice, and a retention of two days."""
    found = of_week(shards=4, records=1_000_000, record_bytes=100 * KB, retention=48)
    months = WEEK_HOURS / 730
    gigabytes = 1_000_000 * 100 * KB / 2**30
    assert found.shards == 4
    assert found.provisioned_usd == pytest.approx(4 * 730 * (0.015 + 0.02) + 4.0 / months * 0.014)
    on_demand = 730 * 0.04 + gigabytes / months * (0.08 + 2 * 0.04 + 24 / 730 * 0.1)
    assert found.on_demand_usd == pytest.approx(on_demand)


def test_on_demand_is_suggested_where_shards_stand_idle() -> None:
    """Sixteen shards for a peak, say; not for one full of aggregates, nor after a morning, nor for a few cents."""
    assert of_week(shards=16, records=600_000, record_bytes=KB).suggests_on_demand
    assert not of_week(shards=1, records=600_000, record_bytes=KB).suggests_on_demand
    assert not of_week(shards=16, records=600_000_000, record_bytes=25 * KB).suggests_on_demand
    assert not of_week(shards=16, records=600_000, record_bytes=KB, hours=23).suggests_on_demand
    edge = Comparison(hours=24, shards=3, provisioned_usd=100, on_demand_usd=90)
    assert edge.suggests_on_demand
    assert not replace(edge, on_demand_usd=90.01).suggests_on_demand


def test_small_records_make_the_difference() -> None:
    """A record of 200 bytes is a KB on demand, and a unit of 25 KB in a shard; nothing at all is no record."""
    plain = of_week(shards=2, records=1_000_000_000, record_bytes=200)
    assert plain.on_demand_usd > 730 * 0.04 + 1_000_000_000 * KB / 2**30 * 0.08
    assert of_week(shards=2, records=0, record_bytes=0).on_demand_usd == pytest.approx(730 * 0.04)


def test_windrow_cost_tells_the_same_of_a_month() -> None:
    """One formula for the estimate and for what was."""
    shape = Shape({"ShardCount": "3", "StreamRetentionHours": "48"})
    sent = traffic(Fleet(sensors=5_000, interval_seconds=10), "json", shape, TABLE)
    month_bytes = round(sent.bytes_per_second * 730 * 3600)
    passed = Passed(
        start_ms=START_MS,
        end_ms=START_MS + 730 * HOUR_MS,
        records=round(sent.records),
        bytes_in=month_bytes,
        bytes_out=month_bytes,
    )
    found = compare(passed, [], shards=3, retention_hours=48, table=TABLE)
    expected = [bill.total for bill in stream_bills(sent, shape, TABLE)]
    assert [found.provisioned_usd, found.on_demand_usd] == pytest.approx(expected, rel=1e-6)


CHEAPER = Comparison(hours=168, shards=6.2, provisioned_usd=68.0, on_demand_usd=31.5)
DEARER = replace(CHEAPER, on_demand_usd=400.0)


@dataclass
class Days:
    """Runs at 0:03 and 0:08 of one day after another; `weeks` are those that were asked for."""

    found: Comparison | None = CHEAPER
    objects: S3State = field(default_factory=S3State)
    told: list[int] = field(default_factory=list)
    weeks: list[tuple[int, int]] = field(default_factory=list)
    dies: bool = False

    def __post_init__(self) -> None:
        self.results = SimulatedStore(self.objects.apply, "results")

    def run(self, day: int, minute: int = 3) -> Comparison | None:
        def made(start_ms: int, end_ms: int) -> Comparison | None:
            self.weeks.append((start_ms, end_ms))
            return self.found

        def tell(_: Comparison) -> None:
            self.told.append(day)
            if self.dies:
                raise RuntimeError

        now_ms = START_MS + day * DAY_MS + minute * 60_000
        return keep_comparison(self.results, made, now_ms=now_ms, tell=tell)


def test_a_week_is_compared_once_a_day_and_told_once_a_week() -> None:
    """The second run of a day finds what the first one kept; a suggestion comes again after seven days."""
    days = Days()
    for day in range(1, 17):
        assert days.run(day) == CHEAPER
        assert days.run(day, 8) is None
    assert days.told == [1, 8, 15]
    assert days.weeks == [(START_MS + (day - 7) * DAY_MS, START_MS + day * DAY_MS) for day in range(1, 17)]
    kept = days.results.get("scaling/dt=2025-11-20/bill.json")
    assert kept is not None
    assert json.loads(kept.body) == {
        "to": "2025-11-21T00:00:00.000Z",
        "hours": 168,
        "shards": 6.2,
        "provisioned_usd_month": 68.0,
        "on_demand_usd_month": 31.5,
        "suggests_on_demand": True,
        "told": True,
    }


def test_nothing_is_told_of_shards_that_are_cheaper_or_unknown() -> None:
    """What is unknown is not kept either, so that the next run looks again."""
    for found in (DEARER, None):
        days = Days(found=found)
        days.run(1)
        assert days.told == []
        days.found = CHEAPER
        assert (days.run(1, 8) is not None) == (found is None)


def test_a_run_that_dies_as_it_tells_is_made_good() -> None:
    """Twice rather than never."""
    days = Days(dies=True)
    with pytest.raises(RuntimeError):
        days.run(1)
    days.dies = False
    assert days.run(1, 8) == CHEAPER
    assert days.told == [1, 1]


def test_comparisons_are_no_actions_and_one_that_is_damaged_is_named() -> None:
    """They lie beside one another."""
    days = Days()
    days.run(1)
    assert read_actions(days.results, since_ms=0) == []
    days.results.put(layout.scaling_bill_key(START_MS), b"[]")
    with pytest.raises(WindrowError, match=r"scaling/dt=2025-11-20/bill\.json is no comparison"):
        days.run(2)


def test_a_suggestion_says_what_it_costs_and_what_to_type() -> None:
    """In words for a mail."""
    subject, text = suggestion_of("prod", "windrow-prod", CHEAPER)
    assert subject == "windrow-prod: on demand it would cost less"
    assert "In the last 7 days it had 6.2 shards on average. That is 68.00 USD a month" in text
    assert "would have been 31.50 USD on demand" in text
    assert "windrow deploy --target aws --stage prod --set StreamMode=ON_DEMAND --set Scaling=none" in text
