"""Verification: stored rows compared with the oracle's, every row and every column, window by window."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd

from analytics.frames import epoch_ms
from analytics.oracle import ROW_COLUMNS, Series, true_rows
from analytics.query import Query
from analytics.result import Engine
from windrow.timerange import partition_of
from windrow.timestamps import format_rfc3339, format_sql

CULPRITS_MAX = 10
Row = dict[str, Any]

_ROWS_SQL = f"""
SELECT {", ".join(ROW_COLUMNS)}
FROM aggregates
WHERE dt = :dt
  AND hour = :hour
  AND window_start = CAST(:window_start AS TIMESTAMP)
"""  # noqa: S608 - names of our own


@dataclass(frozen=True, slots=True, kw_only=True)
class Culprit:
    """A value that is wrong; `column` is "row" if a whole row is missing or extra."""

    window_start_ms: int
    sensor_id: str
    quantity: str
    column: str
    expected: object
    found: object

    def __str__(self) -> str:
        """Return the culprit in one line."""
        sensor = repr(self.sensor_id) if self.quantity == "temperature" else f"{self.sensor_id!r} {self.quantity}"
        where = f"{format_rfc3339(self.window_start_ms)} {sensor} {self.column}"
        return f"{where}: expected {_text(self.expected)}, found {_text(self.found)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The result of a comparison.

    windows, rows, readings: totals of the truth; lost, duplicated: readings that stored rows count too few or too many;
    wrong: rows with any column that differs; rows_missing, rows_extra; culprits: the first CULPRITS_MAX.
    """

    windows: int = 0
    rows: int = 0
    readings: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: int = 0
    rows_missing: int = 0
    rows_extra: int = 0
    culprits: tuple[Culprit, ...] = ()

    @property
    def is_exact(self) -> bool:
        """Whether the stored rows are exactly the truth."""
        return not (self.lost or self.duplicated or self.wrong or self.rows_missing or self.rows_extra)

    def __str__(self) -> str:
        """Return the result in one line."""
        missing = f", rows missing {self.rows_missing}" if self.rows_missing else ""
        extra = f", rows extra {self.rows_extra}" if self.rows_extra else ""
        return (
            f"verify: {self.windows} windows, {self.rows} rows, {self.readings} readings: "
            f"lost {self.lost}, duplicated {self.duplicated}, wrong {self.wrong}{missing}{extra}"
        )

    def __add__(self, other: "Verification") -> "Verification":
        """Return both comparisons as one."""
        return Verification(
            windows=self.windows + other.windows,
            rows=self.rows + other.rows,
            readings=self.readings + other.readings,
            lost=self.lost + other.lost,
            duplicated=self.duplicated + other.duplicated,
            wrong=self.wrong + other.wrong,
            rows_missing=self.rows_missing + other.rows_missing,
            rows_extra=self.rows_extra + other.rows_extra,
            culprits=(self.culprits + other.culprits)[:CULPRITS_MAX],
        )


def verify(windows: Iterable[tuple[int, pd.DataFrame]], stored_rows: Callable[[int], pd.DataFrame]) -> Verification:
    """Compare windows with their stored rows; a window is its start in ms and its readings as in analytics.oracle."""
    verification = Verification()
    for window_start_ms, readings in windows:
        verification += verify_window(window_start_ms, readings, stored_rows(window_start_ms))
    return verification


def rows_of_window(engine: Engine, window_start_ms: int) -> pd.DataFrame:
    """Return the stored rows of a window, with the columns of analytics.oracle.ROW_COLUMNS."""
    dt, hour = partition_of(window_start_ms)
    values: dict[str, str | int] = {"dt": dt, "hour": hour, "window_start": format_sql(window_start_ms)}
    return engine.run(Query.bind(_ROWS_SQL.strip(), values)).frame


def verify_window(window_start_ms: int, readings: pd.DataFrame, stored: pd.DataFrame) -> Verification:
    """Compare the rows that the `readings` of a window must produce with those `stored`."""
    truth = _by_series(true_rows(readings))
    found = _by_series(stored)
    verification = Verification(
        windows=1,
        rows=len(truth),
        readings=sum(row["readings"] for rows in truth.values() for row in rows),
    )
    for series in sorted(truth.keys() | found.keys()):
        verification += _verify_series(window_start_ms, series, truth, found)
    return verification


def _verify_series(
    window_start_ms: int, series: Series, truth: Mapping[Series, list[Row]], found: Mapping[Series, list[Row]]
) -> Verification:
    """Compare the one row of a series, if any, with those found. The totals of the truth stay 0."""
    sensor_id, quantity, _ = series

    def culprit(column: str, expected: object, found: object) -> Culprit:
        return Culprit(
            window_start_ms=window_start_ms,
            sensor_id=sensor_id,
            quantity=quantity,
            column=column,
            expected=expected,
            found=found,
        )

    expected_rows, found_rows = truth.get(series, []), found.get(series, [])
    if not found_rows:
        lost = expected_rows[0]["readings"]
        missing = culprit("row", f"a row of {lost} readings", None)
        return Verification(lost=lost, rows_missing=1, culprits=(missing,))
    extra_rows = found_rows[len(expected_rows) :]
    culprits = [culprit("row", None, f"a row of {row['readings']} readings") for row in extra_rows]
    lost = wrong = 0
    duplicated = sum(row["readings"] or 0 for row in extra_rows)
    for expected, row in zip(expected_rows, found_rows, strict=False):
        differing = [name for name in ROW_COLUMNS if row[name] != expected[name]]
        difference = (row["readings"] or 0) - expected["readings"]
        lost, duplicated, wrong = lost + max(0, -difference), duplicated + max(0, difference), wrong + bool(differing)
        culprits += [culprit(name, expected[name], row[name]) for name in differing]
    return Verification(
        lost=lost,
        duplicated=duplicated,
        wrong=wrong,
        rows_extra=len(extra_rows),
        culprits=tuple(culprits[:CULPRITS_MAX]),
    )


def _by_series(rows: pd.DataFrame) -> dict[Series, list[Row]]:
    """Return the rows of each series with plain values: ints (times in ms), lists of ints, None for NULL."""
    columns = [_plain_values(rows[name]) for name in ROW_COLUMNS]
    by_series: defaultdict[Series, list[Row]] = defaultdict(list)
    for values in zip(*columns, strict=True):
        row = dict(zip(ROW_COLUMNS, values, strict=True))
        by_series[row["sensor_id"], row["quantity"], row["unit"]].append(row)
    return dict(by_series)


def _plain_values(column: "pd.Series[Any]") -> list[Any]:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return list(epoch_ms(column))
    return [_plain(value) for value in column.tolist()]


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value)
    if isinstance(value, list):
        return value
    return None if pd.isna(value) else value  # type: ignore[call-overload]  # any scalar


def _text(value: object) -> str:
    return "none" if value is None else str(value)
