"""The dashboard's rows in memory and its panels: both agree with pandas over the same rows, and only news is read."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analytics import panels, presets, row_cache
from analytics.history import Histories
from analytics.query import Query
from analytics.row_cache import RowCache, Snapshot
from tests.rows_file import encode_rollup
from tests.unit.stored_results import START_MS, StoredResults
from windrow.errors import WindrowError
from windrow.lake.layout import lineage_key, period_rows_key, rows_key
from windrow.period import Grain, Period
from windrow.reading import Reading, Readings
from windrow.rows.lineage import Lineage
from windrow.rows.partial import partials_of
from windrow.rows.rollup import roll
from windrow.timerange import TimeRange
from windrow.window import WINDOW_MS, Window

pytestmark = pytest.mark.slow

WINDOWS = 9
GAP = 4  # this window was never rolled
SENSORS = 7
ALL = TimeRange(START_MS, START_MS + WINDOWS * WINDOW_MS)
RNG = np.random.default_rng(5)


def readings_of(window: int, *, shift: int = 0) -> list[Reading]:
    """Sensor 0 falls silent after window 5, sensor 6 begins in window 2; every other one is heard in every window."""
    sensors = [s for s in range(SENSORS) if not (s == 0 and window > 5) and not (s == 6 and window < 2)]
    return [
        Reading(
            f"site-{s % 2}/Sensor-{s}", START_MS + window * WINDOW_MS + step * 9_000 + s, 0, shift + s * 1_000 + int(v)
        )
        for s in sensors
        for step, v in enumerate(RNG.integers(-900, 900, 4 + s))
    ]


def store(stored: StoredResults, readings: list[Reading], *, revision: int = 1) -> None:
    """Roll the readings: rows, then lineage."""
    for partial in partials_of(Readings.of(readings)):
        rollup = roll(partial)
        stored.results.put(rows_key(partial.window), encode_rollup(rollup))
        stored.results.put(lineage_key(partial.window), lineage(partial.window, rollup, len(partial), revision))


def lineage(window: Window, rollup: Any, readings: int, revision: int) -> bytes:
    return Lineage(
        window=window,
        fingerprint="f",
        digests=("d",),
        rows_sha256=rollup.rows_sha256,
        result_etag="e",
        revision=revision,
        readings=readings,
        sensors=len(rollup),
        conflicts=1,
        duplicates_removed=2,
        late=3,
        quarantined=4,
        partials=1,
        shards=("s-shardId-000000000000",),
        is_final=False,
        scheduled_time_ms=window.end_ms + 120_000,
    ).to_json()


@pytest.fixture
def stored(tmp_path: Path) -> StoredResults:
    results = StoredResults(tmp_path)
    for window in range(WINDOWS):
        if window != GAP:
            store(results, readings_of(window))
    return results


@pytest.fixture
def cache(stored: StoredResults) -> RowCache:
    return RowCache(stored.engine, stored.results, threading.Lock())


def rows_of(stored: StoredResults) -> pd.DataFrame:
    return stored.engine.run(Query("SELECT * FROM aggregates ORDER BY window_start, sensor_id")).frame


def milliseconds(column: "pd.Series[Any]") -> list[int]:
    return [int(at.timestamp() * 1000) for at in column]


def heatmap(snapshot: Snapshot, **asked: Any) -> dict[str, Any]:
    wanted = {"search": "", "sort": "name", "page": 0, "per_page": 50} | asked
    return panels.heatmap(snapshot, panels.summarize_sensors(snapshot), **wanted)


def test_the_fleet_is_the_preset(stored: StoredResults, cache: RowCache) -> None:
    """The same numbers as `windrow query fleet`, window by window."""
    frame = stored.engine.run(presets.fleet(ALL)).frame
    fleet = panels.fleet(cache.refresh(ALL))
    assert fleet["t"] == milliseconds(frame["window_start"])
    for name in ("sensors", "readings"):
        assert fleet[name] == frame[name].tolist()
    for name in ("min", "max"):
        assert fleet[name] == frame[f"{name}_c"].tolist()
    assert fleet["mean"] == pytest.approx(frame["mean_c"].tolist(), abs=1e-12)


def test_a_long_range_is_told_in_steps(stored: StoredResults, cache: RowCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums, counts and extremes of the windows in a step, aligned; never a mean of means."""
    monkeypatch.setattr(panels, "POINTS_MAX", 4)
    fleet = panels.fleet(cache.refresh(ALL))
    rows = rows_of(stored)
    step_ms = 3 * WINDOW_MS
    assert fleet["step_ms"] == step_ms
    groups = rows.groupby(pd.Series(milliseconds(rows["window_start"])) // step_ms * step_ms)
    assert fleet["t"] == list(groups.groups)
    assert fleet["readings"] == groups["readings"].sum().tolist()
    means = groups["sum_milli"].sum() / groups["readings"].sum() / 1000
    assert fleet["mean"] == pytest.approx(means.tolist(), abs=1e-12)
    assert fleet["min"] == (groups["min_milli"].min() / 1000).tolist()


def test_the_heatmap_is_the_means_of_each_sensor(stored: StoredResults, cache: RowCache) -> None:
    """None where a sensor has no row; a window that was never rolled has no column."""
    rows = rows_of(stored)
    mean_c = rows["sum_milli"] / rows["readings"] / 1000
    pivot = rows.assign(mean_c=mean_c).pivot_table(index="sensor_id", columns="window_start", values="mean_c")
    found = heatmap(cache.refresh(ALL))
    assert found["sensors"] == list(pivot.index)
    assert found["total"] == SENSORS
    assert len(found["t"]) == WINDOWS - 1
    for row, expected in zip(found["mean"], pivot.to_numpy(float), strict=True):
        assert [value is None for value in row] == np.isnan(expected).tolist()
        heard = expected[~np.isnan(expected)].tolist()
        assert [value for value in row if value is not None] == pytest.approx(heard, abs=1e-12)
    by_sensor = rows.groupby("sensor_id")
    assert found["max"] == (by_sensor["max_milli"].max() / 1000).tolist()
    assert found["min"] == (by_sensor["min_milli"].min() / 1000).tolist()


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("name", "site-0/Sensor-0"),
        ("hottest", "site-0/Sensor-6"),
        ("coldest", "site-0/Sensor-0"),
    ],
)
def test_sensors_are_sorted(cache: RowCache, sort: str, first: str) -> None:
    """By id or by what they did."""
    assert heatmap(cache.refresh(ALL), sort=sort)["sensors"][0] == first


