"""A site with rules: its sensors read, a tick follows each window, and what it tells is kept."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from io import BytesIO
from itertools import count
from typing import Any, TypeVar

from dispatcher.due import FIRST_TICK_AFTER_MS
from dispatcher.report import TickReport
from dispatcher.tick import Tick, always
from tests.oracle import read_rows
from tests.simulation.lake import LAKE, LIFETIMES, RESULTS, at, buckets, marker_put, partial_put
from tests.simulation.simulated_s3 import Delete, Operation, Perform, Put, S3State, SimulatedStore
from windrow.lake.layout import (
    EXCURSIONS,
    excursions_key,
    rows_key,
)
from windrow.rows.rollup_parquet import read_rows as read_rollup
from windrow.rules.excursion import Excursion, excursions
from windrow.rules.judge import WatchedRows
from windrow.rules.messages import Message
from windrow.rules.rows import decode_excursions
from windrow.rules.stored import StoredRules, rules_of, store_rules
from windrow.rules.watched import no_rows, watched_rows
from windrow.window import WINDOW_MS, Window

BEGIN = at("02:00")
WARM = """
[[rule]]
name = "warm"
above = 8
clear = 6
windows = 2
clear_windows = 2
severity = "critical"
"""
RULES = f"""{WARM}
[[rule]]
name = "falls"
rate = 120
severity = "info"
"""

FEW_WRITES = 10
"""A tick that judges makes more; with fewer the deaths would prove little."""
SomeSite = TypeVar("SomeSite", bound="Site")


@dataclass
class Phone:
    """Keeps what it is told."""

    told: list[Message] = field(default_factory=list)

    def tell(self, message: Message) -> None:
        """Keep it."""
        self.told.append(message)


@dataclass
class Site:
    """A site whose sensors read once in each window, and a tick after each."""

    rules: str = WARM
    state: S3State = field(default_factory=S3State)
    phone: Phone = field(default_factory=Phone)
    now_ms: int = BEGIN
    batches: int = 0
    report: TickReport = field(init=False)
    """Of the last tick."""

    def put(self, window: Window, readings: dict[str, float], *, after_ms: int = 1_000) -> None:
        """Readings of a window, with a marker if they are late."""
        rows = [(who, after_ms, 0, round(value * 1_000)) for who, value in readings.items()]
        if not rows:
            return
        self.batches += 1
        self.state.apply(partial_put(window, rows, first=self.batches))
        if window.end_ms < self.now_ms:
            self.state.apply(marker_put(window, rows))

    def window(self, **readings: float) -> Window:
        """One window with these readings, and its tick."""
        window = Window(self.now_ms)
        self.put(window, readings)
        self.now_ms += WINDOW_MS
        self.tick()
        return window

    def windows(self, *values: float | None, who: str = "f") -> list[Window]:
        """Several, of one sensor."""
        return [self.window(**({} if value is None else {who: value})) for value in values]

    def stored(self) -> StoredRules:
        """The stage's rules."""
        lake = SimulatedStore(self.state.apply, LAKE)
        return rules_of(lake, store_rules(lake, self.rules.encode()))

    def tick(
        self,
        perform: Perform | None = None,
        *,
        time_left: Callable[[], bool] = always,
        leaves_rules: bool = False,
    ) -> None:
        """The tick for the last window; one that `leaves_rules` applies none."""
        self.report = Tick(
            buckets=buckets(perform or self.state.apply),
            lifetimes=LIFETIMES,
            scheduled_time_ms=self.now_ms + FIRST_TICK_AFTER_MS,
            time_left=time_left,
            rules=None if leaves_rules else self.stored(),
            teller=self.phone,
            leaves_rules=leaves_rules,
        ).run()

    def rows(self, window: Window) -> dict[tuple[str, str], str]:
        """The states of a window, by rule and sensor."""
        stored = self.state.buckets[RESULTS].get(excursions_key(window))
        return {(row["rule"], row["sensor_id"]): row["state"] for row in read_rows(stored.body)} if stored else {}

    def subjects(self) -> list[str]:
        """What was told so far."""
        return [message.subject for message in self.phone.told]


def found(site: Site) -> set[Excursion]:
    """The excursions that the table has: of each its newest row; pending ones left out."""
    by_key: dict[tuple[str, str, int], Excursion] = {}
    for key, stored in sorted(site.state.buckets[RESULTS].items()):
        if key.startswith(EXCURSIONS):
            start_ms = next(one for one in windows_of(site) if excursions_key(one) == key).start_ms
            for row in decode_excursions(start_ms, stored.body):
                if row.has_rung:
                    by_key[row.rule, row.series, row.began_ms] = row.excursion
    return set(by_key.values())


def windows_of(site: Site) -> list[Window]:
    """All windows that the last tick could close."""
    return [Window(start_ms) for start_ms in range(BEGIN - 24 * WINDOW_MS, site.now_ms, WINDOW_MS)]


def wanted(site: Site) -> set[Excursion]:
    """The excursions by their definition, over the rows that stand."""

    def rows() -> list[WatchedRows]:
        found = []
        for window in windows_of(site):
            stored = site.state.buckets[RESULTS].get(rows_key(window))
            body = stored.body if stored else None
            parts = [watched_rows(part) for part in read_rollup(window.start_ms, BytesIO(body))] if body else []
            found.append(parts[0] if parts else no_rows(window.start_ms))
        return found

    return {one for rule in site.stored().rules for one in excursions(rule, rows())}


class Died(BaseException):
    """The end of a process."""


def dying(apply: Perform, dies_at: int, *, is_done: bool) -> Perform:
    """Return what performs operations until a write, the one with this number: it ends the process, done or not."""
    writes = count(1)

    def perform(operation: Operation) -> Any:
        if not isinstance(operation, Put | Delete) or next(writes) != dies_at:
            return apply(operation)
        if is_done:
            apply(operation)
        raise Died

    return perform


def deaths(begun: SomeSite, *, is_done: bool, every: int = 1) -> Iterator[tuple[int, SomeSite]]:
    """Yield a site after a tick that died before or after (`is_done`) a write, and which: each `every`-th in turn."""
    for dies_at in count(1, every):
        site = deepcopy(begun)
        with suppress(Died):
            site.tick(dying(site.state.apply, dies_at, is_done=is_done))
            assert dies_at > FEW_WRITES
            return
        yield dies_at, site
