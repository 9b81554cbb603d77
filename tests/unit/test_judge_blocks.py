"""Records that hold blocks, or too much: judged beside all others, and nothing in them hurts a neighbour."""

import base64
import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.event import Record, decode_event
from processors.judge import Judgement
from processors.judge_blocks import BAD_ROW_BYTES, BAD_ROWS_ALWAYS, BAD_ROWS_MAX, bad_rows_max, judge_all, readings_max
from tests.consuming import encode_event
from tests.horizon import LATENESS_HORIZON_MS
from tests.unit.stream_records import ARRIVAL_MS, aggregated, encoded, reading, record
from windrow.columns.strings import Strings
from windrow.lake.quarantine import QuarantinedPayload
from windrow.quantities import TEMPERATURE_MAX_MILLI
from windrow.reading import (
    EARLINESS_MS_MAX,
    READINGS_PER_RECORD_MAX,
    Reading,
    Readings,
    Reason,
)
from windrow.wire.block import BLOCK_MAGIC
from windrow.wire.block.block import encode_block
from windrow.wire.json.strict import parse_reading
from windrow.wire.kpl import MAGIC, seal

# A user record with key 0 and an empty payload, as short as one can be.
TINY_USER_RECORD = b"\x1a\x04\x08\x00\x1a\x00"
# The same with tags that are spelled in two octets.
LONG_TINY_USER_RECORD = b"\x9a\x00\x05\x08\x00\x9a\x00\x00"


def judged(*records: Record) -> Judgement:
    return judge_all(records, horizon_ms=LATENESS_HORIZON_MS)


def block(*readings: Reading) -> bytes:
    return encode_block(Readings.of(readings))


def columns(count: int) -> Readings:
    """`count` readings, too many to be made one by one."""
    return Readings(
        Strings.of(["roof"]),
        np.zeros(count, np.int32),
        np.full(count, ARRIVAL_MS, np.int64),
        np.arange(count),
        np.zeros(count, np.int32),
    )


def test_json_aggregates_and_blocks_mix_in_one_batch() -> None:
    """Plain, aggregated, a block alone, and a block between JSON in an aggregate: all readings count, once each."""
    sent = [reading(f"sensor-{n}", at_ms=n) for n in range(9)]
    found = judged(
        record(encoded(sent[:1])[0], number=1),
        record(block(*sent[1:3]), number=2, arrival_ms=ARRIVAL_MS + 1),
        record(aggregated([*encoded(sent[3:4]), block(*sent[4:6]), *encoded(sent[6:7])]), number=3),
        record(aggregated(encoded(sent[7:])), number=4),
    )

    assert sorted(found.readings, key=lambda one: one.sensor_id) == sent
    assert found.rejected == ()
    arrived = dict(zip([one.sensor_id for one in found.readings], found.arrived_ms.tolist(), strict=True))
    assert {sensor for sensor, at_ms in arrived.items() if at_ms > ARRIVAL_MS} == {"sensor-1", "sensor-2"}


def test_a_reading_of_a_block_that_is_out_of_range_leaves_its_neighbours() -> None:
    """It is quarantined as the JSON that means the same, under its place in the aggregate and in the block."""
    good = [reading("roof", at_ms=t) for t in range(2)]
    bad = [
        reading("hot", milli=TEMPERATURE_MAX_MILLI + 1),
        reading("late", at_ms=-LATENESS_HORIZON_MS),
        reading("early", at_ms=2 * EARLINESS_MS_MAX),
        Reading("odd", ARRIVAL_MS, -1, 0),
    ]
    rows = [good[0], bad[0], bad[1], bad[2], good[1], bad[3]]

    found = judged(record(aggregated([b"bad", block(*rows)]), number=42))

    assert list(found.readings) == good
    by_row = {one.block_row: one for one in found.rejected}
    assert {row: (one.index, one.sequence_number, one.reason) for row, one in by_row.items()} == {
        None: (0, "42", Reason.NOT_JSON),
        1: (1, "42", Reason.TEMPERATURE_RANGE),
        2: (1, "42", Reason.TOO_LATE),
        3: (1, "42", Reason.TOO_EARLY),
        5: (1, "42", Reason.SEQUENCE),
    }
    assert parse_reading(by_row[2].payload) == bad[1]
    assert json.loads(by_row[1].payload)["temperature"] == pytest.approx(10_000.001)


@pytest.mark.parametrize("sensor_id", ["\0", "a\x1f", "a\x7fb", "\u0080", "é\u009f"])
def test_an_id_with_a_control_character_leaves_its_neighbours_in_the_block(sensor_id: str) -> None:
    """Each of its readings is quarantined, under its place; those before, between and behind them count."""
    good = [reading(at_ms=t) for t in range(3)]
    rows = [good[0], Reading(sensor_id, ARRIVAL_MS, 1, 5), good[1], Reading(sensor_id, ARRIVAL_MS, 2, 5), good[2]]

    found = judged(record(block(*rows), number=42))

    assert list(found.readings) == good
    assert [(one.block_row, one.reason) for one in found.rejected] == [(1, Reason.SENSOR_ID), (3, Reason.SENSOR_ID)]
    assert [json.loads(one.payload)["sensor_id"] for one in found.rejected] == [sensor_id, sensor_id]