def test_sensors_are_searched_and_paged(cache: RowCache) -> None:
    """Whatever the case; a page beyond the last is the last."""
    snapshot = cache.refresh(ALL)
    assert heatmap(snapshot, search="SITE-1")["total"] == 3
    assert heatmap(snapshot, search="nobody")["sensors"] == []
    pages = [heatmap(snapshot, page=page, per_page=3)["sensors"] for page in range(3)]
    assert [len(page) for page in pages] == [3, 3, 1]
    assert heatmap(snapshot, page=99, per_page=3)["page"] == 2


def test_movers_go_from_the_first_window_to_the_last(stored: StoredResults, cache: RowCache) -> None:
    """A sensor that began later, or fell silent, is taken as far as it was heard."""
    rows = rows_of(stored)
    means = (rows["sum_milli"] / rows["readings"] / 1000).groupby(rows["sensor_id"])
    change = means.last() - means.first()
    snapshot = cache.refresh(ALL)
    found = panels.movers(snapshot, panels.summarize_sensors(snapshot))
    told = {one["sensor"]: one["change"] for one in (*found["rising"], *found["falling"])}
    assert told == pytest.approx(change.to_dict(), abs=0.0011)
    assert all(one["change"] > 0 for one in found["rising"])


def test_completeness_names_the_window_that_was_not_rolled(cache: RowCache) -> None:
    """Between the first and the last lineage every window has one."""
    found = panels.completeness(cache.refresh(ALL))
    assert found["missing"] == [START_MS + GAP * WINDOW_MS]
    assert found["sensors"] == [6, 6, 7, 7, 7, 6, 6, 6]
    assert set(found["late"]) == {3}


