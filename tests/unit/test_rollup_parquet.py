"""The rows object as Athena reads it: row groups, statistics, page index; the same rows always give the same bytes."""

import io
import itertools
from collections.abc import Iterator

import numpy as np
import pyarrow.parquet
import pytest

from tests.rows_file import encode_rollup
from windrow.columns.strings import Strings
from windrow.reading import Readings
from windrow.rows.partial import Partial
from windrow.rows.rollup import BATCH_ROWS, Rollup, roll
from windrow.rows.rollup_parquet import COLUMNS, UnreadableRows, read_rows, write_rows
from windrow.window import Window

WINDOW = Window(1_763_640_300_000)
SENSORS = 2 * BATCH_ROWS + 1_000


@pytest.fixture(scope="module")
def rollup() -> Rollup:
    """Two full batches of rows, and some."""
    columns = Readings(
        Strings.of(f"s{number:07}" for number in range(SENSORS)),
        np.arange(SENSORS, dtype=np.int32),
        np.full(SENSORS, WINDOW.start_ms + 7),
        np.zeros(SENSORS, np.int64),
        np.arange(SENSORS, dtype=np.int32),
    )
    return roll(Partial.of(WINDOW, columns))


@pytest.mark.slow
def test_every_column_has_statistics_and_a_page_index(rollup: Rollup) -> None:
    """Engines use them to skip row groups and pages."""
    file = pyarrow.parquet.ParquetFile(io.BytesIO(encode_rollup(rollup)))
    assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [
        BATCH_ROWS,
        BATCH_ROWS,
        1_000,
    ]
    for group in range(file.num_row_groups):
        for place in range(file.metadata.num_columns):
            column = file.metadata.row_group(group).column(place)
            assert column.has_column_index, column.path_in_schema
            assert column.has_offset_index, column.path_in_schema
            assert column.statistics.null_count == 0, column.path_in_schema
            assert column.compression == "ZSTD"


@pytest.mark.slow
def test_row_groups_are_ranges_of_sensors(rollup: Rollup) -> None:
    """A query of one sensor reads one row group."""
    file = pyarrow.parquet.ParquetFile(io.BytesIO(encode_rollup(rollup)))
    place = [name for name, _ in COLUMNS].index("sensor_id")
    bounds = [file.metadata.row_group(number).column(place).statistics for number in range(file.num_row_groups)]
    assert [(one.min, one.max) for one in bounds] == [
        ("s0000000", f"s{BATCH_ROWS - 1:07}"),
        (f"s{BATCH_ROWS:07}", f"s{2 * BATCH_ROWS - 1:07}"),
        (f"s{2 * BATCH_ROWS:07}", f"s{SENSORS - 1:07}"),
    ]


@pytest.mark.slow
def test_no_column_is_unsigned_or_null(rollup: Rollup) -> None:
    """Athena has no unsigned types."""
    schema = pyarrow.parquet.ParquetFile(io.BytesIO(encode_rollup(rollup))).schema_arrow
    assert not [field for field in schema if "uint" in str(field.type) or field.nullable]


@pytest.mark.slow
@pytest.mark.parametrize("cuts", [[], [1], [BATCH_ROWS], [5, BATCH_ROWS - 1, BATCH_ROWS + 1]])
def test_bytes_depend_on_the_rows_alone(rollup: Rollup, cuts: list[int]) -> None:
    """However the rows were divided into parts, every page is the same."""
    bounds = [0, *cuts, SENSORS]
    file = io.BytesIO()
    parts = [rollup.between(start, end) for start, end in itertools.pairwise(bounds)]
    summary = write_rows(WINDOW.start_ms, parts, file)
    assert file.getvalue() == encode_rollup(rollup)
    assert summary.rows_sha256 == rollup.rows_sha256
    assert (summary.sensors, summary.readings, summary.conflicts) == (SENSORS, SENSORS, 0)


@pytest.mark.slow
def test_rows_are_taken_as_they_are_written(rollup: Rollup) -> None:
    """Rows are consumed lazily: a batch is written before the rows of the batch after the next are made."""
    file = io.BytesIO()
    written_at: list[int] = []

    def parts() -> Iterator[Rollup]:
        for start in range(0, SENSORS, 10_000):
            written_at.append(file.tell())
            yield rollup.between(start, min(start + 10_000, SENSORS))

    write_rows(WINDOW.start_ms, parts(), file)
    assert written_at[0] == 0
    assert written_at[-1] > 0


def test_no_rows_are_a_file_too() -> None:
    """The file has all columns and no rows."""
    file = io.BytesIO()
    summary = write_rows(WINDOW.start_ms, [], file)
    file.seek(0)
    assert pyarrow.parquet.read_table(file).column_names == [name for name, _ in COLUMNS]
    assert (summary.sensors, summary.readings) == (0, 0)
    file.seek(0)
    assert sum(map(len, read_rows(WINDOW.start_ms, file))) == 0


@pytest.mark.slow
def test_other_bytes_and_other_windows_are_unreadable(rollup: Rollup) -> None:
    """Rows are never mistaken for those of another window."""
    body = encode_rollup(rollup.between(0, 3))
    for start_ms, found in ((WINDOW.start_ms, b"PAR1"), (WINDOW.start_ms, body[:-9]), (WINDOW.end_ms, body)):
        with pytest.raises(UnreadableRows):
            list(read_rows(start_ms, io.BytesIO(found)))
