"""The audit: whatever is planted in the results is found, and nothing is claimed that the stream does not prove."""

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from analytics.audit import GRACE_MS, Audit, Delays, Evidence, Verdict, audit
from tests.lineages import lineage_of
from tests.unit.stored_results import SENSORS, START_MS, WINDOWS, StoredResults, some_readings
from windrow.aws.stream import StreamRecord
from windrow.lake.layout import lineage_key, rows_key
from windrow.reading import Reading, Readings
from windrow.timerange import TimeRange
from windrow.window import WINDOW_MS, Window
from windrow.wire.block.block import encode_block
from windrow.wire.json.encode import encode_readings
from windrow.wire.kpl import UserRecord, aggregate

pytestmark = pytest.mark.slow

ALL = TimeRange(START_MS, START_MS + WINDOWS * WINDOW_MS)
END_MS = ALL.end_ms
NOW_MS = END_MS + 2 * 3_600_000
HORIZON_MS = 7 * 24 * 3_600_000
STREAM = "windrow-test"
WINDOW = Window(START_MS + WINDOW_MS)
DELAYS = Delays.of_parameters({})
SHARDS = (f"{STREAM}-shardId-000000000000",)
Table = pa.Table


def record(payloads: list[bytes], *, arrival_ms: int, number: int = 1) -> StreamRecord:
    body = aggregate([UserRecord("k", payload) for payload in payloads])
    return StreamRecord(
        shard_id="shardId-000000000000",
        sequence_number=str(number),
        partition_key="a",
        arrival_ms=arrival_ms,
        body=body,
    )


def stream_of(readings: list[Reading]) -> list[StreamRecord]:
    """One record a window, all of it twice, as the window ends."""
    records = []
    for window in sorted({Window.containing(one.event_time_ms) for one in readings}):
        chosen = [one for one in readings if Window.containing(one.event_time_ms) == window]
        payloads = encode_readings(Readings.of(chosen))
        records += [record(payloads, arrival_ms=window.end_ms, number=window.index)] * 2
    return records


@pytest.fixture
def stored(tmp_path: Path) -> StoredResults:
    results = StoredResults(tmp_path)
    results.store(some_readings())
    for window in range(WINDOWS):
        lineage = lineage_of(Window(START_MS + window * WINDOW_MS), shards=SHARDS)
        results.results.put(lineage_key(lineage.window), lineage.to_json())
    return results


def audited(
    stored: StoredResults,
    records: list[StreamRecord] | None = None,
    *,
    complete_from_ms: int = 0,
    now_ms: int = NOW_MS,
    time_range: TimeRange = ALL,
    delays: Delays = DELAYS,
) -> Audit:
    return audit(
        stream_of(some_readings()) if records is None else records,
        stored.engine,
        time_range=time_range,
        evidence=Evidence(stream_name=STREAM, complete_from_ms=complete_from_ms),
        delays=delays,
        horizon_ms=HORIZON_MS,
        now_ms=now_ms,
    )


def verdicts(found: Audit) -> list[Verdict]:
    return [window.verdict for window in found.windows]


def rewrite(stored: StoredResults, window: Window, change: Callable[[Table], Table]) -> None:
    """Change the rows of a window behind the pipeline's back."""
    found = stored.results.get(rows_key(window))
    assert found is not None
    body = io.BytesIO()
    pq.write_table(change(pq.read_table(io.BytesIO(found.body))), body)
    stored.results.put(rows_key(window), body.getvalue())


def without_first_row(rows: Table) -> Table:
    return rows.slice(1)


def first_row_twice(rows: Table) -> Table:
    return pa.concat_tables([rows.slice(0, 1), rows])


def one_milli_degree_more(rows: Table) -> Table:
    place = rows.schema.get_field_index("p50_milli")
    return rows.set_column(place, rows.schema.field(place), pc.add(rows.column(place), 1).cast(pa.int32()))


def test_results_that_follow_from_the_stream_are_exact(stored: StoredResults) -> None:
    """Every record came twice; nothing is missing, extra or different."""
    found = audited(stored)
    assert verdicts(found) == [Verdict.EXACT] * WINDOWS
    assert found.is_exact
    assert str(found) == "audit: 4 windows (4 exact), 12 rows, 360 readings: missing 0, extra 0, different 0"


