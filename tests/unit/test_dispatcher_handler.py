"""The dispatcher's function over moto's S3: settings in, a report and metrics out; and `windrow tick` before it."""

import importlib
import io
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from click.testing import CliRunner
from moto import mock_aws

from dispatcher import answer, handler
from dispatcher.due import DueReason
from dispatcher.report import Backlog, RollOutcome, TickReport, WindowReport
from tests.lambda_context import LambdaContext
from tests.modules import restored
from tests.simulation.lake import LAKE, RESULTS, Row, at, buckets, marker_put, partial_put, window_at
from tests.simulation.simulated_s3 import S3State
from windrow.aws import clients as aws
from windrow.errors import UsageError, WindrowError
from windrow.lake.by_digest import digest_of
from windrow.lake.layout import DayFile, day_file_key, partials_prefix, period_lineages_key, rules_key
from windrow.lake.s3 import S3Store
from windrow.lifetimes import Lifetimes
from windrow.period import Grain, Period
from windrow.rules.stored import store_rules
from windrow.stage import Stage
from windrow.timestamps import parse_rfc3339_ms
from windrow.window import Window
from windrow_cli import tick as command
from windrow_operations.ticks import tick_event

ENVIRONMENT = {
    "WINDROW_STAGE": "test",
    "WINDROW_STREAM_NAME": "windrow-test",
    "WINDROW_LAKE_BUCKET": LAKE,
    "WINDROW_RESULTS_BUCKET": RESULTS,
    "WINDROW_LATENESS_HORIZON_HOURS": "6",
    "WINDROW_STREAM_RETENTION_HOURS": "1",
    "POWERTOOLS_SERVICE_NAME": "windrow-test-dispatcher",
    "POWERTOOLS_METRICS_NAMESPACE": "windrow",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
}
RECENT = window_at("10:00")
EVENT = {"time": "2026-11-20T10:07:00Z", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}


Handle = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def handle(monkeypatch: pytest.MonkeyPatch) -> Iterator[Handle]:
    """The handler as a new process has it, with both buckets and a partial of RECENT."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(aws, "_clients", {})
    with restored(handler), mock_aws():
        importlib.reload(handler)
        client = boto3.session.Session().client("s3", region_name="us-east-1")
        for bucket in (LAKE, RESULTS):
            client.create_bucket(Bucket=bucket)
        put = partial_put(RECENT, [("a", 0, 0, 20_000)])
        S3Store(client, LAKE).put(put.key, put.body)
        yield lambda event: handler.handle(event, LambdaContext(remaining_ms=240_000))


@pytest.mark.slow
def test_a_day_is_reported_if_the_stage_says_so(handle: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer names the days that got a report, and objects for browsers have their types."""
    handle(EVENT)
    tomorrow = EVENT | {"time": "2026-11-21T00:02:00Z"}
    assert TickReport.from_fields(handle(tomorrow)).day_reports == ()
    monkeypatch.setenv("WINDROW_REPORTS", "on")
    (report,) = TickReport.from_fields(
        json.loads(json.dumps(handle(EVENT | {"time": "2026-11-21T01:02:00Z"})))
    ).day_reports
    assert (report.period, report.outcome) == (Period.containing(Grain.DAY, RECENT.start_ms), RollOutcome.ROLLED)
    s3 = aws.client("s3", aws.Place.of_function(ENVIRONMENT))
    keys = {file: day_file_key(report.period, file) for file in DayFile}
    types = {file: s3.head_object(Bucket=RESULTS, Key=key)["ContentType"] for file, key in keys.items()}
    assert (types[DayFile.PICTURE], types[DayFile.SUMMARY]) == ("image/svg+xml", "text/csv; charset=utf-8")


