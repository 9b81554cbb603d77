"""Windows: half-open, aligned, five minutes."""

import pytest

from windrow.window import WINDOW_MS, Window, windows_between

START = 1_763_640_300_000


@pytest.mark.parametrize(
    ("event_time_ms", "start_ms"),
    [(START, START), (START + WINDOW_MS - 1, START), (START + WINDOW_MS, START + WINDOW_MS), (-1, -WINDOW_MS)],
)
def test_a_window_includes_its_start_and_excludes_its_end(event_time_ms: int, start_ms: int) -> None:
    """start <= t < end, before 1970 too."""
    assert Window.containing(event_time_ms) == Window(start_ms)


def test_a_window_off_the_grid_is_refused() -> None:
    """Windows are aligned to the epoch."""
    with pytest.raises(ValueError, match="multiple"):
        Window(START + 1)


def test_index_and_start_are_inverse() -> None:
    """The index counts windows since the epoch."""
    assert Window.from_index(Window(START).index) == Window(START)


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "count"),
    [(START, START, 0), (START + 5, START, 0), (START, START + 1, 1), (START, START + WINDOW_MS, 1),
     (START + 1, START + WINDOW_MS + 1, 2), (START, START + 3 * WINDOW_MS, 3)],
)  # fmt: skip
def test_windows_between_are_those_that_overlap(start_ms: int, end_ms: int, count: int) -> None:
    """A range that ends on an edge does not touch the window that starts there."""
    windows = windows_between(start_ms, end_ms)
    assert len(windows) == count
    assert windows == tuple(Window(START + i * WINDOW_MS) for i in range(count))
