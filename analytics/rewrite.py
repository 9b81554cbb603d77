"""Rewrites of SQL that means one thing in Trino and another in DuckDB, so that DuckDB answers as Trino does.

What sqlglot translates correctly is not here. What cannot be rewritten is refused, because a wrong answer is worse than
none. The differences that remain are in the table "What differs" in docs/query.md.
"""

import re
from collections.abc import Callable

from sqlglot import exp

from windrow.errors import UsageError

_INTEGERS = exp.DataType.INTEGER_TYPES
_TIME_FIELDS = (
    *(exp.Second, exp.Minute, exp.Hour, exp.Day, exp.DayOfWeekIso, exp.DayOfYear, exp.WeekOfYear),
    *(exp.Month, exp.Quarter, exp.Year, exp.YearOfWeek),
)
_BINARY_FRACTIONS = (exp.DataType.Type.DOUBLE, exp.DataType.Type.FLOAT)
_TIMESTAMPS = (exp.DataType.Type.TIMESTAMP,)
_GROUP_REFERENCE = re.compile(r"\$(\d)")
_FRACTION = re.compile(r"\.(\d+)$")


def rewrite_for_duckdb(tree: exp.Query) -> exp.Query:
    """Return a copy of a resolved query (see translate.resolve) that means in DuckDB what `tree` means in Trino."""
    tree = tree.copy()
    for node in reversed(list(tree.dfs())):  # children before their parents
        rewrite = _REWRITES.get(type(node))
        rewritten = node if rewrite is None else rewrite(node)
        if rewritten is not node:
            rewritten.type = node.type
            node.replace(rewritten)
    return tree


def refuse(what: str) -> UsageError:
    """Return the error for SQL that only Athena can run."""
    return UsageError(f"the local engine cannot run this: {what}", hint="write it differently, or run it on AWS")


def _call(name: str, *arguments: exp.Expr | str) -> exp.Anonymous:
    """Return a call of a DuckDB function."""
    parsed = [exp.Literal.string(one) if isinstance(one, str) else one.copy() for one in arguments]
    return exp.Anonymous(this=name, expressions=parsed)


def _divide(node: exp.Expr) -> exp.Expr:
    """Truncate a quotient of integers, as DuckDB's `//` does; by way of a double it would not be exact."""
    if _is_integer(node.this) and _is_integer(node.expression):
        return exp.IntDiv(this=exp.paren(node.this), expression=exp.paren(node.expression))
    return _call("trino_divide", node.this, node.expression)


def _is_integer(node: exp.Expr) -> bool:
    """Whether an expression is known to be an integer; fields of a time are, though sqlglot does not say so."""
    inner = node.unnest()
    return node.is_type(*_INTEGERS) or inner.is_type(*_INTEGERS) or isinstance(inner, _TIME_FIELDS)


def _unnest(node: exp.Expr) -> exp.Expr:
    """Unnest several arrays in step: UNNEST(a, b) in Trino, two UNNESTs in one SELECT in DuckDB."""
    if len(node.expressions) < 2 or node.args.get("offset"):
        return node
    columns = [exp.alias_(exp.Explode(this=array), f"c{place}") for place, array in enumerate(node.expressions)]
    return exp.select(*columns).subquery(node.args["alias"])


def _date_diff(node: exp.Expr) -> exp.Expr:
    """Count whole units that have passed, as Trino does; DuckDB's DATE_DIFF counts boundaries crossed."""
    return _call("DATE_SUB", node.args["unit"].name.lower(), node.expression, node.this)


def _date_add(node: exp.Expr) -> exp.Expr:
    """Keep a date a date; DuckDB makes it a timestamp."""
    if not node.this.is_type(exp.DataType.Type.DATE) or isinstance(node.parent, exp.Cast):
        return node
    return exp.cast(node.copy(), "DATE")


def _cast(node: exp.Expr) -> exp.Expr:
    target: exp.DataType = node.args["to"]
    if target.is_type(*_INTEGERS) and node.this.is_type(*_BINARY_FRACTIONS):
        # Round half away from zero; DuckDB rounds half to even.
        return exp.cast(_call("ROUND", node.this), target)
    if target.is_type(*exp.DataType.TEXT_TYPES) and node.this.is_type(*_TIMESTAMPS):
        return _timestamp_text(node.this)
    return node


