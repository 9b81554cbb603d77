"""The consumer's laws: neither the cut of a batch, nor its repetition, nor its neighbours decide what is counted."""

import base64
import gzip
import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.event import Record, decode_event
from tests.consuming import consume, encode_event
from tests.horizon import LATENESS_HORIZON_MS
from tests.property.strategies import FIRST_WINDOW_MS, batches, readings
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from windrow.lake.layout import MARKERS, PARTIALS, QUARANTINE, parse_marker_key, parse_partial_key
from windrow.reading import Reading, Readings, Reason
from windrow.rows.partial_parquet import decode_partial
from windrow.window import WINDOW_MS, Window
from windrow.wire.json.encode import encode_readings
from windrow.wire.kpl import MAGIC, UserRecord, aggregate, seal

LAKE = "lake"
# In the middle of the readings' world: some come early, some late, all count.
ARRIVAL_MS = FIRST_WINDOW_MS + 2 * WINDOW_MS
STREAM_ARN = "arn:aws:kinesis:eu-central-1:123456789012:stream/windrow-test"

# Nothing that could be taken for a reading.
junk = st.one_of(
    st.binary(max_size=60),
    st.binary(max_size=60).map(lambda tail: MAGIC + tail),
    st.binary(max_size=60).map(seal),
    st.sampled_from([b"{}", b"[]", b"null", b'{"sensor_id": "a", "event_time": 1, "temperature": NaN}', b"[" * 3_000]),
)


def as_record(payload: bytes, number: int, *, arrival_ms: int = ARRIVAL_MS) -> Record:
    return Record(
        stream_arn=STREAM_ARN,
        shard="shardId-000000000000",
        sequence_number=str(number),
        arrival_ms=arrival_ms,
        partition_key="a",
        payload=payload,
    )


def as_records(payloads: Sequence[bytes], sizes: Sequence[int]) -> list[Record]:
    """The payloads in order, in aggregates of `sizes` (1 is a plain record), the rest plain."""
    records: list[Record] = []
    rest = list(payloads)
    for size in [*sizes, *[1] * len(payloads)]:
        if not rest:
            break
        taken, rest = rest[:size], rest[size:]
        body = taken[0] if size == 1 else aggregate([UserRecord("key", payload) for payload in taken])
        records.append(as_record(body, len(records)))
    return records


def encoded(sent: Sequence[Reading]) -> list[bytes]:
    return encode_readings(Readings.of(sent))


class Lake:
    def __init__(self) -> None:
        self.state = S3State()

    def consume(self, records: Sequence[Record], *, now_ms: int = ARRIVAL_MS) -> int:
        store = SimulatedStore(self.state.apply, LAKE)
        return consume(records, store=store, now_ms=now_ms, horizon_ms=LATENESS_HORIZON_MS).objects_new

    def objects(self, root: str) -> dict[str, bytes]:
        objects = self.state.buckets.get(LAKE, {})
        return {key: stored.body for key, stored in objects.items() if key.startswith(root)}

    def readings(self) -> set[Reading]:
        return {one for body in self.objects(PARTIALS).values() for one in decode_partial(body)[0].readings}

    def quarantine(self) -> list[dict[str, Any]]:
        bodies = self.objects(QUARANTINE).values()
        return [json.loads(line) for body in bodies for line in gzip.decompress(body).splitlines()]

    def quarantined(self) -> list[bytes]:
        return sorted(base64.b64decode(row["payload_base64"]) for row in self.quarantine())


aggregate_sizes = st.lists(st.integers(1, 8), max_size=30)
cuts = st.lists(st.integers(0, 80), max_size=6)


@pytest.mark.slow
@given(batches(), aggregate_sizes, cuts)
def test_any_cut_of_the_records_gives_the_same_set(sent: list[Reading], sizes: list[int], at: list[int]) -> None:
    """Bisected, restarted or whole: the union of the partials is the set of readings that were sent."""
    records = as_records(encoded(sent), sizes)
    lake = Lake()
    bounds = [0, *sorted(min(cut, len(records)) for cut in at), len(records)]

    for first, end in pairwise(bounds):
        lake.consume(records[first:end])

    assert lake.readings() == set(sent)
    assert lake.quarantine() == []


