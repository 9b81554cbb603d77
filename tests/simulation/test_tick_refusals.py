"""What a tick refuses to do, and says so: shrink a result, skip a partial, lose a marker, go on for ever."""

import dataclasses

import pytest

from dispatcher.report import RollOutcome
from tests.simulation.lake import (
    FIRST,
    LAKE,
    LATE,
    OLD,
    RECENT,
    RESULTS,
    SCHEDULED,
    SECOND,
    contents,
    forget_rows,
    lineage_of,
    marker_put,
    markers_of,
    next_tick,
    partial_of,
    partial_put,
    report_of,
    rolled,
    tick,
    window_at,
)
from tests.simulation.simulated_s3 import Answer, Delete, Get, Operation, Put, S3State
from windrow.lake.layout import Origin, PartialKey, lineage_key, partials_prefix, rows_key


@pytest.mark.parametrize("also_rows", [False, True], ids=["rows there", "rows gone too"])
def test_deleted_partial_freezes_its_window(also_rows: bool) -> None:
    """A listing that lacks a digest of the lineage must not shrink a result: nothing is written, and it is told."""
    state = rolled()
    gone = partial_put(RECENT, SECOND, first=2, shard=1)
    state.apply(Delete(LAKE, gone.key))
    state.apply(partial_put(RECENT, LATE, first=3))
    if also_rows:
        forget_rows(state, RECENT)
    before = contents(state)
    report = report_of(tick(state.apply, SCHEDULED), RECENT)
    assert (report.outcome, report.revision) == (RollOutcome.FROZEN, 1)
    assert partial_of(RECENT, SECOND).digest in report.detail
    assert contents(state) == before
    state.apply(gone)
    assert report_of(tick(state.apply, SCHEDULED), RECENT).outcome is RollOutcome.ROLLED
    assert lineage_of(state, RECENT).readings == 4  # a, b, c, d


def test_marker_goes_only_with_a_lineage_that_names_its_partial() -> None:
    """Markers of settled windows go, markers of frozen windows stay unless their partial was rolled before."""
    state = rolled(OLD)
    state.apply(marker_put(OLD, FIRST))
    assert report_of(tick(state.apply, SCHEDULED), OLD).outcome is RollOutcome.SETTLED
    assert not markers_of(state)
    state.apply(Delete(LAKE, partial_put(OLD, SECOND, first=2, shard=1).key))
    for rows in (FIRST, SECOND, LATE):
        state.apply(marker_put(OLD, rows))
    state.apply(partial_put(OLD, LATE, first=3))
    report = report_of(tick(state.apply, SCHEDULED), OLD)
    assert (report.outcome, report.markers_kept) == (RollOutcome.FROZEN, (partial_of(OLD, LATE).digest,))
    assert markers_of(state) == [marker_put(OLD, LATE).key]


def test_marker_whose_partial_is_not_there_stays_and_is_told() -> None:
    """A marker is a promise that a partial exists; a broken one is not swept under the rug."""
    state = rolled(OLD)
    state.apply(marker_put(OLD, LATE))
    for _ in range(2):
        report = report_of(tick(state.apply, SCHEDULED), OLD)
        assert (report.outcome, report.markers_kept) == (RollOutcome.SETTLED, (partial_of(OLD, LATE).digest,))
    assert markers_of(state) == [marker_put(OLD, LATE).key]


def test_marker_of_a_window_that_has_not_ended_waits() -> None:
    """A consumer whose clock is ahead marks too early: the window is not touched before its time."""
    state = S3State()
    ahead = window_at("10:05")
    state.apply(partial_put(ahead, FIRST))
    state.apply(marker_put(ahead, FIRST))
    assert all(one.window != ahead for one in tick(state.apply, SCHEDULED).windows)
    assert markers_of(state)
    assert report_of(tick(state.apply, next_tick(SCHEDULED)), ahead).outcome is RollOutcome.ROLLED
    assert not markers_of(state)


