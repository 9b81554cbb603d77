"""`windrow verify`: which truth it takes, and what it says beside the verdict."""

from pathlib import Path

import pytest

from producers.faults import Faults
from producers.fleet import FleetSpec, readings
from producers.manifest import Manifest
from tests.lineages import lineage_of
from tests.unit.stored_results import START_MS, StoredResults, measured
from windrow.errors import UsageError
from windrow.lake.layout import lineage_key, simulation_key
from windrow.window import WINDOW_MS, Window
from windrow_operations.verifying import truth_by_window, verify_runs, windows_of

ONE = FleetSpec(seed=1, sensors=3, start_ms=START_MS, end_ms=START_MS + 2 * WINDOW_MS)
# Overlaps the first in its second window, with other sensors' values; begins and ends within windows.
OTHER = FleetSpec(
    seed=2,
    sensors=4,
    start_ms=START_MS + WINDOW_MS + 60_000,
    end_ms=START_MS + 3 * WINDOW_MS - 60_000,
    quantities=("temperature", "humidity"),
    faults=Faults(malformed=0.1, duplicates=0.2, late=0.2, shuffled=0.5),
)


@pytest.fixture
def stored(tmp_path: Path) -> StoredResults:
    """Both fleets ran and were rolled."""
    results = StoredResults(tmp_path)
    results.store(reading for fleet in (ONE, OTHER) for batch in readings(fleet) for reading in batch)
    for run_id, fleet in (("one", ONE), ("other", OTHER)):
        manifest = Manifest(run_id=run_id, stream="s", fleet=fleet, is_completed=True)
        results.lake.put(simulation_key(run_id), manifest.to_bytes())
    for window in windows_of([ONE, OTHER]):
        results.results.put(lineage_key(window), lineage_of(window).to_json())
    return results


@pytest.mark.slow
def test_all_runs_together_are_the_truth(stored: StoredResults, capsys: pytest.CaptureFixture[str]) -> None:
    """Windows that two fleets share hold the readings of both; faults change nothing; nothing is said beside it."""
    verification = verify_runs(stored.lake, stored.engine, run_id=None, stage="dev")
    counted = sum(len(batch) for fleet in (ONE, OTHER) for batch in readings(fleet))
    assert str(verification).startswith(
        f"verify: 3 windows, 19 rows, {counted} readings: lost 0, duplicated 0, wrong 0"
    )
    assert verification.is_exact
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_one_run_is_taken_as_if_there_were_no_other(stored: StoredResults) -> None:
    """The other's readings in their common window are then too many."""
    verification = verify_runs(stored.lake, stored.engine, run_id="one", stage="dev")
    assert (verification.windows, verification.lost) == (2, 0)
    assert not verification.is_exact


@pytest.mark.slow
def test_an_interrupted_run_and_unrolled_windows_are_named(stored: StoredResults) -> None:
    """What will look like loss is said before the verdict."""
    manifest = Manifest(run_id="one", stream="s", fleet=ONE)
    stored.lake.put(simulation_key("one"), manifest.to_bytes())
    stored.results.delete(lineage_key(Window(START_MS + WINDOW_MS)))
    warnings: list[str] = []
    verify_runs(stored.lake, stored.engine, run_id=None, stage="dev", on_warning=warnings.append)
    interrupted, unrolled = warnings
    assert interrupted.startswith("simulation one was interrupted")
    assert unrolled == "1 of 3 windows are not rolled yet, the first 2026-11-20T23:55:00.000Z: run windrow tick"


def test_without_a_simulation_there_is_nothing_to_verify(tmp_path: Path, stored: StoredResults) -> None:
    """An empty stage, and a run that was never."""
    empty = StoredResults(tmp_path)
    with pytest.raises(UsageError, match="nothing was simulated"):
        verify_runs(empty.lake, empty.engine, run_id=None, stage="dev")
    with pytest.raises(UsageError, match="no simulation 'third'") as caught:
        verify_runs(stored.lake, stored.engine, run_id="third", stage="dev")
    assert "one, other" in caught.value.hint


def test_the_truth_of_windows_is_the_truth_of_the_whole() -> None:
    """Cut by window, every reading comes once, in its window."""
    by_window = dict(truth_by_window([OTHER], windows_of([OTHER])))
    whole = sorted(measured(reading) for batch in readings(OTHER) for reading in batch)
    assert {row[1:3] for row in whole} == {("temperature", "C"), ("humidity", "%")}
    assert sorted(tuple(row) for frame in by_window.values() for row in frame.to_numpy().tolist()) == whole
    for start_ms, frame in by_window.items():
        assert frame["event_time_ms"].between(start_ms, start_ms + WINDOW_MS - 1).all()
