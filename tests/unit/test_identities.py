"""Readings of files that share their identity, in small cases that can be counted by hand, in memory and on disk."""

from pathlib import Path

import pytest

from producers.files import identities
from producers.files.identities import IdentityBook
from windrow.reading import Readings

# sensor, time, sequence, thousandths
ROWS = [("b", 9, 0, 7), ("a", 5, 0, 3), ("a", 5, 0, 1), ("a", 5, 1, 1), ("b", 5, 0, 1), ("a", 5, 0, 3), ("b", 9, 0, 7)]
ROWS += [("a", 5, 1, 2)]


@pytest.fixture(params=[1, 3, 1_000], ids=["each spilled", "some spilled", "in memory"])
def book(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> IdentityBook:
    """The book of ROWS, added one by one, with so many held in memory."""
    monkeypatch.setattr(identities, "_HELD_ROWS", request.param)
    made = IdentityBook(tmp_path)
    for row in ROWS:
        made.add("temperature", Readings.of([row]))
    return made


def test_what_shares_sensor_time_and_sequence_is_counted(book: IdentityBook) -> None:
    """Of a at 5 three with two values, and two more of another sequence; of b two at 9, with one value."""
    found = book.shared()
    assert (found.readings, found.identities, found.conflicting) == (7, 3, 5)
    assert [(one.sensor_id, one.event_time_ms, one.readings, one.values) for one in found.examples] == [
        ("a", 5, 2, 2),
        ("a", 5, 3, 2),
        ("b", 9, 2, 1),
    ]


def test_they_are_numbered_by_their_appearance(book: IdentityBook) -> None:
    """Whatever their values; all others have 0."""
    assert book.numbering().sequences(0, len(ROWS)).tolist() == [0, 0, 1, 0, 0, 2, 1, 1]
