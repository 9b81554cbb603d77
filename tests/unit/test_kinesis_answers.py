"""What the adapter makes of answers that are not Kinesis's, by the real botocore over a real socket.

    KinesisStream ── botocore ──▶ 127.0.0.1, which answers what a proxy, a sign-in page or a broken stand-in answers

An answer to PutRecords means something only if it is of Kinesis's own shape; everything else leaves open what was
stored. Reading stops with an error that names the stream, and never with one of a dictionary.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.answering_endpoint import HTML, JSON, AnsweringEndpoint, HttpAnswer, answering_endpoint
from windrow.aws.clients import EMBEDDED, Place
from windrow.aws.kinesis import KinesisStream
from windrow.aws.kinesis_answers import EPOCH, WrongShape, put_answers, record_page, shard_page
from windrow.aws.stream import Answers, OutgoingRecord, Refused, Stored, Unanswered
from windrow.errors import PermanentError, WindrowError

PAGE = b"<html><body>Please sign in</body></html>"
STORED = {
    "ShardId": "shardId-000000000000",
    "SequenceNumber": "49590338271490256608559692538361571095921575989136588898",
}
Ask = Callable[[KinesisStream], object]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[AnsweringEndpoint]:
    """The endpoint, for all tests of the module."""
    with answering_endpoint() as server:
        yield server


@pytest.fixture(scope="module")
def stream(endpoint: AnsweringEndpoint) -> KinesisStream:
    """The adapter, over the clients that the product makes."""
    return KinesisStream.at(Place(EMBEDDED, endpoint.endpoint_url, "us-east-1"), "readings")


def outgoing(count: int = 2) -> list[OutgoingRecord]:
    return [OutgoingRecord(partition_key=f"sensor-{number}", body=b"x") for number in range(count)]


def of_json(content: object, *, status: int = 200) -> HttpAnswer:
    return HttpAnswer(status, json.dumps(content).encode())


def of_entries(*entries: object) -> HttpAnswer:
    """An answer to two records, both stored but for `entries`, which come last."""
    return of_json({"FailedRecordCount": 0, "Records": [*[STORED] * (2 - len(entries)), *entries]})


NOT_KINESIS = {
    "page": HttpAnswer(200, PAGE, HTML),
    "page as JSON": HttpAnswer(200, PAGE),
    "nothing": HttpAnswer(200, b""),
    "204": HttpAnswer(204, b"", {}),
    "empty object": of_json({}),
    **{f"{content!r} alone": of_json(content) for content in (None, [], "x", 7, True)},
    **{f"Records {content!r}": of_json({"Records": content}) for content in (None, "x", {"a": 1}, 3, False)},
    "Records NaN": HttpAnswer(200, b'{"Records":NaN}'),
    "another's answer": of_json({"Shards": []}),
    "short": of_json({"Records": [STORED]}),
    "none": of_json({"Records": []}),
    "long": of_json({"Records": [STORED] * 3}),
    **{f"entry {content!r}": of_entries(content) for content in (None, "x", 3, [1], {}, True)},
    "no shard": of_entries({"SequenceNumber": "1"}),
    "no number": of_entries({"ShardId": "shardId-000000000000"}),
    **{
        f"number {number!r}": of_entries(STORED | {"SequenceNumber": number})
        for number in (12, 1.5, None, "", "abc", "-1", "1e3", " 1", "1_0", "\u0663", "9" * 5_000)
    },
    **{f"shard {shard!r}": of_entries(STORED | {"ShardId": shard}) for shard in (7, None, "", "<html>", "x" * 200)},
    **{f"code {code!r}": of_entries({"ErrorCode": code}) for code in (5, {"a": 1}, ["x"], True, 0)},
    "code beside a stored record": of_entries(STORED | {"ErrorCode": 5}),
    "undecodable": HttpAnswer(200, b'{"Records":[{"ShardId":"\xff\xfe"}]}'),
    "deep": HttpAnswer(200, b"[" * 100_000),
    "cut short": HttpAnswer(200, b'{"Records":[', JSON | {"Content-Length": "1000"}),
    "no gzip": HttpAnswer(200, b"not gzip", JSON | {"Content-Encoding": "gzip"}),
    **{f"to {status}": HttpAnswer(status, PAGE, HTML | {"Location": "/login"}) for status in (301, 302, 303, 307, 308)},
    **{f"page {status}": HttpAnswer(status, PAGE, HTML) for status in (400, 401, 403, 404, 407, 413, 429, 502, 511)},
    **{f"empty {status}": HttpAnswer(status, b"", {}) for status in (304, 400, 403, 404, 500, 503, 511)},
    **{f"403 {content!r}": of_json(content, status=403) for content in (None, [1], {}, {"__type": 5})},
    "403 message": of_json({"message": "Forbidden"}, status=403),
    "404 code": of_json({"code": 404, "message": "no route"}, status=404),
    "400 undecodable": HttpAnswer(400, b'{"__type":"\xff"}'),
}
"""Answers that Kinesis never gives to two records. Seen with botocore 1.43: most pass its parser, the others raise
AttributeError, TypeError, UnicodeDecodeError, RecursionError or ClientError with the HTTP status for a code."""
NO_SHARDS = {name: answer for name, answer in NOT_KINESIS.items() if name != "another's answer"}


@pytest.mark.slow
@pytest.mark.parametrize("answer", NOT_KINESIS.values(), ids=NOT_KINESIS)
def test_an_answer_of_another_shape_is_no_answer(
    endpoint: AnsweringEndpoint, stream: KinesisStream, answer: HttpAnswer
) -> None:
    """Whatever it says, nobody knows what was stored; it was asked once, and is told on one line of bounded length."""
    endpoint.answer, endpoint.requests = answer, 0
    with pytest.raises(Unanswered) as caught:
        stream.put_records(outgoing())
    assert endpoint.requests == 1
    assert str(caught.value).strip()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


@pytest.mark.slow
def test_a_page_of_a_megabyte_is_not_told_whole(endpoint: AnsweringEndpoint, stream: KinesisStream) -> None:
    """A log line has an end."""
    endpoint.answer = HttpAnswer(403, PAGE * 30_000, HTML)
    with pytest.raises(Unanswered) as caught:
        stream.put_records(outgoing())
    assert len(str(caught.value)) < 700


def test_an_answer_of_kinesis_is_taken_as_it_is(endpoint: AnsweringEndpoint, stream: KinesisStream) -> None:
    """Stored and refused, each in its place."""
    code = "ProvisionedThroughputExceededException"
    endpoint.answer = of_entries(STORED, {"ErrorCode": code, "ErrorMessage": "Rate exceeded"})
    answers = stream.put_records(outgoing())
    assert answers == Answers((Stored(STORED["ShardId"], STORED["SequenceNumber"]), Refused(code, "Rate exceeded")))


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Records", "ShardId", "SequenceNumber", "ErrorCode", "a"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entries=st.lists(_json_values, max_size=3), wraps=st.booleans(), status=st.sampled_from([200, 200, 200, 403, 500])
)
def test_no_json_is_taken_for_more_than_it_says(
    endpoint: AnsweringEndpoint, stream: KinesisStream, entries: list[Any], wraps: bool, status: int
) -> None:
    """Any JSON: unanswered, or one entry for each record, and what counts as stored has a decimal number."""
    endpoint.answer = of_json({"Records": entries} if wraps else entries, status=status)
    try:
        answers = stream.put_records(outgoing())
    except Unanswered:
        return
    assert len(answers.entries) == len(entries) == 2
    for entry, said in zip(answers.entries, entries, strict=True):
        if isinstance(entry, Stored):
            assert entry.sequence_number.isdecimal()
            assert (entry.shard_id, entry.sequence_number) == (said["ShardId"], said["SequenceNumber"])
        else:
            assert entry.code == said["ErrorCode"]


@pytest.mark.parametrize("entries", [[], [STORED], [STORED] * 3])
def test_another_count_of_answers_than_of_records_is_none(entries: list[dict[str, str]]) -> None:
    """A record without an answer of its own may be stored or not."""
    with pytest.raises(WrongShape, match=f"{len(entries)} answers to 2 records"):
        put_answers({"Records": entries}, asked=2)


# Reading ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("answer", NO_SHARDS.values(), ids=NO_SHARDS)
def test_a_list_of_shards_of_another_shape_names_the_stream(
    endpoint: AnsweringEndpoint, stream: KinesisStream, monkeypatch: pytest.MonkeyPatch, answer: HttpAnswer
) -> None:
    """It is an error that a later try may not meet."""
    monkeypatch.setattr("time.sleep", lambda _seconds: None)  # between botocore's own attempts
    endpoint.answer = answer
    with pytest.raises(WindrowError, match="stream 'readings': ") as caught:
        stream.list_shards()
    assert not isinstance(caught.value, PermanentError)
    assert "\n" not in caught.value.message


_SHARD = {
    "ShardId": "shardId-000000000000",
    "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "9"},
    "SequenceNumberRange": {"StartingSequenceNumber": "1"},
}


@pytest.mark.parametrize("name", _SHARD)
@pytest.mark.parametrize("value", [None, 7, "<html>", [], {}])
def test_a_shard_of_another_shape_is_none(name: str, value: object) -> None:
    """Each part of it must be what the API reference says."""
    if (name, value) == ("SequenceNumberRange", {}):
        pytest.skip("an open shard is one without an ending number")
    with pytest.raises(WrongShape):
        shard_page({"Shards": [_SHARD | {name: value}]})
    assert len(shard_page({"Shards": [_SHARD]})[0]) == 1


@pytest.mark.parametrize("name", ["SequenceNumber", "PartitionKey", "ApproximateArrivalTimestamp", "Data"])
@pytest.mark.parametrize("value", [None, 7, [], {}])
def test_a_record_of_another_shape_is_none(name: str, value: object) -> None:
    """None of its parts is made up."""
    with pytest.raises(WrongShape):
        record_page({"Records": [{**_record(), name: value}]}, shard_id="shardId-0")
    assert len(record_page({"Records": [_record()]}, shard_id="shardId-0").records) == 1


def _record() -> dict[str, Any]:
    return {"SequenceNumber": "1", "PartitionKey": "k", "ApproximateArrivalTimestamp": EPOCH, "Data": b"x"}


# Permanent causes ---------------------------------------------------------------------------------------------------


PERMANENT = {
    "UnrecognizedClientException": "sign in",
    "InvalidSignatureException": "sign in",
    "ExpiredTokenException": "sign in",
    "AccessDeniedException": "policy",
    "KMSAccessDeniedException": "KMS key",
    "ResourceNotFoundException": "region",
}
ASKED: dict[str, Ask] = {
    "put": lambda stream: stream.put_records(outgoing()),
    "list": lambda stream: stream.list_shards(),
}


@pytest.mark.parametrize("code", PERMANENT)
@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_a_permanent_cause_is_told_as_one(
    endpoint: AnsweringEndpoint, stream: KinesisStream, ask: Ask, code: str
) -> None:
    """By its type, with the stream's name and what to change."""
    endpoint.answer = of_json({"__type": code, "message": "no"}, status=400)
    with pytest.raises(PermanentError, match="stream 'readings'") as caught:
        ask(stream)
    assert PERMANENT[code] in caught.value.hint


