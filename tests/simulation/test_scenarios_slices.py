"""Slices of a batch, and records that hold blocks and JSON side by side.

batch ── record │ record │ record ──> one slice after another, while there is time for one as long as the longest
         [bad JSON, block, JSON, block, bad JSON]       each under its own place, also when it is delivered again
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from processors.consumer import BatchPlan, plan
from processors.event import Record
from processors.invoke import batch_response
from processors.puts import REPORT_RESERVE_MS
from tests.oracle import Fact
from tests.simulation.payloads import every_malformed, facts_of_block, is_block, plain, walk
from tests.simulation.process import Process
from tests.simulation.scenes import (
    DAY_MS,
    DIRECT,
    MINUTE_MS,
    START_MS,
    Setup,
    World,
    facts,
    put,
    put_facts,
    settled_faults,
)
from windrow.reading import Reading, Readings
from windrow.wire.block.block import encode_block

LATENCIES_MS = 5_000
"""More than all requests of one slice take."""


class SlowWorld(World):
    """A world whose consumer takes, for each record that it plans, as long as `takes_ms` says by its place.

    overdue: what it did beyond its time, and where it gave up too early; sizes: readings of each slice of several
    records.
    """

    def __init__(self, setup: Setup, takes_ms: Sequence[int] = ()) -> None:
        self.takes_ms = dict(enumerate(takes_ms))
        self.overdue: list[str] = []
        self.sizes: list[int] = []
        self._taken_ms: list[int] = []
        self._records: dict[str, int] = {}
        super().__init__(1, setup)

    def _plan(self, records: Sequence[Record], **named: Any) -> BatchPlan:
        took_ms = 0
        for record in records:
            place = self._records.setdefault(record.sequence_number, len(self._records))
            took_ms += self.takes_ms.get(place, 0)
        self._taken_ms.append(took_ms)
        self.time.sleep(took_ms)
        if len(records) > 1:
            self.sizes.append(sum(map(readings_in, records)))
        return plan(records, **named)

    def _consume(self, process: Process, event: bytes) -> Any:
        self._taken_ms = []
        is_done = False
        try:
            answer = super()._consume(process, event)
            is_done = answer == batch_response(None)
        finally:  # also when it is killed at its timeout
            self._look(process.remaining_ms() - REPORT_RESERVE_MS, is_done=is_done)
        return answer

    def _look(self, left_ms: int, *, is_done: bool) -> None:
        *before, last = self._taken_ms
        if left_ms < 0 and before and last <= max(before):
            self.overdue.append(f"slices of {self._taken_ms} ms, and {-left_ms} ms beyond what may be worked")
        if not is_done and left_ms > max(self._taken_ms) + LATENCIES_MS:
            self.overdue.append(f"slices of {self._taken_ms} ms, and given up with {left_ms} ms left")


def readings_in(record: Record) -> int:
    """How many readings a record says it has, counted by another reader."""
    return sum(len(facts_of_block(one)) if is_block(one) else 1 for one in walk(record.payload))


def test_no_slice_begins_that_may_outlast_the_function() -> None:
    """Short slices behind a long one: the next may be as long as the longest, and there is no time for that."""
    assert faults_of_uneven_slices([50_000, *[5_000] * 4, 50_000]) == []


def test_the_reserve_is_kept_for_the_report() -> None:
    """The third slice would end within the last three seconds."""
    assert faults_of_uneven_slices([39_000] * 5) == []


@settings(max_examples=30)
@given(st.lists(st.integers(0, 110), min_size=1, max_size=8))
@example([50, 5, 5, 5, 5, 50])
@example([39] * 5)
def test_a_batch_goes_on_while_there_is_time(takes_seconds: list[int]) -> None:
    """However long each slice takes, as long as it takes no longer than the longest before; and no sooner ended."""
    assert faults_of_uneven_slices([1_000 * seconds for seconds in takes_seconds]) == []


def faults_of_uneven_slices(takes_ms: Sequence[int]) -> list[str]:
    """What is wrong after one batch, whose records are a slice each and take this long."""
    with SlowWorld(replace(DIRECT, slice_readings_max=1), takes_ms) as world:
        world.pass_ms(MINUTE_MS)
        put_facts(world, facts(len(takes_ms), first_ms=START_MS - MINUTE_MS, step_ms=11_000))
        world.drain()
        return [*world.overdue, *settled_faults(world)]


def test_a_slice_of_blocks_holds_no_more_than_any_other() -> None:
    """Blocks alone, in aggregates and beside JSON: each counts as the readings that it has."""
    assert faults_of_slices_of_blocks() == []


def faults_of_slices_of_blocks() -> list[str]:
    """What is wrong after a batch of many small records, of few large ones, and of blocks in every company."""
    with SlowWorld(replace(DIRECT, slice_readings_max=10)) as world:
        world.pass_ms(MINUTE_MS)
        sent = facts(60, first_ms=START_MS - MINUTE_MS, step_ms=1_000)
        put_facts(world, sent[:15])
        for first in range(15, 60, 9):
            few = sent[first : first + 9]
            put(world, [block(few[:4]), block(few[4:8]), block(few[2:6])], is_aggregated=False)
            put(world, [known(world, few[4]), block(few[5:]), block(few[:5])])
            put_facts(world, few[:3], is_aggregated=True)
        world.drain()
        faults = [f"a slice of {size} readings" for size in world.sizes if size > 10]
        faults += [] if world.sizes else ["no slice had several records"]
        return faults + settled_faults(world)


def test_what_does_not_count_is_under_its_place_in_a_mixed_aggregate() -> None:
    """JSON before, between and behind blocks; also when all of it is delivered from the quarantine once more."""
    assert faults_of_mixed_aggregates() == []


def faults_of_mixed_aggregates() -> list[str]:
    """What is wrong after aggregates in which readings, bad payloads and blocks with bad rows take turns."""
    with World(1, DIRECT) as world:
        world.pass_ms(10 * MINUTE_MS)
        sent = facts(6)
        early = [("early", world.now_ms + DAY_MS + number, 0, 1) for number in range(6)]
        bad = [world.ledger.knows(payload, reason) for payload, reason in every_malformed(sent[0])[::7]]
        good = [known(world, fact) for fact in sent]
        mixed = [block([sent[0], early[0], sent[1]]), block([early[1], early[2], sent[2]])]
        put(world, [bad[0], mixed[0], good[0], bad[1], mixed[1], bad[2]])
        put(world, [mixed[1], good[3], bad[3], good[4]])
        put(world, [good[5], known(world, early[3]), mixed[0]])
        put(world, [mixed[0], mixed[0], bad[4]])
        world.drain()
        world.tick()
        redriven = world.redrive(of_quarantine=True)
        faults = [] if redriven.delivered.records > 8 else ["next to nothing was redriven"]
        return faults + settled_faults(world)


def test_blocks_of_bad_readings_are_kept_as_blocks() -> None:
    """A gateway whose clock is wrong, beside one that is well: few rows, nothing lost, and the same after a redrive."""
    assert faults_of_bad_blocks() == []


def faults_of_bad_blocks() -> list[str]:
    """What is wrong after blocks with few and with many readings that are too early, replayed and redriven."""
    with World(1, DIRECT) as world:
        world.pass_ms(10 * MINUTE_MS)
        sent = facts(12)
        early = [("early", world.now_ms + DAY_MS + number, 0, 1) for number in range(40)]
        for at, count in enumerate((1, 4, 5, 40)):
            put(world, [block([sent[at], *early[:count]])], is_aggregated=False)
            put(world, [block([*early[:count], sent[at + 4]]), known(world, sent[at + 8])])
        world.drain()
        world.tick()
        world.replay()
        world.redrive(of_quarantine=True)
        return settled_faults(world)


def test_records_of_bad_payloads_are_kept_as_records() -> None:
    """A gateway that sends little but nonsense, beside one that is well: a row a record, and the same ever after."""
    assert faults_of_bad_records() == []


def faults_of_bad_records() -> list[str]:
    """What is wrong after records with few and with many bad payloads, some beside blocks, replayed and redriven."""
    with World(1, DIRECT) as world:
        world.pass_ms(10 * MINUTE_MS)
        sent = facts(16)
        late = [("late", world.now_ms - 30 * DAY_MS + number, 0, 1) for number in range(40)]
        bad = [known(world, fact) for fact in late]
        for at, count in enumerate((1, 4, 5, 40)):
            put(world, [known(world, sent[at]), *bad[:count]])
            put(world, [*bad[:count], known(world, sent[at + 4])])
            put(world, [block([sent[at + 8]]), *bad[:count], known(world, sent[at + 12])])
        world.drain()
        world.tick()
        world.replay()
        world.redrive(of_quarantine=True)
        return settled_faults(world)


def test_unusual_readings_among_bad_payloads_count() -> None:
    """However many bad ones come before them in their record."""
    assert faults_of_unusual_readings_among_bad_ones() == []


def faults_of_unusual_readings_among_bad_ones() -> list[str]:
    """What is wrong after a record of nonsense with readings in it that only the strict reader can read."""
    with World(1, DIRECT) as world:
        world.pass_ms(10 * MINUTE_MS)
        nonsense = [world.ledger.knows(b"%d" % number, "not_an_object") for number in range(60)]
        sent = facts(3)
        unusual = [world.ledger.knows(plain(fact).replace(b'"sensor_id"', b'"sensor\\u005fid"'), fact) for fact in sent]
        put(world, [*nonsense[:40], unusual[0], *nonsense[40:], *unusual[1:]])
        world.drain()
        world.tick()
        return settled_faults(world)


def known(world: World, fact: Fact) -> bytes:
    """The payload of a reading, which the ledger knows."""
    return world.ledger.knows(plain(fact), fact)


def block(sent: Sequence[Fact]) -> bytes:
    """One block of readings."""
    return encode_block(Readings.of([Reading(*fact) for fact in sent]))
