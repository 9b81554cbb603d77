"""The product's S3 adapter over the simulated boto3 client keeps the contract, requests that fail or not."""

from random import Random

import pytest

from tests.simulation.driven import Driven
from tests.simulation.faults import Chance, Rates
from tests.simulation.process import Process
from tests.simulation.simulated_s3 import S3State
from tests.simulation.simulated_s3_client import SimulatedS3Client
from tests.simulation.store_contract import StoreContract
from tests.simulation.virtual_time import VirtualTime
from windrow.lake.s3 import S3Store
from windrow.lake.store import ObjectStore


def store_over(state: S3State, rates: Rates, *, page_keys: int = 1_000) -> ObjectStore:
    """The adapter over a client of `state` on which faults are injected at these rates."""
    chance = Chance(Random(1), rates)
    time = VirtualTime(chance.random, start_ms=0)
    client = Driven(SimulatedS3Client(state, Process(time, "test"), chance), time)
    return S3Store(client, "bucket", page_keys=page_keys, sleep=lambda _: None)


class TestSimulatedClient(StoreContract):
    """Nothing fails."""

    rates = Rates()

    @pytest.fixture
    def store(self) -> ObjectStore:
        """An empty bucket."""
        return store_over(S3State(), self.rates)

    @pytest.fixture
    def paged_store(self) -> ObjectStore:
        """An empty bucket with small pages."""
        return store_over(S3State(page_keys=3), self.rates, page_keys=3)


class TestFailingClient(TestSimulatedClient):
    """Half of all requests are refused, half of all bodies break off, and the adapter's callers notice nothing."""

    rates = Rates(s3_unavailable=0.5, s3_conflict=0.2, s3_body_broken=0.3)
