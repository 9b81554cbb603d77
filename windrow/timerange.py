"""The time range of a query: half-open, UTC, given as RFC 3339 or as a length before now."""

import re
from dataclasses import dataclass

from windrow.errors import UsageError
from windrow.timestamps import INSTANT_MS_MAX, format_rfc3339, format_sql, parse_rfc3339_ms

DEFAULT_LENGTH_MS = 2 * 3_600_000
_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_BEFORE_NOW = re.compile(r"-(\d{1,9})([smhd])", re.ASCII)
_HOW_TO_WRITE = "write 2026-11-20T10:05:00Z, or a length before now: -30m, -2h, -7d"


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The instants t with `start_ms <= t < end_ms`, at least one; a range selects the windows that start in it.

    An empty or reversed range, or one before 1970, raises UsageError.
    """

    start_ms: int
    end_ms: int

    def __post_init__(self) -> None:
        """Refuse an empty or reversed range."""
        start, end = self.start_ms, self.end_ms
        if not (0 <= start <= INSTANT_MS_MAX and 0 <= end <= INSTANT_MS_MAX):
            raise UsageError("the range leaves the years 1970 to 9999", hint=_HOW_TO_WRITE)
        if start == end:
            raise UsageError(
                f"the range is empty: it starts and ends at {format_rfc3339(start)}",
                hint="the end is exclusive: give a later one",
            )
        if start > end:
            raise UsageError(
                f"the range is reversed: it starts at {format_rfc3339(start)}, after its end {format_rfc3339(end)}",
                hint="exchange start and end",
            )

    def __str__(self) -> str:
        """Return the range as people read it."""
        return f"{format_rfc3339(self.start_ms)} to {format_rfc3339(self.end_ms)}"

    @property
    def start_sql(self) -> str:
        """The first instant, for SQL."""
        return format_sql(self.start_ms)

    @property
    def end_sql(self) -> str:
        """The first instant after the range, for SQL."""
        return format_sql(self.end_ms)

    @property
    def first_partition(self) -> tuple[str, int]:
        """The partition (dt, hour) of the first instant."""
        return partition_of(self.start_ms)

    @property
    def last_partition(self) -> tuple[str, int]:
        """The partition (dt, hour) of the last instant."""
        return partition_of(self.end_ms - 1)


def partition_of(instant_ms: int) -> tuple[str, int]:
    """Return the partition (dt, hour) of the window that contains `instant_ms`."""
    text = format_sql(instant_ms)
    return text[:10], int(text[11:13])


def parse_time(text: str, *, now_ms: int, option: str) -> int:
    """Parse an RFC 3339 time, "now", or a length before now; UsageError names the `option` it came from."""
    before = _BEFORE_NOW.fullmatch(text)
    if before is not None:
        return now_ms - int(before[1]) * _UNITS_MS[before[2]]
    if text == "now":
        return now_ms
    try:
        return parse_rfc3339_ms(text)
    except ValueError as error:
        raise UsageError(f"{option} {text!r} is not a time: {error}", hint=_HOW_TO_WRITE) from error


def parse_range(
    from_text: str | None,
    to_text: str | None,
    *,
    now_ms: int,
    length_ms: int = DEFAULT_LENGTH_MS,
    names: tuple[str, str] = ("--from", "--to"),
) -> TimeRange:
    """Parse a range from its two ends; without `to` it ends now, without `from` it is `length_ms` long.

    `names` are what an error calls the two ends.
    """
    end_ms = now_ms if to_text is None else parse_time(to_text, now_ms=now_ms, option=names[1])
    if from_text is None:
        return TimeRange(end_ms - length_ms, end_ms)
    return TimeRange(parse_time(from_text, now_ms=now_ms, option=names[0]), end_ms)
