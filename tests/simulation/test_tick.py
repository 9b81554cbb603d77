"""What a tick does to windows: roll, record, settle, heal, finish, defer."""

import dataclasses

from dispatcher.due import FINAL_SWEEPS, DueReason
from dispatcher.report import RollOutcome
from dispatcher.tick import Tick
from tests.simulation.lake import (
    FIRST,
    LAKE,
    LATE,
    LIFETIMES,
    OLD,
    RECENT,
    RESULTS,
    SCHEDULED,
    SECOND,
    at,
    buckets,
    contents,
    forget_rows,
    lineage_of,
    marker_put,
    markers_of,
    partial_of,
    partial_put,
    report_of,
    rolled,
    rows_of,
    tick,
)
from tests.simulation.simulated_s3 import Delete, Get, ListPage, Operation, Put, S3State, recording
from windrow.lake.layout import (
    SILENCES,
    Origin,
    QuarantineKey,
    lineage_key,
    partials_prefix,
    period_lineages_key,
    period_rows_key,
    rows_key,
)
from windrow.period import Grain, Period
from windrow.rows.silence import HISTORY_WINDOWS
from windrow.window import WINDOW_MS, Window


def operations_on(window: Window, operations: list[Operation]) -> list[Operation]:
    """The requests that name the window's own keys or prefix."""
    own = (partials_prefix(window), rows_key(window), lineage_key(window))
    return [one for one in operations if (one.prefix if isinstance(one, ListPage) else one.key).startswith(own)]


def test_lineage_states_the_facts_of_the_roll() -> None:
    """Every number of the lineage follows from the partials, their delivery and the tick."""
    state = S3State()
    state.apply(partial_put(RECENT, FIRST, late=1, duplicates=4))
    state.apply(partial_put(RECENT, SECOND, first=2, shard=1, late=2))
    conflicting = [("b", 1_000, 0, 30_000)]
    state.apply(partial_put(RECENT, conflicting, first=3))
    for count in (3, 4):
        origin = Origin(stream="readings", shard="shardId-000000000000", first=count, last=count)
        state.apply(Put(LAKE, str(QuarantineKey(window=RECENT, origin=origin, count=count, digest="0" * 32)), b""))
    report = report_of(tick(state.apply, SCHEDULED), RECENT)
    lineage = lineage_of(state, RECENT)
    assert (report.outcome, report.revision, report.readings) == (RollOutcome.ROLLED, 1, 3)
    assert (lineage.readings, lineage.sensors, lineage.conflicts, lineage.duplicates_removed) == (3, 3, 1, 5)
    assert lineage.readings + lineage.conflicts + lineage.duplicates_removed == 5 + 4
    assert (lineage.late, lineage.quarantined, lineage.partials, lineage.revision) == (3, 7, 3, 1)
    assert lineage.shards == ("readings-shardId-000000000000", "readings-shardId-000000000001")
    assert lineage.digests == tuple(sorted(partial_of(RECENT, rows).digest for rows in (FIRST, SECOND, conflicting)))
    assert lineage.result_etag == state.buckets[RESULTS][rows_key(RECENT)].etag
    assert not lineage.is_final
    assert lineage.scheduled_time_ms == SCHEDULED


def test_settled_window_costs_one_list_and_one_get() -> None:
    """A second tick reads each lineage and lists each window's partials once, and writes nothing."""
    state, operations = rolled(), []
    before = contents(state)
    report = tick(recording(state.apply, operations), SCHEDULED)
    assert report.outcomes == {RollOutcome.SETTLED: len(report.windows)}
    for one in report.windows:
        assert [type(operation) for operation in operations_on(one.window, operations)] == [Get, ListPage]
    assert not [operation for operation in operations if isinstance(operation, Put | Delete)]
    assert contents(state) == before
    days = 5  # within reach
    beside_windows = report.s3_calls["get"] - len(report.windows)
    # Lineages of windows before the recent ones, whose sensors count for their silence; of hours and of days.
    assert beside_windows <= HISTORY_WINDOWS - 1 + days + 1
    beside_windows = report.s3_calls["list"] - len(report.windows)
    # Markers; lineages, rows; partials of days and hours with gaps; silences; rows of hours, rows of days.
    assert beside_windows <= 1 + days + days + 2 + 5 + 2 + 1 + 1


def test_new_window_costs_a_list_its_partials_and_two_puts() -> None:
    """The plan's listing showed that there is no lineage, so none is asked for; the rows are listed by the day.

    Then its rows are read once, for who fell silent, and its lineage learns that.
    """
    state, operations = S3State(), []
    state.apply(partial_put(RECENT, FIRST))
    state.apply(partial_put(RECENT, SECOND, first=2))
    tick(recording(state.apply, operations), SCHEDULED)
    kinds = [type(operation) for operation in operations_on(RECENT, operations)]
    assert kinds == [ListPage, Get, Get, Put, Put, Get, Put]


