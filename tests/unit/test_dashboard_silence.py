"""Who is silent on the dashboard: by name and since when, as `windrow query silences` says at the same moment."""

import random
import threading
from pathlib import Path

import pytest

from analytics import panels, presets, silences
from analytics.dashboard import Dashboard
from analytics.row_cache import RowCache
from analytics.silences import SilenceCache, SilenceNow
from tests.unit.settled_results import store_window, window_at
from tests.unit.stored_results import START_MS, StoredResults
from windrow.timerange import TimeRange
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS

FLEET = {f"site-{place % 3}/sensor-{place:02}" for place in range(20)}
WHOLE = 13
"""Windows in which the whole fleet is heard, before anything happens."""


class Watched:
    """Stored windows, and who is silent after each of them."""

    def __init__(self, folder: Path) -> None:
        self.stored = StoredResults(folder)
        lock = threading.Lock()
        self.rows = RowCache(self.stored.engine, self.stored.results, lock)
        self.silences = SilenceCache(self.stored.engine, lock)
        self.heard: list[set[str]] = []

    def hear(self, *windows: set[str]) -> None:
        """Store one window after another, of these sensors each."""
        for sensors in windows:
            self.heard.append(sensors)
            store_window(self.stored, len(self.heard) - 1, self.heard)

    @property
    def all(self) -> TimeRange:
        return TimeRange(START_MS, window_at(len(self.heard)).start_ms)

    def now(self, time_range: TimeRange | None = None) -> SilenceNow:
        """Ask as the dashboard does."""
        return self.silences.at(self.rows.refresh(time_range or self.all))

    def queried(self) -> dict[str, int]:
        """Return the sensors that the query calls silent in the newest window, and their last windows."""
        frame = self.stored.engine.run(presets.silences(self.all)).frame
        newest_ms = window_at(len(self.heard) - 1).start_ms
        rows = zip(frame["window_start"], frame["sensor_id"], frame["state"], frame["last_window"], strict=True)
        return {
            sensor: int(last.timestamp() * 1000)
            for at, sensor, state, last in rows
            if at.timestamp() * 1000 == newest_ms and state in {"began", "lasts"}
        }


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def named(rows: tuple[silences.SilentSensor, ...]) -> dict[str, int]:
    return {row.sensor_id: row.heard_ms for row in rows}


@pytest.mark.slow
def test_a_silent_sensor_is_named_with_its_last_window(watched: Watched) -> None:
    """After the second window without a row, not after the first; the same as the query."""
    others = FLEET - {"site-1/sensor-07"}
    watched.hear(*[FLEET] * WHOLE, others)
    assert watched.now().all == ()
    watched.hear(others)
    now = watched.now()
    assert named(now.silent) == {"site-1/sensor-07": window_at(WHOLE - 1).start_ms} == watched.queried()
    assert (now.count, now.is_outage) == (1, False)


@pytest.mark.slow
def test_a_fleet_that_died_an_hour_ago_is_silent_sensor_by_sensor(watched: Watched) -> None:
    """No window in the last hour has a row; the query names twenty, and so does the page."""
    watched.hear(*[FLEET] * WHOLE, *[set()] * 13)
    now = watched.now()
    assert now.count == len(FLEET)
    assert named(now.silent) == watched.queried()
    assert set(named(now.silent)) == FLEET
    assert set(named(now.silent).values()) == {window_at(WHOLE - 1).start_ms}


@pytest.mark.slow
def test_an_outage_names_who_is_missing(watched: Watched) -> None:
    """The pipeline and the query name nobody then; the rows of the last hour tell."""
    watched.hear(*[FLEET] * WHOLE, {"site-0/sensor-00"}, {"site-0/sensor-00"})
    now = watched.now()
    assert watched.queried() == {}
    assert now.is_outage
    assert (now.sensors, now.expected, now.count) == (1, 20, 19)
    assert set(named(now.missing)) == FLEET - {"site-0/sensor-00"}
    assert set(named(now.missing).values()) == {window_at(WHOLE - 1).start_ms}


