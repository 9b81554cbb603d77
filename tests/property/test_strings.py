"""The column of strings against plain lists of strings."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.property.strategies import sensor_ids
from windrow import arrow
from windrow.strings import Strings

lists = st.lists(st.one_of(st.just(""), sensor_ids), max_size=30)


@given(lists)
def test_a_column_gives_back_its_strings(strings: list[str]) -> None:
    """of and to_list are inverse, and so is the way through Arrow."""
    column = Strings.of(strings)
    assert column.to_list() == strings
    assert arrow.strings_of(arrow.string_column(column)).to_list() == strings


@given(lists, lists)
def test_concat_is_list_addition(some: list[str], others: list[str]) -> None:
    """One column after the other."""
    assert Strings.concat([Strings.of(some), Strings.of(others)]).to_list() == some + others


@given(lists.filter(bool), st.data())
def test_take_is_indexing(strings: list[str], data: st.DataObject) -> None:
    """Any positions, repeated or not."""
    positions = data.draw(st.lists(st.integers(0, len(strings) - 1), max_size=40))
    taken = Strings.of(strings).take(np.array(positions, np.int64))
    assert taken.to_list() == [strings[position] for position in positions]


@given(lists)
def test_rank_sorts_by_octets_and_tells_trailing_nuls_apart(strings: list[str]) -> None:
    """Distinct strings ascend by their UTF-8, and each string knows its place."""
    distinct, place = Strings.of(strings).rank()
    assert distinct.to_list() == sorted(set(strings), key=str.encode)
    assert [distinct.to_list()[which] for which in place] == strings
