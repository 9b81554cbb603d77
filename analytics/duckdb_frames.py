"""DuckDB's results as pandas frames with Trino's types, so that the local engine returns the same dtypes as Athena."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from analytics.frames import dtype_of, frame_of, with_dtype
from analytics.types import decimal_digits


def typed_frame(fetched: pd.DataFrame, names: Sequence[str], types: Sequence[str]) -> pd.DataFrame:
    """Return what DuckDB fetched with its `names`, each column as one of the Trino `types`."""
    return frame_of(names, [_series(fetched.iloc[:, place], kind) for place, kind in enumerate(types)])


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
