"""Export of the dashboard: the page of a time range and all its answers in one file that can be sent."""

from typing import Any

from analytics.dashboard import PER_PAGE_MAX, Dashboard
from analytics.page import exported_page

SENSORS_MAX = 1_000
"""The most sensors whose means are in the file; if there are more, those with the highest readings."""
HISTORY_ROWS_MAX = 50_000
"""The most rows of percentiles in the file, about 70 bytes each; histories are added until it is reached."""
PAGES_MAX = 1_000_000
"""A page that is behind the last one, which is the one that is given for it."""
SENSORS_AT_ONCE = 200
"""The most sensors whose histories are read by one query."""


def export(dashboard: Dashboard, start: str | None, end: str | None) -> tuple[str, int, int]:
    """Return the file's text, the number of sensors in it, and the number of all sensors."""
    overview = dashboard.overview(start, end)
    heatmap = _all_sensors(dashboard, start, end)
    histories = _histories(dashboard, start, end, overview, heatmap["sensors"])
    answers = {"overview": overview, "heatmap": heatmap, "histories": histories}
    answers["excursions"] = _excursions(dashboard, start, end)
    text = exported_page(answers, dashboard.quantity)
    return text, len(heatmap["sensors"]), heatmap["total"]


def _excursions(dashboard: Dashboard, start: str | None, end: str | None) -> dict[str, Any]:
    """Return the newest excursions of the dashboard's quantity, a page of them, and how many there are."""

    def page(number: int) -> dict[str, Any]:
        name = dashboard.quantity.name
        return dashboard.excursions(start, end, quantity=name, page=number, per_page=PER_PAGE_MAX)

    last = page(PAGES_MAX)
    before = page(last["page"] - 1)["excursions"] if last["page"] else []
    return {"total": last["total"], "excursions": [*before, *last["excursions"]][-PER_PAGE_MAX:]}


def _all_sensors(dashboard: Dashboard, start: str | None, end: str | None) -> dict[str, Any]:
    """Return all pages of the heatmap as one, up to SENSORS_MAX sensors; sorted by name if none is left out."""

    def page(number: int, sort: str) -> dict[str, Any]:
        return dashboard.heatmap(start, end, search="", sort=sort, page=number, per_page=PER_PAGE_MAX)

    total = page(0, "name")["total"]
    sort = "name" if total <= SENSORS_MAX else "hottest"
    pages = [page(number, sort) for number in range(-(-min(total, SENSORS_MAX) // PER_PAGE_MAX) or 1)]
    columns = ("sensors", "last", "min", "max", "change", "mean")
    return pages[0] | {name: [value for one in pages for value in one[name]] for name in columns}


def _histories(
    dashboard: Dashboard, start: str | None, end: str | None, overview: dict[str, Any], sensor_ids: list[str]
) -> dict[str, Any]:
    """Return histories of movers and silent sensors first, then of others until HISTORY_ROWS_MAX."""
    movers = overview["movers"]
    striking = [one["sensor"] for one in (*movers["rising"], *movers["falling"], *overview["silent"]["sensors"])]
    wanted = list(dict.fromkeys([*striking, *sensor_ids]))
    windows = max(1, len(overview["completeness"]["t"]))
    at_once = min(SENSORS_AT_ONCE, -(-HISTORY_ROWS_MAX // windows))
    histories: dict[str, Any] = {}
    rows = 0
    for first in range(0, len(wanted), at_once):
        if rows >= HISTORY_ROWS_MAX:
            break
        found = dashboard.histories(start, end, sensor_ids=wanted[first : first + at_once])
        histories |= found
        rows += sum(len(one["t"]) for one in found.values())
    return histories
