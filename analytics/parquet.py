"""Results as a Parquet file, written by DuckDB page by page: any number of rows, with their types."""

import tempfile
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from windrow.quoting import quoted_name, quoted_text

_TYPES = {
    "boolean": "BOOLEAN",
    "Int32": "INTEGER",
    "Int64": "BIGINT",
    "float64": "DOUBLE",
    "str": "VARCHAR",
    "datetime64[s]": "DATE",
    "datetime64[ms, UTC]": "TIMESTAMP WITH TIME ZONE",
}


def write_parquet(frames: Iterable[pd.DataFrame], path: Path) -> int:
    """Write `frames`, at least one and all with the same columns, to a file at `path`; return the number of rows."""
    rows = 0
    with (
        tempfile.TemporaryDirectory(prefix="windrow-parquet-") as folder,
        # On disk, because the rows may not fit into memory.
        duckdb.connect(str(Path(folder) / "rows.duckdb"), config=_CONFIGURATION) as connection,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")  # it would be drawn on standard output
        for number, frame in enumerate(frames):
            if number == 0:
                columns = ", ".join(f"{quoted_name(name)} {_type_of(frame[name])}" for name in frame.columns)
                connection.execute(f"CREATE TABLE rows ({columns})")
            if not frame.empty:
                connection.register("page", _plain(frame))
                connection.execute("INSERT INTO rows SELECT * FROM page")
            rows += len(frame)
        connection.execute(f"COPY rows TO {quoted_text(path)} (FORMAT parquet, COMPRESSION zstd)")
    return rows


_CONFIGURATION: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "threads": 2,
}


def _type_of(column: "pd.Series[Any]") -> str:
    """Return DuckDB's type for a column of a result; for objects, judge by the first that is not None."""
    if (known := _TYPES.get(str(column.dtype))) is not None:
        return known
    match next((value for value in column if value is not None), None):
        case Decimal() as number:
            return f"DECIMAL(38, {max(0, -int(number.as_tuple().exponent))})"
        case [int(), *_]:
            return "BIGINT[]"
        case [float(), *_]:
            return "DOUBLE[]"
        case list():
            return "VARCHAR[]"
        case _:
            return "VARCHAR"


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with objects other than lists as text, which DuckDB casts to the column's type without loss."""
    plain = frame.copy(deep=False)
    for name in frame.columns[frame.dtypes == "object"]:
        values = [value if value is None or isinstance(value, list) else str(value) for value in frame[name]]
        plain[name] = pd.Series(values, index=frame.index, dtype="object")
    return plain
