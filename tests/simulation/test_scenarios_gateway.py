"""The gateway library in trouble: cut off, killed at any request, out of power, on a full or damaged disk.

put put put ╳ put ... flush          ╳ is moved from one request, to the stream or to the disk, to the next
"""

import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from random import Random

import pytest

from producers.sender import Wire
from tests.oracle import Fact
from tests.simulation.faults import NONE, Rates
from tests.simulation.gateway_machine import Uplink
from tests.simulation.payloads import plain
from tests.simulation.process import Fate
from tests.simulation.producer_gateway import Habits, ProducerGateway, gateway_faults
from tests.simulation.simulated_disk import SimulatedFile
from tests.simulation.verdict import rows_faults_of
from tests.simulation.world import START_MS, World

SECOND_MS = 1_000
ALWAYS = Habits(flushes=1.0, closes=0.0)
NEVER_FLUSHES = Habits(flushes=0.0, closes=0.0)
SYNCED = Habits(flushes=0.0, closes=0.0, is_synced=True)
IN_MEMORY = Habits(flushes=1.0, closes=0.0, is_spooled=False)


def facts_of(number: int, *, count: int = 4) -> list[Fact]:
    """Readings of the `number`th second."""
    time_ms = START_MS + number * SECOND_MS
    return [(f"sensor-{sensor}", time_ms, sensor, 20_000 + number) for sensor in range(count)]


def ended(world: World) -> list[str]:
    """What is wrong once all has calmed down."""
    world.settle_promptly()
    lost = world.ledger.lost_of(list(world.stream.records))
    return [*gateway_faults(world.producer_gateways), *(f"lost: {fact}" for fact in lost), *rows_faults_of(world)]


def deliver(world: World, gateway: ProducerGateway, numbers: Sequence[int]) -> None:
    """Put the readings of some seconds."""
    for number in numbers:
        world.do(partial(gateway.deliver, facts_of(number)))
        world.pass_ms(SECOND_MS)


def faults_of_uplink(way: str, habits: Habits = ALWAYS, rates: Rates = NONE, seed: int = 0) -> list[str]:
    """It comes and goes three times while readings are put, and comes back while the spool is being sent."""
    with World(seed, rates=rates) as world:
        gateway = world.producer_gateway("gateway", habits)
        for first in (0, 10, 20):
            deliver(world, gateway, range(first, first + 3))
            gateway.lose_uplink(6 * SECOND_MS, way)
            deliver(world, gateway, range(first + 3, first + 10))
        return ended(world)


