"""Where Flink's rows and windrow's differ, and what each takes: docs/flink.md has the table of a run.

Of these fleets each sensor has one thing that happens to it, so every difference has its cause in its name.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from random import Random

import pytest

from producers.faults import MALFORMED
from tests.counterparts import flink, flink_faults
from tests.counterparts.flink_compared import Verdicts, equal, verdicts
from tests.counterparts.flink_fleet import MINUTE, Sent, records_of, write
from tests.counterparts.table import Counterpart

COUNTERPART = Counterpart("Flink SQL", flink.VERSION, "rows of the application in infra/flink, against windrow's own")

ROWS = flink_faults.SENSORS * flink_faults.WINDOWS
READINGS, SENSORS, ROUNDS = 500_000, 2_500, 2


def test_only_what_is_late_and_what_conflicts_differs(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Flink leaves out what is late and keeps the first of two values; a time far ahead costs no other reading.

    Of broken payloads it reads some that windrow refuses; these are named in the result, and whatever they are, rows of
    other sensors stay equal.
    """
    found = _compared(flink_faults.faulty(Random(1)), tmp_path)
    assert equal(found["steady"]) == equal(found["ahead"]) == (ROWS, ROWS)
    for kind in ("late", "conflict"):
        same, rows = equal(found[kind])
        assert 0 < same < rows == ROWS, found[kind]
        _tell(request, f"{kind}: {rows - same} of {rows} rows")
    assert all("readings" in text for text in found["late"] if text != "equal")
    assert all("max_milli" in text and "readings" not in text for text in found["conflict"] if text != "equal")
    read = [one.name for place, one in enumerate(MALFORMED) if _differs(found, f"broken-{place}")]
    _tell(request, f"read although refused here: {', '.join(read)}")
    assert len(read) < len(MALFORMED) // 2


def test_duplicates_count_again_once_flink_has_forgotten(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Its state is kept for a time by the clock, here a millisecond; then a duplicate in time is one more reading."""
    found = _compared(flink_faults.repeated(Random(2)), tmp_path, properties={"duplicates_known_for": "1 ms"})
    same, rows = equal(found["again"])
    assert 0 < same < rows == ROWS
    assert all("readings" in text for text in found["again"] if text != "equal")
    _tell(request, f"duplicates after the time to live: {rows - same} of {rows} rows")


def test_one_fast_clock_makes_the_others_late(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A clock four minutes ahead, which windrow allows, leaves the others one of Flink's five minutes."""
    found = _compared(flink_faults.with_a_fast_clock(Random(3), ahead_ms=4 * MINUTE), tmp_path)
    same, rows = equal(found["steady"])
    assert same < rows == ROWS
    _tell(request, f"a clock four minutes ahead: {rows - same} of {rows} rows of other sensors")


@pytest.mark.timeout(1_800)
def test_what_each_takes(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The same readings in aggregates, in turns; told, not asserted. Flink's start is told apart."""
    sent = flink_faults.many(Random(4), sensors=SENSORS, readings=READINGS)
    records, for_flink = write(records_of(sent, readings_per_record=400), tmp_path)
    none = tmp_path / "none"
    none.write_bytes(b"")
    start = flink.run(none, tmp_path / "start", parallelism=1, options=())
    _tell(request, f"start of Flink {start.cpu_seconds:.0f} CPU s, {start.peak_mb:,.0f} MB")
    for turn in range(ROUNDS):
        theirs = flink.run(for_flink, tmp_path / f"flink-{turn}", parallelism=1, options=())
        ours = _windrow(records, tmp_path / f"windrow-{turn}")
        for name, spent, less in (("Flink", theirs, start.cpu_seconds), ("windrow", ours, 0.0)):
            rate = READINGS / (spent.cpu_seconds - less)
            _tell(request, f"{name} {rate:,.0f} readings/CPU-s in {spent.cpu_seconds:.1f} s, {spent.peak_mb:,.0f} MB")
        found = verdicts(tmp_path / f"windrow-{turn}", tmp_path / f"flink-{turn}")
        assert {text for counts in found.values() for text in counts} == {"equal"}


def _compared(sent: Iterable[Sent], folder: Path, *, properties: dict[str, str] | None = None) -> Verdicts:
    records, for_flink = write(records_of(sent), folder)
    flink.run(for_flink, folder / "flink", parallelism=1, properties=properties)
    _windrow(records, folder / "windrow")
    return verdicts(folder / "windrow", folder / "flink")


def _windrow(records: Path, results: Path) -> flink.Spent:
    command = [sys.executable, "-m", "tests.counterparts.flink_windrow", str(records), str(results)]
    return flink.spent_by(command, results.with_suffix(".log"))


def _differs(found: Verdicts, kind: str) -> bool:
    same, rows = equal(found[kind])
    return same < rows


def _tell(request: pytest.FixtureRequest, text: str) -> None:
    """Put a finding into the table at the end."""
    request.node.user_properties.append(("found", text))
