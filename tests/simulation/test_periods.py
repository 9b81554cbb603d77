"""Hours and days: rolled after the windows, healed like them, however ticks die or meet.

05:00 ──── 06:00 ──── 07:00 ──── 08:00        windows with readings: 05:00, 05:05, 07:00; the next day: none
   5 5                 5                      hours: 05, 07; day: both of them
"""

import dataclasses
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import pytest

import dispatcher.periods
from dispatcher.periods import PeriodRoller, list_rows, read_lineages, window_etags
from dispatcher.report import PeriodReport, RollOutcome, TickReport
from tests.rows_file import encode_rollup
from tests.simulation.interleaving import Node, Program, every_node
from tests.simulation.lake import (
    FIRST,
    LATE,
    OLD,
    RESULTS,
    SCHEDULED,
    SECOND,
    at,
    buckets,
    contents,
    marker_put,
    next_tick,
    partial_put,
    rows_of,
    tick,
    window_at,
)
from tests.simulation.mutant import mutant_of
from tests.simulation.remembered import codecs_remembered
from tests.simulation.simulated_s3 import Crash, Delete, Operation, Perform, Put, S3State, crashing, recording
from windrow.lake.layout import AGGREGATES, SILENCES, lineage_key, period_lineages_key, period_rows_key, rows_key
from windrow.period import DAY_MS, HOUR_MS, Grain, Period
from windrow.rows.merge import merge
from windrow.rows.period_lineage import PeriodLineage
from windrow.rows.rollup import Rollup
from windrow.rows.rollup_parquet import read_rows
from windrow.window import WINDOW_MS, Window

FIVE, FIVE_PAST = window_at("05:00"), window_at("05:05")
HOUR = Period(Grain.HOUR, FIVE.start_ms)
OTHER_HOUR = Period(Grain.HOUR, OLD.start_ms)
DAY = Period.containing(Grain.DAY, FIVE.start_ms)
NEXT_DAY = at("00:02") + DAY_MS


@pytest.fixture(autouse=True)
def _remembered() -> Iterator[None]:
    """The codecs are not what is tested here, and the same ticks run again and again."""
    with codecs_remembered():
        yield


def three_windows() -> S3State:
    """Partials of two windows of one hour, and of one of another; no tick yet."""
    state = S3State()
    state.apply(partial_put(FIVE, FIRST))
    state.apply(partial_put(FIVE_PAST, SECOND))
    state.apply(partial_put(OLD, FIRST))
    return state


def rolled_up() -> S3State:
    """The same after a tick."""
    state = three_windows()
    tick(state.apply, SCHEDULED)
    return state


def parts_of(state: S3State, *windows: Window) -> list[Rollup]:
    """The rows that stand."""
    bodies = [(window.start_ms, rows_of(state, window)) for window in windows]
    return [Rollup.concat(list(read_rows(start, io.BytesIO(body)))) for start, body in bodies if body is not None]


def bytes_of(state: S3State, period: Period) -> bytes | None:
    """The rows of an hour or a day as they stand."""
    stored = state.buckets[RESULTS].get(period_rows_key(period))
    return stored.body if stored else None


def lineage_of(state: S3State, period: Period) -> PeriodLineage:
    """Its lineage."""
    return read_lineages(buckets(state.apply), period).by_period[period]


def report_of(report: TickReport, period: Period) -> PeriodReport | None:
    """What a tick says of it; None when it had not changed."""
    return next((one for one in report.periods if one.period == period), None)


def outcome_of(report: TickReport, period: Period) -> RollOutcome | None:
    """What became of it."""
    found = report_of(report, period)
    return found.outcome if found else None


def test_hour_holds_what_its_windows_hold() -> None:
    """Its rows are the merged rows of its windows, and its lineage names them."""
    state = three_windows()
    report = tick(state.apply, SCHEDULED)
    assert [one.period for one in report.periods] == [HOUR, OTHER_HOUR]
    assert {one.outcome for one in report.periods} == {RollOutcome.ROLLED}
    parts = parts_of(state, FIVE, FIVE_PAST)
    assert bytes_of(state, HOUR) == encode_rollup(merge(HOUR.start_ms, parts))
    lineage = lineage_of(state, HOUR)
    assert [(part.start_ms, part.rows_sha256) for part in lineage.parts] == [
        (rows.start_ms, rows.rows_sha256) for rows in parts
    ]
    assert (lineage.revision, lineage.readings, lineage.sensors) == (1, 4, 3)
    assert lineage.result_etag == state.buckets[RESULTS][period_rows_key(HOUR)].etag
    assert not tick(state.apply, next_tick(SCHEDULED)).periods


