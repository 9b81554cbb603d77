"""One tick: plan from listings, roll the windows that are due while there is time, then silences, hours and days.

The plan costs one LIST for each day within reach for lineages, one for markers, and LISTs of partials only where
lineages are missing. A settled window then costs a LIST and a GET, and its share of one LIST a day for ETags of rows.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from dispatcher.due import (
    DueReason,
    DueWindow,
    days_within_reach,
    due_windows,
    hours_to_list,
    windows_within_reach,
    work_order,
)
from dispatcher.observation import Buckets, Observation, observe_lineage
from dispatcher.periods import PeriodRoller, list_rows, window_etags
from dispatcher.report import PeriodReport, RollOutcome, TickReport, WindowReport
from dispatcher.roll import Roller, roll_window
from dispatcher.silences import Notifier, Silences, summary_of
from windrow.lake.layout import (
    AGGREGATES,
    MARKERS,
    PARTIALS,
    SILENCE_MARKERS,
    WINDOW_MARK,
    WINDOWS,
    SilenceMarkerKey,
    day_prefix,
    hour_prefix,
    parse_marker_key,
    parse_result_key,
    parse_silence_marker_key,
    parse_window_prefix,
    rows_key,
)
from windrow.lake.store import CountingStore, Mapper, ObjectStore
from windrow.lifetimes import Lifetimes
from windrow.period import DAY_MS, Grain, Period
from windrow.rows.silence import Silence
from windrow.window import Window

Parsed = TypeVar("Parsed")

log = logging.getLogger(__name__)


def always() -> bool:
    """Return True: there is always time left."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class TickPlan:
    """What a tick will look at.

    without_lineage: the windows within reach whose lineage was not listed. silence_markers: of windows whose silence an
    earlier tick did not get to. unknown_keys: those in our folders that windrow does not write.
    """

    due: tuple[DueWindow, ...]
    without_lineage: frozenset[Window]
    silence_markers: frozenset[SilenceMarkerKey]
    unknown_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One scheduled run over two buckets: windows, silences, hours and days.

    `time_left` is asked before every window but the first, so each run completes at least one.
    """

    buckets: Buckets
    lifetimes: Lifetimes
    scheduled_time_ms: int
    time_left: Callable[[], bool] = always
    mapper: Mapper = map
    notifier: Notifier | None = None

    def run(self, *, is_dry_run: bool = False) -> TickReport:
        """Plan and, unless it is a dry run, roll."""
        lake, results = CountingStore(self.buckets.lake), CountingStore(self.buckets.results)
        buckets = Buckets(lake=lake, results=results)
        plan = plan_tick(buckets, self.scheduled_time_ms, self.lifetimes)
        periods: list[PeriodReport] = []
        if is_dry_run:
            reports = [_report_of(due, RollOutcome.DUE) for due in plan.due]
        else:
            index = RowsIndex(without_lineage=plan.without_lineage)
            roller = Roller(
                buckets=buckets,
                lifetimes=self.lifetimes,
                scheduled_time_ms=self.scheduled_time_ms,
                mapper=self.mapper,
                silence_markers=set(plan.silence_markers),
            )
            reports = self._roll_all(roller, plan, index)
            if all(report.outcome is not RollOutcome.DEFERRED for report in reports):
                periods = self._follow_up(roller, index, reports)
        return TickReport(
            scheduled_time_ms=self.scheduled_time_ms,
            windows=tuple(reports),
            periods=tuple(periods),
            s3_calls=dict(sorted((lake.calls + results.calls).items())),
            unknown_keys=plan.unknown_keys,
        )

    def _roll_all(self, roller: Roller, plan: TickPlan, index: "RowsIndex") -> list[WindowReport]:
        reports: list[WindowReport] = []
        ordered = work_order(plan.due, self.scheduled_time_ms)
        for position, due in enumerate(ordered):
            if position and not self.time_left():
                reports += [_report_of(later, RollOutcome.DEFERRED) for later in ordered[position:]]
                break
            reports.append(_roll_reporting(roller, due, index))
        return sorted(reports, key=lambda report: report.window)

    def _follow_up(self, roller: Roller, index: "RowsIndex", windows: Sequence[WindowReport]) -> list[PeriodReport]:
        """Work out what follows from rows: the newest silence, then hours and days, then the other silences."""
        silences = Silences(buckets=roller.buckets, known=roller.lineages)
        recent = [one.window for one in windows if DueReason.RECENT in one.reasons]
        self._notify(silences, silences.settle(recent[-1:], time_left=self.time_left))
        periods = self._roll_periods(roller.buckets, index, windows)
        # A window that changed makes the silences of later ones due only while these are recent; its own is always due.
        marked = {marker.window for marker in roller.silence_markers}
        looked_at = {one.window for one in windows}
        older = {window for window in marked | looked_at if self.time_left() and silences.is_due(window)}
        silences.settle(older.union(recent), time_left=self.time_left)
        silences.release(roller.silence_markers)
        return periods

    def _notify(self, silences: Silences, found: Mapping[Window, Silence]) -> None:
        """Send a summary of the newest window if anything changed in it; failing to send it does not end the tick."""
        for window, silence in found.items():
            before = silences.lineage(Window.from_index(window.index - 1))
            summary = summary_of(silence, was_outage=before is not None and before.is_outage)
            if summary is None or self.notifier is None:
                continue
            try:
                self.notifier.notify(*summary)
            except Exception:
                log.exception("the summary of %s was not sent", window)

    def _roll_periods(
        self, buckets: Buckets, index: "RowsIndex", windows: Iterable[WindowReport]
    ) -> list[PeriodReport]:
        """Roll the hours, then the days, that have changed, by the rows as they are now.

        Days within reach are looked at, and those of the windows that were looked at.
        """
        roller = PeriodRoller(buckets=buckets, scheduled_time_ms=self.scheduled_time_ms)
        for report in windows:
            if report.outcome is not RollOutcome.SETTLED:
                index.forget(report.window)
        looked_at = {report.window.start_ms // DAY_MS * DAY_MS for report in windows}
        days = sorted(looked_at | set(days_within_reach(self.scheduled_time_ms, self.lifetimes)))
        hours = list_rows(buckets.results, Grain.HOUR, days)
        due = [
            hour
            for day in days
            for hour in roller.due_hours(day, window_etags(index.etags_of_day(buckets, day)), hours)
        ]
        reports = self._roll_in_time(roller, due)
        if any(report.outcome is RollOutcome.DEFERRED for report in reports):
            return reports
        if due:
            hours = list_rows(buckets.results, Grain.HOUR, days)
        return reports + self._roll_in_time(
            roller, roller.due_days(days, hours, list_rows(buckets.results, Grain.DAY, days))
        )

    def _roll_in_time(self, roller: PeriodRoller, due: Sequence[Period]) -> list[PeriodReport]:
        """Roll as many as there is time for."""
        reports: list[PeriodReport] = []
        ordered = work_order(due, self.scheduled_time_ms)
        for position, period in enumerate(ordered):
            if not self.time_left():
                reports += [PeriodReport(period=later, outcome=RollOutcome.DEFERRED) for later in ordered[position:]]
                break
            reports.append(roller.roll(period))
        return sorted(reports, key=lambda report: report.period)


def plan_tick(buckets: Buckets, scheduled_time_ms: int, lifetimes: Lifetimes) -> TickPlan:
    """List what `due_windows` needs, and apply it."""
    unknown: list[str] = []
    of_silences: list[str] = []
    of_partials: list[str] = []
    for key in _keys(buckets.lake, MARKERS):
        (of_silences if key.startswith(SILENCE_MARKERS) else of_partials).append(key)
    with_lineage: set[Window] = set()
    for day_ms in days_within_reach(scheduled_time_ms, lifetimes):
        with_lineage.update(_parse_each(_keys(buckets.results, day_prefix(WINDOWS, day_ms)), parse_result_key, unknown))
    hours = hours_to_list(scheduled_time_ms, lifetimes, with_lineage=with_lineage)
    due = due_windows(
        scheduled_time_ms,
        lifetimes,
        with_lineage=with_lineage,
        with_partials=_parse_each(_window_prefixes(buckets.lake, hours), parse_window_prefix, unknown),
        markers=_parse_each(of_partials, parse_marker_key, unknown),
    )
    within_reach = windows_within_reach(scheduled_time_ms, lifetimes)
    return TickPlan(
        due=due,
        without_lineage=frozenset(within_reach) - with_lineage,
        silence_markers=frozenset(_parse_each(of_silences, parse_silence_marker_key, unknown)),
        unknown_keys=tuple(unknown),
    )


class RowsIndex:
    """The ETags of rows, listed for a whole day when the day is first asked for.

    So they are observed before the partials are listed, as a roll demands.
    """

    def __init__(self, *, without_lineage: frozenset[Window]) -> None:
        """Skip the GET of the lineage for windows `without_lineage`: the plan's listing had none."""
        self._without_lineage = without_lineage
        self._etags: dict[str, dict[str, str]] = {}

    def observe(self, buckets: Buckets, window: Window) -> Observation:
        """Observe the rows by the day's listing, and the lineage by a GET, unless the plan's listing had none."""
        rows_etag = self.etags_of_day(buckets, window.start_ms).get(rows_key(window))
        if window in self._without_lineage:
            return Observation(rows_etag=rows_etag, lineage=None, lineage_etag=None)
        return observe_lineage(buckets, window, rows_etag=rows_etag)

    def etags_of_day(self, buckets: Buckets, instant_ms: int) -> Mapping[str, str]:
        """Return the ETags of the day's rows by key, as they were when this was first asked for."""
        prefix = day_prefix(AGGREGATES, instant_ms)
        if prefix not in self._etags:
            self._etags[prefix] = {listed.key: listed.etag for listed in buckets.results.list_objects(prefix)}
        return self._etags[prefix]

    def forget(self, window: Window) -> None:
        """List the day of this window anew when next asked for: its rows may have been written."""
        self._etags.pop(day_prefix(AGGREGATES, window.start_ms), None)