@pytest.mark.slow
@given(batches(), aggregate_sizes, aggregate_sizes)
def test_how_the_producer_aggregates_does_not_matter(sent: list[Reading], some: list[int], others: list[int]) -> None:
    """The same readings in other aggregates give partials of the same digests."""
    digests = []
    for sizes in (some, others):
        lake = Lake()
        lake.consume(as_records(encoded(sent), sizes))
        digests.append({parse_partial_key(key).digest for key in lake.objects(PARTIALS)})

    assert digests[0] == digests[1]


@pytest.mark.slow
@given(batches(), st.lists(junk, max_size=4), aggregate_sizes, st.integers(0, 3))
def test_redelivery_writes_nothing_new(
    sent: list[Reading], bad: list[bytes], sizes: list[int], windows_later: int
) -> None:
    """The same batch again, however much later, finds every partial and every quarantined payload there."""
    records = as_records([*encoded(sent), *bad], sizes)
    lake = Lake()
    lake.consume(records)
    before = {**lake.objects(PARTIALS), **lake.objects(QUARANTINE)}

    lake.consume(records, now_ms=ARRIVAL_MS + windows_later * WINDOW_MS)
    new = lake.consume(records, now_ms=ARRIVAL_MS + windows_later * WINDOW_MS)

    assert {**lake.objects(PARTIALS), **lake.objects(QUARANTINE)} == before
    assert new == 0


@pytest.mark.slow
@given(batches(), st.lists(junk, max_size=6), st.randoms(use_true_random=False))
def test_junk_between_records_costs_no_neighbour_and_is_kept(
    sent: list[Reading], bad: list[bytes], random: Any
) -> None:
    """Every reading counts, and every junk record's bytes are in quarantine, once each."""
    payloads = [*encoded(sent), *bad]
    random.shuffle(payloads)
    lake = Lake()

    lake.consume([as_record(payload, number) for number, payload in enumerate(payloads)])

    assert lake.readings() == set(sent)
    # A sealed body may be a sound aggregate of nothing, or of payloads that are no readings.
    whole = [payload for payload in bad if not payload.startswith(MAGIC)]
    kept = lake.quarantined()
    assert all(kept.count(payload) >= whole.count(payload) for payload in whole)
    assert len([row for row in lake.quarantine() if row["reason"] == Reason.AGGREGATE_DIGEST]) == sum(
        payload.startswith(MAGIC) and seal(payload[4:-16]) != payload for payload in bad
    )


@given(batches(max_size=20), st.lists(st.binary(max_size=60), max_size=4), st.randoms(use_true_random=False))
def test_junk_within_an_aggregate_costs_no_neighbour_and_names_its_place(
    sent: list[Reading], bad: list[bytes], random: Any
) -> None:
    """Each bad payload is quarantined under its position in the aggregate; all others count."""
    places = [*encoded(sent), *bad]
    random.shuffle(places)
    lake = Lake()

    whole = aggregate([UserRecord("key", payload) for payload in places])
    places = places or [whole]  # an aggregate of nothing is bad itself

    lake.consume([as_record(whole, 1)])

    assert lake.readings() == set(sent)
    assert lake.quarantined() == (sorted(bad) if sent or bad else [whole])
    assert all(places[row["index"]] == base64.b64decode(row["payload_base64"]) for row in lake.quarantine())


@given(st.lists(st.tuples(st.one_of(junk, st.binary(max_size=300)), st.integers(0, 2**43)), max_size=6))
def test_no_bytes_raise_and_each_record_leaves_a_trace(arrivals: list[tuple[bytes, int]]) -> None:
    """Whatever arrives, whenever: none of it is a reading, and each record has a row in quarantine."""
    records = [as_record(payload, number, arrival_ms=at) for number, (payload, at) in enumerate(arrivals)]
    lake = Lake()

    lake.consume(records)

    traced = {row["sequence_number"] for row in lake.quarantine()}
    assert [record for record in records if record.sequence_number not in traced] == []


