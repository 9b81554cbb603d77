"""Views in a query, replaced by what they stand for: the local engine has tables only."""

from sqlglot import exp, parse_one

from analytics.derived import VIEWS, view_sql
from analytics.query import DIALECT


def expand_views(select: exp.Query) -> tuple[exp.Query, bool]:
    """Return a copy of `select` with views replaced by their SELECTs, and whether there were any."""
    select = select.copy()
    found = [table for table in select.find_all(exp.Table) if table.name.lower() in VIEWS and not _is_local(table)]
    for table in found:
        body = parse_one(view_sql(table.name.lower()), dialect=DIALECT)
        assert isinstance(body, exp.Select)  # noqa: S101 - our own SQL
        table.replace(body.subquery(table.alias_or_name))
    return select, bool(found)


def _is_local(table: exp.Table) -> bool:
    """Return whether the query itself defines this name, in a WITH clause."""
    select: exp.Expr | None = table
    while select is not None:
        with_ = select.args.get("with_") or select.args.get("with")
        if with_ is not None and table.name.lower() in {cte.alias.lower() for cte in with_.expressions}:
            return True
        select = select.parent
    return False
