"""The oracle by hand, and the oracle against the core.

offset   0 s       50 s  55 s              200 s      295 s       300 s
         |---------|-----|------------ ... |----- ... |-----------|
value    -0.5      1.2   1.2 and 3.0       7.001      0.499       window end
held     50 s      5 s   60 s (HOLD)       60 s       5 s
"""

import itertools

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.oracle import READING_COLUMNS, ROW_COLUMNS, SERIES_COLUMNS, true_rows
from windrow.quantities import parts_of
from windrow.reading import Readings
from windrow.rows.partial import partials_of
from windrow.rows.rollup import roll

START_MS = 1_795_168_800_000  # 2026-11-20T10:00:00Z
Tuple = tuple[str, int, int, int]


def frame(rows: list[Tuple]) -> pd.DataFrame:
    """Temperatures, or of the quantity behind the id."""
    series = [row[0].split("\x1f") if "\x1f" in row[0] else [row[0], "temperature", "C"] for row in rows]
    columns = pd.Index(READING_COLUMNS)
    return pd.DataFrame([[*parts, *row[1:]] for parts, row in zip(series, rows, strict=True)], columns=columns)


WORKED = [
    ("a", START_MS + 55_000, 3, 1_200),
    ("a", START_MS, 1, -500),
    ("a", START_MS + 50_000, 2, 1_200),
    ("a", START_MS + 55_000, 3, 3_000),  # the same identity, another value: the greater wins
    ("a", START_MS + 200_000, 4, 7_001),
    ("a", START_MS + 295_000, 5, 499),
    ("a", START_MS + 295_000, 5, 499),  # sent twice
]


def test_a_row_worked_out_by_hand() -> None:
    """Every column of one sensor's window."""
    row = true_rows(frame(WORKED)).iloc[0].to_dict()
    assert row == {
        "window_start": START_MS,
        "sensor_id": "a",
        "quantity": "temperature",
        "unit": "C",
        "readings": 5,
        "sum_milli": 11_200,
        "sum_squares_milli2": 250_000 + 1_440_000 + 9_000_000 + 49_014_001 + 249_001,
        "min_milli": -500,
        "max_milli": 7_001,
        "first_milli": -500,
        "first_time": START_MS,
        "last_milli": 499,
        "last_time": START_MS + 295_000,
        "p05_milli": -500,
        "p25_milli": 499,  # ceil(1.25) = 2nd smallest
        "p50_milli": 1_200,
        "p75_milli": 3_000,
        "p95_milli": 7_001,
        "p99_milli": 7_001,
        "integral_milli_ms": -500 * 50_000 + 1_200 * 5_000 + 3_000 * 60_000 + 7_001 * 60_000 + 499 * 5_000,
        "covered_ms": 180_000,
        "histogram_bins": [-1, 0, 2, 6, 14],
        "histogram_counts": [1, 1, 1, 1, 1],
        "conflicts": 1,
    }


def test_an_exact_rank_is_not_rounded_up() -> None:
    """Of 20 values p05 is the first and p95 the nineteenth; of 100, p99 is the 99th."""
    twenty = true_rows(frame([("a", START_MS + n, 0, n) for n in range(1, 21)])).iloc[0]
    assert (twenty["p05_milli"], twenty["p25_milli"], twenty["p95_milli"]) == (1, 5, 19)
    hundred = true_rows(frame([("a", START_MS + n, 0, n) for n in range(1, 101)])).iloc[0]
    assert hundred["p99_milli"] == 99


def test_windows_are_half_open_and_sensors_apart() -> None:
    """The last millisecond belongs to the window, the next to the next."""
    rows = true_rows(
        frame(
            [
                ("b", START_MS + 300_000, 0, 1),
                ("a", START_MS + 300_000, 0, 2),
                ("b", START_MS + 299_999, 0, 3),
            ]
        )
    )
    assert rows[["window_start", "sensor_id", "sum_milli", "covered_ms"]].to_numpy().tolist() == [
        [START_MS, "b", 3, 1],
        [START_MS + 300_000, "a", 2, 60_000],
        [START_MS + 300_000, "b", 1, 60_000],
    ]


