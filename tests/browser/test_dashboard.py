"""The dashboard in a browser: what it draws is what a query answers, with mouse, keyboard and on a phone."""

import os
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from selenium.webdriver.common.keys import Keys

from analytics import presets
from analytics.engine import local_engine
from analytics.query import Query
from producers.fleet import FleetSpec
from tests.browser.conftest import DEAD_SENSORS, SENSORS, SILENT, WINDOWS, Page
from windrow.stage import Stage
from windrow.timerange import TimeRange
from windrow.window import WINDOW_MS
from windrow_cli.dashboard import dashboard_of, export_to

# Set to a folder to keep the screenshots, such as docs/images.
SCREENSHOTS = os.environ.get("WINDROW_SCREENSHOTS")

# What the page links to -> the part of what it holds that has the same numbers.
SHOWN_AS = {
    "silences": "silent",
    "fleet": "fleet",
    "windows": "completeness",
    "movers": "movers",
    "sensors": "heatmap",
    "sensor": "history",
}


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


def test_the_page_is_painted_and_the_console_is_silent(page: Page) -> None:
    """No error, no blocked script, no request to anywhere else."""
    assert page.js("return performance.getEntriesByType('paint').map((one) => one.startTime)")
    origins = page.js("return performance.getEntriesByType('resource').map((one) => new URL(one.name).origin)")
    assert set(origins) <= {page.url.rstrip("/")}


def test_the_fleet_is_drawn_as_the_query_answers(page: Page, answer: Any, fleet: FleetSpec) -> None:
    """Window by window: the lowest, the mean and the highest."""
    frame = answer(presets.fleet(range_of(fleet)))
    time_s, high, mean, low, sensors = drawn(page, "fleet")
    assert time_s == seconds(frame)
    assert high == frame["max_c"].tolist()
    assert low == frame["min_c"].tolist()
    assert mean == pytest.approx(frame["mean_c"].tolist(), abs=1e-12)
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
        assert column == pytest.approx(frame[f"{name}_c"].tolist(), abs=1e-12)
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
        assert shown["mean"][row][column] == (None if expected is None else pytest.approx(expected, abs=1e-12))
        painted, wanted = page.js(PIXEL_AND_SHADE, row, column)
        assert painted == pytest.approx(wanted, abs=2)


PIXEL_AND_SHADE = """
const [row, place] = arguments, { heatmap } = window.windrow, { canvas, page } = heatmap, ratio = devicePixelRatio;
const left = heatmap.leftOf(page.t[place] + page.step_ms / 2) * ratio;
const pixel = canvas.getContext("2d").getImageData(left, (row * 20 + 9) * ratio, 1, 1).data;
const value = heatmap.cellAt(row, Math.round((page.t[place] - heatmap.firstMs) / page.step_ms)).value;
const { shadeOf } = window.windrow;
return [[...pixel].slice(0, 3), shadeOf(value, heatmap.low, heatmap.high)];
"""


def listed_as_silent(page: Page) -> list[str]:
    """The names in the panel of silent sensors, sorted."""
    return sorted(page.js("return [...document.querySelectorAll('#silent td bdi')].map((one) => one.textContent)"))


def silent_by_the_query(frame: pd.DataFrame) -> list[str]:
    """Whom `windrow query silences` calls silent in its newest window, sorted."""
    newest = frame[frame["window_start"] == frame["window_start"].max()]
    return sorted(newest["sensor_id"][newest["state"].isin(["began", "lasts"])])


def test_late_corrections_and_silent_sensors_are_shown(page: Page, answer: Any, fleet: FleetSpec) -> None:
    """The second fleet came after its windows were rolled, and ended early."""
    lineages = answer(Query("SELECT window_start, revision, sensors FROM windows WHERE readings > 0"))
    corrected = int((lineages["revision"] > 1).sum())
    assert corrected == WINDOWS - 6
    assert f"{corrected} windows were rolled again" in page.text("#late-text")
    assert page.text("#silent-text").startswith(f"{SILENT} are silent in the window of")
    assert listed_as_silent(page) == silent_by_the_query(answer(presets.silences(range_of(fleet))))
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
    cursor = "return window.windrow.shown.charts.fleet.chart.cursor.idx"
    assert page.js(cursor) == 0
    page.press(Keys.ARROW_RIGHT, "#fleet")
    page.after(lambda: page.press("r", "#fleet"))
    page.until(lambda: page.js(cursor) == 1)  # what is drawn anew keeps the cursor
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
    """In the page's own words, and the next choice mends it."""
    page.js("document.getElementById('from').value = 'yesterday'")
    page.click("#custom summary")
    page.click("#custom button")
    page.until(lambda: page.text("#banner").startswith("From 'yesterday' is not a time"))
    page.after(lambda: page.press("1"))
    assert page.js("return document.getElementById('banner').hidden")
    assert [line for line in page.complaints() if "400" not in line] == []


