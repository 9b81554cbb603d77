"""Producers and the stream: refused entries, lost answers, repeats in other shards, resharding, damaged records.

gateway ── PutRecords ──> shard 0 ──┬── shard 2      split: the parent closes, two children open
                                    └── shard 3 ──┐
                          shard 1 ────────────────┴── shard 4      merge
"""

import hashlib
from dataclasses import replace

import pytest

from tests.simulation.faults import Rates
from tests.simulation.payloads import HOSTILE_IDS, MAGIC, damaged, every_malformed, plain, sealed, spelled
from tests.simulation.process import Fate
from tests.simulation.scenes import (
    AT_ONCE,
    EACH_ALONE,
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    Fact,
    Options,
    Parcel,
    Setup,
    World,
    facts,
    parcels,
    put,
    put_body,
    put_facts,
    settled_faults,
)
from windrow.aws.stream import HASH_KEY_MAX
from windrow.wire.kpl import UserRecord, aggregate

SETUP = Setup(shards=2, options=AT_ONCE, target_bytes=200)


def faults_of_deliveries(rates: Rates, *, seed: int = 1, setup: Setup = SETUP) -> list[str]:
    """What is wrong after five deliveries of twelve readings each at these rates."""
    with World(seed, setup, rates) as world:
        gateway = world.gateway()
        for number in range(5):
            world.pass_ms(2 * MINUTE_MS)
            assert world.send(parcels(world, facts(12, first_ms=world.now_ms - MINUTE_MS, step_ms=4_000)), gateway)
            assert number >= 0
        assert not rates.put_entry_failed or world.chance.injected["put_entry_failed"] > 3
        return settled_faults(world)


@pytest.mark.parametrize("seed", range(3))
def test_put_records_partial_failure(seed: int) -> None:
    """Half of all entries are refused, request after request: each is sent again until it is stored."""
    assert faults_of_deliveries(Rates(put_entry_failed=0.5), seed=seed) == []


def test_shard_over_its_rate() -> None:
    """A shard that takes a record a second refuses the others entry by entry; the writer slows down."""
    assert faults_of_deliveries(Rates(), setup=replace(SETUP, records_per_second=1)) == []


@pytest.mark.parametrize(
    "rates",
    [
        Rates(put_lost=0.4),
        Rates(put_ack_lost=0.4),
        Rates(put_half_stored=0.4),
        Rates(put_sdk_repeat=0.6),
        Rates(put_throttled=0.5),
    ],
    ids=["lost", "acknowledgement lost", "half stored", "repeated by the client", "throttled"],
)
def test_put_without_an_answer(rates: Rates) -> None:
    """Whatever may have been stored is sent again; what that stores twice counts once."""
    assert faults_of_deliveries(rates) == []


def test_zombie_request_is_stored_after_its_retry() -> None:
    """A request that nobody waits for any more arrives up to a minute later, behind its own repetition."""
    assert faults_of_deliveries(Rates(put_zombie=0.4)) == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_gateway_is_killed_before_or_after_every_request(number: int, after: bool) -> None:
    """A producer that was told nothing sends all of it again, aggregated anew."""
    with World(1, SETUP, Rates(put_entry_failed=0.3)) as world:
        gateway = world.gateway()
        gateway.next_fate = Fate(dies_at=number, dies_after=after)
        world.pass_ms(2 * MINUTE_MS)
        assert world.send(parcels(world, facts(12, step_ms=4_000)), gateway)
        assert settled_faults(world) == []


def test_gateway_that_never_comes_back_leaves_no_half_truth() -> None:
    """What a dead producer was never told about counts where it arrived, and only there."""
    with World(1, SETUP, Rates(put_half_stored=1.0)) as world:
        world.pass_ms(2 * MINUTE_MS)
        gateway = world.gateway()
        sent = parcels(world, facts(12, step_ms=4_000))
        assert not world.do(lambda: gateway.deliver(sent, attempts_max=1))
        assert not world.ledger.accepted
        assert settled_faults(world) == []


@pytest.mark.parametrize("again", [1, 3])
def test_duplicate_in_another_shard(again: int) -> None:
    """The same reading under another key, so in another shard, batch and partial: it counts once."""
    with World(1, SETUP) as world:
        world.pass_ms(6 * MINUTE_MS)
        sent = parcels(world, facts(9))
        world.send(sent)
        for number in range(again):
            world.send([Parcel(f"elsewhere-{number}", parcel.content) for parcel in sent])
        assert len({record.shard_id for record in world.stream.records}) == 2
        assert settled_faults(world) == []


