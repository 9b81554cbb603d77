"""Rules that count minutes, over ticks: to the millisecond, whatever comes late, dies, is deleted or patched."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from random import Random

import pytest

import dispatcher.patch
import dispatcher.rows
from dispatcher.spill import Spill
from tests.excursion_oracle import History, expected
from tests.simulation.alarm_site import BEGIN, WARM, Site, deaths, found, windows_of
from tests.simulation.lake import LAKE, RESULTS, contents, marker_put, partial_put
from tests.simulation.simulated_s3 import Delete, Operation, Put, recording
from windrow.lake.layout import HELD, PARTIALS, UNIONS, lineage_key, rows_key
from windrow.rows.held import decode_held, encode_held
from windrow.rows.lineage import Lineage
from windrow.rules.excursion import Excursion
from windrow.window import WINDOW_MS, Window

MINUTES_20 = """
[[rule]]
name = "warm-20m"
above = 8
minutes = 20
hold_minutes = 1
severity = "critical"
"""
SHORT = """
[[rule]]
name = "warm"
above = 8
clear = 6
minutes = 0.5
hold_minutes = 1
clear_windows = 2
"""
NOT_LATE = """
[[rule]]
name = "cold"
outside = [-40, 7]
minutes = 1
hold_minutes = 1
"""
Reading = tuple[str, int, float]


@dataclass
class Cellar(Site):
    """A site that remembers what it was given: sensor, milliseconds after BEGIN, degrees."""

    rules: str = MINUTES_20
    given: list[Reading] = field(default_factory=list)

    def give(self, *readings: Reading) -> None:
        """Readings, a partial for each window."""
        by_window: dict[Window, list[tuple[str, int, int, int]]] = {}
        for who, after_ms, value in readings:
            window = Window((BEGIN + after_ms) // WINDOW_MS * WINDOW_MS)
            row = (who, BEGIN + after_ms - window.start_ms, 0, round(value * 1_000))
            by_window.setdefault(window, []).append(row)
        for window, rows in by_window.items():
            self.batches += 1
            self.state.apply(partial_put(window, rows, first=self.batches))
            if window.end_ms < self.now_ms:
                self.state.apply(marker_put(window, rows))
        self.given += readings

    def go_on(self, windows: int) -> None:
        """So many windows with their ticks."""
        for _ in range(windows):
            self.now_ms += WINDOW_MS
            self.tick()

    def wanted(self) -> set[Excursion]:
        """The excursions by their definition, from the readings."""
        windows = windows_of(self)
        values: list[dict[str, dict[int, int]]] = [{} for _ in windows]
        for who, after_ms, value in self.given:
            index, offset_ms = divmod(BEGIN + after_ms - windows[0].start_ms, WINDOW_MS)
            milli = round(value * 1_000)
            if index < len(windows):
                of_sensor = values[index].setdefault(who, {})
                of_sensor[offset_ms] = max(milli, of_sensor.get(offset_ms, milli))
        history: History = [{who: tuple(sorted(one.items())) for who, one in each.items()} for each in values]
        sensors = sorted(set().union(*history))
        return {
            one
            for rule in self.stored().rules
            for who in sensors
            for one in expected(rule, history, who, start_ms=windows[0].start_ms)
        }

    def held_keys(self) -> list[str]:
        """The objects of held times."""
        return sorted(key for key in self.state.buckets[LAKE] if key.startswith(HELD))

    def lineage(self, window: Window) -> Lineage:
        """The lineage of a window."""
        return Lineage.from_json(self.state.buckets[RESULTS][lineage_key(window)].body)


def at_minutes(*minutes: int, value: float, who: str = "f") -> list[Reading]:
    """A reading at each of these minutes."""
    return [(who, minute * 60_000, value) for minute in minutes]


def test_a_late_reading_makes_twenty_minutes_of_a_millisecond_less() -> None:
    """20 minutes are not more than 20; with one millisecond more, in the window before, they are."""
    site = Cellar()
    site.give(
        *at_minutes(*range(4), value=5), *at_minutes(*range(6, 25), value=9), *at_minutes(*range(25, 30), value=5)
    )
    site.give(("f", 300_001, 9))
    site.go_on(6)
    assert site.subjects() == []
    site.give(("f", 300_000, 9))
    site.tick()
    assert (site.subjects(), found(site)) == ([], set())
    site.give(("f", 299_999, 9))
    site.tick()
    (one,) = found(site)
    assert (one.held_ms, one.beyond_milli_ms, one.began_ms) == (1_200_001, 1_200_001_000, BEGIN)
    assert site.subjects() == ["CRITICAL warm-20m: 1 cleared"]
    assert found(site) == site.wanted()


def test_windows_without_time_beyond_a_limit_have_no_object() -> None:
    """Their lineage says so; a stage whose rules count no minutes has neither."""
    site = Cellar()
    site.give(*at_minutes(0, value=5))
    site.go_on(1)
    mark = site.lineage(Window(BEGIN)).held
    assert mark is not None
    assert (mark.digest, site.held_keys()) == ("", [])
    plain = Cellar(rules=WARM)
    plain.give(*at_minutes(0, value=9))
    plain.go_on(1)
    assert (plain.lineage(Window(BEGIN)).held, plain.held_keys()) == (None, [])


def test_a_new_limit_rolls_the_last_two_hours_anew_and_keeps_the_old() -> None:
    """Rows stay as they are, to the revision; a window that the old rules judged keeps what they need."""
    assert faults_of_new_limits() == []


def faults_of_new_limits() -> list[str]:
    """What is wrong after rules with another limit."""
    site = Cellar(rules=SHORT)
    site.give(*at_minutes(0, 1, 2, 5, 6, value=9))
    site.go_on(3)
    before = site.lineage(Window(BEGIN))
    site.rules = NOT_LATE
    site.go_on(1)
    after = site.lineage(Window(BEGIN))
    faults = [] if (after.revision, after.result_etag) == (before.revision, before.result_etag) else ["other rows"]
    assert before.held is not None
    if after.held is None or not set(before.held.watches) < set(after.held.watches):
        faults.append("the new limits are not kept, or not the old ones")
    site.give(*at_minutes(16, 17, value=9))
    site.go_on(3)
    if not [one for one in found(site) if one.rule == "cold"]:
        faults.append("the new rule finds nothing")
    return faults


@pytest.mark.parametrize("damage", ["gone", "other bytes", "other times"])
def test_held_times_that_are_gone_are_made_anew(damage: str) -> None:
    """As soon as a window has to be judged again: the same excursions as if nothing had happened."""
    assert faults_of_lost_objects(damage) == []


def faults_of_lost_objects(damage: str) -> list[str]:
    """What is wrong after every object of held times is gone, and a late reading changes the first window."""
    site = Cellar(rules=SHORT)
    site.give(*at_minutes(*range(1, 25, 2), value=9))
    site.go_on(5)
    assert site.held_keys()
    for window, key in zip(windows_of(site)[-5:], site.held_keys(), strict=True):
        held = decode_held(window.start_ms, site.state.buckets[LAKE][key].body)
        longer = {limit: replace(times, held_ms=times.held_ms + 1) for limit, times in held.items()}
        body = encode_held(window.start_ms, longer) if damage == "other times" else b"PAR1"
        site.state.apply(Delete(LAKE, key) if damage == "gone" else Put(LAKE, key, body))
    site.give(("f", 0, 12))
    site.tick()
    return [] if found(site) == site.wanted() != set() else ["excursions differ"]


def test_windows_whose_readings_are_gone_have_no_verdict() -> None:
    """A limit that came after them cannot be judged: no excursion, no failure, and the next windows are judged."""
    site = Cellar(rules=SHORT)
    site.give(*at_minutes(0, 1, value=9))
    site.now_ms += WINDOW_MS
    site.tick(leaves_rules=True)
    for key in [key for key in site.state.buckets[LAKE] if key.startswith(PARTIALS)]:
        site.state.apply(Delete(LAKE, key))
    site.give(*at_minutes(5, 6, value=9))
    site.go_on(1)
    assert [one.began_ms for one in found(site)] == [BEGIN + WINDOW_MS]
    assert site.report.rules_failed == ()


def test_a_window_waits_if_its_held_times_cannot_be_made_for_now() -> None:
    """Its readings cannot be read, and the report says so; nothing is taken back, and later nothing is lost."""
    assert faults_of_a_broken_roll() == []


def faults_of_a_broken_roll() -> list[str]:
    """What is wrong while held times are gone and a partial is damaged, and after it is mended."""
    site = Cellar(rules=SHORT)
    site.give(*at_minutes(*range(1, 15, 2), value=9))
    site.go_on(3)
    rang, partials = site.subjects(), [key for key in site.state.buckets[LAKE] if key.startswith(PARTIALS)]
    kept = {key: site.state.buckets[LAKE][key].body for key in partials[1:]}
    for key in [*site.held_keys(), *kept]:
        site.state.apply(Put(LAKE, key, b"PAR1"))
    site.give(("f", 0, 12))
    site.tick()
    failed, told = site.report.rules_failed, site.subjects()
    for key, body in kept.items():
        site.state.apply(Put(LAKE, key, body))
    site.tick()
    faults = [] if failed and all("held times are not there" in one for one in failed) else [f"reported: {failed}"]
    if told != rang or found(site) != site.wanted() or not found(site):
        faults.append(f"told {told}, or other excursions in the end")
    return faults


@contextmanager
def united_windows() -> Iterator[None]:
    """Windows of more than one partial have a united set, and readings are cut into ranges of few."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispatcher.rows, "UNITED_ABOVE_PARTIALS", 1)
        for module in (dispatcher.rows, dispatcher.patch):
            patch.setattr(module, "Spill", lambda window, **how: Spill(window, **how | {"held_max": 8}))
        yield


