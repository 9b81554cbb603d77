"""Batches of uploaded objects: partials, receipts, and whatever goes wrong with objects and their events."""

import json
from collections.abc import Iterator, Sequence

import pytest

from processors.event import decode_event
from processors.invoke import Answer, InvocationOutcome
from processors.puts import Deadline, Puts
from processors.redrive import Redrive
from processors.upload_event import SCHEDULED, UploadRef, decode_messages, is_schedule, ref_of
from processors.uploads import SWEEP_AFTER_MS, UploadsConsumer, UploadsResult
from tests.consuming import consume
from tests.horizon import LATENESS_HORIZON_MS
from tests.simulation.simulated_s3 import Operation, S3State, SimulatedStore, recording
from tests.unit.stream_records import ARRIVAL_MS, STREAM_ARN, WINDOW, encoded, reading
from tests.uploading import BUCKET, UploadsInMemory
from windrow.aws.stream import StreamRecord
from windrow.lake.layout import MARKERS, PARTIALS, QUARANTINE, RECEIPTS, parse_partial_key, parse_quarantine_key
from windrow.lake.quarantine_search import QuarantineSearch
from windrow.lake.receipt import Receipt, key_of_receipt
from windrow.lake.store import StoreError
from windrow.reading import Reading, Reason
from windrow.rows.partial_parquet import decode_partial

LAKE = "lake"
IN_TIME = Deadline(lambda: 60_000)
PUTS = Puts(4)


class Stage:
    """A bucket of uploads, a lake, and the uploads function between them."""

    def __init__(self, *, group_readings_max: int = 1_000) -> None:
        self.uploads = UploadsInMemory()
        self.state = S3State()
        self.operations: list[Operation] = []
        self.consumer = UploadsConsumer(
            source=self.uploads,
            lake=SimulatedStore(recording(self.state.apply, self.operations), LAKE),
            horizon_ms=LATENESS_HORIZON_MS,
            puts=PUTS,
            group_readings_max=group_readings_max,
        )

    def put(self, name: str, readings: Sequence[Reading], *, at_ms: int = ARRIVAL_MS) -> UploadRef:
        stored = self.uploads.put(f"uploads/{name}", b"\n".join(encoded(readings)), at_ms=at_ms)
        return UploadRef(stored.key, stored.version)

    def process(self, *refs: UploadRef, deadline: Deadline = IN_TIME, now_ms: int = ARRIVAL_MS) -> UploadsResult:
        return self.consumer.process(refs, deadline=deadline, now_ms=now_ms)

    def keys(self, root: str) -> list[str]:
        return sorted(key for key in self.state.buckets.get(LAKE, {}) if key.startswith(root))

    def readings(self) -> set[Reading]:
        bodies = [self.state.buckets[LAKE][key].body for key in self.keys(PARTIALS)]
        return {one for body in bodies for one in decode_partial(body)[0].readings}

    def receipts(self) -> list[Receipt]:
        found = [Receipt.from_json(self.state.buckets[LAKE][key].body) for key in self.keys(RECEIPTS)]
        return sorted(found, key=lambda one: (one.key, one.version))


def test_objects_of_a_batch_make_one_partial_a_window() -> None:
    """Twenty gateways, two windows, two partials with all that was sent, and a receipt each."""
    stage = Stage()
    sent = [[reading(f"s{number}"), reading(f"s{number}", at_ms=-1)] for number in range(20)]

    result = stage.process(*(stage.put(f"g{number}", some) for number, some in enumerate(sent)))

    assert stage.readings() == {one for some in sent for one in some}
    assert len(stage.keys(PARTIALS)) == 2
    assert parse_partial_key(stage.keys(PARTIALS)[0]).origin.stream == BUCKET
    assert [receipt.readings for receipt in stage.receipts()] == [2] * 20
    assert len(result.receipts) == 20


