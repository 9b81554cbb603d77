"""Time zones by name, worked out once into offsets and the instants at which they change.

The table goes with the contract, so a function needs no time zone files, and a replay reads times as they were read.
"""

import datetime
import re
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from windrow.payloads.times import Zone, offset_s

_FIRST_S = 0
_LAST_S = 2_840_140_800  # 2060; later times have the last offset
_STEP_S = 86_400 * 7
_OFFSET = re.compile(r"Z|[+-]\d{2}(:?\d{2})?")


@lru_cache
def zone_named(name: str) -> Zone:
    """Return the zone called `name` (Europe/Berlin, UTC, +02:00); ValueError if there is none."""
    if _OFFSET.fullmatch(name):
        return Zone(name, (offset_s(name),))
    try:
        place = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"no time zone is called {name!r}; names are like Europe/Berlin, UTC or +02:00") from error
    offsets, changes = [_offset_s(place, _FIRST_S)], []
    for start in range(_FIRST_S, _LAST_S, _STEP_S):
        if _offset_s(place, start + _STEP_S) != offsets[-1]:
            low, high = start, start + _STEP_S
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if _offset_s(place, middle) == offsets[-1] else (low, middle)
            changes.append(high)
            offsets.append(_offset_s(place, high))
    return Zone(name, tuple(offsets), tuple(changes))


def _offset_s(place: ZoneInfo, instant_s: int) -> int:
    offset = datetime.datetime.fromtimestamp(instant_s, place).utcoffset()
    return 0 if offset is None else round(offset.total_seconds())
