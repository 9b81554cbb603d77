"""Handing newest values on: what a topic that hangs, refuses or is missing changes, which is nothing of a row."""

import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import pytest

from processors import batch, live_topic
from processors.batch import BatchResult, Consumer, process_batch
from processors.live_topic import LIVE_MS_MAX, WAIT_SECONDS, HandedOn, LivePublisher, LiveTopic
from processors.puts import REPORT_RESERVE_MS, Deadline, Puts
from tests.consuming import encode_event
from tests.horizon import LATENESS_HORIZON_MS
from tests.simulation.loopback import HOST, serving
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from tests.unit.answering_endpoint import AnsweringEndpoint, HttpAnswer
from tests.unit.stream_records import aggregated, encoded, reading, record
from windrow.aws.clients import EMBEDDED, Place
from windrow.live.columns import decode_message
from windrow.reading import Reading, Readings

LAKE, ARN = "lake", "arn:aws:sns:us-east-1:000000000000:windrow-test-live"
LONG_MS = 600_000
READINGS = [reading(at_ms=number, sequence=number) for number in range(3)]
"""Three readings of one sensor, of which the last is the newest."""


class Kept:
    """A topic that keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def publish(self, message: str) -> None:
        self.messages.append(message)

    @property
    def readings(self) -> list[Reading]:
        return list(chain.from_iterable(map(decode_message, self.messages)))


class Hanging:
    """A topic that does not answer until the test ends."""

    def __init__(self) -> None:
        self.ends = threading.Event()

    def publish(self, _: str) -> None:
        self.ends.wait()


class Broken:
    """A topic that raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def publish(self, _: str) -> None:
        raise self.error


class AtOnce:
    """What runs publishes one after another, and remembers how long it was allowed to."""

    def __init__(self) -> None:
        self.left_ms: list[int] = []

    def until(self, deadline: Deadline) -> Callable[..., list[Any]]:
        self.left_ms.append(deadline.left_ms())
        return lambda function, arguments: [function(one) for one in arguments]


def publisher(topic: Any, puts: Any = None) -> LivePublisher:
    return LivePublisher(topic, puts or Puts(2))


def hand_on(topic: Any, *, remaining_ms: int = LONG_MS, found: Iterable[Reading] = READINGS[-1:]) -> HandedOn:
    return publisher(topic).hand_on([Readings.of(found)], deadline=Deadline(lambda: remaining_ms))


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    topic = Hanging()
    yield topic
    topic.ends.set()


class Processor:
    """A consumer with a simulated lake."""

    def __init__(self) -> None:
        self.state = S3State()

    def process(self, topic: Any, *, remaining_ms: int = LONG_MS, slice_readings_max: int = 1_000) -> BatchResult:
        consumer = Consumer(
            lake=SimulatedStore(self.state.apply, LAKE),
            horizon_ms=LATENESS_HORIZON_MS,
            puts=Puts(4),
            live=None if topic is None else publisher(topic),
            slice_readings_max=slice_readings_max,
        )
        records = [record(aggregated(encoded([one])), number=number) for number, one in enumerate(READINGS, start=1)]
        event = json.loads(encode_event(records))
        return process_batch(event, remaining_ms=lambda: remaining_ms, consumer=consumer)

    @property
    def written(self) -> dict[str, bytes]:
        return {key: one.body for key, one in self.state.buckets[LAKE].items()}


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is that of the readings, or all of them would be too old to be handed on."""
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "windrow")
    monkeypatch.setattr(batch.time, "time_ns", lambda: READINGS[-1].event_time_ms * 1_000_000)


@pytest.mark.parametrize("slice_readings_max", [1_000, 1])
def test_the_newest_of_a_batch_are_handed_on(slice_readings_max: int) -> None:
    """One value of the one series, though each slice of the batch has another."""
    topic = Kept()
    result = Processor().process(topic, slice_readings_max=slice_readings_max)
    assert topic.readings == READINGS[-1:]
    assert result.handed_on == HandedOn(series=1, messages=1)


def test_a_stage_that_does_not_push_looks_for_nothing() -> None:
    """No plan holds newest values, and none of it is counted."""
    result = Processor().process(None)
    assert result.handed_on is None
    assert {one.plan.newest for one in result.written} == {None}


@pytest.mark.parametrize("error", [OSError("refused"), ValueError("a bug"), RuntimeError("any")])
def test_a_topic_that_fails_changes_nothing_of_the_rows(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """The same objects, no record that comes again; the failure is in the log and in a metric."""
    without, failing = Processor(), Processor()
    without.process(None)
    batch.metrics.clear_metrics()
    result = failing.process(Broken(error))
    assert failing.written == without.written
    assert result.unprocessed is None
    assert result.handed_on == HandedOn(series=1, messages=1, failed=1, errors=(f"{type(error).__name__}: {error}",))
    assert "live values were not handed on" in caplog.messages
    assert batch.metrics.metric_set["LiveFailed"]["Value"] == [1]


def test_a_topic_that_hangs_changes_nothing_of_the_rows(hanging: Hanging) -> None:
    """It holds the batch up for as long as there is time, and the next one too, in threads of its own."""
    without, held_up = Processor(), Processor()
    without.process(None)
    for _ in range(2):
        result = held_up.process(hanging, remaining_ms=REPORT_RESERVE_MS + 100)
        assert result.unprocessed is None
        assert result.handed_on == HandedOn(
            series=1, messages=1, failed=1, errors=(f"no answer within {LIVE_MS_MAX} ms",)
        )
    assert held_up.written == without.written


def test_values_whose_encoding_fails_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong before anything is sent is told as well."""

    def broken(_: Readings) -> list[str]:
        raise MemoryError("no room")

    monkeypatch.setattr(live_topic, "encode_messages", broken)
    assert hand_on(Kept()) == HandedOn(failed=1, errors=("MemoryError: no room",))


