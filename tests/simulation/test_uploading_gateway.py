"""The gateway library with objects in place of records: cut off, killed at any request, out of power."""

from types import ModuleType

import pytest

import producers.uploader
import windrow.aws.uploads
from producers.sender import Wire
from tests.simulation import uploading_gateway
from tests.simulation.faults import NONE
from tests.simulation.gateway_machine import Uplink
from tests.simulation.mutant import mutant_of
from tests.simulation.process import Fate
from tests.simulation.producer_gateway import Habits, gateway_faults
from tests.simulation.test_scenarios_gateway import ALWAYS, IN_MEMORY, NEVER_FLUSHES, SECOND_MS, SYNCED, deliver
from tests.simulation.uploading_gateway import UploadingGateway, facts_in
from tests.simulation.world import World
from tests.uploading import UploadsInMemory

pytestmark = pytest.mark.slow


def gateway_in(world: World, habits: Habits, *, by_token: bool) -> UploadingGateway:
    """A gateway with a bucket of its own; the stream of its world has nothing to do."""
    gateway = UploadingGateway(
        "gateway",
        stream=world.stream,
        ledger=world.ledger,
        time=world.time,
        chance=world.chance,
        log=world.timeline.add,
        habits=habits,
    )
    gateway.bucket, gateway.by_token = UploadsInMemory(), by_token
    return gateway


def ended(world: World, gateway: UploadingGateway) -> list[str]:
    """What is wrong once all has calmed down."""
    gateway.outage.until_ms = 0
    world.do(gateway.finish)
    lost = [one for one in world.ledger.accepted if isinstance(one, tuple) and one not in facts_in(gateway.bucket)]
    keys = [one.key for one in gateway.bucket.stored]
    twice = ["an object is there twice"] if len(keys) > len(set(keys)) else []
    return [*gateway_faults([gateway]), *(f"lost: {fact}" for fact in lost), *twice]


def faults_of_uplink(way: str, habits: Habits = ALWAYS, *, by_token: bool) -> list[str]:
    """It comes and goes twice while readings are put, and comes back while the spool is being sent."""
    with World(0, rates=NONE) as world:
        gateway = gateway_in(world, habits, by_token=by_token)
        for first in (0, 10):
            deliver(world, gateway, range(first, first + 3))
            gateway.lose_uplink(6 * SECOND_MS, way)
            deliver(world, gateway, range(first + 3, first + 10))
        return ended(world, gateway)


def faults_of_death(fate: Fate, *, by_token: bool, cut_off: bool = False) -> list[str]:
    """It is killed at a request, to the stage or to its disk; the next process sends what the spool has."""
    with World(fate.dies_at, rates=NONE) as world:
        gateway = gateway_in(world, NEVER_FLUSHES, by_token=by_token)
        if cut_off:
            gateway.lose_uplink(20 * SECOND_MS, "silent")
        deliver(world, gateway, range(2))
        gateway.next_fate = fate
        deliver(world, gateway, range(2, 5))
        return ended(world, gateway)


@pytest.mark.parametrize("by_token", [False, True], ids=["credentials", "token"])
@pytest.mark.parametrize("way", Uplink.WAYS)
def test_an_uplink_that_comes_and_goes_loses_nothing(way: str, *, by_token: bool) -> None:
    """Whatever stands in its place answers; a page of a captive portal is no receipt."""
    assert faults_of_uplink(way, by_token=by_token) == []


@pytest.mark.parametrize("by_token", [False, True], ids=["credentials", "token"])
@pytest.mark.parametrize("wire", list(Wire))
def test_a_gateway_killed_at_any_request_loses_nothing(wire: Wire, *, by_token: bool) -> None:
    """Also while it is cut off; blocks in place of JSON."""
    for number in range(1, 31, 5):
        for after in (False, True):
            fate = Fate(dies_at=number, dies_after=after)
            assert faults_of_death(fate, by_token=by_token, cut_off=number % 2 == 0) == []
    habits = Habits(flushes=1.0, closes=0.0, wire=wire, in_batches=True)
    assert faults_of_uplink("silent", habits, by_token=by_token) == []


def test_a_loss_of_power_takes_nothing_that_was_synced() -> None:
    """The next process uploads it."""
    with World(1, rates=NONE) as world:
        gateway = gateway_in(world, SYNCED, by_token=True)
        gateway.lose_uplink(60 * SECOND_MS, "unreachable")
        deliver(world, gateway, range(3))
        promised = set(gateway.promised)
        gateway.lose_power()
        assert set(gateway.promised) == promised
        assert promised
        deliver(world, gateway, range(3, 5))
        assert ended(world, gateway) == []
        assert promised <= facts_in(gateway.bucket)


MUTANTS = {
    "an object is forgotten before it is stored": (
        producers.uploader,
        "Uploader",
        "            version = self._target.put_once(one.key, one.body, content_type=one.content_type)\n"
        "            self._objects.popleft()\n",
        "            self._objects.popleft()\n"
        "            version = self._target.put_once(one.key, one.body, content_type=one.content_type)\n",
        ("unreachable", IN_MEMORY),
    ),
    "any page is an answer of the bucket": (
        windrow.aws.uploads,
        "UploadClient",
        'if "ETag" not in answer:',
        "if False:",
        ("page", ALWAYS),
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_break_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an uplink that comes and goes."""
    module, of_it, replace, by, (way, habits) = MUTANTS[name]
    assert isinstance(module, ModuleType)
    broken = mutant_of(module.__name__, replace=replace, by=by)
    monkeypatch.setattr(uploading_gateway, of_it, getattr(broken, of_it))
    assert faults_of_uplink(way, habits, by_token=False)
