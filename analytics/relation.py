"""DuckDB's results with Trino's types, so that the local engine returns the same dtypes as Athena."""

import functools
import itertools
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from sqlglot import exp

from analytics.query import DIALECT
from analytics.result import DECIMAL_DIGITS_OF_DOUBLE, decimal_digits, dtype_of, frame_of, with_dtype

_TRINO_NAMES = {
    "BOOLEAN": "boolean",
    "TINYINT": "tinyint",
    "SMALLINT": "smallint",
    "UTINYINT": "smallint",
    "INTEGER": "integer",
    "USMALLINT": "integer",
    "BIGINT": "bigint",
    "UINTEGER": "bigint",
    "UBIGINT": "bigint",
    "HUGEINT": "bigint",  # DuckDB's type of SUM(bigint)
    "UHUGEINT": "bigint",
    "FLOAT": "real",
    "DOUBLE": "double",
    "VARCHAR": "varchar",
    "DATE": "date",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
}

PAGE_ROWS = 65_536
"""Rows per page: a multiple of the size of DuckDB's vectors, which it returns whole."""

_WIDE_INTEGERS = frozenset({"UBIGINT", "HUGEINT", "UHUGEINT"})
_TIMESTAMP = re.compile(r"TIMESTAMP(_S|_MS|_NS|\(\d+\))?")


@functools.cache
def duckdb_type(trino_type: str) -> str:
    """Return DuckDB's name of a Trino type."""
    return exp.DataType.build(trino_type, dialect=DIALECT).sql("duckdb")


def trino_type_of_duckdb(duckdb_name: str) -> str:
    """Return Trino's name of a type of DuckDB; for an unknown type, its own name in lower case."""
    if _TIMESTAMP.fullmatch(duckdb_name):
        return "timestamp"
    return _TRINO_NAMES.get(duckdb_name, duckdb_name.lower())


def pages_of_sql(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, object]
) -> Iterator[pd.DataFrame]:
    """Yield the rows of `sql` with the dtypes of analytics.result, in frames of up to PAGE_ROWS; at least one frame.

    duckdb.Error if a sum does not fit into 64 bits.
    """
    described = connection.sql(sql, params=dict(parameters) or None)
    names, types = described.columns, [str(kind) for kind in described.types]
    taken = ", ".join(f"{_exactly(place, kind)} AS c{place}" for place, kind in enumerate(types, start=1))
    connection.execute(f"SELECT {taken} FROM ({sql}\n) AS asked", dict(parameters) or None)  # noqa: S608 - gated SQL
    for number in itertools.count():
        fetched = connection.fetch_df_chunk(PAGE_ROWS // duckdb.__standard_vector_size__)
        if fetched.empty and number > 0:
            return
        columns = [_series(fetched.iloc[:, place], trino_type_of_duckdb(kind)) for place, kind in enumerate(types)]
        yield frame_of(names, columns)


def _exactly(place: int, kind: str) -> str:
    """Return SQL for column `place` in a form that pandas receives without loss."""
    if kind in _WIDE_INTEGERS:
        return f"CAST(#{place} AS BIGINT)"
    if (decimal_digits(kind.lower()) or 0) > DECIMAL_DIGITS_OF_DOUBLE or kind in {"TIME", "UUID", "JSON"}:
        return f"CAST(#{place} AS VARCHAR)"
    return f"#{place}"


def _series(column: "pd.Series[Any]", kind: str) -> "pd.Series[Any]":
    dtype = dtype_of(kind)
    if dtype == "object":
        exact = _decimal if decimal_digits(kind) is not None else _plain
        return pd.Series([exact(value) for value in column], dtype="object")
    if dtype.endswith("UTC]") and column.dt.tz is None:
        return with_dtype(pd.to_datetime(column, utc=True), dtype)
    return with_dtype(column, dtype)


def _decimal(text: object) -> Decimal | None:
    return Decimal(text) if isinstance(text, str) else None


def _plain(value: object) -> object:
    """Return lists instead of numpy arrays, at any depth."""
    if isinstance(value, np.ndarray):
        return [_plain(element) for element in value.tolist()]
    return value
