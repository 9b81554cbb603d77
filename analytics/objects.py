"""The objects of a table that a query can need, listed by day or hour where its conditions can be met."""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from analytics.abandon import Check, always_wanted
from analytics.prune import Scan
from analytics.tables import ExternalTable
from windrow.errors import WindrowError
from windrow.lake import layout
from windrow.lake.store import ListedObject, ObjectStore
from windrow.period import DAY_MS, HOUR_MS
from windrow.timerange import TimeRange
from windrow.timestamps import parse_sql_ms
from windrow.window import Window

OBJECTS_MAX = 100_000
"""The most objects of one table that a query may need: a hundred pages of a listing."""

Matches = Callable[[Scan, Sequence[tuple[str | int, ...]]], list[bool]]
"""Says of each of some keys' values whether a scan can have rows there: analytics.prune.can_match."""

_DAY = re.compile(r"dt=(\d{4}-\d{2}-\d{2})/")
_PLACE = re.compile(r"dt=(\d{4}-\d{2}-\d{2})/hour=(\d{2})/(\d{2})(\d{2})\b")


@dataclass(frozen=True, slots=True)
class TableObject:
    """An object of a table, and what its key says: its partition, and the start of its window as SQL text."""

    listed: ListedObject
    dt: str
    hour: int
    window_start: str


def needed_objects(
    table: ExternalTable, scans: Iterable[Scan], store: ObjectStore, matches: Matches
) -> list[TableObject]:
    """Return what any of the `scans` of `table` can need, by key; WindrowError if there are more than OBJECTS_MAX."""
    days = [match[1] for prefix in store.list_prefixes(table.root) if (match := _DAY.search(prefix))]
    needed = {one.listed.key: one for scan in scans for one in _matching(table, scan, days, store, matches)}
    return [needed[key] for key in sorted(needed)]


def _matching(
    table: ExternalTable, scan: Scan, days: list[str], store: ObjectStore, matches: Matches
) -> Iterator[TableObject]:
    """Yield the objects that one scan can need."""
    found: list[TableObject] = []
    for prefix in _prefixes(table, scan, days, matches):
        found += [one for listed in store.list_objects(prefix) if (one := _locate(table, listed)) is not None]
        if len(found) > OBJECTS_MAX:
            raise WindrowError(
                f"the query needs more than {OBJECTS_MAX} objects of {table.name!r}",
                hint="restrict it: WHERE dt = '2026-11-20' AND hour BETWEEN 10 AND 11",
            )
    return itertools.compress(found, matches(scan, [(one.dt, one.hour, one.window_start) for one in found]))


def _prefixes(table: ExternalTable, scan: Scan, days: list[str], matches: Matches) -> Iterator[str]:
    """Yield the prefixes to list: a whole day if all its hours can match, else the hours that can."""
    for day in itertools.compress(days, matches(scan, [(day,) for day in days])):
        midnight_ms = parse_sql_ms(f"{day} 00:00:00")
        hours = matches(scan, [(day, hour) for hour in range(24)])
        if all(hours):
            yield layout.day_prefix(table.root, midnight_ms)
            continue
        for hour in itertools.compress(range(24), hours):
            yield layout.hour_prefix(table.root, midnight_ms + hour * HOUR_MS)


def _locate(table: ExternalTable, listed: ListedObject) -> TableObject | None:
    """Return the object with what its key says; None if it does not belong to the table."""
    match = _PLACE.search(listed.key, len(table.root))
    if match is None or not listed.key.endswith(table.suffix):
        return None
    dt, hour, window_hour, window_minute = match.groups()
    return TableObject(listed, dt, int(hour), f"{dt} {window_hour}:{window_minute}:00")


def newest_window(results: ObjectStore) -> Window | None:
    """Return the latest window that has rows, None if there is none; makes three listings."""
    for day in reversed(list(results.list_prefixes(layout.AGGREGATES))):
        for hour in reversed(list(results.list_prefixes(day))):
            keys = [listed.key for listed in results.list_objects(hour)]
            if keys:
                return layout.parse_result_key(keys[-1])
    return None


def window_etags(
    table: ExternalTable, time_range: TimeRange, store: ObjectStore, check: Check = always_wanted
) -> dict[int, str]:
    """Return the ETag of each window's object of `table`, by the window's start, ascending; one listing per day."""
    etags: dict[int, str] = {}
    for midnight_ms in range(time_range.start_ms // DAY_MS * DAY_MS, time_range.end_ms, DAY_MS):
        check()
        for listed in store.list_objects(layout.day_prefix(table.root, midnight_ms)):
            one = _locate(table, listed)
            start_ms = parse_sql_ms(one.window_start) if one else -1
            if time_range.start_ms <= start_ms < time_range.end_ms:
                etags[start_ms] = listed.etag
    return etags
