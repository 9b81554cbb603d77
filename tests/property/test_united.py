"""A roll that goes on from a united set ends as one that reads all partials, whatever came in between, and how."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial as bind

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dispatcher.patch
import dispatcher.rows
from dispatcher.additions import Additions
from dispatcher.spill import Spill
from tests.property.test_roll_window import ROWS
from tests.simulation.lake import Row, at, lineage_of, partial_of, partial_put, rows_of, tick, united_of, window_at
from tests.simulation.simulated_s3 import S3State
from windrow.rows import united_parquet
from windrow.rows.lineage import Lineage
from windrow.rows.united_parquet import FORMAT, UnreadableRange, decode_range, encode_range

WINDOW = window_at("10:00")
SCHEDULED = at("10:07")
NEVER = 1 << 30


@dataclasses.dataclass(frozen=True)
class Arrival:
    """One partial, as delivered; whether a tick follows."""

    rows: list[Row]
    first: int
    late: int
    duplicates: int
    is_ticked: bool


@st.composite
def arrivals(draw: st.DrawFn) -> list[Arrival]:
    """Partials of few readings, many of them shared; some of them once more, from another place of the stream."""
    pool = draw(st.lists(ROWS, min_size=1, max_size=16))
    sets = draw(st.lists(st.lists(st.sampled_from(pool), min_size=1, max_size=8), min_size=1, max_size=7))
    again = draw(st.lists(st.sampled_from(sets), max_size=4))
    places = draw(st.permutations(range(len(sets) + len(again))))
    return [
        Arrival(rows, first, draw(st.integers(0, 3)), draw(st.integers(0, 3)), draw(st.booleans()))
        for rows, first in zip(draw(st.permutations(sets + again)), places, strict=True)
    ]


@contextmanager
def bounds(*, united_above: int, held_max: int) -> Iterator[None]:
    """Bounds that few readings reach."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispatcher.rows, "UNITED_ABOVE_PARTIALS", united_above)
        patch.setattr(dispatcher.rows, "Spill", bind(Spill, held_max=held_max))
        patch.setattr(dispatcher.patch, "Spill", lambda window, **how: Spill(window, **how | {"held_max": held_max}))
        patch.setattr(dispatcher.patch, "Additions", bind(Additions, held_max=held_max))
        patch.setattr(dispatcher.patch, "ROLLED_PIECE_ROWS", 2)
        yield


def rolled_at_once(delivered: list[Arrival]) -> S3State:
    """All partials, then one tick that reads every one of them."""
    state = S3State()
    for one in delivered:
        state.apply(put_of(one))
    with bounds(united_above=NEVER, held_max=1 << 18):
        tick(state.apply, SCHEDULED)
    return state


def put_of(one: Arrival):
    """The put of the partial as this arrival delivered it."""
    return partial_put(WINDOW, one.rows, first=one.first, shard=one.first % 2, late=one.late, duplicates=one.duplicates)


def comparable(lineage: Lineage) -> Lineage:
    """The lineage but for what tells how it came about: revision and united set."""
    return dataclasses.replace(lineage, revision=0, united=None)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(arrivals(), st.sampled_from([1, 2, 5, 1 << 18]))
def test_rows_and_lineage_are_those_of_a_roll_of_everything(delivered: list[Arrival], held_max: int) -> None:
    """Bytes, readings, conflicts, duplicates, late and quarantined readings, partials and shards: all the same."""
    state = S3State()
    with bounds(united_above=0, held_max=held_max):
        for one in delivered:
            state.apply(put_of(one))
            if one.is_ticked:
                tick(state.apply, SCHEDULED)
        tick(state.apply, SCHEDULED)
    expected = rolled_at_once(delivered)
    assert rows_of(state, WINDOW) == rows_of(expected, WINDOW)
    lineage = lineage_of(state, WINDOW)
    assert comparable(lineage) == comparable(lineage_of(expected, WINDOW))
    assert united_of(state, lineage) == partial_of(WINDOW, [row for one in delivered for row in one.rows])


@given(st.lists(ROWS, min_size=1, max_size=30))
def test_a_range_survives_its_encoding(rows: list[Row]) -> None:
    """Reading what was written gives the same set."""
    partial = partial_of(WINDOW, rows)
    assert decode_range(encode_range(partial)) == partial


@given(st.lists(ROWS, min_size=1, max_size=3), st.data())
def test_damaged_bytes_are_unreadable_or_another_set(rows: list[Row], data: st.DataObject) -> None:
    """A range that is cut off is refused; nothing else is raised."""
    body = encode_range(partial_of(WINDOW, rows))
    with pytest.raises(UnreadableRange):
        decode_range(body[: data.draw(st.integers(0, len(body) - 1))])


def test_format_of_the_future_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A range that a later release wrote is not misread: the partials are read in its place."""
    with monkeypatch.context() as patch:
        patch.setattr(united_parquet, "FORMAT", FORMAT + 1)
        body = encode_range(partial_of(WINDOW, [("a", 0, 0, 1)]))
    with pytest.raises(UnreadableRange, match=f"format {FORMAT + 1}"):
        decode_range(body)
