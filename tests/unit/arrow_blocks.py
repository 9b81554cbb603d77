"""Blocks as other writers make them: our magic and a stream of pyarrow."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.ipc

from windrow.reading import Readings
from windrow.wire.block import BLOCK_MAGIC
from windrow.wire.block.block import BLOCK_VERSION

HEAD = BLOCK_MAGIC + bytes([BLOCK_VERSION])


def table(readings: Readings, *, with_sequence: bool = True) -> pa.Table:
    """The columns of a block, ids as plain strings."""
    ids = readings.sensor_ids.to_list()
    columns: dict[str, Any] = {
        "sensor_id": pa.array([ids[place] for place in readings.sensor.tolist()], pa.string()),
        "event_time_ms": pa.array(readings.event_time_ms),
        "value_milli": pa.array(readings.value_milli),
    }
    if with_sequence:
        columns["sequence"] = pa.array(readings.sequence)
    return pa.table(columns)


def with_dictionary(plain: pa.Table, index: pa.DataType) -> pa.Table:
    """The same with a dictionary of ids."""
    encoded = plain.column("sensor_id").cast(pa.dictionary(index, pa.string()))
    return plain.set_column(0, "sensor_id", encoded)


def block_of(columns: pa.Table, *, compression: str | None = "zstd") -> bytes:
    """Any table as a block, by pyarrow."""
    body = io.BytesIO()
    options = pyarrow.ipc.IpcWriteOptions(compression=compression)
    with pyarrow.ipc.new_stream(body, columns.schema, options=options) as stream:
        stream.write_table(columns)
    return HEAD + body.getvalue()