def test_a_patch_keeps_the_held_times_of_ranges_that_it_does_not_read() -> None:
    """The same object as a whole roll's, though most of the united set is not read."""
    assert faults_of_patches() == []


def faults_of_patches() -> list[str]:
    """How held times after patches differ from those of the readings."""
    with united_windows():
        site = Cellar(rules=SHORT)
        for minute in range(4):
            site.give(*[one for who in range(40) for one in at_minutes(minute, value=9, who=f"s{who:02}")])
        site.go_on(1)
        operations: list[Operation] = []
        site.give(*at_minutes(4, value=9, who="s20"))
        site.tick(recording(site.state.apply, operations))
        unions = [key for key in site.state.buckets[LAKE] if key.startswith(UNIONS)]
        read = {one.key for one in operations if hasattr(one, "key") and one.key.startswith(UNIONS)}
        assert len(unions) > 2
        faults = [] if found(site) == site.wanted() != set() else ["excursions differ"]
        return faults + (["all ranges were read"] if len(read) > len(unions) // 2 else [])


@pytest.mark.slow
@pytest.mark.parametrize("is_done", [False, True])
def test_a_run_that_dies_at_any_write_leaves_held_times_that_heal(is_done: bool) -> None:
    """The next ticks make the same results; an object that no lineage names is left at most."""
    assert faults_of_deaths_with_held_times(is_done=is_done) == []


def faults_of_deaths_with_held_times(*, is_done: bool) -> list[str]:
    """What is wrong after a run that died before or after each of its writes."""
    begun = Cellar(rules=SHORT)
    begun.give(*at_minutes(*range(1, 15, 2), value=9))
    begun.go_on(3)
    begun.give(("f", 0, 12), ("f", 590_000, 13), *at_minutes(16, 17, value=9))
    begun.now_ms += WINDOW_MS
    whole = deepcopy(begun)
    whole.tick()
    whole.tick()
    for dies_at, site in deaths(begun, is_done=is_done):
        site.tick()
        site.tick()
        if contents(site.state) != contents(whole.state):
            return [f"other results after dying at write {dies_at}"]
    return [] if found(whole) == whole.wanted() != set() else ["excursions differ"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_any_delivery_gives_the_same_held_times(seed: int) -> None:
    """Readings in any order, some hours late, some ticks missed: in the end what the oracle says of the readings."""
    assert faults_of_held_deliveries(seed) == []


def faults_of_held_deliveries(seed: int) -> list[str]:
    """How the excursions of random deliveries differ from those of the readings."""
    random = Random(seed)
    site = Cellar(rules=SHORT + NOT_LATE)
    facts = [
        (who, number * WINDOW_MS + random.randrange(0, WINDOW_MS, 7_500), random.choice([5, 7, 9, 12]))
        for number in range(16)
        for who in ("a", "b")
        for _ in range(3)
    ]
    arrivals = sorted(
        (fact[1] // WINDOW_MS + random.choice([0, 0, 0, 1, 9]), number) for number, fact in enumerate(facts)
    )
    site.tick()
    for number in range(28):
        site.give(*[facts[which] for arrives, which in arrivals if arrives == number])
        site.now_ms += WINDOW_MS
        if random.random() < 0.7:
            site.tick()
    for _ in range(3):
        site.tick()
    assert rows_key(Window(BEGIN)) in site.state.buckets[RESULTS]
    return [] if found(site) == site.wanted() != set() else [f"{len(found(site) ^ site.wanted())} excursions differ"]
