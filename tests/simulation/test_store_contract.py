"""The simulated S3 and the adapter over moto's S3 keep the same contract."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.simulation.simulated_s3 import Operation, S3State, SimulatedStore, recording
from tests.simulation.store_contract import StoreContract
from windrow.lake.s3 import S3Store
from windrow.lake.store import CountingStore, ObjectStore, StoredObject, StoreError


class TestSimulatedS3(StoreContract):
    """The model that the simulations run on."""

    @pytest.fixture
    def store(self) -> ObjectStore:
        """An empty bucket."""
        return SimulatedStore(S3State().apply, "bucket")

    @pytest.fixture
    def paged_store(self) -> ObjectStore:
        """An empty bucket with small pages."""
        return SimulatedStore(S3State(page_keys=3).apply, "bucket")


class TestSimulatedS3WithKms(StoreContract):
    """The model of a bucket whose ETags are no digests."""

    @pytest.fixture
    def store(self) -> ObjectStore:
        """An empty bucket."""
        return SimulatedStore(S3State(is_kms=True).apply, "bucket")

    @pytest.fixture
    def paged_store(self) -> ObjectStore:
        """An empty bucket with small pages."""
        return SimulatedStore(S3State(page_keys=3, is_kms=True).apply, "bucket")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of moto's S3 with the bucket `bucket`."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        client = boto3.session.Session().client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        yield client


class TestMoto(StoreContract):
    """The adapter over an S3 that others wrote."""

    @pytest.fixture
    def store(self, s3: Any) -> ObjectStore:
        """An empty bucket."""
        return S3Store(s3, "bucket")

    @pytest.fixture
    def paged_store(self, s3: Any) -> ObjectStore:
        """An empty bucket with small pages."""
        return S3Store(s3, "bucket", page_keys=3)

    def test_missing_bucket_is_no_missing_object(self, s3: Any) -> None:
        """A wrong bucket name must not read as an empty lake."""
        store = S3Store(s3, "nowhere")
        with pytest.raises(StoreError, match="s3://nowhere/k"):
            store.get("k")
        with pytest.raises(StoreError, match="s3://nowhere/k"):
            store.put("k", b"", if_match="e")
        with pytest.raises(StoreError, match="s3://nowhere/k"):
            list(store.list_objects("k"))


class TestCounted(StoreContract):
    """A counted store is still a store."""

    @pytest.fixture
    def store(self) -> ObjectStore:
        """An empty bucket."""
        return CountingStore(SimulatedStore(S3State().apply, "bucket"))

    @pytest.fixture
    def paged_store(self) -> ObjectStore:
        """An empty bucket with small pages."""
        return CountingStore(SimulatedStore(S3State(page_keys=3).apply, "bucket"))

    @pytest.mark.parametrize(("objects", "pages"), [(0, 1), (1, 1), (1000, 1), (1001, 2), (2500, 3)])
    def test_pages_are_counted_as_s3_makes_them(self, objects: int, pages: int) -> None:
        """A LIST for every 1,000 keys, and one when there are none."""
        state = S3State()
        operations: list[Operation] = []
        store = CountingStore(SimulatedStore(recording(state.apply, operations), "bucket"))
        state.buckets["bucket"] = dict.fromkeys((f"{number:04}" for number in range(objects)), StoredObject(b"", "e"))
        assert len(list(store.list_objects(""))) == objects
        assert store.calls == {"list": pages}
        assert len(operations) == pages
