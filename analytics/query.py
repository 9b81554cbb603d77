"""Queries in Trino SQL with parameters. Their syntax is for analytics.select: parsing takes longer than asking."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from windrow.quoting import quoted_text

DIALECT = "trino"
_NAMED = re.compile(r":([a-z][a-z0-9_]*)")

Parameter = str | int


@dataclass(frozen=True, slots=True)
class Query:
    """Trino SQL with a value for each `?`, in order. Athena allows `?` only in WHERE clauses."""

    sql: str
    parameters: tuple[Parameter, ...] = ()

    @classmethod
    def bind(cls, sql: str, values: Mapping[str, Parameter]) -> Self:
        """Return the query for SQL with named parameters such as `:start`; values never become part of the text."""
        parameters: list[Parameter] = []

        def positional(match: re.Match[str]) -> str:
            parameters.append(values[match[1]])
            return "?"

        return cls(_NAMED.sub(positional, sql), tuple(parameters))

    def literals(self) -> list[str]:
        """Return the parameters as SQL literals, as Athena's ExecutionParameters must be."""
        return [literal(parameter) for parameter in self.parameters]


def literal(parameter: Parameter) -> str:
    """Return `parameter` as a literal of Trino SQL."""
    if isinstance(parameter, int):
        return str(parameter)
    return quoted_text(parameter)