def test_late_partial_changes_its_window_alone_and_raises_the_revision() -> None:
    """A marked window is rolled anew; every other result stays to the byte; the marker goes."""
    state = rolled(OLD)
    before = contents(state)
    state.apply(partial_put(OLD, LATE, first=3, late=2))
    state.apply(marker_put(OLD, LATE))
    report_all = tick(state.apply, SCHEDULED)
    report = report_of(report_all, OLD)
    after = contents(state)
    assert report.reasons == (DueReason.MARKED,)
    assert (report.outcome, report.revision, report.markers_kept) == (RollOutcome.ROLLED, 2, ())
    hour = Period.containing(Grain.HOUR, OLD.start_ms)
    of_the_hour = {period_rows_key(hour), period_lineages_key(hour)}
    changed = {key for key in after if after[key] != before.get(key)}
    # Some windows after it are told how complete they are, and who is silent, by the sensors of those before.
    told = {lineage_key(one.window) for one in report_all.windows if one.outcome is RollOutcome.SETTLED}
    results = {key for key in changed if not key.startswith(SILENCES)}
    assert results - told == {rows_key(OLD), lineage_key(OLD), *of_the_hour}
    assert not markers_of(state)


def test_readings_that_are_known_already_leave_the_rows_alone() -> None:
    """Another cut of the same readings is a new partial: only the lineage is written, and the revision stays."""
    state, operations = rolled(), []
    state.apply(partial_put(RECENT, FIRST[:1], first=9))
    report = report_of(tick(recording(state.apply, operations), SCHEDULED), RECENT)
    assert (report.outcome, report.revision) == (RollOutcome.RECORDED, 1)
    assert [operation.key for operation in operations if isinstance(operation, Put)] == [lineage_key(RECENT)]
    assert lineage_of(state, RECENT).duplicates_removed == 2


def test_same_digest_under_two_keys_is_read_once_and_counted_twice() -> None:
    """Two batches that held the same readings are two objects of one digest."""
    state, operations = S3State(), []
    state.apply(partial_put(RECENT, FIRST))
    tick(state.apply, SCHEDULED)
    assert lineage_of(state, RECENT).duplicates_removed == 0
    state.apply(partial_put(RECENT, FIRST, first=2))
    report = report_of(tick(recording(state.apply, operations), SCHEDULED), RECENT)
    lineage = lineage_of(state, RECENT)
    assert (report.outcome, lineage.partials, lineage.duplicates_removed) == (RollOutcome.RECORDED, 2, 2)
    assert len([one for one in operations_on(RECENT, operations) if isinstance(one, Get) and one.bucket == LAKE]) == 1
    del state.buckets[LAKE][partial_put(RECENT, FIRST).key]
    assert report_of(tick(state.apply, SCHEDULED), RECENT).outcome is RollOutcome.SETTLED


def test_as_many_partials_are_not_the_same_partials() -> None:
    """One of two equal partials expired and another arrived: only the fingerprint tells."""
    state = S3State()
    state.apply(partial_put(RECENT, FIRST))
    state.apply(partial_put(RECENT, FIRST, first=2))
    tick(state.apply, SCHEDULED)
    state.apply(Delete(LAKE, partial_put(RECENT, FIRST).key))
    state.apply(partial_put(RECENT, SECOND, first=3))
    assert report_of(tick(state.apply, SCHEDULED), RECENT).outcome is RollOutcome.ROLLED
    assert lineage_of(state, RECENT).readings == 3


def test_window_without_readings_gets_a_lineage_and_no_rows() -> None:
    """An ended window that nobody wrote to is known to be empty."""
    state = S3State()
    tick(state.apply, SCHEDULED)
    lineage = lineage_of(state, RECENT)
    assert (lineage.readings, lineage.sensors, lineage.partials, lineage.result_etag) == (0, 0, 0, "")
    assert rows_of(state, RECENT) is None


def test_rows_of_nobody_are_replaced_by_no_rows() -> None:
    """A rows object in a window without readings becomes an empty one, and then the window is settled."""
    state = S3State()
    state.apply(Put(RESULTS, rows_key(RECENT), b"what is this?"))
    assert report_of(tick(state.apply, SCHEDULED), RECENT).outcome is RollOutcome.ROLLED
    rows = rows_of(state, RECENT)
    assert rows is not None
    assert rows.startswith(b"PAR1")
    assert report_of(tick(state.apply, SCHEDULED), RECENT).outcome is RollOutcome.SETTLED


def test_deleted_rows_heal_at_the_next_tick() -> None:
    """Rows are a function of the partials: the same bytes come back, under the same revision."""
    state = rolled()
    before = contents(state)
    forget_rows(state, RECENT)
    report = report_of(tick(state.apply, SCHEDULED), RECENT)
    assert (report.outcome, report.revision) == (RollOutcome.ROLLED, 1)
    assert contents(state) == before


