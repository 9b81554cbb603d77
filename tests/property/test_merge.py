"""Hours from windows and days from hours: any grouping gives the same rows, and an oracle in plain Python agrees."""

import io
import random
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.oracle import PERCENTILES, Fact, expected_rows, read_rows
from tests.oracle import series_of as series_of_row
from tests.property.strategies import quantities, sensor_ids, values_milli, wide_values_milli
from tests.rows_file import encode_rollup
from windrow.quantities import series_of
from windrow.reading import Readings
from windrow.rows.merge import PERCENTILE_ERROR_MILLI, merge, merge_streams
from windrow.rows.partial import partials_of
from windrow.rows.rollup import Rollup, batches_of, roll
from windrow.rows.rollup_parquet import read_rows as decode_rows
from windrow.window import WINDOW_MS

DAY_MS = 86_400_000
DAY_START_MS = 1_763_596_800_000

facts = st.builds(
    lambda sensor_id, quantity, window, offset, sequence, value: (
        series_of(sensor_id, quantity),
        DAY_START_MS + window * WINDOW_MS + offset,
        sequence,
        value,
    ),
    sensor_ids,
    quantities,
    st.sampled_from([0, 0, 1, 11, 12, 150, 287]),
    st.sampled_from([0, 1, 150_000, WINDOW_MS - 1]),
    st.sampled_from([0, 1]),
    st.one_of(values_milli, wide_values_milli),
)
days = st.lists(facts, min_size=1, max_size=40)


def windows_of(day: list[Fact]) -> list[Rollup]:
    """The rows of each window of the day that has readings, ascending."""
    return [roll(partial) for partial in partials_of(Readings.of(day))]


def expected_day(day: list[Fact]) -> list[dict[str, Any]]:
    """From the rows of the windows, series by series; percentiles are left out."""
    by_series: dict[str, list[dict[str, Any]]] = {}
    for start in sorted({time_ms // WINDOW_MS for _, time_ms, _, _ in day}):
        for row in expected_rows(fact for fact in day if fact[1] // WINDOW_MS == start):
            by_series.setdefault(series_of_row(row), []).append(row)
    return [expected_row(by_series[series]) for series in sorted(by_series, key=str.encode)]


def expected_row(rows: list[dict[str, Any]]) -> dict[str, Any]:
    histogram: dict[int, int] = {}
    for row in rows:
        for which, count in zip(row["histogram_bins"], row["histogram_counts"], strict=True):
            histogram[which] = histogram.get(which, 0) + count
    added = ("readings", "sum_milli", "sum_squares_milli2", "integral_milli_ms", "covered_ms", "conflicts")
    return {
        **{name: rows[0][name] for name in ("sensor_id", "quantity", "unit")},
        **{name: sum(row[name] for row in rows) for name in added},
        "min_milli": min(row["min_milli"] for row in rows),
        "max_milli": max(row["max_milli"] for row in rows),
        **{name: rows[0][name] for name in ("first_milli", "first_time")},
        **{name: rows[-1][name] for name in ("last_milli", "last_time")},
        "histogram_bins": sorted(histogram),
        "histogram_counts": [histogram[which] for which in sorted(histogram)],
    }


def without_percentiles(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = {f"p{percent:02}_milli" for percent in PERCENTILES} | {"window_start"}
    return [{name: value for name, value in row.items() if name not in names} for row in rows]


@pytest.mark.slow
@given(days)
def test_merged_rows_equal_the_oracle(day: list[Fact]) -> None:
    """Every column but the percentiles, exactly."""
    merged = merge(DAY_START_MS, windows_of(day))
    assert without_percentiles(read_rows(encode_rollup(merged))) == expected_day(day)


@given(days)
def test_percentiles_are_within_the_stated_bound(day: list[Fact]) -> None:
    """The nearest rank of all values of the day, less than half a bin away."""
    merged = merge(DAY_START_MS, windows_of(day))
    for position, sensor_id in enumerate(merged.sensor_ids.to_list()):
        winners: dict[tuple[int, int], int] = {}
        for _, time_ms, sequence, value in (fact for fact in day if fact[0] == sensor_id):
            winners[time_ms, sequence] = max(value, winners.get((time_ms, sequence), value))
        ascending = sorted(winners.values())
        for percent, values in zip(PERCENTILES, merged.percentiles_milli, strict=True):
            exact = ascending[-(-percent * len(ascending) // 100) - 1]
            assert abs(int(values[position]) - exact) <= PERCENTILE_ERROR_MILLI


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(days, st.integers(0, 2**32))
def test_any_grouping_in_any_order_gives_the_same_bytes(day: list[Fact], seed: int) -> None:
    """Windows to hours to a day, windows to a day, or any other tree: the same rows to the byte."""
    chance = random.Random(seed)
    groups = list(windows_of(day))
    whole = encode_rollup(merge(DAY_START_MS, groups))
    while len(groups) > 1:
        chance.shuffle(groups)
        size = chance.randint(2, len(groups))
        groups = [merge(DAY_START_MS, groups[:size]), *groups[size:]]
    assert encode_rollup(merge(DAY_START_MS, groups)) == whole


@pytest.mark.slow
@given(days, st.integers(1, 5))
def test_streams_give_what_whole_parts_give(day: list[Fact], rows: int) -> None:
    """Whatever the size of the batches that the parts come in."""
    parts = windows_of(day)
    streams = [batches_of([part], rows=rows) for part in parts]
    pieces = list(merge_streams(DAY_START_MS, streams))
    assert encode_rollup(Rollup.concat(pieces)) == encode_rollup(merge(DAY_START_MS, parts))


@pytest.mark.slow
@given(days, st.integers(1, 5))
def test_rows_are_read_back_as_they_were_written(day: list[Fact], rows: int) -> None:
    """Every column survives the file, batch by batch."""
    for part in windows_of(day):
        pieces = list(decode_rows(part.start_ms, io.BytesIO(encode_rollup(part)), rows=rows))
        assert max(map(len, pieces)) <= rows
        assert Rollup.concat(pieces).rows_sha256 == part.rows_sha256


@pytest.mark.slow
def test_sums_of_squares_of_a_fleet_day_leave_64_bits() -> None:
    """Two parts whose sums of squares are just below 2^64 carry into the high word."""
    readings = [("a", DAY_START_MS + index, 0, 10_000_000) for index in range(100_000)]
    (part,) = windows_of(readings)
    (row,) = read_rows(encode_rollup(merge(DAY_START_MS, [part] * 24)))
    assert row["sum_squares_milli2"] == Decimal(24 * 10**19)
    assert np.all(merge(DAY_START_MS, [part] * 24).sum_squares_high > 0)
