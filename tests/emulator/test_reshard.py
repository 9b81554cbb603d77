"""Splits and merges on the embedded stack: the producer, the stream, and a mapping that reads what closed shards hold.

moto's server takes the same run in tests/simulation/test_resharded_run.py.
"""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from analytics.audit import Verdict
from infra import destroy
from infra import stack as stacks
from infra.mapping import mappings_of
from infra.plan import DeploymentOptions, plan_deployment
from infra.scaling import PERIOD_MS, ShardLimits
from infra.scaling_metrics import read_loads
from infra.scaling_run import scale
from infra.waiting import poll
from producers.faults import Faults
from producers.fleet import FleetSpec, readings
from producers.sender import Sender, Wire
from producers.shards import ShardMap
from tests.emulator.conftest import ignore
from tests.simulation import resharded_run
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from windrow.aws.clients import Place, client
from windrow.aws.kinesis import KinesisStream
from windrow.reading import Reading
from windrow.stage import Stage
from windrow.window import WINDOW_MS
from windrow.wire.json.strict import parse_readings
from windrow.wire.kpl import deaggregate
from windrow_operations.auditing import audit_stage
from windrow_operations.draining import wait_until_drained
from windrow_operations.simulating import SendingOptions, simulate_fleet
from windrow_operations.ticks import invoke_tick, tick_event
from windrow_operations.verifying import verify_stage

NAME = "reshard-test"
STAGE = "resharded"
REALTIME_SECONDS = 20
FAULTS = Faults(malformed=0.003, duplicates=0.02, late=0.02, shuffled=0.1)
FLEET = FleetSpec(seed=1, sensors=500, start_ms=1_763_640_000_000, end_ms=1_763_640_060_000)


@pytest.fixture
def stream(place: Place) -> Iterator[KinesisStream]:
    """A stream of two shards that nobody consumes."""
    kinesis = client("kinesis", place)
    kinesis.create_stream(StreamName=NAME, ShardCount=2)
    kinesis.get_waiter("stream_exists").wait(StreamName=NAME)
    yield KinesisStream.at(place, NAME)
    kinesis.delete_stream(StreamName=NAME)


def held(stream: KinesisStream) -> Counter[Reading]:
    """Every reading in the stream's shards."""
    found: Counter[Reading] = Counter()
    for record in stream.records_between(0, 4_000_000_000_000):
        user_records = deaggregate(record.body)
        payloads = [record.body] if user_records is None else [one.payload for one in user_records]
        found.update(parse_readings(payloads).readings)
    return found


def test_readings_sent_by_old_shards_arrive_in_the_new_ones(place: Place, stream: KinesisStream) -> None:
    """Before, after a split, and after a merge: each time all that was sent, once, and the new shards are known."""
    kinesis = client("kinesis", place)
    sender = Sender.to_stream(stream)
    before, during, after = (
        [batch.take(batch.sequence % 3 == which) for batch in readings(FLEET)] for which in range(3)
    )
    expected: Counter[Reading] = Counter()
    for batches, reshard in ((before, "split"), (during, "merge"), (after, "")):
        for batch in batches:
            sender.send(batch)
            sender.flush()
            expected.update(batch)
        assert held(stream) == expected
        shards = sorted((one for one in stream.list_shards() if one.is_open), key=lambda shard: shard.first_hash_key)
        if reshard == "split":
            middle = (shards[0].first_hash_key + shards[0].last_hash_key) // 2
            kinesis.split_shard(StreamName=NAME, ShardToSplit=shards[0].shard_id, NewStartingHashKey=str(middle))
        elif reshard == "merge":
            pair = [shard.shard_id for shard in shards[-2:]]
            kinesis.merge_shards(StreamName=NAME, ShardToMerge=pair[0], AdjacentShardToMerge=pair[1])
    assert sender.counters.misplaced > 0


def test_a_stream_that_is_full_is_doubled_and_every_reading_is_there(place: Place, stream: KinesisStream) -> None:
    """By its own metrics, out of CloudWatch, by the run that Scaling=auto schedules; and once only."""
    sender = Sender.to_stream(stream)
    before, after = ([batch.take(batch.sequence % 2 == which) for batch in readings(FLEET)] for which in range(2))
    scheduled_ms = now_ms() // 60_000 * 60_000
    full = [{"MetricName": "IncomingRecords", "Dimensions": [{"Name": "StreamName", "Value": NAME}], "Value": 550_000}]
    ended_ms = scheduled_ms // PERIOD_MS * PERIOD_MS
    for start_ms in (ended_ms - PERIOD_MS, ended_ms - 2 * PERIOD_MS):
        named = [one | {"Timestamp": datetime.fromtimestamp(start_ms / 1_000, UTC)} for one in full]
        client("cloudwatch", place).put_metric_data(Namespace="AWS/Kinesis", MetricData=named)
    results = SimulatedStore(S3State().apply, "results")
    subjects: list[str] = []
    for batches, actions in ((before, 1), (after, 0)):
        for batch in batches:
            sender.send(batch)
        sender.flush()
        report = scale(
            stream,
            results,
            loads=lambda: read_loads(client("cloudwatch", place), NAME, now_ms=scheduled_ms),
            limits=ShardLimits(shards_min=1, shards_max=8, retention_hours=24),
            now_ms=scheduled_ms,
            tell=lambda subject, _: subjects.append(subject),
        )
        assert (report.action is not None) == bool(actions), report.decision.reason
        assert stream.summary().open_shards == 4
    assert subjects == [f"{NAME}: from 2 to 4 shards"]
    expected: Counter[Reading] = Counter()
    for batch in (*before, *after):
        expected.update(batch)
    assert held(stream) == expected


