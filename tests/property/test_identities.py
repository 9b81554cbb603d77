"""Readings that share their identity: counted and numbered as one would by hand, in memory and from disk."""

import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from unittest import mock

import hypothesis.strategies as st
import pytest
from hypothesis import given

from producers.files import identities
from producers.files.identities import IdentityBook
from windrow.reading import Readings

pytestmark = pytest.mark.slow

ROWS = st.tuples(
    st.sampled_from(["a", "b", "c"]), st.integers(-2, 3) | st.just(2**40), st.integers(0, 1), st.integers(1, 3)
)
BATCHES = st.lists(st.lists(ROWS, min_size=1, max_size=9), max_size=6)


@given(batches=BATCHES, held=st.sampled_from([1, 5, 1 << 20]))
def test_shared_identities_are_counted_and_numbered(batches: list[list[tuple[str, int, int, int]]], held: int) -> None:
    """Against a count of tuples, however few rows memory may hold."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(identities, "_HELD_ROWS", held):
        book = IdentityBook(Path(folder))
        for batch in batches:
            book.add("temperature", Readings.of(batch))
        shared, numbering = book.shared(), book.numbering()
    rows = [row for batch in batches for row in batch]
    values: dict[tuple[str, int, int], set[int]] = defaultdict(set)
    counts = Counter(row[:3] for row in rows)
    for row in rows:
        values[row[:3]].add(row[3])
    again = {identity: count for identity, count in counts.items() if count > 1}
    assert (shared.readings, shared.identities) == (sum(again.values()), len(again))
    assert shared.conflicting == sum(count for identity, count in again.items() if len(values[identity]) > 1)
    for one in shared.examples:
        found = [identity for identity in again if identity[:2] == (one.sensor_id, one.event_time_ms)]
        assert (one.readings, one.values) in [(again[identity], len(values[identity])) for identity in found]
    seen: Counter[tuple[str, int, int]] = Counter()
    expected = []
    for row in rows:
        expected.append(seen[row[:3]])
        seen[row[:3]] += 1
    first = 0
    for batch in batches:
        assert numbering.sequences(first, len(batch)).tolist() == expected[first : first + len(batch)]
        first += len(batch)
