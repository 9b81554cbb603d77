"""Redrive: what was put aside is delivered as it first arrived, and twice is as good as once."""

import base64
import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from processors.event import Record, decode_event
from processors.invoke import Answer, InvocationOutcome
from processors.on_failure import UnreadableFailure, decode_failure, shard_of_key
from processors.redrive import EXPIRY_MARGIN_MS, Redrive, RedriveResult, oldest_arrival_ms
from processors.replay import DryRunInvoker
from tests.consuming import consume, encode_event
from tests.horizon import LATENESS_HORIZON_MS
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from tests.unit.stream_records import ARRIVAL_MS, SHARD, STREAM_ARN, WINDOW, aggregated, encoded, reading, record
from windrow.aws.stream import StreamRecord
from windrow.lake.layout import PARTIALS, QUARANTINE
from windrow.lake.quarantine import QuarantinedPayload, decode_quarantine
from windrow.lake.quarantine_search import QuarantineSearch, payloads
from windrow.reading import Reading, Readings, Reason
from windrow.rows.partial_parquet import decode_partial
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS
from windrow.wire.block.block import encode_block
from windrow.wire.kpl import seal

HOUR_MS = 3_600_000
EVERYTHING = QuarantineSearch(start_ms=0, end_ms=ARRIVAL_MS + 365 * 24 * HOUR_MS)
OTHER_SHARD = "shardId-000000000001"
FAILURE_KEY = "aws/lambda/11111111-2222-3333-4444-555555555555/{}/2026/11/20/2026-11-20T10.12.00-66666666"


class Stage:
    """A simulated lake and on-failure bucket, and the consumer as a function that can be invoked."""

    def __init__(self) -> None:
        self.state = S3State()
        self.horizon_ms = LATENESS_HORIZON_MS
        self.stream: list[StreamRecord] = []
        self.events: list[bytes] = []
        self.oldest_arrival_ms = 0

    @property
    def lake(self) -> SimulatedStore:
        return SimulatedStore(self.state.apply, "lake")

    @property
    def failures(self) -> SimulatedStore:
        return SimulatedStore(self.state.apply, "failures")

    def consume(self, *records: Record, horizon_ms: int | None = None) -> None:
        self._consume(encode_event(records), self.horizon_ms if horizon_ms is None else horizon_ms)

    def _consume(self, event: bytes, horizon_ms: int) -> None:
        consume(decode_event(json.loads(event)), store=self.lake, now_ms=ARRIVAL_MS, horizon_ms=horizon_ms)

    def invoke(self, event: bytes) -> Answer:
        self.events.append(event)
        self._consume(event, self.horizon_ms)
        return Answer(InvocationOutcome.DONE)

    def shard_records_between(self, shard_id: str, *, start_ms: int, end_ms: int) -> Iterator[StreamRecord]:
        for one in self.stream:
            if one.shard_id == shard_id and start_ms <= one.arrival_ms < end_ms:
                yield one

    def redrive(self, search: QuarantineSearch = EVERYTHING, *, dry_run: bool = False, **what: bool) -> RedriveResult:
        redrive = Redrive(
            lake=self.lake,
            failures=self.failures,
            stream=self,
            stream_arn=STREAM_ARN,
            oldest_arrival_ms=self.oldest_arrival_ms,
        )
        return redrive.run(
            search,
            of_quarantine=what.get("of_quarantine", True),
            of_failures=what.get("of_failures", True),
            invoker=DryRunInvoker() if dry_run else self,
        )

    def keys(self, root: str) -> list[str]:
        return sorted(key for key in self.state.buckets.get("lake", {}) if key.startswith(root))

    def readings(self) -> set[Reading]:
        objects = self.state.buckets.get("lake", {})
        return {one for key in self.keys(PARTIALS) for one in decode_partial(objects[key].body)[0].readings}

    def quarantine(self) -> list[QuarantinedPayload]:
        return list(payloads(self.lake, EVERYTHING))


@pytest.fixture
def stage() -> Stage:
    return Stage()


def block(*readings: Reading) -> bytes:
    return encode_block(Readings.of(readings))


# ---- quarantine ----------------------------------------------------------------------------------------------------

