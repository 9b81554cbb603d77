"""What rules say, over ticks: rows, one message for each change, corrections, crashes, and healing."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from io import BytesIO
from itertools import count
from random import Random
from typing import Any

import pytest

import dispatcher.excursions
from dispatcher.due import FIRST_TICK_AFTER_MS
from dispatcher.report import TickReport
from dispatcher.tick import Tick, always
from tests.oracle import read_rows
from tests.simulation.lake import LAKE, LIFETIMES, RESULTS, at, buckets, contents, marker_put, markers_of, partial_put
from tests.simulation.simulated_s3 import Delete, Operation, Perform, Put, S3State, SimulatedStore, recording
from windrow.lake.layout import (
    EXCURSIONS,
    MESSAGES,
    SILENCE_MARKERS,
    excursions_key,
    lineage_key,
    message_key,
    parse_silence_marker_key,
    rows_key,
    rules_key,
)
from windrow.lake.layout import RULES as RULES_ROOT
from windrow.rows.rollup_parquet import read_rows as read_rollup
from windrow.rules.excursion import Excursion, ExcursionState, excursions
from windrow.rules.judge import WatchedRows
from windrow.rules.messages import Message
from windrow.rules.rows import decode_excursions
from windrow.rules.stored import StoredRules, rules_of, store_rules
from windrow.rules.watched import no_rows, watched_rows
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS, Window

BEGIN = at("02:00")
WARM = """
[[rule]]
name = "warm"
above = 8
clear = 6
windows = 2
clear_windows = 2
severity = "critical"
"""
RULES = f"""{WARM}
[[rule]]
name = "falls"
rate = 120
severity = "info"
"""


@dataclass
class Phone:
    """Keeps what it is told."""

    told: list[Message] = field(default_factory=list)

    def tell(self, message: Message) -> None:
        """Keep it."""
        self.told.append(message)


@dataclass
class Site:
    """A site whose sensors read once in each window, and a tick after each."""

    rules: str = WARM
    state: S3State = field(default_factory=S3State)
    phone: Phone = field(default_factory=Phone)
    now_ms: int = BEGIN
    batches: int = 0
    report: TickReport = field(init=False)
    """Of the last tick."""

    def put(self, window: Window, readings: dict[str, float], *, after_ms: int = 1_000) -> None:
        """Readings of a window, with a marker if they are late."""
        rows = [(who, after_ms, 0, round(value * 1_000)) for who, value in readings.items()]
        if not rows:
            return
        self.batches += 1
        self.state.apply(partial_put(window, rows, first=self.batches))
        if window.end_ms < self.now_ms:
            self.state.apply(marker_put(window, rows))

    def window(self, **readings: float) -> Window:
        """One window with these readings, and its tick."""
        window = Window(self.now_ms)
        self.put(window, readings)
        self.now_ms += WINDOW_MS
        self.tick()
        return window

    def windows(self, *values: float | None, who: str = "f") -> list[Window]:
        """Several, of one sensor."""
        return [self.window(**({} if value is None else {who: value})) for value in values]

    def stored(self) -> StoredRules:
        """The stage's rules."""
        lake = SimulatedStore(self.state.apply, LAKE)
        return rules_of(lake, store_rules(lake, self.rules.encode()))

    def tick(
        self,
        perform: Perform | None = None,
        *,
        time_left: Callable[[], bool] = always,
        leaves_rules: bool = False,
    ) -> None:
        """The tick for the last window; one that `leaves_rules` applies none."""
        self.report = Tick(
            buckets=buckets(perform or self.state.apply),
            lifetimes=LIFETIMES,
            scheduled_time_ms=self.now_ms + FIRST_TICK_AFTER_MS,
            time_left=time_left,
            rules=None if leaves_rules else self.stored(),
            teller=self.phone,
            leaves_rules=leaves_rules,
        ).run()

    def rows(self, window: Window) -> dict[tuple[str, str], str]:
        """The states of a window, by rule and sensor."""
        stored = self.state.buckets[RESULTS].get(excursions_key(window))
        return {(row["rule"], row["sensor_id"]): row["state"] for row in read_rows(stored.body)} if stored else {}

    def subjects(self) -> list[str]:
        """What was told so far."""
        return [message.subject for message in self.phone.told]


def found(site: Site) -> set[Excursion]:
    """The excursions that the table has: of each its newest row; pending ones left out."""
    by_key: dict[tuple[str, str, int], Excursion] = {}
    for key, stored in sorted(site.state.buckets[RESULTS].items()):
        if key.startswith(EXCURSIONS):
            start_ms = next(one for one in windows_of(site) if excursions_key(one) == key).start_ms
            for row in decode_excursions(start_ms, stored.body):
                if row.has_rung:
                    by_key[row.rule, row.series, row.began_ms] = row.excursion
    return set(by_key.values())


