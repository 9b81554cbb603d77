"""Results as a Parquet file, written by DuckDB: any number of rows, page by page, with their types."""

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
    """Write all `frames`, of the same columns, to one file at `path`; how many rows that were. At least one frame."""
    rows = 0
    with (
        tempfile.TemporaryDirectory(prefix="windrow-parquet-") as folder,
        # On disk, so that the rows need not fit into memory.
        duckdb.connect(str(Path(folder) / "rows.duckdb"), config=_CONFIGURATION) as connection,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")  # it would draw on standard output
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
    """DuckDB's type for a column of a result; one that holds objects is known by the first of them."""
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
    """The frame with decimals and what is neither number nor list as text, from which DuckDB casts without loss."""
    plain = frame.copy(deep=False)
    for name in frame.columns[frame.dtypes == "object"]:
        values = [value if value is None or isinstance(value, list) else str(value) for value in frame[name]]
        plain[name] = pd.Series(values, index=frame.index, dtype="object")
    return plain