def test_a_deleted_result_is_found(stored: StoredResults) -> None:
    """Its lineage still says that it was rolled."""
    stored.results.delete(rows_key(WINDOW))
    found = audited(stored)
    (bad,) = [window for window in found.windows if window.verdict is Verdict.DIFFERENT]
    assert (bad.start_ms, bad.verification.lost, bad.verification.rows_missing) == (WINDOW.start_ms, 90, len(SENSORS))


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        (without_first_row, (30, 0, 0, 1, 0)),
        (one_milli_degree_more, (0, 0, 3, 0, 0)),
        (first_row_twice, (0, 30, 0, 0, 1)),
    ],
)
@pytest.mark.parametrize("complete_from_ms", [0, END_MS + 60_000])
def test_a_changed_result_is_found(
    stored: StoredResults, change: Callable[[Table], Table], counts: tuple[int, ...], complete_from_ms: int
) -> None:
    """Also where readings of the window may have expired: the counts show that none did."""
    rewrite(stored, WINDOW, change)
    found = audited(stored, complete_from_ms=complete_from_ms)
    (bad,) = [window for window in found.windows if window.verdict is Verdict.DIFFERENT]
    result = bad.verification
    assert (result.lost, result.duplicated, result.wrong, result.rows_missing, result.rows_extra) == counts
    assert not found.is_exact


def test_an_added_reading_is_found(stored: StoredResults) -> None:
    """A row that counts a reading more than the stream ever held."""
    added = Reading("aisle/1", WINDOW.start_ms + 1, 0, 20_000)
    stored.store([*(one for one in some_readings() if Window.containing(one.event_time_ms) == WINDOW), added])
    found = audited(stored)
    (bad,) = [window for window in found.windows if window.verdict is Verdict.DIFFERENT]
    assert bad.verification.duplicated == 1
    assert "'aisle/1' readings: expected 30, found 31" in [str(one)[25:] for one in bad.verification.culprits]


def test_an_added_reading_is_unproven_where_the_stream_may_have_lost_it(stored: StoredResults) -> None:
    """Windows that start within five minutes of the oldest arrival may have more; later ones may not."""
    for start_ms in (START_MS, START_MS + 3 * WINDOW_MS):
        window = Window(start_ms)
        readings = [one for one in some_readings() if Window.containing(one.event_time_ms) == window]
        stored.store([*readings, Reading("aisle/1", start_ms + 1, 0, 20_000), Reading("new", start_ms, 0, 1)])
    found = audited(stored, complete_from_ms=START_MS + 2 * WINDOW_MS)
    assert verdicts(found) == [Verdict.UNPROVEN, Verdict.EXACT, Verdict.EXACT, Verdict.DIFFERENT]
    assert found.windows[0].rows_unproven == 2
    assert found.windows[3].verification.rows_extra == 1


def test_a_row_with_more_readings_must_still_reach_the_maximum(stored: StoredResults) -> None:
    """What the stream holds is in the row, whatever else is."""
    readings = [one for one in some_readings() if Window.containing(one.event_time_ms) == WINDOW]
    top = max((one for one in readings if one.sensor_id == "aisle/1"), key=lambda one: one.value_milli)
    others = [one for one in readings if one != top]
    fillers = [Reading("aisle/1", WINDOW.start_ms + place, 0, -20_000) for place in range(2)]
    stored.store([*others, *fillers])
    found = audited(stored, complete_from_ms=END_MS)
    assert verdicts(found)[1] is Verdict.DIFFERENT


def test_a_window_that_the_stream_has_forgotten_whole_is_unproven(stored: StoredResults) -> None:
    """It holds no reading of it, and the rows of the others are exact."""
    records = [one for one in stream_of(some_readings()) if one.arrival_ms != WINDOW.end_ms]
    found = audited(stored, records, complete_from_ms=END_MS)
    assert verdicts(found) == [Verdict.EXACT, Verdict.UNPROVEN, Verdict.EXACT, Verdict.EXACT]
    assert found.windows[1].rows_unproven == len(SENSORS)


def test_windows_that_another_stream_fed_are_judged_with_care(stored: StoredResults) -> None:
    """The lineage names the streams; what came from elsewhere is nothing this stream can deny."""
    added = Reading("elsewhere", WINDOW.start_ms, 0, 20_000)
    stored.store([*(one for one in some_readings() if Window.containing(one.event_time_ms) == WINDOW), added])
    shards = (f"{STREAM}-shardId-000000000000", "older-stream-shardId-000000000000")
    stored.results.put(lineage_key(WINDOW), lineage_of(WINDOW, shards=shards).to_json())
    assert verdicts(audited(stored))[1] is Verdict.UNPROVEN