LATE = [reading("late", at_ms=-2 * HOUR_MS), reading("later", at_ms=-3 * HOUR_MS)]


def test_what_counts_by_now_joins_its_windows(stage: Stage) -> None:
    """Too late for the horizon of then, in time for that of now: JSON, a reading of a block, both in aggregates."""
    in_time = reading("roof")
    batch = [record(aggregated([*encoded([in_time, LATE[0]]), block(in_time, LATE[1])]), number=7)]
    stage.consume(*batch, horizon_ms=HOUR_MS)
    assert stage.readings() == {in_time}

    redriven = stage.redrive()

    assert stage.readings() == {in_time, *LATE}
    assert (redriven.delivered.records, redriven.objects, redriven.skipped) == (2, 1, [])
    whole = Stage()
    whole.consume(*batch)
    assert stage.readings() == whole.readings()


def test_twice_is_as_good_as_once(stage: Stage) -> None:
    """The second redrive writes nothing, neither of what counts nor of what does not."""
    bad = [b"bad", *encoded(LATE), block(Reading("odd", ARRIVAL_MS, -1, 0), reading()), block(reading())[:-1]]
    stage.consume(record(aggregated(bad), number=7), record(b"plain", number=8), horizon_ms=HOUR_MS)
    stage.redrive()
    before = stage.state.fingerprint()

    stage.redrive()

    assert stage.state.fingerprint() == before


def test_what_does_not_count_again_is_the_same_payload(stage: Stage) -> None:
    """Under the same place, so whoever counts payloads counts it once; together again, even in the same object."""
    bad = [b"bad", *encoded([reading()]), b"worse", block(Reading("odd", ARRIVAL_MS, -1, 0))]
    stage.consume(record(aggregated(bad), number=7), record(seal(b"\xff"), number=8))
    before = stage.quarantine()
    assert len(before) == 4

    stage.redrive()

    assert stage.quarantine() == before
    assert len(stage.keys(QUARANTINE)) == 1


def test_a_payload_that_looks_like_an_aggregate_is_not_taken_for_one(stage: Stage) -> None:
    """Within an aggregate it was a payload and no reading; delivered by itself it would be opened."""
    hidden = aggregated(encoded([reading("hidden")]))
    stage.consume(record(aggregated([hidden])))

    stage.redrive()

    assert stage.readings() == set()
    assert [one.payload for one in stage.quarantine()] == [hidden]


def test_a_record_as_a_whole_is_delivered_as_it_was(stage: Stage) -> None:
    """Should a later version read it, it is read as the stream had it."""
    broken = aggregated(encoded([reading()]))[:-1] + b"\0"
    stage.consume(record(broken, number=7))

    stage.redrive()

    (event,) = stage.events
    (again,) = decode_event(json.loads(event))
    assert again == record(broken, number=7)


def test_a_malformed_record_is_delivered_as_the_event_had_it(stage: Stage) -> None:
    """It names its own origin, as far as it does."""
    event = json.loads(encode_event([record(b"x")]))
    event["Records"][0]["kinesis"]["data"] = "no base64"
    stage._consume(json.dumps(event).encode(), LATENESS_HORIZON_MS)

    stage.redrive()

    assert [json.loads(one) for one in stage.events] == [event]
    assert [one.reason for one in stage.quarantine()] == [Reason.RECORD_MALFORMED]


def test_a_payload_in_several_objects_is_delivered_once(stage: Stage) -> None:
    """Another cut of the same records left it in two."""
    batch = [record(b"bad", number=7), record(b"worse", number=8)]
    stage.consume(*batch)
    stage.consume(batch[1])
    assert len(stage.keys(QUARANTINE)) == 2

    assert stage.redrive().delivered.records == 2


