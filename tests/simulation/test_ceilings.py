"""Ceilings: a roll that is too large stops itself with the reason, the others go on, and it is told before."""

import bisect
import dataclasses
import json
from collections.abc import Callable

import pytest

import dispatcher.rows
from bench.ceilings import FOUND
from dispatcher.ceiling import MIB, READING_BYTES, ROLL_BYTES, BeyondCeiling, Ceiling, Means, Nearest, Use
from dispatcher.report import RollOutcome, TickReport, WindowReport
from dispatcher.spill import Spill
from dispatcher.tick import Tick
from tests.rows_file import encode_rollup
from tests.simulation.lake import (
    LAKE,
    LIFETIMES,
    SCHEDULED,
    Row,
    buckets,
    marker_put,
    partial_of,
    partial_put,
    report_of,
    rows_of,
    tick,
    window_at,
)
from tests.simulation.simulated_s3 import S3State
from windrow.rows.rollup import roll
from windrow_cli.tick import show

LARGE, NEXT, SMALL = window_at("10:00"), window_at("09:55"), window_at("09:50")
RUN_MS = 240_000
PLENTY = Ceiling(memory_bytes=2 * ROLL_BYTES)
PARTS: list[list[Row]] = [[(f"s{number:03}", part, 0, part) for number in range(40)] for part in range(8)]
ONE_SENSOR: list[list[Row]] = [[("loud", part * 100 + number, 0, 1) for number in range(40)] for part in range(8)]


@pytest.fixture(autouse=True)
def little_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of more than eight readings goes to disk."""
    hold_little(monkeypatch)


def hold_little(patch: pytest.MonkeyPatch) -> None:
    """Patch so that a window of more than eight readings goes to disk."""
    patch.setattr(dispatcher.rows, "Spill", lambda window, **how: Spill(window, **how, held_max=8))


def lake_of(parts: list[list[Row]]) -> S3State:
    """LARGE with these partials, and the two windows before it with a reading each."""
    state = S3State()
    for number, rows in enumerate(parts):
        state.apply(partial_put(LARGE, rows, first=number))
    state.apply(partial_put(NEXT, [("a", 0, 0, 1)]))
    state.apply(partial_put(SMALL, [("a", 0, 0, 2)]))
    return state


def ticked(state: S3State, ceiling: Ceiling) -> TickReport:
    """A tick of a run that has so much."""
    run = Tick(buckets=buckets(state.apply), lifetimes=LIFETIMES, scheduled_time_ms=SCHEDULED, ceiling=ceiling)
    return run.run()


def outcome_of_large(state: S3State, ceiling: Ceiling) -> WindowReport:
    """What a tick says of LARGE; it has written nothing of it, and the other windows as always."""
    report = ticked(state, ceiling)
    assert rows_of(state, LARGE) is None
    for other in (NEXT, SMALL):
        assert report_of(report, other).outcome is RollOutcome.ROLLED
        assert rows_of(state, other) is not None
    assert report.nearest is not None
    assert report.nearest.window == LARGE
    assert report.nearest.percent >= 100
    return report_of(report, LARGE)


def is_rolled_later(state: S3State, parts: list[list[Row]]) -> bool:
    """Whether a tick with enough of everything makes its rows, to the byte."""
    tick(state.apply, SCHEDULED + 300_000)
    return rows_of(state, LARGE) == encode_rollup(roll(partial_of(LARGE, [row for rows in parts for row in rows])))


def test_a_window_beyond_the_disk_is_reported_and_the_others_are_rolled() -> None:
    """The reason names the parameter; with more disk it is rolled, and nothing of it was lost."""
    state = lake_of(PARTS)
    report = outcome_of_large(state, Ceiling(disk_bytes=2_000))
    assert report.outcome is RollOutcome.FAILED
    assert "local disk" in report.detail
    assert "raise DispatcherDiskMb" in report.detail
    assert is_rolled_later(state, PARTS)


@pytest.mark.slow
def test_a_window_that_fits_the_disk_to_the_byte_is_rolled() -> None:
    """The ceiling is where the report says it is: what a roll took at most is enough, one byte less is not."""
    needed = bisect.bisect_left(range(20_000), True, key=is_enough_disk)
    assert 320 * 4 < needed < 320 * 50
    assert not is_enough_disk(needed - 1)
    nearest = ticked(lake_of(PARTS), Ceiling(disk_bytes=2 * needed)).nearest
    assert nearest == Nearest(window=LARGE, means=Means.DISK, percent=50)


def is_enough_disk(size_bytes: int) -> bool:
    """Whether the readings of PARTS go through a spill with so much disk."""
    with Spill(LARGE, bytes_expected=len(PARTS), held_max=8, use=Use(Ceiling(disk_bytes=size_bytes))) as spill:
        try:
            for rows in PARTS:
                spill.add(partial_of(LARGE, rows), size_bytes=1)
            assert sum(map(len, spill.ranges())) == 320
        except BeyondCeiling:
            return False
    return True


def test_a_sensor_beyond_the_memory_is_named_and_the_others_are_rolled() -> None:
    """Its readings are one range however many ranges there are; before they are read back, the roll stops."""
    state = lake_of(ONE_SENSOR)
    report = outcome_of_large(state, Ceiling(memory_bytes=ROLL_BYTES + 319 * READING_BYTES))
    assert report.outcome is RollOutcome.FAILED
    assert report.detail.startswith("320 readings of the sensor 'loud' take about 400 MB of memory")
    assert "raise DispatcherMemoryMb" in report.detail
    assert is_rolled_later(state, ONE_SENSOR)


def test_many_sensors_need_no_more_memory() -> None:
    """As many readings, in ranges: each takes little."""
    state = lake_of(PARTS)
    assert report_of(ticked(state, Ceiling(memory_bytes=ROLL_BYTES + 100 * READING_BYTES)), LARGE).outcome is (
        RollOutcome.ROLLED
    )


def test_a_sensor_takes_its_bytes_of_disk_once() -> None:
    """What cannot be split is not copied in the attempt."""
    use = Use(Ceiling(disk_bytes=1_000_000))
    with Spill(LARGE, bytes_expected=len(ONE_SENSOR), held_max=8, use=use) as spill:
        for rows in ONE_SENSOR:
            spill.add(partial_of(LARGE, rows), size_bytes=1)
        (whole,) = spill.ranges()
    assert len(whole) == 320
    assert use.nearest(LARGE).percent == 0
    assert 320 * 4 < 1e6 * use._percent[Means.DISK] / 100 < 320 * 8


class Clock:
    """Time left of a run, which goes by with each partial that is read; and before the first of them."""

    def __init__(self, state: S3State, *, read_ms: int, before_ms: int = 0) -> None:
        self.left_ms = RUN_MS - before_ms
        self._read_ms = read_ms
        self._perform = state.apply

    def perform(self, operation: object) -> object:
        """Do it, and let time go by."""
        if type(operation).__name__ == "Get" and "partials/" in getattr(operation, "key", ""):
            self.left_ms -= self._read_ms
        return self._perform(operation)  # type: ignore[arg-type]

    def tick(self) -> TickReport:
        """A tick of a run of RUN_MS."""
        return Tick(
            buckets=buckets(self.perform),  # type: ignore[arg-type]
            lifetimes=LIFETIMES,
            scheduled_time_ms=SCHEDULED,
            time_left=lambda: self.left_ms > 60_000,
            ceiling=Ceiling(run_ms=RUN_MS, remaining_ms=lambda: self.left_ms),
        ).run()


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that there is something to say between two partials."""
    monkeypatch.setattr(dispatcher.rows, "IN_FLIGHT_MAX", 1)


