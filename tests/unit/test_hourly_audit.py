"""The audit that a stage makes by itself: which hour, how fast and how long it reads, and what its report says."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from analytics import audit_handler
from analytics.audit import CONTRACT_MS, Evidence, Verdict
from analytics.hourly_audit import (
    BYTES_PER_SECOND_MAX,
    HOURS_BACK,
    RUN_MS_MAX,
    HourlyAudit,
    PacedReading,
    audit_hour,
    hour_of,
)
from infra import api_code, package, template
from infra.package import Package
from infra.plan import DeploymentOptions, plan_deployment
from tests.lambda_context import LambdaContext
from tests.lineages import lineage_of
from tests.unit.stored_results import START_MS, StoredResults, some_readings
from tests.unit.test_audit import SHARDS, STREAM, record, stream_of
from windrow.aws.clients import AWS, Place
from windrow.aws.stream import StreamRecord, StreamSummary
from windrow.errors import WindrowError
from windrow.lake.layout import CONTRACT_SINCE, audit_key, lineage_key, rows_key
from windrow.payloads.load import stored_form
from windrow.payloads.stored import store_contract, store_contract_since
from windrow.period import DAY_MS, HOUR_MS
from windrow.reading import EARLINESS_MS_MAX, Reading, Readings
from windrow.stage import Stage
from windrow.window import WINDOW_MS, Window
from windrow.wire.json.encode import encode_readings

HOUR_START_MS = START_MS // HOUR_MS * HOUR_MS
SCHEDULED_MS = HOUR_START_MS + HOURS_BACK * HOUR_MS + 17 * 60_000
RETENTION_HOURS_MIN = 24
FIRST, SECOND = Window(START_MS), Window(START_MS + WINDOW_MS)


def test_each_hour_is_audited_once_and_while_the_stream_has_all_of_it() -> None:
    """By the runs of two days, at any minute; also if a run is late by an hour, of a stream that keeps the least."""
    for minute in (0, 17, 50):
        runs = [HOUR_START_MS + number * HOUR_MS + minute * 60_000 for number in range(48)]
        hours = [hour_of(scheduled_ms) for scheduled_ms in runs]
        assert [hour.start_ms for hour in hours] == [hours[0].start_ms + number * HOUR_MS for number in range(48)]
        assert {hour.end_ms - hour.start_ms for hour in hours} == {HOUR_MS}
        kept_from_ms = [at_ms + HOUR_MS - RETENTION_HOURS_MIN * HOUR_MS for at_ms in runs]
        for hour, oldest_ms in zip(hours, kept_from_ms, strict=True):
            assert Evidence(stream_name=STREAM, complete_from_ms=oldest_ms).is_whole(hour.start_ms, SHARDS)
            assert hour.start_ms - EARLINESS_MS_MAX >= oldest_ms


@dataclass
class Clock:
    """A clock that only sleeping moves."""

    now_seconds: float = 0.0

    def __call__(self) -> float:
        return self.now_seconds

    def sleep(self, seconds: float) -> None:
        self.now_seconds += seconds


def records_of(size_bytes: int, count: int) -> list[StreamRecord]:
    one = StreamRecord(shard_id="s", sequence_number="1", partition_key="a", arrival_ms=0, body=b"x" * size_bytes)
    return [one] * count


def test_reading_keeps_its_pace_and_makes_nothing_up() -> None:
    """Ten seconds' worth takes ten, give or take one; after a minute in which nothing came, it is no faster."""
    clock = Clock()

    def coming() -> Iterator[StreamRecord]:
        yield from records_of(BYTES_PER_SECOND_MAX // 4, 40)
        clock.now_seconds += 60
        yield from records_of(BYTES_PER_SECOND_MAX // 4, 40)

    reading = PacedReading(coming(), time_left=lambda: True, clock=clock, sleep=clock.sleep)
    assert len(list(reading)) == 80
    assert reading.is_all_read
    assert 78 <= clock.now_seconds <= 80


def test_reading_ends_when_there_is_no_time_left() -> None:
    """And says that it was not to the end."""
    clock = Clock()
    reading = PacedReading(
        records_of(BYTES_PER_SECOND_MAX, 100), time_left=lambda: clock.now_seconds < 10, clock=clock, sleep=clock.sleep
    )
    assert 9 <= len(list(reading)) <= 12
    assert not reading.is_all_read


@dataclass
class Stream:
    """A stream that has these records, and was made long ago."""

    records: list[StreamRecord]
    asked: list[tuple[int, int]] = field(default_factory=list)

    def summary(self) -> StreamSummary:
        return StreamSummary(arn="", open_shards=1, retention_hours=RETENTION_HOURS_MIN, created_ms=0)

    def records_between(self, start_ms: int, end_ms: int) -> Iterator[StreamRecord]:
        self.asked.append((start_ms, end_ms))
        return (one for one in self.records if start_ms <= one.arrival_ms < end_ms)


@dataclass
class Site:
    """A stage with the rows of an hour, of which two windows have readings, and its stream."""

    stored: StoredResults
    stream: Stream
    stage: Stage

    def audit(self, *, time_left: Callable[[], bool] = lambda: True, now_ms: int = SCHEDULED_MS + 5_000) -> HourlyAudit:
        """Audit the hour, by default a little after the scheduled time."""
        clock = Clock()
        return audit_hour(
            self.stage,
            self.stored.engine,
            scheduled_time_ms=SCHEDULED_MS,
            now_ms=now_ms,
            time_left=time_left,
            clock=clock,
            sleep=clock.sleep,
        )

    def report(self) -> dict[str, Any]:
        """What was kept."""
        kept = self.stored.results.get(audit_key(HOUR_START_MS))
        assert kept is not None
        found: dict[str, Any] = json.loads(kept.body)
        return found


@pytest.fixture
def site(tmp_path: Path) -> Site:
    stored = StoredResults(tmp_path)
    stored.store(some_readings())
    for window in (FIRST, SECOND):
        stored.results.put(lineage_key(window), lineage_of(window, shards=SHARDS).to_json())
    stage = Stage(
        place=Place(AWS, None, "us-east-1"),
        name="test",
        stream_name=STREAM,
        lake_bucket="lake",
        results_bucket="results",
        lateness_horizon_hours=168,
        stream_retention_hours=RETENTION_HOURS_MIN,
    )
    stream = Stream(stream_of(some_readings()))
    stage.__dict__.update(stream=stream, results=stored.results, lake=stored.lake)
    return Site(stored, stream, stage)


def late(window: Window) -> StreamRecord:
    """A reading that came ten hours after its window, and that its rows do not count."""
    readings = Readings.of([Reading("aisle/1", window.start_ms + 3, 0, 1_000)])
    return record(encode_readings(readings), arrival_ms=window.end_ms + 10 * HOUR_MS, number=99)


@pytest.mark.slow
def test_the_report_of_an_exact_hour_is_kept(site: Site) -> None:
    """Under the hour's key, with the two windows of this hour and none of the next."""
    found = site.audit()
    assert (found.different, found.is_all_read) == (0, True)
    report = site.report()
    assert audit_key(HOUR_START_MS) == "audits/dt=2026-11-20/hour=23/report.json"
    assert report["hour"] == "2026-11-20T23:00:00.000Z"
    assert report["verdicts"] == {"exact": 2, "unproven": 0, "behind": 0, "different": 0}
    assert [one["window_start"][11:16] for one in report["windows"]] == ["23:50", "23:55"]
    (start_ms, soon_ms), (soon_too_ms, end_ms) = site.stream.asked
    assert (start_ms, end_ms) == (HOUR_START_MS - EARLINESS_MS_MAX, SCHEDULED_MS + 5_000)
    assert start_ms < HOUR_START_MS + HOUR_MS < soon_ms == soon_too_ms < end_ms


@pytest.mark.slow
def test_rows_that_are_gone_are_found(site: Site) -> None:
    """In the window they are of; the other one is exact."""
    site.stored.results.delete(rows_key(SECOND))
    assert site.audit().different == 1
    first, second = site.report()["windows"]
    assert (first["verdict"], second["verdict"], second["rows_missing"]) == ("exact", "different", 3)
    assert len(second["culprits"]) > 0


@pytest.mark.slow
def test_a_reading_that_came_hours_later_and_was_not_counted_is_found(site: Site) -> None:
    """The stream is read to its end, not only around the hour."""
    site.stream.records.append(late(FIRST))
    assert site.audit().different == 1


@pytest.mark.slow
def test_what_was_not_read_is_never_called_different(site: Site) -> None:
    """The rows have a reading that the audit had no time to come to: they are unproven, and the report says why."""
    of_first = [one for one in some_readings() if Window.containing(one.event_time_ms) == FIRST]
    site.stored.store([*of_first, Reading("aisle/1", FIRST.start_ms + 3, 0, 1_000)])
    site.stream.records.append(late(FIRST))
    assert site.audit().different == 0

    left = iter([True] * 4)  # two windows, each record twice
    found = site.audit(time_left=lambda: next(left, False))
    assert (found.different, found.is_all_read) == (0, False)
    assert found.audited.count(Verdict.UNPROVEN) == 1
    assert site.report()["is_all_read"] is False


@pytest.mark.slow
def test_a_stream_that_forgets_while_it_is_read_proves_nothing_extra(site: Site) -> None:
    """A run that is late begins when the stream has all of a window, and is not through when it has not."""
    begins_ms = FIRST.start_ms - EARLINESS_MS_MAX + RETENTION_HOURS_MIN * HOUR_MS - 60_000
    del site.stream.records[:2]  # those of the first window, once and again
    found = site.audit(now_ms=begins_ms)
    assert found.audited.count(Verdict.UNPROVEN) == 1
    assert found.different == 0
    assert site.audit().different == 1  # on time it holds all of them


CONTRACT = stored_form("""
[[payload]]
sensor_id = "id"
time = { path = "at", form = "epoch_ms" }
sequence = "n"
[payload.quantity.temperature]
path = "t"
unit = "C"
""")


def under_contract(site: Site, *, since_ms: int) -> None:
    """Have the stage read the payloads of its stream under a contract, since then, and its rows be the same."""
    records = []
    for one in some_readings():
        fields = f'{{"id":{json.dumps(one.sensor_id)},"at":{one.event_time_ms},"n":{one.sequence},'
        payload = f'{fields}"t":{Decimal(one.value_milli) / 1000}}}'.encode()
        records.append(record([payload], arrival_ms=Window.containing(one.event_time_ms).end_ms))
    site.stream.records = records
    digest = store_contract(site.stored.lake, CONTRACT)
    store_contract_since(site.stored.lake, digest, since_ms=since_ms)
    site.stage = replace(site.stage, payload_contract=digest)
    site.stage.__dict__.update(stream=site.stream, results=site.stored.results, lake=site.stored.lake)


@pytest.mark.slow
def test_payloads_of_a_contract_are_read_under_it(site: Site) -> None:
    """In force for a day: as exact as the default form, and what is missing is found."""
    under_contract(site, since_ms=HOUR_START_MS - DAY_MS)
    assert site.audit().audited.count(Verdict.EXACT) == 2
    assert (site.report()["contract_since"] is not None, site.report()["rejected"]) == (True, {})
    site.stored.results.delete(rows_key(SECOND))
    assert site.audit().different == 1


@pytest.mark.slow
def test_what_came_before_a_change_of_the_contract_proves_nothing(site: Site) -> None:
    """Rows of another contract's readings are not called wrong, nor missing; what came since must be in the rows."""
    under_contract(site, since_ms=FIRST.end_ms - CONTRACT_MS)  # the records of the first window come just then
    site.stored.store([Reading("under/another", window.start_ms, 0, 1) for window in (FIRST, SECOND)])
    assert site.audit().different == 2
    under_contract(site, since_ms=FIRST.end_ms - CONTRACT_MS + 1)
    found = site.audit().audited
    assert [window.verdict for window in found.windows] == [Verdict.UNPROVEN, Verdict.DIFFERENT]
    under_contract(site, since_ms=SCHEDULED_MS)
    assert site.audit().audited.count(Verdict.UNPROVEN) == 2
    assert site.stream.asked[-1][0] == site.stream.asked[-1][1]  # nothing is read for it


@pytest.mark.slow
def test_a_contract_of_which_nobody_knows_since_when_proves_nothing(site: Site) -> None:
    """A deployment that was cut off leaves the name of another one; a stage that went back to the default form, too."""
    under_contract(site, since_ms=HOUR_START_MS - DAY_MS)
    site.stored.store([Reading("under/another", FIRST.start_ms, 0, 1)])
    assert site.audit().different == 1
    store_contract_since(site.stored.lake, "0" * 64, since_ms=HOUR_START_MS - DAY_MS)
    assert site.audit().different == 0
    site.stage = replace(site.stage, payload_contract="")
    site.stage.__dict__.update(stream=site.stream, results=site.stored.results, lake=site.stored.lake)
    assert site.audit().different == 0
    site.stored.lake.put(CONTRACT_SINCE, b"{}")
    with pytest.raises(WindrowError, match=r"contracts/since\.json does not say since when"):
        site.audit()


@pytest.mark.slow
def test_the_function_counts_differences_with_zero_too(
    monkeypatch: pytest.MonkeyPatch,
    site: Site,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """To an alarm no data is not the same as 0; and an event without a time is refused."""
    monkeypatch.setattr("windrow.stage.Stage.of_function", lambda _: site.stage)
    monkeypatch.setattr(audit_handler.metrics, "namespace", "windrow")
    monkeypatch.setattr(audit_handler.time, "time_ns", lambda: (SCHEDULED_MS + 5_000) * 1_000_000)
    context = LambdaContext(remaining_ms=900_000)
    event = {"time": "2026-11-21T21:17:00Z"}
    assert audit_handler.handle(event, context) == {
        "hour": "2026-11-20T23:00:00.000Z to 2026-11-21T00:00:00.000Z",
        "different": 0,
        "is_all_read": True,
    }
    site.stored.results.delete(rows_key(SECOND))
    assert audit_handler.handle(event, context)["different"] == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "AuditDifferent" in line]
    assert [json.loads(line)["AuditDifferent"] for line in lines] == [[0.0], [1.0]]
    assert caplog.messages.count("a window differs from the stream") == 1
    with pytest.raises(WindrowError, match="no RFC 3339 `time`"):
        audit_handler.handle({}, context)


def test_without_the_word_nothing_of_it_is_there() -> None:
    """Each resource has the condition, and the word is none by default; the schedule is once an hour."""
    resources = template.load()["Resources"]
    named = {name: one.get("Condition", "") for name, one in resources.items() if "audit" in json.dumps(one).lower()}
    of_audit = {name for name, condition in named.items() if condition.startswith("HasAudit")}
    assert of_audit == {
        *("AuditFunction", "AuditRole", "AuditLogGroup", "ResultsDifferAlarm", "AuditIsMissingAlarm"),
    }
    assert named.keys() - of_audit == {"ResultsBucket"}  # how long reports are kept
    assert template.parameters()["Audit"]["Default"] == "none"
    (event,) = resources["AuditFunction"]["Properties"]["Events"].values()
    assert event["Properties"]["Schedule"] == "cron(17 * * * ? *)"
    assert resources["AuditFunction"]["Properties"]["Timeout"] * 1_000 == RUN_MS_MAX


@pytest.mark.parametrize(
    ("chosen", "had", "has_code"),
    [
        ({"Audit": "daily"}, {}, True),
        ({}, {"Audit": "daily"}, True),  # a new release of windrow brings it new code
        ({"Audit": "none"}, {"Audit": "daily"}, False),
        ({"Web": "on"}, {}, False),
    ],
)
def test_the_function_is_packaged_for_who_has_it(
    chosen: dict[str, str], had: dict[str, str], has_code: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is chosen counts, and otherwise what the stage has; the plan says where the code is."""
    code = Package(function="audit", body=b"code", parts={})
    monkeypatch.setattr("infra.package.build", lambda *_, **__: code)
    named = [{"ParameterKey": name, "ParameterValue": value} for name, value in had.items()]
    monkeypatch.setattr("infra.stack.describe", lambda *_: {"Parameters": named})
    options = DeploymentOptions(parameters=chosen)
    found = api_code.code_for(
        Place(AWS, None, "us-east-1"),
        *("prod", options),
        functions_wheels=None,
        home=tmp_path,
        function=package.AUDIT,
    )
    assert (found is code) == has_code
    plan = plan_deployment(Place(AWS, None, "us-east-1"), "prod", options, audit=found)
    assert plan.parameters.get("AuditCodeKey") == (code.key if has_code else None)
    assert len(plan.packages) == len(package.FUNCTIONS) + has_code


def test_a_day_has_as_many_hours_as_runs() -> None:
    """The sum of a day's reports is the day."""
    starts = {hour_of(SCHEDULED_MS + number * HOUR_MS).start_ms for number in range(24)}
    assert max(starts) - min(starts) + HOUR_MS == DAY_MS
