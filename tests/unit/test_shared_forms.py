"""Records of the stream and a history, in forms that were met in public: what the whole consumer and a backfill make.

Files of other forms are in tests/unit/test_file_cases.py, contracts in tests/unit/test_payload_contracts.py.
"""

import datetime as dt
import math
from pathlib import Path

import pytest

from processors.backfill import plan_backfill, write_backfill
from tests.consuming import consume
from tests.horizon import LATENESS_HORIZON_MS
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from tests.unit.stream_records import ARRIVAL_MS, encoded, reading, record
from windrow.lake.backfill_marker import WINDOWS_MAX
from windrow.lake.layout import MARKERS, PARTIALS, QUARANTINE
from windrow.lake.quarantine import decode_quarantine
from windrow.lake.store import CountingStore
from windrow.reading import Readings, Reason
from windrow.rows.partial_parquet import decode_partial

CASES = Path(__file__).parents[1] / "golden" / "payloads"


@pytest.mark.parametrize(
    ("name", "reason", "told"),
    [
        ("kpl_empty_aggregate.bin", Reason.AGGREGATE_EMPTY, "without user records"),
        ("record_of_lines.bin", Reason.NOT_JSON, "framing"),
    ],
)
def test_a_record_that_holds_no_reading_is_one_quarantine_row(name: str, reason: Reason, told: str) -> None:
    """It says why, keeps the bytes, and does not affect the record beside it."""
    body = (CASES / name).read_bytes()
    lake = SimulatedStore(S3State().apply, "lake")
    beside = reading("a", at_ms=1)
    records = [record(body, number=1), record(encoded([beside])[0], number=2)]
    consume(records, store=lake, now_ms=ARRIVAL_MS, horizon_ms=LATENESS_HORIZON_MS)
    stored = {found.key: lake.get(found.key) for found in lake.list_objects("")}
    rows = [
        row
        for key, one in stored.items()
        if key.startswith(QUARANTINE) and one is not None
        for row in decode_quarantine(one.body)
    ]
    assert [(row.reason, row.payload) for row in rows] == [(reason, body)]
    assert told in rows[0].detail
    found = [
        one
        for key, held in stored.items()
        if key.startswith(PARTIALS) and held is not None
        for one in decode_partial(held.body)[0].readings
    ]
    assert found == [beside]


def hourly(hours: int) -> Readings:
    """A freezer's history, one reading an hour."""
    start = dt.datetime(2023, 1, 1, tzinfo=dt.UTC)
    start_ms = int(start.timestamp() * 1_000)
    return Readings.of(
        ("freezer-1", start_ms + n * 3_600_000, 0, round(1_000 * (-18 + 2 * math.sin(n / 24)))) for n in range(hours)
    )


@pytest.mark.slow
def test_years_of_hourly_readings_take_one_request_a_window() -> None:
    """And one for each group of windows; a second backfill asks again and writes nothing new."""
    hours = 3 * WINDOWS_MAX + 10
    lake, results = CountingStore(SimulatedStore(S3State().apply, "lake")), SimulatedStore(S3State().apply, "results")
    plan = plan_backfill([hourly(hours)], results)
    assert (len(plan.create), plan.readings) == (hours, hours)
    assert write_backfill(plan.create, lake) == hours
    assert dict(lake.calls) == {"put": hours + 4}
    assert sum(1 for _ in lake.list_objects(MARKERS)) == 4
    assert write_backfill(plan.create, lake) == 0
