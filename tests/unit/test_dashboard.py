"""The dashboard's answers over HTTP, its page, and the exported file."""

import asyncio
import base64
import hashlib
import html.parser
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import pytest

from analytics.abandon import Abandoned, held
from analytics.api.operations import OPERATIONS
from analytics.dashboard import OTHERS_MAX, Dashboard
from analytics.export import export
from analytics.page import FILES, exported_page, served_page, served_policy, text_of
from analytics.query import Query
from analytics.result import Engine, Result
from analytics.web import application
from tests.unit.stored_results import StoredResults
from tests.unit.test_row_cache import ALL, SENSORS, START_MS, WINDOWS, readings_of, store
from windrow.aws.clients import Place
from windrow.errors import UsageError, WindrowError
from windrow.lake.store import ListedObject, ObjectStore
from windrow.quantities import TEMPERATURE, Quantity
from windrow.timestamps import format_rfc3339
from windrow_cli.dashboard import export_to, listening, shown_quantity

pytestmark = pytest.mark.slow

BOUNDS = (format_rfc3339(ALL.start_ms), format_rfc3339(ALL.end_ms))
PLACE = Place("embedded", "http://127.0.0.1:1", "us-east-1")
DIGESTS = {
    "vendor/uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "vendor/uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}


@pytest.fixture
def stored(tmp_path: Path) -> StoredResults:
    results = StoredResults(tmp_path)
    for window in range(WINDOWS):
        store(results, readings_of(window))
    return results


@pytest.fixture
def made(stored: StoredResults) -> Dashboard:
    return Dashboard(engine=stored.engine, results=stored.results, stage="dev", clock_ms=lambda: ALL.end_ms)


