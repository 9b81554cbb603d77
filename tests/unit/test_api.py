"""The HTTP API: any request gets a documented answer, and both of its homes give the same one."""

import asyncio
import base64
import gzip
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jsonschema
import pytest
from starlette.applications import Starlette

from analytics import api_handler
from analytics.api import document
from analytics.api.endpoints import FINAL_SECONDS, Endpoints
from analytics.api.operations import OPERATIONS, Operation
from analytics.api.problems import MEDIA_TYPE
from analytics.dashboard import Dashboard
from analytics.web import application, hosted
from tests.environment import environment_of
from tests.unit.stored_results import StoredResults
from tests.unit.test_row_cache import ALL, GAP, SENSORS, WINDOWS, readings_of, store
from windrow.aws.clients import Place
from windrow.lake.layout import lineage_key
from windrow.reading import Reading
from windrow.rows.lineage import Lineage
from windrow.settings import Settings
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS, Window

pytestmark = pytest.mark.slow

PLACE = Place("embedded", "http://127.0.0.1:1", "us-east-1")
BOUNDS = {"from": format_rfc3339(ALL.start_ms), "to": format_rfc3339(ALL.end_ms)}
DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"
SETTINGS = Settings(
    stage="dev",
    stream_name="windrow-dev",
    lake_bucket="lake",
    results_bucket="results",
    lateness_horizon_hours=168,
    stream_retention_hours=24,
)
ODD_IDS = ("a/b", "..", "%2e%2e/%2F", "?x=1&y=2#z", "a b+c", "å😀", "o'brien; --", '"', "\\")
Answer = tuple[int, dict[str, str], Any]


def results_with_odd_ids(folder: Path) -> StoredResults:
    """Rows and lineages of WINDOWS windows, of sensors whose ids are made of what URLs and SQL take amiss, too."""
    results = StoredResults(folder)
    for window in range(WINDOWS):
        odd = [Reading(one, ALL.start_ms + window * WINDOW_MS, 0, 1_000 + place) for place, one in enumerate(ODD_IDS)]
        store(results, [*readings_of(window), *odd])
    return results


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredResults:
    return results_with_odd_ids(tmp_path_factory.mktemp("rows"))


@pytest.fixture(scope="module")
def made(stored: StoredResults) -> Dashboard:
    return Dashboard(engine=stored.engine, results=stored.results, stage="dev", clock_ms=lambda: ALL.end_ms)


@pytest.fixture(scope="module")
def local(made: Dashboard) -> Starlette:
    return application(made, PLACE)


def get(app: Starlette, path: str, query: str = "", *, method: str = "GET", **headers: str) -> Answer:
    """(status, headers, decoded body) of one request without a body."""
    return ask(app, path, query, method=method, **headers)


