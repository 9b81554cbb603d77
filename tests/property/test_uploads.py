"""The uploads' laws: neither the form, nor the objects, nor the batches, nor their order decide what is counted."""

import gzip
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.puts import Deadline, Puts
from processors.upload import judge_upload
from processors.upload_event import UploadRef
from processors.uploads import UploadsConsumer, receipt_of
from tests.consuming import consume
from tests.horizon import LATENESS_HORIZON_MS
from tests.property.strategies import FIRST_WINDOW_MS, batches
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from tests.unit.stream_records import record
from tests.uploading import UploadsInMemory
from windrow.lake.layout import PARTIALS, RECEIPTS
from windrow.reading import Reading, Readings
from windrow.rows.partial import Partial, union
from windrow.rows.partial_parquet import decode_partial
from windrow.window import WINDOW_MS, Window
from windrow.wire.block.block import encode_block
from windrow.wire.json.encode import encode_readings
from windrow.wire.kpl import UserRecord, aggregate

ARRIVAL_MS = FIRST_WINDOW_MS + 2 * WINDOW_MS
IN_TIME = Deadline(lambda: 60_000)
PUTS = Puts(2)


def lines(readings: Sequence[Reading]) -> bytes:
    return b"\n".join(encode_readings(Readings.of(readings)))


def blocks(readings: Sequence[Reading]) -> bytes:
    half = len(readings) // 2
    return b"".join(encode_block(Readings.of(part)) for part in (readings[:half], readings[half:]) if part)


def aggregates(readings: Sequence[Reading]) -> bytes:
    return aggregate([UserRecord("key", payload) for payload in encode_readings(Readings.of(readings))])


FORMS: list[Callable[[Sequence[Reading]], bytes]] = [
    lines,
    blocks,
    aggregates,
    lambda readings: gzip.compress(lines(readings)),
    lambda readings: lines(readings) + b"\n{}\n" + blocks(readings),
]
objects = st.lists(st.tuples(batches(max_size=12).filter(bool), st.sampled_from(FORMS)), min_size=1, max_size=5)


def partials(state: S3State) -> dict[Window, Partial]:
    """The union of each window's partials."""
    found: dict[Window, list[Partial]] = {}
    for key, stored in state.buckets.get("lake", {}).items():
        if key.startswith(PARTIALS):
            one = decode_partial(stored.body)[0]
            found.setdefault(one.window, []).append(one)
    return {window: union(window, some) for window, some in found.items()}


@given(sent=objects, data=st.data())
@pytest.mark.slow
def test_the_stream_and_any_batches_of_objects_come_to_the_same_sets(
    sent: list[tuple[list[Reading], Callable[[Sequence[Reading]], bytes]]], data: st.DataObject
) -> None:
    """Events in any order, some twice, in batches of any size: the sets are those that the stream comes to."""
    bucket, uploaded, streamed = UploadsInMemory(), S3State(), S3State()
    refs = []
    for number, (readings, form) in enumerate(sent):
        kind = "application/vnd.apache.arrow.stream" if form is FORMS[-1] else ""
        stored = bucket.put(f"uploads/{number}", form(readings), at_ms=ARRIVAL_MS, content_type=kind)
        refs.append(UploadRef(stored.key, stored.version))
    events = data.draw(st.permutations(refs + data.draw(st.lists(st.sampled_from(refs), max_size=4))))
    group_readings_max = data.draw(st.sampled_from([1, 10, 1_000]))
    consumer = UploadsConsumer(
        source=bucket,
        lake=SimulatedStore(uploaded.apply, "lake"),
        horizon_ms=LATENESS_HORIZON_MS,
        puts=PUTS,
        group_readings_max=group_readings_max,
    )
    cuts = [0, *sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=3))), len(events)]
    for start, end in pairwise(cuts):
        consumer.process(events[start:end], deadline=IN_TIME, now_ms=ARRIVAL_MS)

    payloads = encode_readings(Readings.of([one for readings, _ in sent for one in readings]))
    records = [
        record(payload, number=number, arrival_ms=ARRIVAL_MS) for number, payload in enumerate(payloads, start=1)
    ]
    consume(records, store=SimulatedStore(streamed.apply, "lake"), now_ms=ARRIVAL_MS, horizon_ms=LATENESS_HORIZON_MS)
    assert partials(uploaded) == partials(streamed)

    receipts = {key: stored.body for key, stored in uploaded.buckets["lake"].items() if key.startswith(RECEIPTS)}
    alone = [receipt_of(judge_upload(one, horizon_ms=LATENESS_HORIZON_MS)) for one in bucket.stored]
    assert receipts == {receipt.lake_key: receipt.to_json() for receipt in alone}
    for receipt, (readings, form) in zip(alone, sent, strict=True):
        times = 2 if form is FORMS[-1] else 1
        assert receipt.readings == len(set(readings))
        assert receipt.readings + receipt.duplicates == times * len(readings)


@given(st.binary(max_size=200), st.sampled_from(["", "text/csv", "application/json", "application/x-ndjson"]))
def test_any_bytes_have_a_receipt(body: bytes, content_type: str) -> None:
    """Whatever somebody uploads, it is judged, and what does not count has a reason."""
    stored = UploadsInMemory().put("uploads/a", body, at_ms=ARRIVAL_MS, content_type=content_type)

    found = judge_upload(stored, horizon_ms=LATENESS_HORIZON_MS)

    assert len(found.judged.rejected) == len(found.rejected)
    assert found.first <= found.last
    assert bool(found.refusal) == any(reason.startswith("upload_") for reason in found.rejected)
