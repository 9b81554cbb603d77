"""Sorting rows by several columns at once, against sorting tuples."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from windrow.columns import order

_EDGES = [0, 1, 2, 2**31, 2**32 - 1, 2**32, 2**62, 2**63 - 1]
_values = st.one_of(
    st.sampled_from(_EDGES), st.integers(0, 62).map(lambda bit: 1 << bit), st.integers(0, 2**63 - 1), st.integers(0, 3)
)
_signed = st.one_of(_values, _values.map(lambda value: -value - 1))
# Rows of which each differs from 0 in one bit alone, in three words: however they are packed, each bit counts.
_EACH_BIT = [(0, 0, 0)] + [
    tuple(1 << bit if at == column else 0 for at in range(3)) for column in range(3) for bit in range(63)
]
_rows = st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[_values] * width), min_size=1, max_size=40))


@given(_rows)
# 64 bits fill a word, 65 do not fit: rows that differ in the first bit alone, or in the last.
@example([(0, 0), (2**32, 0), (0, 2**32 - 1), (2**32, 2**32 - 1), (0, 0)])
@example([(0, 0), (1, 0), (0, 1), (2**32, 2**31), (0, 2**31)])
@example([(0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 2**62, 0), (0, 2**62, 1), (0, 0, 0)])
@example([(0, 7), (1, 7), (2, 7)])  # a column without bits, behind one with some
@example(_EACH_BIT)
@example([(1, 2**63 - 1), (0, 2**63 - 1), (1, 0), (0, 0), (3, 0), (3, 2**63 - 1)])
def test_distinct_is_the_sorted_set(rows: list[tuple[int, ...]]) -> None:
    """Whatever the total bits of the columns, no two rows are merged and none is lost."""
    found = order.distinct([np.array(column, np.int64) for column in zip(*rows, strict=True)])
    assert list(zip(*(column.tolist() for column in found), strict=True)) == sorted(set(rows))


@given(st.integers(1, 62), st.integers(-1, 2), st.integers(0, 2**32))
def test_distinct_keeps_rows_apart_about_the_width_of_a_word(first_bits: int, beyond: int, seed: int) -> None:
    """Two columns of 63 to 66 bits in all, with every corner of their ranges."""
    second_bits = min(63, max(1, 64 + beyond - first_bits))
    rng = np.random.default_rng(seed)
    highest = (2**first_bits - 1, 2**second_bits - 1)
    corners = [(one, other) for one in (0, 1, highest[0]) for other in (0, 1, highest[1])]
    low = tuple(int(rng.integers(-(2**31), 0)) if bits < 62 else 0 for bits in (first_bits, second_bits))
    rows = [(low[0] + one, low[1] + other) for one, other in corners]
    found = order.distinct([np.array(column, np.int64) for column in zip(*rows, strict=True)])
    assert list(zip(*(column.tolist() for column in found), strict=True)) == sorted(set(rows))


@given(st.lists(st.tuples(_signed, _signed), min_size=1, max_size=40))
@example([(-1, 0), (0, 0), (-1, 2**32), (0, 2**32)])
def test_distinct_takes_columns_below_zero(rows: list[tuple[int, int]]) -> None:
    """If the range of each column fits into 63 bits."""
    columns = [np.array(column, np.int64) for column in zip(*rows, strict=True)]
    if any(int(column.max()) - int(column.min()) >= 2**63 for column in columns):
        return
    found = order.distinct(columns)
    assert list(zip(*(column.tolist() for column in found), strict=True)) == sorted(set(rows))


@given(_rows)
@example([(0, 0), (2**32, 1), (0, 2**33), (2**32, 0)])
@example(_EACH_BIT)
@example([(2**63 - 1, *row) for row in _EACH_BIT] + [(0, 0, 0, 0)])
def test_ascending_is_an_order_of_the_rows(rows: list[tuple[int, ...]]) -> None:
    """Each row appears once, and none before a lesser one."""
    places = order.ascending([np.array(column, np.uint64) for column in zip(*rows, strict=True)])
    assert sorted(places.tolist()) == list(range(len(rows)))
    assert [rows[place] for place in places.tolist()] == sorted(rows)