def test_an_event_that_comes_again_changes_nothing() -> None:
    """In the same batch, alone, or with other objects: the readings and the receipts are the same."""
    stage = Stage()
    one, two = stage.put("a", [reading("a")]), stage.put("b", [reading("b")])
    stage.process(one, two, one)
    before = {key: stage.state.buckets[LAKE][key].body for key in stage.keys(RECEIPTS)}
    readings = stage.readings()

    stage.process(two)
    stage.process(two, one)

    assert stage.readings() == readings
    assert {key: stage.state.buckets[LAKE][key].body for key in stage.keys(RECEIPTS)} == before
    assert len(before) == 2


def test_a_receipt_says_what_became_of_an_object() -> None:
    """Distinct readings, repetitions in the same object, what was rejected and why, and the windows."""
    stage = Stage()
    late = reading("a", at_ms=-LATENESS_HORIZON_MS - 120_000)
    ref = stage.put("a", [reading("a"), reading("a"), reading("b", at_ms=-1), late])

    stage.process(ref)

    (receipt,) = stage.receipts()
    assert (receipt.key, receipt.version, receipt.form) == (ref.key, ref.version, "lines")
    assert (receipt.readings, receipt.duplicates) == (2, 1)
    assert receipt.rejected == {Reason.TOO_LATE: 1}
    assert [window.index for window in receipt.windows] == [WINDOW.index - 1, WINDOW.index]
    assert (receipt.refusal, receipt.written_ms) == ("", ARRIVAL_MS)


def test_a_receipt_is_written_after_all_that_it_stands_for() -> None:
    """What has a receipt may be forgotten by whoever sent it."""
    stage = Stage()

    stage.process(stage.put("a", [reading("a"), reading("a", at_ms=-WINDOW.start_ms)]))

    roots = [operation.key.partition("/")[0] + "/" for operation in stage.operations if hasattr(operation, "key")]
    assert {PARTIALS, QUARANTINE, RECEIPTS} <= set(roots)
    assert roots[-1] == RECEIPTS
    assert RECEIPTS not in roots[:-1]


def test_an_object_that_cannot_be_read_stops_no_other() -> None:
    """It is quarantined under its own number, and its receipt says why it does not count."""
    stage = Stage()
    bad = stage.uploads.put("uploads/bad", b"\x1f\x8b but no gzip", at_ms=ARRIVAL_MS)

    stage.process(UploadRef(bad.key, bad.version), stage.put("good", [reading("a")]))

    assert stage.readings() == {reading("a")}
    refused, accepted = stage.receipts()
    assert refused.refusal.startswith("BadGzipFile")
    assert refused.rejected == {Reason.UPLOAD_UNREADABLE: 1}
    assert accepted.refusal == ""
    (quarantined,) = stage.keys(QUARANTINE)
    assert parse_quarantine_key(quarantined).count == 1


def test_an_object_that_is_gone_is_missing_and_one_that_is_hidden_is_not() -> None:
    """Deleting a key hides it, and its version is still read; what is deleted for good cannot count any more."""
    stage = Stage()
    hidden, gone = stage.put("hidden", [reading("a")]), stage.put("gone", [reading("b")])
    stage.uploads.delete(hidden.key)
    stage.uploads.delete(gone.key, gone.version)

    result = stage.process(hidden, gone, UploadRef(hidden.key, None))

    assert stage.readings() == {reading("a")}
    assert result.missing == [gone, UploadRef(hidden.key, None)]
    assert [receipt.key for receipt in stage.receipts()] == [hidden.key]


def test_versions_of_a_key_are_objects_of_their_own() -> None:
    """A key that is written again, against the rules, loses nothing: each version has its receipt."""
    stage = Stage()
    first, second = stage.put("a", [reading("a")]), stage.put("a", [reading("b")])

    stage.process(second, first)

    assert stage.readings() == {reading("a"), reading("b")}
    assert [receipt.version for receipt in stage.receipts()] == [first.version, second.version]


