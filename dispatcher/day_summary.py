"""The summary of a day: CSV with a line for each series, as spreadsheets open it, from the rows of the day."""

import csv
import io
from collections.abc import Iterable, Iterator

from dispatcher.fleet_day import means_milli
from windrow.columns.arrays import Int32s, Int64s
from windrow.disarm import for_spreadsheet
from windrow.lifetimes import MINUTE_MS
from windrow.quantities import split_series
from windrow.rows.rollup import PERCENTILES, Rollup
from windrow.timestamps import format_rfc3339

SUMMARY_COLUMNS = (
    "sensor_id",
    "quantity",
    "unit",
    "readings",
    "min",
    "mean",
    "median",
    "max",
    "first_time",
    "last_time",
    "last",
    "covered_minutes",
    "conflicts",
)
"""min to max and last are in the unit of the line; the mean is rounded to thousandths, the median to its bin."""
_MEDIAN = PERCENTILES.index(50)


def summary_csv(pieces: Iterable[Rollup]) -> Iterator[bytes]:
    """Yield the file: its first row, then the rows of each piece, in UTF-8, with ends of lines as RFC 4180 has them."""
    yield _encoded([SUMMARY_COLUMNS])
    for rows in filter(len, pieces):
        yield _encoded(_lines(rows))


def _lines(rows: Rollup) -> Iterator[tuple[object, ...]]:
    parts = split_series(rows.sensor_ids)
    of_quantity = [(quantity.name, for_spreadsheet(quantity.unit)) for quantity in parts.quantities]
    return zip(
        map(for_spreadsheet, parts.sensor_ids.to_list()),
        *zip(*(of_quantity[kind] for kind in parts.kind.tolist()), strict=True),
        rows.readings.tolist(),
        _decimals(rows.min_milli),
        _decimals(means_milli(rows)),
        _decimals(rows.percentiles_milli[_MEDIAN]),
        _decimals(rows.max_milli),
        map(format_rfc3339, rows.first_time_ms.tolist()),
        map(format_rfc3339, rows.last_time_ms.tolist()),
        _decimals(rows.last_milli),
        (f"{covered_ms / MINUTE_MS:.1f}" for covered_ms in rows.covered_ms.tolist()),
        rows.conflicts.tolist(),
        strict=True,
    )


def _decimals(milli: Int32s | Int64s) -> Iterator[str]:
    """Return values in their unit, exact: a double holds more digits than a number of thousandths has."""
    return (f"{one / 1000:.3f}" for one in milli.tolist())


def _encoded(lines: Iterable[tuple[object, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue().encode("utf-8", "replace")
