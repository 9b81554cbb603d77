"""The consumer's writes to S3: killed, unheard, refused, late.

consumer   partial ─── marker ─── partial ─── quarantine
             ↑ dies before or after any of them; or the request lands when the process is long gone
"""

from dataclasses import replace

import pytest

from tests.simulation.faults import Rates
from tests.simulation.payloads import every_malformed
from tests.simulation.process import Fate
from tests.simulation.scenes import (
    AT_ONCE,
    EACH_ALONE,
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    Setup,
    World,
    facts,
    put,
    put_facts,
    rows_bytes,
    settled_faults,
)
from tests.simulation.verdict import rows_faults_of

SETUP = Setup(shards=1, options=AT_ONCE, lateness_horizon_hours=6)
REQUESTS = 5
"""Of a consumer that gets `batch`: two partials with a marker each, and a quarantine object."""


def batch(world: World) -> None:
    """Readings for two windows of three hours ago, and a bad payload: every kind of object is written."""
    sent = facts(4, first_ms=START_MS - 3 * HOUR_MS, step_ms=2 * MINUTE_MS)
    payload, reason = every_malformed(sent[0])[0]
    put_facts(world, sent)
    put(world, [world.ledger.knows(payload, reason)], is_aggregated=False)


def faults_when(fate: Fate) -> list[str]:
    """What is wrong at the end when the consumer's first invocation suffers `fate`."""
    with World(1, SETUP) as world:
        world.pass_ms(MINUTE_MS)
        world.consumer.next_fate = fate
        batch(world)
        world.drain()
        return settled_faults(world)


def test_the_batch_of_these_tests_writes_everything_a_batch_can() -> None:
    """The requests whose every crash is tried: partials, markers and quarantine, and no more of them."""
    with World(1, SETUP) as world:
        batch(world)
        world.drain()
        kinds = [step.symbol for step in world.timeline.steps if step.lane == "lake"]
    assert sorted(kinds) == sorted(["p", "p", "m", "m", "q"])
    assert len(kinds) == REQUESTS


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
def test_crash_before_or_after_every_put(number: int, after: bool) -> None:
    """The mapping delivers the batch again, and the end is that of a run without faults."""
    assert faults_when(Fate(dies_at=number, dies_after=after)) == []


@pytest.mark.parametrize("leftover_ms", [1, 30_000, 3 * HOUR_MS])
@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
def test_zombie_put(number: int, leftover_ms: int) -> None:
    """A request that was on the wire when its process died lands after the retry, or after the window was rolled."""
    assert faults_when(Fate(dies_at=number, leaves_request=True, leftover_ms=leftover_ms)) == []


@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
def test_crash_between_partial_and_marker_is_mended_by_the_retry_at_the_next_tick(number: int) -> None:
    """The retry finds its partial there and still writes the marker: no window waits for the sweep."""
    assert faults_of_marker_after_crash(number) == []


def faults_of_marker_after_crash(number: int) -> list[str]:
    """What is wrong with the rows two ticks after a late batch whose first consumer died at put `number`.

    The batch comes again as it was: its partials are there already, some of their markers are not.
    """
    with World(1, replace(SETUP, options=replace(AT_ONCE, bisects=False))) as world:
        world.pass_ms(MINUTE_MS)
        put_facts(world, facts(2, first_ms=START_MS - 3 * HOUR_MS))
        world.drain()
        world.tick()
        world.consumer.next_fate = Fate(dies_at=number, dies_after=True)
        batch(world)
        world.drain()
        world.tick()
        world.tick()
        return rows_faults_of(world)


@pytest.mark.parametrize("seed", range(4))
def test_acknowledgements_lost(seed: int) -> None:
    """Half of all writes, of consumer and dispatcher, are stored and not acknowledged; the SDK sends them again."""
    with World(seed, SETUP, Rates(s3_ack_lost=0.5)) as world:
        world.pass_ms(MINUTE_MS)
        batch(world)
        world.drain()
        world.tick()
        injected = world.chance.injected["s3_ack_lost"]
        assert settled_faults(world) == []
        assert injected >= 3


def test_every_acknowledgement_lost_is_a_412_from_oneself() -> None:
    """With every first answer lost each conditional write meets itself; the digest in the key tells that it is ours."""
    with World(1, SETUP, Rates(s3_ack_lost=1.0)) as world:
        world.pass_ms(MINUTE_MS)
        batch(world)
        world.pass_ms(MINUTE_MS)
        lines = [step for step in world.timeline.steps if step.lane == "mapping"]
        # An unconditional repeat would be unheard again; a refused one is an answer.
        assert [step.symbol for step in lines] == ["B"]
        assert settled_faults(world) == []


@pytest.mark.parametrize("rates", [Rates(s3_conflict=0.4), Rates(s3_unavailable=0.5), Rates(s3_body_broken=0.4)])
def test_s3_refuses_now_and_then(rates: Rates) -> None:
    """409, 503 and broken bodies are retried by the adapter, and what it gives up by the mapping and the next tick."""
    with World(1, SETUP, rates) as world:
        world.pass_ms(MINUTE_MS)
        batch(world)
        world.drain()
        for _ in range(3):
            world.tick()
        assert settled_faults(world) == []


def test_s3_throttled_for_an_hour() -> None:
    """Batches and ticks fail all the while; nothing is lost, and two ticks after the hour the rows are right."""
    with World(1, replace(SETUP, shards=2)) as world:
        world.s3_down_until_ms = world.now_ms + HOUR_MS
        world.begin(lambda: world.schedule.run(START_MS + HOUR_MS + 10 * MINUTE_MS))
        for number in range(12):
            put_facts(world, facts(3, first_ms=world.now_ms), shard=number % 2)
            world.pass_ms(5 * MINUTE_MS)
        assert rows_bytes(world) == {}
        world.drain()
        world.tick()
        world.tick()
        assert rows_faults_of(world) == []
        assert settled_faults(world) == []


@pytest.mark.parametrize("seed", range(4))
def test_a_frozen_consumer_thaws_when_its_retry_is_done(seed: int) -> None:
    """An invocation that stands still beyond its timeout goes on as a zombie and writes, late, what its retry wrote."""
    with World(seed, replace(SETUP, options=EACH_ALONE), Rates(zombie=1.0)) as world:
        world.pass_ms(MINUTE_MS)
        world.consumer.next_fate = Fate(frozen_ms=HOUR_MS)
        batch(world)
        world.pass_ms(10 * MINUTE_MS)
        world.tick()
        assert world.chance.injected["zombie"] == 1
        world.drain()
        assert settled_faults(world) == []


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_consumer_that_runs_short_of_time_reports_the_rest(number: int, seed: int) -> None:
    """A put that takes an hour: the function says from where the batch must come again, and the put still lands."""
    assert faults_of_short_time(number, seed) == []


def faults_of_short_time(number: int, seed: int) -> list[str]:
    """What is wrong after a batch, of which each record is a slice, whose put `number` outlasts the function."""
    with World(seed, replace(SETUP, slice_readings_max=1)) as world:
        world.pass_ms(MINUTE_MS)
        world.consumer.next_fate = Fate(freezes_at=number, frozen_ms=HOUR_MS)
        batch(world)
        world.drain()
        reported = any("itemIdentifier" in step.text for step in world.timeline.steps)
        world.pass_ms(2 * HOUR_MS)
        return ([] if reported else ["nothing was reported"]) + settled_faults(world)
