"""The time range of a query."""

import pytest

from windrow.errors import UsageError
from windrow.timerange import TimeRange, parse_range
from windrow.timestamps import parse_rfc3339_ms

NOW_MS = parse_rfc3339_ms("2026-11-20T12:00:00Z")


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, ("2026-11-20T10:00:00Z", "2026-11-20T12:00:00Z")),
        ("-30m", None, ("2026-11-20T11:30:00Z", "2026-11-20T12:00:00Z")),
        ("-1d", "-90s", ("2026-11-19T12:00:00Z", "2026-11-20T11:58:30Z")),
        (None, "2026-11-20T02:00:00+01:00", ("2026-11-19T23:00:00Z", "2026-11-20T01:00:00Z")),
        ("2026-11-20T10:05:00Z", "now", ("2026-11-20T10:05:00Z", "2026-11-20T12:00:00Z")),
    ],
)
def test_a_range_is_read(start: str | None, end: str | None, expected: tuple[str, str]) -> None:
    """RFC 3339 with any offset, lengths before now, and the last two hours by default."""
    bounds = tuple(map(parse_rfc3339_ms, expected))
    assert parse_range(start, end, now_ms=NOW_MS) == TimeRange(*bounds)


@pytest.mark.parametrize("text", ["yesterday", "2026-11-20", "2026-13-20T00:00:00Z", "2h", "-2w", "-h", "", "- 2h"])
def test_what_is_no_time_is_refused_by_name(text: str) -> None:
    """The error names the option and the text, the hint how to write it."""
    with pytest.raises(UsageError, match=r"--from .* is not a time") as caught:
        parse_range(text, None, now_ms=NOW_MS)
    assert "-2h" in caught.value.hint


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z", "empty"),
        ("2026-11-20T11:00:00Z", "2026-11-20T10:00:00Z", "reversed"),
        ("1969-12-31T00:00:00Z", "2026-11-20T10:00:00Z", "1970"),
        ("-999999d", None, "1970"),
    ],
)
def test_a_range_without_windows_is_refused(start: str, end: str | None, message: str) -> None:
    """Empty, reversed, or before 1970."""
    with pytest.raises(UsageError, match=message):
        parse_range(start, end, now_ms=NOW_MS)


def test_the_last_partition_is_that_of_the_last_instant() -> None:
    """A range that ends at midnight does not reach into the next day."""
    time_range = TimeRange(parse_rfc3339_ms("2026-11-20T22:00:00Z"), parse_rfc3339_ms("2026-11-21T00:00:00Z"))
    assert time_range.first_partition == ("2026-11-20", 22)
    assert time_range.last_partition == ("2026-11-20", 23)
