"""The laws that make results exact: union is set union, and nothing but the set reaches the digest or the bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property.strategies import FIRST_WINDOW_MS, batches
from windrow.reading import Reading, Readings
from windrow.rows.partial import Partial, partials_of, union
from windrow.rows.partial_parquet import DeliveryCounts, decode_partial, encode_partial
from windrow.window import Window

WINDOW = Window(FIRST_WINDOW_MS)
one_window = batches(windows=1)


def partial_of(readings: list[Reading]) -> Partial:
    return Partial.of(WINDOW, Readings.of(readings))


@given(one_window)
def test_a_partial_is_the_set_of_its_readings(readings: list[Reading]) -> None:
    """No element is lost, none is there twice, and they ascend."""
    elements = list(partial_of(readings).readings)
    assert set(elements) == set(readings)
    assert len(elements) == len(set(readings))
    assert elements == sorted(
        elements, key=lambda r: (r.series.encode(), *(r.event_time_ms, r.sequence), r.value_milli)
    )


@pytest.mark.slow
@given(one_window, one_window)
def test_union_is_set_union(some: list[Reading], others: list[Reading]) -> None:
    """The union of two partials is the partial of all readings of both."""
    assert union(WINDOW, [partial_of(some), partial_of(others)]) == partial_of(some + others)


@given(one_window, one_window)
def test_union_is_commutative(some: list[Reading], others: list[Reading]) -> None:
    """Order of the partials does not matter."""
    a, b = partial_of(some), partial_of(others)
    assert union(WINDOW, [a, b]) == union(WINDOW, [b, a])


@pytest.mark.slow
@given(one_window, one_window, one_window)
def test_union_is_associative(first: list[Reading], second: list[Reading], third: list[Reading]) -> None:
    """Grouping of the partials does not matter."""
    a, b, c = partial_of(first), partial_of(second), partial_of(third)
    assert union(WINDOW, [a, union(WINDOW, [b, c])]) == union(WINDOW, [union(WINDOW, [a, b]), c])


@given(one_window)
def test_union_is_idempotent_and_the_empty_partial_is_its_unit(readings: list[Reading]) -> None:
    """The same partial again, or nothing at all, changes nothing."""
    a = partial_of(readings)
    assert union(WINDOW, [a, a]) == a == union(WINDOW, [a, union(WINDOW, [])])


@given(one_window, st.randoms(use_true_random=False))
def test_order_and_repetition_reach_neither_digest_nor_bytes(readings: list[Reading], random: object) -> None:
    """A permuted and repeated batch is the same content under the same name."""
    permuted = readings + readings[: len(readings) // 2]
    random.shuffle(permuted)  # type: ignore[attr-defined]
    a, b = partial_of(readings), partial_of(permuted)
    assert a.digest == b.digest
    if len(a):
        assert encode_partial(a, DeliveryCounts()) == encode_partial(b, DeliveryCounts())


@given(one_window, one_window)
def test_digests_are_equal_exactly_when_sets_are(some: list[Reading], others: list[Reading]) -> None:
    """The digest names the content."""
    assert (partial_of(some).digest == partial_of(others).digest) == (set(some) == set(others))


@given(batches())
def test_partials_split_a_batch_by_window_and_lose_nothing(readings: list[Reading]) -> None:
    """Each window that was hit has one partial with exactly its readings."""
    partials = partials_of(Readings.of(readings))
    assert [p.window for p in partials] == sorted({Window.containing(r.event_time_ms) for r in readings})
    for partial in partials:
        expected = {r for r in readings if Window.containing(r.event_time_ms) == partial.window}
        assert set(partial.readings) == expected


@given(batches(windows=1).filter(bool), st.builds(DeliveryCounts, st.integers(0, 10**9), st.integers(0, 10**9)))
def test_a_partial_survives_parquet(readings: list[Reading], delivery: DeliveryCounts) -> None:
    """decode(encode(x)) == x, delivery facts included."""
    partial = partial_of(readings)
    assert decode_partial(encode_partial(partial, delivery)) == (partial, delivery)
