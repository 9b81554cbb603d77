"""Excursions against an oracle in plain Python, on generated rules and histories."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.excursion_oracle import History, expected, watches
from windrow.reading import Readings
from windrow.rows.held import held_times
from windrow.rows.partial import Partial
from windrow.rows.rollup import Rollup, roll
from windrow.rules.excursion import Excursion, ExcursionState, Tracks, excursions, lasting, step
from windrow.rules.judge import WatchedRows, judge
from windrow.rules.rule import Band, Condition, Rule, Statistic, watches_of
from windrow.rules.watched import joined, may_matter, need_before, no_rows, watched_rows
from windrow.window import WINDOW_MS, Window

START_MS = 1_763_640_300_000
HELD = (Condition.ABOVE, Condition.BELOW, Condition.OUTSIDE)
SENSORS = ("a/1", "a/2", "a/3", "b/1", "é")


def windows_of(rule: Rule, history: History) -> Iterator[WatchedRows]:
    for partial in partials_of(history):
        yield replace(watched_rows(roll(partial)), held=held_times(partial, watches_of([rule])))


def rollups_of(history: History) -> Iterator[Rollup]:
    return map(roll, partials_of(history))


def partials_of(history: History) -> Iterator[Partial]:
    for index, sensors in enumerate(history):
        window = Window(START_MS + index * WINDOW_MS)
        readings = [
            (sensor_id, window.start_ms + after_ms, 0, milli)
            for sensor_id, values in sensors.items()
            for after_ms, milli in values
        ]
        yield Partial.of(window, Readings.of(readings))


# Generated rules and histories


def rule_of(random: Random) -> Rule:
    condition = random.choice(list(Condition))
    low, high = sorted(random.choices(range(-2_000, 3_000, 500), k=2))
    inner = sorted(random.choices(range(low, high + 1, 250), k=2))
    bands = {
        Condition.ABOVE: (Band(None, high), Band(None, low)),
        Condition.BELOW: (Band(low, None), Band(high, None)),
        Condition.OUTSIDE: (Band(low, high), Band(*inner)),
        Condition.RATE: (Band(-30_000, 30_000), Band(-9_000, 9_000)),
        Condition.STUCK: (Band(), Band()),
        Condition.SPREAD: (Band(-1_000, 1_000), Band(-500, 500)),
    }
    limits, clear_limits = bands[condition]
    counts_time = condition in HELD and random.random() < 0.75
    return Rule(
        name="one",
        condition=condition,
        sensors=random.choice(["*", "a/*", "?/1", "é"]),
        statistic=random.choice(list(Statistic)),
        limits=limits,
        clear_limits=clear_limits,
        windows=random.randint(1, 3),
        clear_windows=random.randint(1, 3),
        held_ms=random.choice([1, 60_000, 247_500, 1_200_000]) if counts_time else 0,
        hold_ms_max=random.choice([1, 60_000, 315_000, 600_000, 3_600_000]) if counts_time else 0,
    )


def history_of(random: Random, sensors_of_fleet: Sequence[str]) -> History:
    """Values that stay for a while, some readings a window, and stretches without any."""
    history: History = [{} for _ in range(random.randint(1, 45))]
    for sensor_id in sensors_of_fleet:
        milli, is_heard = 0, True
        for sensors in history:
            if random.random() < (0.06 if is_heard else 0.09):
                is_heard = not is_heard
            if not is_heard or random.random() < 0.05:
                continue
            times = sorted(random.sample(range(0, WINDOW_MS, 7_500), random.randint(1, 4)))
            values = []
            for after_ms in times:
                milli += random.choice([0, 0, 0, 0, -1_000, 1_000, 333, -333])
                milli = max(-2_500, min(3_500, milli))
                values.append((after_ms, milli))
            sensors[sensor_id] = tuple(values)
    return history


def check(rule: Rule, history: History) -> list[Excursion]:
    found = list(excursions(rule, windows_of(rule, history)))
    wanted = [
        one
        for sensor_id in sorted(set().union(*history))
        if watches(rule, sensor_id)
        for one in expected(rule, history, sensor_id, start_ms=START_MS)
    ]
    assert sorted(found, key=lambda one: (one.sensor_id, one.began_ms)) == sorted(
        wanted, key=lambda one: (one.sensor_id, one.began_ms)
    )
    return found


@pytest.mark.slow
@given(st.integers(min_value=0, max_value=2**63))
def test_excursions_are_those_of_the_definition(seed: int) -> None:
    """Whatever the rule and the rows: times, states, extremes and integrals are equal."""
    random = Random(seed)
    check(rule_of(random), history_of(random, random.sample(SENSORS, random.randint(1, len(SENSORS)))))


@pytest.mark.slow
def test_excursions_of_ten_thousand_series() -> None:
    """Every condition, every state, and excursions by minutes are among what was found."""
    assert check_seeds(100) == {*Condition, *ExcursionState, "minutes"}


def test_excursions_of_four_hundred_series() -> None:
    """The first of the ten thousand: one rule that counts minutes, and three others."""
    assert "minutes" in check_seeds(4)


def check_seeds(count: int) -> set[str]:
    """Check a hundred series under each of so many rules; return the conditions and states that came up.

    And "minutes", if a rule that counts them found anything.
    """
    seen: set[str] = set()
    fleet = [f"site-{number // 5}/{number % 5}" for number in range(100)]
    for seed in range(count):
        random = Random(seed)
        rule = replace(rule_of(random), sensors="*")
        found = check(rule, history_of(random, fleet))
        seen |= {rule.condition, *(one.state for one in found), *({"minutes"} if rule.held_ms and found else ())}
    return seen


@pytest.mark.slow
@given(st.integers(min_value=0, max_value=2**63))
def test_rows_that_do_not_matter_can_be_left_out(seed: int) -> None:
    """Of a window in two pieces only the rows that may matter are judged: the excursions are the same."""
    random = Random(seed)
    rule, history = rule_of(random), history_of(random, random.sample(SENSORS, random.randint(1, len(SENSORS))))
    found: list[Excursion] = []
    tracks: Tracks = {}
    before: WatchedRows | None = None
    for partial in partials_of(history):
        rollup = roll(partial)
        cut = random.randint(0, len(rollup))
        pieces = [rollup.between(0, cut), rollup.between(cut, len(rollup))]
        rows = [watched_rows(piece, may_matter([rule], piece, tracks)) for piece in pieces]
        watched = replace(joined(rows, rollup.start_ms), held=held_times(partial, watches_of([rule])))
        tracks, ended = step(rule, tracks, judge(rule, watched, before))
        found += ended
        compared_later = need_before([rule])
        before = watched_rows(rollup, may_matter(compared_later, rollup, ())) if compared_later else None
    assert [*found, *lasting(rule, tracks)] == list(excursions(rule, windows_of(rule, history)))


def test_a_reading_at_the_start_of_a_window_ends_what_was_held() -> None:
    """9 °C until the very start of the second window, then 5 °C: two clear windows, and no time in the third."""
    rule = Rule("one", Condition.ABOVE, limits=Band(high_milli=8_000), clear_limits=Band(high_milli=8_000),
                clear_windows=2, held_ms=60_000, hold_ms_max=3_600_000)  # fmt: skip
    (one,) = check(rule, [{"a/1": ((0, 9_000),)}, {"a/1": ((0, 5_000),)}, {"a/1": ((150_000, 5_000),)}])
    assert (one.held_ms, one.state) == (WINDOW_MS, ExcursionState.CLEARED)


def test_a_value_is_held_over_windows_without_a_reading() -> None:
    """Until the next reading, and as long as the rule lets it: 9 °C for a second, then silence for two windows."""
    rule = Rule("one", Condition.ABOVE, limits=Band(high_milli=8_000), clear_limits=Band(high_milli=8_000),
                held_ms=1, hold_ms_max=600_000)  # fmt: skip
    last = ((299_000, 9_000),)
    (one,) = check(rule, [{"a/1": last}, {}, {"a/1": ((200_000, 5_000),)}, {"a/1": ((0, 5_000),)}])
    assert (one.held_ms, one.windows) == (1_000 + WINDOW_MS + 200_000, 2)
    (one,) = check(rule, [{"a/1": last}, {}, {}, {"a/1": ((200_000, 5_000),)}, {"a/1": ((0, 5_000),)}])
    assert (one.held_ms, one.beyond_milli_ms) == (600_000, 600_000_000)


def test_only_rows_beyond_a_limit_or_tracked_matter() -> None:
    """Of a rule on one row; of one on more than one, all rows of its quantity; none of another quantity."""
    warm = Rule("warm", Condition.ABOVE, limits=Band(high_milli=8_000))
    history: History = [{"a": ((0, 9_000),), "b": ((0, 5_000),), "c": ((0, 5_000),), "c\x1fco2\x1fppm": ((0, 9_000),)}]
    (rollup,) = rollups_of(history)
    assert may_matter([warm], rollup, ["b", "x"]).tolist() == [True, True, False, False]
    hangs = Rule("hangs", Condition.STUCK, quantity="co2")
    assert may_matter([hangs], rollup, []).tolist() == [False, False, False, True]
    assert no_rows(START_MS).series == []


def test_an_excursion_clears_only_after_enough_clear_windows() -> None:
    """A value between the two limits neither rings nor clears; the end is the first of the clear windows."""
    rule = Rule("warm", Condition.ABOVE, limits=Band(high_milli=8_000), clear_limits=Band(high_milli=6_000),
                windows=2, clear_windows=2)  # fmt: skip
    millis = [9_000, 7_000, 9_000, 8_500, 7_000, 5_000, 7_000, 5_000, 5_000, 9_000]
    history: History = [{"a/1": ((0, milli),)} for milli in millis]
    (one,) = excursions(rule, windows_of(rule, history))
    assert one.began_ms == START_MS + 2 * WINDOW_MS
    assert one.rang_ms == START_MS + 4 * WINDOW_MS
    assert one.ended_ms == START_MS + 7 * WINDOW_MS
    assert (one.state, one.windows, one.extreme_milli) == (ExcursionState.CLEARED, 2, 9_000)
    assert one.beyond_milli_ms == (1_000 + 500) * 60_000