@pytest.mark.parametrize("bad", [BAD_ROWS_ALWAYS, BAD_ROWS_ALWAYS + 1])
def test_of_many_bad_readings_the_block_is_kept_instead(bad: int) -> None:
    """The others count all the same; delivered again, the block comes to exactly this."""
    good = reading("roof")
    payload = block(good, *(Reading("hot", ARRIVAL_MS, n, TEMPERATURE_MAX_MILLI + 1) for n in range(bad)))
    assert bad_rows_max(len(payload)) == BAD_ROWS_ALWAYS

    found = judged(record(aggregated([b"bad", payload]), number=42))

    assert list(found.readings) == [good]
    rows = [one for one in found.rejected if one.index == 1]
    if bad == BAD_ROWS_ALWAYS:
        assert [one.block_row for one in rows] == list(range(1, bad + 1))
    else:
        (row,) = rows
        assert (row.reason, row.block_row, row.payload) == (Reason.BLOCK_READINGS, None, payload)
        assert row.detail.startswith(f"{bad} of {bad + 1} readings do not count, the first: temperature_range: ")


def test_a_longer_block_may_have_more_rows_in_quarantine() -> None:
    """In step with its bytes, up to a limit; so a megabyte of blocks, however small, comes to a bounded number."""
    assert bad_rows_max(0) == bad_rows_max(BAD_ROW_BYTES * BAD_ROWS_ALWAYS) == BAD_ROWS_ALWAYS
    assert bad_rows_max(BAD_ROW_BYTES * 100) == 100
    assert bad_rows_max(10**6) == BAD_ROWS_MAX


def test_the_first_rows_of_a_long_block_are_kept_one_by_one() -> None:
    """A block long enough for all of its bad readings, and one reading too many for it."""
    count = 40_000
    usual = np.random.default_rng(7).integers(0, 30_000, count)
    for bad, rows in ((100, 100), (300, 1)):
        milli = np.where(np.arange(count) < bad, TEMPERATURE_MAX_MILLI + 1, usual).astype(np.int32)
        payload = encode_block(replace(columns(count), value_milli=milli))
        assert 100 <= bad_rows_max(len(payload)) < 300
        found = judged(record(payload))
        assert len(found.rejected) == rows
        assert len(found.readings) == count - bad


def test_a_broken_block_is_quarantined_whole_and_its_neighbours_count() -> None:
    """With its bytes, so that a later version may read it."""
    payload = block(reading())[:-1]
    before, after = reading("before"), reading("after")

    found = judged(record(aggregated([*encoded([before]), payload, *encoded([after])])), record(payload, number=2))

    assert list(found.readings) == [before, after]
    assert [(one.sequence_number, one.index, one.block_row, one.reason, one.payload) for one in found.rejected] == [
        ("1", 1, None, Reason.BLOCK_MALFORMED, payload),
        ("2", 0, None, Reason.BLOCK_MALFORMED, payload),
    ]


def test_a_broken_aggregate_with_a_block_is_quarantined_whole() -> None:
    """The MD5 comes first, whatever is inside."""
    payload = aggregated([block(reading())])[:-1] + b"\0"

    (rejected,) = judged(record(payload)).rejected

    assert (rejected.reason, rejected.payload) == (Reason.AGGREGATE_DIGEST, payload)


# ---- readings per record -------------------------------------------------------------------------------------------


def tiny_user_records(count: int) -> bytes:
    return seal(b"\x0a\x01a" + TINY_USER_RECORD * count)


@pytest.mark.slow
@pytest.mark.parametrize("long_tags", [False, True])
def test_a_record_with_too_many_user_records_is_quarantined_whole(long_tags: bool) -> None:
    """One row instead of a hundred thousand, however the tags are spelled; its neighbours count."""
    one = LONG_TINY_USER_RECORD if long_tags else TINY_USER_RECORD
    bomb = seal(b"\x0a\x01a" + one * (READINGS_PER_RECORD_MAX + 1))

    found = judged(record(bomb, number=1), record(encoded([reading()])[0], number=2))

    assert list(found.readings) == [reading()]
    assert [(one.reason, one.payload == bomb) for one in found.rejected] == [(Reason.TOO_MANY_READINGS, True)]


@pytest.mark.slow
def test_as_many_user_records_as_allowed_are_judged() -> None:
    """The limit itself is allowed: that all of them are bad is what is wrong with the record."""
    (rejected,) = judged(record(tiny_user_records(READINGS_PER_RECORD_MAX))).rejected

    assert rejected.reason == Reason.RECORD_PAYLOADS
    assert rejected.detail.startswith(f"{READINGS_PER_RECORD_MAX} of {READINGS_PER_RECORD_MAX} payloads")