@pytest.mark.slow
def test_a_report_that_fails_is_measured(
    handle: Handle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For its alarm; a stage whose reports are made pays for no such metric."""
    handle(EVENT)
    monkeypatch.setenv("WINDROW_REPORTS", "on")
    day = Period.containing(Grain.DAY, RECENT.start_ms)
    handle(EVENT | {"time": "2026-11-21T00:02:00Z"})
    results = S3Store(aws.client("s3", aws.Place.of_function(ENVIRONMENT)), RESULTS)
    results.delete(day_file_key(day, DayFile.REPORT))
    results.put(period_lineages_key(day), b"?")
    (report,) = TickReport.from_fields(handle(EVENT | {"time": "2026-11-21T01:02:00Z"})).day_reports
    assert (report.period, report.outcome) == (day, RollOutcome.FAILED)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert [line.get("ReportsFailed") for line in lines] == [None, None, [1.0]]


@pytest.mark.slow
def test_scheduled_event_closes_its_windows(handle: Handle) -> None:
    """A rule's event is a tick of its `time`, over the real adapter and a pool of readers."""
    report = TickReport.from_fields(json.loads(json.dumps(handle(EVENT))))
    recent = next(one for one in report.windows if one.window == RECENT)
    assert (recent.outcome, recent.revision, recent.readings) == (RollOutcome.ROLLED, 1, 1)
    again = TickReport.from_fields(handle(EVENT))
    assert again.outcomes.keys() == {RollOutcome.SETTLED}
    assert "put" not in again.s3_calls


@pytest.mark.slow
def test_dry_run_writes_nothing(handle: Handle) -> None:
    """`detail.dry_run` asks for the plan alone."""
    planned = TickReport.from_fields(handle(EVENT | {"detail": {"dry_run": True}}))
    assert planned.outcomes.keys() == {RollOutcome.DUE}
    assert TickReport.from_fields(handle(EVENT)).outcomes.keys() == {RollOutcome.ROLLED}


def late_outcome(event: dict[str, Any]) -> RollOutcome:
    """What becomes of an old window that was rolled at 10:02, when another partial of it has come before 10:07.

    The stage rolls such windows once an hour.
    """
    state, old = S3State(), window_at("06:00")
    both = buckets(state.apply)
    lifetimes = Lifetimes.of_hours(lateness_horizon_hours=6, stream_retention_hours=1, late_roll_minutes=60)

    def outcome(event: dict[str, Any]) -> RollOutcome:
        report = handler.run(event, buckets=both, lifetimes=lifetimes, remaining_ms=lambda: 240_000)
        return next(one.outcome for one in report.windows if one.window == old)

    rows: list[Row] = [("a", 0, 0, 20_000)]
    state.apply(partial_put(old, rows))
    assert outcome(EVENT | {"time": "2026-11-20T10:02:00Z"}) is RollOutcome.ROLLED
    late: list[Row] = [("a", 1, 0, 20_001)]
    state.apply(partial_put(old, late, first=2))
    state.apply(marker_put(old, late))
    return outcome(event)


@pytest.mark.slow
def test_tick_that_somebody_asks_for_rolls_late_readings_at_once() -> None:
    """The schedule's tick of the same time waits for the hour, and so does one whose `detail` is null."""
    assert late_outcome(EVENT) is RollOutcome.WAITING
    assert late_outcome(EVENT | {"detail": None}) is RollOutcome.WAITING
    asked = tick_event(parse_rfc3339_ms(EVENT["time"]), is_dry_run=False)
    assert late_outcome(asked) is RollOutcome.ROLLED
    assert late_outcome(tick_event(parse_rfc3339_ms(EVENT["time"]), is_dry_run=True)) is RollOutcome.DUE


@pytest.mark.slow
def test_metrics_count_the_outcomes(handle: Handle, capsys: pytest.CaptureFixture[str]) -> None:
    """One EMF line, with every outcome that an alarm reads, so that an alarm on a missing metric is no false one."""
    report = TickReport.from_fields(handle(EVENT))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert len(lines) == 1
    assert lines[0]["WindowsRolled"] == [float(len(report.windows))]
    assert lines[0]["WindowsFrozen"] == [0.0]
    assert lines[0]["S3Calls"] == [float(sum(report.s3_calls.values()))]


@pytest.mark.slow
@pytest.mark.parametrize(("done_by", "minutes"), [("10:22", 15.0), (None, 1440.0)])
def test_backlog_is_logged_and_measured(
    handle: Handle,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    done_by: str | None,
    minutes: float,
) -> None:
    """Windows left and by when they are done, in the log; the minutes as a metric, a day if nobody knows."""
    backlog = Backlog(done=500, left=1200, done_by_ms=done_by and at(done_by))
    report = TickReport(scheduled_time_ms=at("10:07"), windows=(), s3_calls={}, backlog=backlog)
    monkeypatch.setattr(handler, "run", lambda *_, **__: report)
    assert TickReport.from_fields(json.loads(json.dumps(handle(EVENT)))) == report
    assert [one.__dict__["left"] for one in caplog.records if one.levelname == "WARNING"] == [1200]
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert line["BacklogMinutes"] == [minutes]


@pytest.mark.slow
def test_rules_that_cannot_be_read_stop_nothing_and_are_told(
    handle: Handle,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Windows are rolled; the report, the log and the metric of an alarm say what is wrong, until a deploy mends it."""
    text = b'[[rule]]\nname = "warm"\nabove = 8\n'
    monkeypatch.setenv("WINDROW_RULES", digest_of(text))
    lake = S3Store(aws.client("s3", aws.Place.of_function(ENVIRONMENT)), LAKE)
    seen = []
    for damaged in (None, b"what is this?"):
        if damaged:
            lake.put(rules_key(digest_of(text)), damaged)
        report = TickReport.from_fields(json.loads(json.dumps(handle(EVENT))))
        assert report.outcomes[RollOutcome.FAILED] == 0
        seen.append(report.rules_failed)
    assert ["is not in the lake bucket" in one for (one,) in seen] == [True, False]
    assert [record.__dict__["reason"] for record in caplog.records if record.levelname == "ERROR"] == [
        one for (one,) in seen
    ]
    store_rules(lake, text)
    assert TickReport.from_fields(handle(EVENT)).rules_failed == ()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert [line["RulesFailed"] for line in lines] == [[1.0], [1.0], [0.0]]


@pytest.mark.slow
def test_failed_window_is_logged_as_an_error_and_raises_nothing(
    handle: Handle, caplog: pytest.LogCaptureFixture
) -> None:
    """The log and the metric name what the schedule's retry could not mend."""
    strange = f"{partials_prefix(RECENT)}-strange"
    S3Store(aws.client("s3", aws.Place.of_function(ENVIRONMENT)), LAKE).put(strange, b"")
    report = TickReport.from_fields(handle(EVENT))
    assert report.outcomes[RollOutcome.FAILED] == 1
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1
    assert strange in errors[0].__dict__["detail"]


@pytest.mark.parametrize("event", [{}, {"time": "noon"}, {"time": 5}, {"time": None}])
def test_event_without_a_time_is_refused(event: dict[str, object]) -> None:
    """The clock is never a substitute for the scheduled time."""
    with pytest.raises(WindrowError, match="no RFC 3339 `time`"):
        handler.run(event, buckets=buckets(S3State().apply), lifetimes=lifetimes(), remaining_ms=lambda: 240_000)


def lifetimes() -> Lifetimes:
    """Those of ENVIRONMENT."""
    return Lifetimes.of_hours(lateness_horizon_hours=6, stream_retention_hours=1)


@pytest.mark.parametrize(
    ("left_ms", "rolls"),
    [
        ([240_000, 240_000, 240_000, 60_001, 60_000], 3),  # the reserve is a minute
        ([40_000, 40_000, 40_000, 10_001, 10_000], 3),  # or a quarter of a short run
    ],
)
def test_no_roll_begins_in_the_reserve(left_ms: list[int], rolls: int) -> None:
    """The first answer sizes the reserve, the next comes before listings, the others before each further window."""
    answers = itertools.chain(left_ms, itertools.repeat(left_ms[-1]))
    report = handler.run(
        EVENT, buckets=buckets(S3State().apply), lifetimes=lifetimes(), remaining_ms=lambda: next(answers)
    )
    assert report.outcomes[RollOutcome.ROLLED] == rolls
    assert report.outcomes[RollOutcome.DEFERRED] == len(report.windows) - rolls


def test_report_survives_json() -> None:
    """The function's response is read back as the value it was."""
    one = WindowReport(
        window=Window(at("10:00")),
        reasons=(DueReason.NEW, DueReason.MARKED),
        outcome=RollOutcome.FROZEN,
        revision=3,
        readings=12,
        detail="why",
        markers_kept=("0" * 32,),
    )
    report = TickReport(scheduled_time_ms=at("10:07"), windows=(one,), s3_calls={"get": 1}, unknown_keys=("x",))
    assert TickReport.from_fields(json.loads(json.dumps(report.to_fields()))) == report


# ---- windrow tick ----


class FakeLambda:
    """A Lambda client that answers every invocation alike."""

    def __init__(self, payload: object, **answer: str) -> None:
        """Answer with `payload` as JSON."""
        self.events: list[dict[str, Any]] = []
        self._payload, self._answer = json.dumps(payload).encode(), answer

    def invoke(self, **request: Any) -> dict[str, Any]:
        """Note the event."""
        assert request["FunctionName"] == "windrow-dev-dispatcher"
        assert request["InvocationType"] == "RequestResponse"
        self.events.append(json.loads(request["Payload"]))
        return {"Payload": io.BytesIO(self._payload), **self._answer}


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeLambda], None]:
    """Installs a Lambda client and a deployment that is found everywhere."""
    nowhere = aws.Place("nowhere", "http://127.0.0.1:1", "us-east-1")
    stage = Stage(
        place=nowhere,
        lateness_horizon_hours=168,
        stream_retention_hours=24,
        partials_retention_days=30,
        name="dev",
        stream_name="s",
        lake_bucket=LAKE,
        results_bucket=RESULTS,
        failures_bucket="f",
        consumer_function="c",
        dispatcher_function="windrow-dev-dispatcher",
        database="",
        workgroup="",
        mode="direct",
    )
    monkeypatch.setattr(command, "open_stage", lambda _stage: stage)
    return lambda fake: monkeypatch.setattr(aws, "_clients", {("lambda", nowhere, True, None): fake})


