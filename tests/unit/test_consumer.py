"""The consumer: records in, partials, markers and quarantine out; whatever happens on the way, nothing is lost."""

import base64
import gzip
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dispatcher.due import FIRST_TICK_AFTER_MS
from processors.consumer import LATE_AFTER_MS, MARKER_AFTER_MS, WrittenPlan, plan
from processors.event import UNKNOWN_ORIGIN, MalformedRecord, Record
from tests.consuming import consume
from tests.horizon import LATENESS_HORIZON_MS
from tests.simulation.simulated_s3 import Answer, Crash, Operation, Put, S3State, SimulatedStore, crashing, recording
from tests.unit.stream_records import ARRIVAL_MS, SHARD, WINDOW, aggregated, encoded, reading, record
from windrow.lake.layout import MARKERS, PARTIALS, QUARANTINE, parse_marker_key, parse_partial_key, parse_quarantine_key
from windrow.lake.store import StoreError
from windrow.reading import EARLINESS_MS_MAX, Reading, Reason
from windrow.rows.partial_parquet import decode_partial
from windrow.window import WINDOW_MS, Window
from windrow.wire.kpl import MAGIC, seal

LAKE = "lake"
# A protobuf of one user record whose partition key is number 1 of an empty table.
KEY_BEYOND_TABLE = b"\x1a\x05\x08\x01\x1a\x01x"


class Lake:
    """A simulated lake bucket and what is in it."""

    def __init__(self) -> None:
        self.state = S3State()
        self.operations: list[Operation] = []

    def store(self) -> SimulatedStore:
        return SimulatedStore(recording(self.state.apply, self.operations), LAKE)

    def consume(self, *records: Record | MalformedRecord, now_ms: int = ARRIVAL_MS) -> WrittenPlan:
        return consume(records, store=self.store(), now_ms=now_ms, horizon_ms=LATENESS_HORIZON_MS)

    def keys(self, root: str) -> list[str]:
        return sorted(key for key in self.state.buckets.get(LAKE, {}) if key.startswith(root))

    def body(self, key: str) -> bytes:
        return self.state.buckets[LAKE][key].body

    def readings(self) -> set[Reading]:
        """The union of all partials."""
        return {one for key in self.keys(PARTIALS) for one in decode_partial(self.body(key))[0].readings}

    def late(self) -> dict[Window, int]:
        return {parse_partial_key(key).window: decode_partial(self.body(key))[1].late for key in self.keys(PARTIALS)}

    def quarantine(self) -> list[dict[str, Any]]:
        """The rows of the table `quarantine`."""
        return [
            json.loads(line)
            for key in self.keys(QUARANTINE)
            for line in gzip.decompress(self.body(key)).decode().splitlines()
        ]


@pytest.fixture
def lake() -> Lake:
    return Lake()


def test_readings_of_an_aggregate_go_to_the_partials_of_their_windows(lake: Lake) -> None:
    """Two windows, two partials, and together exactly the readings that were sent."""
    sent = [reading("roof"), reading("cellar", at_ms=1), reading("roof", at_ms=-1)]

    consumed = lake.consume(record(aggregated(encoded(sent))))

    assert lake.readings() == set(sent)
    windows = [parse_partial_key(key).window for key in lake.keys(PARTIALS)]
    assert windows == [Window.from_index(WINDOW.index - 1), WINDOW]
    assert (consumed.plan.readings, consumed.plan.partials, consumed.objects_new) == (3, 2, 2)


def test_a_partial_is_named_after_its_origin_and_content(lake: Lake) -> None:
    """The key tells stream, shard, the batch's first and last number, and the digest of the set."""
    lake.consume(*(record(payload, number=n) for n, payload in ((9, b"broken"), (10, encoded([reading()])[0]))))

    (key,) = lake.keys(PARTIALS)
    parsed = parse_partial_key(key)
    assert (parsed.origin.stream, parsed.origin.shard) == ("windrow-test", SHARD)
    assert (parsed.origin.first, parsed.origin.last) == (9, 10)
    assert parsed.digest == decode_partial(lake.body(key))[0].digest


def test_plain_records_and_aggregates_mix(lake: Lake) -> None:
    """One payload is one reading, however it came."""
    plain, *rest = (reading(at_ms=t) for t in range(3))

    lake.consume(record(encoded([plain])[0], number=1), record(aggregated(encoded(rest)), number=2))

    assert lake.readings() == {plain, *rest}


