"""The rows of a window as one Parquet object, which Athena queries as the table `aggregates`."""

import hashlib
import io
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import IO

import numpy as np
from arro3.core import Array

from windrow import schemas
from windrow.columns import arrow
from windrow.columns.parquet_columns import select_columns
from windrow.columns.strings import Strings
from windrow.quantities import TEMPERATURE
from windrow.reading import Readings
from windrow.rows.partial import Partial
from windrow.rows.rollup import BATCH_ROWS, PERCENTILES, Rollup, RowsDigest, batches_of, roll
from windrow.rows.series_columns import SERIES_COLUMNS, series_columns, series_of_columns
from windrow.window import Window

FORMAT = 1

COLUMNS = schemas.AGGREGATES
# Dictionary-encoded, because most rows have the same value; so are decimals and lists.
_STEADY = ("window_start", "quantity", "unit", "readings", "covered_ms", "conflicts")
_ENCODINGS: dict[tuple[str, ...], arrow.Encoding] = {
    arrow.path(name): arrow.PLAIN
    for name, kind in COLUMNS
    if kind in {"string", "int", "bigint", "timestamp"} and name not in _STEADY
}


class UnreadableRows(ValueError):  # noqa: N818 - the domain's noun
    """Bytes that are no rows in a format that this release reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsSummary:
    """Totals over the rows of a file: row count, column totals, and hashes of the rows and of their series."""

    rows_sha256: str
    sensors_sha256: str
    sensors: int
    readings: int
    conflicts: int


def write_rows(start_ms: int, parts: Iterable[Rollup], file: IO[bytes]) -> RowsSummary:
    """Write the rows of `parts`, which ascend by series, as one Parquet file, and return their totals.

    Parts are consumed one at a time and regrouped: the bytes depend only on the rows (and the version of arro3), and
    memory on BATCH_ROWS. A batch is a row group; Athena finds a sensor by its statistics and page index.
    """
    digest = RowsDigest(start_ms)
    ids = hashlib.sha256()
    totals: Counter[str] = Counter()
    batches = batches_of(parts)
    first = next(batches, None)

    def summed_batches(first: Rollup) -> Iterator[Mapping[str, Array]]:
        for batch in itertools.chain([first], batches):
            digest.add(batch)
            ids.update(batch.sensor_ids.lengths.astype("<i4").data)
            ids.update(np.ascontiguousarray(batch.sensor_ids.octets).data)
            totals["sensors"] += len(batch)
            totals["readings"] += int(batch.readings.sum())
            totals["conflicts"] += int(batch.conflicts.sum())
            yield _columns(batch)

    if first is None:
        file.write(_file_without_rows())
    else:
        _write_batches(summed_batches(first), file)
    return RowsSummary(
        rows_sha256=digest.hexdigest(),
        sensors_sha256=ids.hexdigest(),
        sensors=totals["sensors"],
        readings=totals["readings"],
        conflicts=totals["conflicts"],
    )


def read_rows(start_ms: int, file: IO[bytes], *, rows: int = BATCH_ROWS) -> Iterator[Rollup]:
    """Read the rows of the window or period that starts at `start_ms` from a file, `rows` rows at a time.

    Raises UnreadableRows.
    """
    try:
        for columns in arrow.read_parquet_batches(file, rows=rows):
            yield _rollup_of(start_ms, columns)
    except (ValueError, KeyError) as error:
        raise UnreadableRows(str(error)) from error


def read_sensor_ids(file: IO[bytes], *, rows: int = BATCH_ROWS) -> Iterator[Strings]:
    """Read the series of rows from a file, `rows` rows at a time; raises UnreadableRows."""
    try:
        for columns in arrow.read_parquet_batches(file, rows=rows):
            yield series_of_columns(columns)
    except (ValueError, KeyError) as error:
        raise UnreadableRows(str(error)) from error


def select_sensor_ids(body: bytes) -> bytes:
    """Return rows without all that `read_sensor_ids` does not need, undecoded; raises UnreadableRows.

    If all are temperatures, not even their name and unit are needed.
    """
    of_temperatures = {"quantity": TEMPERATURE.name.encode(), "unit": TEMPERATURE.unit.encode()}
    try:
        return select_columns(body, SERIES_COLUMNS, unless=of_temperatures)
    except ValueError as error:
        raise UnreadableRows(str(error)) from error


def _rollup_of(start_ms: int, columns: Mapping[str, Array]) -> Rollup:
    if np.any(arrow.instants_of(columns["window_start"]) != start_ms):
        raise ValueError("rows of another window")
    high, low = arrow.decimals_of(columns["sum_squares_milli2"])
    offsets, bins = arrow.lists_of(columns["histogram_bins"])
    _, counts = arrow.lists_of(columns["histogram_counts"])
    plain = {
        name: arrow.numbers_of(columns[name])
        for name, kind in COLUMNS
        if kind in {"int", "bigint"} and not name.startswith("p")
    }
    return Rollup(
        start_ms=start_ms,
        sensor_ids=series_of_columns(columns),
        sum_squares_high=high,
        sum_squares_low=low,
        first_time_ms=arrow.instants_of(columns["first_time"]),
        last_time_ms=arrow.instants_of(columns["last_time"]),
        percentiles_milli=tuple(arrow.numbers_of(columns[f"p{percent:02}_milli"]) for percent in PERCENTILES),
        histogram_offsets=offsets,
        histogram_bins=bins,
        histogram_counts=counts,
        **plain,
    )


def _columns(rollup: Rollup) -> Mapping[str, Array]:
    """Make the columns of a batch, in the order of COLUMNS."""
    percentiles = {
        f"p{percent:02}_milli": arrow.column(values)
        for percent, values in zip(PERCENTILES, rollup.percentiles_milli, strict=True)
    }
    return {
        "window_start": arrow.timestamp_column(np.full(len(rollup), rollup.start_ms, np.int64)),
        **series_columns(rollup.sensor_ids),
        "readings": arrow.column(rollup.readings),
        "sum_milli": arrow.column(rollup.sum_milli),
        "sum_squares_milli2": arrow.decimal_column(rollup.sum_squares_high, rollup.sum_squares_low),
        "min_milli": arrow.column(rollup.min_milli),
        "max_milli": arrow.column(rollup.max_milli),
        "first_milli": arrow.column(rollup.first_milli),
        "first_time": arrow.timestamp_column(rollup.first_time_ms),
        "last_milli": arrow.column(rollup.last_milli),
        "last_time": arrow.timestamp_column(rollup.last_time_ms),
        **percentiles,
        "integral_milli_ms": arrow.column(rollup.integral_milli_ms),
        "covered_ms": arrow.column(rollup.covered_ms),
        "histogram_bins": arrow.list_column(rollup.histogram_offsets, rollup.histogram_bins),
        "histogram_counts": arrow.list_column(rollup.histogram_offsets, rollup.histogram_counts),
        "conflicts": arrow.column(rollup.conflicts),
    }


def _write_batches(batches: Iterable[Mapping[str, Array]], file: IO[bytes]) -> None:
    arrow.write_parquet_batches(
        batches, file, metadata={"format": FORMAT}, encodings=_ENCODINGS, row_group_rows=BATCH_ROWS
    )


@cache
def _file_without_rows() -> bytes:
    """Return the file of no rows, the same for every window: most that a quiet stage rolls have none."""
    file = io.BytesIO()
    _write_batches([_columns(roll(Partial.of(Window(0), Readings.of([]))))], file)
    return file.getvalue()