@pytest.mark.parametrize(
    ("name", "width", "theme"), [("light", 1280, "light"), ("dark", 1280, "dark"), ("phone", 390, "light")]
)
def test_it_fits_light_dark_and_a_phone(page: Page, tmp_path: Path, name: str, width: int, theme: str) -> None:
    """Nothing is wider than the screen, nothing overlaps its panel; the screenshots are kept when asked for.

    The first of them, of what a tall window shows, is the one in the README.
    """
    folder = Path(SCREENSHOTS) if SCREENSHOTS else tmp_path
    page.js("localStorage.setItem('windrow-theme', arguments[0])", theme)
    page.open("from=-2h&sort=hottest")
    page.resize(width, 1150, is_phone=name == "phone")
    if name == "light":
        page.browser.save_screenshot(str(folder / "dashboard.png"))
    page.click("#names li:nth-child(2) button")
    page.until(lambda: page.js("return Boolean(window.windrow.shown.charts.history)"))
    tall = page.js("return document.documentElement.scrollHeight")
    page.resize(width, tall, is_phone=name == "phone")
    assert page.js("return document.documentElement.scrollWidth") <= width
    assert page.js(OVERFLOWING) == []
    assert page.js(POPOVER_OUTSIDE) == []
    dark = page.js("return getComputedStyle(document.body).backgroundColor")
    assert (dark == "rgb(15, 20, 25)") is (theme == "dark")
    page.browser.save_screenshot(str(folder / f"dashboard-{name}.png"))


OVERFLOWING = """
return [...document.querySelectorAll(".panel")].filter((panel) => panel.scrollWidth > panel.clientWidth + 1)
  .map((panel) => panel.textContent.slice(0, 40));
"""


POPOVER_OUTSIDE = """
const details = document.getElementById("custom");
details.open = true;
const box = document.querySelector(".popover").getBoundingClientRect();
details.open = false;
const { clientWidth, clientHeight } = document.documentElement;
const beyond = { left: -box.left, top: -box.top, right: box.right - clientWidth, bottom: box.bottom - clientHeight };
return Object.entries(beyond)
  .filter(([, beyond]) => beyond > 0);
"""


def test_the_range_picker_fits_the_smallest_phone(page: Page) -> None:
    """Both fields and the button, also with the page scrolled down."""
    page.resize(320, 560, is_phone=True)
    assert page.js(POPOVER_OUTSIDE) == []
    assert page.js("return document.documentElement.scrollWidth") <= 320
    page.js("scrollTo(0, 900)")
    page.js("scrollTo(0, 0)")
    page.js("document.getElementById('custom').open = true")
    page.js("document.getElementById('from').value = '-1h'")
    page.after(lambda: page.browser.find_element("css selector", "#custom button").click())
    assert page.js("return window.windrow.state.from") == "-1h"


AXES = """
const { shown, heatmap } = window.windrow;
const ends = ({ min, max }) => [min * 1000, max * 1000];
const charts = Object.entries(shown.charts).map(([name, { chart }]) => [name, ends(chart.scales.x)]);
return Object.fromEntries([...charts, ["heatmap", [heatmap.axis.fromMs, heatmap.axis.toMs]]]);
"""


def test_all_panels_share_one_axis_and_the_newest_bar_is_whole(page: Page, fleet: FleetSpec) -> None:
    """From the start of the range to its end, or to the end of the newest window if that is later."""
    sensor = page.js("return window.windrow.shown.heatmap.sensors[0]")
    bounds = (fleet.start_ms - 40 * 60_000, fleet.end_ms - 60_000)  # the newest window begins in it, and ends after it
    iso = [pd.Timestamp(at, unit="ms", tz="UTC").isoformat() for at in bounds]
    page.open(f"from={iso[0].replace('+00:00', 'Z')}&to={iso[1].replace('+00:00', 'Z')}&sensor={sensor}")
    axes = page.js(AXES)
    assert set(axes) == {"fleet", "completeness", "late", "history", "heatmap"}
    assert set(map(tuple, axes.values())) == {(bounds[0], fleet.end_ms)}
    assert page.js("return window.windrow.shown.overview.fleet.t.at(-1)") == fleet.end_ms - WINDOW_MS


