"""The native KPL as producer: what it was given is what ends up in the rows, whatever happens to its requests."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from analytics.engine import local_engine
from analytics.query import Query
from infra import embedded
from infra import stack as stacks
from infra.plan import DeploymentOptions, plan_deployment
from infra.waiting import poll
from tests.counterparts.conftest import floor_to_window, ignore, now_ms
from tests.counterparts.kpl_feed import FEED_SECONDS_MAX, KPL, KPL_OLDER, WINDOWS, Given, feed, given
from tests.counterparts.table import Counterpart
from tests.simulation.resharded_run import merge_last, split_first
from windrow.aws.clients import client
from windrow.stage import Stage
from windrow.window import WINDOW_MS
from windrow.wire.kpl import deaggregate
from windrow_operations.draining import wait_until_drained
from windrow_operations.ticks import invoke_tick, tick_event

COUNTERPART = Counterpart("the native KPL", f"{KPL}, {KPL_OLDER}", "rows, against plain Python")

RESHARD_SECONDS = 2.5
MEGABYTE = 900_000
"""Bytes of a record that is about as large as a record may be."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What came into the stream: records without and with a KPL aggregate, user records, bytes of the largest.

    `shards`: how many shards have some of them.
    """

    plain: int
    aggregates: int
    user_records: int
    largest_bytes: int
    shards: int


@dataclass(frozen=True, slots=True)
class Case:
    """How the KPL is run, and what `happens` then: without that the case would prove nothing."""

    happens: Callable[[Sent], bool]
    options: tuple[str, ...] = ()
    swallowed: float = 0.0
    readings: int = 6_000
    mode: str = "direct"
    is_resharded: bool = False


CASES = {
    # Until the KPL knows the shards it does not aggregate.
    "as it comes": Case(lambda sent: sent.plain > 0 < sent.aggregates, ("rate=600",)),
    "answers are lost": Case(lambda sent: sent.user_records > 6_000, ("rate=2000",), swallowed=0.3),
    "records of a megabyte": Case(
        lambda sent: sent.largest_bytes > MEGABYTE,
        ("AggregationMaxSize=1048576", "RecordMaxBufferedTime=5000", "AggregationMaxCount=100000", "rate=8000"),
        readings=40_000,
    ),
    "hash keys of the caller's": Case(lambda sent: sent.aggregates > 0, ("hashkeys=5", "rate=3000"), mode="fanout"),
    "two splits and two merges": Case(
        lambda sent: sent.shards >= 6, ("rate=2000",), readings=40_000, is_resharded=True
    ),
    "without aggregation": Case(lambda sent: sent.plain == 2_000, ("AggregationEnabled=false",), readings=2_000),
}

OF_THE_OLDER = ("as it comes", "answers are lost", "two splits and two merges")
RUNS = [(KPL, name) for name in CASES] + [(KPL_OLDER, name) for name in OF_THE_OLDER]


@pytest.fixture(scope="module")
def stages(home: Path) -> dict[str, Stage]:
    """A stage for each mode."""
    place = embedded.place(home)
    stages = {}
    for mode in ("direct", "fanout"):
        options = DeploymentOptions(shard_count=2, mode=mode, is_scheduled=False)
        stages[mode] = stacks.apply(plan_deployment(place, f"kpl{mode}", options), ignore).stage
    return stages


@pytest.fixture(scope="module")
def last_ms() -> int:
    """Where the windows of all runs end: from the clock of each run they would move on, and share windows."""
    return floor_to_window(now_ms())


@pytest.mark.parametrize(("version", "name"), RUNS)
def test_rows_are_what_the_kpl_was_given(
    stages: dict[str, Stage], home: Path, last_ms: int, tmp_path: Path, version: str, name: str
) -> None:
    """Readings and sums of every sensor and window equal a computation in plain Python."""
    case = CASES[name]
    stage = stages[case.mode]
    number = RUNS.index((version, name))
    began_ms = now_ms()
    start_ms = last_ms - (number + 1) * WINDOWS * WINDOW_MS - WINDOW_MS
    readings = given(number, case.readings, start_ms)
    with ThreadPoolExecutor(1) as pool:
        resharding = pool.submit(_reshard, stage, began_ms) if case.is_resharded else None
        last = feed(
            stage.place,
            stage.stream_name,
            readings,
            tmp_path,
            options=case.options,
            swallowed=case.swallowed,
            version=version,
        )
        if resharding is not None:
            resharding.result()
    wait_until_drained(stage, last)
    invoke_tick(stage, tick_event(now_ms(), is_dry_run=False))
    sent = _sent(stage, began_ms)
    assert case.happens(sent), sent
    assert _rows(stage, home, start_ms, start_ms + WINDOWS * WINDOW_MS) == _truth(readings)


def _reshard(stage: Stage, began_ms: int) -> None:
    """Split and merge, a few seconds apart, from when the KPL's first record is there."""
    kinesis = client("kinesis", stage.place)
    assert poll(
        lambda: any(True for _ in stage.stream.records_between(began_ms, 2**53)),
        seconds_max=FEED_SECONDS_MAX,
        pause_seconds=0.5,
    )
    for change in (split_first, split_first, merge_last, merge_last):
        time.sleep(RESHARD_SECONDS)
        change(kinesis, stage.stream_name)


def _sent(stage: Stage, began_ms: int) -> Sent:
    """Return what came into the stage's stream since `began_ms`."""
    records = list(stage.stream.records_between(began_ms, 2**53))
    bodies = [record.body for record in records]
    numbers = [len(found) for body in bodies if (found := deaggregate(body)) is not None]
    plain = len(bodies) - len(numbers)
    return Sent(
        plain, len(numbers), plain + sum(numbers), max(map(len, bodies)), len({one.shard_id for one in records})
    )


def _rows(stage: Stage, home: Path, start_ms: int, end_ms: int) -> dict[tuple[str, int], tuple[int, int]]:
    """Return readings and sum of each sensor and window, as people ask for them."""
    sql = "SELECT sensor_id, to_unixtime(window_start) AS start, readings, sum_milli FROM aggregates"
    rows = local_engine(stage, home=home).run(Query(sql)).frame
    return {
        (sensor, round(start * 1000)): (int(readings), int(total))
        for sensor, start, readings, total in rows.itertuples(index=False)
        if start_ms <= round(start * 1000) < end_ms
    }


def _truth(readings: Sequence[Given]) -> dict[tuple[str, int], tuple[int, int]]:
    count: Counter[tuple[str, int]] = Counter()
    total: defaultdict[tuple[str, int], int] = defaultdict(int)
    for one in readings:
        key = one.sensor_id, one.event_time_ms // WINDOW_MS * WINDOW_MS
        count[key] += 1
        total[key] += one.milli
    return {key: (count[key], total[key]) for key in count}