def windows_of(site: Site) -> list[Window]:
    """All windows that the last tick could close."""
    return [Window(start_ms) for start_ms in range(BEGIN - 24 * WINDOW_MS, site.now_ms, WINDOW_MS)]


def wanted(site: Site) -> set[Excursion]:
    """The excursions by their definition, over the rows that stand."""

    def rows() -> list[WatchedRows]:
        found = []
        for window in windows_of(site):
            stored = site.state.buckets[RESULTS].get(rows_key(window))
            body = stored.body if stored else None
            parts = [watched_rows(part) for part in read_rollup(window.start_ms, BytesIO(body))] if body else []
            found.append(parts[0] if parts else no_rows(window.start_ms))
        return found

    return {one for rule in site.stored().rules for one in excursions(rule, rows())}


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


class Died(BaseException):
    """The end of a process."""


def dying(apply: Perform, dies_at: int, *, is_done: bool) -> Perform:
    """Return what performs operations until a write, the one with this number: it ends the process, done or not."""
    writes = count(1)

    def perform(operation: Operation) -> Any:
        if not isinstance(operation, Put | Delete) or next(writes) != dies_at:
            return apply(operation)
        if is_done:
            apply(operation)
        raise Died

    return perform


@pytest.mark.parametrize("is_done", [False, True])
def test_run_that_dies_at_any_write_loses_nothing(is_done: bool) -> None:
    """The next tick makes it good: the same results, and every change told, at most twice and under the same ids."""
    assert faults_of_deaths(is_done=is_done) == []


@pytest.mark.slow
def test_run_that_dies_in_a_long_correction_leaves_all_to_be_found() -> None:
    """The windows are not recent: who finds the first of them must find all."""
    assert faults_of_deaths(is_done=True, hours=3, every=6) == []


def faults_of_deaths(*, is_done: bool, hours: int = 0, every: int = 1) -> list[str]:
    """What is wrong after a run that died before or after one of its writes, each `every`-th in turn.

    It corrects an excursion that has lasted for some `hours`.
    """
    begun = _late_and_on_time(hours)
    whole = deepcopy(begun)
    whole.tick()
    whole.tick()
    faults = []
    for dies_at in count(1, every):
        site = deepcopy(begun)
        try:
            site.tick(dying(site.state.apply, dies_at, is_done=is_done))
        except Died:
            site.tick()
            site.tick()
            if contents(site.state) != contents(whole.state):
                faults.append(f"other results after dying at write {dies_at}")
            if set(_told(site)) != set(_told(whole)) or max(Counter(_told(site)).values()) > 2:
                faults.append(f"told otherwise after dying at write {dies_at}")
        else:
            assert dies_at > 10
            return faults
    return faults


def test_run_that_dies_in_the_sweep_leaves_no_marker() -> None:
    """Its event is not delivered again: the next tick, whose share of the sweep is another, releases what it marked."""
    assert faults_of_death_in_the_sweep() == []


def faults_of_death_in_the_sweep() -> list[str]:
    """The markers that are left by the tick after one that died between a marker and the first lineage.

    The window is old and nobody was heard in it, so that nothing but the marker is there of it.
    """
    site = Site()
    site.put(Window(site.now_ms), {"f": 5})
    site.now_ms += WINDOW_MS

    def perform(operation: Operation) -> Any:
        marked = {parse_silence_marker_key(key).window for key in markers_of(site.state)}
        if isinstance(operation, Put) and operation.key in map(lineage_key, marked):
            raise Died
        return site.state.apply(operation)

    with pytest.raises(Died):
        site.tick(perform)
    site.now_ms += WINDOW_MS
    site.tick()
    return [f"{key} is left" for key in markers_of(site.state)]


def test_windows_that_a_dead_run_rolled_are_judged_after_hours_without_a_tick() -> None:
    """They are no longer among those that every tick looks at, and no marker names them."""
    assert faults_of_death_before_hours() == []


def faults_of_death_before_hours() -> list[str]:
    """What is wrong after a run that rolled two windows and judged none, and more than two hours without a tick."""
    site = Site()
    site.windows(5, 5)
    for value in (9, 9):
        site.put(Window(site.now_ms), {"f": value})
        site.now_ms += WINDOW_MS

    def perform(operation: Operation) -> Any:
        if isinstance(operation, Put) and operation.key.startswith(MESSAGES):
            raise Died
        return site.state.apply(operation)

    with pytest.raises(Died):
        site.tick(perform)
    site.now_ms += 30 * WINDOW_MS
    site.window(f=5)
    site.tick()
    return [] if found(site) == wanted(site) != set() else [f"found {found(site)}"]


def _late_and_on_time(hours: int) -> Site:
    """A site before a tick: a late reading moves a beginning, and a new window has two excursions."""
    site = Site(RULES)
    first, *_ = site.windows(5, 9, 9, 9, *[9] * 12 * hours)
    site.put(first, {"f": 14, "g": 20}, after_ms=2_000)
    site.put(Window(site.now_ms), {"f": 5, "g": 20})
    site.now_ms += WINDOW_MS
    return site


