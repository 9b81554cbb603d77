"""The scans of a query: which tables it reads, and under which conditions on their keys.

Only safe conditions are used: those joined by AND in the WHERE clause of the SELECT that reads the table, without an
outer join, and on nothing but its partition columns and window_start.
"""

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from analytics.prune import KEY_COLUMNS, Condition, Scan

_NAMES = tuple(name for name, _ in KEY_COLUMNS)
# Evaluated on its own, such an expression may have another value than in the query.
_DEPENDENT = (exp.Query, exp.AggFunc, exp.Window, exp.Rand, exp.Uuid)


def scans(resolved: exp.Query) -> list[Scan]:
    """Return every scan of a table in a resolved query."""
    return [
        Scan(source.name, _conditions(scope, alias) if _unmatched_rows_fall_away(scope) else ())
        for scope in traverse_scope(resolved)
        for alias, (_, source) in scope.selected_sources.items()
        if isinstance(source, exp.Table)
    ]


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
