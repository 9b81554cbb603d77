"""The rows of a window as one Parquet object, the form that Athena queries as the table `aggregates`."""

import numpy as np

from windrow import arrow
from windrow.rollup import PERCENTILES, Rollup

FORMAT = 1

# (name, Glue type), in the order of the file.
COLUMNS: tuple[tuple[str, str], ...] = (
    ("window_start", "timestamp"),
    ("sensor_id", "string"),
    ("readings", "bigint"),
    ("sum_milli_c", "bigint"),
    ("sum_squares_milli_c2", "decimal(38,0)"),
    ("min_milli_c", "int"),
    ("max_milli_c", "int"),
    ("first_milli_c", "int"),
    ("first_time", "timestamp"),
    ("last_milli_c", "int"),
    ("last_time", "timestamp"),
    *((f"p{percent:02}_milli_c", "int") for percent in PERCENTILES),
    ("integral_milli_c_ms", "bigint"),
    ("covered_ms", "int"),
    ("histogram_bins", "array<int>"),
    ("histogram_counts", "array<int>"),
    ("conflicts", "bigint"),
)
_STEADY = ("window_start", "readings", "covered_ms", "conflicts")
_ENCODINGS: dict[tuple[str, ...], arrow.Encoding] = {
    arrow.path(name): arrow.DELTA
    for name, kind in COLUMNS
    if kind in {"int", "bigint", "timestamp"} and name not in _STEADY
}
_ENCODINGS[arrow.path("sensor_id")] = arrow.DELTA_STRINGS


def encode_rollup(rollup: Rollup) -> bytes:
    """The Parquet bytes of `rollup`; the same rows give the same bytes with one version of arro3."""
    percentiles = {
        f"p{percent:02}_milli_c": arrow.column(values)
        for percent, values in zip(PERCENTILES, rollup.percentiles_milli_c, strict=True)
    }
    columns = {
        "window_start": arrow.timestamp_column(np.full(len(rollup), rollup.window.start_ms, np.int64)),
        "sensor_id": arrow.string_column(rollup.sensor_ids),
        "readings": arrow.column(rollup.readings),
        "sum_milli_c": arrow.column(rollup.sum_milli_c),
        "sum_squares_milli_c2": arrow.decimal_column(rollup.sum_squares_high, rollup.sum_squares_low),
        "min_milli_c": arrow.column(rollup.min_milli_c),
        "max_milli_c": arrow.column(rollup.max_milli_c),
        "first_milli_c": arrow.column(rollup.first_milli_c),
        "first_time": arrow.timestamp_column(rollup.first_time_ms),
        "last_milli_c": arrow.column(rollup.last_milli_c),
        "last_time": arrow.timestamp_column(rollup.last_time_ms),
        **percentiles,
        "integral_milli_c_ms": arrow.column(rollup.integral_milli_c_ms),
        "covered_ms": arrow.column(rollup.covered_ms),
        "histogram_bins": arrow.list_column(rollup.histogram_offsets, rollup.histogram_bins),
        "histogram_counts": arrow.list_column(rollup.histogram_offsets, rollup.histogram_counts),
        "conflicts": arrow.column(rollup.conflicts),
    }
    return arrow.write_parquet(columns, metadata={"format": FORMAT}, encodings=_ENCODINGS)