def test_a_refresh_reads_only_what_is_new(stored: StoredResults, cache: RowCache) -> None:
    """Nothing when nothing changed; the lineage and the rows of one window when that was rolled again."""
    before = cache.refresh(ALL)
    stored.results.calls.clear()
    again = cache.refresh(ALL)
    assert stored.results.calls == {"list": 2}
    assert again.version == before.version
    store(stored, readings_of(3, shift=50_000), revision=2)
    after = cache.refresh(ALL)
    assert stored.results.calls["get"] == 2
    assert after.version > before.version
    assert panels.fleet(after)["max"][3] > 50
    assert panels.completeness(after)["revision"][3] == 2


def test_a_lineage_written_again_for_the_same_rows_does_not_read_them(stored: StoredResults, cache: RowCache) -> None:
    """Late duplicates change the lineage alone."""
    before = cache.refresh(ALL)
    window = Window(START_MS)
    found = stored.results.get(lineage_key(window))
    assert found is not None
    stored.results.put(lineage_key(window), found.body.replace(b'"late":3', b'"late":5'))
    stored.results.calls.clear()
    after = cache.refresh(ALL)
    assert stored.results.calls["get"] == 1
    assert after.rows[0] is before.rows[0]
    assert panels.completeness(after)["late"][0] == 5


def test_a_window_that_expired_is_forgotten(stored: StoredResults, cache: RowCache) -> None:
    """Gone from the listing, gone from the page."""
    cache.refresh(ALL)
    stored.results.delete(lineage_key(Window(START_MS)))
    assert panels.fleet(cache.refresh(ALL))["t"][0] == START_MS + WINDOW_MS


def test_an_empty_range_is_empty(cache: RowCache) -> None:
    """No rows, no error."""
    snapshot = cache.refresh(TimeRange(0, WINDOW_MS))
    assert panels.fleet(snapshot)["t"] == []
    assert heatmap(snapshot)["total"] == 0
    assert panels.movers(snapshot, panels.summarize_sensors(snapshot)) == {"rising": [], "falling": []}


