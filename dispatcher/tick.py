"""One tick: plan from listings, then the live windows with all that follows from them, then the backlog.

    plan ──▶ live windows ──▶ their silences, excursions, hours and days ──▶ backlog ──▶ what follows from it
             at most two hours of them, at every tick                        while there is time

Nothing remembers an earlier tick: what one leaves undone is found by the listings of the next (see dispatcher.due for
the order, and dispatcher.followup for what follows from rows). A settled window costs a LIST and a GET, and its share
of one LIST a day for ETags of rows. The plan costs one LIST for each day within reach for lineages, one for markers, a
GET for each marker of a backfill, and LISTs of partials only where lineages are missing.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TypeVar

from dispatcher.ceiling import Ceiling, Nearest
from dispatcher.day_reports import DayReports
from dispatcher.due import (
    RECENT_WINDOWS,
    DueReason,
    DueWindow,
    days_within_reach,
    due_windows,
    hours_to_list,
    is_catching_up_first,
    is_reversed,
    window_order,
    windows_within_reach,
)
from dispatcher.excursions import Excursions
from dispatcher.followup import FollowUp
from dispatcher.messages import Messages, Teller
from dispatcher.observation import Buckets, RowsIndex
from dispatcher.report import PeriodReport, RollOutcome, TickReport, WindowReport, backlog_of
from dispatcher.roll import roll_window
from dispatcher.roller import Roller
from dispatcher.room import Room
from dispatcher.silences import Notifier, Silences
from windrow.lake.backfill_marker import decode_backfill_marker
from windrow.lake.layout import (
    BACKFILL_MARKERS,
    MARKERS,
    MESSAGES,
    PARTIALS,
    SILENCE_MARKERS,
    WINDOW_MARK,
    WINDOWS,
    MarkerKey,
    SilenceMarkerKey,
    day_prefix,
    hour_prefix,
    parse_marker_key,
    parse_result_key,
    parse_silence_marker_key,
    parse_window_prefix,
)
from windrow.lake.store import CountingStore, Mapper, ObjectStore
from windrow.lifetimes import Lifetimes
from windrow.period import Grain, Period
from windrow.rules.rule import watches_of
from windrow.rules.stored import StoredRules
from windrow.window import Window

BACKFILL_MARKERS_MAX = 256
"""How many a tick reads: they stand for 65,536 windows, more than it can roll. The others wait for later ticks."""
Parsed = TypeVar("Parsed")

log = logging.getLogger(__name__)


def always() -> bool:
    """Return True: there is always time left."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class TickPlan:
    """What a tick will look at.

    without_lineage: the windows within reach whose lineage was not listed. silence_markers: of windows whose silence an
    earlier tick did not get to. backfill_markers: their keys, and the markers that each stands for. messages: the keys
    of those that an earlier tick did not send. gaps: each the first of several windows without lineage. unknown_keys:
    those in our folders that windrow does not write.
    """

    due: tuple[DueWindow, ...]
    without_lineage: frozenset[Window]
    silence_markers: frozenset[SilenceMarkerKey]
    backfill_markers: Mapping[str, frozenset[MarkerKey]]
    messages: tuple[str, ...]
    gaps: frozenset[Window]
    unknown_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One scheduled run over two buckets: windows, silences, hours and days.

    `time_left` is asked before every window but the first, so each run completes at least one. `mapper` makes several
    requests for one window at once, `work_mapper` works on several windows (or days of hours) at once; they must not
    share their threads. `room` bounds what these hold together, `ceiling` is what a single roll may take. `rules` judge
    the rows, if there are any, and `teller` sends what they have to say. `leaves_rules`: the stage has some that this
    tick does not apply, so it marks what a later one has to judge. `makes_reports`: days get theirs, after all else.
    """

    buckets: Buckets
    lifetimes: Lifetimes
    scheduled_time_ms: int
    time_left: Callable[[], bool] = always
    mapper: Mapper = map
    work_mapper: Mapper = map
    room: Room | None = None
    ceiling: Ceiling | None = None
    notifier: Notifier | None = None
    rules: StoredRules | None = None
    teller: Teller | None = None
    leaves_rules: bool = False
    makes_reports: bool = False

    def run(self, *, is_dry_run: bool = False) -> TickReport:
        """Plan and, unless it is a dry run, roll."""
        lake, results = CountingStore(self.buckets.lake), CountingStore(self.buckets.results)
        buckets = Buckets(lake=lake, results=results)
        plan = plan_tick(buckets, self.scheduled_time_ms, self.lifetimes, mapper=self.mapper)
        periods: Sequence[PeriodReport] = ()
        backlog = nearest = None
        rules_failed: tuple[str, ...] = ()
        day_reports: Sequence[PeriodReport] = ()
        if is_dry_run:
            windows = [_report_of(due, RollOutcome.DUE) for due in plan.due]
        else:
            run = _Run(self, buckets, plan)
            run.do()
            windows, periods = run.live + run.backlog, list(run.periods.values())
            backlog = backlog_of(self.scheduled_time_ms, live=run.live, backlog=run.backlog)
            nearest, rules_failed = run.nearest, run.rules_failed
            day_reports = run.day_reports
        return TickReport(
            scheduled_time_ms=self.scheduled_time_ms,
            windows=tuple(sorted(windows, key=lambda report: report.window)),
            periods=tuple(sorted(periods, key=lambda report: report.period)),
            backlog=backlog,
            nearest=nearest,
            rules_failed=rules_failed,
            day_reports=tuple(day_reports),
            s3_calls=dict(sorted((lake.calls + results.calls).items())),
            unknown_keys=plan.unknown_keys,
        )


def plan_tick(buckets: Buckets, scheduled_time_ms: int, lifetimes: Lifetimes, *, mapper: Mapper = map) -> TickPlan:
    """List what `due_windows` needs, and apply it."""
    unknown: list[str] = []
    marked = _list_markers(buckets.lake, scheduled_time_ms, mapper=mapper)
    unknown.extend(marked.unknown_keys)
    with_lineage: set[Window] = set()
    days = [day_prefix(WINDOWS, day_ms) for day_ms in days_within_reach(scheduled_time_ms, lifetimes)]
    for keys in mapper(lambda day: list(_keys(buckets.results, day)), days):
        with_lineage.update(_parse_each(keys, parse_result_key, unknown))
    hours = hours_to_list(scheduled_time_ms, lifetimes, with_lineage=with_lineage)
    due = due_windows(
        scheduled_time_ms,
        lifetimes,
        with_lineage=with_lineage,
        with_partials=_parse_each(_window_prefixes(buckets.lake, hours, mapper), parse_window_prefix, unknown),
        begun=(marker.window for marker in marked.of_silences),
        markers=marked.all_of_partials(),
    )
    within_reach = windows_within_reach(scheduled_time_ms, lifetimes)
    return TickPlan(
        due=due,
        without_lineage=frozenset(within_reach) - with_lineage,
        silence_markers=marked.of_silences,
        backfill_markers=marked.of_backfills,
        messages=marked.messages,
        gaps=frozenset(
            window for before, window in pairwise(within_reach) if before in with_lineage and window not in with_lineage
        ),
        unknown_keys=tuple(unknown),
    )


class _Run:
    """What one tick does, in its order, and the reports of it."""

    def __init__(self, tick: Tick, buckets: Buckets, plan: TickPlan) -> None:
        self.live: list[WindowReport] = []
        self.backlog: list[WindowReport] = []
        self.periods: dict[Period, PeriodReport] = {}
        self.day_reports: list[PeriodReport] = []
        self._tick = tick
        self._order = window_order(plan.due, tick.scheduled_time_ms, without_lineage=plan.without_lineage)
        self._index = RowsIndex(without_lineage=plan.without_lineage)
        self._roller = Roller(
            buckets=buckets,
            lifetimes=tick.lifetimes,
            scheduled_time_ms=tick.scheduled_time_ms,
            mapper=tick.mapper,
            room=tick.room,
            ceiling=tick.ceiling,
            silence_markers=set(plan.silence_markers),
            backfill_markers=plan.backfill_markers,
            has_rules=tick.rules is not None or tick.leaves_rules,
            watches=watches_of(tick.rules.rules) if tick.rules is not None else (),
            watches_from=windows_within_reach(tick.scheduled_time_ms, tick.lifetimes)[-RECENT_WINDOWS:][0],
        )
        self._gaps = plan.gaps
        self._messages = Messages(
            lake=buckets.lake,
            results=buckets.results,
            teller=tick.teller,
            scheduled_time_ms=tick.scheduled_time_ms,
            waiting=plan.messages,
        )
        silences = Silences(
            buckets=buckets,
            known=self._roller.lineages,
            mapper=tick.mapper,
            work_mapper=tick.work_mapper,
            room=tick.room,
        )
        self._follow_up = FollowUp(
            buckets=buckets,
            silences=silences,
            excursions=self._excursions(silences, tick.rules) if tick.rules is not None else None,
            leaves_rules=tick.leaves_rules,
            index=self._index,
            scheduled_time_ms=tick.scheduled_time_ms,
            days_within_reach=days_within_reach(tick.scheduled_time_ms, tick.lifetimes),
            time_left=tick.time_left,
            notifier=tick.notifier,
            mapper=tick.mapper,
            work_mapper=tick.work_mapper,
            room=tick.room,
        )

    def _excursions(self, silences: Silences, rules: StoredRules) -> Excursions:
        reach = windows_within_reach(self._tick.scheduled_time_ms, self._tick.lifetimes)
        return Excursions(
            buckets=self._roller.buckets,
            silences=silences,
            rules=rules,
            newest=reach[-1],
            proposed_start=reach[-RECENT_WINDOWS:][0],
            roll=lambda window: roll_window(self._roller, DueWindow(window=window, reasons=(DueReason.NEW,))),
            messages=self._messages,
            markers=self._roller.silence_markers,
            held_gone=self._roller.held_gone,
            time_left=self._tick.time_left,
        )

    @property
    def nearest(self) -> Nearest | None:
        """The roll that came nearest to the run's ceiling; None if no window was rolled."""
        each = (use.nearest(window) for window, use in self._roller.uses)
        return max(each, key=lambda one: one.percent, default=None)

    @property
    def rules_failed(self) -> tuple[str, ...]:
        """Why excursions and messages about them could not be done."""
        excursions = self._follow_up.excursions
        return (*(excursions.failed if excursions is not None else ()), *self._messages.failed)

    def do(self) -> None:
        """Do the live work, then the backlog, then what is left of what follows from rows."""
        follow_up, order = self._follow_up, self._order
        self.live = self._roll_each(order.live, is_first=True)
        follow_up.tell_newest_silence(self.live)
        follow_up.settle_live_excursions(self.live, self._gaps)
        self._messages.send()
        if order.backlog:
            self._add(follow_up.roll_recent_periods(self.live))
            follow_up.settle_silences(self.live)
            if is_catching_up_first(self._tick.scheduled_time_ms):
                self._add(follow_up.roll_all_periods(self.live))
                follow_up.settle_marked(self._roller.silence_markers)
            self.backlog = self._roll_each(order.backlog, is_first=not order.live)
        windows = self.live + self.backlog
        self._add(follow_up.roll_all_periods(windows))
        follow_up.settle_silences(windows)
        follow_up.settle_excursions(self.backlog)
        follow_up.settle_marked(self._roller.silence_markers)
        if self._tick.makes_reports:
            self.day_reports = self._make_day_reports()

    def _make_day_reports(self) -> list[PeriodReport]:
        """Make the reports on the days that this tick rolled, or that an earlier one left without."""
        tick = self._tick
        reports = DayReports(
            buckets=self._roller.buckets,
            lifetimes=tick.lifetimes,
            scheduled_time_ms=tick.scheduled_time_ms,
            time_left=tick.time_left,
        )
        return reports.make(
            rolled={one for one in self.periods if one.grain is Grain.DAY},
            within_reach={
                Period(Grain.DAY, start) for start in days_within_reach(tick.scheduled_time_ms, tick.lifetimes)
            },
        )

    def _roll_each(self, ordered: Sequence[DueWindow], *, is_first: bool) -> list[WindowReport]:
        """Roll windows while there is time, the very first of the tick without asking.

        The first of them alone, the others several at once: whichever window kills the run, one more is done before it.
        """
        first, rest = ordered[:1], ordered[1:]
        reports = [self._roll_in_time(due, is_first=is_first) for due in first]
        if rest and self._tick.time_left():
            self._index.list_days(self._roller.buckets, (due.window for due in rest), self._tick.mapper)
        reports += self._tick.work_mapper(self._roll_in_time, rest)
        self._roller.clear()
        return reports

    def _roll_in_time(self, due: DueWindow, *, is_first: bool = False) -> WindowReport:
        if not is_first and not self._tick.time_left():
            return _report_of(due, RollOutcome.DEFERRED)
        return _roll_reporting(self._roller, due, self._index)

    def _add(self, reports: Sequence[PeriodReport]) -> None:
        self.periods.update({report.period: report for report in reports})


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


