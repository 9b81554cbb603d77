"""`windrow ingest`: what it says before it sends, what it sends, and what it writes directly."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import click.testing
import pytest
from moto import mock_aws

from tests.unit.test_simulate_command import PLACE, STAGE
from windrow.aws.kinesis import KinesisStream
from windrow.errors import UsageError
from windrow.lake.layout import PARTIALS, lineage_key
from windrow.lake.s3 import S3Store
from windrow.reading import Reading
from windrow.timestamps import parse_rfc3339_ms
from windrow.window import Window
from windrow.wire.block import is_block
from windrow.wire.block.block import decode_block
from windrow.wire.json.strict import parse_reading
from windrow.wire.kpl import deaggregate
from windrow_cli import ingest as command

NOW_MS = parse_rfc3339_ms("2026-11-20T12:00:00Z")
DAY_MS = 86_400_000


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A stage of one stream and two buckets, at noon."""
    monkeypatch.setattr(command, "open_stage", lambda _stage: STAGE)
    monkeypatch.setattr(command, "clock_ms", lambda: NOW_MS)
    with mock_aws():
        s3 = boto3.client("s3", region_name=PLACE.region)
        for bucket in ("lake", "results"):
            s3.create_bucket(Bucket=bucket)
        kinesis = boto3.client("kinesis", region_name=PLACE.region)
        kinesis.create_stream(StreamName="readings", ShardCount=2)
        yield kinesis


def csv_of(folder: Path, offsets_ms: list[int]) -> Path:
    path = folder / "r.csv"
    rows = "".join(f"roof,{NOW_MS + offset},{20 + number / 1000}\n" for number, offset in enumerate(offsets_ms))
    path.write_text(f"sensor_id,event_time,temperature\n{rows}")
    return path


def run(*arguments: str, text: str | None = None) -> click.testing.Result:
    return click.testing.CliRunner().invoke(command.ingest, [*arguments], input=text, standalone_mode=False)


def sent(kinesis: Any) -> list[Reading]:
    found: list[Reading] = []
    for record in KinesisStream(kinesis, name="readings", place=PLACE).records_between(0, 4_000_000_000_000):
        user_records = deaggregate(record.body)
        payloads = [record.body] if user_records is None else [one.payload for one in user_records]
        for payload in payloads:
            found += decode_block(payload) if is_block(payload) else [parse_reading(payload)]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("wire", ["json", "blocks"])
def test_a_recording_is_sent_and_reported(aws: Any, tmp_path: Path, wire: str) -> None:
    """In either form; the report on standard output can be read by a program."""
    result = run(str(csv_of(tmp_path, [-3_000, -2_000, -1_000])), "--wire", wire, "--format", "json")
    report = json.loads(result.stdout)
    assert sent(aws) == [Reading("roof", NOW_MS - 3_000 + n * 1_000, 0, 20_000 + n) for n in range(3)]
    assert (report["readings"], report["counters"]["readings"], report["too_late"]) == (3, 3, 0)
    assert set(report["last_sequence_numbers"]) <= {"shardId-000000000000", "shardId-000000000001"}


@pytest.mark.slow
def test_what_will_be_quarantined_is_said_before(aws: Any, tmp_path: Path) -> None:
    """Readings beyond the horizon or in the future are counted; so are rows that are no readings."""
    path = csv_of(tmp_path, [-8 * DAY_MS, -1, 600_000])
    path.write_text(path.read_text() + "roof,never,1\n")
    told = " ".join(run(str(path), "--dry-run").stderr.split())
    assert "1 of 3 readings are older than 168 h and will be quarantined as too late" in told
    assert "1 of 3 readings are in the future" in told
    assert "event_time: 1 row 4: 'never': not a number" in told
    assert sent(aws) == []


@pytest.mark.slow
def test_a_recording_can_be_moved(aws: Any, tmp_path: Path) -> None:
    """Its last reading falls at the given time, the others keep their distance."""
    run(str(csv_of(tmp_path, [-30 * DAY_MS, -30 * DAY_MS + 500])), "--retime", "-1m")
    assert [one.event_time_ms for one in sent(aws)] == [NOW_MS - 60_500, NOW_MS - 60_000]


@pytest.mark.slow
def test_standard_input_needs_a_form(aws: Any) -> None:
    """It has no name that would tell it."""
    line = json.dumps({"sensor_id": "roof", "event_time": NOW_MS, "temperature": 1})
    run("-", "--input-format", "jsonl", text=line)
    assert sent(aws) == [Reading("roof", NOW_MS, 0, 1_000)]
    assert isinstance(run("-", text=line).exception, UsageError)


@pytest.mark.slow
def test_a_backfill_goes_past_the_stream(aws: Any, tmp_path: Path) -> None:
    """However old; a rolled window is left out, and so is what is in the future."""
    path = csv_of(tmp_path, [-90 * DAY_MS, -60 * DAY_MS, 600_000])
    s3 = boto3.client("s3", region_name=PLACE.region)
    S3Store(s3, "results").put(lineage_key(Window.containing(NOW_MS - 60 * DAY_MS)), b"{}")
    report = json.loads(run(str(path), "--backfill", "--format", "json").stdout)
    assert len(list(S3Store(s3, "lake").list_objects(PARTIALS))) == 1 == report["partials_new"]
    assert (report["readings_backfilled"], report["readings_left_out"], report["windows_kept"]) == (1, 1, 1)
    assert (report["too_early"], "too_late" in report) == (1, False)
    assert sent(aws) == []


@pytest.mark.slow
def test_waiting_for_a_backfill_makes_no_sense(aws: Any, tmp_path: Path) -> None:
    """It is there when the command returns."""
    assert isinstance(run(str(csv_of(tmp_path, [0])), "--backfill", "--wait").exception, UsageError)