def test_a_stream_that_is_not_there_is_told_with_its_place(endpoint: AnsweringEndpoint, stream: KinesisStream) -> None:
    """The name and the endpoint are in the message: one of them is wrong."""
    endpoint.answer = of_json({"__type": "ResourceNotFoundException", "message": "Stream x not found"}, status=400)
    with pytest.raises(PermanentError) as caught:
        stream.put_records(outgoing())
    assert caught.value.message == f"there is no stream 'readings' in {endpoint.endpoint_url}"


PASSING = {
    "throttled": of_json({"__type": "ThrottlingException", "message": "Rate exceeded"}, status=400),
    "500": of_json({"__type": "InternalFailure", "message": "oops"}, status=500),
    "page 403": NOT_KINESIS["page 403"],
    "a clock that is wrong": of_json(
        {"__type": "InvalidSignatureException", "message": "Signature expired: 20261120T100000Z is now earlier than"},
        status=400,
    ),
}


@pytest.mark.parametrize("answer", PASSING.values(), ids=PASSING)
@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_what_may_pass_is_not_told_as_permanent(
    endpoint: AnsweringEndpoint,
    stream: KinesisStream,
    monkeypatch: pytest.MonkeyPatch,
    ask: Ask,
    answer: HttpAnswer,
) -> None:
    """Whoever tries again is right to."""
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    endpoint.answer = answer
    raised: list[Exception] = []
    try:
        ask(stream)
    except (Unanswered, WindrowError) as error:
        raised.append(error)
    assert not any(isinstance(error, PermanentError) for error in raised)
