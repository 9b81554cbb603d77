"""Ticks that die while they judge: nothing is lost, and nothing is told that the table contradicts."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import Any

import pytest

from tests.simulation.alarm_site import RULES, Died, Site, deaths, found, wanted
from tests.simulation.lake import LAKE, contents, markers_of
from tests.simulation.simulated_s3 import Operation, Put
from windrow.lake.layout import (
    EXCURSIONS,
    MESSAGES,
    lineage_key,
    parse_silence_marker_key,
)
from windrow.rules.messages import Message
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS, Window


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
    for dies_at, site in deaths(begun, is_done=is_done, every=every):
        site.tick()
        site.tick()
        if contents(site.state) != contents(whole.state):
            faults.append(f"other results after dying at write {dies_at}")
        if set(_told(site)) != set(_told(whole)) or max(Counter(_told(site)).values()) > 2:
            faults.append(f"told otherwise after dying at write {dies_at}")
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
    for dies_at, site in deaths(begun, is_done=is_done):
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
    return faults


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
