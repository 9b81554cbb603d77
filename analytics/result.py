"""What an engine answers: a pandas frame whose dtypes follow the SQL types, the same from either engine.

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
"""More rows than this are for a table of their own, not for the memory of one client."""

DECIMAL_DIGITS_OF_DOUBLE = 15  # DBL_DIG: so many decimal digits survive the way through a double
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
    """The rows of one query and what they took; `is_truncated` when there were more rows than asked for.

    `dollars` is what the service charges for the query, about; 0 for an engine that nobody is paid for.
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
    """Something that answers a query."""

    @property
    def name(self) -> str:
        """The engine, for people."""

    def run(
        self,
        query: Query,
        *,
        rows_max: int | None = None,
        on_progress: Callable[[QueryProgress], None] = lambda _: None,
    ) -> Result:
        """Answer `query`: its first `rows_max` rows, or all of them.

        WindrowError when it cannot be run, or when all of them are more than ROWS_MAX.
        """

    def pages(
        self, query: Query, *, on_progress: Callable[[QueryProgress], None] = lambda _: None
    ) -> Generator[Result, None, None]:
        """Answer `query` piece by piece, however many rows it has: one Result or more, the first perhaps empty.

        `bytes_scanned` and `dollars` are the query's in each. Closing the iterator ends the query.
        """


def collect(pages: Iterator[Result], *, limit: int, is_asked_for: bool) -> Result:
    """The first `limit` rows of all pages as one Result; no page beyond them is read.

    More rows are an error, unless the limit is what was asked for.
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
    """The error for a result of more than ROWS_MAX rows."""
    return WindrowError(f"the result has more than {ROWS_MAX} rows", hint="give --limit, or a shorter range")


def decimal_digits(sql_type: str) -> int | None:
    """The precision of a decimal type, None for another type."""
    match = _DECIMAL.fullmatch(sql_type)
    return int(match[1]) if match else None


def dtype_of(sql_type: str) -> str:
    """The pandas dtype for a Trino type in lower case, such as `decimal(10,3)`."""
    digits = decimal_digits(sql_type)
    if digits is not None:
        return "float64" if digits <= DECIMAL_DIGITS_OF_DOUBLE else "object"
    return _DTYPES.get(_LENGTH.sub("", sql_type), "object")


def with_dtype(column: "pd.Series[Any]", dtype: str) -> "pd.Series[Any]":
    """`column` with the dtype that is named."""
    return column.astype(pd.api.types.pandas_dtype(dtype))


def epoch_ms(column: "pd.Series[Any]") -> list[int | None]:
    """The instants of a timestamp column in ms since the epoch, None for NULL."""
    instants = column.dt.tz_convert(None).to_numpy().astype("datetime64[ms]").astype("int64").tolist()
    return [None if missing else ms for ms, missing in zip(instants, column.isna(), strict=True)]


def frame_of_text(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[str | None]]) -> pd.DataFrame:
    """The frame of `rows` whose values are text, as Athena returns them; `columns` are (name, Trino type)."""
    by_column = list(zip(*rows, strict=True)) or [()] * len(columns)
    series = [_series_of_text(values, sql_type) for values, (_, sql_type) in zip(by_column, columns, strict=True)]
    return frame_of([name for name, _ in columns], series)


def frame_of(names: Sequence[str], series: Sequence["pd.Series[Any]"]) -> pd.DataFrame:
    """The frame of columns; a name that repeats gets the number of its repetition (`x`, `x_1`)."""
    frame = pd.concat(series, axis=1) if series else pd.DataFrame()
    frame.columns = pd.Index(unique_names(names))
    return frame


def unique_names(names: Iterable[str]) -> list[str]:
    """`names` with repetitions numbered."""
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
    """Athena writes arrays as [1, 2]; arrays of text carry no quotes and so stay text."""
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
