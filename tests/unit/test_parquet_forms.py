"""Files that others read keep to codecs, encodings and types that their readers take: docs/adr/0018 has the table."""

import io
import re
from collections.abc import Callable, Iterator

import arro3.io
import numpy as np
import pyarrow.parquet
import pytest

from tests.rows_file import encode_rollup
from windrow.columns import arrow
from windrow.columns.strings import Strings
from windrow.reading import Readings
from windrow.rows import partial_parquet
from windrow.rows.partial import Partial
from windrow.rows.partial_parquet import DeliveryCounts, decode_partial, encode_partial
from windrow.rows.rollup import roll
from windrow.rows.silence import Silence, SilenceState, write_silence
from windrow.rows.united_parquet import encode_range
from windrow.window import WINDOW_MS, Window

WINDOW = Window(1_763_640_300_000)
# Trino 476, and so Athena, refuses LZ4_RAW and BROTLI ("Could not decompress page").
CODECS = {"SNAPPY", "ZSTD"}
# DELTA_BYTE_ARRAY keeps out fastparquet 2026.9, Flink 2.3 and Spark before 3.3.
ENCODINGS = {"PLAIN", "RLE", "RLE_DICTIONARY", "PLAIN_DICTIONARY", "DELTA_BINARY_PACKED"}
# Athena's types (data types in Amazon Athena): no unsigned integers, no 8 or 16 bits, no time of day, no binary.
TYPES = {"INT32", "INT64", "STRING", "TIMESTAMP(MILLISECONDS)", "DECIMAL(38, 0)", "LIST"}
# VersionParser of apache/parquet-java 1.16.
CREATED_BY = re.compile(r"(.*?)\s+version\s*(?:([^(]*?)\s*(?:\(\s*build\s*([^)]*?)\s*\))?)?")