def answer_of(*windows: WindowReport) -> dict[str, Any]:
    """A response of the dispatcher."""
    return TickReport(scheduled_time_ms=at("10:07"), windows=windows, s3_calls={"get": 2, "list": 3}).to_fields()


def test_tick_hands_the_scheduled_time_to_the_function_and_prints_its_report(
    place: Callable[[FakeLambda], None],
) -> None:
    """A line for each window: start, reasons, outcome, revision."""
    rolled = WindowReport(
        window=RECENT, reasons=(DueReason.RECENT,), outcome=RollOutcome.ROLLED, revision=2, readings=1234
    )
    fake = FakeLambda(answer_of(rolled))
    place(fake)
    result = CliRunner().invoke(command.tick, ["--at", "2026-11-20T11:07:00+01:00", "--dry-run"])
    assert result.exit_code == 0
    assert fake.events[0]["time"] == "2026-11-20T10:07:00.000Z"
    assert fake.events[0]["detail"] == {"dry_run": True, "late_rolls_now": True}
    line = next(line for line in result.stdout.splitlines() if line)
    assert line.split() == ["2026-11-20T10:00:00.000Z", "recent", "rolled", "revision", "2", "1,234", "readings"]


def test_tick_says_what_a_cut_answer_lacks(place: Callable[[FakeLambda], None]) -> None:
    """How many windows, of which outcome, and where they are named; a frozen one that is not listed is counted."""
    frozen = WindowReport(window=RECENT, reasons=(DueReason.RECENT,), outcome=RollOutcome.FROZEN, detail="gone")
    unlisted = {RollOutcome.SETTLED: 1_016, RollOutcome.FROZEN: 2}
    report = TickReport(
        scheduled_time_ms=0, windows=(frozen,), s3_calls={}, unlisted=unlisted, left_out={"markers": 12_345}
    )
    place(FakeLambda(report.to_fields()))
    result = CliRunner().invoke(command.tick, [])
    assert isinstance(result.exception, WindrowError)
    assert "3 windows need attention" in result.exception.message
    words = " ".join(result.stderr.split())
    assert "not listed here: 2 frozen windows, 1,016 settled windows, 12,345 markers" in words
    assert "1016 settled" in words


