"""The dashboard in a browser: what it draws is what a query answers, with mouse, keyboard and on a phone."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from selenium.webdriver.common.keys import Keys

from analytics import presets
from analytics.engine import local_engine
from analytics.query import Query
from producers.fleet import FleetSpec
from tests.browser.conftest import SENSORS, SILENT, WINDOWS, Page
from windrow.stage import Stage
from windrow.timerange import TimeRange
from windrow.window import WINDOW_MS
from windrow_cli.dashboard import dashboard_of, export_to

# Set to a folder to keep the screenshots, such as docs/images.
SCREENSHOTS = os.environ.get("WINDROW_SCREENSHOTS")


@pytest.fixture
def answer(stage: Stage, home: Path) -> Any:
    """Ask the stage as `windrow query` does."""
    engine = local_engine(stage, home=home)
    return lambda query: engine.run(query).frame


def range_of(fleet: FleetSpec) -> TimeRange:
    return TimeRange(fleet.start_ms, fleet.end_ms)


def seconds(frame: pd.DataFrame) -> list[int]:
    return [int(at.timestamp()) for at in frame["window_start"]]


def drawn(page: Page, chart: str) -> list[list[float | None]]:
    """The columns of a chart, as the chart itself holds them."""
    return page.js(f"return Array.from(window.windrow.shown.charts.{chart}.chart.data, (one) => Array.from(one))")  # type: ignore[no-any-return]


def test_the_page_is_there_at_once_and_the_console_is_silent(page: Page) -> None:
    """First paint under a second; no error, no blocked script, no request to anywhere else."""
    paints = page.js("return performance.getEntriesByType('paint').map((one) => one.startTime)")
    assert paints
    assert max(paints) < 1_000
    origins = page.js("return performance.getEntriesByType('resource').map((one) => new URL(one.name).origin)")
    assert set(origins) <= {page.url.rstrip("/")}


def test_the_fleet_is_drawn_as_the_query_answers(page: Page, answer: Any, fleet: FleetSpec) -> None:
    """Window by window: the lowest, the mean and the highest."""
    frame = answer(presets.fleet(range_of(fleet)))
    time_s, high, mean, low, sensors = drawn(page, "fleet")
    assert time_s == seconds(frame)
    assert high == frame["max_c"].tolist()
    assert low == frame["min_c"].tolist()
    assert mean == pytest.approx(frame["mean_c"].tolist(), abs=0.00051)
    assert sensors == frame["sensors"].tolist()
    assert len(time_s) == WINDOWS


def test_another_range_shows_other_windows(page: Page, fleet: FleetSpec) -> None:
    """By the form, by a key, and by dragging across a chart."""
    page.js("document.getElementById('from').value = arguments[0]", "2020-01-01T00:00:00Z")
    page.js("document.getElementById('to').value = arguments[0]", "2020-01-01T01:00:00Z")
    page.click("#custom summary")
    page.after(lambda: page.click("#custom button"))
    assert "no rows in this range; the newest are of" in page.text("#banner")
    page.after(lambda: page.press("2"))
    assert page.js("return document.getElementById('banner').hidden")
    assert len(drawn(page, "fleet")[0]) == WINDOWS
    page.after(lambda: page.js(DRAG_OVER_THREE_WINDOWS))
    first_s = fleet.start_ms // 1000 + 2 * WINDOW_MS // 1000
    assert drawn(page, "fleet")[0][0] == first_s
    assert len(drawn(page, "fleet")[0]) == 3


DRAG_OVER_THREE_WINDOWS = """
const chart = window.windrow.shown.charts.fleet.chart, [time] = chart.data;
const left = chart.valToPos(time[2] + 5, "x"), right = chart.valToPos(time[5] - 5, "x");
chart.setSelect({ left, width: right - left, top: 0, height: 9 });
"""


def test_a_sensor_is_searched_and_its_history_is_drawn(page: Page, answer: Any, fleet: FleetSpec) -> None:
    """Typing narrows the list; a click opens the sensor with all its percentiles."""
    page.press("sensor-000007", "#search")
    page.until(lambda: page.text("#page") == "1–1 of 1")
    page.click("#names button")
    page.until(lambda: page.js("return Boolean(window.windrow.shown.charts.history)"))
    (sensor,) = page.js("return window.windrow.shown.heatmap.sensors")
    frame = answer(presets.sensor(sensor, range_of(fleet)))
    columns = drawn(page, "history")
    assert columns[0] == seconds(frame)
    names = ("max", "p95", "p75", "mean", "p50", "p25", "p05", "min")
    for name, column in zip(names, columns[1:9], strict=True):
        assert column == pytest.approx(frame[f"{name}_c"].tolist(), abs=0.00051)
    assert columns[9] == frame["readings"].tolist()
    assert f"sensor={sensor.replace('/', '%2F')}" in page.browser.current_url


def test_the_heatmap_paints_the_means(page: Page, answer: Any, fleet: FleetSpec) -> None:
    """The colour under a cell is that of its value, and its value is the query's."""
    frame = answer(presets.sensors(range_of(fleet)))
    shown = page.js("return window.windrow.shown.heatmap")
    assert (shown["total"], len(shown["sensors"])) == (SENSORS + SILENT, 25)
    assert shown["sensors"] == sorted(frame["sensor_id"].unique())[:25]
    means = frame.set_index(["sensor_id", "window_start"])["mean_c"]
    for row, column in ((0, 0), (3, 5), (24, WINDOWS - 1)):
        at = pd.Timestamp(shown["t"][column], unit="ms", tz="UTC")
        expected = means.get((shown["sensors"][row], at))
        assert shown["mean"][row][column] == (None if expected is None else pytest.approx(expected, abs=0.00051))
        painted, wanted = page.js(PIXEL_AND_SHADE, row, column)
        assert painted == pytest.approx(wanted, abs=2)


