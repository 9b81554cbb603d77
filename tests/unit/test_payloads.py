"""Payloads as slices of one buffer."""

import numpy as np
import pytest

from windrow.columns.payloads import COPIED_OCTETS_MAX, PADDING_OCTETS, Payloads, join_octets


def test_a_column_gives_back_its_payloads() -> None:
    """One by one and by position, empty ones too."""
    payloads = [b"{}", b"", b"\0 and more", b"x"]
    assert list(Payloads.of(payloads)) == payloads
    assert Payloads.of(payloads)[2] == b"\0 and more"
    assert len(Payloads.of([])) == 0


@pytest.mark.parametrize("length", [1, COPIED_OCTETS_MAX, 5 * COPIED_OCTETS_MAX])
def test_payloads_at_places_are_those_one_by_one(length: int) -> None:
    """In any order, twice, with others between them, near each other and far apart; and none at all."""
    column = Payloads.of([b"%d" % number * length for number in range(9)] + [b""])
    for places in ([7, 2, 2, 9, 3], [8, 0], [4], [9], []):
        wanted = np.array(places, np.int64)
        assert list(column.objects(wanted)) == [column[place] for place in places]


def test_a_beginning_must_lie_within_the_payload() -> None:
    """In the buffer the next payload goes on where a shorter one ends."""
    column = Payloads.of([b"\x93windrow\x01", b"\x93wind", b"row", b"", b"\x93windrow"])
    assert column.begin_with(b"\x93windrow").tolist() == [True, False, False, False, True]
    assert column.begin_with(b"\x93").tolist() == [True, True, False, False, True]


def test_the_padding_is_behind_every_payload() -> None:
    """Whoever reads whole words, reads on."""
    octets = join_octets([b"ab", b"c"])
    assert octets[:3].tobytes() == b"abc"
    assert np.array_equal(octets[3:], np.zeros(PADDING_OCTETS, np.uint8))
