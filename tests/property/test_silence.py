"""Silence against a model that keeps sets and walks from window to window."""

import io

import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windrow.reading import Readings
from windrow.rows.partial import Partial
from windrow.rows.rollup import Rollup, batches_of, roll
from windrow.rows.silence import (
    AGES,
    BEFORE_WINDOWS,
    COLUMNS,
    HISTORY_WINDOWS,
    MISSING_WINDOWS,
    Silence,
    SilenceState,
    is_silent,
    silence_of,
    write_silence,
)
from windrow.window import WINDOW_MS, Window

START_MS = 1_763_640_300_000
NEWEST = Window(START_MS + (HISTORY_WINDOWS - 1) * WINDOW_MS)

Fleet = list[set[str]]
"""The sensors of each window, the newest first."""
sensors = st.sampled_from(["a", "b", "c\u00a0", "d", "é", "日" * 40])
fleets = st.lists(st.sets(sensors), min_size=HISTORY_WINDOWS, max_size=HISTORY_WINDOWS)


def rows_of(window: Window, ids: set[str]) -> Rollup:
    return roll(Partial.of(window, Readings.of([(sensor_id, window.start_ms, 0, 1) for sensor_id in ids])))


def silence(fleet: Fleet, *, rows: int = 2) -> Silence:
    parts = [rows_of(Window(NEWEST.start_ms - age * WINDOW_MS), ids) for age, ids in enumerate(fleet)]
    streams = [((age,), (one.sensor_ids for one in batches_of([part], rows=rows))) for age, part in enumerate(parts)]
    found = silence_of(NEWEST, streams)
    # Windows that heard the same sensors may share a stream.
    ages: dict[frozenset[str], list[int]] = {}
    for age, ids in enumerate(fleet):
        ages.setdefault(frozenset(ids), []).append(age)
    shared = [(same, (one.sensor_ids for one in batches_of([parts[same[0]]], rows=rows))) for same in ages.values()]
    again = silence_of(NEWEST, shared)
    assert again.sensor_ids.to_list() == found.sensor_ids.to_list()
    assert (again.sensors, again.sensors_expected) == (found.sensors, found.sensors_expected)
    assert again.states.tolist() == found.states.tolist()
    assert again.missing_windows.tolist() == found.missing_windows.tolist()
    return found


def states(shown: Silence) -> dict[str, SilenceState]:
    return {one: list(SilenceState)[place] for one, place in zip(shown.sensor_ids.to_list(), shown.states, strict=True)}


def silent_at(fleet: Fleet, age: int) -> set[str]:
    """Return the sensors that are silent in one window, by the definition."""
    return {one for one in everybody(fleet) if is_silent(one in ids for ids in fleet[age : age + AGES])}


def shown_before(fleet: Fleet) -> set[str]:
    return set() if is_outage(fleet, 1) else silent_at(fleet, 1)


def shown_now(fleet: Fleet) -> set[str]:
    return set() if is_outage(fleet, 0) else silent_at(fleet, 0) & (shown_before(fleet) | (everybody(fleet) - fleet[0]))


def everybody(fleet: Fleet) -> set[str]:
    return set().union(*fleet)


def is_outage(fleet: Fleet, age: int) -> bool:
    expected = set().union(*fleet[age + 1 : age + 1 + BEFORE_WINDOWS])
    return 2 * len(fleet[age]) < len(expected)


@pytest.mark.slow
@given(fleets, st.integers(1, 4))
def test_rows_are_those_of_the_model(fleet: Fleet, rows: int) -> None:
    """The silent sensors, their states, and the completeness of the window equal those of the model."""
    found = silence(fleet, rows=rows)
    now, before = shown_now(fleet), shown_before(fleet)
    expected = {one: SilenceState.LASTS if one in before else SilenceState.BEGAN for one in now} | {
        one: SilenceState.CLEARED if one in fleet[0] else SilenceState.GONE for one in before - now
    }
    assert states(found) == ({} if is_outage(fleet, 0) else expected)
    assert found.sensors == len(fleet[0])
    assert found.sensors_expected == len(set().union(*fleet[1 : 1 + BEFORE_WINDOWS]))
    assert found.is_outage == is_outage(fleet, 0)
    assert found.silent == (0 if found.is_outage else len(now))


histories = st.lists(st.booleans(), min_size=AGES, max_size=AGES)


@given(histories)
def test_a_sensor_that_misses_two_windows_is_silent(history: list[bool]) -> None:
    """Whatever happened before it was last heard."""
    missing = [False] * MISSING_WINDOWS + history[: AGES - MISSING_WINDOWS]
    assert is_silent(missing) == any(missing)


@given(histories)
def test_every_silence_ends(history: list[bool]) -> None:
    """Two consecutive windows with rows end it; so does a history without any."""
    assert not is_silent([True, True, *history][:AGES])
    assert not is_silent([False] * AGES)


def test_one_stray_reading_clears_nothing() -> None:
    """Hysteresis: heard in one window after a silence, the sensor is still silent; heard in two in a row, it is not."""
    before = [False, False, True, True]
    assert is_silent(before)
    assert is_silent([True, *before])
    assert is_silent([False, True, *before])
    assert not is_silent([True, True, *before])


def test_a_sensor_that_misses_one_window_is_not_silent() -> None:
    """A new sensor is not silent either."""
    assert not is_silent([False, True, True])
    assert not is_silent([True])


def test_an_outage_is_not_a_million_silences() -> None:
    """With fewer than half of the sensors none is silent; after the outage, only those that did not come back are."""
    fleet = {f"s{number}" for number in range(10)}
    steady = [fleet] * HISTORY_WINDOWS
    outage = silence([{"s0"}, {"s0"}, *steady][:HISTORY_WINDOWS])
    assert (outage.is_outage, outage.silent, len(outage.sensor_ids)) == (True, 0, 0)
    back = silence([fleet - {"s9"}, {"s0"}, {"s0"}, *steady][:HISTORY_WINDOWS])
    assert not back.is_outage
    assert states(back) == {"s9": SilenceState.BEGAN}


def test_the_file_has_the_columns_of_the_table() -> None:
    """As another reader sees them, and with the same bytes each time."""
    found = silence([{"a"}, {"a"}, *[{"a", "b"}] * 13])
    bodies = []
    for _ in range(2):
        body = io.BytesIO()
        write_silence(found, body)
        bodies.append(body.getvalue())
    (row,) = pyarrow.parquet.read_table(io.BytesIO(bodies[0])).to_pylist()
    assert list(row) == [name for name, _ in COLUMNS]
    assert (row["sensor_id"], row["state"], row["missing_windows"]) == ("b", "began", 2)
    assert (row["window_start"] - row["last_window"]).total_seconds() == 600
    assert bodies[0] == bodies[1]