def test_a_range_too_large_is_refused_and_another_makes_room(
    stored: StoredResults, cache: RowCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its rows are read; what is no longer shown goes first."""
    monkeypatch.setattr(row_cache, "ROWS_HELD_MAX", 20)
    stored.results.calls.clear()
    with pytest.raises(WindrowError, match=r"51 rows, more than the 20 .* no hours are rolled") as caught:
        cache.refresh(ALL)
    assert "shorter" in caught.value.hint
    assert stored.results.calls["get"] == WINDOWS - 1  # the lineages, no rows
    for first in (0, 5, 0):
        start_ms = START_MS + first * WINDOW_MS
        snapshot = cache.refresh(TimeRange(start_ms, start_ms + 3 * WINDOW_MS))
        assert len(snapshot.rows) == 3
        assert sum(map(len, cache._rows.values())) <= 20


def test_a_range_too_large_is_shown_by_hours(
    stored: StoredResults, cache: RowCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of the hours are there for that; what changes is read again."""
    hours = sorted({Period.containing(Grain.HOUR, START_MS + window * WINDOW_MS) for window in range(WINDOWS)})
    for hour in hours:
        (partial,) = partials_of(
            Readings.of([Reading("s", hour.start_ms, 0, 7_000), Reading("t", hour.start_ms, 0, 9_000)])
        )
        stored.results.put(period_rows_key(hour), encode_rollup(roll(partial)))
    whole_hours = TimeRange(hours[0].start_ms, hours[-1].end_ms)
    monkeypatch.setattr(row_cache, "ROWS_HELD_MAX", 20)
    snapshot = cache.refresh(whole_hours)
    fleet = panels.fleet(snapshot)
    assert fleet["t"] == [hour.start_ms for hour in hours]
    assert (fleet["step_ms"], fleet["mean"]) == (3_600_000, [8.0, 8.0])
    assert len(panels.completeness(snapshot)["t"]) == WINDOWS - 1
    stored.results.calls.clear()
    assert cache.refresh(whole_hours).version == snapshot.version
    assert stored.results.calls["get"] == 0
    (partial,) = partials_of(Readings.of([Reading("s", hours[0].start_ms, 0, 1_000)]))
    stored.results.put(period_rows_key(hours[0]), encode_rollup(roll(partial)))
    assert panels.fleet(cache.refresh(whole_hours))["mean"] == [1.0, 8.0]


def test_rows_on_two_pages_are_one_window(stored: StoredResults, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page ends where it ends."""
    whole = heatmap(RowCache(stored.engine, stored.results, threading.Lock()).refresh(ALL))

    class Paged:
        name = "paged"

        def __getattr__(self, name: str) -> Any:
            return getattr(stored.engine, name)

        def pages(self, query: Query, **_: object) -> Any:
            for page in stored.engine.pages(query):
                for at in range(0, len(page.frame), 4):
                    yield type(page)(page.frame.iloc[at : at + 4], engine="paged", bytes_scanned=0, seconds=0.0)

    assert heatmap(RowCache(Paged(), stored.results, threading.Lock()).refresh(ALL)) == whole


def test_a_load_that_fails_is_done_again(stored: StoredResults) -> None:
    """Half a window is never shown."""

    class Failing:
        name = "failing"
        fails = True

        def __getattr__(self, name: str) -> Any:
            return getattr(stored.engine, name)

        def pages(self, query: Query, **_: object) -> Any:
            for page in stored.engine.pages(query):
                yield type(page)(page.frame.iloc[:4], engine="failing", bytes_scanned=0, seconds=0.0)
                if self.fails:
                    raise WindrowError("the network is gone")
                yield type(page)(page.frame.iloc[4:], engine="failing", bytes_scanned=0, seconds=0.0)

    engine = Failing()
    cache = RowCache(engine, stored.results, threading.Lock())
    with pytest.raises(WindrowError, match="network"):
        cache.refresh(ALL)
    engine.fails = False
    assert panels.fleet(cache.refresh(ALL))["sensors"] == [6, 6, 7, 7, 7, 6, 6, 6]


def test_a_history_is_the_preset_and_reads_only_news(stored: StoredResults, cache: RowCache) -> None:
    """All percentiles of each window; after a roll, the window that changed."""
    histories = Histories(stored.engine, threading.Lock())
    sensor_id = "site-0/Sensor-2"
    found = histories.of(sensor_id, cache.refresh(ALL))
    frame = stored.engine.run(presets.sensor(sensor_id, ALL)).frame
    assert found["t"] == milliseconds(frame["window_start"])
    for name in ("min", "p05", "p50", "p95", "max"):
        assert found[name] == frame[f"{name}_c"].tolist()
    assert found["mean"] == pytest.approx(frame["mean_c"].tolist(), abs=1e-12)
    store(stored, readings_of(3, shift=50_000), revision=2)
    snapshot = cache.refresh(ALL)
    stored.results.calls.clear()
    assert histories.of(sensor_id, snapshot)["max"][3] > 50
    assert stored.results.calls == {"list": 2}  # what the cache has fetched is in the cache


def test_a_sensor_that_is_not_there_is_said_so(stored: StoredResults, cache: RowCache) -> None:
    """One line."""
    with pytest.raises(WindrowError, match="no sensor 'nobody'"):
        Histories(stored.engine, threading.Lock()).of("nobody", cache.refresh(ALL))