def test_a_second_delivery_writes_nothing_new(lake: Lake) -> None:
    """Every key names its content, so the same batch finds everything there."""
    batch = (record(aggregated([*encoded([reading()]), b"{}"])),)
    now_ms = WINDOW.end_ms + MARKER_AFTER_MS + 1
    lake.consume(*batch, now_ms=now_ms)
    before = lake.state.fingerprint()

    again = lake.consume(*batch, now_ms=now_ms)

    assert lake.state.fingerprint() == before
    assert (again.objects_new, again.bytes_new) == (0, 0)


def test_a_batch_cut_otherwise_adds_objects_and_no_readings(lake: Lake) -> None:
    """Bisected after a fault, the halves write their own partials, whose union is the same set."""
    sent = [reading(at_ms=t) for t in range(4)]
    batch = [record(payload, number=n) for n, payload in enumerate(encoded(sent))]
    lake.consume(*batch)

    lake.consume(*batch[:2])
    lake.consume(*batch[2:])

    assert len(lake.keys(PARTIALS)) == 3
    assert lake.readings() == set(sent)


def test_duplicates_within_a_batch_count_once_and_are_told(lake: Lake) -> None:
    """A producer's retry puts the same reading into two records; the partial has it once."""
    payload = encoded([reading()])[0]

    consumed = lake.consume(record(payload, number=1), record(payload, number=2))

    assert lake.readings() == {reading()}
    assert (consumed.plan.readings, consumed.plan.duplicates) == (2, 1)
    (key,) = lake.keys(PARTIALS)
    assert decode_partial(lake.body(key))[1].duplicates == 1


def test_shards_of_a_mixed_batch_are_kept_apart(lake: Lake) -> None:
    """Each shard's partial names its own shard and numbers, though one invocation brought both."""
    other = "shardId-000000000001"
    one, two = encoded([reading("a"), reading("b")])

    lake.consume(record(one, number=5), record(two, number=7, shard=other), record(one, number=6))

    origins = {parse_partial_key(key).origin for key in lake.keys(PARTIALS)}
    assert {(o.shard, o.first, o.last) for o in origins} == {(SHARD, 5, 6), (other, 7, 7)}


@pytest.mark.parametrize(("after_end_ms", "marked"), [(MARKER_AFTER_MS, False), (MARKER_AFTER_MS + 1, True)])
def test_a_partial_that_may_miss_the_first_tick_gets_a_marker(lake: Lake, after_end_ms: int, marked: bool) -> None:
    """Over a minute after the window's end; what is planned before that is there when the first tick lists."""
    assert 2 * MARKER_AFTER_MS == FIRST_TICK_AFTER_MS
    lake.consume(record(encoded([reading()])[0]), now_ms=WINDOW.end_ms + after_end_ms)

    assert [parse_marker_key(key).window for key in lake.keys(MARKERS)] == [WINDOW] * marked


def test_a_marker_is_written_after_its_partial_and_named_after_it(lake: Lake) -> None:
    """A roll that finds the marker must find the partial."""
    lake.consume(record(encoded([reading()])[0]), now_ms=WINDOW.end_ms + MARKER_AFTER_MS + 1)

    partial, marker = (put.key for put in lake.operations if isinstance(put, Put))
    assert parse_marker_key(marker).digest == parse_partial_key(partial).digest


def test_a_crash_anywhere_heals_with_the_next_delivery() -> None:
    """Dead before or after any of its writes, the function leaves what the redelivery completes; the marker too."""
    batch = [record(aggregated([*encoded([reading(), reading(at_ms=-1)]), b"{}"]))]
    now_ms = WINDOW.end_ms + MARKER_AFTER_MS + 1
    whole = Lake()
    whole.consume(*batch, now_ms=now_ms)
    writes = len(whole.operations)
    assert writes == 5

    for at in range(writes):
        for after in (False, True):
            lake = Lake()
            dying = SimulatedStore(crashing(lake.state.apply, at=at, after=after), LAKE)
            with pytest.raises(Crash):
                consume(batch, store=dying, now_ms=now_ms, horizon_ms=LATENESS_HORIZON_MS)
            lake.consume(*batch, now_ms=now_ms)
            assert lake.state.fingerprint() == whole.state.fingerprint()


