"""An independent oracle: computes the rows of a window in plain Python, reading by reading.

It shares no code with the core that it checks, not even the length of a window. It is meant to be obviously right, not
fast.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from fractions import Fraction

import pandas as pd

WINDOW_MS = 5 * 60 * 1000
HOLD_MS_MAX = 60 * 1000
HISTOGRAM_BIN_MILLI = 500
PERCENTILES = (5, 25, 50, 75, 95, 99)

SERIES_COLUMNS = ("sensor_id", "quantity", "unit")
READING_COLUMNS = (*SERIES_COLUMNS, "event_time_ms", "sequence", "milli")
ROW_COLUMNS = (
    "window_start",
    *SERIES_COLUMNS,
    "readings",
    "sum_milli",
    "sum_squares_milli2",
    "min_milli",
    "max_milli",
    "first_milli",
    "first_time",
    "last_milli",
    "last_time",
    "p05_milli",
    "p25_milli",
    "p50_milli",
    "p75_milli",
    "p95_milli",
    "p99_milli",
    "integral_milli_ms",
    "covered_ms",
    "histogram_bins",
    "histogram_counts",
    "conflicts",
)


Series = tuple[str, str, str]
"""(sensor_id, quantity, unit)."""
Reading = tuple[int, int, int]
"""(event_time_ms, sequence, milli) of one series."""


def true_rows(readings: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that `readings` must produce, in whatever order and however often each was sent.

    `readings` has READING_COLUMNS. The result has ROW_COLUMNS and a row per window and series, sorted by window, then
    sensor id, quantity and unit. Values are exact Python ints (or lists of them, or the parts of the series); times are
    in ms since the epoch.
    """
    groups: defaultdict[tuple[int, Series], list[Reading]] = defaultdict(list)
    for sensor_id, quantity, unit, event_time_ms, sequence, milli in zip(
        *(readings[name].tolist() for name in READING_COLUMNS), strict=True
    ):
        window_start_ms = event_time_ms // WINDOW_MS * WINDOW_MS
        groups[window_start_ms, (sensor_id, quantity, unit)].append((event_time_ms, sequence, milli))
    rows = [_row(*key, groups[key]) for key in sorted(groups)]
    return pd.DataFrame(rows, columns=pd.Index(ROW_COLUMNS), dtype="object")


def _row(window_start_ms: int, series: Series, readings: Iterable[Reading]) -> list[object]:
    """Return one row, in the order of ROW_COLUMNS."""
    winners, conflicts = _winners(readings)
    times = [event_time_ms for event_time_ms, _, _ in winners]
    values = [milli for _, _, milli in winners]
    held_ms = _held_ms(times, window_end_ms=window_start_ms + WINDOW_MS)
    ascending = sorted(values)
    histogram = sorted(Counter(value // HISTOGRAM_BIN_MILLI for value in values).items())
    return [
        window_start_ms,
        *series,
        len(values),
        sum(values),
        sum(value * value for value in values),
        ascending[0],
        ascending[-1],
        values[0],
        times[0],
        values[-1],
        times[-1],
        *(ascending[math.ceil(Fraction(percent, 100) * len(values)) - 1] for percent in PERCENTILES),
        sum(value * held for value, held in zip(values, held_ms, strict=True)),
        sum(held_ms),
        [bin_ for bin_, _ in histogram],
        [count for _, count in histogram],
        conflicts,
    ]


def _winners(readings: Iterable[Reading]) -> tuple[list[Reading], int]:
    """Return the readings that count, by time and sequence, and the number of conflicts.

    Of several values with the same time and sequence the highest counts; each other value is a conflict.
    """
    values: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for event_time_ms, sequence, milli in readings:
        values[event_time_ms, sequence].add(milli)
    winners = [(*identity, max(values[identity])) for identity in sorted(values)]
    return winners, sum(len(different) - 1 for different in values.values())


def _held_ms(times: list[int], *, window_end_ms: int) -> list[int]:
    """Return how long each reading's value is held: until the next reading or the window's end, at most HOLD_MS_MAX."""
    ends = [*times[1:], window_end_ms]
    return [min(end, time + HOLD_MS_MAX) - time for time, end in zip(times, ends, strict=True)]
