"""What the models of AWS do that is easily forgotten: stamps that step back, records that expire, answers amiss.

stream    1  2  3  4  5  6        arrival times are approximate, and a shard forgets its oldest records
mapping            ▲ comes back here after an outage: 1 to 3 are gone, and nobody is to blame
"""

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.oracle import Fact
from tests.simulation.faults import Rates
from tests.simulation.gateway import PLACE
from tests.simulation.kcl_reader import seen_by_kcl
from tests.simulation.process import Process
from tests.simulation.producer_gateway import Habits, gateway_faults
from tests.simulation.scenes import (
    AT_ONCE,
    DIRECT,
    EACH_ALONE,
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    Options,
    Setup,
    World,
    facts,
    faults_of,
    parcels,
    put_facts,
    settled_faults,
)
from tests.simulation.simulated_kinesis import SimulatedKinesis
from tests.simulation.verdict import expectation_of, lost_to_retention
from windrow.aws.kinesis import KinesisStream


@pytest.mark.parametrize("seed", range(4))
def test_answers_of_another_shape_lose_nothing(seed: int) -> None:
    """Whatever an answer leaves open is sent again, and counts once."""
    assert faults_of_wrong_shapes(seed) == []


@pytest.mark.parametrize("seed", range(4))
def test_every_request_answered_amiss_ends_in_an_error_and_loses_nothing(seed: int) -> None:
    """Nobody is told that anything is stored, and what is counts."""
    with World(seed, Setup(options=AT_ONCE), Rates(put_wrong_shape=1.0)) as world:
        gateway = world.gateway()
        assert not world.do(lambda: gateway.deliver(parcels(world, facts(8)), attempts_max=2))
        assert world.chance.injected["put_wrong_shape"] > 10
        assert not world.ledger.accepted
        assert settled_faults(world) == []


def faults_of_wrong_shapes(seed: int = 0) -> list[str]:
    """What is wrong after ten deliveries, half of whose requests are answered by something else than Kinesis."""
    rates = Rates(put_wrong_shape=0.5, get_wrong_shape=0.1)
    with World(seed, Setup(shards=2, options=AT_ONCE, target_bytes=200), rates) as world:
        gateway = world.gateway()
        for _ in range(10):
            world.pass_ms(MINUTE_MS)
            sent = parcels(world, facts(8, first_ms=world.now_ms - MINUTE_MS, step_ms=4_000))
            if not world.send(sent, gateway):
                return ["the gateway gave up"]
        return settled_faults(world)


# Arrival times --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_a_range_of_arrivals_is_read_whole(seed: int) -> None:
    """A record may be stamped some seconds before the one before it, and a page may hold one record."""
    assert faults_of_read_range(seed) == []


def faults_of_read_range(seed: int = 0) -> list[str]:
    """What the adapter leaves out of ranges that begin and end amid records whose stamps step back."""
    with World(seed, DIRECT, Rates(stamped_back=0.5)) as world:
        world.stream.page_records_max = 1
        gateway = world.gateway()
        for _ in range(20):
            world.pass_ms(2_000)
            assert world.send(parcels(world, facts(1, first_ms=world.now_ms)), gateway)
        records = list(world.stream.records)
        assert any(one.arrival_ms > other.arrival_ms for one, other in pairwise(records))
        faults = []
        for start_ms in range(START_MS, START_MS + 40_000, 3_000):
            end_ms = start_ms + 7_000
            wanted = [str(one.sequence_number) for one in records if start_ms <= one.arrival_ms < end_ms]
            found = world.do(lambda start_ms=start_ms, end_ms=end_ms: _read(world, start_ms, end_ms))
            if found != wanted:
                faults.append(f"{len(found)} records instead of {len(wanted)} from {start_ms} to {end_ms}")
        return faults


def _read(world: World, start_ms: int, end_ms: int) -> list[str]:
    process = Process(world.time, "operator")
    client = SimulatedKinesis(world.stream, process, world.chance)
    stream = KinesisStream(client, name=world.stream.name, place=PLACE, sleep=process.sleep_seconds)
    return [record.sequence_number for record in stream.records_between(start_ms, end_ms)]


# Retention ------------------------------------------------------------------------------------------------------------


KEEPS_HALF_AN_HOUR = replace(DIRECT, retention_ms=30 * MINUTE_MS, options=EACH_ALONE)


