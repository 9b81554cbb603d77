"""What follows from rows, within one tick: silences, then hours, then days; of the live windows, and of all others.

An hour of which a window is deferred waits for it, so a backlog does not roll an hour anew for every few of its
windows; so does a day for its hours. Every tick looks for hours and days by the ETags of rows, so none is forgotten.
"""

import dataclasses
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from dispatcher.due import DueReason, work_order
from dispatcher.excursions import Excursions
from dispatcher.observation import Buckets, RowsIndex
from dispatcher.periods import PeriodRoller, list_rows, window_etags
from dispatcher.report import PeriodReport, RollOutcome, WindowReport
from dispatcher.room import Room
from dispatcher.silences import Notifier, Silences, summary_of
from windrow.lake.layout import SilenceMarkerKey, period_lineages_key
from windrow.lake.store import Mapper
from windrow.period import DAY_MS, Grain, Period
from windrow.window import Window

log = logging.getLogger(__name__)

_NOT_DONE = (RollOutcome.DEFERRED, RollOutcome.WAITING)


@dataclass(slots=True, kw_only=True)
class FollowUp:
    """Works out what follows from the rows of windows; everything asks `time_left` before it begins.

    `days_within_reach` are starts in ms. `changed` are the windows whose listings of rows are out of date.
    `leaves_rules`: the stage has rules that a later tick is to apply, so markers stay for it.
    """

    buckets: Buckets
    silences: Silences
    excursions: Excursions | None
    leaves_rules: bool
    index: RowsIndex
    scheduled_time_ms: int
    days_within_reach: Sequence[int]
    time_left: Callable[[], bool]
    notifier: Notifier | None
    mapper: Mapper
    work_mapper: Mapper
    room: Room | None
    _forgotten: set[Window] = dataclasses.field(default_factory=set)

    def tell_newest_silence(self, windows: Iterable[WindowReport]) -> None:
        """Settle the silence of the newest recent window, and send a summary if anything changed in it.

        Failing to send it does not end the tick.
        """
        for window, silence in self.silences.settle(_recent(windows)[-1:], time_left=self.time_left).items():
            before = self.silences.lineage(Window.from_index(window.index - 1))
            summary = summary_of(silence, was_outage=before is not None and before.is_outage)
            if summary is None or self.notifier is None:
                continue
            try:
                self.notifier.notify(*summary)
            except Exception:
                log.exception("the summary of %s was not sent", window)

    def settle_silences(self, windows: Iterable[WindowReport]) -> None:
        """Settle the silences of the recent ones of `windows`, and of the others whose own sensors changed."""
        windows = list(windows)
        recent = set(_recent(windows))
        # A window that changed makes the silences of later ones due only while these are recent; its own is always due.
        older = {one.window for one in windows if one.outcome is not RollOutcome.DEFERRED} - recent
        self._settle_due(older, recent)

    def settle_marked(self, markers: Collection[SilenceMarkerKey]) -> None:
        """Settle the silences and excursions that a marker names, and delete the markers of those that are known."""
        windows = {marker.window for marker in markers}
        self._settle_due(windows, ())
        if self.excursions is not None:
            self.excursions.settle(windows)
        self.silences.release(set(markers), is_settled=self._has_settled_excursions)

    def _has_settled_excursions(self, window: Window) -> bool:
        return not self.leaves_rules if self.excursions is None else self.excursions.is_settled(window)

    def settle_live_excursions(self, windows: Iterable[WindowReport], gaps: Iterable[Window]) -> None:
        """Settle the excursions of the recent ones of `windows`, then of the others and of `gaps`."""
        if self.excursions is not None:
            windows = list(windows)
            self.excursions.settle_recent(_recent(windows))
            self.excursions.settle(gaps)
            self.settle_excursions(windows)

    def settle_excursions(self, windows: Iterable[WindowReport]) -> None:
        """Settle the excursions of those of `windows` that the tick got to."""
        if self.excursions is not None:
            self.excursions.settle(
                one.window
                for one in windows
                if one.outcome is not RollOutcome.DEFERRED and DueReason.RECENT not in one.reasons
            )

    def _settle_due(self, older: Iterable[Window], recent: Iterable[Window]) -> None:
        due = {window for window in older if self.time_left() and self.silences.is_due(window)}
        self.silences.settle(due.union(recent), time_left=self.time_left)

    def roll_recent_periods(self, windows: Iterable[WindowReport]) -> list[PeriodReport]:
        """Roll the hours and days of the recent ones of `windows` that have changed, and no others."""
        windows = [one for one in windows if DueReason.RECENT in one.reasons]
        return self._roll_periods(windows, _days_of(windows), hours=_hours_of(windows))

    def roll_all_periods(self, windows: Sequence[WindowReport]) -> list[PeriodReport]:
        """Roll the hours and days that have changed, within reach and of `windows`."""
        return self._roll_periods(windows, _days_of(windows) | set(self.days_within_reach), hours=None)

    def _roll_periods(
        self, windows: Sequence[WindowReport], days_ms: set[int], *, hours: Collection[Period] | None
    ) -> list[PeriodReport]:
        """Roll the hours of these days, only `hours` if given, then the days, by the rows as they are now."""
        if not self.time_left():
            return []
        self._forget_what_changed(windows)
        roller = PeriodRoller(
            buckets=self.buckets, scheduled_time_ms=self.scheduled_time_ms, mapper=self.mapper, room=self.room
        )
        days = sorted(days_ms)
        listed = list_rows(self.buckets.results, Grain.HOUR, days)
        due = [
            hour
            for day in days
            for hour in roller.due_hours(day, window_etags(self.index.etags_of_day(self.buckets, day)), listed)
            if hours is None or hour in hours
        ]
        deferred = _hours_of(one for one in windows if one.outcome is RollOutcome.DEFERRED)
        reports = [_waiting(hour) for hour in due if hour in deferred]
        reports += self._roll_in_time(roller, [hour for hour in due if hour not in deferred])
        if due:
            listed = list_rows(self.buckets.results, Grain.HOUR, days)
        held = {Period.containing(Grain.DAY, one.period.start_ms) for one in reports if one.outcome in _NOT_DONE}
        due_days = roller.due_days(days, listed, list_rows(self.buckets.results, Grain.DAY, days))
        return reports + self._roll_in_time(roller, [day for day in due_days if day not in held])

    def _forget_what_changed(self, windows: Iterable[WindowReport]) -> None:
        """Let the index list the days anew of windows that may have been written since it listed them, once each."""
        for report in windows:
            if report.outcome in (RollOutcome.SETTLED, RollOutcome.DEFERRED) or report.window in self._forgotten:
                continue
            self._forgotten.add(report.window)
            self.index.forget(report.window)

    def _roll_in_time(self, roller: PeriodRoller, due: Sequence[Period]) -> list[PeriodReport]:
        """Roll as many as there is time for, those of several lineage objects at once."""

        def roll(period: Period) -> PeriodReport:
            if self.time_left():
                return roller.roll(period)
            return PeriodReport(period=period, outcome=RollOutcome.DEFERRED)

        # Periods whose lineages share an object are rolled one after another, or they would refuse each other's writes.
        together: dict[str, list[Period]] = {}
        for period in work_order(due, self.scheduled_time_ms):
            together.setdefault(period_lineages_key(period), []).append(period)
        rolled = self.work_mapper(lambda periods: list(map(roll, periods)), together.values())
        return list(chain.from_iterable(rolled))


def _recent(windows: Iterable[WindowReport]) -> list[Window]:
    """Return the recent ones, ascending."""
    return sorted(one.window for one in windows if DueReason.RECENT in one.reasons)


def _days_of(windows: Iterable[WindowReport]) -> set[int]:
    return {one.window.start_ms // DAY_MS * DAY_MS for one in windows}


def _hours_of(windows: Iterable[WindowReport]) -> set[Period]:
    return {Period.containing(Grain.HOUR, one.window.start_ms) for one in windows}


def _waiting(hour: Period) -> PeriodReport:
    return PeriodReport(
        period=hour, outcome=RollOutcome.WAITING, detail="one of its windows was not reached in this tick"
    )
