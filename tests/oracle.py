"""The rows that a set of readings must lead to, the slow and obvious way: plain Python integers, reading by reading.

It shares no code with the core that it judges, not even a constant.
"""

import io
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet

WINDOW_MS = 300_000
HOLD_MS_MAX = 60_000
BIN_MILLI = 500
PERCENTILES = (5, 25, 50, 75, 95, 99)

Fact = tuple[str, int, int, int]
"""A reading: series (the id, or it, the quantity and the unit between U+001F), event_time_ms, sequence, milli."""
Row = dict[str, Any]


def window_start_ms(event_time_ms: int) -> int:
    """The start of the window that an event time belongs to."""
    return event_time_ms - event_time_ms % WINDOW_MS


def expected_rows(facts: Iterable[Fact]) -> list[Row]:
    """The rows of one window, ascending by the octets of the series; all facts must lie in it."""
    by_series: dict[str, list[Fact]] = {}
    for fact in facts:
        by_series.setdefault(fact[0], []).append(fact)
    return [expected_row(by_series[series]) for series in sorted(by_series, key=str.encode)]


def expected_row(facts: list[Fact]) -> Row:
    """The row of one series in one window; any order, any number of repetitions."""
    series, some_time_ms, _, _ = facts[0]
    sensor_id, quantity, unit = series.split("\x1f") if "\x1f" in series else (series, "temperature", "C")
    start_ms = window_start_ms(some_time_ms)
    values: dict[tuple[int, int], set[int]] = {}
    for _, time_ms, sequence, milli in facts:
        values.setdefault((time_ms, sequence), set()).add(milli)
    winners = [(time_ms, max(values[time_ms, sequence])) for time_ms, sequence in sorted(values)]
    ascending = sorted(value for _, value in winners)
    untils = [time_ms for time_ms, _ in winners[1:]] + [start_ms + WINDOW_MS]
    held = [min(until, time_ms + HOLD_MS_MAX) - time_ms for (time_ms, _), until in zip(winners, untils, strict=True)]
    bins = sorted({value // BIN_MILLI for value in ascending})
    return {
        "window_start": timestamp(start_ms),
        "sensor_id": sensor_id,
        "quantity": quantity,
        "unit": unit,
        "readings": len(winners),
        "sum_milli": sum(ascending),
        "sum_squares_milli2": sum(value * value for value in ascending),
        "min_milli": ascending[0],
        "max_milli": ascending[-1],
        "first_milli": winners[0][1],
        "first_time": timestamp(winners[0][0]),
        "last_milli": winners[-1][1],
        "last_time": timestamp(winners[-1][0]),
        **{f"p{p:02}_milli": ascending[-(-p * len(ascending) // 100) - 1] for p in PERCENTILES},
        "integral_milli_ms": sum(value * ms for (_, value), ms in zip(winners, held, strict=True)),
        "covered_ms": sum(held),
        "histogram_bins": bins,
        "histogram_counts": [sum(value // BIN_MILLI == which for value in ascending) for which in bins],
        "conflicts": sum(len(distinct) - 1 for distinct in values.values()),
    }


def merged_rows(start_ms: int, parts: Iterable[list[Row]]) -> list[Row]:
    """The rows of an hour or a day from the rows of all its windows: exact but for the percentiles.

    Those are the middle of the histogram's bin with the nearest rank, within minimum and maximum.
    """
    by_series: dict[str, list[Row]] = {}
    for row in (row for rows in parts for row in rows):
        by_series.setdefault(series_of(row), []).append(row)
    return [merged_row(start_ms, by_series[series]) for series in sorted(by_series, key=str.encode)]


def series_of(row: Row) -> str:
    """The series of a row, as in a fact."""
    is_temperature = row["quantity"] == "temperature"
    return str(row["sensor_id"]) if is_temperature else "\x1f".join((row["sensor_id"], row["quantity"], row["unit"]))


def merged_row(start_ms: int, rows: list[Row]) -> Row:
    """The row of one series from its rows of windows."""
    first, last = min(rows, key=lambda row: row["first_time"]), max(rows, key=lambda row: row["last_time"])
    least, most = min(row["min_milli"] for row in rows), max(row["max_milli"] for row in rows)
    counts: Counter[int] = Counter()
    for row in rows:
        counts.update(dict(zip(row["histogram_bins"], row["histogram_counts"], strict=True)))
    ranked = [which for which in sorted(counts) for _ in range(counts[which])]
    added = ("readings", "sum_milli", "sum_squares_milli2", "integral_milli_ms", "covered_ms", "conflicts")
    middles = {p: ranked[-(-p * len(ranked) // 100) - 1] * BIN_MILLI + BIN_MILLI // 2 for p in PERCENTILES}
    return {
        "window_start": timestamp(start_ms),
        **{name: rows[0][name] for name in ("sensor_id", "quantity", "unit")},
        **{name: sum(row[name] for row in rows) for name in added},
        "min_milli": least,
        "max_milli": most,
        **{name: first[name] for name in ("first_milli", "first_time")},
        **{name: last[name] for name in ("last_milli", "last_time")},
        **{f"p{p:02}_milli": max(least, min(most, middle)) for p, middle in middles.items()},
        "histogram_bins": sorted(counts),
        "histogram_counts": [counts[which] for which in sorted(counts)],
    }


def read_rows(body: bytes) -> list[Row]:
    """What another reader finds in a rows object."""
    return pyarrow.parquet.read_table(io.BytesIO(body)).to_pylist()


def timestamp(instant_ms: int) -> datetime:
    """The instant as that reader gives it: UTC, no zone."""
    seconds, ms = divmod(instant_ms, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None, microsecond=ms * 1000)
