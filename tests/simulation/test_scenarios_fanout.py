"""Fan-out and partial responses: chunks that fail, are throttled, refused, unheard or out of time.

batch   |1 2 3 4 5 6 7 8|
chunks  |1 2|3 4|5 6|7 8|   5 fails: from 5 on the batch comes again, and 7 8 is processed twice
"""

from dataclasses import replace

import pytest

from tests.simulation.faults import Rates
from tests.simulation.scenes import (
    AT_ONCE,
    FANOUT,
    GATHERED,
    MINUTE_MS,
    RECORDS,
    START_MS,
    World,
    eight_records,
    facts,
    holding,
    numbers_in,
    put_facts,
    settled_faults,
)


@pytest.mark.parametrize("index", range(RECORDS))
def test_partial_response_at_every_index(index: int) -> None:
    """The fan-out reports the lowest record whose chunk failed, and only from there the batch comes again."""
    assert faults_of_partial_response([index]) == []


def faults_of_partial_response(failing: list[int]) -> list[str]:
    """What is wrong when, of eight chunks of a record each, these fail; and which records were delivered again."""
    with World(1, replace(FANOUT, options=replace(GATHERED, bisects=False), fanout_chunk_bytes=1)) as world:
        world.pass_ms(10 * MINUTE_MS)
        held = eight_records(world)
        left = {held[index].sequence_number for index in failing}
        seen: list[list[int]] = []

        def breaks(event: bytes) -> bool:
            # Each function attempt of the failing chunk, three of them, until the mapping comes again.
            return len(seen) == 1 and not left.isdisjoint(numbers_in(event))

        def notes(event: bytes) -> bool:
            seen.append(numbers_in(event))
            return False

        world.consumer.breaks, world.fanout.breaks = breaks, notes
        world.drain()
        numbers = [record.sequence_number for record in held]
        expected = [numbers, numbers[min(failing) :]]
        faults = [] if seen == expected else [f"delivered {seen}, not {expected}"]
        return faults + settled_faults(world)


def test_two_chunks_of_a_batch_fail() -> None:
    """The lowest of them counts: what lies between is processed twice, and counted once."""
    assert faults_of_partial_response([2, 5]) == []


@pytest.mark.parametrize("index", [0, 3, RECORDS - 1])
def test_partial_response_with_a_wrong_identifier_fails_the_whole_batch(index: int) -> None:
    """Whoever reports a record that is none of the batch gets all of it again."""
    with World(1, FANOUT, Rates(wrong_identifier=1.0)) as world:
        world.pass_ms(10 * MINUTE_MS)
        held = eight_records(world)
        world.consumer.breaks = holding(held[index], alone_too=True, times=6)
        world.drain()
        assert world.chance.injected["wrong_identifier"] >= 1
        assert settled_faults(world) == []


@pytest.mark.parametrize("rates", [Rates(invoke_throttled=0.5), Rates(invoke_refused=0.4), Rates(invoke_ack_lost=0.4)])
def test_fan_out_is_throttled_refused_or_left_without_an_answer(rates: Rates) -> None:
    """A throttled chunk is processed by the fan-out itself; what may have run is run again."""
    assert faults_of_fan_out(rates) == []


def faults_of_fan_out(rates: Rates) -> list[str]:
    """What is wrong after four batches through the fan-out at these rates."""
    with World(3, replace(FANOUT, options=AT_ONCE), rates) as world:
        for number in range(4):
            world.pass_ms(MINUTE_MS)
            put_facts(world, facts(5, first_ms=START_MS + number * 60_000))
        world.drain()
        assert sum(world.chance.injected.values()) > 0
        return settled_faults(world)


def test_fan_out_runs_out_of_time() -> None:
    """Chunks that are not done when the time is over are reported, while their processors go on as zombies."""
    assert faults_of_slow_processors() == []


def faults_of_slow_processors() -> list[str]:
    """What is wrong when processors fail unheard, and the fan-out waits for them until its time is over."""
    with World(1, FANOUT, Rates(invoke_ack_lost=1.0)) as world:
        world.pass_ms(10 * MINUTE_MS)
        until_ms = world.now_ms + 20 * MINUTE_MS
        world.consumer.breaks = lambda _: world.now_ms < until_ms
        eight_records(world)
        world.pass_ms(20 * MINUTE_MS)
        return settled_faults(world)