def _timestamp_text(instant: exp.Expr) -> exp.Expr:
    """Write a timestamp as text, with as many digits after the second as its type has: three for a column."""
    literal = instant.this if isinstance(instant, exp.Cast) and isinstance(instant.this, exp.Literal) else None
    if literal is None:
        return _call("strftime", instant, "%Y-%m-%d %H:%M:%S.%g")
    fraction = _FRACTION.search(literal.name)
    digits = len(fraction[1]) if fraction else 0
    if digits not in {0, 3}:
        raise refuse("a timestamp literal with other than 0 or 3 digits after the second, as text")
    return _call("strftime", instant, "%Y-%m-%d %H:%M:%S" + (".%g" if digits else ""))


def _regexp_extract(node: exp.Expr) -> exp.Expr:
    """Return NULL if nothing matches, not an empty string."""
    matches = _call("regexp_matches", node.this, node.expression)
    group = node.args.get("group") or exp.Literal.number(0)
    return exp.Case().when(matches, _call("regexp_extract", node.this, node.expression, group))


def _regexp_replace(node: exp.Expr) -> exp.Expr:
    """Replace every match; Trino writes a group as $1, DuckDB as \\1."""
    replacement = node.args.get("replacement") or exp.Literal.string("")
    if not isinstance(replacement, exp.Literal):
        raise refuse("regexp_replace with a replacement that is not a literal")
    text = _GROUP_REFERENCE.sub(r"\\\1", replacement.name)
    return _call("regexp_replace", node.this, node.expression, text, "g")


def _split_part(node: exp.Expr) -> exp.Expr:
    """Return NULL if there are fewer parts, not an empty string."""
    return _call("list_extract", _call("str_split", node.this, node.args["delimiter"]), node.args["part_index"])


def _extract(node: exp.Expr) -> exp.Expr:
    """Count Sunday as day 7 of the week, not 0."""
    if node.this.name.upper() in {"DOW", "DAY_OF_WEEK", "DAYOFWEEK"}:
        return _call("isodow", node.expression)
    return node


def _approx_percentile(node: exp.Expr) -> exp.Expr:
    """Compute it exactly, which is within Trino's tolerance; as in Trino, the type is that of the argument."""
    if node.args.get("weight") or node.args.get("error_tolerance"):
        raise refuse("approx_percentile with weights or an accuracy")
    return _call("quantile_disc", node.this, node.args["quantile"])


def _approx_distinct(node: exp.Expr) -> exp.Expr:
    """Count exactly, which is within Trino's tolerance."""
    return exp.Count(this=exp.Distinct(expressions=[node.this.copy()]))


def _at_time_zone(node: exp.Expr) -> exp.Expr:
    """Convert to local time, for use inside a function only; as a value it would be taken for UTC."""
    if not isinstance(node.parent, exp.Func):
        raise refuse("AT TIME ZONE outside a function: write CAST(... AT TIME ZONE 'Europe/Berlin' AS TIMESTAMP)")
    instant = exp.cast(node.this.copy(), "TIMESTAMPTZ")  # a timestamp without a zone is in UTC, the session's zone
    return exp.paren(exp.AtTimeZone(this=instant, zone=node.args["zone"].copy()))


def _refuse_function(node: exp.Expr) -> exp.Expr:
    raise refuse(f"{node.key}() means something else in DuckDB")


_REWRITES: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.Div: _divide,
    exp.Unnest: _unnest,
    exp.DateDiff: _date_diff,
    exp.DateAdd: _date_add,
    exp.Cast: _cast,
    exp.RegexpExtract: _regexp_extract,
    exp.RegexpReplace: _regexp_replace,
    exp.SplitPart: _split_part,
    exp.Extract: _extract,
    exp.ApproxQuantile: _approx_percentile,
    exp.ApproxDistinct: _approx_distinct,
    exp.AtTimeZone: _at_time_zone,
    exp.Format: _refuse_function,
    exp.Typeof: _refuse_function,
}
