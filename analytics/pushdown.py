"""Conditions on the columns by which a subquery groups, copied into it: so they reach the objects that it reads.

    SELECT * FROM (SELECT dt, SUM(readings) FROM aggregates GROUP BY dt) WHERE dt = '2026-11-20'

Whole groups fall away or stay, so it is the same before and after grouping.
"""

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

# What may see rows of other groups, or has another value when it is evaluated twice.
_BARRIERS = (exp.Window, exp.Limit, exp.Offset)
_DEPENDENT = (exp.Query, exp.AggFunc, exp.Window, exp.Rand, exp.Uuid)


def push_down(qualified: exp.Query) -> None:
    """Copy what is joined by AND in a WHERE clause into grouped subqueries that it alone is about, in place.

    Left alone are queries named by WITH, which others may read too, and outer joins.
    """
    for scope in reversed(traverse_scope(qualified)):
        where = scope.expression.args.get("where")
        joins = scope.expression.args.get("joins") or []
        if where is None or any(join.side or join.kind in {"SEMI", "ANTI"} for join in joins):
            continue
        parts = list(where.this.flatten()) if isinstance(where.this, exp.And) else [where.this]
        for alias, (_, source) in scope.selected_sources.items():
            keys = _keys_of(source) if isinstance(source, Scope) else {}
            for part in parts:
                inner = _inside(part, alias, keys)
                if inner is not None and isinstance(source, Scope) and isinstance(source.expression, exp.Select):
                    source.expression.where(inner, copy=False)


def _keys_of(source: Scope) -> dict[str, exp.Expr]:
    """Return the columns by which a subquery groups, by the names that it gives them; none if it does more."""
    select = source.expression
    group = select.args.get("group")
    if not isinstance(select, exp.Select) or not isinstance(select.parent, exp.Subquery) or group is None:
        return {}
    has_sets = any(value for name, value in group.args.items() if name != "expressions")
    if has_sets or select.find(*_BARRIERS) is not None:
        return {}
    named = {one.alias_or_name: one.unalias() for one in select.selects}
    return {name: one for name, one in named.items() if isinstance(one, exp.Column) and one in group.expressions}


def _inside(part: exp.Expr, alias: str, keys: dict[str, exp.Expr]) -> exp.Expr | None:
    """Return a condition as it reads inside the subquery `alias`; None if it is about anything but its keys."""
    columns = list(part.find_all(exp.Column))
    if not columns or any(one.table != alias or one.name not in keys for one in columns):
        return None
    if part.find(*_DEPENDENT) is not None:
        return None
    return part.copy().transform(lambda node: keys[node.name].copy() if isinstance(node, exp.Column) else node)