@pytest.mark.usefixtures("one_at_a_time")
def test_a_window_that_a_whole_run_cannot_read_stops_early_and_leaves_time_for_the_others() -> None:
    """Eight partials at 50 s each are 400 s of 240: known after the first, when 190 s are left."""
    state = lake_of(PARTS)
    report = Clock(state, read_ms=50_000).tick()
    assert [report_of(report, one).outcome for one in (LARGE, NEXT, SMALL)] == [
        RollOutcome.FAILED,
        RollOutcome.ROLLED,
        RollOutcome.ROLLED,
    ]
    assert "to read it takes about 400 s, a run has 240: raise DispatcherTimeoutSeconds" in (
        report_of(report, LARGE).detail
    )
    assert report.nearest is not None
    assert (report.nearest.means, report.nearest.percent) == (Means.TIME, 166)
    assert is_rolled_later(state, PARTS)


@pytest.mark.usefixtures("one_at_a_time")
def test_a_roll_that_began_too_late_ends_before_its_run_and_goes_on_at_the_next_tick() -> None:
    """It is deferred, not failed: a run that begins with it has enough. Rows and lineage are as before."""
    state = lake_of(PARTS)
    report = Clock(state, read_ms=18_000, before_ms=100_000).tick()
    large = report_of(report, LARGE)
    assert large.outcome is RollOutcome.DEFERRED
    assert large.detail == "its roll was not through after 144 s, and the run of 240 s was over"
    assert rows_of(state, LARGE) is None
    assert report_of(Clock(state, read_ms=18_000).tick(), LARGE).outcome is RollOutcome.ROLLED


@pytest.mark.usefixtures("one_at_a_time")
def test_a_roll_that_had_the_whole_run_has_failed() -> None:
    """Reading alone would fit, just; what comes after does not, and no run is longer."""
    report = report_of(Clock(lake_of(PARTS), read_ms=29_500).tick(), LARGE)
    assert report.outcome is RollOutcome.FAILED
    assert "was not through after 236 s, and the run of 240 s was over: raise DispatcherTimeoutSeconds" in report.detail


