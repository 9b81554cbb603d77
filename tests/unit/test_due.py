"""Which windows are due, as tables: a pure function of the time and of listings."""

import pytest

from dispatcher.due import (
    FINAL_SWEEPS,
    RECENT_WINDOWS,
    REVERSED_EVERY_TICKS,
    SWEEP_TICKS,
    DueReason,
    DueWindow,
    closing_ms,
    days_within_reach,
    due_windows,
    hours_to_list,
    reach_ms,
    windows_within_reach,
    work_order,
)
from infra import template
from windrow.lake.layout import MarkerKey
from windrow.lifetimes import Lifetimes
from windrow.period import DAY_MS, HOUR_MS
from windrow.timestamps import parse_rfc3339_ms
from windrow.window import WINDOW_MS, Window

WEEK = Lifetimes.of_hours(lateness_horizon_hours=168, stream_retention_hours=24)
SCHEDULED = parse_rfc3339_ms("2026-11-20T10:07:00Z")


def window(text: str) -> Window:
    """The window that starts at this time, such as 20T10:05 for the twentieth."""
    return Window(parse_rfc3339_ms(f"2026-11-{text}:00Z"))


def due(
    *,
    with_lineage: set[Window] | None = None,
    with_partials: tuple[Window, ...] = (),
    begun: tuple[Window, ...] = (),
    markers: tuple[MarkerKey, ...] = (),
    scheduled_time_ms: int = SCHEDULED,
) -> dict[Window, DueWindow]:
    """The due windows at SCHEDULED by window; every window has a lineage unless told otherwise."""
    if with_lineage is None:
        with_lineage = set(windows_within_reach(scheduled_time_ms, WEEK))
    found = due_windows(
        scheduled_time_ms,
        WEEK,
        with_lineage=with_lineage,
        with_partials=with_partials,
        begun=begun,
        markers=markers,
    )
    assert [one.window for one in found] == sorted(one.window for one in found)
    return {one.window: one for one in found}


@pytest.mark.parametrize(
    ("scheduled", "closing"),
    [
        ("10:07:00", "10:05"),  # on time:        10:05 |--2 min--| 10:07
        ("10:06:59.999", "10:00"),  # too early for 10:05
        ("10:11:59.999", "10:05"),  # late by five minutes
        ("10:12:00", "10:10"),
        ("10:08:30", "10:05"),  # a schedule of another phase
        ("00:01:59", "2026-11-19T23:55"),  # over midnight
    ],
)
def test_tick_closes_up_to_two_minutes_before_its_time(scheduled: str, closing: str) -> None:
    """The scheduled time less two minutes, floored to the window."""
    day = "" if "T" in closing else "2026-11-20T"
    expected = parse_rfc3339_ms(f"{day}{closing}:00Z")
    assert closing_ms(parse_rfc3339_ms(f"2026-11-20T{scheduled}Z")) == expected


def test_last_two_hours_are_always_due() -> None:
    """The last 24 windows that have ended; the one that is still open is not.

    08:00      08:05 .......... 10:00      10:05 (closing)
      -          R   24 windows   R          -
    """
    found = due()
    recent = [one for one in found if DueReason.RECENT in found[one].reasons]
    assert recent == [Window(window("20T08:05").start_ms + number * WINDOW_MS) for number in range(RECENT_WINDOWS)]
    assert recent[-1] == window("20T10:00")


def test_window_with_partials_and_no_lineage_is_due() -> None:
    """Both at once: one with a lineage is not new, one without partials is not either."""
    new, rolled, empty = window("18T03:00"), window("18T04:00"), window("18T05:00")
    lineages = set(windows_within_reach(SCHEDULED, WEEK)) - {new, empty}
    found = due(with_lineage=lineages, with_partials=(new, rolled))
    assert found[new].reasons == (DueReason.NEW,)
    assert rolled not in found
    assert empty not in found


