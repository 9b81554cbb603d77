"""Messages that a rule of AWS IoT Core put aside: what they hold, and the record that is made of them again."""

import base64
import json
import re
import uuid
from typing import Any

import pytest

from infra import template
from processors.event import Record, decode_event, encode_record
from processors.iot_message import SHARD, VERBATIM, decode_iot_message, is_iot_key
from processors.on_failure import UnreadableFailure
from tests.unit.stream_records import ARRIVAL_MS, STREAM_ARN

PAYLOAD = b'{"temperature":21.40}'
ID = "01234567-89ab-cdef-0123-456789abcdef"
KEY = f"iot/2026/11/20/{ARRIVAL_MS}-{ID}"
RULE = template.load()["Resources"]["IotRule"]["Properties"]["TopicRulePayload"]
PARAMETERS = template.parameters()
SELECTS = (
    VERBATIM,
    "*, topic() AS topic",
    "*, topic(2) AS device, timestamp() AS ts",
    "*, clientid() AS client, topic(8) AS none",
)


def put_aside(payload: bytes = PAYLOAD, **other: Any) -> bytes:
    """The object that the error action writes, in the shape of the developer guide."""
    body = {
        "ruleName": "windrow_dev",
        "topic": "devices/42/readings",
        "cloudwatchTraceId": "7e146a2c-95b5-6caf-98b9-50e3969734c7",
        "clientId": "gateway-7",
        "base64OriginalPayload": base64.b64encode(payload).decode(),
        "failures": [
            {
                "failedAction": "KinesisAction",
                "failedResource": "windrow-dev",
                "errorMessage": "Rate exceeded for shard shardId-000000000000",
            }
        ],
    }
    return json.dumps(body | other).encode()


def record_of(select: str, payload: bytes = PAYLOAD, key: str = KEY) -> Record:
    return decode_iot_message(key, put_aside(payload)).record(select, STREAM_ARN)


@pytest.mark.parametrize("payload", [PAYLOAD, b"[1, 2]", b"\xff\x00 not text", b""])
def test_a_message_is_the_record_byte_by_byte(payload: bytes) -> None:
    """Without added fields nothing is read: neither JSON nor text is needed, and 21.40 keeps its digits."""
    record = record_of(VERBATIM, payload)
    assert record.payload == payload
    assert (record.shard, record.arrival_ms) == (SHARD, ARRIVAL_MS)


def test_fields_are_added_as_the_rule_adds_them() -> None:
    """The whole topic, one level of it, the time and the client; a level that is not there adds no field."""
    assert json.loads(record_of("*, topic() AS topic").payload) == {"temperature": 21.4, "topic": "devices/42/readings"}
    both = json.loads(record_of("*, topic(2) AS device, timestamp() AS ts").payload)
    assert both == {"temperature": 21.4, "device": "42", "ts": ARRIVAL_MS}
    assert json.loads(record_of("*, clientid() AS client, topic(8) AS none").payload) == {
        "temperature": 21.4,
        "client": "gateway-7",
    }


@pytest.mark.parametrize("select", SELECTS)
def test_the_consumer_reads_the_record_and_knows_it_again(select: str) -> None:
    """It has the form of the mapping's records; the same object is the same record, another one another."""
    record = record_of(select)
    [decoded] = decode_event({"Records": [json.loads(encode_record(record))]})
    assert decoded == record == record_of(select)
    other = f"iot/2026/11/20/{ARRIVAL_MS}-{uuid.UUID(int=uuid.UUID(ID).int + 1)}"
    later = f"iot/2026/11/20/{ARRIVAL_MS + 1}-{ID}"
    numbers = [int(record_of(select, key=key).sequence_number) for key in (KEY, other, later)]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    ("key", "body", "why"),
    [
        ("iot/2026/11/20/x", put_aside(), "its key"),
        (f"iot/2026/11/20/{10**14 * 9}-{ID}", put_aside(), "its key"),  # far past the year 9999
        (KEY, b"{}", "KeyError"),
        (KEY, b"not JSON", "JSONDecodeError"),
        (KEY, b"[]", "TypeError"),
        (KEY, put_aside(base64OriginalPayload="?"), "Error"),
        (KEY, put_aside(failures=[{}]), "KeyError"),
    ],
)
def test_what_is_no_such_message_is_told(key: str, body: bytes, why: str) -> None:
    """Whatever lies there, the error says what is wrong with it."""
    with pytest.raises(UnreadableFailure, match=why):
        decode_iot_message(key, body)