def partial(*, sequence: int = 0, sensors: int = 50, per_sensor: int = 30) -> Partial:
    count = sensors * per_sensor
    times = WINDOW.start_ms + np.tile(np.arange(per_sensor) * (WINDOW_MS // per_sensor), sensors)
    columns = Readings(
        Strings.of(f"site/sensor-{number:03}" for number in range(sensors)),
        np.repeat(np.arange(sensors, dtype=np.int32), per_sensor),
        times,
        np.arange(count, dtype=np.int64) * sequence,
        (np.arange(count, dtype=np.int32) * 7) % 9_000,
    )
    return Partial.of(WINDOW, columns)


def silence(sensors: int) -> bytes:
    states = np.arange(sensors) % len(SilenceState)
    body = io.BytesIO()
    write_silence(
        Silence(
            window=WINDOW,
            sensors=sensors,
            sensors_expected=sensors,
            sensor_ids=Strings.of(f"s-{number:03}" for number in range(sensors)),
            states=states,
            missing_windows=states + 1,
        ),
        body,
    )
    return body.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "partial": lambda: encode_partial(partial(), DeliveryCounts()),
    "partial with sequences": lambda: encode_partial(partial(sequence=1 << 33), DeliveryCounts()),
    "partial of one reading": lambda: encode_partial(partial(sensors=1, per_sensor=1), DeliveryCounts()),
    "range of a united set": lambda: encode_range(partial()),
    "range of a united set with sequences": lambda: encode_range(partial(sequence=1 << 33)),
    "rows": lambda: encode_rollup(roll(partial())),
    "no rows": lambda: encode_rollup(roll(partial(sensors=0))),
    "silences": lambda: silence(20),
    "no silences": lambda: silence(0),
}


@pytest.fixture(params=FILES)
def file(request: pytest.FixtureRequest) -> pyarrow.parquet.ParquetFile:
    """Each kind of file that a table of the catalog points to."""
    return pyarrow.parquet.ParquetFile(io.BytesIO(FILES[request.param]()))


def chunks(file: pyarrow.parquet.ParquetFile) -> Iterator[pyarrow.parquet.ColumnChunkMetaData]:
    for group in range(file.metadata.num_row_groups):
        for place in range(file.metadata.num_columns):
            yield file.metadata.row_group(group).column(place)


def test_codecs_are_those_that_engines_decompress(file: pyarrow.parquet.ParquetFile) -> None:
    """An engine that lacks one fails at the first page."""
    assert {chunk.compression for chunk in chunks(file)} <= CODECS


def test_encodings_are_those_that_engines_decode(file: pyarrow.parquet.ParquetFile) -> None:
    """Strings are plain or in a dictionary."""
    for chunk in chunks(file):
        assert set(chunk.encodings) <= ENCODINGS, chunk.path_in_schema


def test_no_64_bit_column_has_deltas(file: pyarrow.parquet.ParquetFile) -> None:
    """Fastparquet 2026.9 reads them as other numbers, without a word."""
    for chunk in chunks(file):
        if chunk.physical_type != "INT32":
            assert "DELTA_BINARY_PACKED" not in chunk.encodings, chunk.path_in_schema


@pytest.mark.parametrize("kind", [kind for kind in FILES if not kind.startswith(("partial", "range"))])
def test_results_have_no_deltas_at_all(kind: str) -> None:
    """Flink 2.3 reads no delta encoding, and results are what people give to other tools."""
    file = pyarrow.parquet.ParquetFile(io.BytesIO(FILES[kind]()))
    assert not [chunk for chunk in chunks(file) if any("DELTA" in encoding for encoding in chunk.encodings)]


def test_types_are_those_of_athena(file: pyarrow.parquet.ParquetFile) -> None:
    """Logical types, or physical ones where there is no logical type."""
    for place in range(len(file.schema)):
        column = file.schema.column(place)
        logical = str(column.logical_type)
        assert kind_of(logical, column.physical_type) in TYPES, (column.path, logical)


def kind_of(logical: str, physical: str) -> str:
    if logical == "None":
        return physical
    if logical.startswith("Timestamp"):
        assert "isAdjustedToUTC=false" in logical
        return "TIMESTAMP(MILLISECONDS)" if "timeUnit=milliseconds" in logical else logical
    if logical.startswith("Decimal"):
        return "DECIMAL(38, 0)" if "precision=38, scale=0" in logical else logical
    return logical.upper()


def test_the_writer_is_one_that_parquet_mr_can_parse(file: pyarrow.parquet.ParquetFile) -> None:
    """Or Spark's row reader, Hive and Glue refuse the file (PARQUET-246)."""
    found = CREATED_BY.fullmatch(file.metadata.created_by)
    assert found is not None
    assert all(found.groups()), found.groups()


def test_partials_of_the_first_version_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """They were compressed with LZ4 and had deltas everywhere; those in flight at an update still count."""
    deltas = {arrow.path("sensor_id"): "delta_byte_array"} | {
        arrow.list_path(name) if kind.startswith("array") else arrow.path(name): "delta_binary_packed"
        for name, kind in partial_parquet.COLUMNS
        if name != "sensor_id"
    }
    write = arro3.io.write_parquet

    def as_before(rows: object, file: object, **options: object) -> None:
        there = {path: how for path, how in deltas.items() if path in options["column_encoding"]}
        old = {"compression": "lz4_raw", "column_encoding": there, "created_by": "windrow"}
        write(rows, file, **(options | old))

    monkeypatch.setattr(arro3.io, "write_parquet", as_before)
    old = encode_partial(partial(sequence=1), DeliveryCounts(late=3, duplicates=2))
    assert pyarrow.parquet.ParquetFile(io.BytesIO(old)).metadata.row_group(0).column(0).encodings[0] != "PLAIN"
    found, counts = decode_partial(old)
    assert (found.digest, counts) == (partial(sequence=1).digest, DeliveryCounts(late=3, duplicates=2))
