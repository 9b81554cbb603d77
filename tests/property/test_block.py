"""Blocks are another spelling of the same readings: neither the form nor the cut decides what is counted."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from processors.blocks import judge_all
from tests.property.strategies import FIRST_WINDOW_MS, batches
from tests.unit.stream_records import aggregated, encoded, record
from windrow.block import decode_block, encode_block
from windrow.partial import partials_of
from windrow.reading import LATENESS_HORIZON_MS, Reading, Readings, is_sound
from windrow.window import WINDOW_MS

ARRIVAL_MS = FIRST_WINDOW_MS + 2 * WINDOW_MS


@given(batches().filter(len))
def test_a_block_gives_back_every_reading_in_order(sent: list[Reading]) -> None:
    """Duplicates, conflicts, hostile ids and all."""
    readings = decode_block(encode_block(Readings.of(sent)))

    assert list(readings) == sent
    assert is_sound(readings).all()


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