def test_an_object_that_s3_refuses_comes_again_and_stops_no_other() -> None:
    """Sealed with a key that the function may not use, for one."""
    stage = Stage()
    sealed, open_ = stage.put("sealed", [reading("a")]), stage.put("open", [reading("b")])
    stage.uploads.refused.add(sealed.key)

    result = stage.process(sealed, open_)

    assert stage.readings() == {reading("b")}
    assert [ref for ref, _ in result.unreadable] == [sealed]


def test_groups_bound_memory() -> None:
    """A group ends with the object that fills it; each object is opened once."""
    stage = Stage(group_readings_max=2)
    refs = [stage.put(f"g{number}", [reading(f"s{number}")]) for number in range(5)]

    result = stage.process(*refs)

    assert [written.plan.records for written in result.written] == [2, 2, 1]
    assert stage.uploads.opened == 5
    assert len(stage.readings()) == 5


def test_what_there_is_no_time_for_comes_again() -> None:
    """A group that would take longer than there is time is not begun; what is done stays done."""
    stage = Stage(group_readings_max=1)
    refs = [stage.put(f"g{number}", [reading(f"s{number}")]) for number in range(3)]
    left_ms = iter([33_000, 13_000, 13_000, 13_000, 13_000, 13_000, 13_000])

    result = stage.process(*refs, deadline=Deadline(lambda: next(left_ms, 13_000)))

    assert len(result.receipts) == 1
    assert result.unprocessed == refs[1:]


def test_what_cannot_be_written_is_raised() -> None:
    """So the whole batch comes again; and no object has a receipt that its readings have not earned."""
    stage = Stage()
    ref = stage.put("a", [reading("a")])

    def refuse(operation: Operation) -> object:
        raise StoreError("the lake is full")

    broken = UploadsConsumer(
        source=stage.uploads, lake=SimulatedStore(refuse, LAKE), horizon_ms=LATENESS_HORIZON_MS, puts=PUTS
    )
    with pytest.raises(StoreError, match="full"):
        broken.process([ref], deadline=IN_TIME, now_ms=ARRIVAL_MS)
    assert stage.keys(RECEIPTS) == []


def test_a_partial_after_its_windows_end_has_a_marker() -> None:
    """As the stream's: a gateway that was offline asks for another roll."""
    stage = Stage()
    ref = stage.put("a", [reading("a")])

    stage.process(ref, now_ms=ARRIVAL_MS + 600_000)

    assert len(stage.keys(MARKERS)) == 1


def test_the_sweep_finds_what_has_no_receipt() -> None:
    """Neither what is young, nor what is older than the stage looks back, nor what is done; the oldest first."""
    stage = Stage()
    minutes = [0, 5, 10, 20, 55]
    refs = [stage.put(f"g{m}", [reading(f"s{m}")], at_ms=ARRIVAL_MS + m * 60_000) for m in minutes]
    other = stage.uploads.put("elsewhere/a", b"{}", at_ms=ARRIVAL_MS + 60_000)
    stage.process(refs[2])
    now_ms = ARRIVAL_MS + 60 * 60_000

    found = stage.consumer.without_receipt(now_ms=now_ms, oldest_ms=ARRIVAL_MS + 1)

    assert found == [refs[1], refs[3]]
    assert UploadRef(other.key, other.version) not in found
    stage.process(*found)
    assert stage.consumer.without_receipt(now_ms=now_ms, oldest_ms=ARRIVAL_MS + 1) == []
    at_once = stage.consumer.without_receipt(now_ms=ARRIVAL_MS + 55 * 60_000 + SWEEP_AFTER_MS, oldest_ms=0)
    assert at_once == [refs[0], refs[4]]


def created(key: str, **changes: object) -> str:
    """The body of a message: the event of "Using EventBridge", Amazon S3 User Guide, cut to what is read."""
    stored = {"key": key, "size": 5, "etag": "b1946ac92492d2347c6235b4d2611184", "version-id": "v1"}
    detail = {"version": "0", "bucket": {"name": BUCKET}, "object": stored, "reason": "PutObject"}
    event = {"version": "0", "detail-type": "Object Created", "source": "aws.s3", "detail": detail}
    return json.dumps(event | changes)


