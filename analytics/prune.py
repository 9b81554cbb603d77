"""Pruning: which partitions and windows of a table a query can need, so that nothing else is fetched.

Only safe conditions are used: those joined by AND in the WHERE clause of the SELECT that reads the table, without an
outer join, and on nothing but its partition columns and window_start. DuckDB itself evaluates them on the values in
the keys, so every expression means the same as in the query.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from analytics.query import Parameter

# The columns whose values are in a key, the coarsest first.
KEY_COLUMNS: tuple[tuple[str, str], ...] = (("dt", "VARCHAR"), ("hour", "INTEGER"), ("window_start", "TIMESTAMP"))
_NAMES = tuple(name for name, _ in KEY_COLUMNS)
# Evaluated on its own, such an expression may have another value than in the query.
_DEPENDENT = (exp.Query, exp.AggFunc, exp.Window, exp.Rand, exp.Uuid)


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


def scans(resolved: exp.Query) -> list[Scan]:
    """Return every scan of a table in a resolved query."""
    return [
        Scan(source.name, _conditions(scope, alias) if _unmatched_rows_fall_away(scope) else ())
        for scope in traverse_scope(resolved)
        for alias, (_, source) in scope.selected_sources.items()
        if isinstance(source, exp.Table)
    ]


def can_match(
    scan: Scan, candidates: Sequence[tuple[str | int, ...]], parameters: Mapping[str, Parameter]
) -> list[bool]:
    """Return for each candidate whether `scan` can have rows there.

    A candidate has a value for each of the first KEY_COLUMNS, as many in each.
    """
    columns = len(candidates[0]) if candidates else 0
    conditions = [condition for condition in scan.conditions if condition.columns <= columns]
    if not conditions:
        return [True] * len(candidates)
    declared = ", ".join(f"{name} {sql_type}" for name, sql_type in KEY_COLUMNS[:columns])
    with _database().cursor() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TEMP TABLE candidates (place INTEGER, {declared})")
        connection.execute(
            f"INSERT INTO candidates SELECT {', '.join(['UNNEST(?)'] * (columns + 1))}",
            [list(range(len(candidates))), *(list(values) for values in zip(*candidates, strict=True))],
        )
        missed = {place for condition in conditions for place in _misses(connection, condition, parameters)}
    return [place not in missed for place in range(len(candidates))]


@functools.cache
def _database() -> duckdb.DuckDBPyConnection:
    """Return an empty database; made once, because that takes longer than a check. Each check has its own cursor."""
    return duckdb.connect(":memory:", config={"enable_external_access": False, "threads": 1})


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


def _unmatched_rows_fall_away(scope: Scope) -> bool:
    """Return whether rows that fail WHERE can be left out; with an outer join, leaving them out adds others."""
    joins = scope.expression.args.get("joins") or []
    return not any(join.side or join.kind in {"SEMI", "ANTI"} for join in joins)


def _conditions(scope: Scope, alias: str) -> tuple[Condition, ...]:
    where = scope.expression.args.get("where")
    if where is None:
        return ()
    parts = where.this.flatten() if isinstance(where.this, exp.And) else [where.this]
    return tuple(condition for part in parts if (condition := _condition(part, alias)) is not None)


def _condition(part: exp.Expr, alias: str) -> Condition | None:
    """Return `part` of a WHERE clause as a condition; None if it needs more than key columns of `alias`."""
    columns = list(part.find_all(exp.Column))
    foreign = any(column.table != alias or column.name not in _NAMES for column in columns)
    if not columns or foreign or part.find(*_DEPENDENT) is not None:
        return None
    unqualified = part.copy()
    for column in unqualified.find_all(exp.Column):
        column.set("table", None)
    return Condition(
        unqualified.sql("duckdb"),
        max(_NAMES.index(column.name) + 1 for column in columns),
        tuple(sorted({placeholder.name for placeholder in part.find_all(exp.Placeholder)})),
    )
