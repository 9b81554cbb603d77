# ruff: noqa: E501 - a mutant is one line
"""Live values while everything goes wrong: who looks sees what was delivered, never goes back, and changes nothing.

10:04:50 ── look: 10:00 is open                  readings 1 2 3
10:05:10 ── look: 10:00 and 10:05 are open       readings 1 2 3 4 | 5
10:07:30 ── look, while 10:00 is rolled          readings 1 2 3 4 | 5 6    or    5 6
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random

import pytest

from analytics.live_values import live_values
from analytics.open_windows import OpenWindow, OpenWindows
from tests.oracle import Fact, Row, expected_row, window_start_ms
from tests.simulation.faults import Rates
from tests.simulation.mutation import Mutant, applied, mutant
from tests.simulation.process import Fate, Process
from tests.simulation.scenes import AT_ONCE, MINUTE_MS, START_MS, WINDOW_MS, Setup, World, facts, parcels, put_facts
from tests.simulation.verdict import rows_faults_of
from tests.simulation.world import LAKE, RESULTS
from windrow.lake.layout import lineage_key
from windrow.lake.store import ListedObject, ObjectStore, StoredObject
from windrow.quantities import TEMPERATURE
from windrow.window import Window

SETUP = Setup(shards=2, options=AT_ONCE, modes=("direct", "direct"))
RATES = Rates(
    killed=0.1,
    killed_request_arrives=0.5,
    stalled=0.05,
    zombie=0.5,
    s3_ack_lost=0.05,
    s3_slow=0.2,
    put_ack_lost=0.1,
    tick_missed=0.2,
    tick_doubled=0.2,
    tick_late=0.3,
)
ACTIVE_MS = 32 * MINUTE_MS
LOOK_MS = 15_000
PERIOD_MS = 60_000
SEEDS = (0, 1)
DEATHS = range(8, 80, 8)
"""From before the newer window's lineage is written to behind the older one's."""
OPEN = "analytics.open_windows"
Series = str


class ReadOnly:
    """A bucket as the API's role has it: nothing but reading."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def get(self, key: str) -> StoredObject | None:
        return self._store.get(key)

    def list_objects(self, prefix: str) -> Iterator[ListedObject]:
        return iter(list(self._store.list_objects(prefix)))


@dataclass
class Watcher:
    """Somebody who looks at the live values again and again, of a server that is replaced now and then."""

    world: World
    faults: list[str] = field(default_factory=list)
    looks: int = 0
    exact: int = 0
    told: dict[Series, tuple[int, int, int]] = field(default_factory=dict)
    """Of each series the greatest time, sequence and value that were told."""
    _open: OpenWindows | None = None
    _known: dict[bool, tuple[int, dict[int, set[Fact]]]] = field(
        default_factory=lambda: dict.fromkeys((True, False), (0, {}))
    )
    """What was delivered, as it was worked out last, and of how many records."""

    def run(self) -> None:
        """Look while the world is active."""
        while self.world.now_ms < START_MS + ACTIVE_MS:
            self.world.time.sleep(LOOK_MS)
            self.look()

    def look(self) -> None:
        """Look once; what is seen lies between what was delivered before and after."""
        if self._open is None or self.looks % 7 == 6:
            self._open = self._server()
        least, now_ms = self._delivered(is_certain=True), self.world.now_ms
        found = self._open.at(now_ms)
        most = self._delivered(is_certain=False)
        self.looks += 1
        seen = {one.window.start_ms for one in found}
        for start_ms in least:
            is_looked_at = self._is_looked_at(start_ms, now_ms) and not self._may_be_closed(start_ms)
            if is_looked_at and start_ms not in seen:
                self.faults.append(f"at {now_ms}: the window {start_ms} is not shown")
        for one in found:
            self._compare(one, least.get(one.window.start_ms, set()), most.get(one.window.start_ms, set()))
        self._compare_with_before(found, now_ms)

    def _server(self) -> OpenWindows:
        process = Process(self.world.time, "api")
        lake, results = (ReadOnly(self.world.store(process, bucket)) for bucket in (LAKE, RESULTS))
        return OpenWindows(lake=lake, results=results)  # type: ignore[arg-type] # less than a store is enough

    def _delivered(self, *, is_certain: bool) -> dict[int, set[Fact]]:
        """By window the readings that a mapping is done with; or all that are in the stream, counted or not yet."""
        done = {place for mapping in self.world.mappings for place in mapping.done}
        records = [one for one in self.world.stream.records if not is_certain or one.place in done]
        if self._known[is_certain][0] != len(records):
            expected = self.world.ledger.expectation(records, horizon_ms=self.world.horizon_ms)
            self._known[is_certain] = len(records), expected.facts
        return self._known[is_certain][1]

    def _is_looked_at(self, start_ms: int, now_ms: int) -> bool:
        return -2 <= (start_ms - window_start_ms(now_ms)) // WINDOW_MS <= 1

    def _may_be_closed(self, start_ms: int) -> bool:
        results = self.world.s3.buckets[RESULTS]
        return any(lineage_key(Window(start_ms + later * WINDOW_MS)) in results for later in range(5))

    def _compare(self, one: OpenWindow, least: set[Fact], most: set[Fact]) -> None:
        rows = rows_seen(one)
        by_series = {series: [fact for fact in most if fact[0] == series] for series in {fact[0] for fact in most}}
        if least == most:
            self.exact += 1
            expected = {series: shown_of(expected_row(own)) for series, own in by_series.items()}
            if rows != expected:
                self.faults.append(f"{one.window}: {rows} instead of {expected}")
            return
        for series, row in rows.items():
            known = [fact for fact in least if fact[0] == series]
            if row[0] > len(by_series.get(series, ())) or row[0] < len(known):
                self.faults.append(f"{one.window}: {row[0]} readings of {series}, {len(known)} to {len(by_series)}")
        if missing := {fact[0] for fact in least} - rows.keys():
            self.faults.append(f"{one.window}: nothing of {missing}")

    def _compare_with_before(self, found: tuple[OpenWindow, ...], now_ms: int) -> None:
        answer = live_values(found, TEMPERATURE, search="", page=0, per_page=200)
        if answer["sites"]["sensors"] and sum(answer["sites"]["sensors"]) != answer["total"]:
            self.faults.append(f"at {now_ms}: the tally counts other sensors")
        for series, t, last_ms, readings in zip(
            *(answer[name] for name in ("sensors", "t", "last_time", "readings")), strict=True
        ):
            now, before = (t, last_ms, readings), self.told.get(series, (0, 0, 0))
            if now < before:
                self.faults.append(f"at {now_ms}: {series} went back from {before} to {now}")
            self.told[series] = max(now, before)


