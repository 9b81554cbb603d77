"""Verification finds what is planted, and nothing where nothing is."""

from pathlib import Path

import pandas as pd
import pytest

from analytics.oracle import READING_COLUMNS, SERIES_COLUMNS, true_rows
from analytics.verify import CULPRITS_MAX, Verification, rows_of_window, verify, verify_window
from tests.unit.stored_results import (
    SENSORS,
    START_MS,
    WINDOWS,
    StoredResults,
    measured,
    some_humidities,
    some_readings,
)
from windrow.lake.layout import rows_key
from windrow.window import WINDOW_MS, Window

STARTS = [START_MS + place * WINDOW_MS for place in range(WINDOWS)]


def readings_of(start_ms: int) -> pd.DataFrame:
    rows = [measured(one) for one in some_readings() if start_ms <= one.event_time_ms < start_ms + WINDOW_MS]
    return pd.DataFrame(rows, columns=pd.Index(READING_COLUMNS))


@pytest.fixture
def stored(tmp_path: Path) -> StoredResults:
    results = StoredResults(tmp_path)
    results.store(some_readings())
    return results


def verified(stored: StoredResults) -> Verification:
    return verify(((start, readings_of(start)) for start in STARTS), lambda start: rows_of_window(stored.engine, start))


def planted(change: pd.DataFrame) -> Verification:
    """What is found when the first window's rows are `change`."""
    return verify_window(START_MS, readings_of(START_MS), change)


def truth() -> pd.DataFrame:
    return true_rows(readings_of(START_MS))


@pytest.mark.slow
def test_rows_that_the_core_stored_are_the_truth(stored: StoredResults) -> None:
    """Through Parquet, the engine and back: the line that the demo prints."""
    verification = verified(stored)
    assert str(verification) == "verify: 4 windows, 12 rows, 360 readings: lost 0, duplicated 0, wrong 0"
    assert verification.is_exact


@pytest.mark.slow
def test_a_deleted_result_is_found(stored: StoredResults) -> None:
    """All its readings are lost, all its rows missing."""
    stored.results.delete(rows_key(Window(START_MS)))
    verification = verified(stored)
    assert str(verification) == (
        "verify: 4 windows, 12 rows, 360 readings: lost 90, duplicated 0, wrong 0, rows missing 3"
    )
    assert not verification.is_exact


@pytest.mark.slow
def test_a_lost_reading_is_found(stored: StoredResults) -> None:
    """One reading fewer makes one row wrong."""
    stored.store(some_readings()[1:90])
    verification = verified(stored)
    assert (verification.lost, verification.duplicated, verification.wrong) == (1, 0, 1)
    assert str(verification.culprits[0]) == "2026-11-20T23:50:00.000Z 'aisle/1' readings: expected 30, found 29"


def test_a_reading_counted_twice_is_found() -> None:
    """A sum over deliveries instead of a set."""
    rows = truth()
    rows.loc[0, "readings"] += 1
    assert (planted(rows).lost, planted(rows).duplicated, planted(rows).wrong) == (0, 1, 1)


@pytest.mark.parametrize("column", [name for name in truth().columns if name not in SERIES_COLUMNS])
def test_a_changed_value_in_any_column_is_found(column: str) -> None:
    """No column is exempt."""
    rows = truth()
    value = rows.at[1, column]
    rows.at[1, column] = [*value, 1] if isinstance(value, list) else value + 1
    verification = planted(rows)
    assert verification.wrong == 1
    (culprit,) = verification.culprits
    assert (culprit.sensor_id, culprit.column, culprit.expected) == (SENSORS[1], column, value)


def test_a_null_is_no_value() -> None:
    """An empty cell is found in a column that lost its number."""
    rows = truth()
    rows.loc[0, "sum_milli"] = None
    assert planted(rows).wrong == 1


def test_a_removed_row_is_missing() -> None:
    """Its readings are lost with it."""
    verification = planted(truth().iloc[1:])
    assert (verification.lost, verification.wrong, verification.rows_missing) == (30, 0, 1)
    assert verification.culprits[0].column == "row"


def test_a_row_of_a_sensor_that_never_was_is_extra() -> None:
    """Readings that nobody sent count as duplicated: they count more often than they were read."""
    stranger = truth().iloc[[0]].assign(sensor_id="nobody")
    verification = planted(pd.concat([truth(), stranger], ignore_index=True))
    assert (verification.duplicated, verification.wrong, verification.rows_extra) == (30, 0, 1)
    assert not verification.is_exact
    assert "rows extra 1" in str(verification)


def test_a_row_under_another_quantity_or_unit_is_missing_and_extra() -> None:
    """The right numbers under a wrong name are wrong."""
    for changed in ({"quantity": "humidity"}, {"unit": "F"}):
        verification = planted(pd.concat([truth().iloc[[0]].assign(**changed), truth().iloc[1:]], ignore_index=True))
        assert (verification.lost, verification.duplicated) == (30, 30)
        assert (verification.rows_missing, verification.rows_extra) == (1, 1)


def test_two_quantities_of_a_sensor_are_two_rows(tmp_path: Path) -> None:
    """At the same times and with the same sequences; neither is a conflict of the other."""
    results = StoredResults(tmp_path)
    both = [one for one in (*some_readings(), *some_humidities()) if 0 <= one.event_time_ms - START_MS < WINDOW_MS]
    results.store(both)
    readings = pd.DataFrame([measured(one) for one in both], columns=pd.Index(READING_COLUMNS))
    verification = verify_window(START_MS, readings, rows_of_window(results.engine, START_MS))
    assert str(verification) == "verify: 1 windows, 5 rows, 150 readings: lost 0, duplicated 0, wrong 0"


def test_a_row_that_is_there_twice_is_extra() -> None:
    """A table with two rows for one sensor counts its readings twice."""
    verification = planted(pd.concat([truth(), truth().iloc[[2]]], ignore_index=True))
    assert (verification.duplicated, verification.wrong, verification.rows_extra) == (30, 0, 1)


def test_rows_in_a_window_without_readings_are_extra() -> None:
    """The truth of a silent window is no row."""
    nothing = pd.DataFrame(columns=pd.Index(READING_COLUMNS))
    verification = verify_window(START_MS, nothing, truth())
    assert (verification.rows, verification.rows_extra, verification.duplicated) == (0, 3, 90)


def test_the_first_culprits_are_kept_and_all_are_counted() -> None:
    """A broken stage does not print a million lines."""
    rows = truth()
    for column in rows.columns.difference([*SERIES_COLUMNS, "histogram_bins", "histogram_counts"]):
        rows[column] += 1
    verification = planted(rows)
    assert verification.wrong == 3
    assert len(verification.culprits) == CULPRITS_MAX
    assert {culprit.sensor_id for culprit in verification.culprits} == {SENSORS[0]}
