"""Instants: RFC 3339 in, integer milliseconds, and out again."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windrow.timestamps import (
    INSTANT_MS_MAX,
    INSTANT_MS_MIN,
    format_rfc3339,
    format_sql,
    parse_rfc3339_ms,
    parse_sql_ms,
)


@pytest.mark.parametrize(
    ("text", "instant_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00z", 0),
        ("1970-01-01 00:00:00.5Z", 500),
        ("1970-01-01T00:00:00.0009999999999Z", 0),
        ("1969-12-31T23:59:59.9999Z", -1),
        ("2026-11-20T10:05:00.1239+01:00", 1_795_165_500_123),
        ("2026-11-20T10:05:00-00:00", 1_795_169_100_000),
        ("0001-01-01T00:00:00+23:59", INSTANT_MS_MIN - (23 * 60 + 59) * 60_000),
    ],
)
def test_rfc_3339_times_are_read_and_floored(text: str, instant_ms: int) -> None:
    """Offsets, fractions of any length and lower-case letters are valid; digits finer than a millisecond are cut."""
    assert parse_rfc3339_ms(text) == instant_ms


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "1763640300000", "2026-11-20", "2026-11-20T10:05Z", "2026-11-20T10:05:00"),
        *("2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-11-20T24:00:00Z", "2026-11-20T23:59:60Z"),
        *("2026-11-20T10:05:00+24:00", "2026-11-20T10:05:00+0100", "2026-11-20T10:05:00.Z", "٢٠٢٦-11-20T10:05:00Z"),
        *("0000-01-01T00:00:00Z", "2026-11-20T10:05:00Z\n"),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """Other texts are refused, not guessed."""
    with pytest.raises(ValueError, match=r".+"):
        parse_rfc3339_ms(text)


@given(st.integers(INSTANT_MS_MIN, INSTANT_MS_MAX))
def test_formatting_is_the_inverse_of_parsing(instant_ms: int) -> None:
    """Every instant of the years 1 to 9999 survives both text forms."""
    assert parse_rfc3339_ms(format_rfc3339(instant_ms)) == instant_ms
    assert parse_sql_ms(format_sql(instant_ms)) == instant_ms


@given(st.datetimes(timezones=st.just(UTC)), st.integers(-1439, 1439))
def test_parsing_agrees_with_the_standard_library(moment: datetime, offset_minutes: int) -> None:
    """`datetime` is the oracle, for any offset."""
    try:
        shifted = moment.astimezone(timezone(timedelta(minutes=offset_minutes)))
    except OverflowError:  # the shifted year is not in 1 to 9999
        return
    exact_ms = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert parse_rfc3339_ms(shifted.isoformat()) == exact_ms
