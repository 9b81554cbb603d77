"""The adapter over the embedded stack's S3 keeps the contract that the simulated S3 keeps."""

import itertools

import pytest

from tests.simulation.store_contract import StoreContract
from windrow.aws.clients import Place, client
from windrow.lake.s3 import S3Store
from windrow.lake.store import ObjectStore

_numbers = itertools.count()


class TestEmbeddedS3(StoreContract):
    """The adapter over a server, through HTTP."""

    @pytest.fixture
    def store(self, place: Place) -> ObjectStore:
        """An empty bucket."""
        return S3Store(client("s3", place), new_bucket(place))

    @pytest.fixture
    def paged_store(self, place: Place) -> ObjectStore:
        """An empty bucket with small pages."""
        return S3Store(client("s3", place), new_bucket(place), page_keys=3)


def new_bucket(place: Place) -> str:
    """The name of a bucket that was just made."""
    name = f"contract-{next(_numbers)}"
    client("s3", place).create_bucket(Bucket=name)
    return name
