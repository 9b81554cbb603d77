"""A partial as one Parquet object: a row per series, with its readings as lists and its aggregates as columns.

Within a series, times, values and sequences are stored as a first value and the differences ("steps") from one reading
to the next, which are small and pack into few bits. The `sequence` columns are left out if every sequence is 0,
`quantity` and `unit` if all are temperatures. The aggregates are for queries of a window that is still open: under
redelivery they are an upper bound, and only the rows of the closed window are exact. `decode_partial` reads the sets
only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from windrow import schemas
from windrow.columns import arrow
from windrow.columns.strings import offsets_of
from windrow.rows.format_version import check_readable
from windrow.rows.partial import Partial
from windrow.rows.series_columns import series_of_columns, sparse_series_columns
from windrow.window import WINDOW_MS, Window

FORMAT = 1

COLUMNS = schemas.PARTIALS
# All others are dictionary-encoded: quantities, units, and 64-bit integers that are nearly all equal.
_PLAIN = ("sensor_id", "sum_milli", "first_sequence")
_ENCODINGS: dict[tuple[str, ...], arrow.Encoding] = {
    **{arrow.path(name): arrow.PLAIN for name in _PLAIN},
    **{arrow.path(name): arrow.DELTA for name, kind in COLUMNS if kind == "int"},
    **{arrow.list_path(name): arrow.DELTA for name, kind in COLUMNS if kind == "array<int>"},
}


class UnreadablePartial(ValueError):  # noqa: N818 - the domain's noun
    """Bytes that are no partial in a format that this release reads."""


@dataclass(frozen=True, slots=True)
class DeliveryCounts:
    """Counts that depend on how the readings were delivered, not on which they are; not part of the digest.

    late: readings whose record arrived after the first tick that could close their window; duplicates: how often the
    batch repeated readings.
    """

    late: int = 0
    duplicates: int = 0


def encode_partial(partial: Partial, delivery: DeliveryCounts) -> bytes:
    """Encode `partial`, which must not be empty, as Parquet."""
    count = partial.readings_per_sensor
    first = partial.offsets[:-1]
    value = partial.value_milli.astype(np.int64)
    columns = {
        **sparse_series_columns(partial.sensor_ids),
        "readings": arrow.column(count),
        "sum_milli": arrow.column(np.add.reduceat(value, first)),
        "min_milli": arrow.column(np.minimum.reduceat(partial.value_milli, first)),
        "max_milli": arrow.column(np.maximum.reduceat(partial.value_milli, first)),
    }
    offset_ms = (partial.event_time_ms - partial.window.start_ms).astype(np.int32)
    values: dict[str, npt.NDArray[np.signedinteger[Any]]] = {
        "offset_ms": offset_ms,
        "milli": partial.value_milli,
    }
    if partial.sequence.any():
        values["sequence"] = partial.sequence
    columns |= _steps_columns(values, partial.offsets)
    metadata = {
        "format": FORMAT,
        "window_start_ms": partial.window.start_ms,
        "late": delivery.late,
        "duplicates": delivery.duplicates,
    }
    encodings = {path: how for path, how in _ENCODINGS.items() if path[0] in columns}
    return arrow.write_parquet(columns, metadata=metadata, encodings=encodings)


def decode_partial(body: bytes) -> tuple[Partial, DeliveryCounts]:
    """Decode the bytes of `encode_partial`; raises UnreadablePartial."""
    try:
        columns, metadata = arrow.read_parquet(body)
        check_readable(metadata.get("format"), written=FORMAT)
        window = Window(metadata["window_start_ms"])
        return _partial_of(window, columns), DeliveryCounts(late=metadata["late"], duplicates=metadata["duplicates"])
    except (ValueError, KeyError, IndexError) as error:
        raise UnreadablePartial(str(error)) from error


def _partial_of(window: Window, columns: Mapping[str, Any]) -> Partial:
    groups = _Groups.of(arrow.numbers_of(columns["readings"]).astype(np.int64))
    offset_ms = groups.values("offset_ms", columns, np.int64)
    if len(offset_ms) and (offset_ms.min() < 0 or offset_ms.max() >= WINDOW_MS):
        raise ValueError("a reading outside the window")
    return Partial(
        window=window,
        sensor_ids=series_of_columns(columns),
        offsets=groups.offsets,
        event_time_ms=offset_ms + window.start_ms,
        sequence=(
            groups.values("sequence", columns, np.int64)
            if "first_sequence" in columns
            else np.zeros(groups.offsets[-1], np.int64)
        ),
        value_milli=groups.values("milli", columns, np.int32),
    )


def _steps_columns(
    values: Mapping[str, npt.NDArray[np.signedinteger[Any]]], offsets: npt.NDArray[np.int64]
) -> dict[str, Any]:
    """Make `first_<name>` and `<name>_steps` from `values`: n values of k sensors give n - k steps."""
    starts = offsets[:-1]
    is_step = np.ones(offsets[-1], bool)
    is_step[starts] = False
    before = np.flatnonzero(is_step) - 1
    columns: dict[str, Any] = {}
    for name, of_all in values.items():
        # Sequences may span all 63 bits: differences wrap in 64 bits, and wrap back when they are added up.
        steps = (of_all[1:] - of_all[:-1])[before]
        columns[f"first_{name}"] = arrow.column(of_all[starts])
        columns[f"{name}_steps"] = arrow.list_column(offsets - np.arange(len(offsets)), steps)
    return columns


@dataclass(frozen=True, slots=True, eq=False)
class _Groups:
    """Where the readings of k sensors are among n readings, and their steps among n - k steps.

    offsets: int64[k + 1], the readings of sensor i are `offsets[i]:offsets[i + 1]`; bounds: int64[k + 1], the same for
    its steps; steps_at, sensor: int64[n - k], the position of the reading, and the sensor, of each step.
    """

    offsets: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.int64]
    steps_at: npt.NDArray[np.int64]
    sensor: npt.NDArray[np.int64]

    @classmethod
    def of(cls, count: npt.NDArray[np.int64]) -> Self:
        """Make the groups for `count` readings of each sensor; ValueError if one has none."""
        if len(count) and count.min() < 1:
            raise ValueError("a sensor without readings")
        offsets = offsets_of(count)
        is_step = np.ones(offsets[-1], bool)
        is_step[offsets[:-1]] = False
        steps_at = np.flatnonzero(is_step)
        # The readings before a reading are the ones with a step, and one first reading of each sensor up to its own.
        sensor = steps_at - np.arange(1, len(steps_at) + 1)
        return cls(offsets, offsets - np.arange(len(offsets)), steps_at, sensor)

    def values(self, name: str, columns: Mapping[str, Any], kind: type[np.signedinteger[Any]]) -> npt.NDArray[Any]:
        """Add up the steps again, as `kind`: the inverse of `_steps_columns`, [n]."""
        first = arrow.numbers_of(columns[f"first_{name}"])
        bounds, steps = arrow.lists_of(columns[f"{name}_steps"])
        if not np.array_equal(bounds, self.bounds):
            raise ValueError(f"{name}_steps and readings disagree")
        running = offsets_of(steps)
        values = np.empty(self.offsets[-1], kind)
        values[self.offsets[:-1]] = first
        values[self.steps_at] = first[self.sensor] + (running[1:] - running[bounds[self.sensor]])
        return values
