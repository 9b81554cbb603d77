"""Scaling=auto on LocalStack, whose UpdateShardCount refuses and reshards as Kinesis does: the actor, over real shards.

What CloudWatch would say is told to it, because no stand-in sends metrics of Kinesis.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from uuid import uuid4

import pytest

from infra.scaling import PERIOD_MS, PERIODS, ActionState, PeriodLoad, ShardLimits
from infra.scaling_run import ScalingReport, read_actions, scale
from infra.waiting import poll
from producers.fleet import FleetSpec, readings
from producers.sender import Sender
from tests.emulator.test_reshard import held
from windrow.aws.clients import DEFAULT_REGION, LOCALSTACK, Place, client
from windrow.aws.kinesis import KinesisStream
from windrow.lake.s3 import S3Store
from windrow.period import DAY_MS
from windrow.reading import Reading

START_MS = 1_763_640_000_000
PERCENT_OF_A_SHARD = 1_000_000 * PERIOD_MS // 1_000 // 100
FLEET = FleetSpec(seed=3, sensors=100, start_ms=START_MS, end_ms=START_MS + 100_000)


@dataclass
class Actor:
    """A stream whose load, in percent of one shard, is told in periods; readings are sent in each of them."""

    stream: KinesisStream
    results: S3Store
    now_ms: int = START_MS + 180_000
    loads: list[PeriodLoad] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    sent: Counter[Reading] = field(default_factory=Counter)
    batches: Iterator[Sequence[Reading]] = field(default_factory=lambda: iter(list(readings(FLEET))))

    def __post_init__(self) -> None:
        """Open a sender that learns of new shards by what Kinesis answers."""
        self.sender = Sender.to_stream(self.stream)

    def run(self) -> ScalingReport:
        """One run now."""
        return scale(
            self.stream,
            self.results,
            loads=lambda: self.loads[-PERIODS:],
            limits=ShardLimits(shards_min=1, shards_max=500, retention_hours=24),
            now_ms=self.now_ms,
            tell=lambda subject, _: self.told.append(subject),
        )

    def pass_periods(self, *percents: int) -> int:
        """Let periods pass, each with readings and a run; return how many shards there are at last."""
        for percent in percents:
            if (batch := next(self.batches, None)) is not None:
                self.sender.send(batch)
                self.sent.update(batch)
            self.tell_of(percent)
            self.run()
        return self.shards()

    def tell_of(self, *percents: int) -> None:
        """Let periods pass, without a run."""
        for percent in percents:
            start_ms = self.now_ms // PERIOD_MS * PERIOD_MS
            self.loads.append(PeriodLoad(start_ms=start_ms, byte_count=percent * PERCENT_OF_A_SHARD, records=0))
            self.now_ms += PERIOD_MS

    def shards(self) -> int:
        """The open shards, when the stream is no longer being changed."""
        assert poll(lambda: self.stream.summary().is_active, seconds_max=60, pause_seconds=0.1)
        return self.stream.summary().open_shards

    def rest(self, span_ms: int) -> None:
        """Let time pass of which nothing is known."""
        self.now_ms += span_ms
        self.loads.clear()


@pytest.fixture
def actor(localstack_endpoint: str, request: pytest.FixtureRequest) -> Iterator[Actor]:
    """A stream of one shard, or of as many as the test asks for, and a bucket for the log."""
    place = Place(LOCALSTACK, localstack_endpoint, DEFAULT_REGION)
    name = f"scaling-{uuid4().hex[:8]}"
    kinesis, s3 = client("kinesis", place), client("s3", place)
    kinesis.create_stream(StreamName=name, ShardCount=getattr(request, "param", 1))
    s3.create_bucket(Bucket=name)
    stream = KinesisStream.at(place, name)
    assert poll(lambda: stream.summary().is_active, seconds_max=60, pause_seconds=0.1)
    yield Actor(stream, S3Store(s3, name))
    kinesis.delete_stream(StreamName=name)


def test_a_load_that_rises_and_falls_on_real_shards(actor: Actor) -> None:
    """One becomes two, four, and two again, once by two runs of a minute; a load that flaps moves nothing."""
    assert actor.pass_periods(90, 90) == 2
    assert actor.pass_periods(*[130, 60] * 3) == 2, "it swings between the thresholds"
    actor.tell_of(180, 180)
    with ThreadPoolExecutor(2) as pool:
        reports = [one.result() for one in [pool.submit(actor.run) for _ in range(2)]]
    assert sum(report.action is not None for report in reports) == 1
    assert actor.shards() == 4
    assert actor.pass_periods(*[10] * PERIODS) == 4, "closed shards may hold records"
    actor.rest(2 * DAY_MS)
    assert actor.pass_periods(*[10] * PERIODS) == 2
    actor.sender.flush()
    assert held(actor.stream) == actor.sent
    assert len(actor.sent) > 500
    actions = read_actions(actor.results, since_ms=0)
    assert [(one.shards_from, one.shards_to) for one in actions] == [(1, 2), (2, 4), (4, 2)]
    assert {one.state for one in actions} == {ActionState.ACCEPTED}
    assert len(actor.told) == 3


@pytest.mark.parametrize("actor", [60], indirect=True)
def test_what_localstack_refuses_is_kept_and_told(actor: Actor) -> None:
    """An account has a limit of shards, 100 there: the stream stays as it is, and goes on taking readings."""
    assert actor.pass_periods(5_700, 5_700, 5_700) == 60
    assert [subject.partition(": ")[2] for subject in actor.told] == ["Kinesis refused to go from 60 to 120 shards"]
    (action,) = read_actions(actor.results, since_ms=0)
    assert action.state is ActionState.REFUSED
    assert action.answer.startswith("LimitExceeded")
    actor.sender.flush()
    assert held(actor.stream) == actor.sent
