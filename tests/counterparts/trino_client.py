"""A client of Trino's REST protocol, as far as a test needs it.

https://trino.io/docs/current/develop/client-protocol.html: the statement is posted, and each answer names the next one
in `nextUri` until the query has ended.
"""

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from analytics.frames import frame_of_text
from analytics.query import Query
from windrow.quoting import quoted_text

QUERY_SECONDS_MAX = 120
REQUEST_SECONDS_MAX = 30


class TrinoError(Exception):
    """What Trino says about a query that failed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query; `columns` are (name, type)."""

    columns: list[tuple[str, str]]
    rows: list[list[Any]]

    def frame(self) -> Any:
        """Return the frame that Athena's rows, which are text, would make."""
        return frame_of_text(self.columns, [[_text(value) for value in row] for row in self.rows])


@dataclass(frozen=True, slots=True)
class TrinoClient:
    """Asks the server at `url` about one schema, in UTC as Athena does."""

    url: str
    schema: str
    catalog: str

    def run(self, query: Query) -> Answer:
        """Answer a query with its parameters as Athena would get them; TrinoError if it fails."""
        if not query.parameters:
            return self.sql(query.sql)
        return self.sql(f"EXECUTE IMMEDIATE {quoted_text(query.sql)} USING {', '.join(query.literals())}")

    def sql(self, sql: str) -> Answer:
        """Answer a statement; TrinoError if it fails or takes longer than QUERY_SECONDS_MAX."""
        columns: list[tuple[str, str]] = []
        rows: list[list[Any]] = []
        ends = time.monotonic() + QUERY_SECONDS_MAX
        answer = self._request(f"{self.url}/v1/statement", sql.encode())
        while True:
            if "error" in answer:
                raise TrinoError(f"{answer['error']['errorName']}: {answer['error']['message']}")
            columns = [(one["name"], one["type"]) for one in answer.get("columns", [])] or columns
            rows += answer.get("data", [])
            if "nextUri" not in answer:
                return Answer(columns, rows)
            if time.monotonic() > ends:
                raise TrinoError(f"no answer within {QUERY_SECONDS_MAX} s: {sql}")
            answer = self._request(answer["nextUri"], None)

    def _request(self, url: str, body: bytes | None) -> Any:
        headers = {
            "X-Trino-User": "windrow",
            "X-Trino-Catalog": self.catalog,
            "X-Trino-Schema": self.schema,
            "X-Trino-Time-Zone": "UTC",
        }
        request = urllib.request.Request(url, body, headers)  # noqa: S310 - our own server; a body makes it a POST
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS_MAX) as response:  # noqa: S310
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise TrinoError(f"{error}: {error.read().decode(errors='replace')}") from error


def _text(value: Any) -> str | None:
    """Return a value of Trino's JSON as Athena's text; arrays of text keep their quotes."""
    match value:
        case None:
            return None
        case str():
            return value
        case _:
            return json.dumps(value)
