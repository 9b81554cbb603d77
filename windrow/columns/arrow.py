"""Conversion between numpy columns and Arrow, Parquet and Arrow IPC.

arro3 provides the tables and the Parquet codec, nanoarrow gives access to the buffers.
"""

import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import IO, Any, Literal, cast

import arro3.core
import arro3.io
import nanoarrow
import numpy as np
import numpy.typing as npt
from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema, Table

from windrow.columns.strings import Strings

# The encodings and codecs that are written, and no others: docs/adr/0018 says which readers take which.
Encoding = Literal["delta_binary_packed", "plain"]
DELTA: Encoding = "delta_binary_packed"  # 32-bit integers that change little; fastparquet misreads 64-bit ones
PLAIN: Encoding = "plain"
Codec = Literal["snappy", "zstd(1)"]
# parquet-mr, and so Spark, Hive and Glue, refuses lists and statistics of files whose writer it cannot parse as
# "<name> version <version> (build <build>)" (VersionParser and CorruptStatistics of apache/parquet-java). The version
# is that of the files' form, not of a release: the same rows give the same bytes in every release.
_CREATED_BY = "windrow version 1.0.0 (build 0)"

# `read_parquet` reads an object as one batch; no object has more rows than a batch of a shard has readings, or a
# window has sensors.
_BATCH_ROWS = 1 << 24
_METADATA_KEY = "windrow"


def column(values: npt.NDArray[Any]) -> Array:
    """Make a column of numbers."""
    return Array.from_numpy(np.ascontiguousarray(values))


def string_column(strings: Strings) -> Array:
    """Make a column of strings; ValueError beyond 2 GiB, which Arrow's 32-bit offsets cannot address."""
    if len(strings.octets) > np.iinfo(np.int32).max:
        raise ValueError(f"{len(strings.octets)} bytes of strings in one column")
    buffers = [None, strings.offsets.astype(np.int32), np.ascontiguousarray(strings.octets)]
    return Array.from_arrow(nanoarrow.c_array_from_buffers(nanoarrow.string(), len(strings), buffers))


def dictionary_column(strings: Strings, places: npt.NDArray[np.int32]) -> Array:
    """Make a column of strings, each stored once: value i is `strings[places[i]]`; ValueError if two are equal."""
    dictionary = string_column(strings).cast(DataType.dictionary(DataType.int32(), DataType.string()))
    if len(arro3.core.dictionary_dictionary(dictionary)) < len(strings):
        raise ValueError("two strings of a dictionary are equal")
    return dictionary.take(column(places))


def repeated_column(text: str, count: int) -> Array:
    """Make a column of `count` times the same string, in the form of `dictionary_column`."""
    return _dictionary_of_one(text).take(column(np.zeros(count, np.int32)))


@lru_cache(maxsize=64)
def _dictionary_of_one(text: str) -> Array:
    return dictionary_column(Strings.of([text]), np.zeros(1, np.int32))


def timestamp_column(instants_ms: npt.NDArray[np.int64]) -> Array:
    """Make a column of instants in milliseconds without a zone, the form that Athena and Trino call timestamp(3)."""
    return column(instants_ms).cast(DataType.timestamp("ms"))


def list_column(offsets: npt.NDArray[np.int64], values: npt.NDArray[Any]) -> Array:
    """Make a column of lists: list i is `values[offsets[i]:offsets[i + 1]]`."""
    items = column(values)
    kind = DataType.list(Field("element", items.type, nullable=False))
    return arro3.core.list_array(column(offsets.astype(np.int32)), items, type=kind)


def decimal_column(high: npt.NDArray[np.int64], low: npt.NDArray[np.uint64]) -> Array:
    """Make a column of decimal(38, 0) from 128-bit two's complements, given as their high and low 64 bits."""
    words = np.stack([low, high.astype(np.uint64)], axis=1)
    buffers = [None, np.ascontiguousarray(words).reshape(-1)]
    array = nanoarrow.c_array_from_buffers(nanoarrow.decimal128(38, 0), len(low), buffers)
    return Array.from_arrow(array)


def instants_of(array: Array) -> npt.NDArray[np.int64]:
    """Return the instants of a timestamp column: the inverse of `timestamp_column`."""
    return numbers_of(array.cast(DataType.int64()))


