"""However readings are cut into partials, delivered and rolled in between, a window ends with the same rows."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.rows_file import encode_rollup
from tests.simulation.lake import Row, at, lineage_of, partial_of, partial_put, rows_of, tick, window_at
from tests.simulation.simulated_s3 import S3State
from windrow.rows.rollup import roll

WINDOW = window_at("10:00")
SCHEDULED = at("10:07")

ROWS = st.tuples(
    st.sampled_from(["a", "b", "ä", "../../x", "\u00a0", "c" * 128]),
    st.sampled_from([0, 1, 150_000, 299_999]),
    st.sampled_from([0, 1, 2**63 - 1]),
    st.sampled_from([-273_150, 0, 1, 20_000, 10_000_000]),
)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Row], list[list[Row]], list[bool]]:
    """Readings; batches, in order of arrival, that hold each at least once; and which of them a tick follows."""
    rows = draw(st.lists(ROWS, min_size=1, max_size=12))
    redelivered = rows + draw(st.lists(st.sampled_from(rows), max_size=12))
    shuffled = draw(st.permutations(redelivered))
    cuts = sorted(draw(st.sets(st.integers(1, len(shuffled)), max_size=5)) | {0, len(shuffled)})
    batches = [list(shuffled[start:end]) for start, end in pairwise(cuts)]
    return rows, batches, [draw(st.booleans()) for _ in batches]


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(deliveries())
def test_any_delivery_gives_the_rows_of_the_set(delivery: tuple[list[Row], list[list[Row]], list[bool]]) -> None:
    """The rows are those of the set of readings, to the byte, and the lineage accounts for every reading delivered."""
    rows, batches, ticks = delivery
    state = S3State()
    for first, (batch, is_ticked) in enumerate(zip(batches, ticks, strict=True)):
        state.apply(partial_put(WINDOW, batch, first=first))
        if is_ticked:
            tick(state.apply, SCHEDULED)
    tick(state.apply, SCHEDULED)
    rollup = roll(partial_of(WINDOW, rows))
    lineage = lineage_of(state, WINDOW)
    assert rows_of(state, WINDOW) == encode_rollup(rollup)
    assert lineage.rows_sha256 == rollup.rows_sha256
    assert (lineage.readings, lineage.conflicts) == (int(rollup.readings.sum()), int(rollup.conflicts.sum()))
    delivered = sum(len(partial_of(WINDOW, batch)) for batch in batches)
    assert lineage.readings + lineage.conflicts + lineage.duplicates_removed == delivered
