"""The handlers of the consumer and the fan-out: wiring, answers, and what is seen from outside."""

import importlib
import io
import json
import os
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber
from moto import mock_aws

from infra.prices import price_table
from processors import batch, consumer_handler, fanout_handler
from tests.consuming import encode_event
from tests.lambda_context import LambdaContext
from tests.modules import restored
from tests.unit.stream_records import ARRIVAL_MS, aggregated, encoded, reading, record
from windrow import settings
from windrow.aws import clients as aws
from windrow.errors import WindrowError
from windrow.lake.by_digest import digest_of
from windrow.lake.store import StoreError
from windrow.payloads.load import stored_form

LAKE = "lake"
ENVIRONMENT = {
    "WINDROW_STAGE": "test",
    "WINDROW_STREAM_NAME": "windrow-test",
    "WINDROW_LAKE_BUCKET": LAKE,
    "WINDROW_RESULTS_BUCKET": "results",
    "WINDROW_LATENESS_HORIZON_HOURS": "168",
    "WINDROW_STREAM_RETENTION_HOURS": "24",
    "WINDROW_PROCESSOR_FUNCTION": "windrow-test-consumer",
    "POWERTOOLS_SERVICE_NAME": "windrow-test",
    "POWERTOOLS_METRICS_NAMESPACE": "windrow",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
}


Handle = Callable[[object, object], dict[str, Any]]


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    with restored(batch, consumer_handler, fanout_handler):
        yield


def fresh(handler: ModuleType) -> Handle:
    """The handler as a new process has it: loggers, metrics and clients read the environment once."""
    importlib.reload(batch)
    handle: Handle = importlib.reload(handler).handle
    return handle


@pytest.fixture
def lake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The lake bucket in moto's S3, and the environment of a deployed function."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(aws, "_clients", {})
    with mock_aws():
        yield boto3.resource("s3", region_name="us-east-1").create_bucket(Bucket=LAKE)


@pytest.fixture
def function(lake: Any) -> Iterator[Stubber]:
    """The process's Lambda client, which answers what it is told to."""
    with Stubber(aws.client("lambda", aws.Place.of_function(os.environ), repeats=False)) as stubber:
        yield stubber


def roots(lake: Any) -> set[str]:
    return {stored.key.split("/")[0] for stored in lake.objects.all()}


def event(*payloads: bytes) -> Any:
    return json.loads(encode_event(record(payload, number=n) for n, payload in enumerate(payloads, start=1)))


def metrics_of(capsys: pytest.CaptureFixture[str]) -> tuple[str, dict[str, Any]]:
    """Everything that was printed, and the metrics and dimensions in it."""
    printed = capsys.readouterr().out
    blobs = [json.loads(line) for line in printed.splitlines() if '"_aws"' in line]
    return printed, {name: value for blob in blobs for name, value in blob.items()}


@pytest.mark.slow
def test_the_consumer_writes_to_the_lake_and_reports_success(lake: Any) -> None:
    """Partials and quarantine are in the bucket, and no record is to be delivered again."""
    handle = fresh(consumer_handler)

    answer = handle(event(aggregated([*encoded([reading()]), b"bad"])), LambdaContext())

    assert answer == {"batchItemFailures": []}
    assert {"partials", "quarantine"} <= roots(lake)


@pytest.mark.slow
def test_the_consumer_reads_by_the_contract_that_its_environment_names(
    lake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the lake, by its digest; without the object the batch fails, and so is delivered again."""
    stored = stored_form('use = "telegraf"')
    monkeypatch.setenv(settings.PAYLOAD_CONTRACT, digest_of(stored))
    handle = fresh(consumer_handler)
    payload = b'{"fields":{"temperature":20.5},"tags":{"device":"a"},"timestamp":%d}' % (ARRIVAL_MS // 1_000)
    with pytest.raises(WindrowError, match="is not in the lake bucket"):
        handle(event(payload), LambdaContext())
    lake.put_object(Key=f"contracts/{digest_of(stored)}.json", Body=stored)

    assert handle(event(payload), LambdaContext()) == {"batchItemFailures": []}

    assert roots(lake) == {"contracts", "partials", "markers"}


@pytest.mark.slow
def test_metrics_and_logs_tell_counts_and_no_payloads(lake: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Dimensions are bounded (service, reason), and neither ids nor bytes of a reading are printed."""
    handle = fresh(consumer_handler)

    handle(event(aggregated([*encoded([reading("secret")] * 2), b"bad secret"])), LambdaContext())

    printed, metrics = metrics_of(capsys)
    assert "secret" not in printed
    assert (metrics["Readings"], metrics["Duplicates"], metrics["Quarantined"]) == ([2.0], [1.0], [1.0])
    assert metrics["service"] == "windrow-test"
    assert {"Readings", "Duplicates", "Quarantined", "ObjectsNew", "OldestEventAge"} <= set(metrics)


@pytest.mark.slow
def test_the_consumer_fails_when_s3_does(lake: Any) -> None:
    """An exception is what makes Lambda deliver the batch again."""
    handle = fresh(consumer_handler)
    lake.delete()

    with pytest.raises(StoreError):
        handle(event(*encoded([reading()])), LambdaContext())


@pytest.mark.slow
def test_the_fan_out_invokes_the_processor_with_the_records_it_got(
    lake: Any, function: Stubber, capsys: pytest.CaptureFixture[str]
) -> None:
    """The event goes on as it came, synchronously, and nothing is written here."""
    handle = fresh(fanout_handler)
    sent = event(*encoded([reading()]))
    expected = {
        "FunctionName": "windrow-test-consumer",
        "InvocationType": "RequestResponse",
        "Payload": json.dumps(sent, separators=(",", ":")).encode(),
    }
    function.add_response("invoke", _response(b'{"batchItemFailures": []}'), expected)

    assert handle(sent, LambdaContext()) == {"batchItemFailures": []}

    function.assert_no_pending_responses()
    assert roots(lake) == set()
    metrics = metrics_of(capsys)[1]
    assert metrics["Chunks"] == [1.0]
    assert len(metrics) - len({"_aws", "service"}) == price_table().figure("fanout_metrics")


@pytest.mark.slow
def test_the_fan_out_processes_a_throttled_chunk_itself(lake: Any, function: Stubber) -> None:
    """No concurrency left in the account is no reason to fail."""
    handle = fresh(fanout_handler)
    function.add_client_error("invoke", "TooManyRequestsException", http_status_code=429)

    assert handle(event(*encoded([reading()])), LambdaContext()) == {"batchItemFailures": []}

    assert "partials" in roots(lake)


@pytest.mark.slow
def test_the_fan_out_reports_the_record_from_which_the_batch_must_come_again(lake: Any, function: Stubber) -> None:
    """A processor that fails every time fails its chunk from the first record on."""
    handle = fresh(fanout_handler)
    for _ in range(3):
        function.add_response("invoke", {**_response(b'{"errorMessage": "boom"}'), "FunctionError": "Unhandled"})

    assert handle(event(*encoded([reading()])), LambdaContext()) == {"batchItemFailures": [{"itemIdentifier": "1"}]}


def _response(payload: bytes) -> dict[str, Any]:
    return {"StatusCode": 200, "Payload": StreamingBody(io.BytesIO(payload), len(payload))}