@pytest.mark.slow
def test_an_outage_of_a_range_too_short_to_name_anyone_is_still_counted(watched: Watched) -> None:
    """The lineage says how many were expected."""
    watched.hear(*[FLEET] * WHOLE, set(), set(), set())
    short = watched.now(TimeRange(watched.all.end_ms - 2 * WINDOW_MS, watched.all.end_ms))
    assert short.missing == ()
    assert short.count == len(FLEET)


@pytest.mark.slow
def test_a_fleet_that_was_given_up_stays_on_the_page(watched: Watched) -> None:
    """After fourteen windows nobody is expected any more, and the query falls silent too: the page still names them."""
    watched.hear(*[FLEET] * WHOLE, *[set()] * 20)
    now = watched.now()
    assert watched.queried() == {}
    assert (now.silent, now.count) == ((), len(FLEET))
    assert named(now.gone) == dict.fromkeys(sorted(FLEET), window_at(WHOLE - 1).start_ms)
    watched.hear(FLEET)
    assert watched.now().count == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_the_page_says_what_the_query_says(watched: Watched, seed: int) -> None:
    """Sensors come, go and stutter; whoever was heard in the last two windows is never named."""
    chance = random.Random(seed)
    loud = dict.fromkeys(sorted(FLEET)[:6], True)
    for place in range(16):
        loud = {one: is_loud if chance.random() < 0.75 else not is_loud for one, is_loud in loud.items()}
        watched.hear({one for one, is_loud in loud.items() if is_loud} | {"steady-1", "steady-2", "steady-3"})
        if place % 4 == 3:
            now = watched.now()
            assert named(now.silent) == watched.queried()
            assert not {row.sensor_id for row in now.all} & watched.heard[-1] & watched.heard[-2]


@pytest.mark.slow
def test_silences_are_read_once(watched: Watched) -> None:
    """Nothing when nothing changed; one object when a window was closed."""
    others = FLEET - {"site-1/sensor-07"}
    watched.hear(*[FLEET] * WHOLE, *[others] * 5)
    watched.now()
    watched.stored.results.calls.clear()
    watched.now()
    assert watched.stored.results.calls["get"] == 0
    watched.hear(others)
    watched.now()
    assert watched.stored.results.calls["get"] == 3  # its lineage, its rows, its silences


def test_silence_that_was_never_worked_out_is_not_made_up(watched: Watched) -> None:
    """An older release wrote lineages without it."""
    assert watched.silences.at(watched.rows.refresh(TimeRange(START_MS, START_MS + WINDOW_MS))) == SilenceNow()
    assert panels.silent(SilenceNow())["at"] is None


@pytest.mark.slow
def test_the_answer_has_names_times_and_kinds(watched: Watched) -> None:
    """Over the dashboard's own methods; silent ones only, when asked for."""
    others = FLEET - {"site-1/sensor-07", "site-2/sensor-02"}
    watched.hear(*[FLEET] * WHOLE, FLEET - {"site-1/sensor-07"}, others, others)
    made = Dashboard(
        engine=watched.stored.engine, results=watched.stored.results, stage="dev", clock_ms=lambda: watched.all.end_ms
    )
    bounds = format_rfc3339(watched.all.start_ms), format_rfc3339(watched.all.end_ms)
    found = made.overview(*bounds)["silent"]
    assert found["count"] == found["silent"] == 2
    assert [(one["sensor"], one["heard"], one["state"]) for one in found["sensors"]] == [
        ("site-1/sensor-07", window_at(WHOLE - 1).start_ms, "lasts"),
        ("site-2/sensor-02", window_at(WHOLE).start_ms, "began"),
    ]
    page = made.heatmap(*bounds, search="", sort="silent", page=0, per_page=10)
    assert page["sensors"] == ["site-1/sensor-07", "site-2/sensor-02"]
