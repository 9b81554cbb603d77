"""Reports on days: made when the day has ended, made anew when it changes, healed however ticks die or meet.

05:00 ──── 06:00 ──── 07:00 ──── 24:00 ── 24:02 the day is rolled, and reported ── 25:02 the first tick that looks again
   5 5                 5
"""

import contextlib
import csv
import io
import json
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from xml.etree import ElementTree

import pytest

import dispatcher.day_reports
from dispatcher.report import PeriodReport, RollOutcome, TickReport
from dispatcher.tick import Tick
from tests.simulation.interleaving import Program, every_node
from tests.simulation.lake import (
    FIRST,
    LATE,
    LIFETIMES,
    OLD,
    RESULTS,
    SECOND,
    at,
    buckets,
    marker_put,
    partial_put,
    window_at,
)
from tests.simulation.mutant import mutant_of
from tests.simulation.remembered import codecs_remembered
from tests.simulation.simulated_s3 import (
    Answer,
    Crash,
    Delete,
    ListPage,
    Operation,
    Perform,
    Put,
    S3State,
    crashing,
    recording,
)
from windrow.lake.layout import REPORTS, DayFile, day_file_key, period_lineages_key, period_rows_key
from windrow.lake.store import StoreError
from windrow.period import DAY_MS, HOUR_MS, Grain, Period

FIVE, FIVE_PAST = window_at("05:00"), window_at("05:05")
DAY = Period.containing(Grain.DAY, FIVE.start_ms)
NEXT_DAY = at("00:02") + DAY_MS
PICTURE, SUMMARY, REPORT = (day_file_key(DAY, file) for file in (DayFile.PICTURE, DayFile.SUMMARY, DayFile.REPORT))


@pytest.fixture(autouse=True)
def _remembered() -> Iterator[None]:
    """The codecs are not what is tested here, and the same ticks run again and again."""
    with codecs_remembered():
        yield


def tick(perform: Perform, scheduled_time_ms: int, *, makes_reports: bool = True) -> TickReport:
    """One whole tick of a stage with reports."""
    return Tick(
        buckets=buckets(perform),
        lifetimes=LIFETIMES,
        scheduled_time_ms=scheduled_time_ms,
        makes_reports=makes_reports,
    ).run()


@cache
def _before() -> S3State:
    state = S3State()
    for put in (partial_put(FIVE, FIRST), partial_put(FIVE_PAST, SECOND), partial_put(OLD, FIRST)):
        state.apply(put)
    tick(state.apply, at("23:57"))
    return state


def before() -> S3State:
    """Three windows and their hours, rolled; the day has not ended."""
    return _before().copy()


def reported() -> S3State:
    """The same after the first tick of the next day."""
    state = before()
    tick(state.apply, NEXT_DAY)
    return state


def files_of(state: S3State) -> dict[str, bytes]:
    """All reports by key."""
    return {key: stored.body for key, stored in state.buckets[RESULTS].items() if key.startswith(REPORTS)}


def lines_of(state: S3State) -> list[dict[str, str]]:
    """The lines of the day's summary."""
    return list(csv.DictReader(io.StringIO(files_of(state)[SUMMARY].decode(), newline="")))


def late(state: S3State) -> S3State:
    """A late partial of the day, with what asks for its roll."""
    state.apply(partial_put(FIVE, LATE, first=3, late=2))
    state.apply(marker_put(FIVE, LATE))
    return state


def test_a_day_is_reported_by_the_tick_that_rolls_it() -> None:
    """Not before it has ended; the picture says what the rows say, and each sensor has its line in the summary."""
    state = before()
    assert not files_of(state)
    report = tick(state.apply, NEXT_DAY)
    assert [(one.period, one.outcome) for one in report.day_reports] == [(DAY, RollOutcome.ROLLED)]
    assert files_of(state).keys() == {PICTURE, SUMMARY, REPORT}
    picture = files_of(state)[PICTURE].decode()
    ElementTree.fromstring(picture)  # noqa: S314 - our own
    assert "The fleet on 2026-11-20" in picture
    assert "3 series, 6 readings" in picture
    assert "05:00: greatest 21, 95 % 21, middle 20, 5 % -5, least -5 °C; 3 sensors, 4 readings" in picture
    assert "07:00: greatest 21, 95 % 21, middle 20, 5 % 20, least 20 °C; 2 sensors, 2 readings" in picture
    told = [(one["sensor_id"], one["quantity"], one["unit"], one["readings"], one["mean"]) for one in lines_of(state)]
    assert told == [
        ("a", "temperature", "C", "2", "20.000"),
        ("b", "temperature", "C", "3", "21.000"),
        ("c", "temperature", "C", "1", "-5.000"),
    ]
    assert not tick(state.apply, NEXT_DAY + 5 * 60_000).day_reports
    assert not tick(state.apply, NEXT_DAY + HOUR_MS).day_reports


