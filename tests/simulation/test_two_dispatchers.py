"""Two dispatchers and a consumer, in every order of their S3 requests, and dying at every one of them.

    A        plan ── observe ── list ── get.. ── rows ── lineage ── marker
    B              plan ── observe ── list ── get.. ── rows ── lineage ── marker
    consumer            partial ── marker

Every node of the schedule graph is also the end of every party that is never scheduled again, so what is asserted at
every node holds for every crash.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType

import pytest

import dispatcher.roll
from dispatcher.observation import RowsIndex
from dispatcher.report import RollOutcome, WindowReport
from dispatcher.roller import Roller
from dispatcher.tick import plan_tick
from tests.simulation.interleaving import Node, Program, every_node
from tests.simulation.lake import (
    FIRST,
    LATE,
    LIFETIMES,
    OLD,
    SCHEDULED,
    SECOND,
    Row,
    at,
    buckets,
    lineage_of,
    marker_put,
    markers_of,
    next_tick,
    partial_of,
    partial_put,
    rows_of,
    tick,
    united_of,
)
from tests.simulation.mutant import mutant_of
from tests.simulation.remembered import codecs_remembered
from tests.simulation.simulated_s3 import Perform, S3State
from windrow.lake.layout import lineage_key, rows_key
from windrow.period import DAY_MS
from windrow.rows.lineage import Lineage

WINDOW = OLD
MORE: list[Row] = [("e", 5, 0, 1)]
SWEPT = at("07:02") + DAY_MS
"""The one tick of the next day whose share of the sweep has WINDOW."""


@pytest.fixture(autouse=True)
def _remembered() -> Iterator[None]:
    """The codecs are not what is tested here, and the same ticks run again and again."""
    with codecs_remembered():
        yield


def consumer(perform: Perform) -> None:
    """Write a late partial, then its marker."""
    perform(partial_put(WINDOW, LATE, first=3, late=2))
    perform(marker_put(WINDOW, LATE))


def dispatching(roll: ModuleType) -> Program:
    """A dispatcher that rolls WINDOW alone, by the roll of the module given."""

    def program(perform: Perform) -> WindowReport | None:
        both = buckets(perform)
        plan = plan_tick(both, SCHEDULED, LIFETIMES)
        roller = Roller(buckets=both, lifetimes=LIFETIMES, scheduled_time_ms=SCHEDULED)
        look = RowsIndex(without_lineage=plan.without_lineage).observe
        for due in plan.due:
            if due.window == WINDOW:
                report: WindowReport = roll.roll_window(roller, due, first_look=look)
                roller.clear()
                return report
        return None

    return program


def never_rolled() -> S3State:
    """Two partials that share a reading; no lineage."""
    state = S3State()
    state.apply(partial_put(WINDOW, FIRST, first=1))
    state.apply(partial_put(WINDOW, SECOND, first=2, shard=1))
    return state


def once_rolled() -> S3State:
    """As `never_rolled`, settled, and then one more partial that no lineage has, with its marker."""
    state = never_rolled()
    tick(state.apply, SCHEDULED)
    state.apply(partial_put(WINDOW, MORE, first=7))
    state.apply(marker_put(WINDOW, MORE))
    return state


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the buckets hold at first, and whether the late partial arrives meanwhile."""

    start: Callable[[], S3State]
    arrives: bool


SCENARIOS = {
    "never rolled": Scenario(never_rolled, arrives=False),
    "never rolled, one arrives": Scenario(never_rolled, arrives=True),
    "rolled before, one arrives": Scenario(once_rolled, arrives=True),
}


def faults_of(scenario: Scenario, roll: ModuleType, *, page_keys: int = 1000, is_kms: bool = False) -> Iterator[str]:
    """What is wrong at any node of the schedule graph; "" for every node at which nothing is."""
    initial = scenario.start()
    initial.page_keys, initial.is_kms = page_keys, is_kms
    programs: dict[str, Program] = {"A": dispatching(roll), "B": dispatching(roll)}
    if scenario.arrives:
        programs["consumer"] = consumer
    healed: dict[object, list[str]] = {}
    for node, successors in every_node(initial, programs, nodes_max=100_000):
        yield ""
        yield from (fault for successor in successors for fault in lineage_faults(node.state, successor.state))
        yield from outcome_faults(node)
        contents = node.state.fingerprint()
        if contents not in healed:
            healed[contents] = healing_faults(node.state, scenario)
        yield from healed[contents]


def lineage_faults(before: S3State, after: S3State) -> list[str]:
    """A lineage may only gain digests, and its revision rises by one exactly when its rows change."""
    old, new = lineage_at(before), lineage_at(after)
    if old is None or old == new:
        return []
    if new is None:
        return ["the lineage is gone"]
    shrunk = ["the lineage lost a digest"] if set(old.digests) - set(new.digests) else []
    expected = old.revision + (0 if old.rows_sha256 == new.rows_sha256 else 1)
    return shrunk + ([f"revision {old.revision} became {new.revision}"] if new.revision != expected else [])


def lineage_at(state: S3State) -> Lineage | None:
    """The lineage of WINDOW, if there is one."""
    return lineage_of(state, WINDOW) if lineage_key(WINDOW) in state.buckets.get("results", {}) else None


def outcome_faults(node: Node) -> list[str]:
    """No party may find a window frozen, failed or lost for good: nothing was deleted or broken."""
    reports = [value for value in node.results.values() if isinstance(value, WindowReport)]
    bad = (RollOutcome.FROZEN, RollOutcome.FAILED, RollOutcome.CONTENDED)
    return [f"{report.outcome}: {report.detail}" for report in reports if report.outcome in bad]


