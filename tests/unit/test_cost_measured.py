"""What prices.json says was measured, measured again: requests of ticks, bytes of logs and files, custom metrics.

If a change of the functions makes one of these fail, measure anew: the number belongs into infra/prices.json, and
`python -m tests.golden.cost_table` writes the table of docs/deploy.md.
"""

import importlib
import json
import logging
import random
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from dispatcher import handler
from infra.prices import price_table
from processors import batch, consumer_handler
from tests.consuming import encode_event
from tests.lambda_context import LambdaContext
from tests.simulation.lake import LAKE, RESULTS, buckets, partial_of, window_at
from tests.simulation.steady_stage import BATCHES, LIFETIMES, MIDNIGHT, idle_stage, requests_per_tick
from tests.unit.stream_records import aggregated, encoded, reading, record
from windrow.aws import clients as aws
from windrow.rows.partial_parquet import DeliveryCounts, encode_partial
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS

TABLE = price_table()
ENVIRONMENT = {
    "WINDROW_STAGE": "test",
    "WINDROW_STREAM_NAME": "windrow-test",
    "WINDROW_LAKE_BUCKET": LAKE,
    "WINDROW_RESULTS_BUCKET": RESULTS,
    "WINDROW_LATENESS_HORIZON_HOURS": "168",
    "WINDROW_STREAM_RETENTION_HOURS": "24",
    "POWERTOOLS_SERVICE_NAME": "windrow-test-function",
    "POWERTOOLS_METRICS_NAMESPACE": "windrow",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
}
LAMBDA_LOG_BYTES = 350
"""START, END and REPORT of one call, as Lambda writes them."""
NEAR = 0.2
"""How far a measurement may be from the number in the model: less than prices differ between regions."""


class Printed:
    """Standard output as it is when a line is written: pytest changes it between a fixture and its test."""

    def write(self, text: str) -> None:
        sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both functions as new processes have them, over empty buckets in moto's S3; `capsys` has their logs too."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(aws, "_clients", {})
    for module in (batch, consumer_handler, handler):
        importlib.reload(module)
    for log_handler in logging.getLogger(ENVIRONMENT["POWERTOOLS_SERVICE_NAME"]).handlers:
        monkeypatch.setattr(log_handler, "stream", Printed())
    with mock_aws():
        for bucket in (LAKE, RESULTS):
            boto3.resource("s3", region_name="us-east-1").create_bucket(Bucket=bucket)
        yield


def metrics_in(printed: str) -> set[str]:
    """Names of the custom metrics that CloudWatch would extract."""
    blobs = [json.loads(line) for line in printed.splitlines() if '"_aws"' in line]
    found = [directive for blob in blobs for directive in blob["_aws"]["CloudWatchMetrics"]]
    return {metric["Name"] for directive in found for metric in directive["Metrics"]}


def run_consumer() -> None:
    """One batch: an aggregate of 200 readings, as one shard of a small fleet brings it."""
    payloads = encoded([reading(f"hall-{one:03d}", at_ms=one) for one in range(200)])
    event: Any = json.loads(encode_event([record(aggregated(payloads))]))
    consumer_handler.handle(event, LambdaContext())


def test_custom_metrics_of_the_consumer_are_as_many_as_are_paid_for(
    functions: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every name in the embedded metric format is a metric on the bill."""
    run_consumer()
    assert len(metrics_in(capsys.readouterr().out)) == TABLE.figure("consumer_metrics")


def test_a_batch_logs_as_much_as_is_paid_for(functions: None, capsys: pytest.CaptureFixture[str]) -> None:
    """The line of the log, the metrics in it, and what Lambda adds."""
    run_consumer()
    printed = len(capsys.readouterr().out.encode()) + LAMBDA_LOG_BYTES
    assert printed == pytest.approx(TABLE.figure("batch_log_bytes"), rel=NEAR)


def test_a_tick_of_an_idle_stage_reports_as_much_as_is_paid_for(
    functions: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metrics and log of a tick that closes a window without readings and marks an old one as final."""
    scheduled_time_ms = MIDNIGHT + WINDOW_MS
    both = buckets(idle_stage(MIDNIGHT).apply)
    stage = SimpleNamespace(lake=both.lake, results=both.results, lifetimes=LIFETIMES, silence_topic_arn="")
    monkeypatch.setattr(handler.Stage, "of_function", lambda _: stage)
    report = handler.handle({"time": format_rfc3339(scheduled_time_ms)}, LambdaContext(remaining_ms=240_000))
    assert report["s3_calls"]["put"] == 2
    printed = capsys.readouterr().out
    assert len(metrics_in(printed)) == TABLE.figure("dispatcher_metrics")
    assert len(printed.encode()) + LAMBDA_LOG_BYTES == pytest.approx(TABLE.figure("tick_log_bytes"), rel=NEAR)


@pytest.mark.slow
def test_a_tick_of_an_idle_stage_asks_for_as_much_as_is_paid_for() -> None:
    """An hour of ticks in the simulation; the dearest requests are LISTs."""
    found = requests_per_tick(shards=0)
    for kind, name in (("list", "tick_lists"), ("get", "tick_gets"), ("put", "tick_puts")):
        assert found[kind] == pytest.approx(TABLE.figure(name), rel=NEAR), kind


@pytest.mark.slow
def test_readings_cost_a_tick_as_much_more_as_is_paid_for() -> None:
    """A GET for each partial, and those for silences and hours; a LIST costs the same with one shard or with two."""
    shards = 2
    found = requests_per_tick(shards)
    gets = TABLE.figure("tick_gets") + TABLE.figure("tick_fleet_gets") + shards * BATCHES
    assert found["list"] == pytest.approx(TABLE.figure("tick_lists"), rel=NEAR)
    assert found["get"] == pytest.approx(gets, rel=NEAR)
    assert found["put"] == pytest.approx(TABLE.figure("tick_puts") + TABLE.figure("tick_fleet_puts"), rel=NEAR)


@pytest.mark.parametrize(("sensors", "readings"), [(500, 2), (1_000, 2), (1_000, 30)])
def test_partials_are_as_large_as_is_paid_for(sensors: int, readings: int) -> None:
    """A line through files of many sizes: so much a file, a sensor and a reading."""
    noise = random.Random(sensors)
    rows = [
        (
            f"hall-07/sensor-{one:06d}",
            time * 10_000 + one * 37 % 10_000,
            0,
            20_000 + 1_500 * (one % 7) + noise.randint(-300, 300),
        )
        for one in range(sensors)
        for time in range(readings)
    ]
    size = len(encode_partial(partial_of(window_at("10:00"), rows), DeliveryCounts(late=0, duplicates=0)))
    predicted = (
        TABLE.figure("partial_fixed_bytes")
        + sensors * TABLE.figure("partial_sensor_bytes")
        + sensors * readings * TABLE.figure("partial_bytes")
    )
    assert size == pytest.approx(predicted, rel=NEAR)
