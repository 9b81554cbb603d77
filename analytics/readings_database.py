"""A temporary database of readings on local disk, for an audit of more readings than fit into memory."""

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import pandas as pd

from analytics.oracle import READING_COLUMNS, WINDOW_MS

_CONFIGURATION: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "1GB",
    "threads": 2,
}


class ReadingsDatabase:
    """Readings by window, in DuckDB. A context manager: the readings are deleted at its end."""

    def __enter__(self) -> Self:
        """Create the database in a temporary folder."""
        self._folder = tempfile.TemporaryDirectory(prefix="windrow-audit-")
        path = Path(self._folder.name)
        self._connection = duckdb.connect(str(path / "readings.duckdb"), config=_CONFIGURATION)
        self._connection.execute("SET enable_progress_bar = false")  # it would be drawn on standard output
        self._connection.execute(f"SET temp_directory = '{path}'")
        self._connection.execute(
            "CREATE TABLE readings (window_start_ms BIGINT, sensor_id VARCHAR, quantity VARCHAR, unit VARCHAR, "
            "event_time_ms BIGINT, sequence BIGINT, milli INTEGER, arrival_ms BIGINT)"
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Delete the database."""
        self._connection.close()
        self._folder.cleanup()

    def add(self, batch: pd.DataFrame, *, start_ms: int, end_ms: int) -> None:
        """Add the readings of `batch` (analytics.decode.COLUMNS) whose windows start in [start_ms, end_ms)."""
        if batch.empty:
            return
        self._connection.register("batch", batch)
        self._connection.execute(
            f"INSERT INTO readings SELECT event_time_ms - event_time_ms % {WINDOW_MS} AS window_start_ms, * FROM batch "  # noqa: S608 - a number of our own
            "WHERE window_start_ms >= $start AND window_start_ms < $end",
            {"start": start_ms, "end": end_ms},
        )
        self._connection.unregister("batch")

    def newest_arrivals(self) -> dict[int, int]:
        """Return the start of each window with readings, ascending, and the newest arrival among these."""
        found = self._connection.execute(
            "SELECT window_start_ms, MAX(arrival_ms) FROM readings GROUP BY 1 ORDER BY 1"
        ).fetchall()
        return {int(window_start_ms): int(arrival_ms) for window_start_ms, arrival_ms in found}

    def readings_of(self, window_start_ms: int) -> pd.DataFrame:
        """Return the distinct readings of a window, with READING_COLUMNS of analytics.oracle."""
        columns = ", ".join(READING_COLUMNS)
        found = self._connection.execute(
            f"SELECT DISTINCT {columns} FROM readings WHERE window_start_ms = $start",  # noqa: S608 - our own names
            {"start": window_start_ms},
        ).fetchall()
        return pd.DataFrame(found, columns=pd.Index(READING_COLUMNS))
