"""The column of strings against plain lists of strings."""

import unicodedata

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.property.strategies import sensor_ids
from windrow.columns import arrow
from windrow.columns.strings import Strings

# Of any characters: this column holds more than ids.
any_strings = st.one_of(st.just(""), sensor_ids, st.sampled_from(["a\0", "a\0\0", "\0"]), st.text(max_size=20))
# Strings that differ in one octet about the ends of words, by a zero octet, or in their lengths alone.
_near = st.builds(
    lambda length, tail: "x" * length + tail,
    st.sampled_from([0, 6, 7, 8, 14, 15, 16, 23]),
    st.text("ab\0é", max_size=3),
)
lists = st.lists(st.one_of(any_strings, _near), max_size=30)


@given(lists)
def test_a_column_gives_back_its_strings(strings: list[str]) -> None:
    """`of` and `to_list` are inverse, and so is the conversion to Arrow and back."""
    column = Strings.of(strings)
    assert column.to_list() == strings
    assert arrow.strings_of(arrow.string_column(column)).to_list() == strings


@given(lists, lists)
def test_concat_is_list_addition(some: list[str], others: list[str]) -> None:
    """The strings of one column follow those of the other."""
    assert Strings.concat([Strings.of(some), Strings.of(others)]).to_list() == some + others


@given(lists.filter(bool), st.data())
def test_take_is_indexing(strings: list[str], data: st.DataObject) -> None:
    """For any positions, repeated or not."""
    positions = data.draw(st.lists(st.integers(0, len(strings) - 1), max_size=40))
    taken = Strings.of(strings).take(np.array(positions, np.int64))
    assert taken.to_list() == [strings[position] for position in positions]


@pytest.mark.parametrize("times", [1, 80], ids=["few", "many"])
@given(strings=lists)
# Zero octets are no part of a sensor id, but padding is made of them: these differ in their lengths alone.
@example(strings=["a", "a\0", "a\0\0", "a"])
@example(strings=["", "\0"])
@example(strings=["12345678", "12345678\0", "1234567"])
@example(strings=["x" * 16, "x" * 16 + "\0" * 9, "x" * 16 + "\0"])
@example(strings=["1234567a", "1234567b", "-"])
@example(strings=["12345678a", "12345678b", "-"])
@example(strings=["12345678123456a", "12345678123456b", "12345678123456a-"])
@example(strings=["a", "b", "b", "c"])
def test_rank_sorts_by_bytes_and_distinguishes_trailing_nuls(strings: list[str], times: int) -> None:
    """Distinct strings ascend by their UTF-8, and each string gets its position; few are ranked in another way."""
    distinct, place = Strings.of(strings * times).rank()
    assert distinct.to_list() == sorted(set(strings), key=str.encode)
    assert [distinct.to_list()[which] for which in place] == strings * times


@pytest.mark.parametrize("width", [7, 8, 9, 15, 16, 20, 24])
@given(st.data())
def test_rank_of_strings_of_one_width(width: int, data: st.DataObject) -> None:
    """Whose bytes are read as words where they lie, the last word from the end; zero bytes are bytes."""
    alphabet = st.sampled_from(b"\0\x01az\xff")
    octets = data.draw(st.lists(st.lists(alphabet, min_size=width, max_size=width).map(bytes), min_size=1, max_size=9))
    distinct, place = Strings.of_octets(octets * 80).rank()
    assert [distinct.octets_at(at) for at in range(len(distinct))] == sorted(set(octets))
    assert [distinct.octets_at(at) for at in place] == octets * 80


@pytest.mark.parametrize("times", [1, 80], ids=["few", "many"])
@given(st.lists(st.sets(st.one_of(any_strings, _near), max_size=12), min_size=1, max_size=9))
@example([set()])
@example([{"a", "a\0"}, set(), {"a\0"}])
def test_united_bits_say_which_columns_have_each_string(times: int, columns: list[set[str]]) -> None:
    """The distinct strings ascend, and bit i is set for those in column i."""
    every = [{f"{number}{one}" for one in column for number in range(times)} for column in columns]
    united, bits = Strings.united_bits(
        [Strings.of(sorted(column, key=str.encode)) for column in every], [1 << place for place in range(len(every))]
    )
    assert united.to_list() == sorted(set().union(*every), key=str.encode)
    has = [[place for place in range(len(every)) if one >> place & 1] for one in bits.tolist()]
    assert has == [[place for place, column in enumerate(every) if one in column] for one in united.to_list()]