@pytest.mark.slow
def faults_of_windows_beyond_a_ceiling() -> list[str]:
    """What is wrong with a loud sensor beyond the memory, and with a roll that begins too late in its run."""
    faults = []
    with pytest.MonkeyPatch.context() as patch:
        hold_little(patch)
        patch.setattr(dispatcher.rows, "IN_FLIGHT_MAX", 1)
        report = ticked(lake_of(ONE_SENSOR), Ceiling(memory_bytes=ROLL_BYTES + 319 * READING_BYTES))
        if report_of(report, LARGE).outcome is not RollOutcome.FAILED or report_of(report, SMALL).outcome is not (
            RollOutcome.ROLLED
        ):
            faults.append(f"a loud sensor: {report_of(report, LARGE)}, {report_of(report, SMALL)}")
        late = report_of(Clock(lake_of(PARTS), read_ms=18_000, before_ms=100_000).tick(), LARGE)
        if late.outcome is not RollOutcome.DEFERRED:
            faults.append(f"a roll that began too late: {late}")
        large = report_of(Clock(lake_of(PARTS), read_ms=50_000).tick(), LARGE)
        if not large.detail.startswith("to read it takes about 400 s"):
            faults.append(f"a window that no run can read: {large}")
    return faults


def test_windows_beyond_a_ceiling_stop_themselves() -> None:
    """The same three, as the deliberate breaks meet them."""
    assert faults_of_windows_beyond_a_ceiling() == []


def test_a_late_partial_beyond_the_disk_leaves_the_rows_and_its_marker() -> None:
    """The roll from a united set has the same ceiling."""
    state = lake_of(PARTS)
    tick(state.apply, SCHEDULED)
    before = rows_of(state, LARGE)
    late: list[Row] = [(f"s{number:03}", 50_000 + number, 7, 9) for number in range(40)]
    state.apply(partial_put(LARGE, late, first=99))
    state.apply(marker_put(LARGE, late))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("dispatcher.patch.Spill", "dispatcher.patch.Additions"):
            patch.setattr(name, _with_little(name))
        report = report_of(ticked(state, Ceiling(disk_bytes=100)), LARGE)
    assert report.outcome is RollOutcome.FAILED
    assert len(report.markers_kept) == 1
    assert rows_of(state, LARGE) == before
    assert any("markers/" in key for key in state.buckets[LAKE])
    assert is_rolled_later(state, [*PARTS, late])


def _with_little(name: str) -> Callable[..., object]:
    module, _, attribute = name.rpartition(".")
    made = getattr(__import__(module, fromlist=[attribute]), attribute)
    return lambda *given, **how: made(*given, **how | {"held_max": 8})


def test_a_small_window_is_told_as_near_as_it_is() -> None:
    """The memory of any roll is the least that is told; the report goes through JSON and back."""
    report = ticked(lake_of(PARTS), PLENTY)
    assert report.nearest is not None
    assert (report.nearest.means, report.nearest.percent) == (Means.MEMORY, 50)
    assert TickReport.from_fields(json.loads(json.dumps(report.to_fields()))).nearest == report.nearest


def test_a_report_of_an_older_dispatcher_says_nothing_of_ceilings() -> None:
    """`windrow tick` of today, and the function of yesterday."""
    fields = ticked(lake_of(PARTS), PLENTY).to_fields()
    del fields["nearest"]
    assert TickReport.from_fields(fields).nearest is None


def test_the_memory_that_is_worked_out_is_at_least_what_was_measured() -> None:
    """In every case of bench/ceilings.json, those of one sensor too; and not three times as much for the largest."""
    found = json.loads(FOUND.read_text())
    for one in found:
        of_a_range = one["readings"] if one["sensors"] == 1 else 0
        assert one["memory_mb"] * 1e6 <= ROLL_BYTES + READING_BYTES * of_a_range, one
    largest = max((one for one in found if one["sensors"] == 1), key=lambda one: one["readings"])
    assert ROLL_BYTES + READING_BYTES * largest["readings"] < 3 * largest["memory_mb"] * MIB


def test_the_command_says_which_window_is_near_and_what_to_raise(capsys: pytest.CaptureFixture[str]) -> None:
    """From 70% on, on stderr; the list of windows on stdout is as before."""
    report = ticked(lake_of(PARTS), PLENTY)
    for percent, is_told in ((69, False), (70, True)):
        nearest = Nearest(window=LARGE, means=Means.DISK, percent=percent)
        show(dataclasses.replace(report, nearest=nearest))
        printed = capsys.readouterr()
        told = f"took {percent}% of the dispatcher's local disk; raise DispatcherDiskMb" in " ".join(
            printed.err.split()
        )
        assert told == is_told
        assert "ceiling" not in printed.out
