"""The hosted page: somebody signs in, sees the fleet, searches a sensor, signs out and is refused. Also where IAM is
enforced: the function reads the results, the open partials and the rules with the rights of its role.
"""

import base64
import http.client
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from selenium.webdriver.common.by import By

from infra import api_code, embedded
from infra import stack as stacks
from infra.destroy import apply as destroy
from infra.destroy import plan_destruction
from infra.plan import DeploymentOptions, plan_deployment
from producers.faults import Faults
from producers.fleet import FleetSpec, readings
from tests.browser.conftest import ANY_FREE_PORT, WAIT_SECONDS_MAX, Page
from tests.emulator.by_command import COMMAND_SECONDS_MAX, Windrow
from windrow.aws.clients import EMBEDDED, Place, client
from windrow.stage import Stage
from windrow.timerange import TimeRange
from windrow.window import WINDOW_MS
from windrow_operations import site, users
from windrow_operations.draining import wait_until_drained
from windrow_operations.simulating import simulate_fleet
from windrow_operations.ticks import invoke_tick, tick_event

SCREENSHOTS = os.environ.get("WINDROW_SCREENSHOTS")
VIEWER, OPERATOR = "ada@example.com", "grace@example.com"
RULES = b"""
[[rule]]
name = "warmer-than-anything"
above = -100
windows = 288
"""
PASSWORD = "correct-Horse-7-battery"
SPY = """
window.tokens = [];
const asked = window.fetch;
window.fetch = (url, options) => {
  if (options?.headers?.Authorization) window.tokens.push(options.headers.Authorization);
  return asked(url, options);
};
"""


@dataclass(frozen=True)
class Hosted:
    """A stage with a page, what it holds, and the passwords for the first sign-in of its users."""

    stage: Stage
    home: Path
    fleet: FleetSpec
    passwords: dict[str, str | None]

    @property
    def time_range(self) -> TimeRange:
        """The windows of the fleet."""
        return TimeRange(self.fleet.start_ms, self.fleet.end_ms)

    @property
    def windrow(self) -> Windrow:
        """The command, as somebody uses it who works on the stack's machine."""
        return Windrow(self.home, EMBEDDED, self.stage.name)

    def ask(self, path: str, token: str = "", method: str = "GET", **query: object) -> tuple[int, Any]:
        """Status and body of a request through the distribution, as another program makes it."""
        parts = urlsplit(self.stage.site_url)
        connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=60)
        headers = {"Host": parts.netloc} | ({"Authorization": token} if token else {})
        connection.request(method, f"{path}?{urlencode(query)}", headers=headers)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, json.loads(body) if body[:1] in (b"{", b"[") else body


@pytest.fixture(scope="module", params=[False, True], ids=["open", "enforced"])
def hosted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    """A stage with Web=on on an embedded stack of its own, an hour of a fleet in it, and two users."""
    home = tmp_path_factory.mktemp("windrow-hosted")
    embedded.up(home, port=ANY_FREE_PORT, enforces_iam=request.param)
    try:
        yield _deployed(embedded.place(home), home)
    finally:
        embedded.down(home)


