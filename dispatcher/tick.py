"""One tick: plan from listings, then roll what is due as long as there is time; then what follows from windows.

The plan costs one LIST a day within reach for lineages, one for markers, and LISTs of partials only where lineages are
missing; a settled window then costs a LIST and a GET, and its share of one LIST a day for the ETags of rows.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from dispatcher.due import (
    DueWindow,
    Reason,
    days_within_reach,
    due_windows,
    hours_to_list,
    windows_within_reach,
    work_order,
)
from dispatcher.look import Buckets, Observation, observe_lineage
from dispatcher.periods import PeriodRoller, list_rows, window_etags
from dispatcher.report import Outcome, PeriodReport, TickReport, WindowReport
from dispatcher.roll import Roller, roll_window
from dispatcher.rows import Mapper
from dispatcher.silences import Notifier, Silences, summary_of
from windrow.lake.layout import (
    AGGREGATES,
    MARKERS,
    PARTIALS,
    SILENCE_MARKERS,
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
from windrow.lake.store import CountingStore, ObjectStore
from windrow.lifetimes import Lifetimes
from windrow.period import DAY_MS, Grain, Period
from windrow.rows.silence import Silence
from windrow.window import Window

Parsed = TypeVar("Parsed")

log = logging.getLogger(__name__)


def always() -> bool:
    """There is always time left."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a tick will look at; `without_lineage` are the windows within reach that the listing had no lineage of.

    silence_markers: of windows whose silence an earlier tick did not get round to.
    """

    due: tuple[DueWindow, ...]
    without_lineage: frozenset[Window]
    silence_markers: frozenset[SilenceMarkerKey]
    strange_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One scheduled run over two buckets: windows, who fell silent, hours and days.

    `time_left` is asked before every window but the first, so that each run gets on by at least one.
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
            reports = [_unrolled(due, Outcome.DUE) for due in plan.due]
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
            if all(report.outcome is not Outcome.DEFERRED for report in reports):
                periods = self._follow_up(roller, index, reports)
        return TickReport(
            scheduled_time_ms=self.scheduled_time_ms,
            windows=tuple(reports),
            periods=tuple(periods),
            s3_calls=dict(sorted((lake.calls + results.calls).items())),
            strange_keys=plan.strange_keys,
        )

    def _roll_all(self, roller: Roller, plan: Plan, index: "RowsIndex") -> list[WindowReport]:
        reports: list[WindowReport] = []
        ordered = work_order(plan.due, self.scheduled_time_ms)
        for position, due in enumerate(ordered):
            if position and not self.time_left():
                reports += [_unrolled(later, Outcome.DEFERRED) for later in ordered[position:]]
                break
            reports.append(_roll_apart(roller, due, index))
        return sorted(reports, key=lambda report: report.window)

    def _follow_up(self, roller: Roller, index: "RowsIndex", windows: Sequence[WindowReport]) -> list[PeriodReport]:
        """What is made of windows' rows: first who fell silent just now, then hours and days, then the rest."""
        silences = Silences(buckets=roller.buckets, known=roller.lineages)
        recent = [one.window for one in windows if Reason.RECENT in one.reasons]
        self._tell(silences, silences.settle(recent[-1:], time_left=self.time_left))
        periods = self._roll_periods(roller.buckets, index, windows)
        # Who was heard in a window tells of those after it only while they are recent; their own sensors always count.
        marked = {marker.window for marker in roller.silence_markers}
        looked_at = {one.window for one in windows}
        older = {window for window in marked | looked_at if self.time_left() and silences.is_due(window)}
        silences.settle(older.union(recent), time_left=self.time_left)
        silences.release(roller.silence_markers)
        return periods

    def _tell(self, silences: Silences, found: Mapping[Window, Silence]) -> None:
        """A summary of the newest window, if there is anything to tell; that it is not sent must not end the tick."""
        for window, silence in found.items():
            before = silences.lineage(Window.from_index(window.index - 1))
            summary = summary_of(silence, was_outage=before is not None and before.is_outage)
            if summary is None or self.notifier is None:
                continue
            try:
                self.notifier.tell(*summary)
            except Exception:
                log.exception("the summary of %s was not sent", window)

    def _roll_periods(
        self, buckets: Buckets, index: "RowsIndex", windows: Iterable[WindowReport]
    ) -> list[PeriodReport]:
        """Hours, then days, of all days within reach and of the windows looked at; the rows are as they are now."""
        roller = PeriodRoller(buckets=buckets, scheduled_time_ms=self.scheduled_time_ms)
        for report in windows:
            if report.outcome is not Outcome.SETTLED:
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
        if any(report.outcome is Outcome.DEFERRED for report in reports):
            return reports
        if due:
            hours = list_rows(buckets.results, Grain.HOUR, days)
        return reports + self._roll_in_time(
            roller, roller.due_days(days, hours, list_rows(buckets.results, Grain.DAY, days))
        )

    def _roll_in_time(self, roller: PeriodRoller, due: Sequence[Period]) -> list[PeriodReport]:
        """As many as there is time for."""
        reports: list[PeriodReport] = []
        ordered = work_order(due, self.scheduled_time_ms)
        for position, period in enumerate(ordered):
            if not self.time_left():
                reports += [PeriodReport(period=later, outcome=Outcome.DEFERRED) for later in ordered[position:]]
                break
            reports.append(roller.roll(period))
        return sorted(reports, key=lambda report: report.period)