def test_only_what_is_looked_for_is_delivered(stage: Stage) -> None:
    """By reason, by arrival, and by shard."""
    stage.consume(record(b"bad", number=1), record(encoded(LATE)[0], number=2), horizon_ms=HOUR_MS)
    stage.consume(
        record(b"bad", number=3, arrival_ms=ARRIVAL_MS + WINDOW_MS), record(b"bad", number=4, shard=OTHER_SHARD)
    )

    def numbers(**search: Any) -> set[str]:
        stage.events.clear()
        stage.redrive(QuarantineSearch(**{"start_ms": 0, "end_ms": EVERYTHING.end_ms, **search}))
        return {str(one.sequence_number) for event in stage.events for one in decode_event(json.loads(event))}

    assert numbers() == {"1", "2", "3", "4"}
    assert numbers(reasons=frozenset({Reason.TOO_LATE})) == {"2"}
    assert numbers(reasons=frozenset({Reason.NOT_JSON}), shard=SHARD) == {"1", "3"}
    assert numbers(start_ms=ARRIVAL_MS + 1) == {"3"}
    assert numbers(end_ms=ARRIVAL_MS) == set()


def test_each_shard_is_delivered_in_events_of_its_own(stage: Stage) -> None:
    """So a failed invocation can be named."""
    windows = [record(b"bad", number=n, arrival_ms=ARRIVAL_MS + n * WINDOW_MS) for n in range(5)]
    for one in windows:
        stage.consume(one, record(b"bad", number=int(one.sequence_number) + 100, shard=OTHER_SHARD))

    assert stage.redrive().delivered.invocations == 2


def test_what_is_older_than_the_partials_it_would_join_stays(stage: Stage) -> None:
    """It is named, and the rest is delivered; the object is where it was."""
    stage.consume(record(encoded(LATE)[0], number=1), horizon_ms=HOUR_MS)
    stage.consume(record(encoded(LATE)[1], number=2, arrival_ms=ARRIVAL_MS + WINDOW_MS), horizon_ms=HOUR_MS)
    old, _ = stage.keys(QUARANTINE)
    stage.oldest_arrival_ms = WINDOW.start_ms + 1

    redriven = stage.redrive()

    assert [(one.key, one.count) for one in redriven.skipped] == [(old, 1)]
    assert stage.readings() == {LATE[1]}
    assert old in stage.keys(QUARANTINE)


def test_no_window_that_a_redrive_joins_can_have_lost_a_partial() -> None:
    """The oldest reading of the oldest record lies the horizon before it; its window's first partial still lives."""
    now_ms, horizon_ms, retention_ms = 10**12, LATENESS_HORIZON_MS, 30 * 24 * HOUR_MS

    oldest_ms = oldest_arrival_ms(now_ms=now_ms, horizon_ms=horizon_ms, partials_retention_ms=retention_ms)

    assert oldest_ms - horizon_ms + retention_ms == now_ms + EXPIRY_MARGIN_MS


def test_a_dry_run_counts_and_invokes_nothing(stage: Stage) -> None:
    """What would be done, and nothing of it."""
    stage.consume(record(b"bad"))
    before = stage.state.fingerprint()

    redriven = stage.redrive(dry_run=True)

    assert (redriven.delivered.records, redriven.delivered.invocations) == (1, 1)
    assert stage.state.fingerprint() == before
    assert stage.events == []


# ---- on-failure ----------------------------------------------------------------------------------------------------


