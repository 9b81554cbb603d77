"""What DuckDB answers, with Trino's types: as plain values, or as frames with the same dtypes as Athena's."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb

from analytics.plain import Instant, PlainRows, unique_names
from analytics.types import DECIMAL_DIGITS_OF_DOUBLE, decimal_digits, trino_type_of_duckdb

if TYPE_CHECKING:
    import pandas as pd

PAGE_ROWS = 65_536
"""Rows per page: a multiple of the size of DuckDB's vectors, which it returns whole."""

_WIDE_INTEGERS = frozenset({"UBIGINT", "HUGEINT", "UHUGEINT"})
_AS_THEY_ARE = frozenset(
    {"boolean", "tinyint", "smallint", "integer", "bigint", "varchar", "integer[]", "bigint[]", "varchar[]"}
)
_MICROSECONDS_PER_MS = 1_000


@dataclass(frozen=True, slots=True)
class _Described:
    """A query's columns: their names, and their types as DuckDB calls them."""

    names: Sequence[str]
    types: Sequence[str]

    @classmethod
    def of(cls, connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, object]) -> "_Described":
        described = connection.sql(sql, params=dict(parameters) or None)
        return cls(described.columns, [str(kind) for kind in described.types])


def frames_of_sql(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, object]
) -> "Iterator[pd.DataFrame]":
    """Yield the rows of `sql` with the dtypes of analytics.frames, in frames of up to PAGE_ROWS; at least one frame.

    duckdb.Error if a sum does not fit into 64 bits.
    """
    from analytics.duckdb_frames import typed_frame  # noqa: PLC0415 - pandas takes longer to load than most questions

    described = _Described.of(connection, sql, parameters)
    _run(connection, sql, parameters, map(_exactly, itertools.count(1), described.types))
    for number in itertools.count():
        fetched = connection.fetch_df_chunk(PAGE_ROWS // duckdb.__standard_vector_size__)
        if fetched.empty and number > 0:
            return
        yield typed_frame(fetched, described.names, [trino_type_of_duckdb(kind) for kind in described.types])


def plain_rows_of_sql(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, object]
) -> Iterator[PlainRows]:
    """Yield the rows of `sql` as plain values, in pages of up to PAGE_ROWS; at least one page.

    The values are those of `frames_of_sql`. duckdb.Error if a sum does not fit into 64 bits.
    """
    described = _Described.of(connection, sql, parameters)
    readers = [_reader(trino_type_of_duckdb(kind)) for kind in described.types]
    if None in readers:  # a type that no column of a table has
        from analytics.frames import plain_rows  # noqa: PLC0415 - see above

        yield from map(plain_rows, frames_of_sql(connection, sql, parameters))
        return
    _run(connection, sql, parameters, map(_plainly, itertools.count(1), described.types))
    names = unique_names(described.names)
    for number in itertools.count():
        rows = connection.fetchmany(PAGE_ROWS)
        if not rows and number > 0:
            return
        columns = list(zip(*rows, strict=True)) or [()] * len(names)
        yield PlainRows(
            names,
            [
                [None if value is None else read(value) for value in column] if read is not _same else list(column)
                for column, read in zip(columns, readers, strict=True)
                if read is not None
            ],
        )


def _run(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, object], columns: Iterator[str]
) -> None:
    """Run `sql` with each of its columns as an expression over it."""
    taken = ", ".join(f"{column} AS c{place}" for place, column in enumerate(columns, start=1))
    connection.execute(f"SELECT {taken} FROM ({sql}\n) AS asked", dict(parameters) or None)  # noqa: S608 - gated SQL


def _exactly(place: int, kind: str) -> str:
    """Return SQL for column `place` in a form that pandas receives without loss."""
    if kind in _WIDE_INTEGERS:
        return f"CAST(#{place} AS BIGINT)"
    if (decimal_digits(kind.lower()) or 0) > DECIMAL_DIGITS_OF_DOUBLE or kind in {"TIME", "UUID", "JSON"}:
        return f"CAST(#{place} AS VARCHAR)"
    return f"#{place}"


def _plainly(place: int, kind: str) -> str:
    """Return SQL for column `place` in a form that its reader takes."""
    if trino_type_of_duckdb(kind).startswith("timestamp"):
        return f"epoch_us(#{place})"
    return _exactly(place, kind)


def _reader(trino_type: str) -> Callable[[Any], Any] | None:
    """Return what makes a plain value of one that DuckDB hands out and that is not NULL; None for a rare type."""
    if trino_type in _AS_THEY_ARE:
        return _same
    digits = decimal_digits(trino_type)
    if digits is not None:
        return float if digits <= DECIMAL_DIGITS_OF_DOUBLE else Decimal
    if trino_type.startswith("timestamp"):
        return _instant
    others: dict[str, Callable[[Any], Any]] = {"real": _number, "double": _number, "date": str}
    return others.get(trino_type)


def _same(value: Any) -> Any:
    return value


def _instant(microseconds: int) -> Instant:
    return Instant(microseconds // _MICROSECONDS_PER_MS)


def _number(value: float) -> float | None:
    """Return None for NaN, as pandas does, which has no other missing number."""
    return None if value != value else value  # noqa: PLR0124 - only NaN differs from itself