def test_the_cursor_is_shared(page: Page) -> None:
    """Pointing at the heatmap marks the same window in every chart, and the other way round."""
    last = len(page.js("return window.windrow.shown.charts.fleet.chart.data[0]")) - 1
    index = "return Object.values(window.windrow.shown.charts).map(({ chart }) => chart.legend.idx)"
    assert page.js(index) == [last] * 3
    page.js("document.getElementById('cells').focus()")
    page.press(Keys.ARROW_RIGHT * 3, "#cells")
    at_ms = page.js("const { heatmap } = window.windrow; return heatmap.cellAt(0, heatmap.at.column).at")
    times = page.js(
        "return Object.values(window.windrow.shown.charts).map(({ chart }) => chart.posToVal(chart.cursor.left, 'x'))"
    )
    assert [at_ms / 1000 <= one < (at_ms + WINDOW_MS) / 1000 for one in times] == [True] * 3
    page.js("document.getElementById('cells').blur()")
    assert page.js("return document.getElementById('cursor').hidden")
    page.js("document.getElementById('fleet').focus()")
    page.press(Keys.ARROW_RIGHT, "#fleet")
    assert page.js("return document.getElementById('cursor').hidden") is False
    assert page.js(index) == [0] * 3


def test_legends_show_the_newest_values(page: Page, answer: Any, fleet: FleetSpec) -> None:
    """Before anybody points anywhere."""
    newest = answer(presets.fleet(range_of(fleet))).iloc[-1]
    legend = page.text("#fleet .u-legend")
    for name in ("mean", "min", "max"):
        (shown,) = re.findall(rf"{name}(-?[0-9.]+) °C", legend)
        assert float(shown) == pytest.approx(newest[f"{name}_c"], abs=0.005 + 1e-9)
    assert "--" not in legend


def test_back_undoes_and_zooming_out_doubles(page: Page) -> None:
    """A range, a sensor and a zoom are steps; typing into the search is none."""
    page.after(lambda: page.press("1"))
    page.after(lambda: page.press("-"))
    assert page.js("const { from, to } = window.windrow.state; return [from, to]") == ["-4h", "now"]
    page.press("sensor-000007", "#search")
    page.until(lambda: page.text("#page") == "1–1 of 1")
    page.click("#names button")
    page.until(lambda: page.js("return Boolean(window.windrow.shown.charts.history)"))
    page.after(page.browser.back)
    assert page.js("return document.getElementById('history-panel').hidden")
    page.after(page.browser.back)
    assert page.js("return window.windrow.state.from") == "-2h"
    page.after(page.browser.forward)
    assert page.js("return window.windrow.state.from") == "-4h"
    for _ in range(10):
        page.after(lambda: page.click("#out"))
    assert page.js("return window.windrow.state.from") == f"-{31 * 24}h"


def test_times_are_local_by_choice(page: Page) -> None:
    """Half an hour off the hour, kept for the next time, and named."""
    page.browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Kolkata"})
    try:
        page.open("from=-3h")
        utc = page.text("#status").split(" to ")[0]
        page.press("u")
        local = page.text("#status").split(" to ")[0]
        assert "Asia/" in page.text("#status")
        moved = pd.Timestamp(f"2026 {local}") - pd.Timestamp(f"2026 {utc}")
        assert moved == pd.Timedelta(hours=5, minutes=30)
        assert "Asia/" in page.text("#fleet .u-legend")
        page.open("from=-3h")
        assert page.text("#zone") == "local"
        page.press("u")
        assert "UTC" in page.text("#status")
    finally:
        page.browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "UTC"})


def test_an_error_is_in_sight_and_dims_what_is_old(page: Page) -> None:
    """Wherever the page is scrolled to; the next answer mends it."""
    page.js("window.answered = window.fetch; window.fetch = () => Promise.reject(new TypeError('refused'))")
    page.js("scrollTo(0, document.body.scrollHeight)")
    page.press("r")
    page.until(lambda: not page.js("return document.getElementById('banner').hidden"))
    assert page.text("#banner") == "windrow dashboard does not answer: is it still running?"
    box = page.js(
        "const { top, bottom } = document.getElementById('banner').getBoundingClientRect(); return [top, bottom]"
    )
    assert 0 <= box[0] < box[1] <= page.js("return innerHeight")
    page.until(lambda: float(page.js("return getComputedStyle(document.getElementById('main')).opacity")) < 0.5)
    page.js("window.fetch = window.answered")
    page.after(lambda: page.press("r"))
    page.until(lambda: page.js("return getComputedStyle(document.getElementById('main')).opacity") == "1")
    assert page.js("return document.getElementById('banner').hidden")