def corruptions() -> dict[str, Put]:
    """Partials that are not what their keys say."""
    good = partial_put(RECENT, SECOND, first=2)
    other = partial_put(OLD, SECOND, first=2)
    origin = Origin(stream="s", shard="shardId-0", first=1, last=1)
    moved = PartialKey(window=RECENT, origin=origin, digest="0" * 32)
    strayed = PartialKey(window=RECENT, origin=origin, digest=partial_of(OLD, SECOND).digest)
    return {
        "no Parquet": dataclasses.replace(good, body=b"PAR1 or not"),
        "cut short": dataclasses.replace(good, body=good.body[:-9]),
        "other readings": dataclasses.replace(good, body=partial_put(RECENT, LATE).body),
        "another window's": dataclasses.replace(good, body=other.body),
        "another window's, under its own digest": dataclasses.replace(good, key=str(strayed), body=other.body),
        "another digest": dataclasses.replace(good, key=str(moved)),
        "no partial's key": dataclasses.replace(good, key=f"{partials_prefix(RECENT)}-_SUCCESS"),
    }


@pytest.mark.parametrize("corrupt", corruptions().values(), ids=corruptions().keys())
def test_unreadable_partial_fails_its_window_by_name_and_no_other(corrupt: Put) -> None:
    """A partial is never skipped: its window stays as it was, the key is told, the other windows go on."""
    state = rolled(OLD)
    state.apply(partial_put(RECENT, FIRST))
    state.apply(corrupt)
    before = contents(state)
    report = tick(state.apply, SCHEDULED)
    assert report.outcomes[RollOutcome.FAILED] == 1
    assert report_of(report, RECENT).outcome is RollOutcome.FAILED
    assert corrupt.key in report_of(report, RECENT).detail
    assert contents(state) == before
    state.apply(Delete(LAKE, corrupt.key))
    assert report_of(tick(state.apply, SCHEDULED), RECENT).outcome in (RollOutcome.ROLLED, RollOutcome.RECORDED)


def test_unreadable_lineage_fails_its_window_and_is_not_overwritten() -> None:
    """Without the digests of the last roll nobody can say whether a roll would shrink a result."""
    state = rolled()
    state.apply(Put(RESULTS, lineage_key(RECENT), b"{}"))
    before = contents(state)
    report = report_of(tick(state.apply, SCHEDULED), RECENT)
    assert (report.outcome, lineage_key(RECENT) in report.detail) == (RollOutcome.FAILED, True)
    assert contents(state) == before


def test_what_nobody_expected_fails_its_window_and_no_other() -> None:
    """An error of our own in one window is told, and must not starve the windows after it."""
    state = S3State()
    bad = window_at("09:00")
    for window in (bad, RECENT):
        state.apply(partial_put(window, FIRST))

    def breaking(operation: Operation) -> Answer:
        if isinstance(operation, Get) and operation.key.startswith(partials_prefix(bad)):
            raise ZeroDivisionError("our own")
        return state.apply(operation)

    report = tick(breaking, SCHEDULED)
    assert report_of(report, bad).detail == "ZeroDivisionError: our own"
    assert report_of(report, RECENT).outcome is RollOutcome.ROLLED
    assert report.outcomes[RollOutcome.FAILED] == 1


def test_keys_of_others_are_told_and_stop_nothing() -> None:
    """Whatever lies about under our prefixes is no marker, no lineage and no window."""
    state = S3State()
    strange = ["markers/x", "markers/dt=2026-11-20/hour=10/0905/" + "0" * 32, "partials/dt=2026-11-20/hour=03/tmp-1/x"]
    for key in strange:
        state.apply(Put(LAKE, key, b""))
    state.apply(Put(RESULTS, "windows/dt=2026-11-20/note.txt", b""))
    report = tick(state.apply, SCHEDULED)
    assert set(report.unknown_keys) == {
        *strange[:2],
        "partials/dt=2026-11-20/hour=03/tmp-",
        "windows/dt=2026-11-20/note.txt",
    }
    assert report.outcomes.keys() == {RollOutcome.ROLLED}


def test_roll_that_loses_every_time_gives_up_and_says_so() -> None:
    """Starting over is bounded; the window stays for the next tick."""
    state = S3State()
    state.apply(partial_put(RECENT, FIRST))
    writes = 0

    def overtaking(operation: Operation) -> Answer:
        nonlocal writes
        if isinstance(operation, Put) and operation.key == rows_key(RECENT):
            writes += 1
            state.apply(Put(RESULTS, rows_key(RECENT), str(writes).encode()))
        return state.apply(operation)

    report = report_of(tick(overtaking, SCHEDULED), RECENT)
    assert (report.outcome, writes) == (RollOutcome.CONTENDED, 5)
    assert report_of(tick(state.apply, SCHEDULED), RECENT).outcome is RollOutcome.ROLLED