@pytest.mark.parametrize("keeps_lineage", [True, False], ids=["parents first", "child before parent"])
@pytest.mark.parametrize("knows", [True, False], ids=["new shards", "old shards"])
def test_split_and_merge_in_mid_flight(knows: bool, keeps_lineage: bool) -> None:
    """Shards split and merge while a producer, which may know the old ones, sends and batches run."""
    options = Options(window_ms=30_000, keeps_lineage=keeps_lineage)
    with World(4, replace(SETUP, options=options), Rates(killed=0.3)) as world:
        gateway = world.gateway(knows_reshards=knows)
        for number in range(8):
            world.pass_ms(MINUTE_MS)
            sent = parcels(world, facts(8, first_ms=world.now_ms - MINUTE_MS, step_ms=7_000, sensors=8))
            world.begin(lambda sent=sent: gateway.deliver(sent))
            world.pass_ms(10)
            if number % 2:
                parent = world.stream.open_shards[number % len(world.stream.open_shards)]
                middle = (parent.first_hash_key + parent.last_hash_key) // 2
                world.stream.split(parent.shard_id, at_hash_key=middle)
            elif number:
                first, second = world.stream.open_shards[:2]
                world.stream.merge(first.shard_id, second.shard_id)
        world.pass_ms(10 * MINUTE_MS)
        assert len(world.stream.shards) > 6
        assert settled_faults(world) == []


@pytest.mark.parametrize("seed", range(6))
def test_reshard_while_records_wait_to_be_sent(seed: int) -> None:
    """What waits for a closed shard is made anew for the shards there are now, and nothing is lost."""
    assert faults_of_reshard_under_way(seed) == []


def faults_of_reshard_under_way(seed: int = 0) -> list[str]:
    """What is wrong when shards are split between the requests of one delivery of many records."""
    with World(seed, replace(SETUP, target_bytes=120), Rates(put_entry_failed=0.7)) as world:
        world.pass_ms(2 * MINUTE_MS)
        gateway = world.gateway()
        sent = parcels(world, facts(60, step_ms=1_500, sensors=60))
        delivery = world.begin(lambda: gateway.deliver(sent))
        world.pass_ms(100)
        for shard in list(world.stream.open_shards):
            middle = (shard.first_hash_key + shard.last_hash_key) // 2
            world.stream.split(shard.shard_id, at_hash_key=middle)
        world.time.run(world.now_ms + HOUR_MS, is_over=lambda: delivery.is_done)
        late = [] if delivery.value else ["the delivery did not succeed"]
        return late + settled_faults(world)


