"""Rows as a pandas frame whose dtypes follow from the SQL types, the same from either engine.

boolean -> boolean; tinyint, smallint, integer -> Int32; bigint -> Int64; real, double -> float64;
decimal -> float64 up to 15 digits (the double nearest to it prints the same digits), else decimal.Decimal;
char, varchar -> str; date -> datetime64[s]; timestamp, with or without zone -> datetime64[ms, UTC];
anything else -> object. NULL is pandas' missing value.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd

from analytics.plain import Instant, PlainRows, unique_names
from analytics.types import DECIMAL_DIGITS_OF_DOUBLE, decimal_digits

_LENGTH = re.compile(r"\(\d+\)")  # as in varchar(128), timestamp(3) with time zone
_DTYPES = {
    "boolean": "boolean",
    "tinyint": "Int32",
    "smallint": "Int32",
    "integer": "Int32",
    "bigint": "Int64",
    "real": "float64",
    "float": "float64",  # what Athena calls a real
    "double": "float64",
    "varchar": "str",
    "char": "str",
    "date": "datetime64[s]",
    "timestamp": "datetime64[ms, UTC]",
    "timestamp with time zone": "datetime64[ms, UTC]",
}


def dtype_of(sql_type: str) -> str:
    """Return the pandas dtype for a Trino type in lower case, such as `decimal(10,3)`."""
    digits = decimal_digits(sql_type)
    if digits is not None:
        return "float64" if digits <= DECIMAL_DIGITS_OF_DOUBLE else "object"
    return _DTYPES.get(_LENGTH.sub("", sql_type), "object")


def with_dtype(column: "pd.Series[Any]", dtype: str) -> "pd.Series[Any]":
    """Return `column` converted to `dtype`."""
    return column.astype(pd.api.types.pandas_dtype(dtype))


def epoch_ms(column: "pd.Series[Any]") -> list[int | None]:
    """Return the instants of a timestamp column in ms since the epoch, None for NULL."""
    instants = column.dt.tz_convert(None).to_numpy().astype("datetime64[ms]").astype("int64").tolist()
    return [None if missing else ms for ms, missing in zip(instants, column.isna(), strict=True)]


def frame_of_text(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[str | None]]) -> pd.DataFrame:
    """Return the frame of `rows` whose values are text, as from Athena; `columns` are (name, Trino type)."""
    by_column = list(zip(*rows, strict=True)) or [()] * len(columns)
    series = [_series_of_text(values, sql_type) for values, (_, sql_type) in zip(by_column, columns, strict=True)]
    return frame_of([name for name, _ in columns], series)


def frame_of(names: Sequence[str], series: Sequence["pd.Series[Any]"]) -> pd.DataFrame:
    """Return the frame of the columns; repeated names are numbered (`x`, `x_1`)."""
    frame = pd.concat(series, axis=1) if series else pd.DataFrame()
    frame.columns = pd.Index(unique_names(names))
    return frame


def plain_rows(frame: pd.DataFrame) -> PlainRows:
    """Return the rows of a frame of results as plain values."""
    return PlainRows([str(name) for name in frame.columns], [_plain_values(frame[name]) for name in frame.columns])


def _plain_values(column: "pd.Series[Any]") -> list[Any]:
    dtype = str(column.dtype)
    if dtype.endswith("UTC]"):
        return [None if ms is None else Instant(ms) for ms in epoch_ms(column)]
    values = column.dt.strftime("%Y-%m-%d") if dtype.startswith("datetime64") else column
    return [None if missing else value for value, missing in zip(values.tolist(), column.isna(), strict=True)]


def _series_of_text(values: Sequence[str | None], sql_type: str) -> "pd.Series[Any]":
    dtype = dtype_of(sql_type)
    if dtype.startswith("datetime64"):
        # A zone is written after a space; Athena's sessions are in UTC.
        plain = pd.Series([None if value is None else value.removesuffix(" UTC") for value in values], dtype="object")
        return with_dtype(pd.to_datetime(plain, format="ISO8601", utc=dtype.endswith("UTC]")), dtype)
    parse = _PARSERS[dtype] if dtype != "object" else _parse_other(sql_type)
    return pd.Series([None if value is None else parse(value) for value in values], dtype=dtype)


def _parse_other(sql_type: str) -> Callable[[str], Any]:
    if decimal_digits(sql_type) is not None:
        return Decimal
    return _array if sql_type.startswith("array") else str


def _array(text: str) -> Any:
    """Parse an array such as [1, 2]. Athena writes arrays of text without quotes, so these stay text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


_PARSERS: dict[str, Callable[[str], Any]] = {
    "boolean": lambda text: text == "true",
    "Int32": int,
    "Int64": int,
    "float64": float,
    "str": str,
}
