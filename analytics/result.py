"""Results of queries, and what an engine that gives them can do."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, Self

from analytics.plain import PlainRows
from analytics.query import Query
from windrow.errors import WindrowError

if TYPE_CHECKING:
    import pandas as pd

ROWS_MAX = 1_000_000
"""The most rows of a result in memory; write a larger one to a file, page by page."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Answer:
    """What a query took. `is_truncated` says that there are more rows than were asked for.

    `dollars` is about what the query costs; 0 for the local engine.
    """

    engine: str
    bytes_scanned: int
    seconds: float
    is_truncated: bool = False
    dollars: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Result(_Answer):
    """The rows of a query as a frame, whose dtypes are those of analytics.frames, and what it took."""

    frame: "pd.DataFrame"

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.frame)

    def first(self, rows: int) -> Self:
        """Return the first `rows` rows, truncated if there are more."""
        return replace(self, frame=self.frame.iloc[:rows], is_truncated=len(self) > rows)


@dataclass(frozen=True, slots=True, eq=False)
class PlainResult(_Answer):
    """The same with the rows as plain values."""

    rows: PlainRows

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def first(self, rows: int) -> Self:
        """Return the first `rows` rows, truncated if there are more."""
        return replace(self, rows=self.rows.first(rows), is_truncated=len(self) > rows)


@dataclass(frozen=True, slots=True)
class QueryProgress:
    """How far a running query is."""

    state: str
    seconds: float
    bytes_scanned: int = 0


class Engine(Protocol):
    """Something that answers queries."""

    @property
    def name(self) -> str:
        """The name of the engine, for people."""

    def run(
        self,
        query: Query,
        *,
        rows_max: int | None = None,
        on_progress: Callable[[QueryProgress], None] = lambda _: None,
    ) -> Result:
        """Return the first `rows_max` rows of `query`, or all.

        WindrowError if it cannot be run, or if all rows are asked for and there are more than ROWS_MAX.
        """

    def pages(
        self, query: Query, *, on_progress: Callable[[QueryProgress], None] = lambda _: None
    ) -> Generator[Result, None, None]:
        """Yield the rows of `query` page by page, however many there are: at least one Result, perhaps empty.

        `bytes_scanned` and `dollars` in each are those of the whole query. Closing the iterator ends the query.
        """

    def plain_pages(
        self, query: Query, *, on_progress: Callable[[QueryProgress], None] = lambda _: None
    ) -> Generator[PlainResult, None, None]:
        """Yield the same pages as plain values, for printing."""


def collect(pages: Iterator[Result], *, limit: int, is_asked_for: bool) -> Result:
    """Return the first `limit` rows of all pages as one Result; read no more pages than needed.

    If there are more rows, raise WindrowError, unless the user asked for the limit.
    """
    taken: list[Result] = []
    rows = 0
    for page in pages:
        taken.append(page)
        rows += len(page.frame)
        if rows > limit:
            break
    if rows > limit and not is_asked_for:
        raise too_many_rows()
    frames = [page.frame for page in taken if not page.frame.empty] or [taken[0].frame]
    frame = frames[0] if len(frames) == 1 else _concatenated(frames)
    return replace(taken[-1], frame=frame.iloc[:limit], is_truncated=rows > limit)


def _concatenated(frames: "list[pd.DataFrame]") -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415 - whoever has frames has loaded it

    return pd.concat(frames, ignore_index=True)


def too_many_rows() -> WindrowError:
    """Return the error for a result of more than ROWS_MAX rows."""
    return WindrowError(f"the result has more than {ROWS_MAX} rows", hint="give --limit, or a shorter range")
