"""The page's choice of quantities: by mouse, by keyboard, in the address, with the JSON of what is shown."""

import json
import os
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from analytics.dashboard import Dashboard
from tests.browser.conftest import Page, serving_of
from tests.unit.stored_results import StoredResults
from tests.unit.test_row_cache import ALL, WINDOWS, readings_of, store
from windrow.aws.clients import Place
from windrow.quantities import Quantity

HUMIDITY = Quantity("humidity", "%")
SCREENSHOTS = os.environ.get("WINDROW_SCREENSHOTS")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page over rows of temperatures and of humidities, which are 50 more, at a clock that stands still."""
    stored = StoredResults(tmp_path_factory.mktemp("quantities"))
    for window in range(WINDOWS):
        temperatures = readings_of(window)
        store(
            stored,
            [
                *temperatures,
                *(replace(one, value_milli=50_000 + one.value_milli, quantity=HUMIDITY) for one in temperatures),
            ],
        )
    made = Dashboard(engine=stored.engine, results=stored.results, stage="dev", clock_ms=lambda: ALL.end_ms)
    with serving_of(made, Place("embedded", "http://127.0.0.1:1", "us-east-1")) as url:
        yield url


@pytest.fixture
def both(browser: Any, address: str) -> Iterator[Page]:
    """The page, with its choice offered."""
    opened = Page(browser, address)
    opened.open("from=-3h")
    opened.until(lambda: opened.js("return !document.getElementById('quantities').hidden"))
    yield opened
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert opened.complaints() == []


def highest(page: Page) -> list[float]:
    """The highest value of each window, as the chart of the fleet holds them."""
    return page.js("return Array.from(window.windrow.shown.charts.fleet.chart.data[1])")  # type: ignore[no-any-return]


def choose(page: Page, text: str) -> None:
    Select(page.browser.find_element(By.ID, "quantity")).select_by_visible_text(text)


def test_another_quantity_is_drawn_in_its_unit_everywhere(both: Page) -> None:
    """Chart, heatmap, history and JSON; Back goes back."""
    assert both.js("return [...document.querySelectorAll('#quantity option')].map((one) => one.textContent)") == [
        "humidity, %",
        "temperature, °C",
    ]
    temperatures = highest(both)
    both.after(lambda: choose(both, "humidity, %"))
    assert highest(both) == pytest.approx([one + 50 for one in temperatures])
    assert both.text("#stage") == "stage dev · humidity"
    both.click("#names li:nth-child(2) button")
    both.until(lambda: both.js("return Boolean(window.windrow.shown.charts.history)"))
    assert min(both.js("return window.windrow.shown.charts.history.chart.data[1]")) > 50
    assert "%" in both.text("#facts")
    assert "°C" not in both.text("body main")
    for panel in ("fleet", "sensors", "sensor", "silences", "windows", "movers"):
        link = both.js("return document.querySelector(`[data-api=${arguments[0]}]`).href", panel)
        assert "quantity=humidity&unit=%25" in link
        with urllib.request.urlopen(link, timeout=10) as answer:  # noqa: S310 - our own server
            said = json.load(answer)
        if panel == "fleet":
            assert said["quantity"] == {"name": "humidity", "unit": "%"}
            assert said["fleet"]["max"] == both.js("return window.windrow.shown.overview.fleet.max")
    sensors = both.js("return window.windrow.shown.overview.fleet.sensors.at(-1)")
    facts = both.js("return [...document.querySelectorAll('#facts dl')].map((one) => one.textContent)")
    assert f"sensors, newest window{sensors}" in facts
    assert both.text("#completeness-text").startswith("Series heard per window: each quantity of a sensor is one.")
    both.after(both.browser.back)
    assert both.js("return document.getElementById('history-panel').hidden")
    assert both.text("#stage") == "stage dev · humidity"
    both.after(both.browser.back)
    assert both.text("#stage") == "stage dev"
    assert highest(both) == temperatures
    assert both.js("return document.getElementById('quantity').selectedOptions[0].textContent") == "temperature, °C"


def test_the_address_holds_the_choice(both: Page) -> None:
    """A permalink, opened anew, shows the same, even of a quantity without rows, which is named in the choice."""
    both.after(lambda: choose(both, "humidity, %"))
    shown, link = highest(both), both.js("return document.getElementById('permalink').getAttribute('href')")
    both.open(link.removeprefix("#"))
    assert highest(both) == shown
    both.open("from=-3h&quantity=pressure&unit=hPa")
    assert "no rows in this range" in both.text("#banner")
    both.until(lambda: both.js("return document.querySelectorAll('#quantity option').length") == 3)
    assert both.js("return document.getElementById('quantity').selectedOptions[0].textContent") == "pressure, hPa"


def test_it_is_reached_by_the_keyboard_and_fits_a_phone(both: Page, tmp_path: Path) -> None:
    """By q and the arrow keys; nothing is wider than the screen."""
    both.press("q")
    assert both.js("return document.activeElement.id") == "quantity"
    both.after(lambda: both.press("h", "#quantity"))
    assert both.js("return window.windrow.state.quantity") == "humidity"
    folder = Path(SCREENSHOTS) if SCREENSHOTS else tmp_path
    both.resize(1280, 900)
    both.browser.save_screenshot(str(folder / "quantities.png"))
    both.resize(320, 700, is_phone=True)
    assert both.js("return document.documentElement.scrollWidth") <= 320
    box = both.js(
        "const { left, right } = document.getElementById('quantities').getBoundingClientRect(); return [left, right]"
    )
    assert box[0] >= 0
    assert box[1] <= 320
    both.browser.save_screenshot(str(folder / "quantities-phone.png"))
