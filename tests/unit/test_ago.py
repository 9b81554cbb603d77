"""Relative times."""

import pytest

from windrow_cli.ago import ago


@pytest.mark.parametrize(
    ("ms", "expected"),
    [
        (0, "now"),
        (999, "now"),
        (-1_000, "1 s ago"),
        (-59_999, "59 s ago"),
        (-60_000, "1 min ago"),
        (-3_599_999, "59 min ago"),
        (-3_600_000, "1 h ago"),
        (-86_400_000, "1 d ago"),
        (-86_400_000 * 2_000, "2,000 d ago"),
        (90_000, "in 1 min"),
    ],
)
def test_a_time_is_told_from_now(ms: int, expected: str) -> None:
    """In the largest unit that fits once, rounded down."""
    assert ago(10**12 + ms, now_ms=10**12) == expected
