"""Slices of a batch, and a function that stops in time: what it wrote counts, the rest comes again."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from processors import batch
from processors.batch import BatchResult, Consumer, process_batch
from processors.consumer import SLICE_READINGS_MAX, BatchPlan, PlannedObject, plan, slices
from processors.event import MalformedRecord, Record
from processors.puts import REPORT_RESERVE_MS, Deadline, OutOfTime, Puts
from tests.consuming import encode_event
from tests.horizon import LATENESS_HORIZON_MS
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from tests.unit.stream_records import ARRIVAL_MS, aggregated, encoded, reading, record
from windrow.lake.layout import PARTIALS
from windrow.reading import READINGS_PER_RECORD_MAX, Reading
from windrow.rows.partial_parquet import decode_partial

LAKE = "lake"


def aggregate_of(count: int, *, number: int = 1) -> Record:
    return record(aggregated(encoded(reading(at_ms=t, sequence=number) for t in range(count))), number=number)


def sizes(*records: Record | MalformedRecord, most: int) -> list[int]:
    return [len(one) for one in slices(records, readings_max_per_slice=most)]


def test_slices_are_the_records_in_order_within_the_limit() -> None:
    """Consecutive, none lost, each as full as the limit allows."""
    records = [aggregate_of(4, number=n) for n in range(1, 6)]

    cut = list(slices(records, readings_max_per_slice=8))

    assert [one for part in cut for one in part] == records
    assert [len(part) for part in cut] == [2, 2, 1]


def test_a_record_beyond_the_limit_is_a_slice_of_its_own() -> None:
    """A record is never torn."""
    assert sizes(aggregate_of(1), aggregate_of(50), aggregate_of(1), most=10) == [1, 1, 1]


def test_plain_and_malformed_records_weigh_one() -> None:
    """Each is one payload."""
    malformed = MalformedRecord(
        stream="s", shard="unknown", sequence_number="0", arrival_ms=None, original=b"1", detail="no"
    )

    assert sizes(record(b"x"), malformed, record(b"y"), most=2) == [2, 1]


def test_no_records_are_no_slices() -> None:
    """An empty batch does nothing."""
    assert list(slices([])) == []


def test_one_record_fits_into_a_slice() -> None:
    """What a record may hold, a slice may."""
    assert SLICE_READINGS_MAX >= READINGS_PER_RECORD_MAX


# ---- in time -------------------------------------------------------------------------------------------------------


class Processor:
    """A consumer function whose lake is simulated, and whose clock ticks with every slice."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "windrow")
        self.state = S3State()
        self.remaining_ms = 60_000
        self.slice_ms = 0
        self.puts = Puts(4)
        self.store = SimulatedStore(self.state.apply, LAKE)
        monkeypatch.setattr(batch, "plan", self._plan)

    def _plan(self, records: Any, **settings: int) -> BatchPlan:
        self.remaining_ms -= self.slice_ms
        return plan(records, **settings)

    def process(self, *records: Record) -> BatchResult:
        consumer = Consumer(lake=self.store, horizon_ms=LATENESS_HORIZON_MS, puts=self.puts, slice_readings_max=2)
        event = json.loads(encode_event(records))
        return process_batch(event, remaining_ms=lambda: self.remaining_ms, consumer=consumer)

    def readings(self) -> set[Reading]:
        objects = self.state.buckets.get(LAKE, {})
        bodies = [stored.body for key, stored in objects.items() if key.startswith(PARTIALS)]
        return {one for body in bodies for one in decode_partial(body)[0].readings}


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> Processor:
    return Processor(monkeypatch)


BATCH = [aggregate_of(2, number=n) for n in range(101, 105)]
ALL = {reading(at_ms=t, sequence=n) for n in range(101, 105) for t in range(2)}


def test_slices_of_a_batch_come_to_the_same_readings(processor: Processor) -> None:
    """Four slices, four partials, one set."""
    processed = processor.process(*BATCH)

    assert processed.unprocessed is None
    assert len(processed.written) == 4
    assert processor.readings() == ALL


def test_a_function_that_runs_short_of_time_reports_from_where_it_must_come_again(processor: Processor) -> None:
    """Two slices took 20 s each; the third would not fit into what is left. The redelivery brings the rest."""
    processor.slice_ms, processor.remaining_ms = 20_000, 40_000 + REPORT_RESERVE_MS + 10_000

    processed = processor.process(*BATCH)

    assert processed.unprocessed == "103"
    assert processor.readings() == {one for one in ALL if one.sequence < 103}
    processor.remaining_ms, processor.slice_ms = 60_000, 0
    assert processor.process(*BATCH[2:]).unprocessed is None
    assert processor.readings() == ALL


def test_the_first_slice_is_always_tried(processor: Processor) -> None:
    """Otherwise a slow batch would never get on."""
    processor.slice_ms, processor.remaining_ms = 5_000, REPORT_RESERVE_MS + 6_000

    assert processor.process(*BATCH).unprocessed == "102"
    assert processor.readings() == {one for one in ALL if one.sequence == 101}


def test_a_store_that_hangs_is_reported_while_there_is_time(processor: Processor) -> None:
    """The slice that hangs comes again whole; what was written of it is found there."""
    released = threading.Event()
    apply = processor.state.apply

    def hang(operation: Any) -> Any:
        if "-102-102-" in operation.key:
            released.wait(timeout=30)
        return apply(operation)

    processor.store = SimulatedStore(hang, LAKE)
    processor.remaining_ms = REPORT_RESERVE_MS + 300
    try:
        assert processor.process(*BATCH).unprocessed == "102"
    finally:
        released.set()
    processor.store = SimulatedStore(apply, LAKE)
    processor.remaining_ms = 60_000
    assert processor.process(*BATCH[1:]).unprocessed is None
    assert processor.readings() == ALL


@pytest.fixture
def blocked() -> Iterator[Callable[[tuple[PlannedObject, ...]], list[PlannedObject]]]:
    """A put that never returns while the test runs."""
    released = threading.Event()

    def put(write: tuple[PlannedObject, ...]) -> list[PlannedObject]:
        if write[0].key == "slow":
            released.wait(timeout=30)
        return list(write)

    yield put
    released.set()


def test_threads_that_hang_do_not_hold_up_the_next_batch(
    blocked: Callable[[tuple[PlannedObject, ...]], list[PlannedObject]],
) -> None:
    """The pool that is stuck is left behind."""
    puts = Puts(1)
    with pytest.raises(OutOfTime):
        puts.until(Deadline(lambda: REPORT_RESERVE_MS + 50))(blocked, [(PlannedObject("slow", b""),)])

    began = time.monotonic()
    (written,) = puts.until(Deadline(lambda: 60_000))(blocked, [(PlannedObject("fast", b""),)])

    assert [one.key for one in written] == ["fast"]
    assert time.monotonic() - began < 50


def test_metrics_tell_the_time_of_each_stage(processor: Processor) -> None:
    """Decode, plan and put, in milliseconds."""
    assert set(processor.process(*BATCH).stage_ms) == {"Decode", "Plan", "Put"}


def test_arrivals_decide_in_every_slice(processor: Processor) -> None:
    """A reading that is too late is so in whichever slice it comes."""
    late = record(encoded([reading(at_ms=-LATENESS_HORIZON_MS)])[0], number=200, arrival_ms=ARRIVAL_MS)

    processed = processor.process(*BATCH, late)

    assert [dict(one.plan.quarantined) for one in processed.written][-1] == {"too_late": 1}
