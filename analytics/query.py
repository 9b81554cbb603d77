"""A question in Trino SQL with its parameters, and the gate that lets only a single SELECT pass."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.errors import ParseError, TokenError

from windrow.quoting import quoted_text
from windrow.errors import UsageError

DIALECT = "trino"
SQL_CHARACTERS_MAX = 262_144  # Athena's limit on a query string
# What a query may begin with; everything else is another kind of statement, or none.
_BEGINNINGS = frozenset({TokenType.SELECT, TokenType.WITH, TokenType.L_PAREN})
_NAMED = re.compile(r":([a-z_]+)")
# How sqlglot's tokenizer says where it was when the text ended: "Missing ' from 2:26", line and offset in the text.
_UNFINISHED = re.compile(r"from \d+:(\d+)$")
_NOT_A_SELECT_HINT = "only a single SELECT (or WITH ... SELECT) can be run"

Parameter = str | int


@dataclass(frozen=True, slots=True)
class Query:
    """Trino SQL with `?` in its WHERE clauses, where Athena allows them, and a value for each, in order."""

    sql: str
    parameters: tuple[Parameter, ...] = ()

    @classmethod
    def bind(cls, sql: str, values: Mapping[str, Parameter]) -> Self:
        """The query for SQL of our own that names its parameters (`:start`); values never enter the text."""
        parameters: list[Parameter] = []

        def positional(match: re.Match[str]) -> str:
            parameters.append(values[match[1]])
            return "?"

        return cls(_NAMED.sub(positional, sql), tuple(parameters))

    def literals(self) -> list[str]:
        """The parameters as SQL literals, which is what Athena's ExecutionParameters are."""
        return [literal(parameter) for parameter in self.parameters]


def literal(parameter: Parameter) -> str:
    """`parameter` as a literal of Trino SQL: strings quoted, with quotes doubled."""
    if isinstance(parameter, int):
        return str(parameter)
    return quoted_text(parameter)


def parse_select(query: Query) -> exp.Query:
    """The syntax tree of `query`; UsageError unless it is exactly one SELECT, pointing at the place that is wrong.

    Placeholders come out named p0, p1, ... in the order of the text.
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
        raise UsageError("the SQL is nested too deep", hint="write it flatter") from error


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
    """`sql` with its `?` replaced by `:p0`, `:p1`, ...: the tree alone does not tell their order."""
    pieces, after = [], 0
    for number, mark in enumerate(marks):
        pieces += [sql[after : mark.start], f":p{number}"]
        after = mark.end + 1
    return "".join(pieces) + sql[after:]


def _line_and_column(sql: str, offset: int) -> str:
    return f"at line {sql.count(chr(10), 0, offset) + 1}, column {offset - sql.rfind(chr(10), 0, offset)}"


def _place(error: ParseError) -> str:
    """Line, column (both from 1) and word where the parser gave up."""
    if not error.errors:
        return f": {' '.join(str(error).split())}"
    first = error.errors[0]
    word = first["highlight"] or ""
    return f" at line {first['line']}, column {(first['col'] or 1) - len(word) + 1}, near {word!r}"