@given(st.lists(st.binary(max_size=6), max_size=30))
@example([b"a\xc3", b"\xa9", b"e"])
@example(["é".encode(), b"", b"\xff"])
def test_are_utf8_is_what_decoding_says(octets: list[bytes]) -> None:
    """For each string by itself, although they share a buffer."""
    assert [bool(ok) for ok in Strings.of_octets(octets).are_utf8()] == [decodes(string) for string in octets]


@given(st.lists(st.binary(max_size=6), max_size=30))
@example([bytes([octet]) for octet in range(256)])
def test_are_plain_is_decided_string_by_string(octets: list[bytes]) -> None:
    """Neighbours in the buffer do not matter."""
    escaped = {*range(0x20), *b'"\\'}
    assert Strings.of_octets(octets).are_plain().tolist() == [not escaped & set(string) for string in octets]


@given(lists)
@example(["é", "\u00a0", "\u009f", "\u0080", "~\x7f", "\x1f", " ", ""])
def test_characters_and_controls_are_found_string_by_string(strings: list[str]) -> None:
    """As Python counts them, and as Unicode's category Cc has them."""
    column = Strings.of(strings)
    assert column.characters.tolist() == [len(string) for string in strings]
    assert column.have_controls().tolist() == [any(map(is_control, string)) for string in strings]


@given(st.lists(st.binary(max_size=4), max_size=30))
@example([b"a\xc2", b"\x80", b"a"])
@example([b"a\xc2", b"b", b"\xc2a"])
def test_invalid_utf8_never_gives_a_neighbour_a_control_character(octets: list[bytes]) -> None:
    """The result for a valid string does not depend on its neighbours."""
    have_controls = Strings.of_octets(octets).have_controls().tolist()
    for one, has_control in zip(octets, have_controls, strict=True):
        if decodes(one):
            assert has_control == any(map(is_control, one.decode()))


@given(st.lists(st.one_of(st.binary(max_size=20), st.just(b"y" * 300)), min_size=1, max_size=30), st.data())
def test_slices_of_a_buffer_become_a_column(octets: list[bytes], data: st.DataObject) -> None:
    """In any order, repeated or not, up to the buffer's end; also when one is far longer than the others."""
    column = Strings.of_octets(octets)
    positions = np.array(data.draw(st.lists(st.integers(0, len(octets) - 1), max_size=40)), np.int64)
    taken = Strings.of_slices(column.octets, column.offsets[positions], column.lengths[positions])
    assert [taken.octets_at(position) for position in range(len(taken))] == [octets[which] for which in positions]


@pytest.mark.parametrize("missing", range(5))
def test_a_slice_that_ends_before_the_longest_would(missing: int) -> None:
    """The buffer ends `missing` bytes too early for a fetch of the longest length, from none on."""
    octets = np.arange(20, dtype=np.uint8)
    starts, lengths = np.array([0, 20 - 6 + missing], np.int64), np.array([6, 6 - missing], np.int64)
    taken = Strings.of_slices(octets, starts, lengths)
    assert [taken.octets_at(place) for place in range(2)] == [bytes(range(6)), bytes(range(14 + missing, 20))]


@given(
    st.one_of(st.lists(st.binary(max_size=3)), st.lists(st.binary(min_size=3, max_size=3))),
    st.lists(st.binary(max_size=4)),
)
@example([b"ab", b"ac"], [b"ab", b"ab\0", b"abc", b""])
@example([b"a\0", b"ac"], [b"a", b"a\0"])
def test_positions_count_what_is_less(strings: list[bytes], needles: list[bytes]) -> None:
    """In byte order, whatever the lengths are, and zeros count."""
    ascending = sorted(strings)
    positions = Strings.of_octets(ascending).positions_of(needles)
    assert positions == [sum(string < needle for string in ascending) for needle in needles]


def is_control(character: str) -> bool:
    return unicodedata.category(character) == "Cc"


def decodes(string: bytes) -> bool:
    try:
        string.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(lists, sensor_ids)
def test_a_prefix_comes_before_each_string(strings: list[str], prefix: str) -> None:
    """Also of empty strings."""
    assert Strings.of(strings).with_prefix(prefix.encode()).to_list() == [prefix + string for string in strings]


@given(lists)
def test_the_width_is_that_of_all_strings(strings: list[str]) -> None:
    """0 if widths differ, and if there are no strings."""
    widths = {len(string.encode()) for string in strings}
    assert Strings.of(strings).width == (widths.pop() if len(widths) == 1 else 0)