@pytest.mark.slow
@pytest.mark.parametrize("wire", list(Wire))
def test_every_reading_is_there_and_only_ambiguous_requests_double_any(
    place: Place, stream: KinesisStream, wire: Wire
) -> None:
    """Over 200,000 readings: nothing lost, and what is there twice is what was stored without an answer."""
    done = resharded_run.run(place, NAME, wire)
    resharded_run.assert_nothing_is_missing_and_only_timeouts_double(done)
    assert not done.troubled.lost
    assert not done.troubled.copied
    opened = ShardMap(stream.list_shards()).shards
    assert [len(shard.parents) for shard in opened] == [1, 2]
    resharded_run.assert_later_records_are_in_their_shards(opened, done.held)


@pytest.mark.slow
def test_a_stage_whose_shards_split_and_merge_counts_every_reading(place: Place, home: Path) -> None:
    """Deployed with more shards and with fewer while readings wait in all of them: rows and stream equal the truth."""
    stage = deployed(place, shards=1)
    _set_enabled(stage, is_enabled=False)
    end_ms = now_ms() // WINDOW_MS * WINDOW_MS - WINDOW_MS
    start_ms = end_ms - 6 * WINDOW_MS
    last: dict[str, int] = {}
    for step, shards in enumerate((3, 2, 4)):
        first_ms = start_ms + 2 * step * WINDOW_MS
        fleet = FleetSpec(seed=step, sensors=60, start_ms=first_ms, end_ms=first_ms + 2 * WINDOW_MS, faults=FAULTS)
        last |= simulate_fleet(fleet, stage, now_ms=now_ms()).last_sequence_numbers
        stage = deployed(place, shards=shards)
        assert stage.stream.summary().open_shards == shards
    _set_enabled(stage, is_enabled=True)
    wait_until_drained(stage, last)
    invoke_tick(stage, tick_event(now_ms(), is_dry_run=False))
    verified = verify_stage(stage, home=home)
    assert verified.readings > 3_000
    assert verified.is_exact, str(verified)
    audit = audit_stage(stage, home=home, start_ms=start_ms, end_ms=end_ms, now_ms=now_ms())
    assert [window.verdict for window in audit.windows] == [Verdict.EXACT] * 6
    destroy.apply(destroy.plan_destruction(place, STAGE, deletes_data=True), ignore)


@pytest.mark.slow
def test_a_fleet_in_real_time_while_its_shards_split_and_merge(place: Place, home: Path) -> None:
    """Verified to the last reading; the audit finds nothing extra, missing or different."""
    stage = deployed(place, shards=2)
    kinesis = client("kinesis", place)
    began_ms = now_ms()
    fleet = FleetSpec(
        seed=4,
        sensors=400,
        interval_ms=2_000,
        start_ms=began_ms,
        end_ms=began_ms + REALTIME_SECONDS * 1_000,
        faults=FAULTS,
    )
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(simulate_fleet, fleet, stage, now_ms=began_ms, options=SendingOptions(is_realtime=True))
        for change in (resharded_run.split_first, resharded_run.merge_last):
            time.sleep(REALTIME_SECONDS / 3)
            change(kinesis, stage.stream_name)
        last = sending.result().last_sequence_numbers
    assert len(last) > 2 + 1, "nothing was sent to the children"
    wait_until_drained(stage, last)
    end_ms = fleet.end_ms // WINDOW_MS * WINDOW_MS + WINDOW_MS
    invoke_tick(stage, tick_event(end_ms + 3 * 60_000, is_dry_run=False))  # the tick that closes the last window
    verified = verify_stage(stage, home=home)
    assert verified.readings > 3_000
    assert verified.is_exact, str(verified)
    audit = audit_stage(stage, home=home, start_ms=None, end_ms=end_ms, now_ms=now_ms())
    assert {window.verdict for window in audit.windows} == {Verdict.EXACT}, str(audit)
    destroy.apply(destroy.plan_destruction(place, STAGE, deletes_data=True), ignore)


def deployed(place: Place, *, shards: int) -> Stage:
    """A stage of this test's own, with this number of shards."""
    options = DeploymentOptions(shard_count=shards, mode="direct", is_scheduled=False)
    return stacks.apply(plan_deployment(place, STAGE, options), ignore).stage


def _set_enabled(stage: Stage, *, is_enabled: bool) -> None:
    functions = client("lambda", stage.place)
    (mapping,) = mappings_of(stage.place, stage.stream.summary().arn)
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=is_enabled)
    wanted = "Enabled" if is_enabled else "Disabled"
    assert poll(
        lambda: functions.get_event_source_mapping(UUID=mapping["UUID"])["State"] == wanted,
        seconds_max=30,
        pause_seconds=0.1,
    )


def now_ms() -> int:
    """Epoch milliseconds of now."""
    return time.time_ns() // 1_000_000