def test_overwritten_rows_heal_at_the_next_tick() -> None:
    """Rows whose ETag is not the lineage's are not trusted."""
    state = rolled()
    before = contents(state)
    state.apply(Put(RESULTS, rows_key(RECENT), b"what is this?"))
    tick(state.apply, SCHEDULED)
    assert contents(state) == before


def test_deleted_lineage_heals_at_the_next_tick() -> None:
    """A window with partials and no lineage is due however old it is; the revision begins anew."""
    state = rolled(OLD)
    before = contents(state)
    state.apply(Delete(RESULTS, lineage_key(OLD)))
    report = report_of(tick(state.apply, SCHEDULED), OLD)
    assert report.reasons == (DueReason.NEW,)
    assert contents(state) == before


def test_marked_window_beyond_reach_is_rolled() -> None:
    """Only a marker reaches back a year."""
    state = S3State()
    ancient = Window(OLD.start_ms - 365 * 86_400_000)
    state.apply(partial_put(ancient, FIRST))
    assert all(one.window != ancient for one in tick(state.apply, SCHEDULED).windows)
    state.apply(marker_put(ancient, FIRST))
    report = report_of(tick(state.apply, SCHEDULED), ancient)
    assert (report.reasons, report.outcome) == ((DueReason.MARKED,), RollOutcome.ROLLED)
    assert lineage_of(state, ancient).is_final


def test_window_becomes_final_in_the_sweep_without_a_look_at_its_partials() -> None:
    """When nothing can arrive any more, the settled lineage is written once more, and never again."""
    state, operations = rolled(), []
    before = lineage_of(state, RECENT)
    day_ms = 288 * WINDOW_MS
    its_turn = RECENT.start_ms + day_ms + 120_000
    report = report_of(tick(recording(state.apply, operations), its_turn), RECENT)
    assert (report.reasons, report.outcome) == ((DueReason.SWEEP,), RollOutcome.RECORDED)
    assert lineage_of(state, RECENT) == dataclasses.replace(before, is_final=True, scheduled_time_ms=its_turn)
    assert not [one for one in operations_on(RECENT, operations) if isinstance(one, Get) and one.bucket == LAKE]
    assert report_of(tick(state.apply, its_turn), RECENT).outcome is RollOutcome.SETTLED
    assert all(one.window != RECENT for one in tick(state.apply, its_turn + FINAL_SWEEPS * day_ms).windows)


def test_window_becomes_final_though_the_first_tick_that_could_say_so_was_missed() -> None:
    """The sweep comes by again the next day."""
    state = rolled()
    its_second_turn = RECENT.start_ms + 2 * 288 * WINDOW_MS + 120_000
    assert report_of(tick(state.apply, its_second_turn), RECENT).outcome is RollOutcome.RECORDED
    assert lineage_of(state, RECENT).is_final


def six_hours_missed() -> tuple[S3State, list[Window]]:
    """Readings in every window of six hours and a half, and no tick in all that time."""
    state = S3State()
    missed = [Window(start) for start in range(at("03:30"), at("10:05"), WINDOW_MS)]
    for window in missed:
        state.apply(partial_put(window, FIRST))
    return state, missed


def test_six_hours_of_missed_ticks_heal_in_one_run_and_a_doubled_one_changes_nothing() -> None:
    """The next tick rolls every window of the outage; its double finds them all settled or not due."""
    state, missed = six_hours_missed()
    report = tick(state.apply, SCHEDULED)
    assert all(report_of(report, window).outcome is RollOutcome.ROLLED for window in missed)
    assert [one.window for one in report.windows] == sorted(one.window for one in report.windows)
    before = contents(state)
    assert tick(state.apply, SCHEDULED).outcomes.keys() == {RollOutcome.SETTLED}
    assert contents(state) == before


def test_run_without_any_time_still_gets_on_by_one_window() -> None:
    """However short the time, the next run has less to do."""
    state, _ = six_hours_missed()
    both = buckets(state.apply)
    report = Tick(buckets=both, lifetimes=LIFETIMES, scheduled_time_ms=SCHEDULED, time_left=lambda: False).run()
    assert report.outcomes[RollOutcome.DEFERRED] == len(report.windows) - 1


def test_dry_run_lists_what_is_due_and_writes_nothing() -> None:
    """The plan is a value that can be printed; the run that follows does just that."""
    state, _ = six_hours_missed()
    before = contents(state)
    both = buckets(state.apply)
    planned = Tick(buckets=both, lifetimes=LIFETIMES, scheduled_time_ms=SCHEDULED).run(is_dry_run=True)
    assert planned.outcomes == {RollOutcome.DUE: len(planned.windows)}
    assert contents(state) == before
    done = tick(state.apply, SCHEDULED)
    assert [(one.window, one.reasons) for one in planned.windows] == [(one.window, one.reasons) for one in done.windows]