def plan_tick(buckets: Buckets, scheduled_time_ms: int, lifetimes: Lifetimes) -> Plan:
    """List what `due_windows` asks for, and ask it."""
    strange: list[str] = []
    of_silences: list[str] = []
    of_partials: list[str] = []
    for key in _keys(buckets.lake, MARKERS):
        (of_silences if key.startswith(SILENCE_MARKERS) else of_partials).append(key)
    with_lineage: set[Window] = set()
    for day_ms in days_within_reach(scheduled_time_ms, lifetimes):
        with_lineage.update(_parse_each(_keys(buckets.results, day_prefix(WINDOWS, day_ms)), parse_result_key, strange))
    hours = hours_to_list(scheduled_time_ms, lifetimes, with_lineage=with_lineage)
    due = due_windows(
        scheduled_time_ms,
        lifetimes,
        with_lineage=with_lineage,
        with_partials=_parse_each(_window_prefixes(buckets.lake, hours), parse_window_prefix, strange),
        markers=_parse_each(of_partials, parse_marker_key, strange),
    )
    within_reach = windows_within_reach(scheduled_time_ms, lifetimes)
    return Plan(
        due=due,
        without_lineage=frozenset(within_reach) - with_lineage,
        silence_markers=frozenset(_parse_each(of_silences, parse_silence_marker_key, strange)),
        strange_keys=tuple(strange),
    )


class RowsIndex:
    """The ETags of rows, listed day by day when first asked for: observed before any listing of partials after it."""

    def __init__(self, *, without_lineage: frozenset[Window]) -> None:
        """Spare the GET of a lineage for the windows that the plan's listing had none of."""
        self._without_lineage = without_lineage
        self._etags: dict[str, dict[str, str]] = {}

    def observe(self, buckets: Buckets, window: Window) -> Observation:
        """Rows by the day's listing; the lineage by a GET, unless the plan's listing had none."""
        rows_etag = self.etags_of_day(buckets, window.start_ms).get(rows_key(window))
        if window in self._without_lineage:
            return Observation(rows_etag=rows_etag, lineage=None, lineage_etag=None)
        return observe_lineage(buckets, window, rows_etag=rows_etag)

    def etags_of_day(self, buckets: Buckets, instant_ms: int) -> Mapping[str, str]:
        """The ETags of the day's rows by their keys, as they were when this was first asked for."""
        prefix = day_prefix(AGGREGATES, instant_ms)
        if prefix not in self._etags:
            self._etags[prefix] = {listed.key: listed.etag for listed in buckets.results.list_objects(prefix)}
        return self._etags[prefix]

    def forget(self, window: Window) -> None:
        """The rows of this window may have been written since: its day is listed anew."""
        self._etags.pop(day_prefix(AGGREGATES, window.start_ms), None)


def _window_prefixes(lake: ObjectStore, hours: Iterable[int]) -> Iterator[str]:
    """The prefixes of windows with partials in `hours` (starts in ms); one LIST a day, one an hour that has any."""
    by_day: dict[str, list[str]] = {}
    for hour_ms in hours:
        by_day.setdefault(day_prefix(PARTIALS, hour_ms), []).append(hour_prefix(PARTIALS, hour_ms))
    for day, wanted in by_day.items():
        for hour in sorted(set(wanted).intersection(lake.list_prefixes(day))):
            yield from lake.list_prefixes(hour)


def _keys(store: ObjectStore, prefix: str) -> Iterator[str]:
    return (listed.key for listed in store.list_objects(prefix))


def _parse_each(keys: Iterable[str], parse: Callable[[str], Parsed], strange: list[str]) -> list[Parsed]:
    """What `keys` say; those that are none of ours go to `strange` and stop nothing."""
    parsed = []
    for key in keys:
        try:
            parsed.append(parse(key))
        except ValueError:
            strange.append(key)
    return parsed


def _roll_apart(roller: Roller, due: DueWindow, index: RowsIndex) -> WindowReport:
    """Roll one window; whatever is wrong with it must not keep the others from their turn, now and at every tick."""
    try:
        return roll_window(roller, due, first_look=index.observe)
    except Exception as error:
        log.exception("the roll of %s failed", due.window)
        return _unrolled(due, Outcome.FAILED, f"{type(error).__name__}: {error}")


def _unrolled(due: DueWindow, outcome: Outcome, detail: str = "") -> WindowReport:
    markers = tuple(marker.digest for marker in due.markers)
    return WindowReport(window=due.window, reasons=due.reasons, outcome=outcome, detail=detail, markers_kept=markers)
