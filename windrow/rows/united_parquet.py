"""One range of a united set as one Parquet object: a row per series, with its readings as lists.

`sensor_id` holds series as the core spells them (windrow.quantities).

Only the dispatcher reads it. So it has no aggregates, and times and values are stored as they are, not as steps: the
deltas are the encoding's work. That takes a third less CPU than a partial. The column `sequence` is left out if every
sequence is 0.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from windrow.columns import arrow
from windrow.rows.format_version import check_readable
from windrow.rows.partial import Partial
from windrow.window import WINDOW_MS, Window

FORMAT = 1

# (name, Glue type), in the order of the file.
COLUMNS: tuple[tuple[str, str], ...] = (
    ("sensor_id", "string"),
    ("offset_ms", "array<int>"),
    ("milli", "array<int>"),
    ("sequence", "array<bigint>"),
)
_ENCODINGS: dict[tuple[str, ...], arrow.Encoding] = {
    arrow.path("sensor_id"): arrow.PLAIN,
    arrow.list_path("offset_ms"): arrow.DELTA,
    arrow.list_path("milli"): arrow.DELTA,
}


class UnreadableRange(ValueError):  # noqa: N818 - the domain's noun
    """Bytes that are no range of a united set in a format that this release reads."""


def encode_range(partial: Partial) -> bytes:
    """Encode the readings of a range, which must not be empty, as Parquet."""
    columns = {
        "sensor_id": arrow.string_column(partial.sensor_ids),
        "offset_ms": arrow.list_column(
            partial.offsets, (partial.event_time_ms - partial.window.start_ms).astype(np.int32)
        ),
        "milli": arrow.list_column(partial.offsets, partial.value_milli),
    }
    if partial.sequence.any():
        columns["sequence"] = arrow.list_column(partial.offsets, partial.sequence)
    metadata = {"format": FORMAT, "window_start_ms": partial.window.start_ms}
    return arrow.write_parquet(columns, metadata=metadata, encodings=_ENCODINGS)


def decode_range(body: bytes) -> Partial:
    """Decode the bytes of `encode_range`; raises UnreadableRange."""
    try:
        columns, metadata = arrow.read_parquet(body)
        check_readable(metadata.get("format"), written=FORMAT)
        return _partial_of(Window(metadata["window_start_ms"]), columns)
    except (ValueError, KeyError, IndexError) as error:
        raise UnreadableRange(str(error)) from error


def _partial_of(window: Window, columns: Mapping[str, Any]) -> Partial:
    offsets, offset_ms = arrow.lists_of(columns["offset_ms"])
    others = {name: arrow.lists_of(columns[name]) for name in ("milli", "sequence") if name in columns}
    if any(not np.array_equal(bounds, offsets) for bounds, _ in others.values()):
        raise ValueError("the lists of a sensor differ in length")
    if len(offset_ms) and (offset_ms.min() < 0 or offset_ms.max() >= WINDOW_MS):
        raise ValueError("a reading outside the window")
    return Partial(
        window=window,
        sensor_ids=arrow.strings_of(columns["sensor_id"]),
        offsets=offsets,
        event_time_ms=offset_ms.astype(np.int64) + window.start_ms,
        sequence=others["sequence"][1] if "sequence" in others else np.zeros(len(offset_ms), np.int64),
        value_milli=others["milli"][1],
    )
