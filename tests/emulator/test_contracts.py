"""The embedded stack's S3 and Kinesis keep the contracts of the simulation, as far as they can."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulation.kinesis_contract import ReshardingContract
from tests.simulation.store_contract import StoreContract
from windrow.aws.clients import Place, client
from windrow.aws.kinesis import KinesisStream
from windrow.lake.s3 import S3Store
from windrow.lake.store import ObjectStore


@pytest.fixture
def bucket(place: Place) -> Iterator[str]:
    """An empty bucket of the test's own."""
    name = f"contract-{uuid.uuid4().hex}"
    s3 = client("s3", place)
    s3.create_bucket(Bucket=name)
    yield name
    for entry in s3.list_objects_v2(Bucket=name).get("Contents", []):
        s3.delete_object(Bucket=name, Key=entry["Key"])
    s3.delete_bucket(Bucket=name)


class TestEmbeddedS3(StoreContract):
    """The adapter over the embedded stack's S3."""

    @pytest.fixture
    def store(self, place: Place, bucket: str) -> ObjectStore:
        """An empty bucket."""
        return S3Store(client("s3", place), bucket)

    @pytest.fixture
    def paged_store(self, place: Place, bucket: str) -> ObjectStore:
        """An empty bucket with small pages."""
        return S3Store(client("s3", place), bucket, page_keys=3)


class TestEmbeddedKinesis(ReshardingContract):
    """The adapter over the embedded stack's Kinesis."""

    @pytest.fixture
    def client(self, place: Place) -> Any:
        """Its client, which splits and merges."""
        return client("kinesis", place)

    @pytest.fixture
    def stream(self, place: Place) -> Iterator[KinesisStream]:
        """An empty stream of two shards."""
        name = f"contract-{uuid.uuid4().hex}"
        kinesis: Any = client("kinesis", place)
        kinesis.create_stream(StreamName=name, ShardCount=2)
        kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
        yield KinesisStream(kinesis, name=name, place=place)
        kinesis.delete_stream(StreamName=name)