def healing_faults(state: S3State, scenario: Scenario) -> list[str]:
    """One more tick must end as a clean run does: rows to the byte, lineage but for its history, no markers.

    Two things wait for the window's turn in the sweep: a partial whose consumer died before its marker, and, where
    equal bytes get new ETags, the `result_etag` behind a roll that died after it wrote the same rows again, and with
    it the silence.
    """
    late, marker = partial_put(WINDOW, LATE, first=3).key, marker_put(WINDOW, LATE).key
    lake = state.buckets["lake"]
    is_known = late not in lake or marker in lake or late_digest() in digests_at(state)
    times = (SWEPT, next_tick(SCHEDULED)) if is_known else (SWEPT,)
    return [fault for at_ms in times for fault in differences(state, clean_run(scenario, at_ms, late in lake), at_ms)]


@lru_cache
def clean_run(scenario: Scenario, at_ms: int, is_late_there: bool) -> S3State:
    """What one dispatcher leaves that saw everything at once."""
    state = scenario.start()
    if is_late_there:
        consumer(state.apply)
    tick(state.apply, at_ms)
    return state


def differences(state: S3State, clean: S3State, at_ms: int) -> list[str]:
    """How a tick at `at_ms` ends otherwise than the clean run."""
    state = state.copy()
    tick(state.apply, at_ms)
    faults = []
    if rows_of(state, WINDOW) != rows_of(clean, WINDOW):
        faults.append("other rows than a clean run")
    rows = state.buckets["results"].get(rows_key(WINDOW))
    fits = not rows or rows.etag == lineage_of(state, WINDOW).result_etag
    if not fits and state.is_kms and at_ms != SWEPT:
        return faults  # the sweep sees it, and then its silence is worked out
    if not fits:
        faults.append("the lineage is not that of the rows")
    if comparable(state) != comparable(clean):
        faults.append("another lineage than a clean run")
    lineage = lineage_of(state, WINDOW)
    if lineage.united and united_of(state, lineage, is_alone=False) != partial_of(WINDOW, [*FIRST, *SECOND, *MORE]):
        faults.append("the united set is not that of all readings")
    if markers_of(state):
        faults.append("a marker is left")
    return faults


def comparable(state: S3State) -> Lineage:
    """The lineage but for what says in how many steps it came about, when, and under which ETags."""
    lineage = lineage_of(state, WINDOW)
    return dataclasses.replace(lineage, revision=0, scheduled_time_ms=0, result_etag="", united=None)


def late_digest() -> str:
    """The digest of the partial that arrives late."""
    return partial_of(WINDOW, LATE).digest


def digests_at(state: S3State) -> tuple[str, ...]:
    """The digests of the lineage, none if there is none."""
    lineage = lineage_at(state)
    return lineage.digests if lineage else ()


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_every_interleaving_and_every_crash_heals_at_the_next_tick(scenario: Scenario) -> None:
    """Two dispatchers and an arriving partial, over all schedules and crash points, end as a clean run does."""
    found = Counter(faults_of(scenario, dispatcher.roll))
    assert found.keys() == {""}
    assert found[""] > 200


def test_others_may_act_between_the_pages_of_a_listing() -> None:
    """With pages of one key, a listing is no snapshot, and nothing ends otherwise."""
    found = Counter(faults_of(SCENARIOS["never rolled, one arrives"], dispatcher.roll, page_keys=1))
    assert found.keys() == {""}


def test_etags_that_are_no_digests_end_alike() -> None:
    """Under SSE-KMS every write has an ETag of its own, and nothing ends otherwise."""
    found = Counter(faults_of(SCENARIOS["never rolled"], dispatcher.roll, is_kms=True))
    assert found.keys() == {""}


LINEAGE_FIRST = {
    "replace": """\
            etag = put_if_unchanged(roller.buckets.results, rows_key(window), rolled.body, observed_etag=seen.rows_etag)
            lineage = dataclasses.replace(lineage, result_etag=etag)
        is_other = not is_same or (before is not None and before.held != lineage.held)
        if lineage.is_silence_unknown or (roller.has_rules and is_other):
            _mark_silence(roller, lineage, before)
        _write_lineage(roller, lineage, seen.lineage_etag)
""",
    "by": """            import hashlib
            lineage = dataclasses.replace(lineage, result_etag=hashlib.md5(rolled.body).hexdigest())
            _write_lineage(roller, lineage, seen.lineage_etag)
            put_if_unchanged(roller.buckets.results, rows_key(window), rolled.body, observed_etag=seen.rows_etag)
        else:
            _write_lineage(roller, lineage, seen.lineage_etag)
""",
}
TOO_SOON = """    if _is_too_soon(roller, due, seen):
        return _RollResult(outcome=RollOutcome.WAITING, lineage=seen.lineage, detail="it was rolled a short while ago")
"""
MUTANTS = {
    "lineage written before rows": LINEAGE_FIRST,
    "all observed after listing": {
        "replace": f"""    seen = look(roller.buckets, window)
{TOO_SOON}    listing = list_partials(roller.buckets, window)
""",
        "by": f"""    listing = list_partials(roller.buckets, window)
    seen = look(roller.buckets, window)
{TOO_SOON}""",
    },
    "ETags observed after listing": {
        "replace": """    listing = list_partials(roller.buckets, window)
""",
        "by": """    listing = list_partials(roller.buckets, window)
    later = look(roller.buckets, window)
    seen = dataclasses.replace(seen, rows_etag=later.rows_etag, lineage_etag=later.lineage_etag)
""",
    },
}


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_a_roll_in_another_order_is_found_out(mutant: dict[str, str]) -> None:
    """Each planted bug leaves a schedule that ends in another state than a clean run."""
    broken = mutant_of("dispatcher.roll", **mutant)
    assert any(fault for scenario in SCENARIOS.values() for fault in faults_of(scenario, broken))