@pytest.mark.parametrize("payload", [b"[]", b"not JSON", b"\xff", b"7"])
def test_fields_need_an_object(payload: bytes) -> None:
    """What the rule makes of anything else is not documented, so nothing is made up."""
    with pytest.raises(UnreadableFailure, match="no JSON object"):
        record_of("*, topic() AS topic", payload)


def test_a_select_of_another_template_is_told() -> None:
    """A function that this version cannot compute is no reason to send something else."""
    with pytest.raises(UnreadableFailure, match="newuuid"):
        record_of("*, newuuid() AS id")


# ---- the rule in the template --------------------------------------------------------------------------------------


def filled(text: str) -> str:
    """A substitution template of the rule as AWS IoT Core fills it."""
    values = {'parse_time("yyyy/MM/dd", timestamp())': "2026/11/20", "timestamp()": str(ARRIVAL_MS), "newuuid()": ID}
    return re.sub(r"\$\{([^}]*)\}", lambda found: values[found[1]], text)


def test_the_rules_error_action_writes_what_is_read_here() -> None:
    """The key of the template, filled in, is the key of these tests."""
    action = RULE["ErrorAction"]["S3"]
    assert filled(action["Key"]) == KEY
    assert action["BucketName"] == {"Ref": "OnFailureBucket"}
    assert is_iot_key(KEY)
    assert not is_iot_key("aws/lambda/x")


def test_a_message_goes_to_the_stream_under_a_key_by_chance() -> None:
    """A topic as the key would put all messages of a gateway into one shard."""
    [action] = RULE["Actions"]
    assert action["Kinesis"]["StreamName"] == {"Ref": "Stream"}
    assert filled(action["Kinesis"]["PartitionKey"]) == ID
    assert (RULE["AwsIotSqlVersion"], RULE["RuleDisabled"]) == ("2016-03-23", False)
    assert RULE["Sql"] == {"Fn::Sub": "SELECT ${IotSelect} FROM '${IotTopic}'"}


@pytest.mark.parametrize("select", SELECTS)
def test_what_can_be_selected_can_be_made_again(select: str) -> None:
    """The parameter takes it, and so does the redrive."""
    assert re.fullmatch(PARAMETERS["IotSelect"]["AllowedPattern"], select)
    assert record_of(select)


@pytest.mark.parametrize(
    "select",
    ["", "topic()", "*, newuuid() AS id", "*, topic(9) AS x", "*,topic() AS x", "* FROM 'x'", "*, topic() AS X", "*, "],
)
def test_what_cannot_be_made_again_cannot_be_selected(select: str) -> None:
    """CloudFormation refuses the parameter."""
    assert re.fullmatch(PARAMETERS["IotSelect"]["AllowedPattern"], select) is None


@pytest.mark.parametrize("topic", ["", "devices/+/readings", "a", "+/b", "a/b/c/d/e/f/g/h", "plant-1/#", "a.b_c:d=e@f"])
def test_topic_filters_are_taken(topic: str) -> None:
    """Levels, wildcards in their places, and nothing for no rule."""
    assert re.fullmatch(PARAMETERS["IotTopic"]["AllowedPattern"], topic)


@pytest.mark.parametrize(
    "topic", ["#", "/a", "a/", "a//b", "a/#/b", "a'b", "$aws/things/x", "a/b+", "a/b/c/d/e/f/g/h/i", "a b"]
)
def test_other_texts_are_no_topic_filters(topic: str) -> None:
    """All of an account's messages, AWS's own topics, wildcards elsewhere, quotes, more levels than AWS takes."""
    assert re.fullmatch(PARAMETERS["IotTopic"]["AllowedPattern"], topic) is None