def test_a_failure_of_s3_fails_the_batch_and_leaves_no_marker(lake: Lake) -> None:
    """The batch must be delivered again, and no marker may name a partial that is not there."""

    def refuse(operation: Operation) -> Answer:
        if isinstance(operation, Put) and operation.key.startswith(PARTIALS):
            raise StoreError("503 Slow Down")
        return lake.state.apply(operation)

    with pytest.raises(StoreError):
        consume(
            [record(encoded([reading()])[0])],
            store=SimulatedStore(refuse, LAKE),
            now_ms=WINDOW.end_ms + MARKER_AFTER_MS + 1,
            horizon_ms=LATENESS_HORIZON_MS,
        )

    assert lake.keys(MARKERS) == []


def test_writes_may_go_in_parallel(lake: Lake) -> None:
    """An executor's map does what the built-in does."""
    batch = [record(aggregated(encoded(reading(at_ms=-t * WINDOW_MS) for t in range(20))))]
    lake.consume(*batch)
    other = Lake()

    with ThreadPoolExecutor(4) as pool:
        consume(batch, store=other.store(), now_ms=ARRIVAL_MS, horizon_ms=LATENESS_HORIZON_MS, run=pool.map)

    assert other.state.fingerprint() == lake.state.fingerprint()


@pytest.mark.parametrize(
    ("ahead_ms", "reason"),
    [
        (EARLINESS_MS_MAX, None),
        (EARLINESS_MS_MAX + 1, Reason.TOO_EARLY),
        (-LATENESS_HORIZON_MS, None),
        (-LATENESS_HORIZON_MS - 1, Reason.TOO_LATE),
    ],
)
def test_a_reading_must_lie_near_its_records_arrival(lake: Lake, ahead_ms: int, reason: Reason | None) -> None:
    """Five minutes ahead and seven days behind still count; a millisecond beyond is quarantined."""
    edge = reading(at_ms=ARRIVAL_MS - WINDOW.start_ms + ahead_ms)

    consumed = lake.consume(record(encoded([edge])[0]))

    assert lake.readings() == (set() if reason else {edge})
    assert [row["reason"] for row in lake.quarantine()] == ([reason] if reason else [])
    assert consumed.plan.quarantined == ({reason: 1} if reason else {})


def test_the_clock_never_decides_what_counts() -> None:
    """A replay a month later judges by the arrival, so it plans the same partials and the same quarantine."""
    batch = [record(aggregated(encoded([reading(), reading(at_ms=EARLINESS_MS_MAX * 2)])))]

    then = plan(batch, now_ms=ARRIVAL_MS, horizon_ms=LATENESS_HORIZON_MS)
    later = plan(batch, now_ms=ARRIVAL_MS + 30 * 86_400_000, horizon_ms=LATENESS_HORIZON_MS)

    assert [write[0] for write in later.writes] == [write[0] for write in then.writes]
    assert [len(write) for write in then.writes] == [1, 1]
    assert [len(write) for write in later.writes] == [2, 1]


def test_late_counts_what_no_record_brought_in_time(lake: Lake) -> None:
    """Two minutes after the window's end is in time, a millisecond more is late, a copy in time makes it in time."""
    in_time, late, both = (reading(at_ms=t) for t in range(3))
    too_early = reading(at_ms=10 * WINDOW_MS)
    deadline_ms = WINDOW.end_ms + LATE_AFTER_MS

    consumed = lake.consume(
        record(aggregated(encoded([in_time, both])), number=1, arrival_ms=deadline_ms),
        record(aggregated(encoded([too_early, late, both])), number=2, arrival_ms=deadline_ms + 1),
    )

    assert lake.late() == {WINDOW: 1}
    assert consumed.plan.late == 1


def broken_digest() -> bytes:
    return aggregated(encoded([reading()]))[:-1] + b"\0"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (broken_digest(), Reason.AGGREGATE_DIGEST),
        (MAGIC, Reason.AGGREGATE_DIGEST),
        (seal(b"\x1a\xff"), Reason.AGGREGATE_MALFORMED),
        (seal(KEY_BEYOND_TABLE), Reason.AGGREGATE_MALFORMED),
        (seal(b""), Reason.AGGREGATE_EMPTY),
        (seal(b"\x0a\x01a"), Reason.AGGREGATE_EMPTY),
        (b"", Reason.NOT_JSON),
        (b"\xff", Reason.NOT_UTF8),
        (b"[" * 100_000, None),
    ],
)
def test_a_broken_record_is_quarantined_whole_and_its_neighbours_count(
    lake: Lake, payload: bytes, reason: Reason | None
) -> None:
    """Its bytes are kept with the reason; the records before and after it are as if it were not there."""
    before, after = reading("before"), reading("after")

    lake.consume(
        record(encoded([before])[0], number=1),
        record(payload, number=2),
        record(aggregated(encoded([after])), number=3),
    )

    assert lake.readings() == {before, after}
    (row,) = lake.quarantine()
    assert (row["sequence_number"], row["index"]) == ("2", 0)
    assert row["payload_base64"] == base64_of(payload)
    assert reason is None or row["reason"] == reason


