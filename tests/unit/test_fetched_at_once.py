"""A mapper, which is several threads, fetches objects; who asks for them decodes them meanwhile."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

import dispatcher.rows
from dispatcher.observation import list_partials, read_partials
from dispatcher.rows import read_in_groups
from dispatcher.united import UnionWriter, read_ranges
from tests.simulation.lake import buckets, partial_of, partial_put
from tests.simulation.simulated_s3 import S3State
from windrow.window import Window

WINDOW = Window(1_795_169_100_000)
ROWS = [[(f"sensor-{number}", 1_000, 0, 20_000)] for number in range(5)]


class Fetching:
    """A mapper that remembers what it was given to call."""

    def __init__(self) -> None:
        self.called: set[Any] = set()
        self.fetched = 0

    def __call__(self, function: Callable[[Any], Any], arguments: Iterable[Any], /) -> Iterator[Any]:
        self.called.add(function)
        results = [function(argument) for argument in arguments]
        self.fetched += len(results)
        return iter(results)


@pytest.fixture
def state() -> S3State:
    """A lake with a partial of each of ROWS."""
    state = S3State()
    for number, rows in enumerate(ROWS):
        state.apply(partial_put(WINDOW, rows, first=number))
    return state


def test_partials_are_decoded_by_who_asks(state: S3State) -> None:
    """Threads that decode would wait for each other, and hold as many decoded partials as there are threads."""
    found, fetching = buckets(state.apply), Fetching()
    read = list(read_partials(found, list_partials(found, WINDOW).chosen, mapper=fetching))
    assert {partial.digest for partial, _ in read} == {partial_of(WINDOW, rows).digest for rows in ROWS}
    assert fetching.called == {found.lake.get}


def test_a_group_is_fetched_while_the_one_before_it_is_decoded(state: S3State, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five partials, two at once: nobody waits for the second two after decoding the first."""
    monkeypatch.setattr(dispatcher.rows, "IN_FLIGHT_MAX", 2)
    found, fetching = buckets(state.apply), Fetching()
    listing = list_partials(found, WINDOW)
    before_each = [
        (fetching.fetched, len(group), len(list(read)))
        for group, read in read_in_groups(found, listing.chosen, listing, mapper=fetching)
    ]
    assert before_each == [(4, 2, 2), (5, 2, 2), (5, 1, 1)]


def test_ranges_are_decoded_by_who_asks(state: S3State) -> None:
    """The same of a united set."""
    found, fetching = buckets(state.apply), Fetching()
    parts = [partial_of(WINDOW, rows) for rows in ROWS]
    writer = UnionWriter(found, WINDOW, fingerprint="0" * 32, mapper=map)
    for part in parts:
        writer.add(part)
    assert list(read_ranges(found, WINDOW, writer.finish(), mapper=fetching)) == parts
    assert fetching.called == {found.lake.get}
