"""Partials at their edges; their laws are in tests/property."""

import pytest

from windrow.columns import arrow
from windrow.reading import Readings
from windrow.rows.partial import Partial, union
from windrow.rows.partial_parquet import COLUMNS, DeliveryCounts, UnreadablePartial, decode_partial, encode_partial
from windrow.window import WINDOW_MS, Window

START = 1_763_640_300_000
WINDOW = Window(START)


def partial(*rows: tuple[str, int, int, int]) -> Partial:
    return Partial.of(WINDOW, Readings.of(rows))


@pytest.mark.parametrize("event_time_ms", [START - 1, START + WINDOW_MS])
def test_a_reading_of_another_window_is_refused(event_time_ms: int) -> None:
    """The edge belongs to one window only."""
    with pytest.raises(ValueError, match="outside"):
        partial(("a", event_time_ms, 0, 1))


def test_union_refuses_another_window() -> None:
    """A union is of one window."""
    with pytest.raises(ValueError, match="in the union"):
        union(Window(START + WINDOW_MS), [partial(("a", START, 0, 1))])


def test_conflicting_values_are_all_kept() -> None:
    """The same identity with another value is another element; the roll decides, the union does not."""
    both = partial(("a", START, 0, 1), ("a", START, 0, 2))
    assert len(both) == 2


def test_the_digest_is_stable() -> None:
    """Keys in the lake contain it, so it may change only together with the format."""
    assert partial(("a", START, 0, 1), ("b", START + 7, 3, -5)).digest == DIGEST


DIGEST = "55df401caa614c6b8f977cddc423ab69"


def test_sequences_of_zero_take_no_column() -> None:
    """Sensors without sequences do not pay for them."""
    plain, _ = arrow.read_parquet(encode_partial(partial(("a", START, 0, 1)), DeliveryCounts()))
    counted, _ = arrow.read_parquet(encode_partial(partial(("a", START, 1, 1)), DeliveryCounts()))
    assert [name for name in counted if name not in plain] == ["first_sequence", "sequence_steps"]
    assert list(counted) == [name for name, _ in COLUMNS if name not in {"quantity", "unit"}]


def test_temperatures_take_no_column() -> None:
    """Quantity and unit are there as soon as one series is something else, and then for all."""
    humid = partial(("a", START, 1, 1), ("a\x1fhumidity\x1f%", START, 1, 2))
    body = encode_partial(humid, DeliveryCounts())
    columns, _ = arrow.read_parquet(body)
    assert list(columns) == [name for name, _ in COLUMNS]
    parts = [arrow.strings_of(columns[name]).to_list() for name in ("sensor_id", "quantity", "unit")]
    assert parts == [["a", "a"], ["temperature", "humidity"], ["C", "%"]]
    assert decode_partial(body)[0] == humid


def test_bytes_that_are_no_partial_are_unreadable() -> None:
    """A damaged object raises, so that the caller can name it; it never counts as empty."""
    body = encode_partial(partial(("a", START, 0, 1)), DeliveryCounts())
    other = arrow.write_parquet({}, metadata={"format": 99}, encodings={})
    for damaged in (b"", b"PAR1", body[:-1], body[:50] + b"\0" * 20 + body[70:], other):
        with pytest.raises(UnreadablePartial):
            decode_partial(damaged)