def _window_prefixes(lake: ObjectStore, hours: Iterable[int], mapper: Mapper) -> Iterator[str]:
    """List the prefixes of windows with partials in `hours` (starts in ms), with one LIST a day and one an hour."""
    by_day: dict[str, list[str]] = {}
    for hour_ms in hours:
        by_day.setdefault(day_prefix(PARTIALS, hour_ms), []).append(hour_prefix(PARTIALS, hour_ms))
    there = mapper(lambda day: sorted(set(by_day[day]).intersection(lake.list_prefixes(day))), by_day)
    of_hours = mapper(lambda hour: list(lake.list_prefixes(hour, delimiter=WINDOW_MARK)), chain.from_iterable(there))
    return chain.from_iterable(of_hours)


def _keys(store: ObjectStore, prefix: str) -> Iterator[str]:
    return (listed.key for listed in store.list_objects(prefix))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Markers:
    """Markers by what they are about; of backfills, those that each stands for by its key."""

    of_partials: tuple[MarkerKey, ...]
    of_silences: frozenset[SilenceMarkerKey]
    of_backfills: Mapping[str, frozenset[MarkerKey]]
    messages: tuple[str, ...]
    unknown_keys: tuple[str, ...]

    def all_of_partials(self) -> frozenset[MarkerKey]:
        """Return the markers of partials, wherever they are written."""
        return frozenset(chain(self.of_partials, *self.of_backfills.values()))


