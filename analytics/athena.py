"""Athena as an engine: a query in the stage's workgroup, from its start to its typed rows.

The workgroup decides where results go and how much a query may scan. Every wait is bounded; Ctrl-C cancels the query.
"""

import math
import re
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from analytics.frames import frame_of_text, plain_rows
from analytics.query import Query
from analytics.result import ROWS_MAX, PlainResult, QueryProgress, Result, collect
from analytics.select import parse_select
from windrow.aws.clients import Place, client, readable_errors
from windrow.errors import WindrowError

QUERY_SECONDS_MAX = 30 * 60  # Athena's default limit on the run time of a query
POLL_SECONDS_MIN = 0.25
POLL_SECONDS_MAX = 5.0
PAGE_ROWS_MAX = 1_000  # limit of GetQueryResults
# "Pricing per query": Athena charges for the megabytes a query scans, at least ten. Most regions have this price.
DOLLARS_PER_TERABYTE = 5.0
CHARGED_MEGABYTES_MIN = 10
# A roll may overwrite an object while Athena reads it; a retry reads the new one. Athena reports it in many ways.
_OVERWRITTEN = re.compile(
    r"^HIVE_\w+:.*(PreconditionFailed|pre-conditions|NoSuchKey|key does not exist|Status Code: (404|412)|"
    r"not (a )?(valid )?Parquet)",
    re.IGNORECASE,
)
_EXPIRED = re.compile(
    r"could not find results|NoSuchKey|key does not exist|results? (file|object).*not found", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Clock:
    """The engine's clock: monotonic seconds, and a way to sleep."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class AthenaEngine:
    """Answers queries in one workgroup and database."""

    name = "Athena"

    def __init__(self, *, place: Place, workgroup: str, database: str, clock: Clock | None = None) -> None:
        """Query `database` through `workgroup` at `place`."""
        self._place = place
        self._workgroup = workgroup
        self._database = database
        self._clock = clock or Clock()

    def run(
        self,
        query: Query,
        *,
        rows_max: int | None = None,
        on_progress: Callable[[QueryProgress], None] = lambda _: None,
    ) -> Result:
        """Answer `query`; see analytics.result.Engine."""
        limit = ROWS_MAX if rows_max is None else min(rows_max, ROWS_MAX)
        return collect(self.pages(query, on_progress=on_progress), limit=limit, is_asked_for=rows_max is not None)

    def pages(
        self, query: Query, *, on_progress: Callable[[QueryProgress], None] = lambda _: None
    ) -> Generator[Result, None, None]:
        """Answer `query` page by page; see analytics.result.Engine."""
        parse_select(query)  # so that nothing but a SELECT is ever sent
        started = self._clock.now()
        with readable_errors(self._place):
            try:
                query_id, execution = self._execute(query, on_progress)
            except _OverwrittenError:
                query_id, execution = self._execute(query, on_progress)
            bytes_scanned = _bytes_scanned(execution)
            for columns, rows in self._read(query_id):
                frame, seconds = frame_of_text(columns, rows), self._clock.now() - started
                yield Result(
                    frame,
                    engine=self.name,
                    bytes_scanned=bytes_scanned,
                    seconds=seconds,
                    dollars=dollars(bytes_scanned),
                )

    def plain_pages(
        self, query: Query, *, on_progress: Callable[[QueryProgress], None] = lambda _: None
    ) -> Generator[PlainResult, None, None]:
        """Answer `query` page by page; see analytics.result.Engine."""
        for page in self.pages(query, on_progress=on_progress):
            yield PlainResult(
                plain_rows(page.frame),
                engine=page.engine,
                bytes_scanned=page.bytes_scanned,
                seconds=page.seconds,
                dollars=page.dollars,
            )

    def _execute(self, query: Query, on_progress: Callable[[QueryProgress], None]) -> tuple[str, dict[str, Any]]:
        """Run `query`; return its id and its description once it has succeeded."""
        query_id = self._start(query)
        return query_id, self._wait(query_id, on_progress)

    def _start(self, query: Query) -> str:
        request: dict[str, Any] = {
            "QueryString": query.sql,
            "QueryExecutionContext": {"Database": self._database},
            "WorkGroup": self._workgroup,
        }
        if query.parameters:
            request["ExecutionParameters"] = query.literals()
        try:
            return str(self._client().start_query_execution(**request)["QueryExecutionId"])
        except ClientError as error:
            if "is not found" not in str(error) or self._workgroup not in str(error):
                raise
            message = f"the Athena workgroup {self._workgroup!r} is missing"
            raise WindrowError(message, hint="run: windrow deploy") from error

    def _wait(self, query_id: str, on_progress: Callable[[QueryProgress], None]) -> dict[str, Any]:
        """Wait until the query has succeeded and return its description; cancel it on Ctrl-C or when time is up."""
        try:
            return self._poll(query_id, on_progress)
        except (KeyboardInterrupt, _TimeoutError):
            self._client().stop_query_execution(QueryExecutionId=query_id)
            raise

    def _poll(self, query_id: str, on_progress: Callable[[QueryProgress], None]) -> dict[str, Any]:
        started, pause_seconds = self._clock.now(), POLL_SECONDS_MIN
        while True:
            execution: dict[str, Any] = self._client().get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
            state = execution["Status"]["State"]
            seconds = self._clock.now() - started
            on_progress(QueryProgress(state.lower(), seconds, _bytes_scanned(execution)))
            if state == "SUCCEEDED":
                return execution
            if state in {"FAILED", "CANCELLED"}:
                raise _failure(execution)
            if seconds >= QUERY_SECONDS_MAX:
                message = f"Athena did not finish query {query_id} within {QUERY_SECONDS_MAX // 60} minutes"
                raise _TimeoutError(message, hint="give a shorter range")
            self._clock.sleep(pause_seconds)
            pause_seconds = min(POLL_SECONDS_MAX, pause_seconds * 1.5)

    def _read(self, query_id: str) -> Iterator[tuple[list[tuple[str, str]], list[list[str | None]]]]:
        """Yield (name, Trino type) of each column and the rows, page by page."""
        is_first = True
        for page in self._pages(query_id):
            columns = [_column(info) for info in page["ResultSetMetadata"]["ColumnInfo"]]
            rows = [[value.get("VarCharValue") for value in row["Data"]] for row in page["Rows"]]
            yield columns, rows[1:] if is_first else rows  # the first row has the column names
            is_first = False

    def _pages(self, query_id: str) -> Iterator[dict[str, Any]]:
        token: dict[str, str] = {}
        while True:
            try:
                answer = self._client().get_query_results(QueryExecutionId=query_id, MaxResults=PAGE_ROWS_MAX, **token)
            except ClientError as error:
                if not _EXPIRED.search(str(error)):
                    raise
                raise WindrowError(f"the results of query {query_id} are gone", hint="run it again") from error
            yield answer["ResultSet"]
            if "NextToken" not in answer:
                return
            token = {"NextToken": answer["NextToken"]}

    def _client(self) -> Any:
        return client("athena", self._place)


class _TimeoutError(WindrowError):
    """The query did not finish in time."""


class _OverwrittenError(WindrowError):
    """An object changed while the query read it; a retry reads the new one."""


def dollars(bytes_scanned: int) -> float:
    """Return about what Athena charges for a query that scanned so many bytes."""
    megabytes = math.ceil(bytes_scanned / 1e6)
    return max(megabytes, CHARGED_MEGABYTES_MIN) * DOLLARS_PER_TERABYTE / 1e6 if megabytes else 0.0


def _column(info: dict[str, Any]) -> tuple[str, str]:
    kind = str(info["Type"]).lower()
    return str(info["Name"]), f"decimal({info['Precision']},{info['Scale']})" if kind == "decimal" else kind


def _bytes_scanned(execution: dict[str, Any]) -> int:
    return int(execution.get("Statistics", {}).get("DataScannedInBytes", 0))


def _failure(execution: dict[str, Any]) -> WindrowError:
    """Return the error for a query that failed or was cancelled, with a hint what to do."""
    status = execution["Status"]
    reason = status.get("StateChangeReason") or status.get("AthenaError", {}).get("ErrorMessage") or "no reason given"
    line = " ".join(reason.split())
    if status["State"] == "CANCELLED":
        if "scanned limit" in line.lower():
            return WindrowError(
                f"Athena: {line}", hint="restrict it: WHERE dt = '2026-11-20' AND hour BETWEEN 10 AND 11"
            )
        return WindrowError(f"Athena: the query was cancelled: {line}", hint="run it again")
    if _OVERWRITTEN.search(line):
        return _OverwrittenError(f"Athena: {line}", hint="a window is being rolled: run it again in a minute")
    hint = "correct the SQL" if line.startswith("SYNTAX_ERROR") or "mismatched input" in line else "run it again"
    return WindrowError(f"Athena: {line}", hint=f"{hint}; it was query {execution['QueryExecutionId']}")