def given_up(*records: Record, payload: object = "text") -> bytes:
    """The invocation record that Lambda writes for a batch; `payload`: text, object or None."""
    event = json.loads(encode_event(records))
    body = {
        "requestContext": {
            "requestId": "c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5",
            "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:windrow-dev-consumer",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 51,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "timestamp": "2026-11-20T10:12:00.123Z",
        "KinesisBatchInfo": {
            "shardId": records[0].shard,
            "startSequenceNumber": records[0].sequence_number,
            "endSequenceNumber": records[-1].sequence_number,
            "approximateArrivalOfFirstRecord": format_rfc3339(records[0].arrival_ms),
            "approximateArrivalOfLastRecord": format_rfc3339(records[-1].arrival_ms),
            "batchSize": len(records),
            "streamArn": records[0].stream_arn,
        },
    }
    if payload == "text":
        body["payload"] = json.dumps(event)
    elif payload == "object":
        body["payload"] = event
    return json.dumps(body).encode()


def in_stream(one: Record) -> StreamRecord:
    return StreamRecord(
        shard_id=one.shard,
        sequence_number=one.sequence_number,
        partition_key=one.partition_key,
        arrival_ms=one.arrival_ms,
        body=one.payload,
    )


SENT = [reading(f"sensor-{n}", at_ms=n) for n in range(3)]
BATCH = [record(payload, number=10 + n, arrival_ms=ARRIVAL_MS + n) for n, payload in enumerate(encoded(SENT))]


@pytest.mark.parametrize("payload", ["text", "object"])
def test_a_batch_that_was_given_up_is_delivered_as_it_was(stage: Stage, payload: str) -> None:
    """The object holds the event, as JSON within JSON or as an object, and stays where it is."""
    key = FAILURE_KEY.format(SHARD)
    stage.failures.put(key, given_up(*BATCH, payload=payload))

    redriven = stage.redrive()

    assert stage.readings() == set(SENT)
    assert [decode_event(json.loads(event)) for event in stage.events] == [BATCH]
    assert (redriven.delivered.records, redriven.objects, redriven.skipped) == (3, 1, [])
    assert stage.failures.get(key) is not None
    before = stage.state.fingerprint()
    stage.redrive()
    assert stage.state.fingerprint() == before


def test_a_batch_of_which_only_the_place_is_told_is_read_from_the_stream(stage: Stage) -> None:
    """By its sequence numbers, whatever else arrived at that time."""
    stage.failures.put(FAILURE_KEY.format(SHARD), given_up(*BATCH, payload=None))
    around = [record(b"no", number=9), *BATCH, record(b"no", number=13)]
    stage.stream = [in_stream(one) for one in around]

    stage.redrive()

    assert stage.readings() == set(SENT)
    assert stage.quarantine() == []


@pytest.mark.parametrize("retained", [[], BATCH[1:], BATCH[:-1], [BATCH[0], BATCH[2]]])
def test_a_batch_that_the_stream_no_longer_has_whole_stays(stage: Stage, retained: list[Record]) -> None:
    """A part of it would look as if it were done."""
    key = FAILURE_KEY.format(SHARD)
    stage.failures.put(key, given_up(*BATCH, payload=None))
    stage.stream = [in_stream(one) for one in retained]

    redriven = stage.redrive()

    assert [(one.key, one.count) for one in redriven.skipped] == [(key, 3)]
    assert stage.events == []


def test_a_batch_older_than_the_partials_stays(stage: Stage) -> None:
    """Judged by its first record."""
    stage.failures.put(FAILURE_KEY.format(SHARD), given_up(*BATCH))
    stage.oldest_arrival_ms = BATCH[0].arrival_ms
    assert stage.redrive().skipped == []

    stage.oldest_arrival_ms += 1

    assert len(stage.redrive().skipped) == 1


def test_something_else_in_the_bucket_stays_and_is_named(stage: Stage) -> None:
    """It stops nothing."""
    stage.failures.put("a-note.txt", b"remember the milk")
    stage.failures.put(FAILURE_KEY.format(SHARD), given_up(*BATCH))

    redriven = stage.redrive()

    assert [one.key for one in redriven.skipped] == ["a-note.txt"]
    assert stage.readings() == set(SENT)


def test_quarantine_and_failures_can_be_redriven_apart(stage: Stage) -> None:
    """Each by itself."""
    stage.consume(record(b"bad"))
    stage.failures.put(FAILURE_KEY.format(SHARD), given_up(*BATCH))

    assert stage.redrive(dry_run=True, of_quarantine=False).delivered.records == 3
    assert stage.redrive(dry_run=True, of_failures=False).delivered.records == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        given_up(*BATCH).replace(b"startSequenceNumber", b"start"),
        given_up(*BATCH).replace(b"2026-11-20T10:06:00.000Z", b"yesterday"),
        given_up(*BATCH).replace(b'"payload": "{', b'"payload": "['),
    ],
)
def test_what_is_no_invocation_record_is_refused(body: bytes) -> None:
    """With one kind of error."""
    with pytest.raises(UnreadableFailure):
        decode_failure(body)


def test_a_key_tells_its_shard() -> None:
    """For the order only; what is not Lambda's has none."""
    assert shard_of_key(FAILURE_KEY.format(SHARD)) == SHARD
    assert shard_of_key("a-note.txt") == ""


