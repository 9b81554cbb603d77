"""Uploads under all faults at once: what was acknowledged is counted, once, and receipts say what is true."""

import pytest

import processors.uploads
import producers.uploader
from processors.upload import judge_upload
from tests.horizon import LATENESS_HORIZON_MS
from tests.simulation.mutant import mutant_of
from tests.simulation.uploads_world import World

SEEDS = range(20)


def complaint_of(world: World) -> str | None:
    """What is wrong after a run; None if nothing is."""
    return of_readings(world) or of_receipts(world)


def of_readings(world: World) -> str | None:
    """What is wrong with what is counted."""
    counted = world.readings()
    if world.stuck:
        return f"gateway {world.stuck[0]} cannot send, though nothing fails"
    if missing := world.acknowledged - counted:
        return f"{len(missing)} acknowledged readings are in no partial"
    if invented := counted - world.sent:
        return f"{len(invented)} readings were never sent"
    return None


def of_receipts(world: World) -> str | None:
    """What is wrong with receipts, and with the objects that they are about."""
    if world.unearned:
        return f"a receipt of {world.unearned[0]} before its partials"
    if world.forgotten:
        return f"the message of {world.forgotten[0]} is done, and it has no receipt"
    if world.lost:
        return f"{world.lost[0]} has no receipt"
    true = [
        processors.uploads.receipt_of(judge_upload(one, horizon_ms=LATENESS_HORIZON_MS)) for one in world.bucket.stored
    ]
    if world.receipts() != {one.lake_key: one.to_json() for one in true}:
        return "the receipts are not those of the objects"
    keys = [one.key for one in world.bucket.stored if "/g" in one.key and one.key not in world.ever_hidden]
    if len(keys) != len(set(keys)):
        return "an object of a gateway is there twice"
    return None


def run(seed: int, **modules: object) -> World:
    found = {"uploads": processors.uploads, "uploader": producers.uploader} | modules
    return World(seed, **found).run()  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_the_sets_are_those_that_were_sent(seed: int) -> None:
    """Lost, doubled, late and unordered events, lost answers, killed processes, hidden and overwritten objects."""
    assert complaint_of(run(seed)) is None


def test_every_fault_happens() -> None:
    """Else the test above would say little."""
    worlds = [run(seed) for seed in SEEDS[:8]]

    assert any(world.dead for world in worlds) or any(world.killed for world in worlds)
    assert any(world.bucket.hidden for world in worlds)
    assert sum(len(world.bucket.stored) for world in worlds) > 10 * len(worlds)
    assert any(gateway.counters.ambiguous for world in worlds for gateway in world.gateways)
    assert any(door.refused for world in worlds for door in world.doors.values())
    assert any(world.gateways[number].counters.ambiguous for world in worlds for number in world.doors)


UPLOADS = "processors.uploads"
UPLOADER = "producers.uploader"
GATEWAY_API = "windrow.lake.gateway_api"
MODULES = {UPLOADS: "uploads", UPLOADER: "uploader", GATEWAY_API: "gateway_api"}
MUTANTS = {
    "receipts before partials": (
        UPLOADS,
        "            result.written.append(self._write(group, deadline=deadline, now_ms=now_ms))\n"
        "            receipts = list(map(receipt_of, group))\n"
        "            self.puts.until(deadline)(self._put_receipt, receipts)\n",
        "            receipts = list(map(receipt_of, group))\n"
        "            self.puts.until(deadline)(self._put_receipt, receipts)\n"
        "            result.written.append(self._write(group, deadline=deadline, now_ms=now_ms))\n",
    ),
    "the latest version in place of the event's": (
        UPLOADS, "self.source.open(ref.key, ref.version)", "self.source.open(ref.key, None)",
    ),
    "a key is taken for an object": (
        UPLOADS, "left = list(dict.fromkeys(refs))", "left = list({ref.key: ref for ref in refs}.values())",
    ),
    "what there is no time for is reported as done": (UPLOADS, "result.unprocessed += left", "pass"),
    "the sweep sees one version of a key": (
        UPLOADS, "for one in sorted(lost, key", "for one in sorted({one.key: one for one in lost}.values(), key",
    ),
    "the sweep is satisfied by any receipt": (
        UPLOADS, "if key_of_receipt(one.location) not in received]", "if not received]",
    ),
    "a group is one object more than was processed": (
        UPLOADS, "return len(group) + len(missing) + len(unreadable)", "return len(group) + len(missing) + 1",
    ),
    "an object is forgotten before it is stored": (
        UPLOADER,
        "            version = self._target.put_once(one.key, one.body, content_type=one.content_type)\n"
        "            self._objects.popleft()\n",
        "            self._objects.popleft()\n"
        "            version = self._target.put_once(one.key, one.body, content_type=one.content_type)\n",
    ),
    "what waits is cleared before it is encoded": (
        UPLOADER, "for start in range(0, len(readings), self._object_readings_max)",
        "for start in range(0, len(readings) - 1, self._object_readings_max)",
    ),
    "a token that was refused is kept": (GATEWAY_API, '                self._token = ""\n', ""),
    "any answer of the bucket will do": (GATEWAY_API, "if status not in {_OK, _TAKEN}:", "if not status:"),
    "what was stored before is an error": (GATEWAY_API, "if status not in {_OK, _TAKEN}:", "if status != _OK:"),
    "a key without its content": (UPLOADER, "{prefix}{digest}{ending}", "{prefix}{readings}{ending}"),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_a_break_is_noticed(name: str) -> None:
    """Each of these, by some seed."""
    module, replace, by = MUTANTS[name]
    broken = mutant_of(module, replace=replace, by=by)
    modules = {MODULES[module]: broken}

    def is_noticed(seed: int) -> bool:
        try:
            return complaint_of(run(seed, **modules)) is not None
        except Exception:  # noqa: BLE001 - a break that ends in an error is noticed, too
            return True

    assert any(map(is_noticed, SEEDS))
