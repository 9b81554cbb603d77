"""The newest values of a quantity in open windows, as columns ready for JSON: provisional, until a window is rolled."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from analytics.means import rounded_mean
from analytics.open_windows import OpenWindow
from analytics.tally import SiteTally, limits_on, tally
from windrow.columns.arrays import Int64s
from windrow.quantities import Quantity, split_series
from windrow.rules.rule import Rule

SITES_MAX = 100
"""How many sites an answer has at most; with `search` one asks for others."""

SITE_NUMBERS = ("sensors", "readings", "mean", "min", "max", "beyond")
"""What a tally says of a site."""

Json = dict[str, Any]


def live_values(
    windows: Sequence[OpenWindow],
    quantity: Quantity,
    *,
    search: str,
    page: int,
    per_page: int,
    sensor_id: str = "",
    rules: Sequence[Rule] = (),
) -> Json:
    """Return a page of the sensors whose ids contain `search`, ignoring case, by id, and the windows they are of.

    `windows` are the open ones, the newest first; a sensor is shown with its numbers in the newest that has it. The
    last page is returned if there are fewer. All sensors that are found are tallied by site, and by the limits that
    `rules` name. `sensor_id`, if it is given, is the only sensor that is shown; the tally has the others too.
    """
    of_quantity = [(one, *rows_of(one, quantity)) for one in windows]
    newest: dict[str, tuple[int, int]] = {}
    for place, (_, ids, rows) in enumerate(of_quantity):
        for one, row in zip(ids, rows.tolist(), strict=True):
            newest.setdefault(one, (place, row))
    wanted = search.casefold()
    found = sorted(one for one in newest if wanted in one.casefold())
    tallied = tally(windows, {one: newest[one] for one in found}, limits_on(quantity, rules))
    if sensor_id:
        found = [one for one in found if one == sensor_id]
    number = max(0, min(page, -(-len(found) // per_page) - 1))
    shown = found[number * per_page : (number + 1) * per_page]
    summaries = [_summary(one, rows) for one, _, rows in of_quantity if len(rows)]
    return {
        "total": len(found),
        "page": number,
        "per_page": per_page,
        "windows": sorted(summaries, key=lambda one: int(one["t"])),
        "limits": len(limits_on(quantity, rules)),
        "sites": _sites(tallied),
        "sensors": shown,
        **_columns([windows[place] for place, _ in map(newest.__getitem__, shown)], [newest[one][1] for one in shown]),
    }


def rows_of(one: OpenWindow, quantity: Quantity) -> tuple[list[str], Int64s]:
    """Return the ids of the sensors with rows of `quantity`, and the positions of these rows."""
    parts = split_series(one.rollup.sensor_ids)
    if quantity not in parts.quantities:
        return [], np.zeros(0, np.int64)
    rows = np.flatnonzero(parts.kind == parts.quantities.index(quantity))
    return parts.sensor_ids.take(rows).to_list(), rows


def _summary(one: OpenWindow, rows: Int64s) -> Json:
    rollup = one.rollup
    readings, sum_milli = int(rollup.readings[rows].sum()), int(rollup.sum_milli[rows].sum())
    return {
        "t": one.window.start_ms,
        "sensors": len(rows),
        "readings": readings,
        "mean": rounded_mean(sum_milli / (1000 * readings)),
        "min": int(rollup.min_milli[rows].min()) / 1000,
        "max": int(rollup.max_milli[rows].max()) / 1000,
    }


def _sites(counted: SiteTally) -> Json:
    """Return at most SITES_MAX sites, those with the most sensors beyond a limit first, then by name."""
    shown = np.argsort(-counted.beyond, kind="stable")[:SITES_MAX].tolist()
    numbers = [site_numbers(counted, one) for one in shown]
    return {
        "total": len(counted.sites),
        "site": [counted.sites[one] for one in shown],
        **{name: [one[name] for one in numbers] for name in SITE_NUMBERS},
    }


def site_numbers(counted: SiteTally, place: int) -> Json:
    """Return the numbers of the site at `place`, by SITE_NUMBERS."""
    sum_milli, readings = int(counted.sum_milli[place]), int(counted.readings[place])
    numbers = (
        int(counted.sensors[place]),
        readings,
        rounded_mean(sum_milli / (1000 * readings)),
        int(counted.min_milli[place]) / 1000,
        int(counted.max_milli[place]) / 1000,
        int(counted.beyond[place]),
    )
    return dict(zip(SITE_NUMBERS, numbers, strict=True))


def _columns(windows: Sequence[OpenWindow], rows: Sequence[int]) -> Json:
    """Return the columns of some rows, each of the window at the same place."""
    places = list(zip((one.rollup for one in windows), rows, strict=True))
    return {
        "t": [one.window.start_ms for one in windows],
        "last_time": [int(rollup.last_time_ms[row]) for rollup, row in places],
        "last": [int(rollup.last_milli[row]) / 1000 for rollup, row in places],
        "mean": [
            rounded_mean(int(rollup.sum_milli[row]) / (1000 * int(rollup.readings[row]))) for rollup, row in places
        ],
        "min": [int(rollup.min_milli[row]) / 1000 for rollup, row in places],
        "max": [int(rollup.max_milli[row]) / 1000 for rollup, row in places],
        "readings": [int(rollup.readings[row]) for rollup, row in places],
    }
