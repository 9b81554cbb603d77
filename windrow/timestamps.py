"""Instants as integer milliseconds since 1970-01-01T00:00:00Z, and their text forms.

Leap seconds do not exist on this scale, as in POSIX: second 60 is refused.
"""

import datetime
import re
from functools import lru_cache

# RFC 3339, section 5.6. The separator may be a "t" or a space, and "z" may be lower case (same section, NOTE).
_RFC_3339 = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(?:([Zz])|([+-])(\d{2}):(\d{2}))",
    re.ASCII,
)
_EPOCH_ORDINAL = datetime.date(1970, 1, 1).toordinal()
_MS_PER_DAY = 86_400_000
# The last and the first instant with a year from 1 to 9999.
INSTANT_MS_MAX = (datetime.date(9999, 12, 31).toordinal() - _EPOCH_ORDINAL + 1) * _MS_PER_DAY - 1
INSTANT_MS_MIN = (datetime.date(1, 1, 1).toordinal() - _EPOCH_ORDINAL) * _MS_PER_DAY


def parse_rfc3339_ms(text: str) -> int:
    """Parse an RFC 3339 time, rounded down to the millisecond.

    Any number of fractional digits is accepted; an offset is required. Raises ValueError saying what is wrong.
    """
    match = _RFC_3339.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 time such as 2026-11-20T10:05:00Z")
    year, month, day, hour, minute, second = (int(group) for group in match.groups()[:6])
    fraction, _, sign, offset_hour, offset_minute = match.groups()[6:]
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError("hour, minute or second out of range")
    days = datetime.date(year, month, day).toordinal() - _EPOCH_ORDINAL
    offset_minutes = 0
    if sign is not None:
        if int(offset_hour) > 23 or int(offset_minute) > 59:
            raise ValueError("offset out of range")
        offset_minutes = int(sign + "1") * (int(offset_hour) * 60 + int(offset_minute))
    seconds = days * 86_400 + hour * 3_600 + (minute - offset_minutes) * 60 + second
    # Digits after the third only make the instant later, so cutting them off rounds down.
    return seconds * 1_000 + int((fraction or "")[:3].ljust(3, "0"))


def format_rfc3339(instant_ms: int) -> str:
    """Format `instant_ms` like 2026-11-20T10:05:00.000Z."""
    return f"{_civil(instant_ms, 'T')}Z"


def format_sql(instant_ms: int) -> str:
    """Format `instant_ms` like 2026-11-20 10:05:00.000, in UTC, which SQL engines read as a timestamp."""
    return _civil(instant_ms, " ")


def parse_sql_ms(text: str) -> int:
    """Parse the form of `format_sql`; raises ValueError."""
    return parse_rfc3339_ms(f"{text}Z")


@lru_cache  # a batch formats the same few instants again and again
def _civil(instant_ms: int, separator: str) -> str:
    days, ms = divmod(instant_ms, _MS_PER_DAY)
    date = datetime.date.fromordinal(days + _EPOCH_ORDINAL)
    seconds, ms = divmod(ms, 1_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{date.isoformat()}{separator}{hour:02}:{minute:02}:{second:02}.{ms:03}"
