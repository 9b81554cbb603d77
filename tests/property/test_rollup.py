"""Rows against an oracle that does it the slow and obvious way, reading by reading, with Python integers."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle import Fact, expected_rows, read_rows
from tests.property.strategies import FIRST_WINDOW_MS, batches
from tests.rows_file import encode_rollup
from windrow.reading import Reading, Readings
from windrow.rows.partial import Partial, union
from windrow.rows.rollup import roll
from windrow.rows.rollup_parquet import COLUMNS
from windrow.window import Window

WINDOW = Window(FIRST_WINDOW_MS)


def rows_of(readings: list[Reading]) -> list[dict[str, Any]]:
    """What another reader finds in the rows object."""
    return read_rows(encode_rollup(roll(Partial.of(WINDOW, Readings.of(readings)))))


def facts_of(readings: list[Reading]) -> list[Fact]:
    return [(one.series, one.event_time_ms, one.sequence, one.value_milli) for one in readings]


@given(batches(windows=1))
def test_rows_equal_the_oracle(readings: list[Reading]) -> None:
    """Every column of every row, for hostile ids, conflicts, duplicates and window edges."""
    assert rows_of(readings) == expected_rows(facts_of(readings))


@pytest.mark.slow
@given(batches(windows=1), st.integers(1, 6), st.integers(0, 2**32))
def test_any_cut_into_partials_gives_the_same_bytes(readings: list[Reading], cuts: int, seed: int) -> None:
    """However the readings were batched, reordered and redelivered, the rows are the same to the byte."""
    chance = random.Random(seed)
    parts: list[list[Reading]] = [[] for _ in range(cuts)]
    for reading in readings:
        for part in chance.sample(parts, chance.randint(1, cuts)):
            part.append(reading)
    for part in parts:
        chance.shuffle(part)
    whole = roll(Partial.of(WINDOW, Readings.of(readings)))
    merged = roll(union(WINDOW, [Partial.of(WINDOW, Readings.of(part)) for part in parts]))
    assert encode_rollup(merged) == encode_rollup(whole)
    assert merged.rows_sha256 == whole.rows_sha256


@given(batches(windows=1), batches(windows=1))
def test_rows_sha256_tells_rows_apart(some: list[Reading], others: list[Reading]) -> None:
    """Equal rows have equal hashes, and different rows different ones."""
    a, b = (roll(Partial.of(WINDOW, Readings.of(readings))) for readings in (some, others))
    assert (a.rows_sha256 == b.rows_sha256) == (expected_rows(facts_of(some)) == expected_rows(facts_of(others)))


def test_the_file_has_the_columns_of_the_table() -> None:
    """Names and order in the file are those of the Glue table."""
    assert list(rows_of([Reading("a", FIRST_WINDOW_MS, 0, 1)])[0]) == [name for name, _ in COLUMNS]


@pytest.mark.slow
def test_sums_of_squares_leave_64_bits_unharmed() -> None:
    """A hundred thousand readings at the limit sum to 10^19, which 64 bits with a sign cannot hold."""
    readings = [Reading("a", FIRST_WINDOW_MS + i % 300_000, i, 10_000_000) for i in range(100_000)]
    assert rows_of(readings)[0]["sum_squares_milli2"] == 10**19