def rows_seen(one: OpenWindow) -> dict[Series, tuple[int, ...]]:
    """What is shown of each series: readings, sum, least, greatest, last."""
    rollup = one.rollup
    columns = (rollup.readings, rollup.sum_milli, rollup.min_milli, rollup.max_milli, rollup.last_milli)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return dict(zip(rollup.sensor_ids.to_list(), rows, strict=True))


def shown_of(row: Row) -> tuple[int, ...]:
    """The same of a row of the oracle."""
    return tuple(row[name] for name in ("readings", "sum_milli", "min_milli", "max_milli", "last_milli"))


def watched(seed: int) -> tuple[World, Watcher]:
    """A world in which everything goes wrong, somebody looks, and then all calms down."""
    with World(seed, SETUP, RATES) as world:
        gateway, watcher, sent = world.gateway(), Watcher(world), Random(seed)

        def send() -> None:
            number = 0
            while world.now_ms < START_MS + ACTIVE_MS:
                world.time.sleep(PERIOD_MS)
                late_ms = sent.choice([0, 0, 0, 2 * MINUTE_MS, -MINUTE_MS])
                fresh = [(f"s{n}", world.now_ms - late_ms - n * 7_000, number, 20_000 + number * n) for n in range(3)]
                number += 1
                gateway.deliver(parcels(world, fresh), attempts_max=4)

        tasks = [
            world.begin(lambda: world.schedule.run(START_MS + ACTIVE_MS), "schedule"),
            world.begin(send, "gateway"),
        ]
        tasks.append(world.begin(watcher.run, "watcher"))
        limit_ms = world.now_ms + 2 * ACTIVE_MS
        assert world.time.run(limit_ms, is_over=lambda: all(task.is_done for task in tasks)), "the actors do not end"
        assert [task.error for task in tasks if task.error] == []
        world.settle_promptly()
        return world, watcher


@pytest.mark.parametrize("seed", SEEDS)
def test_live_values_are_what_was_delivered_and_never_go_back(seed: int) -> None:
    """While windows are rolled, late, doubled, and functions die; and no row is changed by it."""
    world, watcher = watched(seed)
    assert watcher.faults == []
    assert watcher.looks > 100
    assert watcher.exact > 20
    assert rows_faults_of(world) == []


def faults_of_a_killed_tick(dies_at: int) -> list[str]:
    """What is seen of two windows after a tick that dies before this request: it may have rolled the newer one alone."""
    with World(dies_at, replace(SETUP, modes=("direct",))) as world:
        watcher = Watcher(world)
        world.pass_ms(WINDOW_MS)
        put_facts(world, facts(12))
        world.drain()
        world.pass_ms(world.schedule.next_ms(world.now_ms) + WINDOW_MS - world.now_ms)
        world.do(watcher.look)
        world.dispatcher.next_fate = Fate(dies_at=dies_at)
        world.tick(world.now_ms)
        world.do(watcher.look)
        return watcher.faults


def test_what_is_seen_after_a_tick_that_dies_does_not_go_back() -> None:
    """Wherever it dies while it writes."""
    assert [one for dies_at in DEATHS for one in faults_of_a_killed_tick(dies_at)] == []


MUTANTS = (
    mutant("an earlier window beside a closed one", OPEN, "self._newest_closed = window\n                break", "continue"),
    mutant("what was rolled first stays", OPEN, "if known is not None and known[0] == keys.keys():", "if known is not None:"),
    mutant("one partial of each window", OPEN, "roll(union(window, partials))", "roll(partials[0])"),
    mutant("no window but the running one", OPEN, "start_ms - WINDOWS_BACK * WINDOW_MS", "start_ms"),
    mutant("a partial is read once, and forgotten", OPEN, "if digest in self._partials:\n            return self._partials[digest]", "if digest in self._partials:\n            return None"),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("broken", MUTANTS, ids=[one.name for one in MUTANTS])
def test_a_break_is_noticed(broken: Mutant) -> None:
    """By who looks."""
    with applied(broken):
        assert any(map(faults_of_a_killed_tick, DEATHS)) or any(watched(seed)[1].faults for seed in SEEDS)
