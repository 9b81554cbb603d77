"""Telegraf's Kinesis output as producer, read by the ready-made payload contract."""

import json
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Any

import pytest

from analytics.engine import local_engine
from analytics.query import Query
from infra import embedded
from infra import stack as stacks
from infra.contracts import contract_to_store
from infra.plan import DeploymentOptions, plan_deployment
from tests.counterparts import telegraf
from tests.counterparts.conftest import floor_to_window, ignore, now_ms
from tests.counterparts.table import Counterpart
from windrow.lake.layout import QUARANTINE
from windrow.stage import Stage
from windrow.window import WINDOW_MS
from windrow_operations.draining import wait_until_drained
from windrow_operations.ticks import invoke_tick, tick_event

COUNTERPART = Counterpart("Telegraf", telegraf.VERSION, "rows of its Kinesis output, against plain Python")

DEVICES, WINDOWS, EACH = 30, 3, 20
QUANTITIES = ("temperature", "humidity")

Key = tuple[str, str, int]
"""Sensor, quantity, start of the window in epoch milliseconds."""


@pytest.fixture
def stage(home: Path) -> Stage:
    """A stage that reads what Telegraf writes."""
    options = DeploymentOptions(
        shard_count=2, mode="direct", is_scheduled=False, contract=contract_to_store("telegraf")
    )
    return stacks.apply(plan_deployment(embedded.place(home), "telegraf", options), ignore).stage


def test_rows_are_what_telegraf_was_given(stage: Stage, home: Path, tmp_path: Path) -> None:
    """Readings and sums of every device, quantity and window equal a computation in plain Python."""
    start_ms = floor_to_window(now_ms()) - (WINDOWS + 1) * WINDOW_MS
    metrics = _metrics(start_ms)
    telegraf.send(stage, metrics, tmp_path)
    held = list(stage.stream.records_between(0, 2**53))
    wait_until_drained(stage, {one.shard_id: int(one.sequence_number) for one in held})  # in order within a shard
    bodies = [json.loads(one.body) for one in held]
    assert len(bodies) == len(metrics)
    assert {frozenset(body) for body in bodies} == {frozenset({"fields", "name", "tags", "timestamp"})}
    assert bodies[0]["tags"]["host"] == "gateway-7"
    invoke_tick(stage, tick_event(now_ms(), is_dry_run=False))
    assert _rows(stage, home) == _truth(metrics)
    assert not list(stage.lake.list_objects(QUARANTINE))


def _metrics(start_ms: int) -> list[dict[str, Any]]:
    """Return what devices measured, in no order; their values have three decimals, some are whole, some below zero."""
    random = Random(7)
    metrics = []
    for device in range(DEVICES):
        for number in range(WINDOWS * EACH):
            ts = start_ms + number * WINDOW_MS // EACH + random.randrange(WINDOW_MS // EACH)
            fields = {"temperature": random.randrange(-40_000, 60_000) / 1000, "humidity": random.randrange(101)}
            metrics.append({"device": f"gh-{device}/bed ä", "ts": ts, **fields})
    random.shuffle(metrics)
    return metrics


def _truth(metrics: list[dict[str, Any]]) -> dict[Key, tuple[int, int]]:
    found: defaultdict[Key, list[int]] = defaultdict(list)
    for one in metrics:
        for quantity in QUANTITIES:
            key = one["device"], quantity, one["ts"] // WINDOW_MS * WINDOW_MS
            found[key].append(round(one[quantity] * 1000))
    return {key: (len(values), sum(values)) for key, values in found.items()}


def _rows(stage: Stage, home: Path) -> dict[Key, tuple[int, int]]:
    sql = "SELECT sensor_id, quantity, to_unixtime(window_start) AS start, readings, sum_milli FROM aggregates"
    rows = local_engine(stage, home=home).run(Query(sql)).frame
    return {
        (sensor, quantity, round(start * 1000)): (int(readings), int(total))
        for sensor, quantity, start, readings, total in rows.itertuples(index=False)
    }
