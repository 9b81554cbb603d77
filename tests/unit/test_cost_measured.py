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
from functools import cache
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from dispatcher import handler
from infra.prices import price_table
from infra.shape import Shape
from processors import batch, consumer_handler
from tests.consuming import encode_event
from tests.lambda_context import LambdaContext
from tests.modules import restored
from tests.simulation.lake import LAKE, RESULTS, buckets, partial_of, window_at
from tests.simulation.steady_stage import BATCHES, LIFETIMES, MIDNIGHT, idle_stage, requests_per_tick
from tests.unit.stream_records import ARRIVAL_MS, aggregated, encoded, reading, record
from windrow.aws import clients as aws
from windrow.rows.partial_parquet import DeliveryCounts, encode_partial
from windrow.rules.load import load_rules
from windrow.rules.stored import StoredRules
from windrow.settings import METRICS_DISABLED
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
    modules = (batch, consumer_handler, handler)
    with restored(*modules):
        for module in modules:
            importlib.reload(module)
        yield from _over_empty_buckets(monkeypatch)


def _over_empty_buckets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # All metrics of a process are in one place, where a stage without metrics leaves them.
    batch.metrics.clear_metrics()
    handler.metrics.clear_metrics()
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


def run_consumer(*, repeats: int = 1, arrival_ms: int = ARRIVAL_MS) -> None:
    """One batch: an aggregate of 200 readings, as one shard of a small fleet brings it."""
    payloads = encoded([reading(f"hall-{one:03d}", at_ms=one) for one in range(200)] * repeats)
    event: Any = json.loads(encode_event([record(aggregated(payloads), arrival_ms=arrival_ms)]))
    consumer_handler.handle(event, LambdaContext())