def _list_markers(lake: ObjectStore, scheduled_time_ms: int, *, mapper: Mapper = map) -> _Markers:
    """List all markers, and read those of backfills: the oldest, or at every so many ticks the newest.

    One that cannot be read as what it should be is among the unknown keys, and stays.
    """
    roots = (SILENCE_MARKERS, BACKFILL_MARKERS, MESSAGES)
    keys: dict[str, list[str]] = {root: [] for root in (MARKERS, *roots)}
    for listed in lake.list_objects(MARKERS):
        root = next((one for one in roots if listed.key.startswith(one)), MARKERS)
        keys[root].append(listed.key)
    unknown: list[str] = []
    newest_first = is_reversed(scheduled_time_ms)
    chosen = sorted(keys[BACKFILL_MARKERS], reverse=newest_first)[:BACKFILL_MARKERS_MAX]
    of_backfills: dict[str, frozenset[MarkerKey]] = {}
    for key, stored in zip(chosen, mapper(lake.get, chosen), strict=True):
        if stored is None:
            continue  # another tick was done with it
        try:
            of_backfills[key] = decode_backfill_marker(stored.body)
        except ValueError:
            unknown.append(key)
    return _Markers(
        of_partials=tuple(_parse_each(keys[MARKERS], parse_marker_key, unknown)),
        of_silences=frozenset(_parse_each(keys[SILENCE_MARKERS], parse_silence_marker_key, unknown)),
        of_backfills=of_backfills,
        messages=tuple(keys[MESSAGES]),
        unknown_keys=tuple(unknown),
    )


def _parse_each(keys: Iterable[str], parse: Callable[[str], Parsed], unknown: list[str]) -> list[Parsed]:
    """Parse `keys`; those that cannot be parsed are added to `unknown` and ignored."""
    parsed = []
    for key in keys:
        try:
            parsed.append(parse(key))
        except ValueError:
            unknown.append(key)
    return parsed