def test_readings_on_their_way_are_behind_not_lost(stored: StoredResults) -> None:
    """They arrived after the last roll and only just; once they are old, they are missing."""
    arrival_ms = NOW_MS - 60_000
    late = record(encode_readings(Readings.of([Reading("late", WINDOW.start_ms, 0, 1)])), arrival_ms=arrival_ms)
    records = [*stream_of(some_readings()), late]
    assert verdicts(audited(stored, records))[1] is Verdict.BEHIND
    assert audited(stored, records).is_exact
    assert verdicts(audited(stored, records, now_ms=arrival_ms + GRACE_MS + 1))[1] is Verdict.DIFFERENT


def test_an_old_window_may_wait_until_it_is_rolled_again(stored: StoredResults) -> None:
    """Late readings make it due at most once in LateRollMinutes; after that the next tick rolls it."""
    rolled_ms = lineage_of(WINDOW, shards=SHARDS).scheduled_time_ms
    hourly = Delays(DELAYS.consumer_ms, late_roll_ms=3_600_000)
    late = record(encode_readings(Readings.of([Reading("late", WINDOW.start_ms, 0, 1)])), arrival_ms=rolled_ms + 1)
    records = [*stream_of(some_readings()), late]
    last_ms = max(rolled_ms, WINDOW.end_ms) + hourly.late_roll_ms + GRACE_MS

    assert verdicts(audited(stored, records, delays=hourly, now_ms=last_ms))[1] is Verdict.BEHIND
    assert verdicts(audited(stored, records, delays=hourly, now_ms=last_ms + 1))[1] is Verdict.DIFFERENT
    assert verdicts(audited(stored, records, now_ms=last_ms))[1] is Verdict.DIFFERENT


def test_readings_of_a_long_batching_window_are_on_their_way(stored: StoredResults) -> None:
    """They arrived before the tick, and were not in the lake yet."""
    rolled_ms = lineage_of(WINDOW, shards=SHARDS).scheduled_time_ms
    slow = Delays.of_parameters({"BatchingWindowSeconds": "60"})
    for early_ms, verdict in ((100_000 - 1, Verdict.BEHIND), (100_000, Verdict.DIFFERENT)):
        arrival_ms = rolled_ms - early_ms
        late = record(encode_readings(Readings.of([Reading("late", WINDOW.start_ms, 0, 1)])), arrival_ms=arrival_ms)
        records = [*stream_of(some_readings()), late]
        assert verdicts(audited(stored, records, delays=slow, now_ms=rolled_ms))[1] is verdict


def test_a_window_that_was_never_rolled_is_missing_once_it_is_old(stored: StoredResults) -> None:
    """It has neither lineage nor rows."""
    stored.results.delete(rows_key(WINDOW))
    stored.results.delete(lineage_key(WINDOW))
    assert verdicts(audited(stored))[1] is Verdict.DIFFERENT
    assert verdicts(audited(stored, now_ms=END_MS))[1] is Verdict.BEHIND


def test_blocks_are_read_as_the_json_that_means_the_same(stored: StoredResults) -> None:
    """Plain or within an aggregate; a reading of a block that is out of range is bad by itself."""
    readings = some_readings()
    halves = [readings[::2], readings[1::2]]
    plain, inner = (encode_block(Readings.of(half)) for half in halves)
    hot = encode_block(Readings.of([Reading("hot", START_MS, 0, 20_000_000)]))
    records = [
        record([inner, hot, b"{}"], arrival_ms=END_MS),
        dataclasses.replace(record([], arrival_ms=END_MS), body=plain),
    ]
    found = audited(stored, records)
    assert verdicts(found) == [Verdict.EXACT] * WINDOWS
    assert found.totals.rejected == {"temperature_range": 1, "missing_field": 1}


def test_what_does_not_count_is_counted_by_reason(stored: StoredResults) -> None:
    """Broken aggregates, bad payloads, and readings too far from their arrival."""
    broken = record([b"{}"], arrival_ms=END_MS)
    broken = dataclasses.replace(broken, body=broken.body[:-1] + b"x")
    far = encode_readings(Readings.of([Reading("far", END_MS, 0, 1)]))
    records = [
        *stream_of(some_readings()),
        broken,
        record([b"nonsense"], arrival_ms=END_MS),
        record(far, arrival_ms=END_MS - 300_001),
        record(far, arrival_ms=END_MS + HORIZON_MS + 1),
    ]
    found = audited(stored, records, time_range=TimeRange(START_MS, END_MS + WINDOW_MS))
    assert found.is_exact
    assert found.totals.rejected == {"aggregate_broken": 1, "not_json": 1, "out_of_time": 2}
    assert found.totals.oldest_arrival_ms == START_MS + WINDOW_MS
