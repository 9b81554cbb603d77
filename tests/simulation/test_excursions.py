"""What rules say, over ticks: rows, one message for each change, corrections, crashes, and healing."""

import json
from contextlib import suppress
from itertools import count
from random import Random
from typing import Any

import pytest

import dispatcher.excursions
from dispatcher.due import FIRST_TICK_AFTER_MS
from dispatcher.tick import Tick
from tests.simulation.alarm_site import BEGIN, RULES, Died, Site, found, wanted, windows_of
from tests.simulation.lake import LAKE, LIFETIMES, RESULTS, buckets, contents, markers_of
from tests.simulation.simulated_s3 import Delete, Operation, Put, recording
from windrow.lake.layout import (
    EXCURSIONS,
    MESSAGES,
    SILENCE_MARKERS,
    excursions_key,
    message_key,
    rules_key,
)
from windrow.lake.layout import RULES as RULES_ROOT
from windrow.rules.excursion import ExcursionState
from windrow.rules.messages import Message
from windrow.window import WINDOW_MS, Window


def test_excursion_rings_once_and_clears() -> None:
    """beyond, beyond(rings), between, clear, clear(cleared): two messages, and a state in each window's rows."""
    site = Site()
    site.windows(5, 5)
    states = [site.rows(window).get(("warm", "f")) for window in site.windows(9, 9.5, 7, 5, 5, 5)]
    assert states == ["pending", "lasts", "lasts", "lasts", "cleared", None]
    assert site.subjects() == ["CRITICAL warm: 1 rang", "CRITICAL warm: 1 cleared"]
    assert site.phone.told[0].text == "f: temperature (mean) reached 9.5 °C, limit 8 °C, since 2026-11-20 02:10 UTC\n"
    assert found(site) == wanted(site) != set()
    assert markers_of(site.state) == []


def test_late_reading_moves_the_beginning_and_is_told_as_a_correction() -> None:
    """The same excursion with a revision, told with what had been told before; then it clears as any other."""
    site = Site()
    early, *_ = site.windows(5, 9, 9, 9)[:1]
    missing = Window(early.start_ms + WINDOW_MS)
    site.window(f=9)
    told = len(site.phone.told)
    assert told == 1
    first = site.phone.told[0]
    site.put(early, {"f": 14}, after_ms=2_000)
    site.tick()
    (correction,) = site.phone.told[told:]
    assert correction.subject == "CRITICAL warm: 1 corrected"
    assert "told before: since 2026-11-20 02:05 UTC" in correction.text
    (change,) = json.loads(correction.document)["changes"]
    assert (change["revision"], change["began"], change["before"]["began"]) == (
        2,
        "2026-11-20T02:00:00.000Z",
        "2026-11-20T02:05:00.000Z",
    )
    assert change["id"] != json.loads(first.document)["changes"][0]["id"]
    assert missing in windows_of(site)
    site.windows(5, 5)
    assert site.subjects()[-1] == "CRITICAL warm: 1 cleared"
    assert found(site) == wanted(site) != set()


def test_late_readings_withdraw_what_rang() -> None:
    """The mean was within the limit after all: no excursion is left, and who was called is told."""
    site = Site()
    _, second, _ = site.windows(5, 9, 9)
    assert site.subjects() == ["CRITICAL warm: 1 rang"]
    site.put(second, {"f": 0}, after_ms=2_000)
    site.tick()
    assert site.subjects()[1:] == ["CRITICAL warm: 1 withdrawn"]
    assert found(site) == wanted(site) == set()


def test_second_tick_tells_nothing_and_writes_nothing() -> None:
    """A doubled schedule is not heard."""
    site = Site()
    site.windows(5, 9, 9, 9)
    before, told = contents(site.state), site.subjects()
    operations: list[Operation] = []
    site.tick(recording(site.state.apply, operations))
    assert not [one for one in operations if isinstance(one, Put | Delete)]
    assert (contents(site.state), site.subjects()) == (before, told)