@given(st.binary(min_size=1, max_size=8), st.integers(0, 400), batches(max_size=10))
def test_a_damaged_aggregate_is_quarantined_whole(patch: bytes, at: int, sent: list[Reading]) -> None:
    """Bytes overwritten anywhere behind the magic fail the MD5: no part counts, all bytes are kept."""
    sound = aggregate([UserRecord("key", payload) for payload in encoded(sent)])
    position = len(MAGIC) + at % (len(sound) - len(MAGIC))
    damaged = (sound[:position] + patch + sound[position + len(patch) :])[: len(sound)]
    lake = Lake()

    lake.consume([as_record(damaged, 1)])

    if damaged == sound:
        assert lake.readings() == set(sent)
    else:
        assert lake.readings() == set()
        assert lake.quarantined() == [damaged]


@given(readings(), st.integers(-LATENESS_HORIZON_MS - 10, 300_010))
def test_a_reading_counts_exactly_within_its_bounds(one: Reading, ahead_ms: int) -> None:
    """From the horizon before its record's arrival to five minutes after it, both inclusive."""
    lake = Lake()

    lake.consume([as_record(encoded([one])[0], 1, arrival_ms=one.event_time_ms - ahead_ms)])

    assert bool(lake.readings()) == (-LATENESS_HORIZON_MS <= ahead_ms <= 300_000)
    assert len(lake.readings()) + len(lake.quarantine()) == 1


@given(batches(), st.integers(-3 * WINDOW_MS, 6 * WINDOW_MS))
def test_markers_name_exactly_the_partials_of_windows_that_have_ended(sent: list[Reading], later_ms: int) -> None:
    """Each marker's digest is that of a partial of its window, and no such partial lacks one."""
    lake = Lake()
    now_ms = ARRIVAL_MS + later_ms

    lake.consume(as_records(encoded(sent), []), now_ms=now_ms)

    partials = {(key.window, key.digest) for key in map(parse_partial_key, lake.objects(PARTIALS))}
    markers = {(key.window, key.digest) for key in map(parse_marker_key, lake.objects(MARKERS))}
    assert markers == {(window, digest) for window, digest in partials if now_ms > window.end_ms + 60_000}
    assert {window for window, _ in partials} == {Window.containing(one.event_time_ms) for one in sent}


@given(batches(), st.lists(st.tuples(st.integers(0, 80), st.integers(-1, 1)), max_size=60))
def test_late_counts_each_reading_that_no_record_brought_in_time(
    sent: list[Reading], copies: list[tuple[int, int]]
) -> None:
    """Once, however often it came late, and not at all if any copy of it came in time; window by window."""
    deliveries = [(sent[which % len(sent)], off_ms) for which, off_ms in copies] if sent else []
    lake = Lake()

    lake.consume(
        [
            as_record(encoded([one])[0], number, arrival_ms=last_in_time_ms(one) + off_ms)
            for number, (one, off_ms) in enumerate(deliveries)
        ]
    )

    late = {one for one, _ in deliveries} - {one for one, off_ms in deliveries if off_ms <= 0}
    told = [(parse_partial_key(key).window, decode_partial(body)[1]) for key, body in lake.objects(PARTIALS).items()]
    assert {window: delivery.late for window, delivery in told if delivery.late} == Counter(map(window_of, late))
    assert sum(delivery.duplicates for _, delivery in told) == len(deliveries) - len({one for one, _ in deliveries})


def window_of(one: Reading) -> Window:
    return Window.containing(one.event_time_ms)


def last_in_time_ms(one: Reading) -> int:
    """Two minutes after the end of the reading's window."""
    return window_of(one).end_ms + 120_000


@pytest.mark.slow
@given(batches(max_size=20), aggregate_sizes)
def test_the_event_carries_a_batch_unchanged(sent: list[Reading], sizes: list[int]) -> None:
    """Replayed through an event of our own making, the batch writes nothing new."""
    records = as_records(encoded(sent), sizes)
    lake = Lake()
    lake.consume(records)
    before = lake.state.fingerprint()

    lake.consume(decode_event(json.loads(encode_event(records))))  # type: ignore[arg-type]

    assert lake.state.fingerprint() == before