def _told(site: Site) -> list[str]:
    return [change["id"] for one in site.phone.told for change in json.loads(one.document)["changes"]]


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


LATE = {
    "nothing": {},
    "one is undone": {"f": 0},
    "both are undone": {"f": 0, "g": 0},
    "another sensor": {"h": 12},
}


@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("values", [(9, 9), (9, 9, 9, 5, 5), (9, 9, 9)], ids=["rings", "clears", "lasts"])
def test_who_obeys_the_messages_knows_the_table_after_a_run_that_died(
    values: Sequence[float], late: str, is_done: bool
) -> None:
    """Readings that come between the death and the next tick may undo what the dead run kept to be told."""
    assert faults_of_obeying(values, LATE[late], is_done=is_done) == []


def faults_of_ringing() -> list[str]:
    """What is wrong around a run that told that something rings, whatever came late and wherever it died."""
    return [
        fault
        for late in LATE.values()
        for is_done in (False, True)
        for fault in faults_of_obeying((9, 9), late, is_done=is_done)
    ]


def faults_of_obeying(values: Sequence[float], late: dict[str, float], *, is_done: bool) -> list[str]:
    """What is wrong, for each write of the tick that judges the last window, when the run dies there."""
    begun = Site()
    *before, last = values
    windows = [begun.window(f=value, g=value) for value in (5, *before)]
    begun.put(Window(begun.now_ms), {"f": last, "g": last})
    begun.now_ms += WINDOW_MS
    faults = []
    for dies_at in count(1):
        site = deepcopy(begun)
        try:
            site.tick(dying(site.state.apply, dies_at, is_done=is_done))
        except Died:
            for window in windows[1:3]:
                site.put(window, late, after_ms=2_000)
            site.tick()
            site.tick()
            knows, stands = obeyed(site.phone.told, faults), standing(site)
            if knows != stands:
                faults.append(f"died at write {dies_at}: told {knows}, but {stands} stands")
            site.now_ms += 14 * WINDOW_MS
            site.tick()
            if any(key.startswith(MESSAGES) for key in site.state.buckets[LAKE]):
                faults.append(f"died at write {dies_at}: a message is left")
        else:
            return faults
    raise AssertionError


def test_a_message_that_the_table_contradicts_waits_for_the_run_that_kept_it() -> None:
    """Another tick comes between it and its excursions, and the run dies when these are written."""
    assert faults_of_a_tick_between() == []


def faults_of_a_tick_between() -> list[str]:
    """What is wrong when a tick without time comes between a message and its excursions; then nobody sends it."""
    site = Site()
    site.windows(5, 9)
    site.put(Window(site.now_ms), {"f": 9})
    site.now_ms += WINDOW_MS

    class Dead:
        def tell(self, _: Message) -> None:
            raise Died

    phone, site.phone, is_between = site.phone, Dead(), False  # type: ignore[assignment]

    def perform(operation: Operation) -> Any:
        nonlocal is_between
        if isinstance(operation, Put) and operation.key.startswith(EXCURSIONS) and not is_between:
            is_between, site.phone = True, phone
            site.tick(time_left=lambda: False)
        return site.state.apply(operation)

    with pytest.raises(Died):
        site.tick(perform)
    assert is_between
    faults = [f"told before it stood: {told.subject}" for told in phone.told]
    site.tick()
    site.tick()
    return faults if obeyed(phone.told, faults) == standing(site) != {} else [*faults, f"told {phone.told}"]


def obeyed(told: Iterable[Message], faults: list[str]) -> dict[tuple[str, str], tuple[str, str | None]]:
    """What one knows who applies the changes of messages in their order, each once: state and end of each excursion."""
    knows: dict[tuple[str, str], tuple[str, str | None]] = {}
    ids = set()
    for message in told:
        for change in json.loads(message.document)["changes"]:
            if change["id"] in ids:
                continue
            ids.add(change["id"])
            if "before" in change:
                knows.pop((change["sensor_id"], change["before"]["began"]), None)
            place = change["sensor_id"], change["began"]
            if change["change"] in ("withdrawn", "cleared") and place not in knows:
                faults.append(f"{change['change']}, and nobody was told that it rang: {place}")
            if change["change"] == "withdrawn":
                knows.pop(place, None)
            else:
                knows[place] = (change["state"], change["ended"])
    return knows


def standing(site: Site) -> dict[tuple[str, str], tuple[str, str | None]]:
    """The excursions of the table, in the same form."""
    return {
        (one.sensor_id, format_rfc3339(one.began_ms)): (one.state.value, one.ended_ms and format_rfc3339(one.ended_ms))
        for one in found(site)
    }