def test_hour_that_has_not_ended_waits() -> None:
    """A tick at 10:57 closes windows of the hour 10, the one at 11:02 the hour."""
    state = S3State()
    state.apply(partial_put(window_at("10:00"), FIRST))
    hour = Period.containing(Grain.HOUR, at("10:00"))
    assert outcome_of(tick(state.apply, at("10:57")), hour) is None
    assert outcome_of(tick(state.apply, at("11:02")), hour) is RollOutcome.ROLLED


def test_day_merges_its_hours_when_it_has_ended() -> None:
    """The rows of the day are those of all its windows, by way of its hours."""
    state = rolled_up()
    assert outcome_of(tick(state.apply, at("23:57")), DAY) is None
    report = tick(state.apply, NEXT_DAY)
    assert [one.period for one in report.periods] == [DAY]
    whole = merge(DAY.start_ms, parts_of(state, FIVE, FIVE_PAST, OLD))
    assert bytes_of(state, DAY) == encode_rollup(whole)
    assert lineage_of(state, DAY).readings == 6


def test_late_partial_reaches_its_hour_at_once_and_its_day_within_an_hour() -> None:
    """Days are rolled at most once an hour, however many ticks change their hours."""
    state = rolled_up()
    tick(state.apply, NEXT_DAY)
    state.apply(partial_put(FIVE, LATE, first=3))
    state.apply(marker_put(FIVE, LATE))
    report = tick(state.apply, next_tick(NEXT_DAY))
    assert outcome_of(report, HOUR) is RollOutcome.ROLLED
    assert outcome_of(report, DAY) is None
    assert lineage_of(state, HOUR).revision == 2
    report = tick(state.apply, NEXT_DAY + HOUR_MS)
    assert [(one.period, one.outcome, one.revision) for one in report.periods] == [(DAY, RollOutcome.ROLLED, 2)]
    assert bytes_of(state, DAY) == encode_rollup(merge(DAY.start_ms, parts_of(state, FIVE, FIVE_PAST, OLD)))


def test_window_that_is_written_again_alike_changes_no_hour() -> None:
    """Under SSE-KMS the same rows come back under another ETag: the lineage learns it, the rows and revision stay."""
    state = three_windows()
    state.is_kms = True
    tick(state.apply, SCHEDULED)
    before = bytes_of(state, HOUR)
    state.apply(Delete(RESULTS, rows_key(FIVE)))
    state.apply(Delete(RESULTS, lineage_key(FIVE)))
    report = report_of(tick(state.apply, SCHEDULED), HOUR)
    assert report is not None
    assert (report.outcome, report.revision) == (RollOutcome.RECORDED, 1)
    assert bytes_of(state, HOUR) == before
    assert not tick(state.apply, SCHEDULED).periods


@pytest.mark.parametrize("key", [period_rows_key(HOUR), period_lineages_key(HOUR)], ids=["rows", "lineage"])
def test_deleted_results_heal_at_the_next_tick(key: str) -> None:
    """The same bytes come back."""
    state = rolled_up()
    before = contents(state)
    state.apply(Delete(RESULTS, key))
    assert outcome_of(tick(state.apply, SCHEDULED), HOUR) is RollOutcome.ROLLED
    assert contents(state) == before


def test_overwritten_rows_heal() -> None:
    """Rows that are not those of the lineage are not trusted, not even where there should be none."""
    state = rolled_up()
    before = contents(state)
    state.apply(Put(RESULTS, period_rows_key(HOUR), b"what is this?"))
    tick(state.apply, SCHEDULED)
    assert contents(state) == before
    empty = Period(Grain.HOUR, at("06:00"))
    state.apply(Put(RESULTS, period_rows_key(empty), b"what is this?"))
    assert outcome_of(tick(state.apply, SCHEDULED), empty) is RollOutcome.ROLLED
    assert lineage_of(state, empty).readings == 0
    assert not tick(state.apply, SCHEDULED).periods