def test_window_whose_roll_died_before_its_lineage_is_due() -> None:
    """Its marker is all that is left of the roll. With a lineage, or beyond reach, it is not due for it."""
    died, rolled = window("18T03:00"), window("18T04:00")
    beyond = Window(windows_within_reach(SCHEDULED, WEEK)[0].start_ms - WINDOW_MS)
    lineages = set(windows_within_reach(SCHEDULED, WEEK)) - {died}
    found = due(with_lineage=lineages, begun=(died, rolled, beyond))
    assert found[died].reasons == (DueReason.NEW,)
    assert rolled not in found
    assert beyond not in found


def test_open_window_with_partials_is_not_due() -> None:
    """Nothing is rolled before it ends."""
    still_open = window("20T10:05")
    assert still_open not in due(with_lineage=set(), with_partials=(still_open,))


def test_new_window_beyond_reach_is_left_to_its_marker() -> None:
    """Listings end at the reach; markers do not."""
    old = Window(windows_within_reach(SCHEDULED, WEEK)[0].start_ms - WINDOW_MS)
    assert old not in due(with_lineage=set(), with_partials=(old,))
    assert due(markers=(MarkerKey(window=old, digest="0" * 32),))[old].reasons == (DueReason.MARKED,)


def test_markers_of_a_window_come_with_it() -> None:
    """All of them, whatever else makes the window due."""
    recent, old = window("20T09:00"), window("19T01:00")
    markers = tuple(MarkerKey(window=one, digest=digit * 32) for one in (recent, old) for digit in "21")
    found = due(markers=markers)
    assert found[recent].reasons == (DueReason.RECENT, DueReason.MARKED)
    assert found[old].reasons == (DueReason.MARKED,)
    assert [marker.digest[0] for marker in found[old].markers] == ["1", "2"]


def test_marker_of_a_window_that_has_not_ended_waits() -> None:
    """A consumer whose clock is ahead changes nothing."""
    ahead = window("20T10:05")
    assert ahead not in due(markers=(MarkerKey(window=ahead, digest="0" * 32),))


@pytest.mark.slow
def test_sweep_visits_every_window_within_reach_once_a_day() -> None:
    """Each of 288 ticks takes its share, one window of each day, and together they miss none."""
    ticks = [SCHEDULED + number * WINDOW_MS for number in range(SWEEP_TICKS)]
    always_within = set(windows_within_reach(ticks[0], WEEK)) & set(windows_within_reach(ticks[-1], WEEK))
    swept: list[Window] = []
    for scheduled in ticks:
        found = due(scheduled_time_ms=scheduled)
        share = [one for one in found if DueReason.SWEEP in found[one].reasons]
        assert len({one.start_ms % DAY_MS for one in share}) == 1
        swept += share
    assert len(swept) == len(set(swept))
    assert always_within <= set(swept)


