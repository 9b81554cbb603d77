"""Results of queries: a pandas frame whose dtypes follow from the SQL types, the same from either engine.

boolean -> boolean; tinyint, smallint, integer -> Int32; bigint -> Int64; real, double -> float64;
decimal -> float64 up to 15 digits (the double nearest to it prints the same digits), else decimal.Decimal;
char, varchar -> str; date -> datetime64[s]; timestamp, with or without zone -> datetime64[ms, UTC];
anything else -> object. NULL is pandas' missing value.
"""

import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Protocol

import pandas as pd

from analytics.query import Query
from windrow.errors import WindrowError

ROWS_MAX = 1_000_000
"""The most rows of a result in memory; write a larger one to a file, page by page."""

DECIMAL_DIGITS_OF_DOUBLE = 15  # DBL_DIG: this many decimal digits survive conversion to a double and back
_DECIMAL = re.compile(r"decimal\((\d+),\s*(\d+)\)")
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


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The rows of a query, and what it took. `is_truncated` says that there are more rows than were asked for.

    `dollars` is about what the query costs; 0 for the local engine.
    """

    frame: pd.DataFrame
    engine: str
    bytes_scanned: int
    seconds: float
    is_truncated: bool = False
    dollars: float = 0.0


@dataclass(frozen=True, slots=True)
class QueryProgress:
    """How far a running query is."""

    state: str
    seconds: float
    bytes_scanned: int = 0


class Engine(Protocol):
    """Something that answers queries."""

    @property
    def name(self) -> str:
        """The name of the engine, for people."""

    def run(
        self,
        query: Query,
        *,
        rows_max: int | None = None,
        on_progress: Callable[[QueryProgress], None] = lambda _: None,
    ) -> Result:
        """Return the first `rows_max` rows of `query`, or all.

        WindrowError if it cannot be run, or if all rows are asked for and there are more than ROWS_MAX.
        """

    def pages(
        self, query: Query, *, on_progress: Callable[[QueryProgress], None] = lambda _: None
    ) -> Generator[Result, None, None]:
        """Yield the rows of `query` page by page, however many there are: at least one Result, perhaps empty.

        `bytes_scanned` and `dollars` in each are those of the whole query. Closing the iterator ends the query.
        """


def collect(pages: Iterator[Result], *, limit: int, is_asked_for: bool) -> Result:
    """Return the first `limit` rows of all pages as one Result; read no more pages than needed.

    If there are more rows, raise WindrowError, unless the user asked for the limit.
    """
    taken: list[Result] = []
    rows = 0
    for page in pages:
        taken.append(page)
        rows += len(page.frame)
        if rows > limit:
            break
    if rows > limit and not is_asked_for:
        raise too_many_rows()
    frames = [page.frame for page in taken if not page.frame.empty] or [taken[0].frame]
    frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    return replace(taken[-1], frame=frame.iloc[:limit], is_truncated=rows > limit)


def too_many_rows() -> WindrowError:
    """Return the error for a result of more than ROWS_MAX rows."""
    return WindrowError(f"the result has more than {ROWS_MAX} rows", hint="give --limit, or a shorter range")


def decimal_digits(sql_type: str) -> int | None:
    """Return the precision of a decimal type, None for other types."""
    match = _DECIMAL.fullmatch(sql_type)
    return int(match[1]) if match else None


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


def unique_names(names: Iterable[str]) -> list[str]:
    """Return `names` with repeated ones numbered."""
    unique: dict[str, None] = {}
    for name in names:
        candidate, number = name, 0
        while candidate in unique:
            number += 1
            candidate = f"{name}_{number}"
        unique[candidate] = None
    return list(unique)


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
