"""The dashboard's answers as values that become JSON, for the servers and for the export."""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from analytics import newest_rows, panels, presets
from analytics.abandon import Check, always_wanted, held
from analytics.history import Histories
from analytics.live_values import live_values
from analytics.objects import newest_window
from analytics.open_windows import OpenWindow, OpenWindows
from analytics.result import Engine
from analytics.row_cache import RowCache, Snapshot
from analytics.silences import SilenceCache
from windrow.errors import NotFound, UsageError
from windrow.lake.layout import lineage_key
from windrow.lake.store import ObjectStore
from windrow.period import DAY_MS, HOUR_MS
from windrow.quantities import TEMPERATURE, Quantity
from windrow.rows.lineage import Lineage
from windrow.rules.rule import Rule
from windrow.timerange import TimeRange, parse_range
from windrow.window import WINDOW_MS, Window

Json = dict[str, Any]
PER_PAGE_MAX = panels.PAGE_SENSORS_MAX
SEARCH_CHARACTERS_MAX = 128
RANGE_DAYS_MAX = 31
"""The longest range. Each of its windows is an object to list and a lineage to read: 8,928 in 31 days."""


LIVE_ANSWERS_MAX = 32
"""How many answers about the same open windows are kept: those who watch mostly ask alike."""
OTHERS_MAX = 2
"""How many quantities beside the dashboard's own keep their rows in memory: those that were asked for last."""


