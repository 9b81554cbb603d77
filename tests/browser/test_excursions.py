"""The page's excursions: the list, the shaded chart of a sensor, the marks under the fleet's, the keyboard, a phone."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from analytics.dashboard import Dashboard
from analytics.export import export
from tests.browser.conftest import Page, serving_of
from tests.unit.stored_results import START_MS, StoredResults
from tests.unit.test_row_cache import ALL, WINDOWS, readings_of, store
from windrow.aws.clients import Place
from windrow.lake.layout import excursions_key
from windrow.rules.rows import ExcursionRow, RowState, encode_excursions
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS, Window

SCREENSHOTS = os.environ.get("WINDROW_SCREENSHOTS")
LASTING = ExcursionRow(
    rule="freezer-warm",
    severity="critical",
    series="site-0/Sensor-2",
    state=RowState.LASTS,
    began_ms=START_MS + 5 * WINDOW_MS,
    rang_ms=START_MS + 7 * WINDOW_MS,
    until_ms=START_MS + 9 * WINDOW_MS,
    extreme_milli=2_890,
    beyond_milli_ms=90_000_000,
    windows=4,
)
CLEARED = replace(
    LASTING,
    series="site-1/Sensor-5",
    state=RowState.CLEARED,
    began_ms=START_MS + WINDOW_MS,
    until_ms=START_MS + 4 * WINDOW_MS,
    revision=2,
    extreme_milli=5_900,
    held_ms=741_000,
)
HUMID = replace(LASTING, series="site-0/Sensor-2\x1fhumidity\x1f%")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Dashboard:
    """Rows of nine windows, and what rules found in them: in temperatures two excursions, in humidities one."""
    stored = StoredResults(tmp_path_factory.mktemp("excursions"))
    for number in range(WINDOWS):
        store(stored, readings_of(number))
    for number, rows in ((3, [CLEARED]), (WINDOWS - 1, [LASTING, HUMID])):
        window = Window(START_MS + number * WINDOW_MS)
        stored.results.put(excursions_key(window), encode_excursions(window.start_ms, rows))
    return Dashboard(engine=stored.engine, results=stored.results, stage="dev", clock_ms=lambda: ALL.end_ms)


@pytest.fixture
def ruled(browser: Any, made: Dashboard) -> Iterator[Page]:
    """The page over them."""
    with serving_of(made, Place("embedded", "http://127.0.0.1:1", "us-east-1")) as url:
        opened = Page(browser, url)
        opened.open("from=-3h")
        yield opened
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        assert opened.complaints() == []


def rows(page: Page) -> list[list[str]]:
    """The list, cell by cell."""
    return page.js(  # type: ignore[no-any-return]
        "const rows = [...document.querySelectorAll('#excursions tbody tr')];"
        " return rows.map((row) => [...row.cells].map((one) => one.textContent))"
    )


REDNESS = """
const [name, ms, up] = arguments, { chart } = window.windrow.shown.charts[name], { bbox, ctx } = chart;
const left = Math.round(chart.valToPos(ms / 1000, "x", true));
const [red, green] = ctx.getImageData(left, Math.round(bbox.top + bbox.height - up), 1, 1).data;
return red - green;
"""


def is_marked(page: Page, chart: str, at_ms: int, *, up: int = 2) -> bool:
    """Whether the chart has the colour of a mark at an instant, `up` pixels above its bottom."""
    return int(page.js(REDNESS, chart, at_ms, up)) > 15


def test_what_lasts_is_listed_first_and_what_was_corrected_says_so(ruled: Page) -> None:
    """Of the quantity that is shown; the minutes beyond the limit where a rule counts them; the JSON has the same."""
    assert ruled.js("return document.getElementById('excursions-panel').hidden") is False
    assert rows(ruled) == [
        ["site-0/Sensor-2", "freezer-warm, critical", "21 Nov 00:15", "lasts, 20 min", "2.89 °C", "", "1.5"],
        ["site-1/Sensor-5", "freezer-warm, critical, corrected", "20 Nov 23:55", " 15 min", "5.90 °C", "12.3", "1.5"],
    ]
    assert ruled.text("#excursions-text").startswith("1 lasts.")
    link = ruled.js("return document.querySelector('[data-api=excursions]').href")
    answer = ruled.js("return fetch(arguments[0]).then((one) => one.json())", link)
    assert answer["total"] == 3
    assert sorted(one["held_minutes"] or 0 for one in answer["excursions"]) == [0, 0, 12.35]


def test_excursions_are_marked_under_the_fleet_and_shaded_for_their_sensor(ruled: Page) -> None:
    """While they were under way, and not before; by a click on the sensor, with the whole height of its chart."""
    lasting_ms, before_ms, cleared_ms = (START_MS + (2 * at + 1) * WINDOW_MS // 2 for at in (6, 4, 2))
    ruled.until(lambda: is_marked(ruled, "fleet", lasting_ms))
    assert is_marked(ruled, "fleet", cleared_ms)
    assert not is_marked(ruled, "fleet", before_ms)
    ruled.click("#excursions tbody button")
    ruled.until(lambda: ruled.js("return Boolean(window.windrow.shown.charts.history)"))
    ruled.until(lambda: is_marked(ruled, "history", lasting_ms, up=8))
    assert not is_marked(ruled, "history", cleared_ms, up=8)
    assert ruled.text("#history-title") == "site-0/Sensor-2"
    folder = Path(SCREENSHOTS) if SCREENSHOTS else None
    if folder:
        ruled.resize(1280, 1400)
        ruled.browser.save_screenshot(str(folder / "excursions.png"))


def test_the_list_is_reached_by_the_keyboard_and_fits_a_phone(ruled: Page, tmp_path: Path) -> None:
    """Tab and Enter open the sensor; nothing is wider than the screen, and the name of the sensor is in sight."""
    ruled.js("document.getElementById('excursions').focus()")
    ruled.press(Keys.TAB, "#excursions")
    assert ruled.js("return document.activeElement.title") == "site-0/Sensor-2"
    ruled.browser.switch_to.active_element.send_keys(Keys.ENTER)
    ruled.until(lambda: ruled.text("#history-title") == "site-0/Sensor-2")
    for width in (320, 390):
        ruled.resize(width, 800, is_phone=True)
        assert ruled.js("return document.documentElement.scrollWidth") <= width
        assert ruled.js("return document.querySelector('#excursions td').getBoundingClientRect().width") >= 80
        assert (
            ruled.js("const one = document.getElementById('excursions'); return one.scrollWidth - one.clientWidth") <= 1
        )
    ruled.js("document.getElementById('excursions-panel').scrollIntoView()")
    ruled.browser.save_screenshot(str((Path(SCREENSHOTS) if SCREENSHOTS else tmp_path) / "excursions-phone.png"))


def test_without_excursions_there_is_no_panel(ruled: Page) -> None:
    """In a range that has none, and of a quantity that no rule is about."""
    first, last = (format_rfc3339(START_MS + at * WINDOW_MS) for at in (4, 7))
    ruled.open(f"from={first}&to={last}")
    assert ruled.js("return document.getElementById('excursions-panel').hidden") is True


def test_an_exported_file_has_them_too(ruled: Page, made: Dashboard, tmp_path: Path) -> None:
    """The list and the marks, without a server."""
    listed = rows(ruled)
    file = tmp_path / "page.html"
    file.write_text(export(made, "-3h", None)[0], encoding="utf-8")
    ruled.browser.get(file.as_uri())
    ruled.until(lambda: ruled.js("return (window.windrow?.shown.refreshes ?? 0) > 0"))
    assert rows(ruled) == listed
    assert is_marked(ruled, "fleet", START_MS + 13 * WINDOW_MS // 2)
