"""`windrow simulate`: what it makes of its options, and what it prints."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import click.testing
import pytest
from moto import mock_aws

from producers.fleet import FleetSpec
from producers.manifest import stored_runs
from producers.sender import Wire
from windrow.aws.clients import Place
from windrow.aws.kinesis import KinesisStream
from windrow.errors import UsageError
from windrow.lake.s3 import S3Store
from windrow.payloads.load import stored_form
from windrow.payloads.stored import store_contract
from windrow.stage import Stage
from windrow.timestamps import parse_rfc3339_ms
from windrow.window import WINDOW_MS
from windrow_cli import simulate as command
from windrow_cli.simulate import event_range_ms, report_json
from windrow_operations.simulating import SendingOptions, check_horizon, simulate_fleet

NOW_MS = parse_rfc3339_ms("2026-11-20T10:07:30Z")
TEN_MS = parse_rfc3339_ms("2026-11-20T10:00:00Z")
PLACE = Place("test-simulate", None, "us-east-1")
STAGE = Stage(
    place=PLACE,
    lateness_horizon_hours=168,
    stream_retention_hours=24,
    partials_retention_days=30,
    name="dev",
    stream_name="readings",
    lake_bucket="lake",
    results_bucket="results",
    failures_bucket="failures",
    consumer_function="consumer",
    dispatcher_function="dispatcher",
    database="",
    workgroup="",
    mode="direct",
)


@pytest.fixture
def kinesis() -> Iterator[Any]:
    """A stream of two shards and a lake bucket."""
    with mock_aws():
        boto3.client("s3", region_name=PLACE.region).create_bucket(Bucket="lake")
        client = boto3.client("kinesis", region_name=PLACE.region)
        client.create_stream(StreamName="readings", ShardCount=2)
        yield client


FLEET = FleetSpec(seed=7, sensors=20, start_ms=TEN_MS, end_ms=TEN_MS + 600_000)


def test_the_default_is_the_last_four_ended_windows() -> None:
    """At 10:07:30 they are 09:45 to 10:05; at 10:05 sharp the window just ended is the last of them."""
    expected = (TEN_MS - 3 * WINDOW_MS, TEN_MS + WINDOW_MS)
    assert event_range_ms(None, None, windows=None, now_ms=NOW_MS) == expected
    assert event_range_ms(None, None, windows=None, now_ms=TEN_MS + WINDOW_MS) == expected


def test_windows_count_back_from_the_last_ended_one() -> None:
    """One window is the last one."""
    assert event_range_ms(None, None, windows=1, now_ms=NOW_MS) == (TEN_MS, TEN_MS + WINDOW_MS)


def test_a_range_may_be_given_and_ends_now_by_default() -> None:
    """Both ends as RFC 3339, with any offset."""
    assert event_range_ms("2026-11-20T11:00:00+01:00", None, windows=None, now_ms=NOW_MS) == (TEN_MS, NOW_MS)
    given = event_range_ms("2026-11-20T10:00:00Z", "2026-11-20T10:01:00Z", windows=None, now_ms=NOW_MS)
    assert given == (TEN_MS, TEN_MS + 60_000)


@pytest.mark.parametrize(
    ("start", "end", "windows", "message"),
    [
        ("yesterday", None, None, "--from 'yesterday'"),
        ("2026-11-20T10:00:00Z", "25 o'clock", None, '--to "25 o\'clock"'),
        ("2026-02-30T10:00:00Z", None, None, "--from '2026-02-30T10:00:00Z'"),
        ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z", None, "the range is"),
        ("2026-11-20T10:05:00Z", "2026-11-20T10:00:00Z", None, "the range is"),
        ("2026-11-20T10:00:00Z", "2026-11-20T10:12:31Z", None, "in the future"),
        (None, "2026-11-20T10:00:00Z", None, "--to needs --from"),
        ("2026-11-20T10:00:00Z", None, 2, "exclude each other"),
    ],
)
def test_a_range_that_makes_no_sense_is_a_usage_error(
    start: str | None, end: str | None, windows: int | None, message: str
) -> None:
    """One line that names the option, and what to do."""
    with pytest.raises(UsageError) as raised:
        event_range_ms(start, end, windows=windows, now_ms=NOW_MS)
    assert message in raised.value.message
    assert raised.value.hint


def test_readings_beyond_the_horizon_are_refused_before_they_are_sent() -> None:
    """They would be quarantined, and the truth would be wrong; the hint names a start that is taken."""
    with pytest.raises(UsageError, match="too late") as raised:
        check_horizon(FLEET, now_ms=TEN_MS + 24 * 3_600_000, horizon_ms=24 * 3_600_000)
    assert "2026-11-20T11:00:00.000Z" in raised.value.hint
    check_horizon(FLEET, now_ms=TEN_MS + 23 * 3_600_000, horizon_ms=24 * 3_600_000)


@pytest.mark.parametrize(
    "options",
    ["--sensors 0", "--interval 0", "--interval nan", "--interval inf", "--sites 101", "--late nan", "--seed -1"],
)
def test_a_fleet_that_cannot_be_is_a_usage_error(options: str) -> None:
    """Before anything is looked up, with exit code 2."""
    result = click.testing.CliRunner().invoke(command.simulate, options.split(), standalone_mode=False)
    assert isinstance(result.exception, UsageError)
    assert "no such fleet is possible" in result.exception.message


@pytest.mark.slow
def test_a_run_is_in_the_stream_and_in_the_lake(kinesis: Any) -> None:
    """Through the real adapters: as many records as were counted, and a completed manifest."""
    report = simulate_fleet(FLEET, STAGE, now_ms=NOW_MS)

    records = list(KinesisStream(kinesis, name="readings", place=PLACE).records_between(0, 4_000_000_000_000))
    assert len(records) == report.counters.records > 0
    (manifest,) = stored_runs(S3Store(boto3.client("s3", region_name=PLACE.region), "lake"))
    assert manifest.is_completed
    assert manifest.run_id == report.run_id
    highest = {
        shard: max(int(r.sequence_number) for r in records if r.shard_id == shard)
        for shard in report.last_sequence_numbers
    }
    assert manifest.last_sequence_numbers == highest


@pytest.mark.slow
def test_a_dry_run_sends_and_stores_nothing(kinesis: Any) -> None:
    """It counts the same as the run."""
    dry = simulate_fleet(FLEET, STAGE, now_ms=NOW_MS, options=SendingOptions(is_dry_run=True))
    assert list(KinesisStream(kinesis, name="readings", place=PLACE).records_between(0, 4_000_000_000_000)) == []
    assert list(stored_runs(S3Store(boto3.client("s3", region_name=PLACE.region), "lake"))) == []
    assert dry.counters == simulate_fleet(FLEET, STAGE, now_ms=NOW_MS).counters


@pytest.mark.slow
@pytest.mark.parametrize("form", ["table", "json"])
def test_the_result_is_on_stdout_in_either_form(
    form: str, kinesis: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The JSON form can be read by a program, the table by people; progress is in neither."""
    monkeypatch.setattr("infra.embedded.place", lambda _home: PLACE)
    monkeypatch.setattr("windrow.deployment.find_stage", lambda _place, _stage: STAGE)
    command.simulate.main(["--sensors", "20", "--windows", "1", "--format", form], standalone_mode=False)
    captured = capsys.readouterr()
    (manifest,) = stored_runs(S3Store(boto3.client("s3", region_name=PLACE.region), "lake"))
    if form == "json":
        assert json.loads(captured.out)["run_id"] == manifest.run_id
    else:
        assert manifest.run_id in captured.out
        assert f"{manifest.totals.readings:,}" in captured.out
    assert captured.err == ""


@pytest.mark.slow
def test_the_json_form_keeps_sequence_numbers_exact(kinesis: Any) -> None:
    """They have 56 digits, more than a JSON reader's floating point keeps."""
    report = simulate_fleet(FLEET, STAGE, now_ms=NOW_MS)
    fields = report_json(report, FLEET, is_dry_run=False)
    assert fields["last_sequence_numbers"] == {k: str(v) for k, v in report.last_sequence_numbers.items()}


@pytest.mark.slow
def test_a_stage_with_a_contract_is_not_sent_what_it_does_not_read(kinesis: Any) -> None:
    """It would all be quarantined: refused before anything is sent, with the way that works, which does."""
    lake = S3Store(boto3.client("s3", region_name=PLACE.region), "lake")
    stage = replace(STAGE, payload_contract=store_contract(lake, stored_form('use = "telegraf"')))
    with pytest.raises(UsageError) as refused:
        simulate_fleet(FLEET, stage, now_ms=NOW_MS)
    assert "--wire blocks" in refused.value.hint
    sent = simulate_fleet(FLEET, stage, now_ms=NOW_MS, options=SendingOptions(wire=Wire.BLOCKS))
    assert sent.totals.readings > 0
