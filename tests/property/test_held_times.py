"""Held times against an oracle that paints every millisecond of a window."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windrow.columns.strings import Strings
from windrow.reading import Readings
from windrow.rows.held import (
    Held,
    HeldLimit,
    Side,
    UnreadableHeldTimes,
    Watch,
    decode_held,
    encode_held,
    held_between,
    held_times,
    joined_held,
)
from windrow.rows.partial import Partial, union
from windrow.rows.rollup import roll
from windrow.window import WINDOW_MS, Window

WINDOW = Window(1_763_640_300_000)
Row = tuple[str, int, int, int]
ABOVE, BELOW = (HeldLimit("temperature", side, 8_000, 60_000) for side in Side)
BOTH = (Watch(ABOVE, "*"), Watch(BELOW, "*"))


def partial_of(rows: list[Row]) -> Partial:
    """The readings of (series, ms after the start, sequence, thousandths)."""
    return Partial.of(WINDOW, Readings.of([(who, WINDOW.start_ms + at, seq, milli) for who, at, seq, milli in rows]))


def told(held: Held) -> dict[tuple[HeldLimit, str], tuple[int, int]]:
    """Held times by limit and series."""
    return {
        (limit, series): (held_ms, beyond)
        for limit, times in held.items()
        for series, held_ms, beyond in zip(
            times.series.to_list(), times.held_ms.tolist(), times.beyond_milli_ms.tolist(), strict=True
        )
    }


def painted(rows: list[Row], series: str) -> tuple[np.ndarray, np.ndarray]:
    """What a series holds in each millisecond, and whether it holds anything: each reading paints over those before."""
    greatest: dict[tuple[int, int], int] = {}
    for who, at, seq, milli in rows:
        if who == series:
            greatest[at, seq] = max(milli, greatest.get((at, seq), milli))
    value, is_held = np.zeros(WINDOW_MS, np.int64), np.zeros(WINDOW_MS, bool)
    for (at, _), milli in sorted(greatest.items()):
        value[at:], is_held[at:] = milli, False
        is_held[at : at + 60_000] = True
    return value, is_held


def random_rows(random: Random) -> list[Row]:
    """Readings at few instants, so that identities meet; at the borders of the window; on the limit and beside it."""
    times = [0, 1, 59_999, 60_000, 60_001, 150_000, 299_999, random.randrange(WINDOW_MS)]
    return [
        (random.choice(["a", "b", "c\x1fco2\x1fppm"]), random.choice(times), random.choice([0, 0, 1]), milli)
        for milli in random.choices([7_999, 8_000, 8_001, -40_000, 60_000], k=random.randint(0, 14))
    ]


@given(st.integers(min_value=0, max_value=2**63))
def test_held_times_are_the_milliseconds_beyond_the_limit(seed: int) -> None:
    """In any order, with repetitions and other values of the same identity; no time of another quantity."""
    random = Random(seed)
    rows = random_rows(random)
    delivered = rows + random.choices(rows, k=3) if rows else rows
    random.shuffle(delivered)
    cut = random.randint(0, len(delivered))
    united = union(WINDOW, [partial_of(delivered[:cut]), partial_of(delivered[cut:])])
    found = told(held_times(united, BOTH))
    wanted: dict[tuple[HeldLimit, str], tuple[int, int]] = {}
    for series in ("a", "b"):
        value, is_held = painted(rows, series)
        for limit, over in ((ABOVE, value - 8_000), (BELOW, 8_000 - value)):
            is_beyond = is_held & (over > 0)
            if is_beyond.any():
                wanted[limit, series] = (int(is_beyond.sum()), int(over[is_beyond].sum()))
    assert found == wanted


@given(st.integers(min_value=0, max_value=2**63))
def test_time_above_below_and_at_a_limit_is_what_is_covered(seed: int) -> None:
    """To the millisecond; what lies at the limit is neither above nor below."""
    rows = [row for row in random_rows(Random(seed)) if row[0] == "a"]
    if rows:
        found = told(held_times(partial_of(rows), BOTH))
        value, is_held = painted(rows, "a")
        equal_ms = int((is_held & (value == 8_000)).sum())
        (covered_ms,) = roll(partial_of(rows)).covered_ms.tolist()
        assert sum(found.get((limit, "a"), (0, 0))[0] for limit in (ABOVE, BELOW)) + equal_ms == covered_ms


@given(st.integers(min_value=0, max_value=2**63))
def test_parts_of_a_window_are_the_window(seed: int) -> None:
    """Cut anywhere between series, joined again, and through a file."""
    random = Random(seed)
    whole = held_times(partial_of(random_rows(random)), BOTH)
    cut = random.choice([b"", b"a", b"b", b"bb", b"z"])
    assert told(joined_held([held_between(whole, b"", cut), held_between(whole, cut, None)])) == told(whole)
    if whole:
        body = encode_held(WINDOW.start_ms, whole)
        assert told(decode_held(WINDOW.start_ms, body)) == told(whole)
        assert encode_held(WINDOW.start_ms, decode_held(WINDOW.start_ms, body)) == body


def test_only_watched_sensors_are_kept() -> None:
    """Patterns of one limit add up; a limit that nobody was beyond is left out."""
    rows = [(who, 0, 0, 9_000) for who in ("cellar/1", "freezer/1", "freezer/22", "roof")]
    watches = [Watch(ABOVE, "freezer/?"), Watch(ABOVE, "roof"), Watch(BELOW, "*")]
    assert told(held_times(partial_of(rows), watches)) == {
        (ABOVE, "freezer/1"): (60_000, 60_000_000),
        (ABOVE, "roof"): (60_000, 60_000_000),
    }
    assert held_times(partial_of(rows), []) == held_times(partial_of([]), BOTH) == {}


def test_held_times_of_another_window_or_damaged_ones_are_refused() -> None:
    """Nothing is guessed."""
    body = encode_held(WINDOW.start_ms, held_times(partial_of([("a", 0, 0, 9_000)]), BOTH))
    with pytest.raises(UnreadableHeldTimes, match="another window"):
        decode_held(WINDOW.start_ms + WINDOW_MS, body)
    with pytest.raises(UnreadableHeldTimes):
        decode_held(WINDOW.start_ms, body[:-9])
    times = replace(held_times(partial_of([("a", 0, 0, 9_000)]), BOTH)[ABOVE], series=Strings.of(["b"]))
    assert encode_held(WINDOW.start_ms, {ABOVE: times}) != body