def ask(app: Starlette, path: str, query: str = "", *, method: str, body: bytes = b"", **headers: str) -> Answer:
    """(status, headers, decoded body) of one request, as a server hands it to the application."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    named = {"host": "127.0.0.1", **{name.replace("_", "-").lower(): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        "scheme": "http",
        "http_version": "1.1",
    }
    asyncio.run(app(scope, receive, send))
    got = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    answer = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], got, json.loads(answer) if answer else None


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_a_plain_request_is_answered(local: Starlette, operation: Operation) -> None:
    """So that the property above is not about refusals alone; and nobody must guess what an answer may also hold."""
    query = {"sensor": {**BOUNDS, "sensor": "a/b"}, "lineage": {"window": BOUNDS["from"]}}.get(operation.name)
    if query is None:
        query = BOUNDS if any(one.name == "from" for one in operation.parameters) else {}
    status, _, answer = get(local, operation.path, urlencode(query))
    assert status == 200
    jsonschema.validate(answer, operation.schema)


def test_the_document_is_the_one_that_is_kept(local: Starlette) -> None:
    """Both are made of the operations: run python -m analytics.api.document > docs/openapi.json."""
    assert DOCUMENT.read_text("utf-8") == document.text()
    assert get(local, document.PATH)[2] == json.loads(document.text())
    for schema in document.openapi()["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("sensor", ODD_IDS)
def test_a_sensor_is_found_whatever_characters_its_id_has(local: Starlette, sensor: str) -> None:
    """And one that is like it, but not it, is not."""
    status, _, answer = get(local, "/v1/sensor", urlencode({**BOUNDS, "sensor": sensor}))
    assert (status, answer["sensor"]) == (200, sensor)
    assert answer["last"][0] == 1 + ODD_IDS.index(sensor) / 1000
    assert get(local, "/v1/sensor", urlencode({**BOUNDS, "sensor": sensor + "x"}))[0] == 404
    assert sensor in get(local, "/v1/sensors", urlencode({**BOUNDS, "search": sensor}))[2]["sensors"]


def test_the_newest_reading_of_each_sensor_is_told_page_by_page(local: Starlette) -> None:
    """All pages together are all sensors, each once; sensor 0 fell silent, and has the reading it had last."""
    rows: dict[str, tuple[int, int, float]] = {}
    total, page = 1, 0
    while len(rows) < total:
        answer = get(local, "/v1/latest", urlencode({**BOUNDS, "per_page": 3, "page": page}))[2]
        total, page = answer["total"], page + 1
        columns = zip(*(answer[name] for name in ("sensors", "t", "last_time", "last")), strict=True)
        assert rows.keys().isdisjoint(answer["sensors"])
        rows |= {sensor: tuple(others) for sensor, *others in columns}
    assert list(rows) == sorted(rows)
    assert len(rows) == total == SENSORS + len(ODD_IDS)
    for window in range(WINDOWS):
        for one in () if window == GAP else readings_of(window):
            assert rows[one.sensor_id][1] >= one.event_time_ms or one.sensor_id == "site-0/Sensor-0"
    assert rows["site-0/Sensor-0"][0] == ALL.start_ms + 5 * WINDOW_MS


def test_an_answer_that_has_not_changed_is_not_sent_again(stored: StoredResults) -> None:
    """By its tag, in any list of tags; another answer has another tag, and when it was made is no part of it."""
    clock_ms = itertools.count(ALL.end_ms).__next__
    made = Dashboard(engine=stored.engine, results=stored.results, stage="dev", clock_ms=clock_ms)
    local, query = application(made, PLACE), urlencode(BOUNDS)
    _, headers, _ = get(local, "/v1/overview", query)
    for known in (headers["etag"], f'W/"x", {headers["etag"]}', "*"):
        status, again, body = get(local, "/v1/overview", query, if_none_match=known)
        assert (status, body, again["etag"]) == (304, None, headers["etag"])
    assert get(local, "/v1/fleet", query, if_none_match=headers["etag"])[0] == 200


def test_only_final_windows_between_fixed_times_may_be_kept(tmp_path: Path) -> None:
    """An open window changes, and tomorrow -1h is another hour."""
    stored = StoredResults(tmp_path)
    for window in range(3):
        store(stored, readings_of(window))

    def set_final(place: int) -> None:
        key = lineage_key(Window(ALL.start_ms + place * WINDOW_MS))
        found = stored.results.get(key)
        assert found is not None
        body = replace(Lineage.from_json(found.body), is_final=True).to_json()
        stored.results.put(key, body)

    end_ms = ALL.start_ms + 3 * WINDOW_MS
    app = application(
        Dashboard(engine=stored.engine, results=stored.results, stage="dev", clock_ms=lambda: end_ms), PLACE
    )
    fixed = {"from": BOUNDS["from"], "to": format_rfc3339(end_ms)}
    kept = f"private, max-age={FINAL_SECONDS}, immutable"

    def said(**query: str) -> str:
        return get(app, "/v1/fleet", urlencode(query))[1]["cache-control"]

    for place in (0, 1):
        set_final(place)
        assert said(**fixed) == "private, no-cache"
    set_final(2)
    assert said(**fixed) == kept
    assert get(app, "/v1/sensor", urlencode({**fixed, "sensor": "site-0/Sensor-2"}))[1]["cache-control"] == kept
    assert said(**{"from": "-15m"}) == "private, no-cache"
    assert said(**{"from": fixed["from"]}) == "private, no-cache"
    assert said(**{**fixed, "to": format_rfc3339(end_ms + WINDOW_MS)}) == "private, no-cache"


@pytest.mark.parametrize(
    ("path", "query", "status", "said"),
    [
        ("fleet", {"from": "now", "to": "-1h"}, 400, "reversed"),
        ("fleet", {"from": BOUNDS["to"], "to": BOUNDS["from"]}, 400, "reversed"),
        ("fleet", {"from": "-1h", "to": "-1h"}, 400, "empty"),
        ("fleet", {"from": "-32d"}, 400, "32 days"),
        ("fleet", {"from": "1970-01-01T00:00:00Z", "to": "2026-11-20T00:00:00Z"}, 400, "20,777 days"),
        ("fleet", {"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59Z"}, 400, "leaves the years"),
        ("fleet", {"from": "-9" + "9" * 40 + "d"}, 400, "From"),
        ("fleet", {"to": "2026-11-20T10:05:00"}, 400, "To"),
        ("fleet", {"from": "x" * 65}, 400, "65 characters"),
        ("sensors", {"per_page": "201"}, 400, "per_page"),
        ("sensors", {"per_page": "0"}, 400, "per_page"),
        ("sensors", {"page": "-1"}, 400, "page"),
        ("sensors", {"page": "1e9"}, 400, "page"),
        ("sensors", {"page": "٣"}, 400, "page"),
        ("live", {"per_page": "9" * 5_000}, 400, "per_page"),
        ("live", {"search": "x" * 129}, 400, "search"),
        ("latest", {"page": "999999999"}, 200, ""),
        ("sensors", {"sort": "x' OR 1=1"}, 400, "sort"),
        ("sensor", {}, 400, "missing"),
        ("sensor", {"sensor": "x" * 129}, 400, "sensor"),
        *(
            ("sensor", {"sensor": one}, 404, "no sensor")
            for one in (
                "nobody",
                "\x00",
                "\x1f",
                "\n",
                "é" * 128,
                "'; DROP TABLE aggregates; --",
                "%",
                "_",
                "\ufeff",
                "../..",
            )
        ),
        ("fleet", {"quantity": "Humidity"}, 400, "quantity"),
        ("fleet", {"quantity": "humidity"}, 400, "unit"),
        ("lineage", {"window": BOUNDS["from"] + " "}, 400, "window"),
    ],
)
def test_bad_input_is_refused_by_what_is_wrong(
    local: Starlette, path: str, query: dict[str, str], status: int, said: str
) -> None:
    """With the documented status, and a text that names the culprit; an endless page is the last one."""
    bounds = {} if path in {"live", "lineage"} or {"from", "to"} & query.keys() else BOUNDS
    answered, headers, answer = get(local, f"/v1/{path}", urlencode(bounds | query))
    assert answered == status
    if status != 200:
        assert (headers["content-type"], answer["status"]) == (MEDIA_TYPE, status)
        assert said in answer["detail"]
        assert len(answer["detail"]) < 500


def test_what_there_is_not_is_a_problem_too(local: Starlette) -> None:
    """A path, with what may be meant; a method, with those there are; a parameter, a second one of the same name."""
    status, headers, answer = get(local, "/v1/flet")
    assert (status, headers["content-type"], answer["hint"]) == (404, MEDIA_TYPE, "there is /v1/fleet")
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        status, headers, answer = get(local, "/v1/fleet", method=method)
        assert (status, headers["allow"], answer["title"]) == (405, "GET, HEAD", "Method Not Allowed")
    assert "did you mean from?" in get(local, "/v1/fleet", "fro=-1h")[2]["hint"]
    assert "given twice" in get(local, "/v1/fleet", "from=-1h&from=-2h")[2]["detail"]
    assert get(local, "/v1/lineage", "window=2026-11-20T23:51:00Z")[0] == 400
    assert get(local, "/v1/lineage", "window=2020-11-20T23:50:00Z")[0] == 404


def test_a_defect_is_a_500_that_tells_nothing(made: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error goes to the log, where its text may hold what a caller should not see."""
    monkeypatch.setattr(Dashboard, "progress", lambda _: 1 / 0)
    app = application(made, PLACE)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {"type": "http", "method": "GET", "path": "/v1/progress", "query_string": b"", "http_version": "1.1"}
    with pytest.raises(ZeroDivisionError):
        asyncio.run(app(scope | {"headers": [(b"host", b"127.0.0.1")], "scheme": "http"}, receive, send))
    assert sent[0]["status"] == 500
    assert b"division" not in sent[1]["body"]


