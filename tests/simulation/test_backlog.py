"""Ticks with more to do than there is time for: the live windows and what follows from them first, whatever waits.

closing - 2 h                          closing
   . b b b b b b b b b b │ L L L L ... L │        b: backlog, L: live
                          └ 1st, every tick
ticks 1, 3 of 4: b oldest first    2: first the hours and days that others left    0: all from the newest back
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from dispatcher.due import RECENT_WINDOWS, REVERSED_EVERY_TICKS, DueReason, closing_ms
from dispatcher.report import Backlog, RollOutcome, TickReport, backlog_of
from dispatcher.room import Room
from dispatcher.tick import Tick
from tests.simulation.lake import (
    FIRST,
    LIFETIMES,
    RESULTS,
    at,
    buckets,
    contents,
    lineage_of,
    marker_put,
    next_tick,
    partial_put,
    report_of,
    tick,
)
from tests.simulation.simulated_s3 import Answer, Get, ListPage, Operation, Put, S3State
from windrow.lake.layout import PARTIALS, lineage_key, partials_prefix, period_rows_key
from windrow.lake.store import Mapper
from windrow.period import HOUR_MS, Grain, Period
from windrow.window import WINDOW_MS, Window

BEGIN = at("10:07")
BACKLOG = 150
"""Windows, half a day, that end where the live ones begin."""


class Killed(BaseException):
    """The run is over in the middle, as when memory or time ends."""


@dataclass
class Busy:
    """A stage with a long backlog, whose ticks may make `requests` each, and readings in every new window.

    Nothing is asked of S3 for `poison`: the run that begins to roll it is killed.
    """

    requests: int
    backlog: int = BACKLOG
    poison: Window | None = None
    state: S3State = field(default_factory=S3State)
    scheduled_ms: int = BEGIN
    written: Counter[str] = field(default_factory=Counter)
    """How often each result was written."""
    work_mapper: Mapper = map
    order: list[Window] = field(default_factory=list)
    """The windows whose partials the last tick listed, in order."""
    _asked: int = 0

    def __post_init__(self) -> None:
        """The backlog: partials and no lineage; before it, all is rolled."""
        tick(self.state.apply, self.scheduled_ms - WINDOW_MS)
        closing = closing_ms(self.scheduled_ms)
        self.waiting = [Window(closing - (RECENT_WINDOWS + back) * WINDOW_MS) for back in range(self.backlog, 0, -1)]
        for window in self.waiting:
            self.state.buckets[RESULTS].pop(lineage_key(window), None)
            self.state.apply(partial_put(window, FIRST))

    @property
    def newest(self) -> Window:
        """The window that the tick closes."""
        return Window(closing_ms(self.scheduled_ms) - WINDOW_MS)

    def perform(self, operation: Operation) -> Answer:
        """One request."""
        self._asked += 1
        if isinstance(operation, ListPage) and operation.prefix.startswith(PARTIALS) and not operation.delimiter:
            window = next(one for one in self.windows() if partials_prefix(one) == operation.prefix)
            self.order.append(window)
            if window == self.poison:
                raise Killed
        if isinstance(operation, Put) and operation.bucket == RESULTS:
            self.written[operation.key] += 1
        return self.state.apply(operation)

    def windows(self) -> Iterator[Window]:
        """All that a tick may look at."""
        for back in range(1, 288 * 6):
            yield Window(closing_ms(self.scheduled_ms) - back * WINDOW_MS)

    def tick(self) -> TickReport | None:
        """The next tick, and before it the readings of its newest window; None if it was killed."""
        self.state.apply(partial_put(self.newest, FIRST))
        self._asked, self.order = 0, []
        run = Tick(
            buckets=buckets(self.perform),
            lifetimes=LIFETIMES,
            scheduled_time_ms=self.scheduled_ms,
            time_left=lambda: self._asked < self.requests,
            work_mapper=self.work_mapper,
        )
        try:
            return run.run()
        except Killed:
            return None
        finally:
            self.scheduled_ms = next_tick(self.scheduled_ms)

    def is_rolled(self, window: Window) -> bool:
        """Whether it has a lineage."""
        return lineage_key(window) in self.state.buckets[RESULTS]


def until_done(busy: Busy, look: Callable[[Window, TickReport], None] = lambda _newest, _report: None) -> int:
    """Run ticks until the backlog is done; how many it took."""
    for ticks in range(1, 100):
        newest = busy.newest
        report = busy.tick()
        assert report is not None
        look(newest, report)
        if report.backlog is None:
            return ticks
    raise AssertionError("the backlog is never done")


def test_live_windows_are_rolled_at_every_tick_while_a_backlog_waits() -> None:
    """None of the last two hours is ever deferred; the newest has its rows, and its silence, at its first tick."""
    assert faults_of_live_windows() == []


def faults_of_live_windows() -> list[str]:
    """What of the live windows is not done at the end of some tick, while a backlog waits for many."""
    busy = Busy(requests=400)
    # One that was missed: nobody has rolled it when the backlog begins.
    missed = Window(busy.newest.start_ms - 5 * WINDOW_MS)
    del busy.state.buckets[RESULTS][lineage_key(missed)]
    busy.state.apply(partial_put(missed, FIRST))
    faults = []

    def look(newest: Window, report: TickReport) -> None:
        live = [one for one in report.windows if DueReason.RECENT in one.reasons]
        faults.extend(f"{one.window} is deferred" for one in live if one.outcome is RollOutcome.DEFERRED)
        if not busy.is_rolled(newest) or not lineage_of(busy.state, newest).presence:
            faults.append(f"the silence of {newest} is not known")
        if not busy.is_rolled(missed):
            faults.append(f"{missed} waits")

    assert until_done(busy, look) > REVERSED_EVERY_TICKS
    assert all(busy.is_rolled(window) for window in busy.waiting)
    return faults


def test_live_hours_are_rolled_at_the_tick_that_ends_them() -> None:
    """An hour that ends during the backlog has rows by the first tick after its end; so has a day."""
    assert faults_of_live_hours() == []


def faults_of_live_hours() -> list[str]:
    """Which hours and days have no rows at the first tick after their end, while a backlog waits."""
    busy, faults = Busy(requests=400, backlog=200, scheduled_ms=at("23:47")), list[str]()

    def look(newest: Window, report: TickReport) -> None:
        del report
        for grain in Grain:
            ended = Period.containing(grain, newest.start_ms)
            if newest.end_ms == ended.end_ms and period_rows_key(ended) not in busy.state.buckets[RESULTS]:
                faults.append(f"{ended} has no rows")

    assert until_done(busy, look) > 4
    return faults


def test_hours_of_a_backlog_are_rolled_once_or_twice_and_not_at_every_tick() -> None:
    """An hour waits until no window of it waits, but for one tick in four; in the end all are right."""
    busy = Busy(requests=320)
    ticks = until_done(busy)
    hours = {Period.containing(Grain.HOUR, window.start_ms) for window in busy.waiting}
    writes = [busy.written[period_rows_key(hour)] for hour in sorted(hours)]
    assert ticks > REVERSED_EVERY_TICKS
    assert all(writes), "an hour was not rolled"
    assert sum(writes) <= 1.5 * len(writes)
    for _ in range(HOUR_MS // WINDOW_MS + 1):
        report = tick(busy.state.apply, busy.scheduled_ms)
        busy.scheduled_ms = next_tick(busy.scheduled_ms)
    assert report.periods == ()  # at rest


def test_backlog_is_told_with_what_is_left_and_when_it_will_be_done() -> None:
    """Every tick says how many windows are left; the estimate is at the rate of the tick, and it comes true."""
    busy = Busy(requests=500)
    told: list[tuple[int, Backlog]] = []

    def look(newest: Window, report: TickReport) -> None:
        if report.backlog is not None:
            told.append((newest.end_ms, report.backlog))
            assert report.backlog.left == report.outcomes[RollOutcome.DEFERRED]

    ticks = until_done(busy, look)
    left = [backlog.left for _, backlog in told]
    assert len(left) == ticks - 1
    assert left[0] > 2 * left[-1]
    done_at_ms = busy.scheduled_ms - WINDOW_MS
    promised = [backlog.done_by_ms for _, backlog in told if backlog.done_by_ms is not None]
    assert len(promised) >= len(told) * (REVERSED_EVERY_TICKS - 1) // REVERSED_EVERY_TICKS
    assert min(abs(by_ms - done_at_ms) for by_ms in promised) <= 2 * WINDOW_MS
    assert max(abs(by_ms - done_at_ms) for by_ms in promised) <= 2 * ticks * WINDOW_MS


def test_tick_that_got_nothing_done_promises_nothing() -> None:
    """Without a rate there is no time at which it will be done; without anything left there is no backlog."""
    busy = Busy(requests=0)
    report = busy.tick()
    assert report is not None
    assert report.backlog == Backlog(done=0, left=len(report.windows) - 1, done_by_ms=None)
    assert Backlog.from_fields(report.backlog.to_fields()) == report.backlog
    assert backlog_of(BEGIN, live=[], backlog=[]) is None
    whole = tick(busy.state.apply, BEGIN)
    assert whole.backlog is None


def test_backlog_goes_oldest_first_and_every_fourth_tick_from_the_newest_back() -> None:
    """After the live windows; so the order alone says that none can be starved."""
    busy, done = Busy(requests=400), list[int]()
    for _ in range(REVERSED_EVERY_TICKS):
        is_reversed = closing_ms(busy.scheduled_ms) // WINDOW_MS % REVERSED_EVERY_TICKS == 0
        live = {Window(busy.newest.start_ms - age * WINDOW_MS) for age in range(RECENT_WINDOWS)}
        newest = busy.newest
        busy.tick()
        assert busy.order[0] == newest
        assert set(busy.order[:RECENT_WINDOWS]) == live
        backlog = [window for window in busy.order[RECENT_WINDOWS:] if window in set(busy.waiting)]
        assert backlog == sorted(backlog, reverse=is_reversed)
        done.append(len(backlog))
    assert sum(done) > 40


def test_a_window_of_the_backlog_that_kills_its_run_starves_nothing() -> None:
    """All other windows, their hours and their silences get their turn, the live ones at once."""
    assert faults_of_killer_in_backlog() == []


def faults_of_killer_in_backlog() -> list[str]:
    """What is not done after some hours in which every run ends at one window of the backlog."""
    busy, faults = Busy(requests=1_000), list[str]()
    busy.poison = busy.waiting[BACKLOG // 3]
    for _ in range(32):
        newest = busy.newest
        busy.tick()
        if not busy.is_rolled(newest) or not lineage_of(busy.state, newest).presence:
            faults.append(f"{newest} waits")
    rest = [window for window in busy.waiting if window != busy.poison]
    faults += [f"{window} is not rolled" for window in rest if not busy.is_rolled(window)]
    rolled = [window for window in rest if busy.is_rolled(window)]
    faults += [f"the silence of {one} is not known" for one in rolled if not lineage_of(busy.state, one).presence]
    hours = {Period.containing(Grain.HOUR, window.start_ms) for window in rest}
    return faults + [f"{hour} has no rows" for hour in sorted(hours) if not busy.written[period_rows_key(hour)]]


def test_a_live_window_that_kills_its_run_starves_neither_live_ones_nor_the_backlog() -> None:
    """While it is live, every fourth tick leaves it for last, and gets on with the backlog."""
    assert faults_of_live_killer() == []


def faults_of_live_killer() -> list[str]:
    """What is not done although a live window kills every run that begins to roll it."""
    busy, faults, done = Busy(requests=400), list[str](), list[int]()
    busy.poison = busy.newest
    for _ in range(RECENT_WINDOWS - 1):
        newest = busy.newest
        busy.tick()
        if newest != busy.poison and not busy.is_rolled(newest):
            faults.append(f"{newest} waits")
        done.append(sum(busy.is_rolled(window) for window in busy.waiting))
    assert not busy.is_rolled(busy.poison)
    return faults + ([] if done[-1] > done[REVERSED_EVERY_TICKS] > 0 else [f"the backlog waits: {done}"])


def test_one_window_is_done_before_any_that_may_kill_the_run() -> None:
    """However many are rolled at once: the first goes alone, so those beside a killer are done tick after tick."""
    assert faults_of_killer_beside_others() == []


def faults_of_killer_beside_others() -> list[str]:
    """What is not done when all that is rolled at once is lost as soon as the killer is among it."""
    busy = Busy(requests=10**6, backlog=5)
    busy.poison = busy.waiting[2]

    def at_once(function: Callable[[Any], Any], arguments: Iterable[Any]) -> list[Any]:
        arguments = list(arguments)
        if any(getattr(one, "window", None) == busy.poison for one in arguments):
            raise Killed
        return [function(one) for one in arguments]

    busy.work_mapper = at_once
    for _ in range(2 * REVERSED_EVERY_TICKS):
        busy.tick()
    return [f"{window} waits" for window in busy.waiting if window != busy.poison and not busy.is_rolled(window)]


def test_many_windows_at_once_give_the_same_bytes() -> None:
    """Rows, lineages, silences, hours and days of an outage, with threads and without."""
    made = []
    for is_parallel in (False, True):
        state = S3State()
        for back in range(1, 40):
            window = Window(closing_ms(BEGIN) - back * WINDOW_MS)
            rows = [(who, 0, 0, back) for who in "abcdefg" if (ord(who) + back) % 7 > 2]
            state.apply(partial_put(window, rows))
        lock = threading.Lock()

        def perform(operation: Operation, state: S3State = state, lock: threading.Lock = lock) -> Answer:
            with lock:
                return state.apply(operation)

        with ThreadPoolExecutor(4) as readers, ThreadPoolExecutor(4) as workers:
            Tick(
                buckets=buckets(perform),
                lifetimes=LIFETIMES,
                scheduled_time_ms=BEGIN,
                mapper=readers.map if is_parallel else map,
                work_mapper=workers.map if is_parallel else map,
                room=Room(5_000) if is_parallel else None,
            ).run()
        made.append(contents(state))
    assert {key for key in made[0] if made[0][key] != made[1].get(key)} == set()
    assert made[0].keys() == made[1].keys()
    assert any(key.startswith("silences/") for key in made[0])


def test_room_lets_in_what_fits_and_the_large_alone() -> None:
    """Never more than the bound together; what is larger than the bound goes in when nobody else is there."""
    room, inside, most = Room(10), Counter[str](), list[int]()
    lock = threading.Lock()

    def work(size_bytes: int) -> None:
        with room.taken(size_bytes):
            with lock:
                inside["bytes"] += size_bytes
                inside["works"] += 1
                most.append(inside["bytes"] if inside["works"] > 1 else 0)
            with lock:
                inside["bytes"] -= size_bytes
                inside["works"] -= 1

    with ThreadPoolExecutor(8) as workers:
        list(workers.map(work, [3, 4, 100, 5, 1, 9, 10, 100, 2, 2, 6] * 30))
    assert len(most) == 330
    assert max(most) <= 10


def test_late_readings_of_old_windows_wait_behind_the_live_ones() -> None:
    """A marked window is backlog: it is rolled with the time that is left, in the same tick if there is some."""
    busy = Busy(requests=10**6, backlog=0)
    old = Window(busy.newest.start_ms - 40 * WINDOW_MS)
    busy.state.apply(partial_put(old, FIRST, first=9))
    busy.state.apply(marker_put(old, FIRST))
    report = busy.tick()
    assert report is not None
    assert report_of(report, old).outcome is RollOutcome.ROLLED
    assert busy.order.index(old) >= RECENT_WINDOWS
    assert busy.written[period_rows_key(Period.containing(Grain.HOUR, old.start_ms))] == 1


def test_a_tick_without_a_backlog_costs_what_it_did() -> None:
    """Listings of hours and days are made once if nothing but the sweep is due beside the live windows."""
    busy = Busy(requests=10**6, backlog=0)
    busy.tick()
    state, operations = busy.state, list[Operation]()

    def noting(operation: Operation) -> Answer:
        operations.append(operation)
        return state.apply(operation)

    tick(noting, busy.scheduled_ms)
    lists = [one.prefix for one in operations if isinstance(one, ListPage) and one.bucket == RESULTS]
    periods = [prefix for prefix in lists if prefix.startswith(("aggregates_1h/", "aggregates_1d/"))]
    assert len(periods) == 2
    assert len([one for one in operations if isinstance(one, Get)]) < 2 * RECENT_WINDOWS + 30