PIXEL_AND_SHADE = """
const [row, column] = arguments, { heatmap } = window.windrow, canvas = heatmap.canvas;
const ratio = devicePixelRatio, wide = canvas.width / heatmap.columns;
const pixel = canvas.getContext("2d").getImageData((column + 0.5) * wide, (row * 20 + 9) * ratio, 1, 1).data;
const value = heatmap.cellAt(row, column).value;
const { shadeOf } = window.windrow;
return [[...pixel].slice(0, 3), shadeOf(value, heatmap.low, heatmap.high)];
"""


def test_late_corrections_and_silent_sensors_are_shown(page: Page, answer: Any) -> None:
    """The second fleet came after its windows were rolled, and ended early."""
    lineages = answer(Query("SELECT window_start, revision, sensors FROM windows WHERE readings > 0"))
    corrected = int((lineages["revision"] > 1).sum())
    assert corrected == WINDOWS - 6
    assert f"{corrected} windows were rolled again" in page.text("#late-text")
    assert page.text("#silent-text").startswith(f"{SILENT} heard in the range, but not in its last two windows")
    page.js(
        "const sort = document.getElementById('sort'); sort.value = 'silent'; sort.dispatchEvent(new Event('change'))"
    )
    page.until(lambda: page.text("#page") == f"1–{SILENT} of {SILENT}")


def test_the_movers_are_those_of_the_query(page: Page, answer: Any, fleet: FleetSpec) -> None:
    """From the first window's mean to the last's."""
    frame = answer(presets.sensors(range_of(fleet)))
    means = frame.groupby("sensor_id")["mean_c"]
    change = (means.last() - means.first()).sort_values(kind="stable")
    falling = page.js("return window.windrow.shown.overview.movers.falling")
    rising = page.js("return window.windrow.shown.overview.movers.rising")
    expected = [value for value in change.head(8).tolist() if value < 0]
    assert [one["change"] for one in falling] == pytest.approx(expected, abs=0.001)
    assert [one["change"] for one in rising] == pytest.approx(
        [value for value in change[::-1].head(8).tolist() if value > 0], abs=0.001
    )


def test_everything_can_be_done_with_the_keyboard(page: Page) -> None:
    """Search, page, walk through the heatmap, open and close a sensor, read off a chart, help."""
    page.press("]")
    page.until(lambda: page.text("#page").startswith("26–"))
    page.press("[")
    page.until(lambda: page.text("#page").startswith("1–"))
    page.press("/")
    assert page.js("return document.activeElement.id") == "search"
    page.press(Keys.ESCAPE, "#search")
    page.press(Keys.ARROW_DOWN + Keys.ARROW_RIGHT, "#cells")
    second = page.js("return window.windrow.shown.heatmap.sensors[1]")
    assert page.text("#cell").startswith(second)
    page.press(Keys.ENTER, "#cells")
    page.until(lambda: page.text("#history-title") == second)
    page.press(Keys.ESCAPE)
    page.until(lambda: page.js("return document.getElementById('history-panel').hidden"))
    page.press(Keys.ARROW_RIGHT, "#fleet")
    assert page.js("return window.windrow.shown.charts.fleet.chart.cursor.idx") == 0
    page.press("?")
    assert page.js("return document.getElementById('keys').open")
    page.press(Keys.ESCAPE)


