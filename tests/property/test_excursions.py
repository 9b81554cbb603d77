"""Excursions against an oracle: a series' verdicts as a string, in which a regular expression finds them.

The oracle computes each verdict with fractions from the readings themselves, a sensor at a time.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import floor
from random import Random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windrow.quantities import TEMPERATURE
from windrow.reading import Readings
from windrow.rows.partial import Partial
from windrow.rows.rollup import Rollup, roll
from windrow.rules.excursion import LOST_WINDOWS, Excursion, ExcursionState, Tracks, excursions, lasting, step
from windrow.rules.judge import SITE_SENSORS_MIN, WatchedRows, judge
from windrow.rules.rule import Band, Condition, Rule, Statistic
from windrow.rules.watched import joined, may_matter, need_before, no_rows, watched_rows
from windrow.window import WINDOW_MS, Window

START_MS = 1_763_640_300_000
SENSORS = ("a/1", "a/2", "a/3", "b/1", "é")

Values = tuple[tuple[int, int], ...]
"""The readings of a sensor in a window: milliseconds after its start, ascending, and thousandths."""
History = list[dict[str, Values]]
"""For each window its sensors' readings; a sensor without any is left out."""


def windows_of(history: History) -> Iterator[WatchedRows]:
    return map(watched_rows, rollups_of(history))


def rollups_of(history: History) -> Iterator[Rollup]:
    for index, sensors in enumerate(history):
        window = Window(START_MS + index * WINDOW_MS)
        readings = [
            (sensor_id, window.start_ms + after_ms, 0, milli)
            for sensor_id, values in sensors.items()
            for after_ms, milli in values
        ]
        yield roll(Partial.of(window, Readings.of(readings)))


# The oracle


def held_ms(values: Values) -> list[int]:
    until = [after_ms for after_ms, _ in values[1:]] + [WINDOW_MS]
    return [min(end - after_ms, 60_000) for (after_ms, _), end in zip(values, until, strict=True)]