def _deployed(place: Place, home: Path) -> Hosted:
    options = DeploymentOptions(shard_count=1, is_scheduled=False, rules=RULES, parameters={"Web": "on", "Live": "on"})
    api = api_code.code_for(place, "hosted", options, functions_wheels=None, home=home)
    stage = stacks.apply(plan_deployment(place, "hosted", options, api=api), lambda _: None).stage
    site.publish(stage)
    end_ms = time.time_ns() // 1_000_000 // WINDOW_MS * WINDOW_MS
    spec = FleetSpec(
        seed=5,
        sensors=12,
        sites=3,
        interval_ms=30_000,
        start_ms=end_ms - 12 * WINDOW_MS,
        end_ms=end_ms,
        faults=Faults(),
    )
    sent = simulate_fleet(spec, stage, now_ms=time.time_ns() // 1_000_000)
    wait_until_drained(stage, sent.last_sequence_numbers)
    invoke_tick(stage, tick_event(end_ms + 120_000, is_dry_run=False))
    passwords = {email: users.add(stage, email, group) for email, group in ((VIEWER, "viewer"), (OPERATOR, "operator"))}
    return Hosted(stage, home, spec, passwords)


def sign_in(browser: Any, hosted: Hosted, email: str) -> Page:
    """Go to the page, which goes to the sign-in; choose a password if it is the first time; come back."""
    page = Page(browser, hosted.stage.site_url)
    browser.get("about:blank")
    browser.get(f"{page.url}#from=-2h")
    fill(browser, "username", email)
    fill(browser, "password", hosted.passwords[email] or PASSWORD)
    _submit(browser)
    if hosted.passwords[email] is not None:
        hosted.passwords[email] = None
        page.until(lambda: browser.find_elements(By.NAME, "new_password"))
        for one in browser.find_elements(By.CSS_SELECTOR, "input[type=password]"):
            one.send_keys(PASSWORD)
        _submit(browser)
    page.until(lambda: page.js("return (window.windrow?.shown.refreshes ?? 0) > 0"))
    return page


def fill(browser: Any, name: str, text: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not browser.find_elements(By.NAME, name):
        assert time.monotonic() < deadline, browser.current_url
        time.sleep(0.05)
    browser.find_element(By.NAME, name).send_keys(text)


def _submit(browser: Any) -> None:
    browser.find_element(By.CSS_SELECTOR, "form [type=submit], form button").click()


def token_of(page: Page) -> str:
    """The header that the page sends, which is nowhere but in its memory."""
    page.js(SPY)
    page.after(lambda: page.press("r"))
    (token,) = set(page.js("return window.tokens"))
    return str(token)


def test_somebody_signs_in_sees_the_fleet_and_signs_out(hosted: Hosted, browser: Any) -> None:
    """The numbers are the truth; the token is in no storage; after the sign-out the page asks for one again."""
    page = sign_in(browser, hosted, VIEWER)
    assert page.js("return location.search") == ""
    assert page.js("return location.hash").startswith("#from=-2h")
    fleet = page.js("return window.windrow.shown.overview.fleet")
    assert {name: fleet[name] for name in ("t", "readings", "mean", "min", "max")} == truth_of(hosted.fleet)
    sensor = page.js("return window.windrow.shown.heatmap.sensors")[4]
    page.press(sensor[-6:], "#search")
    page.until(lambda: page.text("#page") == "1–1 of 1")
    page.click("#names button")
    page.until(lambda: page.js("return Boolean(window.windrow.shown.charts.history)"))
    assert page.text("#history-title") == sensor
    assert page.js("return [...document.querySelectorAll('[data-api]')].every((one) => one.hidden)")
    keep(browser, "hosted.png")
    token = token_of(page)
    assert (
        page.js("return JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])").find(token) < 0
    )
    span = {"from": hosted.time_range.start_sql.replace(" ", "T")[:19] + "Z", "to": "now"}
    status, answer = hosted.ask("/v1/fleet", token, **span)
    assert (status, answer["fleet"]) == (200, fleet)
    assert _queried(hosted, **span) == truth_of(hosted.fleet)
    _see_a_window_before_it_is_rolled(page, hosted)
    assert [entry for entry in page.complaints() if "favicon" not in entry] == []
    page.click("#sign-out")
    fill(browser, "username", "")
    keep(browser, "hosted-signed-out.png")
    assert hosted.ask("/v1/fleet")[0] == 401
    browser.get_log("browser")


def truth_of(spec: FleetSpec) -> dict[str, list[float]]:
    """The fleet over time as its readings have it, added up here one by one, in columns as the API names them."""
    columns: dict[str, list[float]] = {name: [] for name in ("t", "readings", "mean", "min", "max")}
    of_window: dict[int, list[int]] = {}
    for batch in readings(spec):
        for time_ms, value_milli in zip(batch.event_time_ms.tolist(), batch.value_milli.tolist(), strict=True):
            of_window.setdefault(time_ms - time_ms % 300_000, []).append(value_milli)
    for start_ms, values in sorted(of_window.items()):
        mean = round(Fraction(sum(values), 1_000 * len(values)), 12)
        row = (start_ms, len(values), float(mean), min(values) / 1_000, max(values) / 1_000)
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
    return columns


def newest_of(spec: FleetSpec, sensor: str) -> dict[str, object]:
    """The last reading of one sensor, as the page has it."""
    found = [one for batch in readings(spec) for one in batch if one.sensor_id == sensor]
    last = max(found, key=lambda one: one.event_time_ms)
    return {"sensor": sensor, "ms": last.event_time_ms, "value": last.value_milli / 1_000}


def _queried(hosted: Hosted, **span: str) -> dict[str, list[float]]:
    """The same columns by `windrow query`."""
    rows = json.loads(hosted.windrow("query", "fleet", "--from", span["from"], "--format", "json"))
    return {
        "t": [int(datetime.fromisoformat(row["window_start"]).timestamp() * 1000) for row in rows],
        "readings": [row["readings"] for row in rows],
        "mean": [round(row["mean_c"], 12) for row in rows],
        **{name: [row[f"{name}_c"] for row in rows] for name in ("min", "max")},
    }


def _see_a_window_before_it_is_rolled(page: Page, hosted: Hosted) -> None:
    """What is sent now is shown by itself; once it is rolled, its exact row is there."""
    shown = "window.windrow.shown"
    assert page.js(f"return {shown}.open") == []
    sending = hosted.windrow.start(
        *("simulate", "--realtime", "--for", "12s", "--interval", "2", "--sensors", "12", "--sites", "3"),
        *("--wait", "--format", "json"),
    )
    page.until(lambda: page.js(f"return {shown}.open.length"))
    printed, complaint = sending.communicate(timeout=COMMAND_SECONDS_MAX)
    assert sending.returncode == 0, complaint
    truth = truth_of(FleetSpec.from_json(json.loads(printed)["fleet"]))
    columns = f"Object.fromEntries({json.dumps(list(truth))}.map((name) => [name, rows.map((row) => row[name])]))"
    page.until(lambda: page.js(f"const rows = {shown}.open; return {columns}") == truth)
    assert "Provisional" in page.text("#open")
    sites = page.js(f"return {shown}.sites")
    names = ["site-00", "site-01", "site-02"]
    assert (sites["site"], sites["sensors"], sites["beyond"]) == (names, [4] * 3, [4] * 3)
    assert len(page.js("return [...document.querySelectorAll('#sites tbody tr')]")) == 3
    newest = page.js(f"return {shown}.newest")
    assert newest == newest_of(FleetSpec.from_json(json.loads(printed)["fleet"]), page.text("#history-title"))
    assert f"{newest['value']:.2f}" in page.text("#newest")
    keep(page.browser, "hosted-live.png")
    invoke_tick(hosted.stage, tick_event(int(truth["t"][-1]) + WINDOW_MS + 120_000, is_dry_run=False))
    page.after(lambda: page.press("r"))
    assert page.js(f"return {shown}.open") == []
    assert page.js("return document.getElementById('sites').hidden")
    fleet = page.js(f"return {shown}.overview.fleet")
    assert {name: fleet[name][-len(truth["t"]) :] for name in truth} == truth


def test_a_group_is_refused_what_is_for_another(hosted: Hosted, browser: Any) -> None:
    """A viewer sees the results, an operator also what they were made from."""
    window = hosted.time_range.start_sql.replace(" ", "T")[:19] + "Z"
    statuses = {}
    for email in (VIEWER, OPERATOR):
        page = sign_in(browser, hosted, email)
        token = token_of(page)
        statuses[email] = [hosted.ask("/v1/lineage", token, window=window)[0], hosted.ask("/v1/latest", token)[0]]
        page.click("#sign-out")
        fill(browser, "username", "")
    assert statuses == {VIEWER: [403, 200], OPERATOR: [200, 200]}
    browser.get_log("browser")


def test_a_token_is_renewed_before_it_expires(hosted: Hosted, browser: Any) -> None:
    """An hour later by its clock the page asks for another, and shows the numbers; nobody signs in again."""
    page = sign_in(browser, hosted, VIEWER)
    before = token_of(page)
    page.js("const now = Date.now; Date.now = () => now() + 3_595_000;")
    page.js("window.tokens = []")
    page.after(lambda: page.press("r"))
    after = set(page.js("return window.tokens"))
    assert before not in after
    (renewed,) = after
    assert hosted.ask("/v1/fleet", renewed)[0] == 200
    assert page.js("return document.getElementById('banner').hidden")
    page.click("#sign-out")
    fill(browser, "username", "")
    browser.get_log("browser")


def changed(hosted: Hosted, token: str, claims: Mapping[str, object], *, by: RSAPrivateKey | None = None) -> str:
    """The header of a token that says something else, and is signed as the pool signs, or by another key."""
    head, body, _ = token.removeprefix("Bearer ").split(".")
    said = json.loads(base64.urlsafe_b64decode(body + "==")) | claims
    signed = f"{head}.{_base64url(json.dumps(said).encode())}"
    signature = (by or pool_key(hosted, hosted.stage.user_pool)).sign(signed.encode(), PKCS1v15(), SHA256())
    return f"Bearer {signed}.{_base64url(signature)}"


def pool_key(hosted: Hosted, pool: str) -> RSAPrivateKey:
    """The key that the embedded stack signs a pool's tokens with; AWS shows its own to nobody."""
    (file,) = hosted.home.rglob(f"{pool}-access.pem")
    key = load_pem_private_key(file.read_bytes(), password=None)
    assert isinstance(key, RSAPrivateKey)
    return key


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def test_a_token_that_differs_in_one_thing_is_refused(hosted: Hosted, browser: Any) -> None:
    """Expired, of another pool, forged, for another client, without the scope, of no group: as it is documented."""
    page = sign_in(browser, hosted, VIEWER)
    token = token_of(page)
    other = client("cognito-idp", hosted.stage.place).create_user_pool(PoolName="windrow-other")["UserPool"]["Id"]
    issuer = f"https://cognito-idp.us-east-1.amazonaws.com/{other}"
    foreign = generate_private_key(public_exponent=65_537, key_size=2_048)
    now = int(time.time())
    head, body, signature = token.split(".")
    expected: list[tuple[str, int]] = [
        (token, 200),
        (changed(hosted, token, {}), 200),
        (changed(hosted, token, {"exp": now - 1}), 401),
        (changed(hosted, token, {"iss": issuer}), 401),
        (changed(hosted, token, {"client_id": "another"}), 401),
        (changed(hosted, token, {"scope": "openid"}), 403),
        (changed(hosted, token, {"scope": "uploads/write"}), 403),
        (changed(hosted, token, {"cognito:groups": ["others"]}), 403),
        (changed(hosted, token, {"cognito:groups": []}), 403),
        (changed(hosted, token, {}, by=foreign), 401),
        (f"{head}.{body}.{signature[::-1]}", 401),
        (f"{head}.{body}.", 401),
        ("Bearer x.y.z", 401),
        ("Bearer ", 401),
        ("Basic YTpi", 401),
        ("", 401),
    ]
    answered = [hosted.ask("/v1/fleet", said)[0] for said, _ in expected]
    assert answered == [status for _, status in expected]
    client("cognito-idp", hosted.stage.place).delete_user_pool(UserPoolId=other)
    page.click("#sign-out")
    fill(browser, "username", "")
    browser.get_log("browser")


def test_wrong_requests_are_refused_as_they_are_documented(hosted: Hosted, browser: Any) -> None:
    """On the whole way; and nothing of the bucket is readable but through the distribution."""
    page = sign_in(browser, hosted, VIEWER)
    token = token_of(page)
    assert hosted.ask("/v1/fleet", token, **{"from": "now", "to": "-1h"})[0] == 400
    assert hosted.ask("/v1/fleet", token, **{"from": "-9999d"})[0] == 400
    assert hosted.ask("/v1/sensor", token, sensor="a/../b?x=1&y='\"\x00\n%2F😀")[0] == 404
    assert hosted.ask("/v1/sensors", token, per_page=10**8)[0] == 400
    assert hosted.ask("/v1/nothing", token)[0] == 404
    assert hosted.ask("/index.html")[0] == 200
    assert hosted.ask("/secret")[0] in {403, 404}
    page.click("#sign-out")
    fill(browser, "username", "")
    browser.get_log("browser")


def test_an_update_without_a_word_keeps_the_page_and_destroying_takes_it_and_its_users(hosted: Hosted) -> None:
    """The bucket of the page's files is emptied, and nothing is left over of the users' pool."""
    place, options = hosted.stage.place, DeploymentOptions()
    api = api_code.code_for(place, "hosted", options, functions_wheels=None, home=hosted.home)
    assert api is not None
    again = stacks.apply(plan_deployment(place, "hosted", options, api=api), lambda _: None)
    assert again.stage.site_url == hosted.stage.site_url
    for word in ("off", "on"):
        chosen = DeploymentOptions(parameters={"Web": word})
        own = api_code.code_for(place, "hosted", chosen, functions_wheels=None, home=hosted.home)
        stage = stacks.apply(plan_deployment(place, "hosted", chosen, api=own), lambda _: None).stage
        assert bool(stage.site_url) == (word == "on")
        names = [one["Name"] for one in client("s3", place).list_buckets()["Buckets"]]
        assert hosted.stage.site_bucket not in names
        pools = client("cognito-idp", place).list_user_pools(MaxResults=10)["UserPools"]
        assert len(pools) == (word == "on")
    site.publish(stage)
    plan = plan_destruction(place, "hosted", deletes_data=False)
    assert any("users" in line for line in plan.lines())
    assert stage.site_bucket not in "".join(plan.kept)
    destroy(plan, lambda _: None)
    names = [one["Name"] for one in client("s3", place).list_buckets()["Buckets"]]
    assert stage.site_bucket not in names
    assert stage.results_bucket in names
    assert client("cognito-idp", place).list_user_pools(MaxResults=10)["UserPools"] == []


def keep(browser: Any, name: str) -> None:
    if SCREENSHOTS:
        browser.save_screenshot(str(Path(SCREENSHOTS) / name))