def test_a_stage_without_reports_has_none_until_it_is_told_to() -> None:
    """Then days that were rolled before get theirs at the next hour's first tick."""
    state = before()
    assert not tick(state.apply, NEXT_DAY, makes_reports=False).day_reports
    assert not files_of(state)
    tick(state.apply, NEXT_DAY + 5 * 60_000)
    assert not files_of(state)
    tick(state.apply, NEXT_DAY + HOUR_MS)
    assert files_of(state) == files_of(reported())


def test_days_beyond_reach_get_the_report_that_they_lack() -> None:
    """Ten days later the day is no longer looked at by ticks, but it is by whoever begins with reports."""
    state = before()
    tick(state.apply, NEXT_DAY, makes_reports=False)
    (report,) = tick(state.apply, NEXT_DAY + 10 * DAY_MS).day_reports
    assert (report.period, report.outcome) == (DAY, RollOutcome.ROLLED)
    assert files_of(state) == files_of(reported())


def test_a_late_reading_has_the_report_made_anew() -> None:
    """By the tick that rolls the day again; it then is what it would be if nothing had been late."""
    state = late(reported())
    before_it = files_of(state)
    tick(state.apply, NEXT_DAY + 5 * 60_000)
    assert files_of(state) == before_it  # days are rolled once an hour
    (report,) = tick(state.apply, NEXT_DAY + HOUR_MS).day_reports
    assert report.outcome is RollOutcome.ROLLED
    assert [one["sensor_id"] for one in lines_of(state)] == ["a", "b", "c", "d"]
    assert lines_of(state)[0]["conflicts"] == "1"
    assert json.loads(files_of(state)[REPORT])["fingerprint"] not in before_it[REPORT].decode()


def faults_of_killed_reports() -> list[str]:
    """The first request at which a kill leaves, after the next hour's tick, other reports than a clean run does."""
    expected = files_of(reported())
    requests: list[Operation] = []
    tick(recording(before().apply, requests), NEXT_DAY)
    first = next(n for n, one in enumerate(requests) if REPORTS in (getattr(one, "prefix", ""),))
    for place in range(first, len(requests)):
        for after in (False, True):
            state = before()
            with contextlib.suppress(Crash):
                tick(crashing(state.apply, at=place, after=after), NEXT_DAY)
            tick(state.apply, NEXT_DAY + HOUR_MS)
            if files_of(state) != expected:
                return [f"killed at {requests[place]}"]
    return []


def test_a_tick_that_is_killed_at_any_request_heals() -> None:
    """The first tick of the next hour makes what is missing."""
    assert faults_of_killed_reports() == []


def faults_of_changed_reports() -> list[str]:
    """Files of a report that stay deleted, or as somebody else wrote them; and files that are none of ours."""
    state = reported()
    expected = files_of(state)
    faults = []
    changes: dict[str, Operation] = {
        "deleted": Delete(RESULTS, SUMMARY),
        "overwritten": Put(RESULTS, PICTURE, b"<svg/>"),
        "not JSON": Put(RESULTS, REPORT, b"["),
    }
    for what, change in changes.items():
        changed = state.copy()
        changed.apply(change)
        changed.apply(Put(RESULTS, f"{REPORTS}dt=2026-11-20/notes.txt", b"ours"))
        tick(changed.apply, NEXT_DAY + HOUR_MS)
        if files_of(changed) != expected | {f"{REPORTS}dt=2026-11-20/notes.txt": b"ours"}:
            faults.append(f"{what} stays so")
    return faults


def test_a_file_that_is_gone_or_changed_is_made_anew() -> None:
    """And what somebody laid beside it is left alone."""
    assert faults_of_changed_reports() == []


def test_what_cannot_be_read_is_told_and_stops_nothing() -> None:
    """Rows that are not rows; an hour that has changed since the day was rolled waits for the next roll."""
    state = before()
    tick(state.apply, NEXT_DAY, makes_reports=False)
    hour = period_rows_key(Period(Grain.HOUR, at("05:00")))
    state.apply(Put(RESULTS, hour, b"something else"))
    (report,) = _reports(dispatcher.day_reports)(state.apply)
    assert report.outcome is RollOutcome.WAITING
    damaged = before()
    tick(damaged.apply, NEXT_DAY, makes_reports=False)
    damaged.apply(Put(RESULTS, period_lineages_key(DAY), b"?"))
    (report,) = _reports(dispatcher.day_reports)(damaged.apply)
    assert report.outcome is RollOutcome.FAILED
    assert period_lineages_key(DAY) in report.detail