def test_an_answer_that_takes_too_long_ends_with_what_to_do(made: Dashboard, stored: StoredResults) -> None:
    """Before the gateway gives up; what was read is kept, so that the next try goes on."""
    seconds = iter(range(0, 10_000, 3))
    fresh = Dashboard(engine=stored.engine, results=stored.results, stage="dev", clock_ms=lambda: ALL.end_ms)
    app = hosted(Endpoints(dashboard=fresh, place=PLACE, seconds_max=5, clock=lambda: float(next(seconds))))
    status, headers, answer = get(app, "/v1/fleet", urlencode({"from": "-31d"}))
    assert (status, headers["retry-after"]) == (503, "1")
    assert "ask again" in answer["hint"]


def event(path: str, query: Mapping[str, str], *, groups: object = "[viewer]", **headers: str) -> dict[str, Any]:
    """What an HTTP API hands to its function, in the payload format 2.0."""
    claims = {"sub": "u", "scope": "results/read"} | ({} if groups is None else {"cognito:groups": groups})
    return {
        "version": "2.0",
        "routeKey": "GET /v1/{proxy+}",
        "rawPath": path,
        "rawQueryString": urlencode(query, quote_via=quote),
        "headers": {"host": "x.execute-api.us-east-1.amazonaws.com", **headers},
        "requestContext": {
            "http": {"method": "GET", "path": path, "sourceIp": "127.0.0.1"},
            "stage": "$default",
            "authorizer": {"jwt": {"claims": claims, "scopes": ["results/read"]}},
        },
        "isBase64Encoded": False,
    }


