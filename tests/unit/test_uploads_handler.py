"""The handler of uploads: wiring, answers, and what is seen from outside, over moto's S3."""

import importlib
import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from processors import batch, uploads_handler
from processors.upload_event import SCHEDULED
from processors.uploads import SWEEP_AFTER_MS
from tests.lambda_context import LambdaContext
from tests.modules import restored
from tests.unit.test_processor_handlers import ENVIRONMENT, LAKE, Handle, metrics_of, roots
from windrow.aws import clients as aws
from windrow.lake.receipt import Receipt
from windrow.lake.uploads import SENSORS_METADATA, UploadsBucket, sensors_metadata
from windrow.reading import Reading, Readings
from windrow.wire.json.encode import encode_readings

UPLOADS = "uploads-bucket"


@pytest.fixture
def buckets(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """The lake and the uploads bucket, which has versions, and the environment of a deployed function."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name, value in (ENVIRONMENT | {"WINDROW_UPLOADS_BUCKET": UPLOADS}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(aws, "_clients", {})
    with restored(batch, uploads_handler), mock_aws():
        s3 = boto3.resource("s3", region_name="us-east-1")
        uploads = s3.create_bucket(Bucket=UPLOADS)
        uploads.Versioning().enable()
        yield s3.create_bucket(Bucket=LAKE), uploads


def fresh() -> Handle:
    importlib.reload(batch)
    handle: Handle = importlib.reload(uploads_handler).handle
    return handle


def body() -> bytes:
    """A reading of now, as S3's clock is the real one."""
    (payload,) = encode_readings(Readings.of([Reading("roof", time.time_ns() // 1_000_000, 0, 21_000)]))
    return payload


def messages(*named: tuple[str, str | None]) -> dict[str, Any]:
    records = []
    for number, (key, version) in enumerate(named):
        stored = {"key": key} if version is None else {"key": key, "version-id": version}
        detail = {"bucket": {"name": UPLOADS}, "object": stored}
        event = {"detail-type": "Object Created", "source": "aws.s3", "detail": detail}
        records.append({"messageId": f"m{number}", "body": json.dumps(event), "eventSource": "aws:sqs"})
    return {"Records": records}


@pytest.mark.slow
def test_a_batch_of_messages_becomes_partials_and_receipts(
    buckets: tuple[Any, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """What is done is not named, nor what is gone; a message that names no object comes again."""
    lake, uploads = buckets
    version = uploads.put_object(Key="uploads/a", Body=body(), ContentType="application/x-ndjson").version_id
    uploads.put_object(Key="uploads/b", Body=b"no form")
    foreign = {SENSORS_METADATA: sensors_metadata(["cellar"])}
    uploads.put_object(Key="uploads/c", Body=body(), ContentType="application/x-ndjson", Metadata=foreign)
    event = messages(("uploads/a", version), ("uploads/b", None), ("uploads/c", None), ("uploads/gone", None))
    event["Records"].append({"messageId": "strange", "body": "no event"})

    answer = fresh()(event, LambdaContext())

    assert answer == {"batchItemFailures": [{"itemIdentifier": "strange"}]}
    assert roots(lake) == {"partials", "quarantine", "receipts"}
    receipts = [Receipt.from_json(one.get()["Body"].read()) for one in lake.objects.filter(Prefix="receipts/")]
    assert {(one.key, one.readings) for one in receipts} == {("uploads/a", 1), ("uploads/b", 0), ("uploads/c", 0)}
    printed, seen = metrics_of(capsys)
    assert (seen["Uploads"], seen["UploadsRefused"], seen["UploadsMissing"]) == ([3.0], [2.0], [1.0])
    assert (seen["Readings"], seen["Quarantined"]) == ([1.0], [2.0])
    assert "roof" not in printed


@pytest.mark.slow
def test_the_schedule_finds_what_has_no_receipt(buckets: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every version of a key, also of one that was deleted; once it has a receipt, no more."""
    lake, uploads = buckets
    uploads.put_object(Key="uploads/a", Body=body())
    uploads.put_object(Key="uploads/a", Body=body())
    uploads.Object("uploads/a").delete()
    handle = fresh()
    schedule = {"detail-type": SCHEDULED, "source": "aws.events"}
    assert handle(schedule, LambdaContext()) == {"lost": 0, "left": 0}  # too young

    now_ns = time.time_ns() + (SWEEP_AFTER_MS + 2_000) * 1_000_000
    monkeypatch.setattr(time, "time_ns", lambda: now_ns)

    assert handle(schedule, LambdaContext()) == {"lost": 2, "left": 0}
    assert len(list(lake.objects.filter(Prefix="receipts/"))) == 2
    assert handle(schedule, LambdaContext()) == {"lost": 0, "left": 0}


@pytest.mark.slow
def test_a_bucket_is_not_a_missing_object(buckets: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong bucket is an error, a missing key or version is none; what is too large is not read."""
    _, uploads = buckets
    client = uploads.meta.client
    version = uploads.put_object(Key="uploads/a", Body=b"x").version_id
    store = UploadsBucket(client, UPLOADS)

    assert store.open("uploads/none", None) is None
    found = store.open("uploads/a", version)
    assert found is not None
    assert (found.body, found.version, found.size_bytes) == (b"x", version, 1)
    assert found == store.open("uploads/a", None)
    monkeypatch.setattr("windrow.lake.uploads.UPLOAD_BYTES_MAX", 0)
    unread = store.open("uploads/a", version)
    assert unread is not None
    assert (unread.body, unread.size_bytes) == (None, 1)
    with pytest.raises(Exception, match="NoSuchBucket"):
        UploadsBucket(client, "no-such-bucket").open("uploads/a", None)
    with pytest.raises(Exception, match="NoSuchBucket"):
        list(UploadsBucket(client, "no-such-bucket").versions("uploads/"))