def test_quarantine_objects_of_the_version_before_are_read() -> None:
    """They have no column for the place in a block."""
    line = {
        "reason": "not_json",
        "detail": "no",
        "stream": "windrow-test",
        "shard": SHARD,
        "sequence_number": "7",
        "index": 3,
        "arrival_time": "2026-11-20 10:06:00.000",
        "payload_base64": "YmFk",
    }

    (one,) = decode_quarantine(gzip.compress(json.dumps(line).encode()))

    assert (one.block_row, one.payload, one.arrival_ms) == (None, b"bad", ARRIVAL_MS)


# ---- messages of devices -------------------------------------------------------------------------------------------

MESSAGE_KEY = "iot/2026/11/20/{}-01234567-89ab-cdef-0123-45678900000{}"


def put_aside(payload: bytes) -> bytes:
    """What the error action of the rule of AWS IoT Core writes."""
    body = {
        "ruleName": "windrow_dev",
        "topic": "devices/42/readings",
        "clientId": "42",
        "base64OriginalPayload": base64.b64encode(payload).decode(),
        "failures": [{"errorMessage": "Rate exceeded"}],
    }
    return json.dumps(body).encode()


def test_a_message_that_did_not_reach_the_stream_counts_after_a_redrive(stage: Stage) -> None:
    """Beside batches that Lambda gave up; a second redrive, and one after the message arrived too, change nothing."""
    first, second, third = encoded(SENT)
    stage.failures.put(FAILURE_KEY.format(SHARD), given_up(BATCH[0]))
    stage.failures.put(MESSAGE_KEY.format(ARRIVAL_MS, 1), put_aside(second))
    stage.failures.put(MESSAGE_KEY.format(ARRIVAL_MS + 1, 2), put_aside(third))
    stage.failures.put(MESSAGE_KEY.format(ARRIVAL_MS + 2, 3), put_aside(first))

    redriven = stage.redrive()

    assert stage.readings() == set(SENT)
    assert (redriven.delivered.records, redriven.objects, redriven.skipped) == (4, 4, [])
    before = stage.state.fingerprint()
    stage.redrive()
    assert stage.state.fingerprint() == before


def test_a_message_that_is_no_reading_goes_to_quarantine_with_its_bytes(stage: Stage) -> None:
    """As it would have from the stream: its reason is the consumer's, its arrival that of the failure."""
    stage.failures.put(MESSAGE_KEY.format(ARRIVAL_MS, 1), put_aside(b"\xff\x00"))
    stage.redrive()
    [one] = stage.quarantine()
    assert (one.payload, one.arrival_ms) == (b"\xff\x00", ARRIVAL_MS)


def test_messages_are_found_by_time_and_left_alone_when_too_old(stage: Stage) -> None:
    """The search's bounds are those of batches; what could join windows that lost partials stays."""
    key = MESSAGE_KEY.format(ARRIVAL_MS, 1)
    stage.failures.put(key, put_aside(encoded(SENT)[0]))
    assert stage.redrive(QuarantineSearch(start_ms=ARRIVAL_MS + 1, end_ms=EVERYTHING.end_ms)).objects == 0
    assert stage.redrive(QuarantineSearch(start_ms=0, end_ms=ARRIVAL_MS)).objects == 0
    assert stage.redrive(QuarantineSearch(start_ms=0, end_ms=EVERYTHING.end_ms, shard=SHARD)).objects == 0
    stage.oldest_arrival_ms = ARRIVAL_MS + 1
    [skipped] = stage.redrive().skipped
    assert (skipped.key, skipped.count) == (key, 1)
    assert "may have expired" in skipped.why
    assert stage.readings() == set()


def test_an_object_that_is_no_message_is_named(stage: Stage) -> None:
    """The others are redriven."""
    stage.failures.put(MESSAGE_KEY.format(ARRIVAL_MS, 1), b"{}")
    stage.failures.put(MESSAGE_KEY.format(ARRIVAL_MS, 2), put_aside(encoded(SENT)[0]))
    [skipped] = stage.redrive().skipped
    assert skipped.why.startswith("not a message that can be sent again: KeyError")
    assert stage.readings() == {SENT[0]}
