"""Replay and redrive: the stream read once more, what was given up and what is in quarantine delivered again."""

from dataclasses import replace

import pytest

from tests.simulation.faults import Rates
from tests.simulation.payloads import every_malformed, plain
from tests.simulation.scenes import (
    DAY_MS,
    DIRECT,
    EACH_ALONE,
    MINUTE_MS,
    START_MS,
    Fact,
    Options,
    Parcel,
    Setup,
    World,
    eight_records,
    facts,
    faults_of,
    holding,
    put,
    put_facts,
    rows_bytes,
    settled_faults,
)
from tests.simulation.simulated_mapping import ON_FAILURE


@pytest.mark.parametrize("rates", [Rates(), Rates(get_throttled=0.3, iterator_expired=0.2, invoke_throttled=0.2)])
def test_full_replay(rates: Rates) -> None:
    """Every record goes to the consumer once more, in the largest events there are: not one byte of a row changes."""
    assert faults_of_replay(rates) == []


def faults_of_replay(rates: Rates) -> list[str]:
    """What is wrong after a replay, and whether it changed a row or left a record out."""
    with World(1, Setup(options=EACH_ALONE)) as world:
        world.pass_ms(10 * MINUTE_MS)
        for shard in (0, 1):
            put_facts(world, facts(20, step_ms=20_000, sensors=4)[shard::2], shard=shard)
        world.drain()
        world.tick()
        before = rows_bytes(world)
        world.mappings[0].stop()  # what it does not read, the replay alone can bring
        lost = put_facts(world, facts(3, first_ms=START_MS + 1, step_ms=20_000))
        world.pass_ms(1_000)
        world.chance.rates = rates
        replayed = world.replay()
        while replayed.failed:
            replayed = world.replay()
        world.chance.calm()
        world.tick()
        faults = [] if replayed.records == 20 + len(lost) else [f"{replayed.records} records replayed"]
        changed = [key for key, body in rows_bytes(world).items() if before.get(key) not in (body, None)]
        world.mappings[0].start()
        faults += [] if len(changed) == 1 else [f"changed {changed}"]
        return faults + settled_faults(world)


@pytest.mark.parametrize(
    "options", [Options(window_ms=0, retries_max=2), Options(window_ms=0, age_ms_max=5 * MINUTE_MS)]
)
def test_retries_exhausted_then_redriven_twice(options: Options) -> None:
    """What the mapping gives up goes whole to the on-failure bucket; redriven once or twice, it counts once."""
    assert faults_of_redrive(options) == []


def faults_of_redrive(options: Options) -> list[str]:
    """What is wrong after a batch was given up and redriven twice."""
    with World(1, replace(DIRECT, options=options)) as world:
        world.pass_ms(10 * MINUTE_MS)
        held = eight_records(world)
        world.consumer.breaks = holding(held[3], alone_too=True)
        world.drain()
        assert len(world.s3.buckets[ON_FAILURE]) == world.mappings[0].discarded >= 1
        world.tick()
        world.consumer.breaks = lambda _: False
        first, second = world.redrive(), world.redrive()
        assert first.objects == second.objects == len(world.s3.buckets[ON_FAILURE])
        assert first.delivered == second.delivered
        assert not first.delivered.failed
        return settled_faults(world)


def test_a_batch_is_redriven_after_days() -> None:
    """Judged by its own arrival, it counts; its markers make windows due that nobody looks at any more."""
    with World(1, replace(DIRECT, options=Options(window_ms=0, retries_max=0))) as world:
        world.pass_ms(10 * MINUTE_MS)
        held = eight_records(world)
        world.consumer.breaks = holding(held[3], alone_too=True)
        world.drain()
        world.tick()
        world.pass_ms(3 * DAY_MS)
        world.consumer.breaks = lambda _: False
        assert world.redrive().delivered.records > 0
        world.tick()
        world.settle_promptly()
        assert [fault for fault in faults_of(world) if "clean run" not in fault] == []


def test_quarantine_redriven_twice() -> None:
    """Each bad payload is judged again as what it was, where it was: quarantine and rows say the same."""
    assert faults_of_redriven_quarantine() == []


def faults_of_redriven_quarantine() -> list[str]:
    """What is wrong after bad payloads, in aggregates, alone and in blocks, are redriven twice."""
    with World(1, DIRECT) as world:
        world.pass_ms(10 * MINUTE_MS)
        sent = facts(6)
        for payload, reason in every_malformed(sent[0])[::3]:
            put(world, [plain_known(world, sent[1]), world.ledger.knows(payload, reason), plain_known(world, sent[2])])
            put(world, [payload], is_aggregated=False)
        early = [("early", world.now_ms + DAY_MS + number, 0, 1) for number in range(3)]
        put_facts(world, [*sent, *early], is_aggregated=True)
        world.send([Parcel(fact[0], fact) for fact in [*sent, *early]])
        world.drain()
        world.tick()
        before = rows_bytes(world)
        redriven = [world.redrive(of_quarantine=True) for _ in range(2)]
        world.tick()
        changed = [key for key, body in before.items() if rows_bytes(world).get(key) != body]
        faults = [f"changed {changed}"] if changed else []
        faults += [] if redriven[0].delivered.records > 20 else ["next to nothing was redriven"]
        return faults + settled_faults(world)


def plain_known(world: World, fact: Fact) -> bytes:
    """The payload of a reading, which the ledger knows."""
    return world.ledger.knows(plain(fact), fact)


def test_destination_denied_then_recovered_from_the_stream() -> None:
    """What neither the function nor the destination took is still in the stream: a replay brings it."""
    options = Options(window_ms=0, retries_max=0)
    with World(1, replace(DIRECT, options=options), Rates(destination_denied=1.0)) as world:
        world.pass_ms(10 * MINUTE_MS)
        held = eight_records(world)
        world.consumer.breaks = holding(held[3], alone_too=True)
        world.drain()
        assert world.mappings[0].denied == 1
        assert ON_FAILURE not in world.s3.buckets
        world.consumer.breaks = lambda _: False
        world.replay()
        world.mappings[0].denied = 0  # settle need not replay once more
        assert settled_faults(world) == []
