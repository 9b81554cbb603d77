"""Blocks are another spelling of the same readings: neither the form nor the cut decides what is counted."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.consumer import slices
from processors.event import Record, decode_event
from processors.judge import PAYLOAD_ROWS_ALWAYS
from processors.judge_blocks import judge_all
from tests.consuming import encode_event
from tests.horizon import LATENESS_HORIZON_MS
from tests.property.strategies import FIRST_WINDOW_MS, batches
from tests.unit.stream_records import aggregated, encoded, reading, record
from windrow.reading import Reading, Readings, is_sound
from windrow.rows.partial import partials_of
from windrow.window import WINDOW_MS
from windrow.wire.block.block import decode_block, encode_block

ARRIVAL_MS = FIRST_WINDOW_MS + 2 * WINDOW_MS


@given(batches().filter(len))
def test_a_block_gives_back_every_reading_in_order(sent: list[Reading]) -> None:
    """Duplicates, conflicts, hostile ids and all."""
    readings = decode_block(encode_block(Readings.of(sent)))

    assert list(readings) == sent
    assert is_sound(readings).all()


@pytest.mark.slow
@given(batches(max_size=30), st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=5))
def test_any_mix_of_blocks_and_json_comes_to_the_same_partials(
    sent: list[Reading], cuts: list[tuple[int, bool]]
) -> None:
    """In aggregates, plain and as blocks, in any cut: the digests are those of the set."""
    bounds = sorted({0, len(sent), *(min(at, len(sent)) for at, _ in cuts)})
    forms = [is_block for _, is_block in cuts]
    payloads: list[bytes] = []
    for place, (first, end) in enumerate(pairwise(bounds)):
        part = sent[first:end]
        payloads += [encode_block(Readings.of(part))] if place < len(forms) and forms[place] else encoded(part)
    whole = [record(aggregated(payloads), arrival_ms=ARRIVAL_MS)] if payloads else []
    alone = [record(payload, number=n, arrival_ms=ARRIVAL_MS) for n, payload in enumerate(payloads)]

    expected = [partial.digest for partial in partials_of(Readings.of(sent))]
    for records in (whole, alone):
        judged = judge_all(records, horizon_ms=LATENESS_HORIZON_MS)
        assert judged.rejected == ()
        assert [partial.digest for partial in partials_of(judged.readings)] == expected


@dataclass(frozen=True)
class Part:
    """A payload of an aggregate, how many readings of it count, and the rows that do not (None: all of it)."""

    payload: bytes
    good: int
    bad: tuple[int | None, ...] = ()


def json_part(number: int) -> Part:
    return Part(encoded([reading(f"json-{number}")])[0], 1)


def bad_json_part(number: int) -> Part:
    return Part(b"no JSON %d" % number, 0, (None,))


def broken_block_part(number: int) -> Part:
    return Part(encode_block(Readings.of([reading(f"broken-{number}")]))[:-1], 0, (None,))


def block_part(is_bad: list[bool]) -> Part:
    """A block some of whose readings have a sequence that is none."""
    rows = [reading(f"block-{row}", sequence=-1 if bad else row) for row, bad in enumerate(is_bad)]
    bad = tuple(row for row, bad in enumerate(is_bad) if bad)
    return Part(encode_block(Readings.of(rows)), len(rows) - len(bad), bad)


parts = st.lists(
    st.one_of(
        st.integers(0, 9).map(json_part),
        st.integers(0, 9).map(bad_json_part),
        st.integers(0, 9).map(broken_block_part),
        st.lists(st.booleans(), min_size=1, max_size=6).map(block_part),
    ),
    min_size=1,
    max_size=7,
).filter(lambda mixed: sum(part.payload.startswith(b"no JSON") for part in mixed) <= PAYLOAD_ROWS_ALWAYS)
"""Aggregates whose bad payloads are quarantined each by itself; others are kept whole, see test_judge_hostile."""


def bad_places(part: Part) -> Sequence[int | None]:
    """The rows in quarantine of a part; a small block with more than four bad ones is there whole, without a row."""
    is_kept_whole = len(part.bad) > max(4, len(part.payload) // 512)
    return (None,) if is_kept_whole else part.bad


@given(parts, st.integers(0, 1_000))
def test_what_does_not_count_is_quarantined_under_its_place(mixed: list[Part], first_index: int) -> None:
    """Index in the aggregate and row in the block, in any company; counted from the place that the event names."""
    whole = replace(record(aggregated([part.payload for part in mixed])), index=first_index)

    judged = judge_all([whole], horizon_ms=LATENESS_HORIZON_MS)

    expected = [(first_index + at, row) for at, part in enumerate(mixed) for row in bad_places(part)]
    assert sorted(((one.index, one.block_row) for one in judged.rejected), key=repr) == sorted(expected, key=repr)
    assert len(judged.readings) == sum(part.good for part in mixed)
    for one in judged.rejected:
        if one.block_row is None:
            assert one.payload == mixed[one.index - first_index].payload


@given(parts)
def test_what_is_delivered_from_the_quarantine_again_in_vain_adds_nothing_to_it(mixed: list[Part]) -> None:
    """Each payload by itself, under the place that it had: the same entry, whatever it was beside."""
    whole = record(aggregated([part.payload for part in mixed]), number=7)
    for first in judge_all([whole], horizon_ms=LATENESS_HORIZON_MS).rejected:
        alone = replace(whole, payload=aggregated([first.payload]), index=first.index, block_row=first.block_row)
        (delivered,) = decode_event(json.loads(encode_event([alone])))
        assert isinstance(delivered, Record)
        assert judge_all([delivered], horizon_ms=LATENESS_HORIZON_MS).rejected == (first,)


@given(st.lists(st.tuples(parts, st.booleans()), max_size=6), st.integers(1, 12))
def test_a_slice_of_several_records_keeps_to_its_limit(batch: list[tuple[list[Part], bool]], most: int) -> None:
    """Whatever they hold and however: the readings that are judged in it are no more than the limit."""
    records = [
        record(body, number=number)
        for number, (mixed, is_aggregated) in enumerate(batch)
        for body in ([aggregated([part.payload for part in mixed])] if is_aggregated else [mixed[0].payload])
    ]

    cut = list(slices(records, readings_max_per_slice=most))

    assert [one for part in cut for one in part] == records
    for part in cut:
        judged = judge_all(part, horizon_ms=LATENESS_HORIZON_MS)
        assert len(part) == 1 or len(judged.readings) + len(judged.rejected) <= most