@pytest.fixture
def function(made: Dashboard, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """The function's handler, with the results of this test instead of a bucket."""
    for name, value in environment_of(SETTINGS).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(api_handler, "Dashboard", lambda **_: made)
    api_handler._adapter.cache_clear()
    yield lambda one: api_handler.handle(one, None)
    api_handler._adapter.cache_clear()


def body_of(response: dict[str, Any]) -> Any:
    body = response["body"]
    if response["isBase64Encoded"]:
        body = gzip.decompress(base64.b64decode(body))
    return json.loads(body)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_both_homes_give_the_same_answer(
    local: Starlette, function: Callable[[dict[str, Any]], Any], operation: Operation
) -> None:
    """The function behind an HTTP API, and the server on this machine: compressed or not."""
    query = {"sensor": {**BOUNDS, "sensor": "a/b"}, "lineage": {"window": BOUNDS["from"]}}.get(operation.name)
    if query is None:
        query = BOUNDS if any(one.name == "from" for one in operation.parameters) else {}
    status, headers, answer = get(local, operation.path, urlencode(query))
    for encoding in ("identity", "gzip"):
        got = function(event(operation.path, query, groups="[operator]", **{"accept-encoding": encoding}))
        assert (got["statusCode"], got["headers"]["etag"]) == (status, headers["etag"])
        assert body_of(got) == answer


def test_a_group_decides_what_a_user_may_ask(function: Callable[[dict[str, Any]], Any]) -> None:
    """A viewer no lineage; who is in no group of ours nothing; several groups in any of their spellings."""
    lineage = {"window": BOUNDS["from"]}
    expected: list[tuple[object, int, int]] = [
        ("[viewer]", 200, 403),
        *((groups, 200, 200) for groups in ("[operator]", "[operator viewer]", ["viewer", "operator"])),
        *((groups, 403, 403) for groups in ("[others]", "[operators]", "[]", None)),
    ]
    for groups, fleet, of_lineage in expected:
        assert function(event("/v1/fleet", BOUNDS, groups=groups))["statusCode"] == fleet
        assert function(event("/v1/lineage", lineage, groups=groups))["statusCode"] == of_lineage
    refused = function(event("/v1/lineage", lineage))
    assert refused["headers"]["content-type"] == MEDIA_TYPE
    assert not refused["isBase64Encoded"]
    assert "--group operator" in body_of(refused)["hint"]


def test_a_request_without_claims_is_refused(function: Callable[[dict[str, Any]], Any]) -> None:
    """If the gateway were ever without its authorizer, the function would still answer nobody."""
    bare = event("/v1/fleet", BOUNDS)
    del bare["requestContext"]["authorizer"]
    assert function(bare)["statusCode"] == 403