def get(made: Dashboard, path: str, *, host: str = "127.0.0.1:8310", method: str = "GET", **query: object) -> Any:
    """(status, headers, body) of one request, as a server hands it to the application."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    asyncio.run(application(made, PLACE)(scope_of(path, host=host, method=method, **query), receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:])


def scope_of(path: str, *, host: str = "127.0.0.1:8310", method: str = "GET", **query: object) -> dict[str, Any]:
    """A request, as ASGI describes it."""
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": urlencode(query).encode(),
        "headers": [(b"host", host.encode())],
        "scheme": "http",
        "http_version": "1.1",
    }


def ask(made: Dashboard, what: str, **query: object) -> Any:
    bounds = {} if what == "quantities" else {"from": BOUNDS[0], "to": BOUNDS[1]}
    status, _, body = get(made, f"/v1/{what}", **bounds | query)
    return status, json.loads(body)


def test_the_overview_is_one_answer(made: Dashboard) -> None:
    """Everything the page needs to draw, in one request."""
    status, answer = ask(made, "overview")
    assert status == 200
    assert answer["range"] == {"from_ms": ALL.start_ms, "to_ms": ALL.end_ms}
    assert len(answer["fleet"]["t"]) == WINDOWS
    assert len(answer["completeness"]["t"]) == WINDOWS
    assert answer["silent"] == made.overview(*BOUNDS)["silent"]
    assert answer["stage"] == "dev"


def test_a_range_before_now_is_meant_by_the_clock(made: Dashboard) -> None:
    """-10m, the default, and `now`."""
    assert len(ask(made, "overview", **{"from": "-10m", "to": "now"})[1]["fleet"]["t"]) == 2
    assert len(ask(made, "overview", **{"from": "", "to": ""})[1]["fleet"]["t"]) == WINDOWS


def test_a_range_without_rows_points_to_the_newest(made: Dashboard) -> None:
    """So that the page can say where there are some."""
    _, answer = ask(made, "overview", **{"from": "2020-01-01T00:00:00Z", "to": "2020-01-01T01:00:00Z"})
    assert answer["fleet"]["t"] == []
    assert answer["newest_ms"] == ALL.end_ms - 300_000


def test_sensors_come_in_pages(made: Dashboard) -> None:
    """A million of them would come in the same."""
    _, answer = ask(made, "sensors", per_page=3, page=1)
    assert (answer["total"], len(answer["sensors"]), answer["page"]) == (SENSORS, 3, 1)


def test_a_history_is_asked_for_by_id(made: Dashboard) -> None:
    """With what a URL needs to be escaped."""
    _, answer = ask(made, "sensor", sensor="site-0/Sensor-2")
    assert len(answer["t"]) == WINDOWS


@pytest.mark.parametrize(
    ("what", "query", "status", "error"),
    [
        ("overview", {"from": "yesterday"}, 400, "'yesterday' is not a time"),
        ("overview", {"from": BOUNDS[1], "to": BOUNDS[0]}, 400, "reversed"),
        ("sensors", {"sort": "colour"}, 400, "no sort 'colour'"),
        ("sensors", {"page": "-1"}, 400, "not a number of page"),
        ("sensors", {"per_page": "100000"}, 400, "from 1 to 200"),
        ("sensors", {"page": "1" * 5_000}, 400, "not a number of page"),
        ("sensor", {"sensor": "nobody"}, 404, "no sensor 'nobody'"),
        ("sensor", {}, 400, "the parameter 'sensor' is missing"),
    ],
)
def test_bad_requests_are_answered_in_one_line(
    made: Dashboard, what: str, query: dict[str, str], status: int, error: str
) -> None:
    """The same words as in the terminal."""
    answered, answer = ask(made, what, **query)
    assert answered == status
    assert error in f"{answer['detail']} {answer['hint']}"


@pytest.mark.parametrize(
    ("name", "panel"),
    [("silences", "silent"), ("fleet", "fleet"), ("windows", "completeness"), ("movers", "movers")],
)
def test_every_panel_has_its_own_address(made: Dashboard, name: str, panel: str) -> None:
    """With the same numbers as on the page, and the range that they are of."""
    status, answer = ask(made, name)
    overview = made.overview(*BOUNDS)
    assert status == 200
    about = {said: overview[said] for said in ("range", "quantity", "is_final")}
    assert answer == {"stage": "dev", **about, name: overview[panel]}
    assert answer["quantity"] == {"name": "temperature", "unit": "C"}


def test_every_address_and_the_form_of_an_answer_are_documented(made: Dashboard) -> None:
    """The sample in docs/query.md has the keys of a real answer, and every panel's address is there."""
    text = (Path(__file__).parents[2] / "docs" / "query.md").read_text("utf-8")
    assert [one.name for one in OPERATIONS if f"`v1/{one.name}" not in text] == []
    (sample,) = re.findall(r"(?m)^\$ curl -s 'http://127.0.0.1:8310/v1/silences.*\n(.*)$", text)
    documented, real = json.loads(sample), ask(made, "silences")[1]
    assert documented.keys() == real.keys()
    assert documented["silences"].keys() == real["silences"].keys()


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2000-01-01T00:00:00Z", "now"),
        ("-32d", "now"),
        ("now", "9999-01-01T00:00:00Z"),
    ],
)
def test_a_range_that_nobody_can_want_is_refused_before_anything_is_read(
    stored: StoredResults, made: Dashboard, start: str, end: str
) -> None:
    """At once, with what to do instead; 31 days are shown."""
    stored.results.calls.clear()
    for what in [one for one in OPERATIONS if any(parameter.name == "from" for parameter in one.parameters)]:
        sensor = {"sensor": "site-0/Sensor-2"} if what.name == "sensor" else {}
        status, answer = ask(made, what.name, **{"from": start, "to": end} | sensor)
        assert status == 400
        assert "the dashboard shows at most 31" in answer["detail"]
        assert "--window 1d" in answer["hint"]
    assert stored.results.calls == {}
    assert ask(made, "overview", **{"from": "-31d", "to": "now"})[0] == 200


