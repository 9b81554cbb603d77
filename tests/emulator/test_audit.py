"""`windrow audit` on the embedded stack: the stream read again, and what a test plants in the results is found."""

import dataclasses
import io
import json
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from analytics.audit import Audit, Verdict
from analytics.engine import local_engine
from analytics.hourly_audit import HOURS_BACK as HOURS_BACK_OF_RUNS
from analytics.hourly_audit import audit_hour
from tests.rows_file import encode_rollup
from windrow.aws.stream import OutgoingRecord, Stored
from windrow.lake.layout import audit_key, rows_key
from windrow.lake.s3 import S3Store
from windrow.period import HOUR_MS
from windrow.reading import Reading, Readings
from windrow.rows.partial import partials_of
from windrow.rows.rollup import roll
from windrow.stage import Stage
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS, Window
from windrow.wire.json.encode import encode_readings
from windrow.wire.kpl import UserRecord, aggregate
from windrow_operations.auditing import audit_stage
from windrow_operations.draining import wait_until_drained
from windrow_operations.ticks import invoke_tick, tick_event

# Windows that no other test of the session touches.
HOURS_BACK = 20


@dataclasses.dataclass
class Audited:
    """A stage with three windows of two sensors, and their readings."""

    stage: Stage
    home: Path
    results: S3Store
    windows: list[Window]
    readings: list[Reading]

    def audit(self) -> Audit:
        start_ms, end_ms = self.windows[0].start_ms, self.windows[-1].end_ms
        now_ms = time.time_ns() // 1_000_000
        return audit_stage(self.stage, home=self.home, start_ms=start_ms, end_ms=end_ms, now_ms=now_ms)

    def rows(self, window: Window) -> bytes:
        stored = self.results.get(rows_key(window))
        assert stored is not None
        return stored.body

    def difference(self) -> tuple[Window, tuple[int, int, int, int, int]]:
        """The one window that differs, and its counts: lost, duplicated, wrong, rows missing, rows extra."""
        (bad,) = [window for window in self.audit().windows if window.verdict is Verdict.DIFFERENT]
        found = bad.verification
        counts = (found.lost, found.duplicated, found.wrong, found.rows_missing, found.rows_extra)
        return Window(bad.start_ms), counts


@pytest.fixture(scope="module")
def stage(stack: Stage, home: Path) -> Audited:
    """Ten readings a sensor and window, with a duplicate and a malformed one, consumed and rolled."""
    now_ms = time.time_ns() // 1_000_000
    start_ms = (now_ms // HOUR_MS - HOURS_BACK) * HOUR_MS
    windows = [Window(start_ms + place * WINDOW_MS) for place in range(3)]
    readings = [
        Reading(f"audited-{sensor}", window.start_ms + step * 20_000, 0, 20_000 + sensor * 1_000 + step)
        for window in windows
        for sensor in range(2)
        for step in range(10)
    ]
    payloads = [*encode_readings(Readings.of([*readings, readings[0]])), b"{}"]
    body = aggregate([UserRecord("k", payload) for payload in payloads])
    stream = stack.stream
    (answer,) = stream.put_records([OutgoingRecord(partition_key="a", body=body)]).entries
    assert isinstance(answer, Stored)
    wait_until_drained(stack, {answer.shard_id: int(answer.sequence_number)})
    # The tick of a moment to come: nothing that was just sent can be on its way for it.
    invoke_tick(stack, tick_event(time.time_ns() // 1_000_000 + 120_000, is_dry_run=False))
    return Audited(stack, home, stack.results, windows, readings)


@pytest.fixture
def window(stage: Audited) -> Window:
    """The window that a test plants something in; its rows are put back afterwards."""
    return stage.windows[1]


@pytest.fixture(autouse=True)
def put_back(stage: Audited, window: Window) -> object:
    """The rows as the pipeline left them, whatever a test did."""
    before = stage.rows(window)
    yield
    stage.results.put(rows_key(window), before)


def test_untouched_results_are_exact(stage: Audited) -> None:
    """All rows of the range, from the records themselves."""
    found = stage.audit()
    assert str(found).endswith("3 windows (3 exact), 6 rows, 60 readings: missing 0, extra 0, different 0")


def test_a_deleted_result_is_found(stage: Audited, window: Window) -> None:
    """Both rows and their twenty readings are missing."""
    stage.results.delete(rows_key(window))
    assert stage.difference() == (window, (20, 0, 0, 2, 0))


def test_a_removed_row_is_found(stage: Audited, window: Window) -> None:
    """One of two."""
    body = io.BytesIO()
    pq.write_table(pq.read_table(io.BytesIO(stage.rows(window))).slice(1), body)
    stage.results.put(rows_key(window), body.getvalue())
    assert stage.difference() == (window, (10, 0, 0, 1, 0))


def test_a_changed_value_is_found(stage: Audited, window: Window) -> None:
    """A thousandth of a degree in one column."""
    rows = pq.read_table(io.BytesIO(stage.rows(window)))
    place = rows.schema.get_field_index("max_milli")
    values = pc.add(rows.column(place), pa.array([1, 0], pa.int32()))
    body = io.BytesIO()
    pq.write_table(rows.set_column(place, rows.schema.field(place), values), body)
    stage.results.put(rows_key(window), body.getvalue())
    assert stage.difference() == (window, (0, 0, 1, 0, 0))


def test_an_added_reading_is_found(stage: Audited, window: Window) -> None:
    """Sound rows, of one reading more than the stream holds."""
    own = [one for one in stage.readings if Window.containing(one.event_time_ms) == window]
    (partial,) = partials_of(Readings.of([*own, Reading("audited-0", window.start_ms + 5, 0, 20_005)]))
    stage.results.put(rows_key(window), encode_rollup(roll(partial)))
    assert stage.difference() == (window, (0, 1, 1, 0, 0))


def test_the_hourly_audit_keeps_a_report_of_what_it_finds(stage: Audited, window: Window) -> None:
    """The difference is in its window alone. What has just arrived would be behind, so it runs two hours later."""
    hour_ms = stage.windows[0].start_ms
    stage.results.delete(rows_key(window))
    found = audit_hour(
        stage.stage,
        local_engine(stage.stage, home=stage.home),
        scheduled_time_ms=hour_ms + HOURS_BACK_OF_RUNS * HOUR_MS,
        now_ms=time.time_ns() // 1_000_000 + 2 * HOUR_MS,
        time_left=lambda: True,
        clock=time.monotonic,
        sleep=time.sleep,
    )
    kept = stage.results.get(audit_key(hour_ms))
    assert kept is not None
    verdicts = {one["window_start"]: one["verdict"] for one in json.loads(kept.body)["windows"]}
    assert [verdicts[format_rfc3339(one.start_ms)] for one in stage.windows] == ["exact", "different", "exact"]
    assert (found.different, found.is_all_read) == (1, True)
