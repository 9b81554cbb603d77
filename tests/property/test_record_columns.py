"""The records of an event as columns are those read one by one: in bytes, order, slices, partials and quarantine."""

import json
import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.bookmark import Bookmark, begun_by
from processors.consumer import plan, slices
from processors.event import MalformedRecord, Record, decode_event
from processors.record_columns import (
    RecordColumns,
    arrivals_of,
    payloads_of,
    records_of,
    sequence_numbers_of,
    take_records,
)
from tests.consuming import encode_event
from tests.horizon import LATENESS_HORIZON_MS
from tests.property import wire
from tests.unit.stream_records import aggregated, encoded, reading, record
from tests.unit.test_event import records
from windrow.payloads.load import load_contract
from windrow.payloads.reader import ContractReader
from windrow.reading import Readings
from windrow.wire.block.block import encode_block
from windrow.wire.kpl import MAGIC, seal

ARRIVAL_MS = 1_795_169_500_000
HARMS: tuple[Any, ...] = (
    "missing",
    "",
    "0",
    "1" * 129,
    "1" * 130,
    "\u0663",  # a digit that is not ASCII
    "-1",
    "1.5",
    1545084650.987,
    1545084650.9865,
    1545084650,
    -0.0,
    -1,
    253_402_300_799.5,
    253_402_300_800.0,
    10**400,
    math.nan,
    math.inf,
    True,
    None,
    [],
    {},
    "====",
    "=",
    "QQ=",
    "QQ=Q",
    "QQ==",
    "QR==",  # bits that are left over
    "QUE=",
    "QQ==QUJD",
    "QQ==\n",
    "é",
    "\ud800",
    "shardId-000000000001",
    "shardId-000000000001:",
    "shardId-00000000000\u0661:1",
    "arn:aws:kinesis:eu-central-1:123456789012:stream/other",
    {"index": 3, "blockRow": None},
    {"index": -1},
)
FIELDS = (
    "kinesis",
    "sequenceNumber",
    "data",
    "approximateArrivalTimestamp",
    "partitionKey",
    "eventID",
    "eventSourceARN",
    "windrowPlace",
)


CONTRACT = """
[[payload]]
sensor_id = "sensor_id"
time = { path = "event_time", form = "epoch_ms" }
[payload.quantity.temperature]
path = "temperature"
unit = "C"
"""


def harmed(raw: Any, name: str, harm: Any) -> None:
    within = raw["kinesis"] if name in raw["kinesis"] else raw
    if harm == "missing":
        within.pop(name, None)
    else:
        within[name] = harm


def assert_same(event: Any) -> None:
    """The same records, values and order; with reprs, because a malformed record may hold NaN."""
    assert [*map(repr, records_of(event))] == [*map(repr, decode_event(event))]


@pytest.mark.slow
@given(st.lists(records, max_size=4), st.lists(st.tuples(st.integers(0, 3), st.sampled_from(FIELDS)), max_size=2))
def test_any_records_are_read_as_defined(sent: list[Record], harms: list[tuple[int, str]]) -> None:
    """Of one shard or several, sound or with a field that is missing, whatever the sizes of their payloads."""
    raws = json.loads(encode_event(sent))["Records"]
    for place, name in harms:
        if place < len(raws) and isinstance(raws[place].get("kinesis"), dict):
            harmed(raws[place], name, "missing")

    assert_same({"Records": raws})


@pytest.mark.parametrize("name", FIELDS)
def test_every_harm_to_every_field_is_read_as_defined(name: str) -> None:
    """First, between sound records, last and alone."""
    for harm in HARMS:
        for place in range(3):
            raws = json.loads(encode_event([record(b"a" * (n + 1), number=n) for n in range(3)]))["Records"]
            harmed(raws[place], name, harm)

            assert_same({"Records": raws})
            assert_same({"Records": raws[place : place + 1]})


@pytest.mark.parametrize("raws", [[], [17], [None], ["text"], [[]], [{}], [{"kinesis": {}}]])
def test_what_is_no_record_is_read_as_defined(raws: list[Any]) -> None:
    """Alone and behind a sound record."""
    assert_same({"Records": raws})
    assert_same({"Records": [*json.loads(encode_event([record(b"x")]))["Records"], *raws]})