def test_stage_without_rules_pays_nothing() -> None:
    """No request is made about excursions, and lineages are the bytes they were."""
    site = Site()
    site.put(Window(BEGIN), {"f": 20})
    site.now_ms += WINDOW_MS
    operations: list[Operation] = []
    Tick(
        buckets=buckets(recording(site.state.apply, operations)),
        lifetimes=LIFETIMES,
        scheduled_time_ms=site.now_ms + FIRST_TICK_AFTER_MS,
        teller=site.phone,
    ).run()
    asked = [one.key for one in operations if hasattr(one, "key")] + [
        one.prefix for one in operations if hasattr(one, "prefix")
    ]
    assert asked
    assert not [key for key in asked if key.startswith((EXCURSIONS, RULES_ROOT, MESSAGES))]
    assert b'"excursions"' not in b"".join(contents(site.state).values())


def test_readings_within_every_limit_cost_one_object_each_but_no_excursions() -> None:
    """Nothing is written under excursions/ for windows that no rule finds anything in."""
    site = Site()
    site.windows(*[5] * 4)
    assert not [key for key in site.state.buckets[RESULTS] if key.startswith(EXCURSIONS)]


def test_excursions_of_a_fleet_that_stops_end_as_lost() -> None:
    """Nobody is heard and then for hours no tick comes by: the windows in between are made, and it is lost there."""
    site = Site()
    site.windows(5, 9, 9, 9)
    last = site.now_ms
    site.now_ms += 60 * WINDOW_MS
    site.tick()
    site.windows(9, 9)
    assert site.subjects() == ["CRITICAL warm: 1 rang", "CRITICAL warm: 1 lost", "CRITICAL warm: 1 rang"]
    assert found(site) == wanted(site)
    assert [one.ended_ms for one in found(site) if one.state is ExcursionState.LOST] == [last]


def test_deleted_excursions_heal() -> None:
    """Of the windows that every tick looks at: the same rows at the next tick, and nothing is told again."""
    site = Site()
    windows = site.windows(5, 9, 9, 9, 7)
    before, told = contents(site.state), site.subjects()
    for window in windows[2:4]:
        site.state.apply(Delete(RESULTS, excursions_key(window)))
    site.tick()
    assert (contents(site.state), site.subjects()) == (before, told)