def test_child_is_read_before_its_parent() -> None:
    """The child's batch is rolled while the parent's is stuck; when the parent comes, the window is rolled anew."""
    options = replace(EACH_ALONE, keeps_lineage=False)
    with World(1, replace(SETUP, shards=1, options=options)) as world:
        world.pass_ms(6 * MINUTE_MS)
        put_facts(world, facts(3, step_ms=1_000))
        world.consumer.breaks = lambda event: b"shardId-000000000000:" in event and world.now_ms < START_MS + 900_000
        world.stream.split("shardId-000000000000", at_hash_key=HASH_KEY_MAX // 2)
        put_facts(world, facts(6, step_ms=1_500), shard=1)
        world.tick()
        assert len(world.monitor.reports[-1].windows) > 0
        world.drain()
        assert world.now_ms > START_MS + 900_000
        assert settled_faults(world) == []


def test_corrupt_bytes_at_every_offset_of_an_aggregate() -> None:
    """One changed byte anywhere: the record is in quarantine whole, with its bytes, and its neighbours count."""
    assert faults_of_corruption() == []


def faults_of_corruption() -> list[str]:
    """What is wrong after one copy of an aggregate for each of its bytes, changed there, between sound ones."""
    with World(1, replace(SETUP, shards=1, options=Options(window_ms=0, batch_records_max=50))) as world:
        world.pass_ms(6 * MINUTE_MS)
        sound = aggregate([UserRecord(fact[0], plain(fact)) for fact in facts(3)])
        put_facts(world, facts(2, sensors=2))
        for at in range(len(sound)):
            body, reason = damaged(sound, at=at)
            world.ledger.broken[body] = reason
            put_body(world, body)
        put_facts(world, facts(4)[2:], is_aggregated=True)
        assert len(world.ledger.broken) == len(sound)
        return settled_faults(world)


@pytest.mark.parametrize("flip", [0x80, 0xFF])
def test_corrupt_bits_at_every_tenth_offset(flip: int) -> None:
    """Other bits than the lowest; in the magic, the record becomes a plain one."""
    with World(1, replace(SETUP, shards=1)) as world:
        world.pass_ms(6 * MINUTE_MS)
        sound = aggregate([UserRecord(fact[0], plain(fact)) for fact in facts(3)])
        for at in [*range(4), *range(4, len(sound), 10)]:
            body, reason = damaged(sound, at=at, flip=flip)
            world.ledger.broken[body] = reason
            put_body(world, body)
        assert settled_faults(world) == []


def test_aggregates_cut_short_or_sound_around_nonsense() -> None:
    """Truncation fails the MD5; a sound MD5 around no protobuf, or with a key that is not there, is malformed."""
    with World(1, replace(SETUP, shards=1)) as world:
        world.pass_ms(6 * MINUTE_MS)
        sound = aggregate([UserRecord(fact[0], plain(fact)) for fact in facts(3)])
        protobuf = sound[len(MAGIC) : -16]
        broken = {sound[:length]: "aggregate_digest" for length in range(len(MAGIC), len(sound), 7)}
        broken |= {sealed(b"\xff" * 9): "aggregate_malformed", sealed(protobuf[2:]): "aggregate_malformed"}
        assert hashlib.md5(protobuf, usedforsecurity=False).digest() == sound[-16:]
        for body, reason in broken.items():
            world.ledger.broken[body] = reason
            put_body(world, body)
        put_facts(world, facts(3), is_aggregated=True)
        assert settled_faults(world) == []


def test_every_malformed_payload_in_the_midst_of_an_aggregate() -> None:
    """Each is in quarantine with its reason, its place and its bytes; the readings around it count."""
    assert faults_of_malformed() == []


def faults_of_malformed() -> list[str]:
    """What is wrong after every kind of bad payload, each between two readings, in aggregates and alone."""
    with World(1, replace(SETUP, shards=1)) as world:
        world.pass_ms(6 * MINUTE_MS)
        kinds = every_malformed(facts(1)[0])
        sent = facts(len(kinds) + 1, step_ms=5_000)
        for number, (payload, reason) in enumerate(kinds):
            world.ledger.knows(payload, reason)
            around = [world.ledger.knows(plain(fact), fact) for fact in sent[number : number + 2]]
            put(world, [around[0], payload, around[1]])
            put(world, [payload], is_aggregated=False)
        assert len({reason for _, reason in kinds}) >= 13
        return settled_faults(world)


@pytest.mark.parametrize("sensor_id", HOSTILE_IDS, ids=range(len(HOSTILE_IDS)))
def test_hostile_sensor_ids(sensor_id: str) -> None:
    """A sensor id is data: it breaks no key, no query, no sort and no partition, whatever characters it has."""
    with World(1, SETUP) as world:
        world.pass_ms(6 * MINUTE_MS)
        sent = [(sensor_id, time_ms, sequence, value) for _, time_ms, sequence, value in facts(5)]
        world.send(parcels(world, [*sent, *facts(5, sensors=2)]))
        keys = [key for bucket in world.s3.buckets.values() for key in bucket]
        assert not [key for key in keys if ".." in key or "\0" in key]
        assert settled_faults(world) == []


def test_all_hostile_sensor_ids_at_once() -> None:
    """Ids that differ only in a space, a combining mark or a letter are different sensors."""
    with World(1, SETUP) as world:
        world.pass_ms(6 * MINUTE_MS)
        sent: list[Fact] = [(one, START_MS + at, 0, at) for at, one in enumerate(HOSTILE_IDS)]
        world.send(parcels(world, sent))
        assert settled_faults(world) == []


@pytest.mark.parametrize("seed", range(5))
def test_permuted_input(seed: int) -> None:
    """The same readings in any order, spelling and aggregation give the same rows to the byte."""
    sent = [*facts(20, step_ms=13_000), *[(*fact[:3], -fact[3]) for fact in facts(4)]]
    with World(seed, replace(SETUP, target_bytes=150 + 100 * seed)) as world:
        world.pass_ms(6 * MINUTE_MS)
        random = world.chance.random
        shuffled = random.sample(sent * 2, 2 * len(sent))
        payloads = [world.ledger.knows(random.choice([plain(one), spelled(one, random)]), one) for one in shuffled]
        world.send([Parcel(fact[0], payload) for fact, payload in zip(shuffled, payloads, strict=True)])
        assert settled_faults(world) == []
