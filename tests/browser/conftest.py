"""A stage with results on an embedded stack of its own, the dashboard served over it, and a headless Chromium."""

import dataclasses
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from analytics.dashboard import Dashboard
from analytics.web import application
from dispatcher.due import FIRST_TICK_AFTER_MS
from infra import embedded
from infra import stack as stacks
from infra.plan import DeploymentOptions, plan_deployment
from producers.faults import Faults
from producers.fleet import FleetSpec
from windrow.aws.clients import Place
from windrow.stage import Stage
from windrow.window import WINDOW_MS
from windrow_cli.dashboard import HOST, dashboard_of, listening, server_of
from windrow_operations.draining import wait_until_drained
from windrow_operations.simulating import simulate_fleet
from windrow_operations.ticks import invoke_tick, tick_event

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WINDOWS = 24
SENSORS = 60
SILENT = 4
DEAD_SENSORS = 20
MISSING_WINDOWS_OF_THE_DEAD = 13
WAIT_SECONDS_MAX = 90.0
ANY_FREE_PORT = 0


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs a browser, and one stack for all of them."""
    missing = [name for name, path in (("chromium", CHROMIUM), ("chromedriver", DRIVER)) if path is None]
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.emulator)
            item.add_marker(pytest.mark.xdist_group("browser"))
            if missing:
                reason = f"no {' and no '.join(missing)} on this machine (Debian: chromium, chromium-driver)"
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a running embedded stack."""
    folder = tmp_path_factory.mktemp("windrow-browser")
    embedded.up(folder, port=ANY_FREE_PORT)
    yield folder
    embedded.down(folder)


@pytest.fixture(scope="session")
def fleet() -> FleetSpec:
    """Two hours of 60 sensors, up to the last window that has ended, with some of everything that goes wrong."""
    end_ms = time.time_ns() // 1_000_000 // WINDOW_MS * WINDOW_MS
    faults = Faults(malformed=0.002, duplicates=0.01, late=0.02, shuffled=0.1)
    return FleetSpec(
        seed=11,
        sensors=SENSORS,
        sites=6,
        interval_ms=30_000,
        start_ms=end_ms - WINDOWS * WINDOW_MS,
        end_ms=end_ms,
        faults=faults,
    )