def test_hour_never_shrinks() -> None:
    """When the rows of a window are gone for good, its hour is frozen: nothing is written, and it is told."""
    state = rolled_up()
    for key in (rows_key(FIVE), lineage_key(FIVE), partial_put(FIVE, FIRST).key):
        state.buckets[RESULTS].pop(key, None)
        state.buckets["lake"].pop(key, None)
    before = bytes_of(state, HOUR)
    report = report_of(tick(state.apply, SCHEDULED), HOUR)
    assert report is not None
    assert report.outcome is RollOutcome.FROZEN
    assert rows_key(FIVE) in report.detail
    assert bytes_of(state, HOUR) == before


def test_hour_waits_for_a_window_that_is_being_rolled() -> None:
    """Rows without their lineage belong to a roll that has not ended: the hour stays as it is until they do."""
    state = rolled_up()
    stored = state.buckets[RESULTS].pop(lineage_key(FIVE))
    before = bytes_of(state, HOUR)
    state.apply(Put(RESULTS, rows_key(FIVE), b"another roll's"))
    roller = PeriodRoller(buckets=buckets(state.apply), scheduled_time_ms=SCHEDULED)
    assert roller.roll(HOUR).outcome is RollOutcome.WAITING
    state.buckets[RESULTS][lineage_key(FIVE)] = stored
    assert roller.roll(HOUR).outcome is RollOutcome.WAITING
    assert bytes_of(state, HOUR) == before
    assert outcome_of(tick(state.apply, SCHEDULED), HOUR) is None or rows_of(state, FIVE) == b"another roll's"


def test_unreadable_lineages_fail_their_hours_and_nothing_else() -> None:
    """They are not overwritten, and windows and other days go on."""
    state = three_windows()
    state.apply(Put(RESULTS, period_lineages_key(HOUR), b"{}"))
    report = tick(state.apply, SCHEDULED)
    assert {one.period: one.outcome for one in report.periods} == {
        HOUR: RollOutcome.FAILED,
        OTHER_HOUR: RollOutcome.FAILED,
    }
    assert report.outcomes.keys() == {RollOutcome.ROLLED}
    found = report_of(report, HOUR)
    assert found is not None
    assert period_lineages_key(HOUR) in found.detail


# ---- crashes ----


@cache
def before() -> S3State:
    """A day that is rolled but for a late partial of one hour, and a window of another that was never rolled."""
    state = rolled_up()
    tick(state.apply, NEXT_DAY)
    state.apply(partial_put(FIVE, LATE, first=3))
    state.apply(marker_put(FIVE, LATE))
    state.apply(partial_put(window_at("20:00"), SECOND))
    return state


def before_the_tick() -> S3State:
    """The same, to be changed."""
    return before().copy()


LATER = NEXT_DAY + HOUR_MS


def lasting(state: S3State) -> dict[str, object]:
    """Results and markers but for the times of ticks, for silence, which is a matter of the last two hours, and for
    windows without readings, which may wait for their turn in the sweep."""
    told = {
        key: [json.loads(line) | UNTOLD for line in body.splitlines()] if ".json" in key else body
        for key, body in contents(state).items()
        if not key.startswith(SILENCES)
    }
    return {key: value for key, value in told.items() if not isinstance(value, list) or value[0]["readings"]}


UNTOLD = dict.fromkeys(
    ["scheduled_time", "sensors_expected", "completeness", "silent", "presence", "silences_etag"], ""
)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_crash_at_any_request_then_another_tick_leaves_the_same_hours_and_days(after: bool) -> None:
    """Windows, hours, days: whatever was not done is done by the tick an hour later, with the same bytes."""
    clean = before_the_tick()
    operations: list[Operation] = []
    report = tick(recording(clean.apply, operations), LATER)
    assert {one.period.grain for one in report.periods} == {Grain.HOUR, Grain.DAY}
    tick(clean.apply, LATER + HOUR_MS)
    first = next(
        position for position, one in enumerate(operations) if isinstance(one, Put) and one.key == lineage_key(FIVE)
    )
    # Crashes before the first hour is written are those of test_tick_crashes.
    for position in range(first, len(operations)):
        state = before_the_tick()
        with pytest.raises(Crash):
            tick(crashing(state.apply, at=position, after=after), LATER)
        tick(state.apply, LATER + HOUR_MS)
        assert lasting(state) == lasting(clean), operations[position]