def faults_of_puts_while_the_spool_is_sent() -> list[str]:
    """The uplink comes back, and so often is something put that some of it is put while what is left is being sent."""
    with World(0, rates=NONE) as world:
        gateway = world.producer_gateway("gateway", NEVER_FLUSHES)
        gateway.lose_uplink(3 * SECOND_MS, "unreachable")
        for number in range(150):
            world.do(partial(gateway.deliver, facts_of(number)))
            world.pass_ms(SECOND_MS // 20)
        return ended(world)


def faults_of_long_outages(habits: Habits = IN_MEMORY) -> list[str]:
    """It begins without an uplink, and later is without one for longer than the patience of a flush."""
    with World(0, rates=NONE) as world:
        gateway = world.producer_gateway("gateway", habits)
        for first in (0, 10):
            gateway.lose_uplink(5 * 60 * SECOND_MS, "unreachable")
            deliver(world, gateway, range(first, first + 3))
            world.pass_ms(5 * 60 * SECOND_MS)
            deliver(world, gateway, range(first + 3, first + 6))
        return ended(world)


def faults_of_kill(habits: Habits = NEVER_FLUSHES, *, cut_off: bool = False) -> list[str]:
    """It is killed at each of the requests that it makes to the stream or to its disk, before it or after it."""
    return [fault for fate in _deaths() for fault in _faults_of_death(habits, fate, cut_off=cut_off)]


def _deaths() -> Iterator[Fate]:
    return (Fate(dies_at=number, dies_after=after) for number in range(1, 31, 2) for after in (False, True))


def _faults_of_death(habits: Habits, fate: Fate, *, cut_off: bool) -> list[str]:
    with World(fate.dies_at, rates=NONE) as world:
        gateway = world.producer_gateway("gateway", habits)
        if cut_off:
            gateway.lose_uplink(20 * SECOND_MS, "silent")
        deliver(world, gateway, range(2))
        gateway.next_fate = fate
        deliver(world, gateway, range(2, 5))
        return ended(world)


def faults_of_power_loss(habits: Habits = SYNCED) -> list[str]:
    """The power goes after any number of requests; what was synced is there, and the next process works."""
    faults: list[str] = []
    for number in range(1, 40, 3):
        with World(number, rates=NONE) as world:
            gateway = world.producer_gateway("gateway", habits)
            gateway.lose_uplink(60 * SECOND_MS, "unreachable")
            deliver(world, gateway, range(2))
            gateway.next_fate = Fate(dies_at=number)
            deliver(world, gateway, range(2, 4))
            promised = set(gateway.promised)
            gateway.lose_power()
            if habits.is_synced and set(gateway.promised) != promised:
                faults.append(f"request {number}: the loss of power took what was synced")
            deliver(world, gateway, range(4, 6))
            faults += ended(world)
    return faults


def faults_of_damage(*, old_form: bool = False) -> list[str]:
    """An octet here and there of a full spool changes; all entries but one arrive, and its segment is kept."""
    faults: list[str] = []
    for seed in range(12):
        with World(seed, rates=NONE) as world:
            gateway = world.producer_gateway("gateway", Habits(flushes=0.0, closes=0.0))
            if old_form:
                leave_old_spool(gateway, [plain(fact) for fact in facts_of(0, count=20)])
                for fact in facts_of(0, count=20):
                    world.ledger.knows(plain(fact), fact)
            else:
                gateway.lose_uplink(30 * SECOND_MS, "unreachable")
                deliver(world, gateway, range(5))
                gateway.stop()
            before = {name: bytes(file.octets) for name, file in gateway.folder.names.items()}
            assert gateway.damage()
            [damaged] = [
                bytes(file.octets) for name, file in gateway.folder.names.items() if file.octets != before[name]
            ]
            faults += ended(world)
            kept = [bytes(file.octets) for name, file in gateway.folder.names.items() if name.endswith(".damaged")]
            if kept != [damaged]:
                faults.append(f"seed {seed}: {len(kept)} damaged segments are kept")
            arrived = len(facts_of_stream(world))
            if arrived != 19:
                faults.append(f"seed {seed}: {arrived} of 20 readings have arrived, though one entry is damaged")
    return faults


def faults_of_damage_that_flush_meets() -> list[str]:
    """A flush after the damage was met is not true, though all that is left has arrived."""
    with World(0, rates=NONE) as world:
        gateway = world.producer_gateway("gateway", ALWAYS)
        gateway.lose_uplink(8 * SECOND_MS, "unreachable")
        deliver(world, gateway, range(3))
        assert gateway.damage()
        deliver(world, gateway, range(3, 20))
        return ended(world)


def faults_of_old_spool_beside_new() -> list[str]:
    """What an earlier version left has a number that the new segments come to."""
    with World(0, rates=NONE) as world:
        gateway = world.producer_gateway("gateway", Habits(flushes=0.0, closes=0.0, segment_bytes=1))
        old = facts_of(100)
        leave_old_spool(gateway, [plain(fact) for fact in old])
        for fact in old:
            world.ledger.knows(plain(fact), fact)
        gateway.lose_uplink(20 * SECOND_MS, "unreachable")
        deliver(world, gateway, range(5))
        faults = ended(world)
        return faults if set(old) <= facts_of_stream(world) else [*faults, "the old segment has not arrived"]


def faults_of_bad_puts() -> list[str]:
    """Calls that could not count, between sound ones: each is refused, and nothing of them arrives."""
    faults: list[str] = []
    for seed in range(5):
        with World(seed, rates=Rates(bad_put=1.0)) as world:
            gateway = world.producer_gateway("gateway", ALWAYS)
            deliver(world, gateway, range(10))
            faults += ended(world)
    return faults


def contents(gateway: ProducerGateway, suffix: str = "") -> list[bytes]:
    """The octets of the files whose names end so."""
    return [bytes(file.octets) for name, file in gateway.folder.names.items() if name.endswith(suffix)]


def facts_of_stream(world: World) -> set[Fact]:
    """Every reading that the stream has."""
    missing = world.ledger.missing_of(
        [fact for fact in world.ledger.truths.values() if not isinstance(fact, str)], world.stream.records
    )
    return {fact for fact in world.ledger.truths.values() if not isinstance(fact, str)} - set(missing)  # type: ignore[arg-type]


def leave_old_spool(gateway: ProducerGateway, entries: Sequence[bytes]) -> None:
    """What an earlier version of the library has left on the disk."""
    octets = b"".join(
        len(entry).to_bytes(4, "little") + zlib.crc32(entry).to_bytes(4, "little") + entry for entry in entries
    )
    gateway.folder.names["00000003.spool"] = SimulatedFile(bytearray(octets), octets, len(octets))


def faults_of_old_spool() -> list[str]:
    """An entry that is no reading, and one whose time is in nanoseconds, are kept beside; all others arrive."""
    with World(0, rates=NONE) as world:
        gateway = world.producer_gateway("gateway", NEVER_FLUSHES)
        sound = facts_of(0, count=6)
        bad = [b"{}", plain(("roof", START_MS * 1_000_000, 0, 1))]
        leave_old_spool(gateway, [plain(sound[0]), bad[0], *map(plain, sound[1:4]), bad[1], *map(plain, sound[4:])])
        for fact in sound:
            world.ledger.knows(plain(fact), fact)
        faults = ended(world)
        if facts_of_stream(world) != set(sound):
            faults.append(f"{len(facts_of_stream(world))} of {len(sound)} readings have arrived")
        names = sorted(name for name in gateway.folder.names if name != "lock")
        return faults if names == ["00000003.damaged"] else [*faults, f"the folder holds {names}"]


def faults_of_full_disk() -> list[str]:
    """The disk has room for any number of octets; what was taken arrives, and nothing is said to be damaged."""
    faults: list[str] = []
    for room_bytes in range(0, 330, 23):
        with World(room_bytes, rates=NONE) as world:
            gateway = world.producer_gateway("gateway", NEVER_FLUSHES)
            gateway.lose_uplink(30 * SECOND_MS, "unreachable")
            deliver(world, gateway, range(1))
            gateway.fill_disk(room_bytes)
            deliver(world, gateway, range(1, 3))
            gateway.fill_disk(None)
            deliver(world, gateway, range(3, 4))
            faults += ended(world)
            if any(name.endswith(".damaged") for name in gateway.folder.names):
                faults.append(f"room for {room_bytes} bytes: a full disk has damaged a segment")
    return faults


def faults_of_second_process() -> list[str]:
    """A second program uses the folder of the first, which holds readings: it gets no producer, and takes nothing."""
    with World(0, rates=NONE) as world:
        first, second = (world.producer_gateway(name, NEVER_FLUSHES) for name in ("first", "second"))
        second.folder = first.folder
        first.lose_uplink(20 * SECOND_MS, "unreachable")
        deliver(world, first, range(3))
        before = dict(first.folder.names)
        deliver(world, second, range(3, 6))
        faults = [] if first.folder.names == before and not second.promised else ["two processes share a spool"]
        world.producer_gateways.remove(second)
        return faults + ended(world)


def faults_of_wrong_clock(skew_ms: int) -> list[str]:
    """The clock jumps while readings are put and sent; what has its own time arrives."""
    with World(0, rates=NONE) as world:
        gateway = world.producer_gateway("gateway", ALWAYS)
        deliver(world, gateway, range(2))
        gateway.next_fate = Fate(skew_ms=skew_ms)
        deliver(world, gateway, range(2, 4))
        gateway.lose_uplink(3 * SECOND_MS, "unreachable")
        gateway.next_fate = Fate(skew_ms=-skew_ms)
        deliver(world, gateway, range(4, 8))
        return ended(world)


# ---- the tests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("habits", [ALWAYS, IN_MEMORY, NEVER_FLUSHES], ids=["spool", "memory", "never flushes"])
@pytest.mark.parametrize("way", Uplink.WAYS)
def test_an_uplink_that_comes_and_goes_costs_nothing(way: str, habits: Habits) -> None:
    """However it fails, what was confirmed is in the stream, and the rest comes when it is back."""
    assert faults_of_uplink(way, habits) == []


def test_what_is_put_while_the_spool_is_sent_is_sent_too() -> None:
    """The end of an outage is no moment, and nothing falls between the spool and what is sent at once."""
    assert faults_of_puts_while_the_spool_is_sent() == []


@pytest.mark.parametrize("habits", [ALWAYS, IN_MEMORY], ids=["spool", "memory"])
def test_long_outages_are_told_and_cost_nothing(habits: Habits) -> None:
    """Without a spool flush raises, and what it could not send is sent when the uplink is there."""
    assert faults_of_long_outages(habits) == []


@pytest.mark.parametrize("wire", list(Wire))
@pytest.mark.parametrize("cut_off", [False, True])
def test_a_gateway_that_is_killed_at_any_request_loses_nothing_of_its_spool(wire: Wire, cut_off: bool) -> None:
    """While the stream takes everything, and while it takes everything without an answer."""
    assert faults_of_kill(Habits(wire=wire, flushes=0.3, closes=0.0, in_batches=cut_off), cut_off=cut_off) == []


@pytest.mark.parametrize("is_synced", [False, True])
def test_a_loss_of_power_at_any_request(is_synced: bool) -> None:
    """A synced spool loses nothing; without that only what the disk itself lost."""
    assert faults_of_power_loss(Habits(flushes=0.0, closes=0.0, is_synced=is_synced)) == []


@pytest.mark.parametrize("old_form", [False, True])
def test_damage_costs_one_entry(old_form: bool) -> None:
    """Everything before and behind it arrives."""
    assert faults_of_damage(old_form=old_form) == []


def test_a_flush_that_has_met_damage_is_not_true() -> None:
    """Something that was put will never arrive."""
    assert faults_of_damage_that_flush_meets() == []


def test_calls_that_could_not_count_are_refused() -> None:
    """And leave nothing behind."""
    assert faults_of_bad_puts() == []


def test_an_older_spool_beside_new_segments() -> None:
    """No file is written over."""
    assert faults_of_old_spool_beside_new() == []


def test_an_older_spool_with_entries_that_are_no_readings() -> None:
    """They stop nothing."""
    assert faults_of_old_spool() == []


def test_a_full_disk_refuses_and_loses_nothing() -> None:
    """Whatever room is left."""
    assert faults_of_full_disk() == []


def test_a_folder_belongs_to_one_process() -> None:
    """The second one is told."""
    assert faults_of_second_process() == []


@pytest.mark.parametrize("skew_ms", [-START_MS, -3_600_000, 3_600_000, 400 * 86_400_000])
def test_a_clock_that_jumps_holds_nothing_up(skew_ms: int) -> None:
    """Waiting goes by a clock that does not jump."""
    assert faults_of_wrong_clock(skew_ms) == []


@pytest.mark.parametrize("seed", range(3))
def test_many_faults_at_once(seed: int) -> None:
    """Cut off, and a stream that refuses, forgets to answer, and throttles."""
    rates = Rates(put_ack_lost=0.2, put_entry_failed=0.3, put_throttled=0.1, put_zombie=0.1)
    assert faults_of_uplink(Random(seed).choice(Uplink.WAYS), rates=rates, seed=seed) == []