def test_errors_are_in_the_words_of_the_page(made: Dashboard) -> None:
    """It has fields From and To, and no options."""
    for bounds in (("yesterday", "now"), ("now", "tomorrow"), (BOUNDS[1], BOUNDS[0]), (BOUNDS[0], BOUNDS[0])):
        answer = ask(made, "overview", **{"from": bounds[0], "to": bounds[1]})[1]
        assert "--" not in answer["detail"] + answer["hint"]
    assert ask(made, "overview", **{"from": "yesterday"})[1]["detail"].startswith("From 'yesterday' is not a time")


class SlowListings:
    """A bucket whose listings take a while once the browser has gone away, so that the server can notice it."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.is_asked = threading.Event()
        self.is_gone = threading.Event()
        self.listings = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def list_objects(self, prefix: str) -> Iterator[ListedObject]:
        self.listings += 1
        self.is_asked.set()
        assert self.is_gone.wait(timeout=30)
        time.sleep(0.05)
        return self._store.list_objects(prefix)


def test_the_work_of_a_request_that_was_given_up_ends(stored: StoredResults) -> None:
    """The browser closes the connection during the first of 32 listings: most of the others are never made."""
    slow = SlowListings(stored.results)
    made = Dashboard(engine=stored.engine, results=cast("ObjectStore", slow), stage="dev", clock_ms=lambda: ALL.end_ms)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        while not slow.is_asked.is_set():
            await asyncio.sleep(0.01)
        slow.is_gone.set()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(application(made, PLACE)(scope_of("/v1/overview", **{"from": "-31d"}), receive, send))
    assert 1 <= slow.listings < 32
    assert b"nobody waits" in sent[1]["body"]


def test_who_waits_for_the_lock_gives_up_too() -> None:
    """And leaves the lock to who has it."""
    lock = threading.Lock()
    with lock, pytest.raises(Abandoned), held(lock, _give_up):
        pytest.fail("it was held by another")
    assert lock.acquire(blocking=False)


def _give_up() -> None:
    raise Abandoned


def test_nobody_else_is_answered(made: Dashboard) -> None:
    """Not a page of another site, not another method, not another file."""
    assert get(made, "/v1/overview", host="evil.example")[0] == 400
    assert get(made, "/v1/overview", method="POST")[0] == 405
    for path in ("/static/../web.py", "/static/%2e%2e/web.py", "/static/index.html", "/etc/passwd"):
        assert get(made, path)[0] == 404


def test_the_page_allows_its_own_files_and_no_others(made: Dashboard) -> None:
    """Every file it names is served; the policy knows the import map it holds."""
    status, headers, body = get(made, "/")
    page = body.decode()
    assert status == 200
    names = re.findall(r'(?:src|href)="(static/[^"]+)"', page)
    assert len(names) == len(FILES) + 1  # app.js is named twice
    for name in names:
        answered, of_file, _ = get(made, f"/{name}")
        assert answered == 200
        assert of_file["content-type"].startswith(("text/javascript", "text/css"))
    (import_map,) = re.findall(r'<script type="importmap">(.*?)</script>', page)
    digest = base64.b64encode(hashlib.sha256(import_map.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in headers["content-security-policy"]
    assert headers["content-security-policy"] == served_policy()
    assert "unsafe" not in served_policy()


def test_no_file_of_the_page_names_another_place() -> None:
    """It works without a network; only comments may hold an address."""
    for name in ("index.html", *FILES):
        if not name.startswith("vendor/"):
            assert "//" not in re.sub(r"(?m)(^|\s)//.*$", "", text_of(name)).replace("*//", "")


def test_vendored_files_are_the_ones_that_were_reviewed() -> None:
    """Unchanged from the package that vendor/README.md names."""
    for name, digest in DIGESTS.items():
        assert hashlib.sha256(text_of(name).encode()).hexdigest() == digest


class Elements(html.parser.HTMLParser):
    """The ids of a page, and what it loads."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.feed(page)

    def handle_starttag(self, _: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if name in {"src", "href"} and not str(value).startswith(("#", "data:")):
                self.loads.append(str(value))


def test_every_id_is_there_once() -> None:
    """And all that the scripts look up is there."""
    ids = Elements(served_page()).ids
    assert len(ids) == len(set(ids))
    scripts = "".join(text_of(name) for name in FILES if name.endswith(".js") and "/" not in name)
    assert set(re.findall(r'byId\("([a-z-]+)"\)', scripts)) <= set(ids)


def test_an_exported_file_loads_nothing_and_cannot_be_broken_out_of(made: Dashboard) -> None:
    """Ids come from outside: none of them ends the element that holds the numbers."""
    text, sensors, of_sensors = export(made, *BOUNDS)
    assert (sensors, of_sensors) == (SENSORS, SENSORS)
    assert Elements(text).loads == []
    answers = {"overview": "</script><script>alert(1)</script>", "heatmap": [], "histories": {}}
    page = exported_page(answers)
    assert "<script>alert" not in page
    (held,) = re.findall(r'id="exported">(.*?)</script>', page)
    assert json.loads(held) == answers


def test_an_export_holds_what_the_page_would_ask_for(made: Dashboard) -> None:
    """The overview, all sensors, and their histories."""
    text, _, _ = export(made, *BOUNDS)
    (held,) = re.findall(r'id="exported">(.*?)</script>', text)
    answers = json.loads(held)
    assert answers["overview"]["fleet"] == made.overview(*BOUNDS)["fleet"]
    assert len(answers["heatmap"]["sensors"]) == SENSORS
    assert set(answers["histories"]) == set(answers["heatmap"]["sensors"])


def test_all_histories_of_an_export_come_from_one_query(stored: StoredResults, made: Dashboard) -> None:
    """Equal to those asked for one by one, whichever and however many; an id that is unknown or odd is left out."""
    ids = [*made.heatmap(*BOUNDS, search="", sort="name", page=0, per_page=50)["sensors"], "nobody", "o'brien; --"]
    before = stored.results.calls["get"]
    together = made.histories(*BOUNDS, sensor_ids=ids)
    assert together == {sensor: made.history(*BOUNDS, sensor_id=sensor) for sensor in ids[:SENSORS]}
    assert stored.results.calls["get"] == before  # the rows are read once, for the heatmap
    counting = CountingEngine(stored.engine)
    export(Dashboard(engine=counting, results=stored.results, stage="dev", clock_ms=lambda: ALL.end_ms), *BOUNDS)
    assert counting.asked["histories"] == 1
    assert counting.asked["history"] == 0


class CountingEngine:
    """An engine that counts the questions about histories: of several sensors at once, and of a single one."""

    name = "counting"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.asked: Counter[str] = Counter()

    def run(self, query: Query, **options: Any) -> Result:
        self.asked["histories"] += "sensor_id IN (" in query.sql
        self.asked["history"] += "sensor_id = ?" in query.sql
        return self._engine.run(query, **options)

    def pages(self, query: Query, **options: Any) -> Generator[Result, None, None]:
        return self._engine.pages(query, **options)


def test_a_large_fleet_is_exported_in_part(made: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hottest sensors, and histories as far as they fit; movers and silent ones first."""
    monkeypatch.setattr("analytics.export.SENSORS_MAX", 3)
    monkeypatch.setattr("analytics.export.HISTORY_ROWS_MAX", 1)
    monkeypatch.setattr("analytics.export.PER_PAGE_MAX", 2)
    text, sensors, of_sensors = export(made, *BOUNDS)
    assert (sensors, of_sensors) == (4, SENSORS)
    (held,) = re.findall(r'id="exported">(.*?)</script>', text)
    answers = json.loads(held)
    assert answers["heatmap"]["sensors"][0] == "site-0/Sensor-6"
    assert len(answers["histories"]) == 1


def test_an_export_is_written_whole_or_not_at_all(made: Dashboard, tmp_path: Path) -> None:
    """No half a file, and a bad name is one line."""
    path = tmp_path / "fleet.html"
    with pytest.raises(WindrowError):
        export_to(made, str(path), "nonsense", None, place=PLACE)
    assert not path.exists()
    with pytest.raises(UsageError, match="cannot write"):
        export_to(made, str(tmp_path / "nowhere" / "x.html"), *BOUNDS, place=PLACE)
    export_to(made, str(path), *BOUNDS, place=PLACE)
    assert path.read_text("utf-8").startswith("<!doctype html>")
    assert [one.name for one in tmp_path.iterdir() if one.suffix == ".part"] == []


@pytest.fixture
def taken() -> Iterator[int]:
    with listening(None) as one:
        yield one.getsockname()[1]


def test_it_listens_on_loopback_alone(taken: int) -> None:
    """A port that is asked for must be free; none asked for is any that is."""
    with pytest.raises(UsageError, match=f"port {taken} is taken"):
        listening(taken)
    with listening(None) as other:
        host, port = other.getsockname()
        assert host == "127.0.0.1"
        assert port != taken
        assert other.family is socket.AF_INET


def test_two_that_start_at_once_have_two_ports() -> None:
    """Neither serves yet when the other chooses."""
    with listening(None) as one, listening(None) as other:
        assert one.getsockname()[1] != other.getsockname()[1]


def test_times_in_the_fixture_are_windows() -> None:
    """The tests above count on it."""
    assert START_MS % 300_000 == 0


def test_a_page_about_another_quantity_shows_its_rows_in_its_unit(tmp_path: Path) -> None:
    """Beside temperatures of the same sensors, and beside the same quantity in another unit."""
    stored, only = StoredResults(tmp_path / "all"), StoredResults(tmp_path / "only")
    humidity = Quantity("humidity", "%")
    for window in range(WINDOWS):
        temperatures = readings_of(window)
        humidities = [replace(one, value_milli=50_000 + one.value_milli, quantity=humidity) for one in temperatures]
        parts = [replace(one, quantity=Quantity("humidity", "1")) for one in temperatures]
        store(stored, [*temperatures, *humidities, *parts])
        store(only, [replace(one, quantity=TEMPERATURE) for one in humidities])
    made = Dashboard(
        engine=stored.engine, results=stored.results, stage="dev", clock_ms=lambda: ALL.end_ms, quantity=humidity
    )
    same = Dashboard(engine=only.engine, results=only.results, stage="dev", clock_ms=lambda: ALL.end_ms)
    for panel in ("fleet", "movers"):
        assert made.overview(*BOUNDS)[panel] == same.overview(*BOUNDS)[panel]
    assert made.history(*BOUNDS, sensor_id="site-1/Sensor-1") == same.history(*BOUNDS, sensor_id="site-1/Sensor-1")
    some = ["site-0/Sensor-2", "site-1/Sensor-3"]
    assert made.histories(*BOUNDS, sensor_ids=some) == same.histories(*BOUNDS, sensor_ids=some)
    _, _, page = get(made, "/")
    assert b'<html lang="en" data-quantity="humidity" data-unit="%">' in page
    assert 'data-unit="%"' in export(made, *BOUNDS)[0]
    assert "data-unit" not in served_page()


def test_every_quantity_is_asked_for_by_its_name_and_unit(tmp_path: Path) -> None:
    """The server lists those of the last hour, and answers about each as a dashboard of its own would."""
    stored = StoredResults(tmp_path)
    humidity, parts = Quantity("humidity", "%"), Quantity("humidity", "1")
    for window in range(WINDOWS):
        temperatures = readings_of(window)
        humidities = [replace(one, value_milli=50_000 + one.value_milli, quantity=humidity) for one in temperatures]
        store(stored, [*temperatures, *humidities, *[replace(one, quantity=parts) for one in temperatures[:5]]])

    def dashboard(quantity: Quantity = TEMPERATURE) -> Dashboard:
        return Dashboard(
            engine=stored.engine, results=stored.results, stage="dev", clock_ms=lambda: ALL.end_ms, quantity=quantity
        )

    made = dashboard()
    assert ask(made, "quantities")[1]["quantities"] == [
        {"quantity": "humidity", "unit": "%"},
        {"quantity": "humidity", "unit": "1"},
        {"quantity": "temperature", "unit": "C"},
    ]
    for quantity in (humidity, parts, TEMPERATURE, humidity):
        chosen = {"quantity": quantity.name, "unit": quantity.unit}
        own = dashboard(quantity)
        for panel in ("overview", "sensors", "fleet", "silences", "latest"):
            answer = ask(made, panel, **chosen)[1]
            assert answer == ask(own, panel)[1], panel
        sensor_id = "site-1/Sensor-1"
        assert ask(made, "sensor", sensor=sensor_id, **chosen) == ask(own, "sensor", sensor=sensor_id)
    assert ask(made, "overview")[1]["quantity"] == {"name": "temperature", "unit": "C"}
    few, all_of = (ask(made, "windows", quantity="humidity", unit=unit)[1]["windows"] for unit in "1%")
    heard = [len({one.sensor_id for one in readings_of(window)}) for window in range(WINDOWS)]
    of_few = [len({one.sensor_id for one in readings_of(window)[:5]}) for window in range(WINDOWS)]
    assert all_of["sensors"] == heard
    assert few["sensors"] == of_few
    assert few["series"] == all_of["series"] == [2 * many + some for many, some in zip(heard, of_few, strict=True)]
    assert ask(made, "fleet", quantity="temperature") == ask(made, "fleet")


def test_a_quantity_that_is_none_is_refused_and_one_without_rows_is_empty(made: Dashboard) -> None:
    """A unit must be said; how many quantities are held in memory is bounded."""
    status, answer = ask(made, "overview", quantity="humidity")
    assert (status, answer["hint"]) == (400, "v1/quantities lists those there are")
    assert ask(made, "overview", quantity="Bad Name", unit="%")[0] == 400
    for number in range(OTHERS_MAX + 3):
        status, answer = ask(made, "overview", quantity=f"q{number}", unit="%")
        assert (status, answer["fleet"]["t"]) == (200, [])
    assert len(made._others) == OTHERS_MAX


def test_a_unit_cannot_end_the_page_s_attribute() -> None:
    """A unit is what some device said."""
    assert 'data-unit="&quot;&gt;&lt;script&gt;"' in served_page(Quantity("x", '"><script>'))


def test_the_unit_of_a_quantity_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is taken, of several one must be chosen, and what nobody measured is refused with what there is."""
    monkeypatch.setattr("windrow_cli.dashboard.clock_ms", lambda: ALL.end_ms)
    stored = StoredResults(tmp_path)
    kinds = [Quantity("humidity", "%"), Quantity("pressure", "hPa"), Quantity("pressure", "kPa")]
    store(stored, [replace(one, quantity=kind) for kind in kinds for one in readings_of(0)])
    assert shown_quantity(stored.engine, None, None) == TEMPERATURE
    assert shown_quantity(stored.engine, "humidity", None) == kinds[0]
    assert shown_quantity(stored.engine, "pressure", "kPa") == kinds[2]
    with pytest.raises(UsageError, match="pressure comes in 2 units") as several:
        shown_quantity(stored.engine, "pressure", None)
    assert several.value.hint == "choose one: --unit 'hPa' or --unit 'kPa'"
    with pytest.raises(UsageError, match="no humidty in the last day") as none:
        shown_quantity(stored.engine, "humidty", None)
    assert "--quantity humidity" in none.value.hint