def test_lasting_excursion_that_began_earlier_is_corrected_step_by_step() -> None:
    """Each tick has time for one step, and puts a marker where the next is to go on: told once a tick at most."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispatcher.excursions, "SEGMENT_WINDOWS", 5)
        check_steps()


def check_steps() -> None:
    """Correct forty windows, five at a time; AssertionError if they are not right in the end."""
    site = Site()
    first, *_ = site.windows(5, 9, *[9.5] * 40)
    site.put(first, {"f": 14}, after_ms=2_000)
    steps = 0
    for _ in range(3):
        operations: list[Operation] = []

        def is_before_a_marker(made: list[Operation] = operations) -> bool:
            return not any(isinstance(one, Put) and one.key.startswith(SILENCE_MARKERS) for one in made)

        site.tick(recording(site.state.apply, operations), time_left=is_before_a_marker)
        steps += not is_before_a_marker()
    assert steps == 3
    site.tick()
    site.tick()
    assert found(site) == wanted(site)
    (lasting,) = found(site)
    assert lasting.began_ms == first.start_ms
    corrected = [subject for subject in site.subjects() if "corrected" in subject]
    assert 1 <= len(corrected) <= 5
    assert markers_of(site.state) == []


def test_message_that_cannot_be_sent_waits_and_is_told_in_the_report() -> None:
    """The topic is gone for two ticks: excursions are written all the same, and the third tick sends it once."""
    site = Site()

    class Gone:
        def tell(self, message: Message) -> None:
            raise RuntimeError(f"no topic for {message.rule}")

    phone, site.phone = site.phone, Gone()  # type: ignore[assignment]
    site.windows(9, 9)
    failed = site.report.rules_failed
    assert failed == ("the message of rule warm was not sent: RuntimeError: no topic for warm",)
    assert found(site) == wanted(site) != set()
    site.phone = phone
    site.window(f=9)
    assert (site.report.rules_failed, site.subjects()) == ((), ["CRITICAL warm: 1 rang"])


def test_a_damaged_message_is_named_in_the_report_and_holds_no_other_up() -> None:
    """Whoever mended or deleted it would not know otherwise: it stays, and each tick names it."""
    site = Site()
    damaged = message_key("0" * 32)
    site.state.apply(Put(LAKE, damaged, b'{"rule": "warm"'))
    site.windows(9, 9)
    assert site.report.rules_failed == (f"{damaged} is no message",)
    assert site.subjects() == ["CRITICAL warm: 1 rang"]
    assert damaged in site.state.buckets[LAKE]


def test_excursions_that_cannot_be_worked_out_are_in_the_report() -> None:
    """The rules of earlier windows are gone: the newest window goes on from none of them, and the report names it."""
    site = Site()
    site.windows(9, 9)
    first = site.stored().digest
    site.rules = RULES
    site.state.apply(Delete(LAKE, rules_key(first)))
    site.window(f=9)
    (reason, *_) = site.report.rules_failed
    assert f"rules/{first}.toml is not in the lake bucket" in reason


def test_what_a_tick_without_its_rules_rolled_is_judged_by_the_next_with_them() -> None:
    """Readings for windows of three hours ago, while rules cannot be read: the first tick that has them finds all."""
    assert faults_of_left_rules() == []


def faults_of_left_rules() -> list[str]:
    """What is wrong after ticks that rolled old windows anew and applied no rule."""
    site = Site()
    first, second, *_ = site.windows(5, 5, *[5] * 36)
    site.put(first, {"f": 20}, after_ms=2_000)
    site.put(second, {"f": 20}, after_ms=2_000)
    for _ in range(2):
        site.tick(leaves_rules=True)
    faults = ["judged without rules"] if found(site) else []
    site.tick()
    if not found(site) or found(site) != wanted(site):
        faults.append("an excursion of old windows is not found")
    site.tick()  # sends what was found behind the live windows
    return faults + [f"{key} is left" for key in markers_of(site.state)]


def test_two_ticks_at_once_agree_in_the_end() -> None:
    """Another dispatcher runs whole between any two requests of this one."""
    for between in range(1, 90, 11):
        site = Site()
        first, *_ = site.windows(5, 9, 9, 9)
        site.put(first, {"f": 14}, after_ms=2_000)
        asked = count(1)

        def perform(operation: Operation, site: Site = site, asked: "count[int]" = asked, at: int = between) -> Any:
            if next(asked) == at:
                site.put(Window(BEGIN + WINDOW_MS), {"f": 16}, after_ms=3_000)
                site.tick()
            return site.state.apply(operation)

        site.tick(perform)
        site.tick()
        assert found(site) == wanted(site) != set()


@pytest.mark.parametrize("seed", range(4))
def test_any_delivery_order_and_lateness_gives_the_same_excursions(seed: int) -> None:
    """Readings come when they like, ticks are missed or killed: in the end the excursions are those of the rows."""
    assert faults_of_deliveries(seed) == []


def faults_of_deliveries(seed: int) -> list[str]:
    """How the excursions of random deliveries differ from those of the rows that came of them."""
    random = Random(seed)
    site = Site(RULES)
    facts = [
        (Window(BEGIN + number * WINDOW_MS), sensor, random.choice([5, 7, 9, 12, 30]))
        for number in range(45)
        for sensor in ("a", "b", "c")
        if random.random() < (0.9 if number // 15 != seed % 3 else 0.1)
    ]
    arrivals = sorted((number + random.choice([0, 0, 0, 1, 3, 20]), number, fact) for number, fact in enumerate(facts))
    site.tick()
    for _, _, (window, sensor, value) in arrivals:
        while site.now_ms < window.end_ms:
            site.now_ms += WINDOW_MS
            _tick_as_it_may(site, random)
        site.put(window, {sensor: value}, after_ms=random.randint(0, 200_000))
    site.now_ms += 2 * WINDOW_MS
    for _ in range(4):
        site.tick()
    faults = [f"{len(found(site) ^ wanted(site))} excursions differ"] if found(site) != wanted(site) else []
    assert wanted(site)
    return faults + [f"{key} is left" for key in markers_of(site.state) if key.startswith(MESSAGES)]


def _tick_as_it_may(site: Site, random: Random) -> None:
    fate = random.random()
    if fate < 0.2:
        return
    if fate < 0.6:
        site.tick()
        return
    left = count(random.randint(1, 60), -1)

    def perform(operation: Operation) -> Any:
        if next(left) == 0:
            raise Died
        return site.state.apply(operation)

    with suppress(Died):
        site.tick(perform)