def _window_prefixes(lake: ObjectStore, hours: Iterable[int]) -> Iterator[str]:
    """List the prefixes of windows with partials in `hours` (starts in ms), with one LIST a day and one an hour."""
    by_day: dict[str, list[str]] = {}
    for hour_ms in hours:
        by_day.setdefault(day_prefix(PARTIALS, hour_ms), []).append(hour_prefix(PARTIALS, hour_ms))
    for day, wanted in by_day.items():
        for hour in sorted(set(wanted).intersection(lake.list_prefixes(day))):
            yield from lake.list_prefixes(hour, delimiter=WINDOW_MARK)


def _keys(store: ObjectStore, prefix: str) -> Iterator[str]:
    return (listed.key for listed in store.list_objects(prefix))


def _parse_each(keys: Iterable[str], parse: Callable[[str], Parsed], unknown: list[str]) -> list[Parsed]:
    """Parse `keys`; those that cannot be parsed are added to `unknown` and ignored."""
    parsed = []
    for key in keys:
        try:
            parsed.append(parse(key))
        except ValueError:
            unknown.append(key)
    return parsed


def _roll_reporting(roller: Roller, due: DueWindow, index: RowsIndex) -> WindowReport:
    """Roll one window; whatever is wrong with it is reported, or no other window would ever get its turn."""
    try:
        return roll_window(roller, due, first_look=index.observe)
    except Exception as error:
        log.exception("the roll of %s failed", due.window)
        return _report_of(due, RollOutcome.FAILED, f"{type(error).__name__}: {error}")


def _report_of(due: DueWindow, outcome: RollOutcome, detail: str = "") -> WindowReport:
    markers = tuple(marker.digest for marker in due.markers)
    return WindowReport(window=due.window, reasons=due.reasons, outcome=outcome, detail=detail, markers_kept=markers)