@pytest.fixture(scope="session")
def stage(home: Path, fleet: FleetSpec) -> Stage:
    """A stage with the fleet's results; then it all comes again, with a few sensors more that fell silent early."""
    options = DeploymentOptions(shard_count=2, mode="direct", is_scheduled=False)
    plan = plan_deployment(embedded.place(home), "browser", options)
    stage = stacks.apply(plan, lambda _: None).stage
    silent = dataclasses.replace(fleet, sensors=SENSORS + SILENT, end_ms=fleet.end_ms - 6 * WINDOW_MS)
    for one in (fleet, silent):
        sent = simulate_fleet(one, stage, now_ms=time.time_ns() // 1_000_000)
        wait_until_drained(stage, sent.last_sequence_numbers)
        invoke_tick(stage, tick_event(fleet.end_ms + FIRST_TICK_AFTER_MS, is_dry_run=False))
    return stage


@pytest.fixture(scope="session")
def dead(home: Path) -> Stage:
    """A stage whose whole fleet was last heard thirteen windows before its newest: too long ago for an outage."""
    options = DeploymentOptions(shard_count=1, mode="direct", is_scheduled=False)
    stage = stacks.apply(plan_deployment(embedded.place(home), "dead", options), lambda _: None).stage
    now_ms = time.time_ns() // 1_000_000 // WINDOW_MS * WINDOW_MS
    end_ms = now_ms - MISSING_WINDOWS_OF_THE_DEAD * WINDOW_MS
    spec = FleetSpec(
        seed=12,
        sensors=DEAD_SENSORS,
        sites=4,
        interval_ms=60_000,
        start_ms=end_ms - 6 * WINDOW_MS,
        end_ms=end_ms,
        faults=Faults(),
    )
    sent = simulate_fleet(spec, stage, now_ms=time.time_ns() // 1_000_000)
    wait_until_drained(stage, sent.last_sequence_numbers)
    invoke_tick(stage, tick_event(now_ms + FIRST_TICK_AFTER_MS, is_dry_run=False))
    return stage


@contextmanager
def serving(stage: Stage, home: Path) -> Iterator[str]:
    """Serve the dashboard as the command serves it, and return its address."""
    with serving_of(dashboard_of(stage, home=home), stage.place) as address:
        yield address


@contextmanager
def serving_of(made: Dashboard, place: Place) -> Iterator[str]:
    """Serve any dashboard so."""
    listener = listening(None)
    app = application(made, place)
    server = server_of(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not server.started:
        assert time.monotonic() < deadline, "the server does not start"
        time.sleep(0.01)
    yield f"http://{HOST}:{listener.getsockname()[1]}/"
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture(scope="session")
def url(stage: Stage, home: Path) -> Iterator[str]:
    """The address of the dashboard of the stage with results."""
    with serving(stage, home) as address:
        yield address


@pytest.fixture(scope="session")
def dead_url(dead: Stage, home: Path) -> Iterator[str]:
    """The address of the dashboard of the stage whose fleet died."""
    with serving(dead, home) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A Chromium with an empty profile; what its console says is kept."""
    with tempfile.TemporaryDirectory(prefix="windrow-chromium-") as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for flag in (*_FLAGS, f"--user-data-dir={profile}", "--window-size=1280,1000"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
        yield driver
        driver.quit()


class Page:
    """The dashboard in the browser, and what a test does to it."""

    def __init__(self, browser: Any, url: str) -> None:
        self.browser = browser
        self.url = url

    def open(self, fragment: str = "") -> None:
        """Load the page anew, with a history of its own, and wait until everything is drawn.

        Chromium keeps 50 entries of a history. When a page steps on without a gesture, as by a click of a script, the
        entry that goes for it can be the one before: Back would then leave the page.
        """
        self.browser.get("about:blank")
        self.browser.execute_cdp_cmd("Page.resetNavigationHistory", {})
        self.browser.get_log("browser")
        self.browser.get(f"{self.url}#{fragment}")
        self.until(lambda: self.js("return (window.windrow?.shown.refreshes ?? 0) > 0"))

    def js(self, script: str, *arguments: object) -> Any:
        """What `script` returns in the page."""
        return self.browser.execute_script(script, *arguments)

    def until(self, is_so: Callable[[], object]) -> None:
        """Wait until `is_so`, or fail with what the page complains about."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while not is_so():
            if time.monotonic() > deadline:
                said = [self.text(one) for one in ("#banner", "#status", "#stage")]
                pytest.fail(f"waited in vain at {self.browser.current_url}; the page says {said}")
            time.sleep(0.05)

    def after(self, act: Callable[[], object]) -> None:
        """Do something that makes the page refresh, and wait for that."""
        before = self.js("return window.windrow.shown.refreshes")
        act()
        self.until(lambda: self.js("return window.windrow.shown.refreshes") > before)

    def click(self, selector: str) -> None:
        """Click the first element that matches."""
        self.js("document.querySelector(arguments[0]).click()", selector)

    def press(self, keys: str, selector: str = "body") -> None:
        """Type into an element, as a keyboard does."""
        self.browser.find_element(By.CSS_SELECTOR, selector).send_keys(keys)

    def text(self, selector: str) -> str:
        """The text of the first element that matches."""
        return str(self.js("return document.querySelector(arguments[0]).textContent", selector))

    def resize(self, width: int, height: int, *, is_phone: bool = False) -> None:
        """Another size of the window; a phone has touch and its own viewport."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        time.sleep(0.3)

    def complaints(self) -> list[str]:
        """What went wrong, by the console."""
        return [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Page]:
    """The dashboard, opened on the last three hours; nothing of a test is left for the next one."""
    opened = Page(browser, url)
    opened.open("from=-3h")
    opened.js("localStorage.clear()")
    yield opened
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert opened.complaints() == []
