"""The Lambda event: what the mapping sends is read exactly, and what we send reads the same."""

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processors.event import (
    ARRIVAL_MS_MAX,
    INVOKE_IDENTITY_ARN,
    UNKNOWN_ORIGIN,
    UNKNOWN_SEQUENCE_NUMBER,
    MalformedRecord,
    NotAKinesisEvent,
    Record,
    decode_event,
)
from tests.consuming import encode_event
from tests.unit.stream_records import record

# From the AWS Lambda developer guide, "Using Lambda to process records from Amazon Kinesis Data Streams".
GOLDEN = Path(__file__).parents[1] / "golden" / "kinesis_event.json"

records = st.builds(
    Record,
    stream_arn=st.from_regex(
        r"arn:aws(-cn|-us-gov)?:kinesis:[a-z]{2}-[a-z]{4}-[1-9]:[0-9]{12}:stream/[A-Za-z0-9_.-]{1,20}", fullmatch=True
    ),
    shard=st.from_regex(r"shardId-[0-9]{12}", fullmatch=True),
    sequence_number=st.integers(0, 2**186).map(str),
    arrival_ms=st.integers(0, ARRIVAL_MS_MAX - 999),
    partition_key=st.text(max_size=256),
    payload=st.binary(max_size=200),
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@pytest.fixture
def event() -> dict[str, Any]:
    """The event of the developer guide, parsed."""
    parsed: dict[str, Any] = json.loads(GOLDEN.read_text())
    return parsed


def test_every_field_of_a_real_event_is_read(event: dict[str, Any]) -> None:
    """Stream, shard, number, arrival to the millisecond, key and bytes are those of the developer guide."""
    first, second = decode_event(event)

    assert first == Record(
        stream_arn="arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream",
        shard="shardId-000000000006",
        sequence_number="49590338271490256608559692538361571095921575989136588898",
        arrival_ms=1_545_084_650_987,
        partition_key="1",
        payload=b"Hello, this is a test.",
    )
    assert first.stream == "lambda-stream"
    assert second.arrival_ms == 1_545_084_711_166


def test_an_event_we_send_is_the_mappings_to_the_byte(event: dict[str, Any]) -> None:
    """Decoded and encoded again, only the role that invokes is another: same fields, same order, same spelling."""
    decoded = [one for one in decode_event(event) if isinstance(one, Record)]

    for raw in event["Records"]:
        raw["invokeIdentityArn"] = INVOKE_IDENTITY_ARN
    assert encode_event(decoded) == json.dumps(event, separators=(",", ":")).encode()


@pytest.mark.slow
@given(st.lists(records, max_size=4))
def test_decoding_inverts_encoding(batch: list[Record]) -> None:
    """Whatever a record holds, the event carries it there and back."""
    assert decode_event(json.loads(encode_event(batch))) == batch


@pytest.mark.parametrize("milliseconds", [0, 1, 987, 999, 1_545_084_650_987, 1_795_169_100_001, 253_402_300_799_000])
def test_arrival_is_exact_to_the_millisecond(milliseconds: int) -> None:
    """The double nearest to a number of milliseconds in seconds is read as that number, not the one below."""
    sent = json.loads(encode_event([record(b"", arrival_ms=milliseconds)]))

    (received,) = decode_event(sent)

    assert received.arrival_ms == milliseconds


@given(st.floats(0, ARRIVAL_MS_MAX // 1_000) | st.floats(1.5e9, 2.5e9))
@example(1_545_084_650.9869999)
@example(1_795_169_100.0006)
def test_arrival_is_the_millisecond_nearest_to_the_seconds_of_the_wire(seconds: float) -> None:
    """Other services than AWS send more than three decimals; a record read from the stream is rounded likewise."""
    event = json.loads(encode_event([record(b"")]))
    event["Records"][0]["kinesis"]["approximateArrivalTimestamp"] = seconds

    (received,) = decode_event(json.loads(json.dumps(event)))

    # The product with 1,000 is a double too: between two milliseconds, either may be the nearest.
    doubt_ms = Fraction(math.ulp(seconds * 1_000))
    assert received.arrival_ms is not None
    assert abs(received.arrival_ms - Fraction(seconds) * 1_000) <= Fraction(1, 2) + doubt_ms


def test_whole_seconds_may_be_an_integer(event: dict[str, Any]) -> None:
    """Emulators send arrival times without a fraction."""
    event["Records"][0]["kinesis"]["approximateArrivalTimestamp"] = 1_545_084_650

    assert decode_event(event)[0].arrival_ms == 1_545_084_650_000


def test_a_sequence_number_keeps_its_spelling(event: dict[str, Any]) -> None:
    """Emulators write leading zeros; the mapping knows a record by exactly the text it sent."""
    event["Records"][0]["kinesis"]["sequenceNumber"] = "000000017952153390430000000004"

    assert decode_event(event)[0].sequence_number == "000000017952153390430000000004"


@pytest.mark.parametrize(
    ("path", "value", "detail"),
    [
        (("kinesis", "data"), "SGVsbG8", "base64"),
        (("kinesis", "data"), "SGVs bG8=", "base64"),
        (("kinesis", "data"), "SGVsbG8=SGVs", "base64"),
        (("kinesis", "data"), "SGVsbG8é", "base64"),
        (("kinesis", "data"), None, "data"),
        (("kinesis", "sequenceNumber"), "12a", "sequenceNumber"),
        (("kinesis", "sequenceNumber"), "٣", "sequenceNumber"),
        (("kinesis", "sequenceNumber"), 12, "sequenceNumber"),
        (("kinesis", "sequenceNumber"), "", "sequenceNumber"),
        (("kinesis", "sequenceNumber"), "1" * 130, "sequenceNumber"),
        (("kinesis", "partitionKey"), None, "partitionKey"),
        (("kinesis", "approximateArrivalTimestamp"), True, "approximateArrivalTimestamp"),
        (("kinesis", "approximateArrivalTimestamp"), float("nan"), "approximateArrivalTimestamp"),
        (("kinesis", "approximateArrivalTimestamp"), float("inf"), "approximateArrivalTimestamp"),
        (("kinesis", "approximateArrivalTimestamp"), 10**400, "approximateArrivalTimestamp"),
        (("kinesis", "approximateArrivalTimestamp"), -1.0, "approximateArrivalTimestamp"),
        (("kinesis",), "text", "kinesis"),
        (("eventID",), "shard-0:17", "eventID"),
        (("eventSourceARN",), "arn:aws:sqs:us-east-2:123456789012:queue", "eventSourceARN"),
    ],
)
def test_a_malformed_record_is_told_apart_from_its_neighbour(
    event: dict[str, Any], path: tuple[str, ...], value: object, detail: str
) -> None:
    """One wrong field makes one malformed record that names the field; the next record is read as ever."""
    holder = event["Records"][0] if len(path) == 1 else event["Records"][0][path[0]]
    holder[path[-1]] = value

    malformed, neighbour = decode_event(event)

    assert isinstance(malformed, MalformedRecord)
    assert detail in malformed.detail
    assert isinstance(neighbour, Record)


def test_a_malformed_record_keeps_what_origin_it_has(event: dict[str, Any]) -> None:
    """Broken base64 hides the payload and nothing else; the record's JSON is kept whole."""
    event["Records"][0]["kinesis"]["data"] = "?"

    malformed = decode_event(event)[0]

    assert isinstance(malformed, MalformedRecord)
    assert (malformed.stream, malformed.shard) == ("lambda-stream", "shardId-000000000006")
    assert malformed.sequence_number == "49590338271490256608559692538361571095921575989136588898"
    assert malformed.arrival_ms == 1_545_084_650_987
    assert json.loads(malformed.original) == event["Records"][0]


def test_a_record_without_anything_has_an_unknown_origin() -> None:
    """Even a record that is no object at all is kept."""
    (malformed,) = decode_event({"Records": [17]})

    assert malformed == MalformedRecord(
        stream=UNKNOWN_ORIGIN,
        shard=UNKNOWN_ORIGIN,
        sequence_number=UNKNOWN_SEQUENCE_NUMBER,
        arrival_ms=None,
        original=b"17",
        detail="kinesis is missing or not an object",
    )


@pytest.mark.slow
@given(st.lists(json_values, max_size=4))
def test_arbitrary_records_are_malformed_and_never_an_exception(raw: list[Any]) -> None:
    """Whatever JSON stands where a record should, each gives exactly one malformed record."""
    decoded = decode_event({"Records": raw})

    assert len(decoded) == len(raw)
    assert all(isinstance(one, MalformedRecord) for one in decoded)


@pytest.mark.parametrize("event", [None, [], {}, {"Records": None}, {"Records": {}}, "Records"])
def test_an_event_without_records_is_the_callers_bug(event: object) -> None:
    """There is nothing to quarantine, so the invocation fails."""
    with pytest.raises(NotAKinesisEvent):
        decode_event(event)
