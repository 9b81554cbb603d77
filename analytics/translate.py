"""Translation of Trino SQL over windrow's tables into DuckDB's SQL.

Types are inferred from the tables' columns first, because the meaning of an operator depends on them: in Trino
`readings / 7` is an integer. Unnamed columns of the result are called `_col0`, `_col1`, ..., as in Athena.
"""

import re

from sqlglot import exp
from sqlglot.errors import ErrorLevel, OptimizeError, UnsupportedError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.merge_subqueries import merge_subqueries
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

from analytics.pushdown import push_down
from analytics.query import DIALECT
from analytics.rewrite import refuse, rewrite_for_duckdb
from analytics.tables import TABLES
from analytics.views import expand_views
from windrow.errors import UsageError
from windrow.likely import did_you_mean, likely

_SCHEMA: dict[str, object] = {table.name: dict(table.columns) for table in TABLES.values()}
# sqlglot's message; its column is that of the name's last character.
_UNKNOWN_COLUMN = re.compile(r"Column '(.+)' could not be resolved\. Line: (\d+), Col: (\d+)")


def resolve(select: exp.Query) -> exp.Query:
    """Return a copy of `select` in which every column names its table and every expression has its type.

    Database and catalog of a table are dropped. Views are replaced by their SELECTs and merged with the query, so that
    its conditions apply to the tables. UsageError if a table is unknown.
    """
    select, has_views = expand_views(select)
    for scope in traverse_scope(select):
        for source in scope.sources.values():
            if isinstance(source, exp.Table):
                _resolve_table(source)
    _name_columns(select)
    try:
        # sqlglot does not know every name that a query can define, so unknown names are left for DuckDB to report.
        qualified = qualify(select, schema=_SCHEMA, dialect=DIALECT, validate_qualify_columns=False)
        if has_views:
            qualified = merge_subqueries(qualified)
        push_down(qualified)
        return annotate_types(qualified, schema=_SCHEMA, dialect=DIALECT)
    except OptimizeError as error:
        raise _usage_error(error, select) from error


def explain(select: exp.Query) -> UsageError | None:
    """Return the error, with its position, for an unknown name in a query that DuckDB refused; None if unclear."""
    try:
        qualify(resolve(select), schema=_SCHEMA, dialect=DIALECT)
    except OptimizeError as error:
        return _usage_error(error, select)
    return None


def to_duckdb(resolved: exp.Query) -> str:
    """Return DuckDB's SQL for a resolved query; UsageError if something has no counterpart there."""
    try:
        return rewrite_for_duckdb(resolved).sql("duckdb", unsupported_level=ErrorLevel.RAISE)
    except UnsupportedError as error:
        raise refuse(" ".join(str(error).split())) from error


def _usage_error(error: OptimizeError, select: exp.Query) -> UsageError:
    hint = "correct the SQL"
    message = " ".join(str(error).split())
    unknown = _UNKNOWN_COLUMN.match(message)
    if unknown is not None:
        name, line, column_of_end = unknown[1], unknown[2], int(unknown[3])
        message = f"cannot resolve column {name!r} (line {line}, column {column_of_end - len(name) + 1})"
        hint = _likely_columns(name, select) or hint
    return UsageError(f"SQL: {message}", hint=hint)


def _likely_columns(name: str, select: exp.Query) -> str:
    """Return the question whether a column of the tables in `select` was meant; empty if none is like `name`."""
    tables = {table.name.lower() for table in select.find_all(exp.Table)} & TABLES.keys()
    return did_you_mean(likely(name, {column for table in tables for column, _ in TABLES[table].columns}))


def _resolve_table(table: exp.Table) -> None:
    name = table.name.lower()
    if name not in TABLES or not isinstance(table.this, exp.Identifier):
        meant = did_you_mean(likely(name, TABLES))
        hint = f"{meant} {'t' if not meant else 'T'}he tables are {', '.join(TABLES)}".strip()
        raise UsageError(f"no table {table.sql(DIALECT)!r}", hint=hint)
    table.set("this", exp.to_identifier(name))
    table.set("db", None)
    table.set("catalog", None)


def _name_columns(select: exp.Query) -> None:
    """Name the unnamed columns of the result by their position, as Athena does."""
    outermost: exp.Expr = select
    while isinstance(outermost, exp.SetOperation | exp.Subquery):
        outermost = outermost.this  # the first SELECT names the columns of a UNION
    if not isinstance(outermost, exp.Select):
        return
    for place, column in enumerate(outermost.expressions):
        if not isinstance(column, exp.Column | exp.Alias | exp.Star | exp.Dot):
            column.replace(exp.alias_(column.copy(), f"_col{place}"))