def test_equal_times_are_ordered_by_sequence_and_hold_nothing() -> None:
    """Of two readings at one instant the greater sequence is the later."""
    row = true_rows(frame([("a", START_MS + 1, 9, 100), ("a", START_MS + 1, 2, 900)])).iloc[0]
    assert (row["first_milli"], row["last_milli"]) == (900, 100)
    assert row["integral_milli_ms"] == 100 * 60_000


def test_no_readings_make_no_rows() -> None:
    """All columns are there all the same."""
    rows = true_rows(frame([]))
    assert rows.empty
    assert tuple(rows.columns) == ROW_COLUMNS


@pytest.mark.slow
def test_sums_leave_64_bits_without_loss() -> None:
    """The hottest sensor's squares are exact beyond what a double or a bigint holds."""
    row = true_rows(frame([("a", START_MS + n, 0, 10_000_000) for n in range(100_000)])).iloc[0]
    assert row["sum_squares_milli2"] == 10**14 * 100_000 > 2**63 - 1


READINGS = st.lists(
    st.tuples(
        st.sampled_from(["a", "a\u00a0", "b", "ü", "𝄞", "a\x1fhumidity\x1f%", "a\x1fhumidity\x1f1", "b\x1fz\x1fppm"]),
        st.sampled_from([0, 1, 59_999, 60_000, 60_001, 150_000, 299_999]).map(lambda offset: START_MS + offset),
        st.sampled_from([0, 1, 2**63 - 1]),
        st.one_of(st.sampled_from([-273_150, -500, -1, 0, 499, 500, 10_000_000]), st.integers(-273_150, 10_000_000)),
    ),
    min_size=1,
    max_size=60,
)


@given(READINGS)
def test_oracle_and_core_agree(rows: list[Tuple]) -> None:
    """Two independent ways from any readings of a window to every column of its rows."""
    (partial,) = partials_of(Readings.of(rows))
    rollup = roll(partial)
    truth = true_rows(frame(rows))
    # The core has the temperature of a sensor first, the oracle goes by the name of the quantity.
    series = [(one, kind.name, kind.unit) for one, kind in map(parts_of, rollup.sensor_ids.to_list())]
    of_truth = [tuple(row) for row in truth[list(SERIES_COLUMNS)].to_numpy()]
    assert sorted(of_truth) == sorted(series)
    truth = truth.iloc[[of_truth.index(one) for one in series]]
    columns = {
        "readings": rollup.readings,
        "sum_milli": rollup.sum_milli,
        "min_milli": rollup.min_milli,
        "max_milli": rollup.max_milli,
        "first_milli": rollup.first_milli,
        "first_time": rollup.first_time_ms,
        "last_milli": rollup.last_milli,
        "last_time": rollup.last_time_ms,
        "integral_milli_ms": rollup.integral_milli_ms,
        "covered_ms": rollup.covered_ms,
        "conflicts": rollup.conflicts,
    } | {
        f"p{percent:02}_milli": values
        for percent, values in zip((5, 25, 50, 75, 95, 99), rollup.percentiles_milli, strict=True)
    }
    assert {name: truth[name].tolist() for name in columns} == {name: v.tolist() for name, v in columns.items()}
    squares = zip(rollup.sum_squares_high.tolist(), rollup.sum_squares_low.tolist(), strict=True)
    assert truth["sum_squares_milli2"].tolist() == [high * 2**64 + low for high, low in squares]
    bounds = rollup.histogram_offsets.tolist()
    parts = [slice(low, high) for low, high in itertools.pairwise(bounds)]
    assert truth["histogram_bins"].tolist() == [rollup.histogram_bins[part].tolist() for part in parts]
    assert truth["histogram_counts"].tolist() == [rollup.histogram_counts[part].tolist() for part in parts]
