"""The hosted page of a stage with Live=push: values come by themselves, and the page asks again only without a socket.

IAM is enforced: the functions read and write what their roles let them.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from infra import api_code, embedded
from infra import stack as stacks
from infra.plan import DeploymentOptions, plan_deployment
from producers.faults import Faults
from producers.fleet import FleetSpec, readings
from tests.browser.conftest import ANY_FREE_PORT, Page
from tests.browser.test_hosted import RULES, VIEWER, Hosted, fill, keep, newest_of, sign_in, truth_of
from tests.emulator.by_command import COMMAND_SECONDS_MAX
from windrow.aws.clients import EMBEDDED, Place, client
from windrow.deployment import stack_name
from windrow.window import WINDOW_MS
from windrow_operations import site, users
from windrow_operations.draining import wait_until_drained
from windrow_operations.simulating import simulate_fleet
from windrow_operations.ticks import invoke_tick, tick_event

NO_POLLING = """
window.polls = 0;
const asked = window.fetch;
window.fetch = (url, options) => {
  if (!String(url).startsWith("v1/live")) return asked(url, options);
  window.polls += 1;
  return Promise.reject(new Error("polling is off"));
};
"""
"""A page that asks for live values gets no answer from now on."""
PUSHED, SHOWN = "window.windrow.pushed", "window.windrow.shown"


@pytest.fixture(scope="module")
def pushing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    """A stage that pushes, on an embedded stack of its own, with ten minutes of a fleet, and a user."""
    home = tmp_path_factory.mktemp("windrow-pushed")
    embedded.up(home, port=ANY_FREE_PORT, enforces_iam=True)
    try:
        place = embedded.place(home)
        options = DeploymentOptions(
            shard_count=1, is_scheduled=False, rules=RULES, parameters={"Web": "on", "Live": "push"}
        )
        api = api_code.code_for(place, "pushed", options, functions_wheels=None, home=home)
        stage = stacks.apply(plan_deployment(place, "pushed", options, api=api), lambda _: None).stage
        site.publish(stage)
        end_ms = time.time_ns() // 1_000_000 // WINDOW_MS * WINDOW_MS
        start_ms = end_ms - 2 * WINDOW_MS
        spec = FleetSpec(
            seed=5, sensors=12, sites=3, interval_ms=30_000, start_ms=start_ms, end_ms=end_ms, faults=Faults()
        )
        sent = simulate_fleet(spec, stage, now_ms=time.time_ns() // 1_000_000)
        wait_until_drained(stage, sent.last_sequence_numbers)
        invoke_tick(stage, tick_event(end_ms + 120_000, is_dry_run=False))
        yield Hosted(stage, home, spec, {VIEWER: users.add(stage, VIEWER, "viewer")})
    finally:
        embedded.down(home)


def connections(hosted: Hosted) -> list[str]:
    """The ids of the stage's connections."""
    table = f"{stack_name(hosted.stage.name)}-connections"
    found = client("dynamodb", hosted.stage.place).scan(TableName=table)["Items"]
    return [one["connection_id"]["S"] for one in found]


def cut(hosted: Hosted) -> None:
    """End all connections, as API Gateway does after two hours."""
    address = hosted.stage.socket_url.replace("ws", "http", 1)
    api = client("apigatewaymanagementapi", Place(EMBEDDED, address, hosted.stage.place.region))
    for one in connections(hosted):
        api.delete_connection(ConnectionId=one)


def test_values_come_by_themselves_and_their_exact_row_takes_their_place(pushing: Hosted, browser: Any) -> None:
    """While nothing is asked for; and once a window is rolled, its row is there."""
    page = sign_in(browser, pushing, VIEWER)
    page.until(lambda: page.js(f"return {PUSHED}.isOpen"))
    sensor = page.js(f"return {SHOWN}.heatmap.sensors")[4]
    page.press(sensor[-6:], "#search")
    page.until(lambda: page.text("#page") == "1–1 of 1")
    page.click("#names button")
    page.until(lambda: page.js(f"return Boolean({SHOWN}.charts.history)"))
    page.js(NO_POLLING)
    sending = pushing.windrow.start(
        *("simulate", "--realtime", "--for", "12s", "--interval", "2", "--sensors", "12", "--sites", "3"),
        *("--wait", "--format", "json"),
    )
    page.until(lambda: page.js(f"return {SHOWN}.newest"))
    first = page.js(f"return {SHOWN}.newest")
    page.until(lambda: page.js(f"return {SHOWN}.newest.ms") > first["ms"])
    printed, complaint = sending.communicate(timeout=COMMAND_SECONDS_MAX)
    assert sending.returncode == 0, complaint
    fleet = FleetSpec.from_json(json.loads(printed)["fleet"])
    page.until(lambda: page.js(f"return {SHOWN}.newest") == newest_of(fleet, sensor))
    names = ["site-00", "site-01", "site-02"]
    page.until(lambda: page.js(f"return {SHOWN}.sites.sensors") == [4] * 3)
    sites = page.js(f"return {SHOWN}.sites")
    assert (sites["site"], sites["readings"], sites["beyond"]) == (names, [4] * 3, [4] * 3)
    (*_, provisional) = page.js(f"return {SHOWN}.open")
    assert (provisional["isPushed"], provisional["sensors"]) == (True, 12)
    ids = sorted({one.sensor_id for batch in readings(fleet) for one in batch})
    newest = [newest_of(fleet, one)["value"] for one in ids]
    assert provisional["mean"] == pytest.approx(sum(newest) / 12)
    assert (provisional["min"], provisional["max"]) == (min(newest), max(newest))
    assert "the newest values of 12 sensors" in page.text("#open")
    assert page.js("return window.polls") == 0
    keep(browser, "hosted-pushed.png")
    truth = truth_of(fleet)
    invoke_tick(pushing.stage, tick_event(int(truth["t"][-1]) + WINDOW_MS + 120_000, is_dry_run=False))
    page.after(lambda: page.press("r"))
    assert page.js(f"return {SHOWN}.open") == []
    rows = page.js(f"return {SHOWN}.overview.fleet")
    assert {name: rows[name][-len(truth["t"]) :] for name in truth} == truth
    assert [entry for entry in page.complaints() if "favicon" not in entry] == []
    leave(page, pushing)


def test_a_page_whose_socket_ends_asks_until_it_has_another(pushing: Hosted, browser: Any) -> None:
    """By a new connection, with the token that it has then; live values are asked for meanwhile."""
    page = sign_in(browser, pushing, VIEWER)
    page.until(lambda: page.js(f"return {PUSHED}.isOpen"))
    before = page.js(f"return {PUSHED}.opened")
    page.js(NO_POLLING)
    cut(pushing)
    page.until(lambda: page.js(f"return {PUSHED}.opened") == before + 1)
    page.until(lambda: page.js("return window.polls") > 0)
    page.until(lambda: len(connections(pushing)) == 1)
    leave(page, pushing)


def leave(page: Page, hosted: Hosted) -> None:
    """Sign out: the connection ends with the page."""
    page.click("#sign-out")
    fill(page.browser, "username", "")
    page.until(lambda: connections(hosted) == [])
    page.browser.get_log("browser")
