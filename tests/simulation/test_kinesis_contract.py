"""The simulated Kinesis and the adapter over moto's Kinesis keep the same contract."""

from collections.abc import Iterator
from random import Random
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.simulation.driven import Driven
from tests.simulation.faults import Chance
from tests.simulation.gateway import PLACE
from tests.simulation.kinesis_contract import ReshardingContract, record
from tests.simulation.process import Process
from tests.simulation.simulated_kinesis import SimulatedKinesis, StreamState
from tests.simulation.virtual_time import VirtualTime
from windrow.aws.kinesis import KinesisStream

START_MS = 1_795_168_800_000


class TestSimulatedKinesis(ReshardingContract):
    """The model that the simulations run on."""

    @pytest.fixture
    def state(self) -> StreamState:
        """The stream itself."""
        return StreamState(name="stream", shards=2)

    @pytest.fixture
    def client(self, state: StreamState) -> Any:
        """boto3's client, as it seems."""
        chance = Chance(Random(1))
        time = VirtualTime(chance.random, start_ms=START_MS)
        return Driven(SimulatedKinesis(state, Process(time, "test"), chance), time)

    @pytest.fixture
    def stream(self, client: Any) -> KinesisStream:
        """The adapter."""
        return KinesisStream(client, name="stream", place=PLACE, sleep=lambda _: None)

    def test_a_shard_takes_so_many_records_a_second(self, client: Any, state: StreamState) -> None:
        """Beyond the rate an entry is refused by its own error, and the others are stored (moto has no limits)."""
        state.records_per_second = 3
        stream = KinesisStream(client, name="stream", place=PLACE, sleep=lambda _: None)
        answers = stream.put_records([record(b"x", explicit=0)] * 5).entries
        assert sum(hasattr(answer, "code") for answer in answers) == 2

    def test_partition_keys_count_against_the_rate(self, client: Any, state: StreamState) -> None:
        """A record's size is that of its data and of its key in UTF-8."""
        state.bytes_per_second = 1_000
        stream = KinesisStream(client, name="stream", place=PLACE, sleep=lambda _: None)
        answers = stream.put_records([record(b"x", key="ä" * 200, explicit=0)] * 4).entries
        assert sum(hasattr(answer, "code") for answer in answers) == 2

    def test_records_are_read_for_as_long_as_they_are_retained(self, stream: KinesisStream, state: StreamState) -> None:
        """Afterwards they are gone, and the shard is still there (moto keeps everything)."""
        stream.put_records([record(b"x", explicit=0)])
        state.retention_ms = -60_000
        assert list(stream.records_between(0, 2**45)) == []


class TestMoto(ReshardingContract):
    """The adapter over a Kinesis that others wrote.

    moto 5.2 takes the last hash key for the first beyond the shard, and goes on storing records in closed shards
    (moto/kinesis/models.py, get_shard_for_key).
    """

    last_hash_key_belongs = False
    closed_shards_refuse = False

    @pytest.fixture
    def client(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        """A client of moto's Kinesis with the stream `stream`."""
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        with mock_aws():
            client = boto3.session.Session().client("kinesis", region_name="us-east-1")
            client.create_stream(StreamName="stream", ShardCount=2)
            yield client

    @pytest.fixture
    def stream(self, client: Any) -> KinesisStream:
        """The adapter."""
        return KinesisStream(client, name="stream", place=PLACE, sleep=lambda _: None)
