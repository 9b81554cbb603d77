"""Bookmarks: what of a slice is written, and which records the slice had."""

from processors.bookmark import Bookmark, begun_by, name_of
from processors.consumer import PlannedObject, plan
from tests.horizon import LATENESS_HORIZON_MS
from tests.unit.stream_records import ARRIVAL_MS, aggregated, encoded, reading, record
from windrow.window import WINDOW_MS


def test_a_bookmark_is_what_was_encoded() -> None:
    """Whatever the order of the names."""
    bookmark = Bookmark("102", frozenset({"b", "a"}))

    assert Bookmark.of_json(bookmark.to_json()) == bookmark
    assert bookmark.to_json() == b'{"last":"102","done":["a","b"]}'


def test_what_is_no_bookmark_says_nothing() -> None:
    """A new one is empty; a damaged one must not hold a shard up."""
    for body in (b"", b"{", b"[]", b'{"last":"1"}', b'{"last":"1","done":3}', b"\xff"):
        assert Bookmark.of_json(body) == Bookmark()


def test_only_what_is_named_is_left_out() -> None:
    """By the keys of all of a write's objects: a partial that needs a marker by now is written again, with it."""
    readings = [reading(at_ms=-n * WINDOW_MS) for n in range(3)]
    records = [record(aggregated(encoded(readings)))]
    early = plan(records, now_ms=ARRIVAL_MS, horizon_ms=LATENESS_HORIZON_MS)
    later = plan(records, now_ms=ARRIVAL_MS + 2 * WINDOW_MS, horizon_ms=LATENESS_HORIZON_MS)
    bookmark = Bookmark("1", frozenset(map(name_of, early.writes)))

    assert bookmark.rest_of(early).writes == ()
    assert [len(write) for write in early.writes] == [2, 1, 1]
    assert [write[0].key for write in bookmark.rest_of(later).writes] == [write[0].key for write in later.writes[1:]]


def test_the_name_of_a_write_is_that_of_its_keys() -> None:
    """Their order and number count, the bytes do not: a key names its content."""
    one, other = PlannedObject("one", b"1"), PlannedObject("other", b"2")

    assert name_of((one, other)) != name_of((other, one)) != name_of((one,))
    assert name_of((one,)) == name_of((PlannedObject("one", b"3"),))


def test_a_slice_is_cut_where_it_was_begun() -> None:
    """At its last record, if this delivery has it; otherwise it is another slice."""
    cut = [record(b"x", number=number) for number in (101, 102, 103)]

    assert begun_by(Bookmark("102", frozenset()), cut) == 2
    assert begun_by(Bookmark("103", frozenset()), cut) == 3
    assert begun_by(Bookmark("999", frozenset()), cut) == 3
    assert begun_by(Bookmark(), cut) == 3
