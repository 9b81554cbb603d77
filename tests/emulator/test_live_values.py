"""From records to the table of latest values: the embedded topic, queue, function and table, with IAM enforced."""

import time
from collections.abc import Iterator

import pytest

from infra import api_code, destroy, embedded
from infra import stack as stacks
from infra.plan import DeploymentOptions, plan_deployment
from infra.waiting import poll
from producers.faults import Faults
from producers.fleet import FleetSpec, readings
from tests.emulator.conftest import ANY_FREE_PORT, ignore
from windrow.aws.clients import client
from windrow.live.columns import encode_messages
from windrow.live.newest import value_of
from windrow.reading import Reading, Readings
from windrow.stage import Stage
from windrow.window import WINDOW_MS
from windrow_operations.draining import wait_until_drained
from windrow_operations.simulating import simulate_fleet

NAME = "live"
SECONDS_MAX = 240


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage with Live=push on an embedded stack of its own, on which a missing right is a refusal."""
    home = tmp_path_factory.mktemp("windrow-live")
    embedded.up(home, port=ANY_FREE_PORT, enforces_iam=True)
    try:
        place = embedded.place(home)
        options = DeploymentOptions(shard_count=2, is_scheduled=False, parameters={"Web": "on", "Live": "push"})
        api = api_code.code_for(place, NAME, options, functions_wheels=None, home=home)
        yield stacks.apply(plan_deployment(place, NAME, options, api=api), ignore).stage
    finally:
        embedded.down(home)


def fleet(*, sensors: int = 200) -> FleetSpec:
    end_ms = time.time_ns() // 1_000_000 // WINDOW_MS * WINDOW_MS
    return FleetSpec(
        seed=7,
        sensors=sensors,
        sites=5,
        interval_ms=30_000,
        start_ms=end_ms - 3 * WINDOW_MS,
        end_ms=end_ms,
        faults=Faults(),
    )


def newest_of(spec: FleetSpec) -> dict[str, tuple[int, int, int]]:
    """The newest reading of each sensor of a fleet, one reading after another."""
    found: dict[str, tuple[int, int, int]] = {}
    for batch in readings(spec):
        for one in batch:
            order = one.event_time_ms, one.sequence, one.value_milli
            found[one.sensor_id] = max(order, found.get(one.sensor_id, order))
    return found


def in_table(stage: Stage) -> dict[str, tuple[int, int, int]]:
    """What the table has, by sensor."""
    pages = client("dynamodb", stage.place).get_paginator("scan").paginate(TableName=f"windrow-{NAME}-latest")
    values = [value_of(item) for page in pages for item in page["Items"]]
    return {one.sensor_id: one.order for one in values}


def test_the_table_ends_with_the_newest_of_the_whole_fleet(stage: Stage) -> None:
    """As an independent look at each reading has it, though all of them are sent twice."""
    spec = fleet()
    for _ in range(2):
        sent = simulate_fleet(spec, stage, now_ms=time.time_ns() // 1_000_000)
        wait_until_drained(stage, sent.last_sequence_numbers)
    expected = newest_of(spec)
    assert len(expected) == 200
    poll(lambda: in_table(stage) == expected or None, seconds_max=SECONDS_MAX, pause_seconds=0.5)
    assert in_table(stage) == expected


def test_a_message_that_is_none_goes_to_the_dead_letters_with_its_reason(stage: Stage) -> None:
    """And an older value that comes after it changes nothing."""
    sqs, before = client("sqs", stage.place), in_table(stage)
    queue = sqs.get_queue_url(QueueName=f"windrow-{NAME}-live")["QueueUrl"]
    dead = sqs.get_queue_url(QueueName=f"windrow-{NAME}-live-dead")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="no message")
    sensor_id, (newest_ms, _, _) = next(iter(before.items()))
    later = Reading("site-00/later", newest_ms, 0, 1)
    (text,) = encode_messages(Readings.of([Reading(sensor_id, newest_ms - 1, 0, 99_000), later]))
    sqs.send_message(QueueUrl=queue, MessageBody=text)
    expected = before | {later.sensor_id: (newest_ms, 0, 1)}
    poll(lambda: in_table(stage) == expected or None, seconds_max=SECONDS_MAX, pause_seconds=0.5)
    assert in_table(stage) == expected
    received = sqs.receive_message(QueueUrl=dead, MessageAttributeNames=["All"], WaitTimeSeconds=20)
    (letter,) = received["Messages"]
    assert letter["Body"] == "no message"
    assert "base64" in letter["MessageAttributes"]["reason"]["StringValue"]


def test_a_stage_is_destroyed_with_its_table(stage: Stage) -> None:
    """Its topic and its queues go, too."""
    destroy.apply(destroy.plan_destruction(stage.place, NAME, deletes_data=True), ignore)
    assert client("dynamodb", stage.place).list_tables()["TableNames"] == []
    assert client("sqs", stage.place).list_queues().get("QueueUrls", []) == []
    assert client("sns", stage.place).list_topics()["Topics"] == []