# ---- two dispatchers, and a window that is rolled anew between them ----


def rolling_hour(periods: ModuleType) -> Program:
    """A dispatcher that rolls HOUR by the module given."""

    def program(perform: Perform) -> PeriodReport:
        roller = periods.PeriodRoller(buckets=buckets(perform), scheduled_time_ms=SCHEDULED)
        report: PeriodReport = roller.roll(HOUR)
        return report

    return program


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is rolled of the windows of HOUR at first; how much of that the hour has; the window that is rolled then."""

    at_first: tuple[Put, ...]
    in_hour: int
    then: Put
    window: Window


SCENARIOS = {
    "a window is rolled anew": Scenario(
        (partial_put(FIVE, FIRST), partial_put(FIVE_PAST, SECOND)), 0, partial_put(FIVE, LATE, first=3), FIVE
    ),
    "a window is rolled first": Scenario((partial_put(FIVE, FIRST),), 0, partial_put(FIVE_PAST, SECOND), FIVE_PAST),
    "the hour is behind already": Scenario(
        (partial_put(FIVE, FIRST), partial_put(FIVE, LATE, first=3)), 1, partial_put(FIVE_PAST, SECOND), FIVE_PAST
    ),
}


@cache
def windows_alone(scenario: Scenario, *, is_over: bool) -> S3State:
    """The windows before, or after, the roll of the one that changes; to be copied."""
    early = S3State()
    for put in scenario.at_first[: scenario.in_hour]:
        early.apply(put)
    tick(early.apply, SCHEDULED)
    state = S3State()
    for put in (*scenario.at_first, scenario.then)[: None if is_over else -1]:
        state.apply(put)
    tick(state.apply, SCHEDULED)
    results, hours = state.buckets[RESULTS], ("aggregates_1h", "windows_1h")
    kept = {key: stored for key, stored in results.items() if not key.startswith(hours)}
    state.buckets[RESULTS] = kept | {
        key: stored for key, stored in early.buckets[RESULTS].items() if key.startswith(hours)
    }
    return state


def window_writer(scenario: Scenario) -> Program:
    """The two last requests of the roll."""

    def program(perform: Perform) -> None:
        done = windows_alone(scenario, is_over=True).buckets[RESULTS]
        old = windows_alone(scenario, is_over=False).buckets[RESULTS]
        for key in (rows_key(scenario.window), lineage_key(scenario.window)):
            etag = old[key].etag if key in old else None
            perform(Put(RESULTS, key, done[key].body, if_match=etag, if_absent=etag is None))

    return program


def faults_of(scenario: Scenario, periods: ModuleType) -> Iterator[str]:
    """What is wrong at any node of the schedule graph; "" for every node at which nothing is."""
    programs: dict[str, Program] = {
        "A": rolling_hour(periods),
        "B": rolling_hour(periods),
        "window": window_writer(scenario),
    }
    healed: dict[object, list[str]] = {}
    for node, successors in every_node(windows_alone(scenario, is_over=False).copy(), programs, nodes_max=100_000):
        yield ""
        yield from (fault for successor in successors for fault in lineage_faults(node.state, successor.state))
        yield from outcome_faults(node)
        state = node.state.fingerprint()
        if state not in healed:
            healed[state] = healing_faults(node.state, scenario)
        yield from healed[state]


def lineage_faults(before: S3State, after: S3State) -> list[str]:
    """A lineage may only gain parts, and its revision rises by one exactly when its rows change."""
    old, new = (read_lineages(buckets(state.apply), HOUR).by_period.get(HOUR) for state in (before, after))
    if old is None or old == new:
        return []
    if new is None:
        return ["the lineage is gone"]
    lost = ["the lineage lost a part"] if old.etags.keys() - new.etags.keys() else []
    expected = old.revision + (0 if old.rows_sha256 == new.rows_sha256 else 1)
    return lost + ([f"revision {old.revision} became {new.revision}"] if new.revision != expected else [])


def outcome_faults(node: Node) -> list[str]:
    """Nobody may find the hour frozen, failed or lost for good."""
    reports = [value for value in node.results.values() if isinstance(value, PeriodReport)]
    bad = (RollOutcome.FROZEN, RollOutcome.FAILED, RollOutcome.CONTENDED)
    return [f"{report.outcome}: {report.detail}" for report in reports if report.outcome in bad]


def healing_faults(state: S3State, scenario: Scenario) -> list[str]:
    """Once the window's roll is over, one more roll ends with the hour of the rows that stand, by its own lineage."""
    state = state.copy()
    window_writer(scenario)(state.apply)
    roll_what_is_due(state)
    rows = {rows.start_ms: rows for rows in parts_of(state, FIVE, FIVE_PAST)}
    faults = []
    if bytes_of(state, HOUR) != encode_rollup(merge(HOUR.start_ms, list(rows.values()))):
        faults.append("the hour is not that of its windows")
    lineage = lineage_of(state, HOUR)
    if lineage.result_etag != state.buckets[RESULTS][period_rows_key(HOUR)].etag:
        faults.append("the lineage is not that of the rows")
    if {part.start_ms: part.rows_sha256 for part in lineage.parts} != {
        start: one.rows_sha256 for start, one in rows.items()
    }:
        faults.append("the lineage names other parts")
    if dataclasses.replace(lineage, revision=0) != dataclasses.replace(clean_lineage(scenario), revision=0):
        faults.append("another lineage than a clean run")
    return faults


