"""The columns in which files hold series: `sensor_id`, `quantity` and `unit`, as readers of tables know them."""

from collections.abc import Mapping

import numpy as np
from arro3.core import Array

from windrow.columns import arrow
from windrow.columns.arrays import Int32s
from windrow.columns.strings import Strings
from windrow.quantities import are_bare, join_series, split_series

SERIES_COLUMNS = ("sensor_id", "quantity", "unit")


def series_columns(series: Strings) -> dict[str, Array]:
    """Return the three columns of the series, in the order of files."""
    parts = split_series(series)
    return {
        "sensor_id": arrow.string_column(parts.sensor_ids),
        "quantity": _repeated([quantity.name for quantity in parts.quantities], parts.kind),
        "unit": _repeated([quantity.unit for quantity in parts.quantities], parts.kind),
    }


def sparse_series_columns(series: Strings) -> dict[str, Array]:
    """Return the columns without `quantity` and `unit` if all are temperatures, for files that one reads seldom."""
    return {"sensor_id": arrow.string_column(series)} if are_bare(series) else series_columns(series)


def series_of_columns(columns: Mapping[str, Array]) -> Strings:
    """Return the series of a file's columns, temperatures if there is no `quantity`.

    ValueError for a bad quantity or unit, KeyError for a column that is missing.
    """
    ids = arrow.strings_of(columns["sensor_id"])
    if "quantity" not in columns:
        return ids
    return join_series(ids, arrow.strings_of(columns["quantity"]), arrow.strings_of(columns["unit"]))


def _repeated(words: list[str], which: Int32s) -> Array:
    """Return a column of strings of which few differ."""
    if len(words) == 1:
        return arrow.repeated_column(words[0], len(which))
    distinct, place = Strings.of(words).rank()
    return arrow.dictionary_column(distinct, place.astype(np.int32)[which])
