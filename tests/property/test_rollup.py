"""Rows against an oracle that does it the slow and obvious way, reading by reading, with Python integers."""

import io
import random
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet
from hypothesis import given
from hypothesis import strategies as st

from tests.property.strategies import FIRST_WINDOW_MS, batches
from windrow.partial import Partial, union
from windrow.reading import Reading, Readings
from windrow.rollup import HOLD_MS_MAX, PERCENTILES, roll
from windrow.rollup_parquet import COLUMNS, encode_rollup
from windrow.window import Window

WINDOW = Window(FIRST_WINDOW_MS)


def rows_of(readings: list[Reading]) -> list[dict[str, Any]]:
    """What another reader finds in the rows object."""
    body = encode_rollup(roll(Partial.of(WINDOW, Readings.of(readings))))
    return pyarrow.parquet.read_table(io.BytesIO(body)).to_pylist()


def expected_rows(readings: list[Reading]) -> list[dict[str, Any]]:
    ids = sorted({reading.sensor_id for reading in readings}, key=str.encode)
    return [expected_row(sensor_id, [r for r in readings if r.sensor_id == sensor_id]) for sensor_id in ids]


def expected_row(sensor_id: str, readings: list[Reading]) -> dict[str, Any]:
    values: dict[tuple[int, int], set[int]] = {}
    for reading in readings:
        values.setdefault((reading.event_time_ms, reading.sequence), set()).add(reading.temperature_milli_c)
    winners = [(time_ms, max(values[time_ms, sequence])) for time_ms, sequence in sorted(values)]
    ascending = sorted(value for _, value in winners)
    untils = [time_ms for time_ms, _ in winners[1:]] + [WINDOW.end_ms]
    held = [min(until, time_ms + HOLD_MS_MAX) - time_ms for (time_ms, _), until in zip(winners, untils, strict=True)]
    bins = sorted({value // 500 for value in ascending})
    return {
        "window_start": timestamp(WINDOW.start_ms),
        "sensor_id": sensor_id,
        "readings": len(winners),
        "sum_milli_c": sum(ascending),
        "sum_squares_milli_c2": sum(value * value for value in ascending),
        "min_milli_c": ascending[0],
        "max_milli_c": ascending[-1],
        "first_milli_c": winners[0][1],
        "first_time": timestamp(winners[0][0]),
        "last_milli_c": winners[-1][1],
        "last_time": timestamp(winners[-1][0]),
        **{f"p{p:02}_milli_c": ascending[-(-p * len(ascending) // 100) - 1] for p in PERCENTILES},
        "integral_milli_c_ms": sum(value * ms for (_, value), ms in zip(winners, held, strict=True)),
        "covered_ms": sum(held),
        "histogram_bins": bins,
        "histogram_counts": [sum(value // 500 == which for value in ascending) for which in bins],
        "conflicts": sum(len(distinct) - 1 for distinct in values.values()),
    }


def timestamp(instant_ms: int) -> datetime:
    seconds, ms = divmod(instant_ms, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None, microsecond=ms * 1000)


@given(batches(windows=1))
def test_rows_equal_the_oracle(readings: list[Reading]) -> None:
    """Every column of every row, for hostile ids, conflicts, duplicates and window edges."""
    assert rows_of(readings) == expected_rows(readings)


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
    assert (a.rows_sha256 == b.rows_sha256) == (expected_rows(some) == expected_rows(others))


def test_the_file_has_the_columns_of_the_table() -> None:
    """Names and order in the file are those that Glue is told."""
    assert list(rows_of([Reading("a", FIRST_WINDOW_MS, 0, 1)])[0]) == [name for name, _ in COLUMNS]


def test_sums_of_squares_leave_64_bits_unharmed() -> None:
    """A hundred thousand readings at the limit sum to 10^19, which 64 bits with a sign cannot hold."""
    readings = [Reading("a", FIRST_WINDOW_MS + i % 300_000, i, 10_000_000) for i in range(100_000)]
    assert rows_of(readings)[0]["sum_squares_milli_c2"] == 10**19