@given(st.lists(st.binary(max_size=5), min_size=1, max_size=20))
def test_sound_records_of_one_shard_are_columns(payloads: list[bytes]) -> None:
    """Whatever their bytes are: with and without padding, empty ones too; what columns are asked for, they give."""
    sent = [record(payload, number=99 + n, arrival_ms=ARRIVAL_MS + n) for n, payload in enumerate(payloads)]
    event = json.loads(encode_event(sent))

    columns = records_of(event)

    assert isinstance(columns, RecordColumns)
    assert list(columns) == decode_event(event) == sent
    assert list(columns[1:3]) == sent[1:3]
    odd = arrivals_of(sent)[1::2] - ARRIVAL_MS
    assert list(take_records(columns, odd)) == list(take_records(sent, odd)) == sent[1::2]
    assert arrivals_of(columns).tolist() == arrivals_of(sent).tolist()
    assert list(payloads_of(columns)) == list(payloads_of(sent)) == payloads
    assert sequence_numbers_of(columns) == sequence_numbers_of(sent)


def mixed_event(seed: int) -> Any:
    """An event of 100 records: JSON in several styles, some of it bad, with aggregates, blocks and junk among them."""
    rng = random.Random(seed)
    payloads = wire.batch(seed, rng.sample(wire.STYLES, 2), size=rng.choice((3, 150)), odd=0.1, damaged=0.1)
    payloads[:0] = encoded([reading(at_ms=at) for at in range(0, 900, 300)])
    sound = [reading(f"roof-{at % 7}", at_ms=at % 600) for at in range(40)]
    late = [reading(at_ms=-LATENESS_HORIZON_MS), *sound]
    others = (
        lambda: aggregated(rng.sample(payloads, 3)),
        lambda: aggregated([*rng.sample(payloads, 2), encode_block(Readings.of(sound))]),
        lambda: encode_block(Readings.of(rng.choice((sound, late)))),
        lambda: encode_block(Readings.of(sound))[:-9],
        lambda: MAGIC + rng.randbytes(rng.choice((3, 16, 40))),
        lambda: seal(rng.randbytes(9)),
        lambda: aggregated([]),
        lambda: b"",
    )
    bodies = [rng.choice(others)() if rng.random() < 0.2 else rng.choice(payloads) for _ in range(100)]
    places = list(range(1, 1 + len(bodies)))
    rng.shuffle(places)
    sent = [record(body, number=n, arrival_ms=ARRIVAL_MS + n) for body, n in zip(bodies, places, strict=True)]
    if rng.random() < 0.3:
        sent[0] = record(bodies[0], shard="shardId-000000000001")
    raws = json.loads(encode_event(sent))["Records"]
    if rng.random() < 0.3:
        harmed(rng.choice(raws), rng.choice(FIELDS[1:]), rng.choice(HARMS))
    return {"Records": raws}


def sizes_of(cuts: Sequence[Sequence[Record | MalformedRecord]]) -> list[list[str]]:
    return [[one.sequence_number for one in cut] for cut in cuts]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_both_ways_come_to_the_same_objects(seed: int) -> None:
    """Slices, keys and bytes of partials, markers and quarantine, counts, where a bookmark goes on; by contract too."""
    event = mixed_event(seed)
    columns, one_by_one = records_of(event), decode_event(event)
    reader = ContractReader(load_contract(CONTRACT)) if seed % 3 == 0 else None

    cut, expected = (list(slices(way, readings_max_per_slice=50, reader=reader)) for way in (columns, one_by_one))
    assert sizes_of(cut) == sizes_of(expected)
    assert len(cut) > 1
    for ours, theirs in zip([columns, *cut], [one_by_one, *expected], strict=True):
        for now_ms in (ARRIVAL_MS, ARRIVAL_MS + 3_600_000):
            settings: Any = {"now_ms": now_ms, "horizon_ms": LATENESS_HORIZON_MS, "reader": reader}
            assert plan(ours, **settings) == plan(theirs, **settings)
        for last in (ours[-1].sequence_number, ours[0].sequence_number, "7", ""):
            assert begun_by(Bookmark(last), ours) == begun_by(Bookmark(last), theirs)


def test_the_mixed_events_are_read_both_as_columns_and_one_by_one() -> None:
    """Otherwise the test above would compare something with itself."""
    kinds = [isinstance(records_of(mixed_event(seed)), RecordColumns) for seed in range(12)]

    assert 3 <= sum(kinds) <= 10