def test_reports_that_cannot_be_listed_are_told_and_stop_nothing() -> None:
    """A role without a right to it: the day that has ended is told as failed, and the tick ends with its report."""
    state = before()

    def refusing(operation: Operation) -> Answer:
        if isinstance(operation, ListPage) and operation.prefix == REPORTS:
            raise StoreError("AccessDenied: ListBucket")
        return state.apply(operation)

    report = tick(refusing, NEXT_DAY)
    (told,) = report.day_reports
    assert (told.period, told.outcome) == (DAY, RollOutcome.FAILED)
    assert "AccessDenied" in told.detail
    assert {one.outcome for one in report.periods} == {RollOutcome.ROLLED}
    assert not files_of(state)
    (told,) = tick(state.apply, NEXT_DAY + HOUR_MS).day_reports
    assert (told.period, told.outcome) == (DAY, RollOutcome.ROLLED)


# ---- two dispatchers, and a day that is rolled anew between them ----


def _reports(module: ModuleType) -> Program:
    def program(perform: Perform) -> list[PeriodReport]:
        reports = module.DayReports(
            buckets=buckets(perform), lifetimes=LIFETIMES, scheduled_time_ms=NEXT_DAY, time_left=lambda: True
        )
        made: list[PeriodReport] = reports.make(rolled=(), within_reach={DAY})
        return made

    return program


@cache
def _rolled_anew() -> S3State:
    state = late(reported())
    tick(state.apply, NEXT_DAY + HOUR_MS, makes_reports=False)
    return state


def _rolls_anew(perform: Perform) -> None:
    """The requests that end the roll of the day: its hour, its rows, its lineage."""
    new, old = _rolled_anew().buckets[RESULTS], reported().buckets[RESULTS]
    for key in (period_rows_key(Period(Grain.HOUR, at("05:00"))), period_rows_key(DAY), period_lineages_key(DAY)):
        perform(Put(RESULTS, key, new[key].body, if_match=old[key].etag))


def _told(state: S3State) -> dict[str, str]:
    told: dict[str, str] = json.loads(files_of(state)[REPORT])
    return told


def _is_whole(state: S3State) -> bool:
    """Whether a report names the files that are there."""
    stored, told = state.buckets[RESULTS], _told(state)
    named = ((PICTURE, "picture_etag"), (SUMMARY, "summary_etag"))
    return all(key in stored and stored[key].etag == told[name] for key, name in named)


def faults_of_meeting(module: ModuleType) -> Iterator[str]:
    """What is wrong at any node of the schedule graph; "" for each node at which nothing is."""
    start, healed = reported(), _rolled_anew().copy()
    start.apply(Delete(RESULTS, SUMMARY))
    tick(healed.apply, NEXT_DAY + 2 * HOUR_MS)
    expected, known = files_of(healed), set()
    new = json.loads(expected[REPORT])["fingerprint"]
    by_fingerprint = {json.loads(files[REPORT])["fingerprint"]: files for files in (expected, files_of(reported()))}
    programs: dict[str, Program] = {"A": _reports(module), "B": _reports(module), "day": _rolls_anew}
    for node, successors in every_node(start, programs, nodes_max=20_000):
        yield ""
        for report in (one for made in node.results.values() if isinstance(made, list) for one in made):
            if report.outcome is RollOutcome.FAILED:
                yield report.detail
        for successor in successors:
            was, now = (_told(one.state)["fingerprint"] for one in (node, successor))
            if was == new != now:
                yield "an older report replaced a newer one"
        if _is_whole(node.state) and files_of(node.state) != by_fingerprint[_told(node.state)["fingerprint"]]:
            yield "a report is not made from what it says"
        state = node.state.copy()
        if state.fingerprint() not in known and "day" in node.results:
            known.add(state.fingerprint())
            _reports(module)(state.apply)
            if files_of(state) != expected:
                yield "the report does not heal"


@pytest.mark.slow
def test_an_older_report_never_replaces_a_newer_one() -> None:
    """Over all schedules and crash points of two dispatchers, while the day is rolled anew."""
    found = set(faults_of_meeting(dispatcher.day_reports))
    assert found == {""}


MUTANTS = {
    "unconditional overwrite": (
        "return put_if_unchanged(self.buckets.results, key, body, observed_etag=etags.get(file))",
        "return self.buckets.results.put(key, body)",
    ),
    "observed when all is read": ("observed_etag=etags.get(file)", "observed_etag=self._listed()[day].get(file)"),
    "another fingerprint will do": ('fields["fingerprint"] == lineage.fingerprint', "True"),
    "rows that are not the lineage's": ("stored is None or stored.etag != etag", "stored is None"),
}


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_a_planted_break_is_found_out(mutant: tuple[str, str]) -> None:
    """Each leaves a schedule in which a report goes back, or does not heal."""
    replace, by = mutant
    broken = mutant_of("dispatcher.day_reports", replace=replace, by=by)
    assert any(faults_of_meeting(broken))