@pytest.mark.slow
def test_the_function_cuts_its_answer(handle: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its log has every window, its answer no more than the bound."""
    monkeypatch.setattr(answer, "WINDOWS_MAX", 1)
    report = TickReport.from_fields(json.loads(json.dumps(handle(EVENT))))
    assert len(report.windows) == 1
    assert report.outcomes[RollOutcome.ROLLED] == 1 + report.unlisted[RollOutcome.ROLLED] > 1


def test_tick_with_a_frozen_window_is_an_error(place: Callable[[FakeLambda], None]) -> None:
    """A tick that could not do its work must not look as if it had; the windows are printed all the same."""
    frozen = WindowReport(
        window=RECENT, reasons=(DueReason.RECENT,), outcome=RollOutcome.FROZEN, detail="2 partials are gone"
    )
    place(FakeLambda(answer_of(frozen)))
    result = CliRunner().invoke(command.tick, ["--at", "2026-11-20T10:07:00Z"])
    assert isinstance(result.exception, WindrowError)
    assert "2026-11-20T10:00:00.000Z is frozen: 2 partials are gone" in result.exception.message
    assert "frozen" in result.stdout


@pytest.mark.parametrize(
    ("backlog", "told"),
    [
        (
            {"done": 500, "left": 1200, "done_by": "2026-11-20T10:22:00.000Z"},
            "backlog: 1,200 windows left; at this rate done by 2026-11-20T10:22:00.000Z (in 15 min)\n",
        ),
        ({"done": 0, "left": 1, "done_by": None}, "backlog: 1 windows left; this tick did none of them\n"),
        (None, ""),
        ("absent", ""),  # a function of an earlier release
    ],
)
def test_tick_tells_how_much_is_left_and_until_when(
    place: Callable[[FakeLambda], None], backlog: object, told: str
) -> None:
    """On stderr, after the counts."""
    fields = answer_of() | {"backlog": backlog}
    if backlog == "absent":
        del fields["backlog"]
    place(FakeLambda(fields))
    result = CliRunner().invoke(command.tick, ["--at", "2026-11-20T10:07:00Z"])
    assert result.stderr.partition("\n")[2] == told


@pytest.mark.parametrize("text", ["noon", "2026-11-20", "2026-11-20T10:07:00", "1969-01-01T00:00:00Z", ""])
def test_time_that_is_no_time_is_a_usage_error(text: str) -> None:
    """Exit code 2 and one line."""
    with pytest.raises(UsageError, match="--at"):
        command.instant_ms(text, now_ms=0)


def test_default_time_is_now() -> None:
    """Without `--at` the clock of the user's machine stands for the schedule."""
    assert command.instant_ms(None, now_ms=17) == 17


@pytest.mark.parametrize(
    ("fake", "message"),
    [
        (FakeLambda({"errorMessage": "out of\nmemory"}, FunctionError="Unhandled"), "failed: out of memory"),
        (FakeLambda({"surprise": 1}), "something other than a report"),
        (FakeLambda("text"), "something other than a report"),
        (FakeLambda(None, FunctionError="Unhandled"), "something other than a report"),
    ],
)
def test_function_that_fails_is_one_line(place: Callable[[FakeLambda], None], fake: FakeLambda, message: str) -> None:
    """The function's own message, without a traceback."""
    place(fake)
    result = CliRunner().invoke(command.tick, [])
    assert isinstance(result.exception, WindrowError)
    assert message in result.exception.message
    assert "\n" not in result.exception.message


@pytest.mark.slow
def test_local_tick_does_what_the_function_would(
    handle: Handle, place: Callable[[FakeLambda], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--local` runs the same tick on the same buckets, in this process."""
    nowhere = aws.Place("nowhere", "http://127.0.0.1:1", "us-east-1")
    s3 = boto3.session.Session().client("s3", region_name="us-east-1")
    monkeypatch.setattr(aws, "_clients", {("s3", nowhere, True, None): s3})
    result = CliRunner().invoke(command.tick, ["--local", "--at", "2026-11-20T10:07:00Z"])
    assert result.exit_code == 0, result.exception
    assert "1 readings" in result.stdout
