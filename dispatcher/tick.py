"""One tick: plan from listings, then roll what is due, oldest first, as long as there is time.

The plan costs one LIST a day within reach for lineages, one for markers, and LISTs of partials only where lineages are
missing; a settled window then costs a LIST and a GET, and its share of one LIST a day for the ETags of rows.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from dispatcher.due import DueWindow, Lifetimes, days_within_reach, due_windows, hours_to_list, windows_within_reach
from dispatcher.look import Buckets, Observation, observe_lineage
from dispatcher.report import Outcome, TickReport, WindowReport
from dispatcher.roll import Mapper, Roller, roll_window
from windrow.layout import (
    AGGREGATES,
    MARKERS,
    PARTIALS,
    WINDOWS,
    day_prefix,
    hour_prefix,
    parse_marker_key,
    parse_result_key,
    parse_window_prefix,
    rows_key,
)
from windrow.store import CountedStore, ObjectStore
from windrow.window import Window

Parsed = TypeVar("Parsed")

log = logging.getLogger(__name__)


def always() -> bool:
    """There is always time left."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a tick will look at; `without_lineage` are the windows within reach that the listing had no lineage of."""

    due: tuple[DueWindow, ...]
    without_lineage: frozenset[Window]
    strange_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One scheduled run over two buckets.

    `time_left` is asked before every window but the first, so that each run gets on by at least one.
    """

    buckets: Buckets
    lifetimes: Lifetimes
    scheduled_time_ms: int
    time_left: Callable[[], bool] = always
    mapper: Mapper = map

    def run(self, *, is_dry_run: bool = False) -> TickReport:
        """Plan and, unless it is a dry run, roll."""
        lake, results = CountedStore(self.buckets.lake), CountedStore(self.buckets.results)
        buckets = Buckets(lake=lake, results=results)
        plan = plan_tick(buckets, self.scheduled_time_ms, self.lifetimes)
        reports = [_unrolled(due, Outcome.DUE) for due in plan.due] if is_dry_run else self._roll_all(buckets, plan)
        return TickReport(
            scheduled_time_ms=self.scheduled_time_ms,
            windows=tuple(reports),
            s3_calls=dict(sorted((lake.calls + results.calls).items())),
            strange_keys=plan.strange_keys,
        )

    def _roll_all(self, buckets: Buckets, plan: Plan) -> list[WindowReport]:
        roller = Roller(
            buckets=buckets,
            lifetimes=self.lifetimes,
            scheduled_time_ms=self.scheduled_time_ms,
            mapper=self.mapper,
        )
        index = RowsIndex(without_lineage=plan.without_lineage)
        reports: list[WindowReport] = []
        for position, due in enumerate(plan.due):
            if position and not self.time_left():
                return reports + [_unrolled(later, Outcome.DEFERRED) for later in plan.due[position:]]
            reports.append(_roll_apart(roller, due, index))
        return reports


def plan_tick(buckets: Buckets, scheduled_time_ms: int, lifetimes: Lifetimes) -> Plan:
    """List what `due_windows` asks for, and ask it."""
    strange: list[str] = []
    markers = _parse_each(_keys(buckets.lake, MARKERS), parse_marker_key, strange)
    with_lineage: set[Window] = set()
    for day_ms in days_within_reach(scheduled_time_ms, lifetimes):
        with_lineage.update(_parse_each(_keys(buckets.results, day_prefix(WINDOWS, day_ms)), parse_result_key, strange))
    hours = hours_to_list(scheduled_time_ms, lifetimes, with_lineage=with_lineage)
    due = due_windows(
        scheduled_time_ms,
        lifetimes,
        with_lineage=with_lineage,
        with_partials=_parse_each(_window_prefixes(buckets.lake, hours), parse_window_prefix, strange),
        markers=markers,
    )
    within_reach = windows_within_reach(scheduled_time_ms, lifetimes)
    return Plan(due=due, without_lineage=frozenset(within_reach) - with_lineage, strange_keys=tuple(strange))


class RowsIndex:
    """The ETags of rows, listed day by day when first asked for: observed before any listing of partials after it."""

    def __init__(self, *, without_lineage: frozenset[Window]) -> None:
        """Spare the GET of a lineage for the windows that the plan's listing had none of."""
        self._without_lineage = without_lineage
        self._etags: dict[str, dict[str, str]] = {}

    def observe(self, buckets: Buckets, window: Window) -> Observation:
        """Rows by the day's listing; the lineage by a GET, unless the plan's listing had none."""
        prefix = day_prefix(AGGREGATES, window.start_ms)
        if prefix not in self._etags:
            self._etags[prefix] = {listed.key: listed.etag for listed in buckets.results.list_objects(prefix)}
        rows_etag = self._etags[prefix].get(rows_key(window))
        if window in self._without_lineage:
            return Observation(rows_etag=rows_etag, lineage=None, lineage_etag=None)
        return observe_lineage(buckets, window, rows_etag=rows_etag)


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
