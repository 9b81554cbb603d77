"""The dashboard of a time range as one file to send to a colleague: the page, and what it would have asked for."""

from typing import Any

from analytics.dashboard import PER_PAGE_MAX, Dashboard
from analytics.page import exported_page

SENSORS_MAX = 1_000
"""Sensors whose means are in the file: those with the highest readings, when there are more."""
HISTORY_ROWS_MAX = 50_000
"""Rows of percentiles in the file, about 70 bytes each: of so many sensors as that is enough for."""


def export(dashboard: Dashboard, start: str | None, end: str | None) -> tuple[str, int, int]:
    """The file's text, how many sensors are in it, and of how many."""
    overview = dashboard.overview(start, end)
    heatmap = _all_sensors(dashboard, start, end)
    histories = _histories(dashboard, start, end, overview, heatmap["sensors"])
    text = exported_page({"overview": overview, "heatmap": heatmap, "histories": histories})
    return text, len(heatmap["sensors"]), heatmap["total"]


def _all_sensors(dashboard: Dashboard, start: str | None, end: str | None) -> dict[str, Any]:
    """Every page of the heatmap as one, up to SENSORS_MAX; by name when they are all there."""

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
    """The histories of the sensors that one would look at first, and of others as far as they fit."""
    movers = overview["movers"]
    striking = [one["sensor"] for one in (*movers["rising"], *movers["falling"], *overview["silent"]["sensors"])]
    histories: dict[str, Any] = {}
    rows = 0
    for sensor_id in dict.fromkeys([*striking, *sensor_ids]):
        if rows >= HISTORY_ROWS_MAX:
            break
        histories[sensor_id] = dashboard.history(start, end, sensor_id=sensor_id)
        rows += len(histories[sensor_id]["t"])
    return histories
