"""Devices that speak MQTT, and what stands in for the kinesis action of a rule, which the embedded stack skips.

The stand-in is a second rule with the SQL of the deployed one, read back from the stack. Its lambda action puts the
result of the SQL into the stream as one record, under a random key, as the deployed rule's action does on AWS.
"""

import io
import json
import urllib.parse
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from windrow.aws.clients import Place, client
from windrow.stage import Stage

SECONDS_MAX = 30.0
FORWARD = """
import json, os, uuid, boto3

def handle(event, context):
    kinesis = boto3.client("kinesis", endpoint_url=os.environ["ENDPOINT"], region_name=os.environ["AREA"])
    body = json.dumps(event, ensure_ascii=False).encode()
    kinesis.put_record(StreamName=os.environ["STREAM"], Data=body, PartitionKey=str(uuid.uuid4()))
"""


@dataclass(frozen=True, slots=True)
class Message:
    """What a device publishes."""

    topic: str
    payload: bytes


def publish(place: Place, device: str, messages: Sequence[Message]) -> None:
    """Publish as a device does: one connection, MQTT 5 over WebSocket, each message at least once."""
    endpoint = urllib.parse.urlsplit(place.endpoint_url or "")
    one = Client(CallbackAPIVersion.VERSION2, client_id=device, transport="websockets", protocol=MQTTv5)
    # The embedded stack tells AWS IoT Core from its other services by the name of the host.
    one.ws_set_options(path="/mqtt", headers={"Host": f"device.iot.{place.region}.amazonaws.com"})
    assert endpoint.hostname is not None
    assert endpoint.port is not None
    one.connect(endpoint.hostname, endpoint.port)
    one.loop_start()
    try:
        for message in messages:
            sent = one.publish(message.topic, message.payload, qos=1)
            sent.wait_for_publish(SECONDS_MAX)
            assert sent.is_published()
    finally:
        one.disconnect()
        one.loop_stop()


@contextmanager
def rule_that_forwards(stage: Stage) -> Iterator[str]:
    """Make the rule that stands in for the deployed one, for a while; the value is the SQL of both."""
    place, name = stage.place, f"windrow_{stage.name}"
    iot, functions = client("iot", place), client("lambda", place)
    rule: dict[str, Any] = iot.get_topic_rule(ruleName=name)["rule"]
    arn = functions.create_function(
        FunctionName=f"forward-{stage.name}",
        Runtime="python3.13",
        Handler="forward.handle",
        Role="arn:aws:iam::000000000000:role/forward",
        Code={"ZipFile": _zipped("forward.py", FORWARD)},
        Environment={
            "Variables": {"ENDPOINT": place.endpoint_url, "AREA": place.region, "STREAM": stage.stream_name},
        },
    )["FunctionArn"]
    payload = {"sql": rule["sql"], "awsIotSqlVersion": rule["awsIotSqlVersion"], "ruleDisabled": False}
    iot.create_topic_rule(
        ruleName=f"{name}_forward", topicRulePayload=payload | {"actions": [{"lambda": {"functionArn": arn}}]}
    )
    try:
        yield str(rule["sql"])
    finally:
        iot.delete_topic_rule(ruleName=f"{name}_forward")
        functions.delete_function(FunctionName=f"forward-{stage.name}")


def put_aside(topic: str, device: str, payload: str) -> bytes:
    """What the deployed rule's error action would write of a message."""
    failure = {"failedAction": "KinesisAction", "failedResource": "stream", "errorMessage": "Rate exceeded"}
    body = {"topic": topic, "clientId": device, "base64OriginalPayload": payload, "failures": [failure]}
    return json.dumps(body).encode()


def _zipped(name: str, source: str) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr(name, source)
    return body.getvalue()