def base64_of(payload: bytes) -> str:
    return base64.b64encode(payload).decode()


def test_a_bad_reading_inside_an_aggregate_leaves_its_neighbours(lake: Lake) -> None:
    """The quarantine row names the record, the position in the aggregate, the reason, the arrival and the bytes."""
    good = [reading(at_ms=t) for t in range(2)]
    payloads = encoded(good)

    lake.consume(record(aggregated([payloads[0], b'{"sensor_id": 7}', payloads[1]]), number=42))

    assert lake.readings() == set(good)
    (row,) = lake.quarantine()
    detail = row.pop("detail")
    assert row == {
        "reason": "sensor_id",
        "stream": "windrow-test",
        "shard": SHARD,
        "sequence_number": "42",
        "index": 1,
        "arrival_time": "2026-11-20 10:06:00.000",
        "payload_base64": base64_of(b'{"sensor_id": 7}'),
    }
    assert "string" in detail


def test_a_malformed_event_record_is_quarantined_beside_its_neighbours(lake: Lake) -> None:
    """A record without any origin lands where its batch arrived, and says that its own is unknown."""
    malformed = MalformedRecord(
        stream=UNKNOWN_ORIGIN, shard=UNKNOWN_ORIGIN, sequence_number="0", arrival_ms=None, original=b"17", detail="no"
    )

    lake.consume(malformed, record(encoded([reading()])[0]))

    assert lake.readings() == {reading()}
    (row,) = lake.quarantine()
    assert (row["reason"], row["shard"], row["arrival_time"]) == (Reason.RECORD_MALFORMED, UNKNOWN_ORIGIN, None)
    assert lake.keys(QUARANTINE)[0].startswith(f"{QUARANTINE}dt=2026-11-20/hour=10/1005-")


def test_quarantine_is_filed_by_arrival_and_named_after_its_content(lake: Lake) -> None:
    """One object for each arrival window of the batch, with the count and the digest of its lines in the key."""
    next_window_ms = WINDOW.end_ms

    lake.consume(record(b"a", number=1), record(b"b", number=2), record(b"c", number=3, arrival_ms=next_window_ms))

    keys = [parse_quarantine_key(key) for key in lake.keys(QUARANTINE)]
    assert [(key.window, key.count) for key in keys] == [(WINDOW, 2), (Window(next_window_ms), 1)]
    assert {(key.origin.first, key.origin.last) for key in keys} == {(1, 3)}
    lines = gzip.decompress(lake.body(lake.keys(QUARANTINE)[0]))
    assert keys[0].digest == hashlib.blake2b(lines, digest_size=16).hexdigest()
    assert [json.loads(line)["sequence_number"] for line in lines.splitlines()] == ["1", "2"]


def test_quarantine_lines_are_in_stream_order(lake: Lake) -> None:
    """Whatever was wrong with them, and with numbers compared as numbers."""
    too_early = encoded([reading(at_ms=10 * WINDOW_MS)])[0]

    lake.consume(
        record(aggregated([too_early, b"bad"]), number=8), record(broken_digest(), number=9), record(b"bad", number=10)
    )

    rows = [(row["sequence_number"], row["index"], row["reason"]) for row in lake.quarantine()]
    assert rows == [
        ("8", 0, Reason.TOO_EARLY),
        ("8", 1, Reason.NOT_JSON),
        ("9", 0, Reason.AGGREGATE_DIGEST),
        ("10", 0, Reason.NOT_JSON),
    ]


def test_quarantine_bytes_do_not_carry_the_time_of_writing() -> None:
    """The gzip header's time is zero, so equal input gives equal objects."""
    (write,) = plan([record(b"bad")], now_ms=0, horizon_ms=LATENESS_HORIZON_MS).writes

    assert write[0].body[4:8] == bytes(4)


def test_an_empty_batch_writes_nothing(lake: Lake) -> None:
    """No records, no objects, no oldest event."""
    consumed = lake.consume()

    assert lake.operations == []
    assert consumed.plan.oldest_event_ms is None
