"""Pruning: which partitions and windows of a table a query can need, so that nothing else is fetched.

DuckDB itself evaluates the conditions that analytics.scans finds, on the values in the keys, so every expression means
the same as in the query.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from analytics.query import Parameter

# The columns whose values are in a key, the coarsest first.
KEY_COLUMNS: tuple[tuple[str, str], ...] = (("dt", "VARCHAR"), ("hour", "INTEGER"), ("window_start", "TIMESTAMP"))


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on every row of a scan: DuckDB SQL on the first `columns` KEY_COLUMNS, and its parameters."""

    sql: str
    columns: int
    parameters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scan:
    """One place in a query that reads `table`."""

    table: str
    conditions: tuple[Condition, ...]


def can_match(
    scan: Scan,
    candidates: Sequence[tuple[str | int, ...]],
    parameters: Mapping[str, Parameter],
    database: duckdb.DuckDBPyConnection,
) -> list[bool]:
    """Return for each candidate whether `scan` can have rows there; `database` is one whose time zone is UTC.

    A candidate has a value for each of the first KEY_COLUMNS, as many in each.
    """
    columns = len(candidates[0]) if candidates else 0
    conditions = [condition for condition in scan.conditions if condition.columns <= columns]
    if not conditions:
        return [True] * len(candidates)
    declared = ", ".join(f"{name} {sql_type}" for name, sql_type in KEY_COLUMNS[:columns])
    with database.cursor() as connection:
        connection.execute(f"CREATE TEMP TABLE candidates (place INTEGER, {declared})")
        connection.execute(
            f"INSERT INTO candidates SELECT {', '.join(['UNNEST(?)'] * (columns + 1))}",
            [list(range(len(candidates))), *(list(values) for values in zip(*candidates, strict=True))],
        )
        missed = {place for condition in conditions for place in _misses(connection, condition, parameters)}
    return [place not in missed for place in range(len(candidates))]


def _misses(
    connection: duckdb.DuckDBPyConnection, condition: Condition, parameters: Mapping[str, Parameter]
) -> list[int]:
    """Return the positions of candidates that do not meet `condition`; none if it cannot be evaluated on its own."""
    sql = f"SELECT place FROM candidates WHERE ({condition.sql}) IS NOT TRUE"  # noqa: S608 - the query's own text
    try:
        found = connection.execute(sql, {name: parameters[name] for name in condition.parameters}).fetchall()
    except duckdb.Error:
        return []
    return [place for (place,) in found]