def test_a_reload_shows_the_same(page: Page) -> None:
    """Range, search, order and sensor are in the address."""
    sensor = page.js("return window.windrow.shown.heatmap.sensors[2]")
    page.open(f"from=-6h&search=site-0&sort=hottest&sensor={sensor}")
    assert page.text("#history-title") == sensor
    assert page.js("return document.getElementById('sort').value") == "hottest"
    assert page.js("return document.querySelector('[data-from=\"-6h\"]').getAttribute('aria-pressed')") == "true"


def test_a_bad_range_is_said_on_the_page(page: Page) -> None:
    """The same line as in the terminal, and the next choice mends it."""
    page.js("document.getElementById('from').value = 'yesterday'")
    page.click("#custom summary")
    page.click("#custom button")
    page.until(lambda: "--from 'yesterday' is not a time" in page.text("#banner"))
    page.after(lambda: page.press("1"))
    assert page.js("return document.getElementById('banner').hidden")
    assert [line for line in page.complaints() if "400" not in line] == []


@pytest.mark.parametrize(
    ("name", "width", "theme"), [("light", 1280, "light"), ("dark", 1280, "dark"), ("phone", 390, "light")]
)
def test_it_fits_light_dark_and_a_phone(page: Page, tmp_path: Path, name: str, width: int, theme: str) -> None:
    """Nothing is wider than the screen, nothing overlaps its panel; the screenshots are kept when asked for."""
    page.js("localStorage.setItem('windrow-theme', arguments[0])", theme)
    page.open("from=-2h&sort=hottest")
    page.resize(width, 900, is_phone=name == "phone")
    page.click("#names li:nth-child(2) button")
    page.until(lambda: page.js("return Boolean(window.windrow.shown.charts.history)"))
    tall = page.js("return document.documentElement.scrollHeight")
    page.resize(width, tall, is_phone=name == "phone")
    assert page.js("return document.documentElement.scrollWidth") <= width
    assert page.js(OVERFLOWING) == []
    dark = page.js("return getComputedStyle(document.body).backgroundColor")
    assert (dark == "rgb(15, 20, 25)") is (theme == "dark")
    folder = Path(SCREENSHOTS) if SCREENSHOTS else tmp_path
    page.browser.save_screenshot(str(folder / f"dashboard-{name}.png"))


OVERFLOWING = """
return [...document.querySelectorAll(".panel")].filter((panel) => panel.scrollWidth > panel.clientWidth + 1)
  .map((panel) => panel.textContent.slice(0, 40));
"""


def test_an_exported_file_needs_nothing_else(
    page: Page, stage: Stage, home: Path, fleet: FleetSpec, answer: Any, tmp_path: Path
) -> None:
    """Opened from disk it shows the same numbers, searches and opens sensors, and loads nothing."""
    file = tmp_path / "fleet.html"
    start, end = (str(pd.Timestamp(ms, unit="ms", tz="UTC").isoformat()) for ms in (fleet.start_ms, fleet.end_ms))
    export_to(dashboard_of(stage, home=home), str(file), start, end, place=stage.place)
    page.url = file.as_uri()
    page.open()
    frame = answer(presets.fleet(range_of(fleet)))
    assert drawn(page, "fleet")[0] == seconds(frame)
    assert drawn(page, "fleet")[1] == frame["max_c"].tolist()
    page.press("sensor-000007", "#search")
    page.until(lambda: page.text("#page") == "1–1 of 1")
    page.click("#names button")
    page.until(lambda: page.js("return Boolean(window.windrow.shown.charts.history)"))
    assert len(drawn(page, "history")[0]) == WINDOWS
    assert (
        page.js("return performance.getEntriesByType('resource').filter((one) => !one.name.startsWith('data:'))") == []
    )
    assert page.js("return document.getElementById('ranges').hidden")