def run_idle_tick(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The report of a tick that closes a window without readings and marks an old one as final."""
    both = buckets(idle_stage(MIDNIGHT).apply)
    without = dict.fromkeys(
        ("silence_topic_arn", "info_topic_arn", "warning_topic_arn", "critical_topic_arn", "rules"), ""
    )
    stage = SimpleNamespace(lake=both.lake, results=both.results, lifetimes=LIFETIMES, makes_reports=False, **without)
    monkeypatch.setattr(handler.Stage, "of_function", lambda _: stage)
    return handler.handle({"time": format_rfc3339(MIDNIGHT + WINDOW_MS)}, LambdaContext(remaining_ms=240_000))


def read_by_alarms() -> set[str]:
    """Names of the functions' own metrics that alarms of a stage in the mode direct read."""
    metrics = []
    for alarm in Shape().resources("AWS::CloudWatch::Alarm").values():
        queries = [query["MetricStat"]["Metric"] for query in alarm.get("Metrics", []) if "MetricStat" in query]
        metrics += queries or [alarm]
    return {metric["MetricName"] for metric in metrics if metric["Namespace"] == "windrow"}


@pytest.mark.slow
def test_custom_metrics_of_the_consumer_are_as_many_as_are_paid_for(
    functions: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every name in the embedded metric format is a metric on the bill; late readings and duplicates add one each."""
    run_consumer()
    usual = metrics_in(capsys.readouterr().out)
    run_consumer(repeats=2, arrival_ms=ARRIVAL_MS + 3_600_000)
    found = metrics_in(capsys.readouterr().out)
    assert found - usual == {"Late", "Duplicates"}
    assert len(found) == TABLE.figure("consumer_metrics")


@pytest.mark.slow
def test_what_alarms_read_is_written_with_nothing_to_say(
    functions: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To an alarm, no data is not the same as 0; so a quiet batch and a quiet tick write all that alarms read."""
    run_consumer()
    run_idle_tick(monkeypatch)
    assert read_by_alarms() <= metrics_in(capsys.readouterr().out)


@pytest.mark.slow
def test_what_is_paid_for_is_looked_at(
    functions: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every metric is in an alarm or on the dashboard, those of trouble too; the rest is in the log."""
    run_consumer(repeats=2, arrival_ms=ARRIVAL_MS + 3_600_000)
    run_idle_tick(monkeypatch)
    written = metrics_in(capsys.readouterr().out)
    dashboard = Shape().resources("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"]
    assert {name for name in written if f'"{name}"' not in dashboard} <= read_by_alarms()


@pytest.mark.slow
@pytest.mark.parametrize(("level", "is_disabled"), [("full", False), ("simple", False), ("none", True)])
def test_a_stage_without_operations_writes_no_metrics(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, level: str, is_disabled: bool
) -> None:
    """The variable of the template silences both functions; the log stays."""
    monkeypatch.setenv(METRICS_DISABLED, Shape({"Operations": level}).environment()[METRICS_DISABLED])
    capsys: pytest.CaptureFixture[str] = request.getfixturevalue("capsys")
    request.getfixturevalue("functions")
    run_consumer()
    run_idle_tick(monkeypatch)
    printed = capsys.readouterr().out
    assert (metrics_in(printed) == set()) == is_disabled
    assert '"message":"consumed"' in printed
    assert '"message":"tick"' in printed


@pytest.mark.slow
def test_a_batch_logs_as_much_as_is_paid_for(functions: None, capsys: pytest.CaptureFixture[str]) -> None:
    """The line of the log, the metrics in it, and what Lambda adds."""
    run_consumer()
    printed = len(capsys.readouterr().out.encode()) + LAMBDA_LOG_BYTES
    assert printed == pytest.approx(TABLE.figure("batch_log_bytes"), rel=NEAR)


@pytest.mark.slow
def test_a_tick_of_an_idle_stage_reports_as_much_as_is_paid_for(
    functions: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metrics and log of a tick that closes a window without readings and marks an old one as final."""
    assert run_idle_tick(monkeypatch)["s3_calls"]["put"] == 2
    printed = capsys.readouterr().out
    assert len(metrics_in(printed)) == TABLE.figure("dispatcher_metrics")
    assert len(printed.encode()) + LAMBDA_LOG_BYTES == pytest.approx(TABLE.figure("tick_log_bytes"), rel=NEAR)


@pytest.mark.slow
def test_a_tick_of_an_idle_stage_asks_for_as_much_as_is_paid_for() -> None:
    """An hour of ticks in the simulation; the dearest requests are LISTs."""
    found = requests_per_tick(shards=0)
    for kind, name in (("list", "tick_lists"), ("get", "tick_gets"), ("put", "tick_puts")):
        assert found[kind] == pytest.approx(TABLE.figure(name), rel=NEAR), kind


@cache
def requests_of_two_shards() -> dict[str, float]:
    """Those of a tick of a stage with readings."""
    return requests_per_tick(shards=2)


@pytest.mark.slow
def test_rules_ask_for_as_much_more_as_is_paid_for() -> None:
    """Of a rule that every series is beyond."""
    text = '[[rule]]\nname = "warm"\nquantity = "temperature"\nabove = 8.0\nseverity = "warning"\n'
    found, without = requests_per_tick(2, rules=StoredRules("0" * 64, load_rules(text))), requests_of_two_shards()
    assert found["list"] - without["list"] == TABLE.figure("rules_lists")
    assert found["get"] - without["get"] == pytest.approx(TABLE.figure("rules_gets"), abs=2)
    assert found["put"] - without["put"] == pytest.approx(TABLE.figure("rules_puts"), abs=0.5)


@pytest.mark.slow
def test_readings_cost_a_tick_as_much_more_as_is_paid_for() -> None:
    """A GET for each partial, those for silences and hours, and a PUT of the united set; LISTs do not grow."""
    shards = 2
    found = requests_of_two_shards()
    gets = TABLE.figure("tick_gets") + TABLE.figure("tick_fleet_gets") + shards * BATCHES
    assert found["list"] == pytest.approx(TABLE.figure("tick_lists"), rel=NEAR)
    assert found["get"] == pytest.approx(gets, rel=NEAR)
    one_range = 1
    puts = TABLE.figure("tick_puts") + TABLE.figure("tick_fleet_puts") + one_range
    assert found["put"] == pytest.approx(puts, rel=NEAR)


@pytest.mark.slow
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