def test_messages_name_objects_as_they_are_called() -> None:
    """A key of EventBridge is not escaped, unlike that of S3's older notifications."""
    body = created("uploads/a b+c/%20é.json")

    (message,) = decode_messages({"Records": [{"messageId": "m", "body": body}]}, bucket=BUCKET)

    assert (message.message_id, message.ref) == ("m", UploadRef("uploads/a b+c/%20é.json", "v1"))


@pytest.mark.parametrize(
    "body",
    [
        "no JSON",
        "{}",
        "[]",
        '{"detail": {"object": []}}',
        created("receipts/a"),
        created("uploads/a", **{"detail-type": "Object Deleted"}),
        created("uploads/a").replace(BUCKET, "another"),
    ],
)
def test_what_is_about_no_upload_of_this_stage_names_none(body: str) -> None:
    """It ends among the dead letters, where somebody can look at it."""
    assert ref_of(body, bucket=BUCKET) is None


def test_an_event_without_a_version_means_the_latest() -> None:
    """As a bucket without versions sends it."""
    stage = Stage()
    stage.put("a", [reading("a")])
    latest = stage.put("a", [reading("b")])

    result = stage.process(UploadRef(latest.key, None))

    assert [receipt.version for receipt in result.receipts] == [latest.version]
    assert stage.keys(RECEIPTS) == [key_of_receipt(f"{BUCKET}/{latest.key}?versionId={latest.version}")]


def test_a_schedule_is_told_from_messages() -> None:
    """By what EventBridge calls it."""
    assert is_schedule({"detail-type": SCHEDULED, "time": "2026-11-20T10:00:00Z"})
    assert not is_schedule({"Records": []})
    with pytest.raises(ValueError, match="no list of Records"):
        decode_messages({"detail-type": "other"}, bucket=BUCKET)


def test_a_receipt_survives_its_json() -> None:
    """Reading what was written gives an equal value; other bytes are no receipt."""
    stage = Stage()
    stage.process(stage.put("a", [reading("a"), reading("b", at_ms=-1)]))
    (receipt,) = stage.receipts()

    assert Receipt.from_json(receipt.to_json()) == receipt
    for body in (b"{}", b"[]", b"no JSON"):
        with pytest.raises(ValueError, match=r"receipt|Expecting"):
            Receipt.from_json(body)


def test_what_was_quarantined_of_an_object_can_be_redriven() -> None:
    """A payload that counts under a longer horizon becomes a partial; an object that is only named does not."""
    stage = Stage()
    old = reading("a", at_ms=-LATENESS_HORIZON_MS - 3_600_000)
    bad = stage.uploads.put("uploads/bad", b"PAR1", at_ms=ARRIVAL_MS)
    stage.process(stage.put("late", [old]), UploadRef(bad.key, bad.version))
    lake = SimulatedStore(stage.state.apply, LAKE)

    class Consumer:
        def invoke(self, event: bytes) -> Answer:
            horizon_ms = 2 * LATENESS_HORIZON_MS
            consume(decode_event(json.loads(event)), store=lake, now_ms=ARRIVAL_MS, horizon_ms=horizon_ms)
            return Answer(InvocationOutcome.DONE)

    redrive = Redrive(
        lake=lake,
        failures=SimulatedStore(stage.state.apply, "failures"),
        stream=NoStream(),
        stream_arn=STREAM_ARN,
        oldest_arrival_ms=0,
    )
    search = QuarantineSearch(start_ms=0, end_ms=ARRIVAL_MS + 1)

    result = redrive.run(search, of_quarantine=True, of_failures=True, invoker=Consumer())

    assert stage.readings() == {old}
    assert [(skipped.count, skipped.why) for skipped in result.skipped] == [
        (1, "it names an uploaded object: upload that again, as a new one")
    ]


class NoStream:
    """A stage without a stream."""

    def shard_records_between(self, shard_id: str, *, start_ms: int, end_ms: int) -> Iterator[StreamRecord]:
        raise AssertionError((shard_id, start_ms, end_ms))
