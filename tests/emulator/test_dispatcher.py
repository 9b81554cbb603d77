"""Ticks as the schedule fires them, on the embedded stack: nobody calls the dispatcher here.

readings ──▶ stream ──▶ partials      rule, each minute ──▶ windows, hours, silences      a late reading ──▶ again
"""

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pyarrow.parquet
import pytest
from click.testing import CliRunner

from infra import stack as stacks
from infra.plan import DeploymentOptions, plan_deployment
from tests.emulator.conftest import SHARDS, ignore
from windrow import settings
from windrow.aws.clients import Place
from windrow.aws.stream import OutgoingRecord, Stored
from windrow.lake import layout
from windrow.lake.store import ObjectStore
from windrow.period import HOUR_MS, Grain, Period
from windrow.reading import Reading, Readings
from windrow.rows.lineage import Lineage
from windrow.stage import Stage
from windrow.window import WINDOW_MS, Window
from windrow.wire.json.encode import encode_readings
from windrow_cli.main import windrow as cli
from windrow_operations.draining import wait_until_drained

STAGE = "ticking"
TICKS_SECONDS_MAX = 210
"""Three of the schedule's minutes, and room for a slow machine."""
POLL_SECONDS = 2

Found = TypeVar("Found")


@pytest.fixture(scope="module")
def ticking(place: Place) -> Stage:
    """A stage whose schedule fires every minute, and rolls late readings at once."""
    eager = {"ScheduleExpression": "rate(1 minute)", "LateRollMinutes": "0"}
    options = DeploymentOptions(shard_count=SHARDS, mode="direct", is_scheduled=True, parameters=eager)
    return stacks.apply(plan_deployment(place, STAGE, options), ignore).stage


@pytest.fixture
def results(ticking: Stage) -> ObjectStore:
    """Where the dispatcher writes."""
    return ticking.results


def eventually(find: Callable[[], Found | None]) -> Found:
    """What `find` finds, as soon as the schedule has seen to it."""
    deadline = time.monotonic() + TICKS_SECONDS_MAX
    while (found := find()) is None:
        assert time.monotonic() < deadline, "the schedule has not seen to it"
        time.sleep(POLL_SECONDS)
    return found


def send(stage: Stage, *readings: Reading) -> None:
    """Put readings into the stream, and wait until they are in the lake."""
    bodies = encode_readings(Readings.of(readings))
    stream = stage.stream
    answers = stream.put_records(
        [OutgoingRecord(partition_key=str(number), body=one) for number, one in enumerate(bodies)]
    )
    reached: dict[str, int] = {}
    for answer in answers.entries:
        assert isinstance(answer, Stored)
        reached[answer.shard_id] = max(reached.get(answer.shard_id, 0), int(answer.sequence_number))
    wait_until_drained(stage, reached)


def lineage_of(results: ObjectStore, window: Window) -> Lineage | None:
    """The lineage, if there is one yet."""
    stored = results.get(layout.lineage_key(window))
    return Lineage.from_json(stored.body) if stored else None


def rows_of_hour(results: ObjectStore, hour: Period) -> dict[str, int]:
    """Readings of each sensor in an hour's rows; none before there are any."""
    stored = results.get(layout.period_rows_key(hour))
    rows = pyarrow.parquet.read_table(io.BytesIO(stored.body)).to_pylist() if stored else []
    return {row["sensor_id"]: row["readings"] for row in rows}


def rows_with(results: ObjectStore, hour: Period, sensor_id: str) -> dict[str, int] | None:
    """The same, once this sensor is among them."""
    rows = rows_of_hour(results, hour)
    return rows if sensor_id in rows else None


def ask(sql: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """`windrow query --sql`, as a user does it."""
    monkeypatch.setenv(settings.HOME, str(home))
    arguments = ["query", "--sql", sql, "--format", "json", "--stage", STAGE]
    answer = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    rows: list[dict[str, object]] = json.loads(answer.stdout)
    return rows


def test_windows_and_hours_are_written_by_the_schedule_and_late_readings_join_them(
    ticking: Stage, results: ObjectStore, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows, lineage and hour come of a tick nobody asked for; a late reading changes its window and its hour."""
    hour = Period(Grain.HOUR, (time.time_ns() // 1_000_000 // HOUR_MS - 2) * HOUR_MS)
    first, second = Window(hour.start_ms), Window(hour.start_ms + WINDOW_MS)
    send(
        ticking,
        Reading("a", first.start_ms, 0, 20_000),
        Reading("b", first.start_ms + 1_000, 0, 21_000),
        Reading("a", second.start_ms, 0, 22_000),
    )
    # The readings lie on two shards, and a tick may come between their batches: only what it ends in is certain.
    eventually(lambda: rows_of_hour(results, hour) == {"a": 2, "b": 1} or None)
    before = lineage_of(results, first)
    assert before is not None
    assert (before.readings, before.sensors) == (2, 2)

    send(ticking, Reading("latecomer", first.start_ms + 7, 0, -5_000))
    changed = eventually(lambda: rows_with(results, hour, "latecomer"))
    assert changed == {"a": 2, "b": 1, "latecomer": 1}
    after = lineage_of(results, first)
    assert after is not None
    assert (after.revision, after.readings) == (before.revision + 1, 3)

    dt = layout.day_prefix("", hour.start_ms)[3:-1]
    of_hour = f"SELECT sensor_id, readings, sum_milli FROM aggregates_1h WHERE dt = '{dt}' ORDER BY sensor_id"
    assert ask(of_hour, home, monkeypatch) == [
        {"sensor_id": "a", "readings": 2, "sum_milli": 42_000},
        {"sensor_id": "b", "readings": 1, "sum_milli": 21_000},
        {"sensor_id": "latecomer", "readings": 1, "sum_milli": -5_000},
    ]
    of_windows = (
        f"SELECT revision, readings, sensors FROM windows WHERE dt = '{dt}' AND readings > 0 ORDER BY window_start"
    )
    assert ask(of_windows, home, monkeypatch) == [
        {"revision": after.revision, "readings": 3, "sensors": 3},
        {"revision": 1, "readings": 1, "sensors": 1},
    ]
    mean = f"SELECT mean_c, sd_population_c FROM sensors_1h WHERE dt = '{dt}' AND sensor_id = 'a'"
    assert ask(mean, home, monkeypatch) == [{"mean_c": 21.0, "sd_population_c": 1.0}]


def test_window_without_readings_gets_a_lineage_by_the_schedule(results: ObjectStore) -> None:
    """Every recent window that has ended is known to be empty, or has rows."""
    ended = Window.containing(time.time_ns() // 1_000_000 - 2 * WINDOW_MS)
    lineage = eventually(lambda: lineage_of(results, ended))
    assert (lineage.readings, lineage.result_etag) == (0, "")