@pytest.mark.slow
@pytest.mark.parametrize(("horizon", "retention"), [(168, 24), (1, 24), (6, 1), (100, 30)])
def test_sweep_sees_every_window_again_and_again_when_it_is_final(horizon: int, retention: int) -> None:
    """Reach is some sweeps longer than the time after which nothing can arrive: `is_final` survives missed ticks."""
    lifetimes = Lifetimes.of_hours(lateness_horizon_hours=horizon, stream_retention_hours=retention)
    one = window("20T10:00")
    final_visits = 0
    first = lifetimes.final_after_ms // WINDOW_MS - 2
    for number in range(first, reach_ms(lifetimes) // WINDOW_MS + 2):
        scheduled = one.end_ms + 120_000 + number * WINDOW_MS
        found = due_windows(scheduled, lifetimes, with_lineage=set(), with_partials=(), markers=())
        reasons = next((due.reasons for due in found if due.window == one), ())
        final_visits += DueReason.SWEEP in reasons and lifetimes.is_final(one, scheduled_time_ms=scheduled)
    assert final_visits == FINAL_SWEEPS > 1


def test_final_begins_when_the_last_late_reading_has_left_the_stream() -> None:
    """End + lateness horizon + retention, to the millisecond."""
    one = window("20T10:00")
    final = one.end_ms + (168 + 24) * HOUR_MS
    assert WEEK.is_final(one, scheduled_time_ms=final)
    assert not WEEK.is_final(one, scheduled_time_ms=final - 1)


def test_reach_is_horizon_retention_and_the_final_sweeps() -> None:
    """Eleven days for the defaults: what the plan lists day by day."""
    within = windows_within_reach(SCHEDULED, WEEK)
    assert (within[0], within[-1]) == (window("09T10:05"), window("20T10:00"))
    assert [day // DAY_MS for day in days_within_reach(SCHEDULED, WEEK)] == [
        window(f"{day:02}T00:00").start_ms // DAY_MS for day in range(9, 21)
    ]


def test_hours_without_gaps_are_not_listed() -> None:
    """A window without lineage makes its hour worth a listing, unless it is due anyway."""
    within = set(windows_within_reach(SCHEDULED, WEEK))
    assert hours_to_list(SCHEDULED, WEEK, with_lineage=within) == []
    assert hours_to_list(SCHEDULED, WEEK, with_lineage=within - {window("20T09:00")}) == []
    gaps = {window("18T03:10"), window("18T03:55"), window("20T08:00")}
    assert hours_to_list(SCHEDULED, WEEK, with_lineage=within - gaps) == [
        window("18T03:00").start_ms,
        window("20T08:00").start_ms,
    ]


def test_every_gap_is_covered_by_the_hours_listed_or_due_anyway() -> None:
    """Rule NEW is complete: on an empty lake every window within reach is in a listed hour or recent."""
    hours = hours_to_list(SCHEDULED, WEEK, with_lineage=set())
    recent = {one for one, found in due().items() if DueReason.RECENT in found.reasons}
    for one in windows_within_reach(SCHEDULED, WEEK):
        assert one.start_ms // HOUR_MS * HOUR_MS in hours or one in recent


def test_time_near_the_beginning_of_all_time_is_no_error() -> None:
    """A tick for a time that only a typing error can name has nothing before it to look at."""
    assert due_windows(0, WEEK, with_lineage=set(), with_partials=(), markers=())
    first = parse_rfc3339_ms("0001-01-01T00:00:00Z")
    found = due_windows(first, WEEK, with_lineage=set(), with_partials=(), begun=(window("20T10:00"),), markers=())
    assert found == ()
    early = parse_rfc3339_ms("0001-01-02T00:00:00Z")
    assert days_within_reach(early, WEEK)


@pytest.mark.slow
def test_partials_outlive_the_reach_whatever_a_stage_chooses() -> None:
    """The template's limits: a window that a tick can look at still has all of its partials, with a day to spare."""
    parameters = template.load()["Parameters"]
    longest = Lifetimes.of_hours(
        lateness_horizon_hours=parameters["LatenessHorizonHours"]["MaxValue"],
        stream_retention_hours=parameters["StreamRetentionHours"]["MaxValue"],
    )
    kept_ms = parameters["PartialsRetentionDays"]["MinValue"] * DAY_MS
    assert reach_ms(longest) + DAY_MS <= kept_ms
    results_days = [days for days in parameters["ResultsRetentionDays"]["AllowedValues"] if days]
    assert min(results_days) * DAY_MS > reach_ms(longest) + DAY_MS


def test_what_kills_the_run_keeps_nothing_from_its_turn() -> None:
    """One window that ends every run it is tried in: within a few ticks all the others have been worked off."""
    windows = list(range(100))
    done: set[int] = set()
    for tick in range(REVERSED_EVERY_TICKS):
        for one in work_order(windows, SCHEDULED + tick * WINDOW_MS):
            if one == 42:
                break
            done.add(one)
    assert done == set(windows) - {42}


def test_the_newest_window_waits_for_no_backlog() -> None:
    """It is first at every tick; then mostly the oldest."""
    for tick in range(2 * REVERSED_EVERY_TICKS):
        assert work_order([1, 2, 3, 4], SCHEDULED + tick * WINDOW_MS)[0] == 4
    orders = [work_order([1, 2, 3, 4], SCHEDULED + tick * WINDOW_MS) for tick in range(REVERSED_EVERY_TICKS)]
    assert sorted(orders) == [[4, 1, 2, 3]] * (REVERSED_EVERY_TICKS - 1) + [[4, 3, 2, 1]]
    assert work_order([], SCHEDULED) == []