def test_blocks_in_one_record_share_its_limit() -> None:
    """Half and half is allowed; with one JSON reading more, nothing of the record counts."""
    half = encode_block(columns(READINGS_PER_RECORD_MAX // 2))

    assert len(judged(record(aggregated([half, half]))).readings) == READINGS_PER_RECORD_MAX
    found = judged(record(aggregated([half, half, *encoded([reading()])])))
    assert len(found.readings) == 0
    assert [one.reason for one in found.rejected] == [Reason.TOO_MANY_READINGS]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"junk",
        encoded([reading()])[0],
        block(reading(), reading("b")),
        block(reading())[:-1],
        aggregated(encoded([reading(at_ms=t, sequence=0x1A1A1A) for t in range(26)])),
        aggregated([block(reading()), b"\x93"]),
        tiny_user_records(1_000),
        seal(b"\x0a\x01a" + LONG_TINY_USER_RECORD * 1_000),
        MAGIC,
    ],
    ids=["empty", "junk", "json", "block", "cut block", "aggregate", "block inside", "tiny", "long tiny", "magic"],
)
def test_the_bound_on_readings_is_never_too_low(payload: bytes) -> None:
    """It is told without decoding, so it may be too high."""
    found = judged(record(payload))

    assert len(found.readings) + len(found.rejected) <= readings_max(payload) <= READINGS_PER_RECORD_MAX


def test_the_bound_is_exact_for_aggregates_of_json() -> None:
    """So that an event full of them stays one slice."""
    payloads = encoded(reading(at_ms=t) for t in range(500))

    assert readings_max(aggregated(payloads)) <= 1.01 * len(payloads)


# ---- delivered by itself again -------------------------------------------------------------------------------------


def test_a_part_that_is_delivered_again_is_quarantined_as_what_it_was() -> None:
    """The event carries its place, so a redrive in vain adds no new payload to the quarantine."""
    (first,) = judged(record(aggregated([*encoded([reading()]), block(Reading("odd", ARRIVAL_MS, -1, 0))]))).rejected
    part = Record(
        stream_arn=record(b"").stream_arn,
        shard=first.shard,
        sequence_number=first.sequence_number,
        arrival_ms=ARRIVAL_MS,
        partition_key="a",
        payload=aggregated([first.payload]),
        index=first.index,
        block_row=first.block_row,
    )

    (again,) = decode_event(json.loads(encode_event([part])))
    assert again == part
    assert isinstance(again, Record)
    (rejected,) = judged(again).rejected
    assert isinstance(rejected, QuarantinedPayload)
    assert rejected == first


@pytest.mark.parametrize("place", [{"index": -1}, {"index": "1"}, {"index": True}, {"blockRow": 2**31}, {"index": 0.5}])
def test_a_place_that_is_none_makes_the_record_malformed(place: object) -> None:
    """It would not fit into the table."""
    event = json.loads(encode_event([record(b"{}")]))
    event["Records"][0]["windrowPlace"] = place

    (malformed,) = decode_event(event)

    assert not isinstance(malformed, Record)
    assert "place" in malformed.detail


def test_what_looks_like_a_block_within_json_is_json() -> None:
    """The magic decides only where it is the beginning of a payload."""
    text = encoded([reading()])[0]
    odd = text[:-1] + b',"note":"' + base64.b64encode(BLOCK_MAGIC) + b'"}'
    raw = b'{"x":"' + BLOCK_MAGIC + b'"}'

    found = judged(record(aggregated([odd, raw])))

    assert list(found.readings) == [reading()]
    assert [(one.index, one.reason) for one in found.rejected] == [(1, Reason.NOT_UTF8)]


@pytest.mark.parametrize("form", ["json", "block", "block beside json"])
@given(
    records=st.lists(
        st.tuples(st.integers(0, 10**6), st.lists(st.sampled_from(["good", "late", "early"]), min_size=1, max_size=4)),
        min_size=1,
        max_size=4,
    )
)
def test_each_reading_that_counts_has_the_arrival_of_its_own_record(
    form: str, records: list[tuple[int, list[str]]]
) -> None:
    """However many of its neighbours, in its record or in others, do not count."""
    off_ms = {"good": 0, "late": -LATENESS_HORIZON_MS - 1, "early": EARLINESS_MS_MAX + 1}
    numbers = itertools.count()
    expected: dict[int, int] = {}
    sent: list[Record] = []
    for at, (delay_ms, kinds) in enumerate(records):
        arrival_ms = ARRIVAL_MS + delay_ms
        readings = []
        for kind in kinds:
            one = Reading("roof", arrival_ms + off_ms[kind], next(numbers), 20_000)
            readings.append(one)
            if kind == "good":
                expected[one.sequence] = arrival_ms
        body = aggregated(encoded(readings)) if form == "json" else block(*readings)
        if form == "block beside json":
            body = aggregated([*encoded(readings[:1]), block(*readings)])
        sent.append(record(body, number=at + 1, arrival_ms=arrival_ms))
    found = judged(*sent)
    arrivals = zip(found.readings.sequence.tolist(), found.arrived_ms.tolist(), strict=True)
    assert set(arrivals) == set(expected.items())