class Dashboard:
    """The answers for one stage; safe for several threads."""

    def __init__(
        self,
        *,
        engine: Engine,
        results: ObjectStore,
        stage: str,
        clock_ms: Callable[[], int],
        quantity: Quantity = TEMPERATURE,
        asking: "threading.Lock | None" = None,
        open_windows: OpenWindows | None = None,
        rules: Callable[[], Sequence[Rule]] = tuple,
    ) -> None:
        """Ask `engine` about the rows in the `results` bucket; times such as "-2h" are relative to `clock_ms`.

        It is about one quantity in one unit; `about` has the others. `asking` is the lock of the engine, which answers
        one thread at a time: that of another dashboard with the same engine. Without `open_windows`, nothing is live.
        `rules` reads the stage's rules, when live values are first asked for.
        """
        asking = asking or threading.Lock()
        self.quantity = quantity
        self._engine = engine
        self._asking = asking
        self._others: OrderedDict[Quantity, Dashboard] = OrderedDict()
        self._rows = RowCache(engine, results, asking, quantity=quantity)
        self._histories = Histories(engine, asking, quantity=quantity)
        self._silences = SilenceCache(engine, asking, quantity=quantity)
        self._results = results
        self._open_windows = open_windows
        self._rules = rules
        self._stage = stage
        self._engine_name = engine.name
        self._clock_ms = clock_ms
        self._lock = threading.Lock()
        self._newest: tuple[Snapshot, panels.SensorSummaries] | None = None
        self._loaded = (0, 0)
        self._live: tuple[tuple[Sequence[OpenWindow], Sequence[Rule]], dict[tuple[str, int, int, str], Json]] = (
            ((), ()),
            {},
        )

    def about(self, name: str, unit: str) -> "Dashboard":
        """Return the dashboard of a quantity over the same results; UsageError for what is none, or has no unit."""
        try:
            quantity = Quantity(name, unit or (TEMPERATURE.unit if name == TEMPERATURE.name else unit))
        except ValueError as error:
            raise UsageError(f"no such quantity: {error}", hint="v1/quantities lists those there are") from error
        if quantity == self.quantity:
            return self
        with self._lock:
            made = self._others.pop(quantity, None) or Dashboard(
                engine=self._engine,
                results=self._results,
                stage=self._stage,
                clock_ms=self._clock_ms,
                quantity=quantity,
                asking=self._asking,
                open_windows=self._open_windows,
                rules=self._rules,
            )
            self._others[quantity] = made
            while len(self._others) > OTHERS_MAX:
                self._others.popitem(last=False)
        return made

    def quantities(self, *, check: Check = always_wanted) -> Json:
        """Return the quantities with rows in the newest hour that has any, by name and unit, and this one."""
        found = {(self.quantity.name, self.quantity.unit)}
        newest = newest_window(self._results)
        if newest is not None:
            with held(self._asking, check):
                frame = self._engine.run(presets.units(TimeRange(newest.end_ms - HOUR_MS, newest.end_ms))).frame
            found.update(zip(frame["quantity"].tolist(), frame["unit"].tolist(), strict=True))
        return {"quantities": [{"quantity": name, "unit": unit} for name, unit in sorted(found)]}

    def overview(self, start: str | None, end: str | None, *, check: Check = always_wanted) -> Json:
        """Bring the range up to date, and return everything but the heatmap and the history of a sensor.

        This and the methods below give up when `check` raises, which they call between steps. UsageError for a range
        that is none, or is longer than RANGE_DAYS_MAX.
        """
        now_ms = self._clock_ms()
        snapshot, sensors = self._snapshot(self._range(start, end), check)
        newest = None if snapshot.rows else newest_window(self._results)
        return {
            "stage": self._stage,
            "engine": self._engine_name,
            "quantity": {"name": self.quantity.name, "unit": self.quantity.unit},
            "made_ms": now_ms,
            "window_ms": WINDOW_MS,
            "longest_ms": RANGE_DAYS_MAX * DAY_MS,
            "range": {"from_ms": snapshot.time_range.start_ms, "to_ms": snapshot.time_range.end_ms},
            "is_final": _is_final(snapshot),
            "newest_ms": None if newest is None else newest.start_ms,
            "silent": panels.silent(self._silences.at(snapshot, check)),
            "fleet": panels.fleet(snapshot),
            "completeness": panels.completeness(snapshot),
            "movers": panels.movers(snapshot, sensors),
        }

    def heatmap(
        self,
        start: str | None,
        end: str | None,
        *,
        search: str,
        sort: str,
        page: int,
        per_page: int,
        check: Check = always_wanted,
    ) -> Json:
        """Return a page of sensors and their means over time; UsageError for an unknown order or a bad page."""
        if sort not in panels.SORTS:
            raise UsageError(f"no order {sort!r}", hint=f"choose one of {', '.join(panels.SORTS)}")
        if not 1 <= per_page <= PER_PAGE_MAX or page < 0:
            raise UsageError(f"no page {page} of {per_page} sensors", hint=f"1 to {PER_PAGE_MAX} sensors a page")
        snapshot, sensors = self._snapshot(self._range(start, end), check)
        now = self._silences.at(snapshot, check) if sort == "silent" else panels.NOBODY
        wanted = search[:SEARCH_CHARACTERS_MAX]
        shown = panels.heatmap(snapshot, sensors, search=wanted, sort=sort, page=page, per_page=per_page, now=now)
        return shown | {"is_final": _is_final(snapshot)}

    def latest(
        self,
        start: str | None,
        end: str | None,
        *,
        search: str,
        page: int,
        per_page: int,
        check: Check = always_wanted,
    ) -> Json:
        """Return a page of sensors, by id, each with its newest row in the range: columns of equal length.

        t: starts of windows; last_time, last: the newest reading there; mean, readings: of the window.
        """
        snapshot, sensors = self._snapshot(self._range(start, end), check)
        found = panels.page_of(snapshot, sensors, search=search, page=page, per_page=per_page)
        with held(self._asking, check):
            columns = newest_rows.columns(self._engine, self.quantity, snapshot, sensors, found.places.tolist())
        numbers = {"total": found.total, "page": found.page, "per_page": per_page}
        return numbers | {"is_final": _is_final(snapshot)} | columns

    def live(self, *, search: str, page: int, per_page: int, sensor_id: str = "", check: Check = always_wanted) -> Json:
        """Return a page of sensors, by id, each with its newest reading in windows that are not rolled yet.

        With `sensor_id` that sensor alone is on the page; an empty page if it was not heard.
        is_live: whether such windows are read at all; without x. sites: a tally of all that are found.
        """
        opened = self._open_windows
        windows = () if opened is None else opened.at(self._clock_ms(), check)
        rules = () if opened is None else self._rules()
        with self._lock:
            if (windows, rules) != self._live[0]:
                self._live = (windows, rules), {}
            answers = self._live[1]
            asked = (search, page, per_page, sensor_id)
            known = answers.get(asked)
        shown = known or live_values(
            windows, self.quantity, search=search, page=page, per_page=per_page, sensor_id=sensor_id, rules=rules
        )
        if len(answers) < LIVE_ANSWERS_MAX:
            answers[asked] = shown
        return {"is_live": opened is not None} | shown

    def history(self, start: str | None, end: str | None, *, sensor_id: str, check: Check = always_wanted) -> Json:
        """Return the windows of one sensor with percentiles; NotFound if it has none."""
        snapshot, _ = self._snapshot(self._range(start, end), check)
        return self._histories.of(sensor_id, snapshot) | {"is_final": _is_final(snapshot)}

    def excursions(
        self,
        start: str | None,
        end: str | None,
        *,
        quantity: str | None,
        page: int,
        per_page: int,
        check: Check = always_wanted,
    ) -> Json:
        """Return a page of the excursions under way in the range, as it left them; of every quantity if None."""
        time_range = self._range(start, end)
        with held(self._asking, check):
            frame = self._engine.run(presets.excursions(time_range, quantity=quantity)).frame
        number = max(0, min(page, -(-len(frame) // per_page) - 1))
        shown = frame.iloc[number * per_page : (number + 1) * per_page]
        return {"total": len(frame), "page": number, "per_page": per_page, "excursions": newest_rows.objects(shown)}

    def lineage(self, window: Window) -> Json:
        """Return the lineage of `window`, as the results have it; NotFound if it was never rolled."""
        stored = self._results.get(lineage_key(window))
        if stored is None:
            raise NotFound("that window was never rolled", hint="v1/windows lists those that were")
        lineage: Json = json.loads(Lineage.from_json(stored.body).to_json())
        return lineage

    def histories(self, start: str | None, end: str | None, *, sensor_ids: Sequence[str]) -> dict[str, Json]:
        """Return the histories of those of `sensor_ids` that have rows, each as `history` does, by one query."""
        snapshot, _ = self._snapshot(self._range(start, end), always_wanted)
        is_final = _is_final(snapshot)
        found = self._histories.of_many(sensor_ids, snapshot)
        return {sensor_id: history | {"is_final": is_final} for sensor_id, history in found.items()}

    def progress(self) -> Json:
        """Return how far the current refresh is."""
        loaded, windows = self._loaded
        return {"loaded": loaded, "windows": windows}

    def _range(self, start: str | None, end: str | None) -> TimeRange:
        """Parse a range of the page, in the page's words, and refuse one that is longer than RANGE_DAYS_MAX."""
        time_range = parse_range(start, end, now_ms=self._clock_ms(), names=("From", "To"))
        days = -(-(time_range.end_ms - time_range.start_ms) // DAY_MS)
        if days > RANGE_DAYS_MAX:
            raise UsageError(
                f"the range has {days:,} days, and the dashboard shows at most {RANGE_DAYS_MAX}",
                hint="choose a shorter range; for longer ones there is: windrow query fleet --window 1d",
            )
        return time_range

    def _snapshot(self, time_range: TimeRange, check: Check) -> tuple[Snapshot, panels.SensorSummaries]:
        """Bring the range up to date, and return it with the summaries of its sensors."""

        def loaded(done: int, windows: int) -> None:
            self._loaded = done, windows

        snapshot = self._rows.refresh(time_range, loaded, check)
        self._loaded = (0, 0)
        with self._lock:
            # The summaries are computed again only if rows have changed.
            if self._newest is None or _content(self._newest[0]) != _content(snapshot):
                self._newest = snapshot, panels.summarize_sensors(snapshot)
            return snapshot, self._newest[1]


def _is_final(snapshot: Snapshot) -> bool:
    """Whether every window that starts in the range is final, so that its numbers never change again."""
    start_ms, end_ms = snapshot.time_range.start_ms, snapshot.time_range.end_ms
    windows = -(-end_ms // WINDOW_MS) - -(-start_ms // WINDOW_MS)
    final = sum(lineage.is_final for lineage in snapshot.lineages)
    return 0 < windows == final


def _content(snapshot: Snapshot) -> tuple[int, int, int]:
    """Return the version and the first and last window: equal values mean equal rows."""
    starts = [rows.start_ms for rows in snapshot.rows] or [0]
    return snapshot.version, starts[0], starts[-1]