def decimals_of(array: Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """Return the high and the low 64 bits of each decimal: the inverse of `decimal_column`."""
    view = nanoarrow.c_array(array).view()
    _, whole = view.buffers
    words = np.frombuffer(whole, np.uint64).reshape(-1, 2)[view.offset : view.offset + len(array)]
    return words[:, 1].astype(np.int64), words[:, 0].copy()


def numbers_of(array: Array) -> npt.NDArray[Any]:
    """Return the values of a column of numbers without nulls."""
    return np.asarray(array.to_numpy())


def strings_of(array: Array) -> Strings:
    """Return the values of a column of strings without nulls."""
    view = nanoarrow.c_array(array).view()
    _, offsets, octets = view.buffers
    bounds = np.asarray(offsets).astype(np.int64)[view.offset : view.offset + len(array) + 1]
    raw = np.asarray(octets).view(np.uint8)[bounds[0] : bounds[-1]] if len(array) else np.zeros(0, np.uint8)
    return Strings(bounds - bounds[0] if len(array) else np.zeros(1, np.int64), raw)


def lists_of(array: Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Return the offsets, from 0, and the values of a column of lists without nulls."""
    offsets = numbers_of(arro3.core.list_offsets(array)).astype(np.int64)
    return offsets - offsets[0], numbers_of(arro3.core.list_flatten(array))


def write_parquet(
    columns: Mapping[str, Array],
    *,
    metadata: Mapping[str, int],
    encodings: Mapping[tuple[str, ...], Encoding],
) -> bytes:
    """Encode `columns` as Parquet, in one batch; see `write_parquet_batches`.

    Compressed with Snappy, for objects that are read once or twice and expire: a few percent more bytes than zstd, in
    two thirds of the time.
    """
    fields = [Field(name, values.type, nullable=False) for name, values in columns.items()]
    body = io.BytesIO()
    table = Table.from_arrays(list(columns.values()), schema=Schema(fields))
    _write_parquet(
        table, body, metadata=metadata, encodings=encodings, row_group_rows=_BATCH_ROWS, compression="snappy"
    )
    return body.getvalue()


def write_parquet_batches(
    batches: Iterable[Mapping[str, Array]],
    file: IO[bytes],
    *,
    metadata: Mapping[str, int],
    encodings: Mapping[tuple[str, ...], Encoding],
    row_group_rows: int = _BATCH_ROWS,
) -> None:
    """Write `batches`, at least one, all with the same columns, as Parquet; they are consumed one at a time.

    The same batches give the same bytes with one version of arro3. Other batches of the same rows may not, because
    pages end where batches do. `encodings` names the columns (by `path` or `list_path`) that are not
    dictionary-encoded, with their encoding; `metadata` is stored in the file. Compressed with zstd at level 1: higher
    levels cost more time than they save in S3. No column has nulls.
    """
    ahead = iter(batches)
    first = next(ahead)
    schema = Schema([Field(name, values.type, nullable=False) for name, values in first.items()])
    record_batches = (
        RecordBatch.from_arrays(list(columns.values()), schema=schema) for columns in itertools.chain([first], ahead)
    )
    # The stub asks for a sequence; an iterator is consumed batch by batch, as a test checks.
    reader = RecordBatchReader.from_batches(schema, cast("Any", record_batches))
    _write_parquet(
        reader, file, metadata=metadata, encodings=encodings, row_group_rows=row_group_rows, compression="zstd(1)"
    )


def _write_parquet(
    rows: Table | RecordBatchReader,
    file: IO[bytes],
    *,
    metadata: Mapping[str, int],
    encodings: Mapping[tuple[str, ...], Encoding],
    row_group_rows: int,
    compression: Codec,
) -> None:
    arro3.io.write_parquet(
        rows,
        file,
        compression=compression,
        created_by=_CREATED_BY,
        skip_arrow_metadata=True,
        column_dictionary_enabled=dict.fromkeys(encodings, False),
        column_encoding=dict(encodings.items()),
        # A single entry: arro3 writes several in an order that changes from call to call.
        key_value_metadata={_METADATA_KEY: json.dumps(metadata)},
        max_row_group_size=row_group_rows,
    )


def write_ipc_stream(columns: Mapping[str, Array]) -> bytes:
    """Encode `columns` as an Arrow IPC stream of one batch, its buffers compressed with zstd. No column has nulls."""
    fields = [Field(name, values.type, nullable=False) for name, values in columns.items()]
    body = io.BytesIO()
    table = Table.from_arrays(list(columns.values()), schema=Schema(fields))
    arro3.io.write_ipc_stream(table, body, compression="zstd")
    return body.getvalue()


def path(name: str) -> tuple[str, ...]:
    """Return the path of the plain column `name` in the Parquet schema."""
    return (name,)


def list_path(name: str) -> tuple[str, ...]:
    """Return the path of the values of the list column `name` in the Parquet schema."""
    return (name, "list", "element")


def read_parquet(body: bytes) -> tuple[dict[str, Array], dict[str, int]]:
    """Decode the columns and the metadata that `write_parquet` was given; raises ValueError for other bytes."""
    with _readable():
        table = arro3.io.read_parquet(io.BytesIO(body), batch_size=_BATCH_ROWS).read_all()
    metadata = json.loads(table.schema.metadata.get(_METADATA_KEY.encode(), b"{}"))
    return {name: _one_chunk(table, name) for name in table.schema.names}, metadata


def read_parquet_batches(file: IO[bytes], *, rows: int) -> Iterator[dict[str, Array]]:
    """Yield the columns of a Parquet file, `rows` rows at a time, reading lazily; raises ValueError."""
    with _readable():
        reader = arro3.io.read_parquet(file, batch_size=rows)
        names = reader.schema.names
    while True:
        with _readable():
            batch = next(reader, None)
        if batch is None:
            return
        yield {name: batch.column(name) for name in names}


@contextmanager
def _readable() -> Iterator[None]:
    """Turn what arro3 raises for damaged bytes into a ValueError."""
    try:
        yield
    except BaseException as error:
        # arro3 raises a plain Exception, or panics on a damaged footer; a panic is a BaseException.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"not readable as Parquet: {error}") from error


def _one_chunk(table: Table, name: str) -> Array:
    values = table.column(name)
    if len(values):
        return values.combine_chunks()
    try:
        return Array([], type=values.type)
    except NotImplementedError:  # of times, say; empty numbers can be cast to them
        return column(np.zeros(0, np.int64)).cast(values.type)