@pytest.mark.parametrize(
    ("remaining_ms", "left_ms"),
    [(LONG_MS, LIVE_MS_MAX), (REPORT_RESERVE_MS + 500, 500), (REPORT_RESERVE_MS - 1, 0)],
)
def test_a_batch_is_held_up_for_no_longer_than_the_bound(remaining_ms: int, left_ms: int) -> None:
    """Nor for longer than the function may still work before its report."""
    run = AtOnce()
    publisher(Kept(), run).hand_on([Readings.of(READINGS[-1:])], deadline=Deadline(lambda: remaining_ms))
    assert run.left_ms == [left_ms]


def test_some_of_a_batch_that_is_too_large_is_left_to_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the latest event times are handed on, the others are counted."""
    monkeypatch.setattr(live_topic, "LIVE_SERIES_MAX", 2)
    topic = Kept()
    found = [reading(f"s{number}", at_ms=number) for number in (2, 0, 1)]
    assert hand_on(topic, found=found) == HandedOn(series=2, left_out=1, messages=1)
    assert {one.sensor_id for one in topic.readings} == {"s1", "s2"}


def test_a_batch_without_values_sends_nothing() -> None:
    """All of it was quarantined, or is too old."""
    topic = Kept()
    assert hand_on(topic, found=[]) == HandedOn()
    assert topic.messages == []


def test_messages_that_fail_do_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is counted; each cause is told once."""
    monkeypatch.setattr(live_topic, "encode_messages", lambda _: ["a", "bad", "b", "bad"])

    class Choosy(Kept):
        def publish(self, message: str) -> None:
            if message == "bad":
                raise ValueError("bad")
            super().publish(message)

    topic = Choosy()
    assert hand_on(topic) == HandedOn(series=1, messages=4, failed=2, errors=("ValueError: bad",))
    assert sorted(topic.messages) == ["a", "b"]


@pytest.fixture
def _in_no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch waits longer than any client's beginning takes, so what ends a request is the client's own wait."""
    monkeypatch.setattr(live_topic, "LIVE_MS_MAX", 120_000)


@pytest.mark.usefixtures("_in_no_hurry")
def test_a_refusal_is_one_request() -> None:
    """A topic that is missing, or forbidden: nothing is tried again, and the reason is told."""
    body = b"<ErrorResponse><Error><Type>Sender</Type><Code>NotFound</Code>"
    body += b"<Message>Topic does not exist</Message></Error></ErrorResponse>"
    with serving(AnsweringEndpoint()) as endpoint:
        endpoint.answer = HttpAnswer(404, body, {"Content-Type": "text/xml"})
        told = hand_on(LiveTopic(Place(EMBEDDED, endpoint.endpoint_url, "us-east-1"), ARN))
        assert endpoint.requests == 1
    assert told.failed == 1
    assert "NotFound" in told.errors[0]
    assert "Topic does not exist" in told.errors[0]


@pytest.mark.usefixtures("_in_no_hurry")
def test_an_endpoint_that_is_silent_is_given_up_by_the_client() -> None:
    """It takes the connection and never answers: the client's own wait ends it, which is shorter than the batch's."""
    assert WAIT_SECONDS * 1_000 < LIVE_MS_MAX
    with socket.create_server((HOST, 0)) as silent:
        place = Place(EMBEDDED, f"http://{HOST}:{silent.getsockname()[1]}", "us-east-1")
        told = hand_on(LiveTopic(place, ARN))
    assert told.failed == 1
    assert "ReadTimeoutError" in told.errors[0]


@pytest.mark.usefixtures("_in_no_hurry")
def test_nothing_that_listens_is_told_as_such() -> None:
    """A connection that is refused."""
    with socket.create_server((HOST, 0)) as closed:
        port = closed.getsockname()[1]
    told = hand_on(LiveTopic(Place(EMBEDDED, f"http://{HOST}:{port}", "us-east-1"), ARN))
    assert "EndpointConnectionError" in told.errors[0]