def test_an_answer_that_is_none_is_said_in_the_pages_words(page: Page) -> None:
    """A server that fails, or something else on its port, answers in no JSON: no parser's complaint is shown."""
    page.js("window.fetch = async () => new Response('Internal Server Error', { status: 500 })")
    page.press("r")
    page.until(lambda: not page.js("return document.getElementById('banner').hidden"))
    assert page.text("#banner") == "windrow dashboard failed at overview — its terminal says why"


def test_an_answer_that_comes_too_late_is_dropped(page: Page) -> None:
    """The search that was typed last is shown, though the answer to the one before it comes last."""
    page.js(SLOW_FOR, "search=000007")
    page.press("000007", "#search")
    page.until(lambda: page.js("return window.held.length") == 1)
    page.press(Keys.BACKSPACE + "9", "#search")
    page.until(lambda: page.text("#page") == "1–1 of 1")
    page.js("window.held.forEach((release) => release())")
    page.until(lambda: page.js("return window.released") == 1)
    assert page.text("#names").endswith("sensor-000009")
    assert page.js("return window.windrow.shown.heatmap.sensors").pop().endswith("sensor-000009")


SLOW_FOR = """
const [slow, answered] = [arguments[0], window.fetch];
window.held = [];
window.released = 0;
window.fetch = async (url, options) => {
  const answer = await answered(url, options);
  if (!String(url).includes(slow)) return answer;
  await new Promise((release) => window.held.push(release));
  setTimeout(() => { window.released += 1; }, 200); // after the page has had the answer
  return answer;
};
"""


def test_a_sensor_without_rows_is_said_in_its_own_panel(page: Page) -> None:
    """The others are drawn as ever."""
    page.open("from=-3h&sensor=site-09/never-heard")
    assert "no sensor 'site-09/never-heard' in this range" in page.text("#history-error")
    assert page.js("return document.getElementById('banner').hidden")
    assert len(drawn(page, "fleet")[0]) == WINDOWS
    page.browser.get_log("browser")  # the 404 of the history


def test_every_panel_links_to_its_numbers(page: Page) -> None:
    """And the page to itself, with fixed times."""
    page.click("#names button")
    page.until(lambda: page.js("return Boolean(window.windrow.shown.charts.history)"))
    links = page.js("return [...document.querySelectorAll('[data-api]')].map((one) => [one.dataset.api, one.href])")
    assert {name for name, _ in links} == {*SHOWN_AS, "excursions"}
    overview = page.js("return window.windrow.shown.overview")
    for name, href in links:
        body = page.browser.execute_async_script(
            "const [url, done] = arguments; fetch(url).then((one) => one.json()).then(done)", href
        )
        shown = {name: overview.get(SHOWN_AS.get(name))}
        if name == "sensors":
            shown = page.js("return window.windrow.shown.heatmap")
        elif name == "excursions":
            shown = {"total": page.js("return window.windrow.shown.excursions.total")}
        assert name == "sensor" or shown.items() <= body.items()
    fixed = page.js("return document.getElementById('permalink').href")
    page.browser.get("about:blank")
    page.browser.get(fixed)
    page.until(lambda: page.js("return (window.windrow?.shown.refreshes ?? 0) > 0"))
    assert page.js("return window.windrow.shown.overview.range") == {
        name: at // 1000 * 1000 for name, at in overview["range"].items()
    }


def test_a_fleet_that_died_is_silent_as_in_the_query(browser: Any, dead_url: str, dead: Stage, home: Path) -> None:
    """Twenty sensors stopped more than an hour ago: all of them, by name, at the top of the page."""
    page = Page(browser, dead_url)
    page.open("from=-6h")
    shown = page.js("return window.windrow.shown.overview.silent")
    assert page.text("#silent-text").startswith(f"{DEAD_SENSORS} are silent in the window of")
    assert page.text("#facts div dl").startswith(f"silent sensors{DEAD_SENSORS}")
    end_ms = shown["at"] + WINDOW_MS
    frame = local_engine(dead, home=home).run(presets.silences(TimeRange(end_ms - 6 * 3_600_000, end_ms))).frame
    assert listed_as_silent(page) == silent_by_the_query(frame)
    assert len(listed_as_silent(page)) == DEAD_SENSORS
    tops = page.js("return [...document.querySelectorAll('.panel')].map((one) => one.id)")
    assert tops[0] == "silent-panel"


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
