"""From devices that speak MQTT to rows: the embedded stack's broker and rules, the consumer, the dispatcher."""

import base64
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import destroy
from infra import stack as stacks
from infra.contracts import contract_to_store
from infra.plan import DeploymentOptions, plan_deployment
from infra.waiting import wait_for
from processors.iot_message import decode_iot_message
from tests.emulator.by_command import Windrow
from tests.emulator.conftest import ignore
from tests.emulator.mqtt import Message, publish, put_aside, rule_that_forwards
from windrow.aws.clients import Place, client
from windrow.aws.stream import StreamRecord
from windrow.errors import WindrowError
from windrow.stage import Stage
from windrow.window import WINDOW_MS
from windrow_operations.draining import wait_until_drained
from windrow_operations.ticks import invoke_tick, tick_event

NAME = "mqtt"
SELECT = "*, topic(2) AS device"
CONTRACT = """
[[payload]]
each = "samples"
sensor_id = "$.device"
time = { path = "t", form = "epoch_ms" }

[payload.quantity.temperature]
path = "c"
unit = "F"
missing = [-999]
"""
DEVICES = [f"probe-{n}" for n in range(3)]
SAMPLES = 6
"""Of each device in one message, ten seconds apart."""
MINUTE_MS = 60_000


@pytest.fixture(scope="module")
def stage(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage with a topic and a contract for what is published there."""
    contract = tmp_path_factory.mktemp("mqtt") / "payloads.toml"
    contract.write_text(CONTRACT)
    options = DeploymentOptions(
        shard_count=2,
        is_scheduled=False,
        parameters={"IotTopic": "devices/+/readings", "IotSelect": SELECT},
        contract=contract_to_store(str(contract)),
    )
    yield stacks.apply(plan_deployment(place, NAME, options), ignore).stage
    destroy.apply(destroy.plan_destruction(place, NAME, deletes_data=True), ignore)


def start_ms() -> int:
    """The start of a window that has just ended."""
    return (time.time_ns() // 1_000_000 // WINDOW_MS - 2) * WINDOW_MS


def fahrenheit(device: int, sample: int) -> float:
    return 68.0 + device + sample / 10


def batch(device: int, begin_ms: int) -> bytes:
    """An array of samples in one message, one of them without a value."""
    samples = [{"t": begin_ms + n * 10_000, "c": fahrenheit(device, n)} for n in range(SAMPLES)]
    return json.dumps({"samples": [*samples, {"t": begin_ms + MINUTE_MS, "c": -999}]}).encode()


def expected(begin_ms: int) -> dict[str, tuple[int, float, float]]:
    """Count, mean and maximum of each device in °C, computed from what it measured."""
    found = {}
    for number, device in enumerate(DEVICES):
        celsius = [(fahrenheit(number, n) - 32) / 1.8 for n in range(SAMPLES)]
        found[device] = (len(celsius), statistics.fmean(celsius), max(celsius))
    return found


def records(stage: Stage) -> list[StreamRecord]:
    """All that the stream holds."""
    return list(stage.stream.records_between(0, time.time_ns() // 1_000_000 + MINUTE_MS))


def roll(stage: Stage) -> None:
    """Wait until the stream is read, then tick."""
    last = {one.shard_id: 0 for one in records(stage)}
    for one in records(stage):
        last[one.shard_id] = max(last[one.shard_id], int(one.sequence_number))
    wait_until_drained(stage, last)
    invoke_tick(stage, tick_event(time.time_ns() // 1_000_000 + WINDOW_MS, is_dry_run=False))


def rows(windrow: Windrow) -> dict[str, tuple[int, float, float]]:
    """Count, mean and maximum of each sensor, as a user asks for them."""
    sql = "SELECT sensor_id, readings, sum_milli / (1e3 * readings) AS mean, max_milli / 1e3 AS most FROM aggregates"
    found = json.loads(windrow("query", "--sql", sql, "--format", "json"))
    return {one["sensor_id"]: (one["readings"], one["mean"], one["most"]) for one in found}


def test_batches_of_devices_become_exact_rows(stage: Stage, home: Path) -> None:
    """Each message twice, as devices do that miss an acknowledgement; one that is no JSON; one message put aside.

    The rows are those of what was measured, in °C; samples without a value, and the broken message, are in quarantine.
    """
    windrow = Windrow(home, "embedded", NAME)
    begin_ms = start_ms()
    with rule_that_forwards(stage) as sql:
        assert sql == f"SELECT {SELECT} FROM 'devices/+/readings'"
        for number, device in enumerate(DEVICES[:-1]):
            message = Message(f"devices/{device}/readings", batch(number, begin_ms))
            publish(stage.place, device, [message, message])
        publish(
            stage.place,
            "odd",
            [Message("devices/odd/other", b"{}"), Message("devices/odd/readings", b'{"samples":[{}]}')],
        )
        wait_for(
            lambda: len(records(stage)) >= 5, seconds_max=60, pause_seconds=0.5, complaint=WindrowError("no records")
        )
        assert len(records(stage)) == 5
    roll(stage)
    found, wanted = rows(windrow), expected(begin_ms)
    last = wanted.pop(DEVICES[-1])
    assert found.keys() == wanted.keys()
    for device, values in wanted.items():
        assert found[device] == pytest.approx(values, abs=0.001)

    # What the stream refused lies aside, is counted, and comes back with the device's name in it.
    key = f"iot/2026/11/20/{time.time_ns() // 1_000_000}-01234567-89ab-cdef-0123-456789abcdef"
    payload = base64.b64encode(batch(2, begin_ms)).decode()
    stage.failures.put(key, put_aside(f"devices/{DEVICES[-1]}/readings", DEVICES[-1], payload))
    assert "MQTT           devices/+/readings, messages put aside: 1;" in windrow("status")
    assert "1 payloads of 1 objects, 1 invocations, 0 failed" in windrow("redrive", "--on-failure")
    windrow("redrive", "--on-failure")
    windrow("tick")
    assert rows(windrow)[DEVICES[-1]] == pytest.approx(last, abs=0.001)


def test_a_redriven_message_is_what_the_rule_makes_of_it(stage: Stage) -> None:
    """The embedded stack's SQL and windrow's own, for every function that IotSelect takes but the time."""
    select = "*, topic() AS whole, topic(3) AS last, topic(8) AS none, clientid() AS client"
    place, topic = stage.place, "devices/odd/readings"
    message = b'{"samples": [], "n": 12345678901234567890, "x": 21.40, "text": "\xc3\xa9"}'
    iot, before = client("iot", place), len(records(stage))
    with rule_that_forwards(stage):
        rule = iot.get_topic_rule(ruleName=f"windrow_{NAME}_forward")["rule"]
        payload = {name: rule[name] for name in ("actions", "awsIotSqlVersion")}
        payload["sql"] = f"SELECT {select} FROM 'devices/+/readings'"
        iot.replace_topic_rule(ruleName=f"windrow_{NAME}_forward", topicRulePayload=payload)
        publish(place, "odd-one", [Message(topic, message)])
        wait_for(
            lambda: len(records(stage)) > before, seconds_max=60, pause_seconds=0.5, complaint=WindrowError("no record")
        )
    sent = max(records(stage), key=lambda one: one.arrival_ms)
    key = "iot/2026/11/20/1795168800000-01234567-89ab-cdef-0123-456789abcdef"
    aside = decode_iot_message(key, put_aside(topic, "odd-one", base64.b64encode(message).decode()))
    arn = stage.stream.summary().arn
    assert json.loads(aside.record(select, arn).payload) == json.loads(sent.body)