def roll_what_is_due(state: S3State) -> None:
    """As a tick does it."""
    both = buckets(state.apply)
    roller = PeriodRoller(buckets=both, scheduled_time_ms=SCHEDULED)
    rows = {key: one.etag for key, one in state.buckets[RESULTS].items() if key.startswith(AGGREGATES)}
    windows = window_etags(rows)
    for hour in roller.due_hours(DAY.start_ms, windows, list_rows(both.results, Grain.HOUR, [DAY.start_ms])):
        roller.roll(hour)


@cache
def clean_lineage(scenario: Scenario) -> PeriodLineage:
    """That of a dispatcher that came when all was over."""
    state = windows_alone(scenario, is_over=False).copy()
    window_writer(scenario)(state.apply)
    rolling_hour(dispatcher.periods)(state.apply)
    return lineage_of(state, HOUR)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_every_interleaving_and_every_crash_heals(scenario: Scenario) -> None:
    """Two dispatchers and a window that changes meanwhile, over all schedules and crash points."""
    found = Counter(faults_of(scenario, dispatcher.periods))
    assert found.keys() == {""}
    assert found[""] > 500


MUTANTS = {
    "parts listed before the observation": {
        "replace": """        rows_etag = etag_of(self.buckets.results, period_rows_key(period))
        lineages = read_lineages(self.buckets, period)
        before = lineages.by_period.get(period)
        listed = list_parts(self.buckets, period)
""",
        "by": """        listed = list_parts(self.buckets, period)
        rows_etag = etag_of(self.buckets.results, period_rows_key(period))
        lineages = read_lineages(self.buckets, period)
        before = lineages.by_period.get(period)
""",
    },
    "unconditional overwrite": {
        "replace": "\nlog = logging.getLogger(__name__)\n",
        "by": """
log = logging.getLogger(__name__)

def put_if_unchanged(store, key, body, *, observed_etag):
    return store.put(key, body)
""",
    },
    "parts of a roll that has not ended": {
        "replace": "        if result_etag != etag:\n            return None\n",
        "by": "",
    },
}


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_a_planted_break_is_found_out(mutant: dict[str, str]) -> None:
    """Each leaves a schedule that does not heal."""
    broken = mutant_of("dispatcher.periods", **mutant)
    assert any(fault for scenario in SCENARIOS.values() for fault in faults_of(scenario, broken))


def test_windows_of_the_hour_are_twelve() -> None:
    """An hour has twelve parts, a day twenty-four."""
    assert len(HOUR.part_starts_ms) == HOUR_MS // WINDOW_MS == 12
    assert len(DAY.part_starts_ms) == 24
