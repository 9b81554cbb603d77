"""The columns in which files hold series: `sensor_id`, `quantity` and `unit`, as readers of tables know them."""

from collections.abc import Mapping

from arro3.core import Array

from windrow.columns import arrow
from windrow.columns.strings import Strings
from windrow.quantities import join_series, split_series


def series_columns(series: Strings) -> dict[str, Array]:
    """Return the three columns of the series, in the order of files."""
    parts = split_series(series)
    return {
        "sensor_id": arrow.string_column(parts.sensor_ids),
        "quantity": arrow.string_column(parts.names),
        "unit": arrow.string_column(parts.units),
    }


def series_of_columns(columns: Mapping[str, Array]) -> Strings:
    """Return the series of a file's columns; ValueError for a bad quantity or unit, KeyError without the columns."""
    ids, names, units = (arrow.strings_of(columns[name]) for name in ("sensor_id", "quantity", "unit"))
    return join_series(ids, names, units)