@pytest.mark.parametrize("seed", range(3))
def test_what_the_stream_forgets_before_the_poller_comes_is_lost_and_nothing_else(seed: int) -> None:
    """The first record blocks its shard for an hour, and counts; those right behind it are gone, later ones count."""
    with World(seed, KEEPS_HALF_AN_HOUR) as world:
        world.pass_ms(6 * MINUTE_MS)
        early = put_facts(world, facts(3))
        world.s3_down_until_ms = world.now_ms + HOUR_MS
        world.pass_ms(55 * MINUTE_MS)
        late = put_facts(world, facts(6, first_ms=world.now_ms - 5 * MINUTE_MS)[3:])
        assert settled_faults(world) == []
        assert lost_to_retention(world) == early[1:]
        counted = {fact for facts_ in expectation_of(world).facts.values() for fact in facts_}
        assert len(counted) == 1 + len(late)


def test_what_one_of_two_mappings_was_in_time_for_is_not_lost() -> None:
    """A record is lost only if nobody is done with it."""
    with World(1, replace(KEEPS_HALF_AN_HOUR, modes=("direct", "fanout"))) as world:
        world.pass_ms(6 * MINUTE_MS)
        world.fanout.breaks = lambda _: world.now_ms < START_MS + HOUR_MS
        put_facts(world, facts(3))
        assert settled_faults(world) == []
        assert world.mappings[1].lost
        assert lost_to_retention(world) == []


def test_a_reading_that_nothing_excuses_is_missed_by_the_verdict() -> None:
    """The books excuse what retention took, and nothing beside it."""
    with World(1, KEEPS_HALF_AN_HOUR) as world:
        world.pass_ms(6 * MINUTE_MS)
        put_facts(world, facts(3))
        world.drain()
        world.settle()
        world.mappings[0].done.clear()  # as if nobody had read them: then what is in the lake must still be in the rows
        world.mappings[0].lost.update(record.place for record in world.stream.records)
        assert faults_of(world) == []
        lake = world.s3.buckets["lake"]
        del lake[min(key for key in lake if key.startswith("partials/"))]
        assert faults_of(world) == []  # a united set stands for it
        for key in [key for key in lake if key.startswith("unions/")]:
            del lake[key]
        assert any("readings instead of" in fault for fault in faults_of(world))


# Time -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_slices_that_outlast_a_run(seed: int) -> None:
    """A slice that is killed with its function is delivered again; what earlier slices wrote counts once."""
    setup = Setup(shards=1, options=Options(window_ms=10_000), slice_readings_max=1)
    with World(seed, setup, Rates(slow_slice=1.0, zombie=0.5)) as world:
        world.pass_ms(6 * MINUTE_MS)
        put_facts(world, facts(20, step_ms=17_000))
        world.pass_ms(40 * MINUTE_MS)
        assert any("timed out" in line for line in world.timeline.lines())
        assert settled_faults(world) == []


# KCL consumers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_a_kcl_consumer_gets_what_was_flushed(seed: int) -> None:
    """Shards are split and merged while the library sends, and answers are refused, amiss and lost."""
    assert faults_of_kcl_consumer(seed) == []


def faults_of_kcl_consumer(seed: int = 0) -> list[str]:
    """What a KCL consumer of the stream misses of all that a gateway's flush has confirmed."""
    rates = Rates(put_entry_failed=0.2, put_wrong_shape=0.1, put_ack_lost=0.1, get_wrong_shape=0.1, list_stale=0.4)
    with World(seed, Setup(shards=2, options=AT_ONCE), rates) as world:
        gateway = world.producer_gateway("library", Habits(for_kcl=True, flushes=0.6, closes=0.1))
        for number in range(12):
            sent: list[Fact] = [(f"s{at}", world.now_ms - at, 0, number) for at in range(8)]
            world.do(lambda sent=sent: gateway.deliver(sent))
            shards = world.stream.open_shards
            if number % 3 == 0:
                parent = world.chance.pick(shards)
                middle = (parent.first_hash_key + parent.last_hash_key) // 2
                world.stream.split(parent.shard_id, at_hash_key=middle)
            elif number % 3 == 1:
                world.stream.merge(shards[0].shard_id, shards[1].shard_id)
            world.pass_ms(20_000)
        world.settle_promptly()
        missing = world.ledger.missing_of(world.ledger.accepted, seen_by_kcl(world.stream))
        assert world.ledger.accepted
        return [*gateway_faults(world.producer_gateways), *(f"a KCL consumer misses {fact}" for fact in missing)]
