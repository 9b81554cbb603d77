"""A tally of the newest values of one site: a pure function of all its items, and of rules.

It is counted anew from all that the table has of the site, so a record of the stream that is lost, doubled or comes out
of order can never make it drift. Its numbers are those of `/v1/live` with each newest value as the one reading.
"""

from collections.abc import Collection, Iterator, Sequence

from analytics.live_values import Json, rows_of, site_numbers
from analytics.open_windows import OpenWindow
from analytics.tally import limits_on, tally
from windrow.live.newest import NewestValue
from windrow.quantities import Quantity
from windrow.reading import Reading, Readings
from windrow.rows.partial import partials_of, union
from windrow.rows.rollup import roll
from windrow.rules.rule import Rule
from windrow.window import Window

SITE_SERIES_MAX = 10_000
"""The most series of a site that are tallied: two megabytes, which DynamoDB answers in two or three pages."""
_WINDOW = Window(0)


def site_tally(
    site: str, values: Sequence[NewestValue], quantities: Collection[tuple[str, str]], rules: Sequence[Rule]
) -> Iterator[Json]:
    """Yield the tally of each of `quantities` (name and unit), by name; without numbers if there is no value of it.

    `values` are all of the site, one of each series, at most SITE_SERIES_MAX.
    """
    window = _as_window(values) if values else None
    for name, unit in sorted(quantities):
        told: Json = {"site": site, "quantity": name, "unit": unit}
        quantity = Quantity(name, unit)
        ids, rows = rows_of(window, quantity) if window is not None else ([], ())
        if window is None or not ids:
            yield told | {"sensors": 0}
            continue
        newest = {sensor_id: (0, int(row)) for sensor_id, row in zip(ids, rows, strict=True)}
        yield told | site_numbers(tally([window], newest, limits_on(quantity, rules)), 0)


def untallied(site: str, quantities: Collection[tuple[str, str]]) -> Iterator[Json]:
    """Yield what is said of a site of more than SITE_SERIES_MAX series."""
    for name, unit in sorted(quantities):
        yield {"site": site, "quantity": name, "unit": unit, "more_than": SITE_SERIES_MAX}


def _as_window(values: Sequence[NewestValue]) -> OpenWindow:
    """Return the rows that the values would have as the only readings of one window."""
    readings = Readings.of(
        [Reading(one.sensor_id, _WINDOW.start_ms, 0, one.value_milli, quantity=one.quantity) for one in values]
    )
    partials = list(partials_of(readings))
    return OpenWindow(_WINDOW, len(partials), roll(union(_WINDOW, partials)))
