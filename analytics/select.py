"""The check that SQL is a single SELECT, and its syntax tree."""

import re

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.errors import ParseError, TokenError

from analytics.query import DIALECT, Query
from windrow.errors import UsageError

SQL_CHARACTERS_MAX = 262_144  # Athena's limit on a query string
# The tokens that a SELECT can begin with.
_BEGINNINGS = frozenset({TokenType.SELECT, TokenType.WITH, TokenType.L_PAREN})
# sqlglot's tokenizer reports an open quote as "Missing ' from 2:26": the line, and the offset in the text.
_UNFINISHED = re.compile(r"from \d+:(\d+)$")
_NOT_A_SELECT_HINT = "only a single SELECT (or WITH ... SELECT) can be run"


def parse_select(query: Query) -> exp.Query:
    """Return the syntax tree of `query`; UsageError unless it is exactly one SELECT, with the position of the error.

    In the tree, placeholders are named p0, p1, ... in the order of the text.
    """
    if len(query.sql) > SQL_CHARACTERS_MAX:
        raise UsageError(f"the SQL has {len(query.sql)} characters, more than {SQL_CHARACTERS_MAX}", hint="shorten it")
    statements = [statement for statement in _parse(query) if statement is not None]
    if len(statements) > 1:
        raise UsageError(f"not a SELECT: {len(statements)} statements", hint=_NOT_A_SELECT_HINT)
    statement = statements[0]
    if not isinstance(statement, exp.Query) or statement.find(exp.Into, exp.DML, exp.DDL) is not None:
        raise UsageError(f"not a SELECT: {statement.key.upper()}", hint=_NOT_A_SELECT_HINT)
    return statement


def _parse(query: Query) -> list[exp.Expr | None]:
    tokens = _tokens(query.sql)
    if tokens[0].token_type not in _BEGINNINGS:
        raise UsageError(f"not a SELECT: it begins with {tokens[0].text!r}", hint=_NOT_A_SELECT_HINT)
    marks = [token for token in tokens if token.token_type is TokenType.PLACEHOLDER]
    if len(marks) != len(query.parameters):
        raise UsageError(
            f"the SQL has {len(marks)} parameters ('?') and {len(query.parameters)} values for them",
            hint="write the values into the SQL",
        )
    try:
        return list(sqlglot.parse(_name_placeholders(query.sql, marks), read=DIALECT))
    except ParseError as error:
        raise UsageError(f"SQL syntax error{_place(error)}", hint="correct the SQL") from error
    except RecursionError as error:
        raise UsageError("the SQL is nested too deep", hint="simplify it") from error


def _tokens(sql: str) -> list[sqlglot.Token]:
    try:
        tokens = sqlglot.tokenize(sql, read=DIALECT)
    except TokenError as error:
        began = _UNFINISHED.search(str(error.__cause__))
        place = f" {_line_and_column(sql, int(began[1]))}" if began else ""
        raise UsageError(f"SQL syntax error: a quote or comment{place} has no end", hint="close it") from error
    if all(token.token_type is TokenType.SEMICOLON for token in tokens):
        raise UsageError("not a SELECT: the SQL is empty", hint=_NOT_A_SELECT_HINT)
    return tokens


def _name_placeholders(sql: str, marks: list[sqlglot.Token]) -> str:
    """Return `sql` with `?` replaced by `:p0`, `:p1`, ..., because the tree alone does not keep their order."""
    pieces, after = [], 0
    for number, mark in enumerate(marks):
        pieces += [sql[after : mark.start], f":p{number}"]
        after = mark.end + 1
    return "".join(pieces) + sql[after:]


def _line_and_column(sql: str, offset: int) -> str:
    return f"at line {sql.count(chr(10), 0, offset) + 1}, column {offset - sql.rfind(chr(10), 0, offset)}"


def _place(error: ParseError) -> str:
    """Return line and column (both from 1) and the word where the parser failed."""
    if not error.errors:
        return f": {' '.join(str(error).split())}"
    first = error.errors[0]
    word = first["highlight"] or ""
    return f" at line {first['line']}, column {(first['col'] or 1) - len(word) + 1}, near {word!r}"