def statistic_of(statistic: Statistic, values: Values) -> Fraction:
    millis = [milli for _, milli in values]
    if statistic is Statistic.MEAN:
        return Fraction(sum(millis), len(millis))
    if statistic is Statistic.TIME_WEIGHTED_MEAN:
        held = held_ms(values)
        return Fraction(sum(milli * ms for milli, ms in zip(millis, held, strict=True)), sum(held))
    if statistic.startswith("p"):
        rank = -(-int(statistic[1:]) * len(millis) // 100)
        return Fraction(sorted(millis)[rank - 1])
    return Fraction({Statistic.MIN: min(millis), Statistic.MAX: max(millis), Statistic.LAST: millis[-1]}[statistic])


def rounded(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


def compared(rule: Rule, history: History, index: int, sensor_id: str) -> Fraction | None:
    """Return what the rule compares; None if there is nothing to compare."""
    values = history[index].get(sensor_id)
    if values is None:
        return None
    before = history[index - 1].get(sensor_id) if index else None
    if rule.condition is Condition.RATE:
        from_ms, from_milli = values[0] if before is None else (before[-1][0] - WINDOW_MS, before[-1][1])
        passed_ms = values[-1][0] - from_ms
        return Fraction((values[-1][1] - from_milli) * 3_600_000, passed_ms) if passed_ms else None
    if rule.condition is Condition.STUCK:
        return None if before is None else Fraction(len({before[-1][1], *(milli for _, milli in values)}) > 1)
    if rule.condition is Condition.SPREAD:
        at = {
            one: rounded(statistic_of(rule.statistic, many))
            for one, many in history[index].items()
            if rule.watches(one) and one.rpartition("/")[0] == sensor_id.rpartition("/")[0]
        }
        return (
            Fraction(at[sensor_id]) - Fraction(median(map(Fraction, at.values())))
            if len(at) >= SITE_SENSORS_MIN
            else None
        )
    return statistic_of(rule.statistic, values)


def letter(rule: Rule, value: Fraction) -> str:
    if rule.condition is Condition.STUCK:
        return "C" if value else "B"
    for band, outside in ((rule.limits, "B"), (rule.clear_limits, "-")):
        if band.low_milli is not None and value < band.low_milli:
            return outside
        if band.high_milli is not None and value > band.high_milli:
            return outside
    return "C"


def expected(rule: Rule, history: History, sensor_id: str) -> list[Excursion]:
    """Return the excursions of one sensor by a regular expression over the letters of its windows."""
    values = {index: compared(rule, history, index, sensor_id) for index in range(len(history))}
    seen = [(index, value) for index, value in values.items() if value is not None]
    cuts = [0, *(place + 1 for place, ((a, _), (b, _)) in enumerate(pairwise(seen)) if b - a > LOST_WINDOWS), len(seen)]
    lasts = f"(?:B|-|C(?!C{{{rule.clear_windows - 1}}}))*"
    pattern = re.compile(f"(?P<began>B{{{rule.windows}}}){lasts}(?P<clear>C{{{rule.clear_windows}}})?")
    parts = [seen[first:last] for first, last in pairwise(cuts)]
    return [
        excursion_of(rule, history, sensor_id, part, match)
        for part in parts
        for match in pattern.finditer("".join(letter(rule, value) for _, value in part))
    ]


def excursion_of(
    rule: Rule, history: History, sensor_id: str, part: Sequence[tuple[int, Fraction]], match: re.Match[str]
) -> Excursion:
    def start_ms(index: int) -> int:
        return START_MS + index * WINDOW_MS

    beyond = [part[place] for place in range(match.start(), match.end()) if letter(rule, part[place][1]) == "B"]
    far = [
        max(0, (rule.limits.low_milli or 0) - rounded(value) if rule.limits.low_milli is not None else 0,
            rounded(value) - rule.limits.high_milli if rule.limits.high_milli is not None else 0)
        for _, value in beyond
    ]  # fmt: skip
    state, ended_ms = ExcursionState.LASTS, None
    if match["clear"] is not None:
        state, ended_ms = ExcursionState.CLEARED, start_ms(part[match.start("clear")][0])
    elif part[-1][0] + LOST_WINDOWS < len(history):
        state, ended_ms = ExcursionState.LOST, start_ms(part[-1][0]) + WINDOW_MS
    return Excursion(
        rule=rule.name,
        sensor_id=sensor_id,
        quantity=TEMPERATURE,
        began_ms=start_ms(part[match.start()][0]),
        rang_ms=start_ms(part[match.end("began") - 1][0]) + WINDOW_MS,
        ended_ms=ended_ms,
        state=state,
        extreme_milli=rounded(beyond[far.index(max(far))][1]),
        beyond_milli_ms=sum(
            milli * sum(held_ms(history[index][sensor_id])) for (index, _), milli in zip(beyond, far, strict=True)
        ),
        windows=len(beyond),
    )


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
    return Rule(
        name="one",
        condition=condition,
        sensors=random.choice(["*", "a/*", "?/1", "é"]),
        statistic=random.choice(list(Statistic)),
        limits=limits,
        clear_limits=clear_limits,
        windows=random.randint(1, 3),
        clear_windows=random.randint(1, 3),
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
    found = list(excursions(rule, windows_of(history)))
    wanted = [
        one
        for sensor_id in sorted(set().union(*history))
        if rule.watches(sensor_id)
        for one in expected(rule, history, sensor_id)
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
    """Every condition, and every state, is among what was found."""
    seen: set[str] = set()
    fleet = [f"site-{number // 5}/{number % 5}" for number in range(100)]
    for seed in range(100):
        random = Random(seed)
        rule = replace(rule_of(random), sensors="*")
        found = check(rule, history_of(random, fleet))
        seen |= {rule.condition, *(one.state for one in found)}
    assert seen == {*Condition, *ExcursionState}


@pytest.mark.slow
@given(st.integers(min_value=0, max_value=2**63))
def test_rows_that_do_not_matter_can_be_left_out(seed: int) -> None:
    """Of a window in two pieces only the rows that may matter are judged: the excursions are the same."""
    random = Random(seed)
    rule, history = rule_of(random), history_of(random, random.sample(SENSORS, random.randint(1, len(SENSORS))))
    found: list[Excursion] = []
    tracks: Tracks = {}
    before: WatchedRows | None = None
    for rollup in rollups_of(history):
        cut = random.randint(0, len(rollup))
        pieces = [rollup.between(0, cut), rollup.between(cut, len(rollup))]
        rows = [watched_rows(piece, may_matter([rule], piece, tracks)) for piece in pieces]
        tracks, ended = step(rule, tracks, judge(rule, joined(rows, rollup.start_ms), before))
        found += ended
        compared_later = need_before([rule])
        before = watched_rows(rollup, may_matter(compared_later, rollup, ())) if compared_later else None
    assert [*found, *lasting(rule, tracks)] == list(excursions(rule, windows_of(history)))


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
    (one,) = excursions(rule, windows_of(history))
    assert one.began_ms == START_MS + 2 * WINDOW_MS
    assert one.rang_ms == START_MS + 4 * WINDOW_MS
    assert one.ended_ms == START_MS + 7 * WINDOW_MS
    assert (one.state, one.windows, one.extreme_milli) == (ExcursionState.CLEARED, 2, 9_000)
    assert one.beyond_milli_ms == (1_000 + 500) * 60_000
