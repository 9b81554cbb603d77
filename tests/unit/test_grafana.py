"""The dashboards for Grafana: what they ask, Athena's tables and the API answer, and Grafana can draw."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import pytest
import yaml

from analytics import presets
from analytics.api.operations import OPERATIONS
from analytics.dashboard import Dashboard
from analytics.query import Query
from analytics.web import application
from infra import template
from tests.unit.settled_results import store_window
from tests.unit.stored_results import SENSORS, START_MS, WINDOWS, StoredResults, some_readings
from tests.unit.test_api import get
from tests.unit.test_row_cache import store
from windrow.aws.clients import Place
from windrow.timerange import TimeRange
from windrow.window import WINDOW_MS
from windrow_cli.dashboard import DEFAULT_PORT

FOLDER = Path(__file__).parents[2] / "docs" / "grafana"
NAMES = ("athena.json", "api.json")
PLUGINS = {"athena.json": "grafana-athena-datasource", "api.json": "yesoreyeram-infinity-datasource"}
ALL = TimeRange(START_MS, START_MS + WINDOWS * WINDOW_MS)
BUILT_IN = {"__from", "__to"}
VALUES = {"quantity": "temperature", "unit": "C", "sensor": SENSORS[2], "search": "aisle", "rows": "aggregates"}
Json = dict[str, Any]


def dashboard(name: str) -> Json:
    loaded: Json = json.loads((FOLDER / name).read_text("utf-8"))
    return loaded


def targets(name: str) -> Iterator[tuple[str, Json]]:
    """Each question of a panel, with its title."""
    for panel in dashboard(name)["panels"]:
        for target in panel["targets"]:
            yield panel["type"], target


def target_of(name: str, title: str) -> Json:
    """The only question of the panel whose title contains `title`."""
    ((target,),) = [panel["targets"] for panel in dashboard(name)["panels"] if title in panel["title"]]
    found: Json = target
    return found


@pytest.mark.parametrize("name", NAMES)
def test_panels_are_whole_and_lie_side_by_side(name: str) -> None:
    """A grid of 24 columns without holes or overlaps, and every id once."""
    page = dashboard(name)
    assert page["id"] is None  # Grafana gives it one
    assert len(page["uid"]) <= 40
    assert len({panel["id"] for panel in page["panels"]}) == len(page["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in page["panels"]:
        assert panel["type"] in ("timeseries", "table")
        assert panel["title"]
        assert panel["description"]
        grid = panel["gridPos"]
        cells = {(grid["x"] + x, grid["y"] + y) for x in range(grid["w"]) for y in range(grid["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    rows = {row for _, row in taken}
    assert taken == {(column, row) for column in range(24) for row in rows}
    assert rows == set(range(len(rows)))


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_is_defined_and_used(name: str) -> None:
    """And the source of all is the one that the reader chooses, of the plugin that the questions are written for."""
    page = dashboard(name)
    variables = {one["name"]: one for one in page["templating"]["list"]}
    used = set(re.findall(r"\$\{(\w+)(?::[\w:]+)?\}", json.dumps(page)))
    assert used - BUILT_IN == set(variables)
    assert variables["datasource"]["query"] == PLUGINS[name]
    chosen = {"type": PLUGINS[name], "uid": "${datasource}"}
    assert [panel["datasource"] for panel in page["panels"]] == [chosen] * len(page["panels"])
    assert all(target["datasource"] == chosen for _, target in targets(name))
    assert re.findall(r"\$[a-zA-Z]\w*", re.sub(r"\$__\w+\(", "", json.dumps(page))) == []  # $name is seldom noticed


def test_provisioning_names_the_stage_and_the_address() -> None:
    """As the template names workgroup and database, and where `windrow dashboard` serves."""
    sources = yaml.safe_load((FOLDER / "datasources.yaml").read_text("utf-8"))["datasources"]
    assert [one["type"] for one in sources] == [PLUGINS[name] for name in NAMES]
    athena, api = (one["jsonData"] for one in sources)
    resources = template.load()["Resources"]
    assert {"Fn::Sub": athena["workgroup"].replace("prod", "${Stage}")} == resources["WorkGroup"]["Properties"]["Name"]
    database = resources["Database"]["Properties"]["DatabaseInput"]["Name"]
    assert {"Fn::Sub": athena["database"].replace("prod", "${Stage}")} == database
    (address,) = [one for one in dashboard("api.json")["templating"]["list"] if one["name"] == "address"]
    assert api["allowedHosts"] == [address["query"]] == [f"http://127.0.0.1:{DEFAULT_PORT}"]


def macros(sql: str, time_range: TimeRange) -> str:
    """What Grafana's plugin for Athena sends: its macros as its documentation has them, and quoted variables."""

    def moment(ms: int) -> str:
        return f"TIMESTAMP '{pd.Timestamp(ms, unit='ms'):%Y-%m-%d %H:%M:%S}'"

    begin, end = moment(time_range.start_ms), moment(time_range.end_ms)
    sql = sql.replace("$__timeFrom()", begin).replace("$__timeTo()", end)
    sql = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 BETWEEN {begin} AND {end}", sql)
    for name, value in VALUES.items():
        quoted = "'" + value.replace("'", "''") + "'"
        sql = sql.replace(f"${{{name}:sqlstring}}", quoted).replace(f"${{{name}:raw}}", value)
    assert "$" not in sql, sql
    return sql


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredResults:
    """Rows and lineages on both sides of midnight."""
    results = StoredResults(tmp_path_factory.mktemp("rows"))
    store(results, some_readings())
    return results


def asked(stored: StoredResults, sql: str, time_range: TimeRange = ALL) -> pd.DataFrame:
    frame: pd.DataFrame = stored.engine.run(Query(macros(sql, time_range))).frame
    return frame


@pytest.mark.slow
def test_athena_can_answer_and_grafana_can_draw_every_question(stored: StoredResults) -> None:
    """A time series needs ascending times in its first column and numbers in the others; no decimal, which is text."""
    for kind, target in targets("athena.json"):
        assert target["format"] == {"timeseries": 0, "table": 1}[kind]
        frame = asked(stored, target["rawSQL"])
        assert not [name for name in frame.columns if "decimal" in str(frame[name].dtype).lower()]
        if kind == "timeseries":
            assert frame.columns[0] == "time"
            assert frame["time"].is_monotonic_increasing
            assert all(pd.api.types.is_numeric_dtype(frame[name]) for name in frame.columns[1:]), target["rawSQL"]
    for variable in dashboard("athena.json")["templating"]["list"]:
        if variable["type"] == "query":
            assert asked(stored, variable["query"]["rawSQL"]).columns.tolist() == [variable["name"]]


@pytest.mark.slow
def test_athena_panels_show_what_the_presets_answer(stored: StoredResults) -> None:
    """The fleet, one sensor with a quote in its id, and the highest."""
    fleet, expected = (
        asked(stored, target_of("athena.json", "Fleet")["rawSQL"]),
        stored.engine.run(presets.fleet(ALL)).frame,
    )
    assert len(fleet) == WINDOWS
    for name in ("min", "mean", "max"):
        assert fleet[name].tolist() == expected[f"{name}_c"].astype(float).tolist()
    one = asked(stored, target_of("athena.json", "${sensor}")["rawSQL"])
    row = stored.engine.run(presets.sensor(SENSORS[2], ALL)).frame
    for name in ("min", "p05", "p50", "mean", "p95", "max"):
        assert one[name].tolist() == row[f"{name}_c"].astype(float).tolist()
    highest = asked(stored, target_of("athena.json", "Highest")["rawSQL"])
    wanted = stored.engine.run(presets.hottest(ALL, sensors=3)).frame
    assert highest["sensor_id"].tolist() == wanted["sensor_id"].drop_duplicates().tolist()


@pytest.mark.slow
def test_silent_are_those_who_are_silent_at_the_end(tmp_path: Path) -> None:
    """Who is heard again is not among them."""
    results = StoredResults(tmp_path)
    everybody = set("abcdefghijkl")
    heard = [everybody] * 3 + [everybody - {"b", "c"}] * 4 + [everybody - {"c"}] * 4
    for place in range(len(heard)):
        store_window(results, place, heard)
    time_range = TimeRange(START_MS, START_MS + len(heard) * WINDOW_MS)
    assert "b" in results.engine.run(presets.silences(time_range)).frame["sensor_id"].tolist()
    frame = asked(results, target_of("athena.json", "Silent")["rawSQL"], time_range)
    assert frame[["sensor_id", "state", "missing_windows"]].to_numpy().tolist() == [["c", "lasts", 8]]


@pytest.mark.slow
@pytest.mark.parametrize("title", ["Fleet", "${sensor}", "Highest"])
def test_athena_reads_only_the_days_of_the_range(tmp_path: Path, title: str) -> None:
    """There are two windows on either side of midnight: a range on one side costs the two objects of its day."""
    results = StoredResults(tmp_path)
    results.store(some_readings())
    results.results.calls.clear()
    frame = asked(results, target_of("athena.json", title)["rawSQL"], TimeRange(START_MS, START_MS + WINDOW_MS))
    assert len(frame) > 0
    assert results.results.calls["get"] == 2


def schema_of(target: Json) -> Json:
    """The schema of the part of the answer that a question's root selects."""
    (operation,) = [one for one in OPERATIONS if target["url"] == "${address:raw}" + one.path]
    known = {one.name for one in operation.parameters}
    assert {one["key"] for one in target["url_options"]["params"]} <= known
    assert {one.name for one in operation.parameters if one.is_required} <= {
        one["key"] for one in target["url_options"]["params"]
    }
    schema: Json = dict(operation.schema)
    return schema["properties"][target["root_selector"]] if target["root_selector"] else schema


def test_the_api_has_every_column_that_is_asked_for() -> None:
    """At a path that there is, by parameters that it takes; as a list of times, numbers or texts."""
    for _, target in targets("api.json"):
        assert (target["type"], target["parser"], target["json_options"]) == ("json", "simple", {"columnar": True})
        properties = schema_of(target)["properties"]
        for column in target["columns"]:
            schema = properties[column["selector"]]
            kinds = schema["items"]["type"]
            kind = kinds if isinstance(kinds, str) else kinds[0]
            allowed = {"number": ("number", "integer"), "timestamp_epoch": ("integer",), "string": ("string",)}
            assert schema["type"] == "array"
            assert kind in allowed[column["type"]], column


def columnar(answer: Json, target: Json) -> pd.DataFrame:
    """What the Infinity plugin makes of an answer in columns: the first column says how many rows there are."""
    root = answer[target["root_selector"]] if target["root_selector"] else answer
    columns = [root[one["selector"]] for one in target["columns"]]
    assert [len(column) for column in columns] == [len(columns[0])] * len(columns)
    return pd.DataFrame(dict(zip([one["text"] for one in target["columns"]], columns, strict=True)))


@pytest.mark.slow
def test_api_panels_show_what_the_presets_answer(stored: StoredResults) -> None:
    """By requests to the application that `windrow dashboard` serves."""
    made = Dashboard(engine=stored.engine, results=stored.results, stage="dev", clock_ms=lambda: ALL.end_ms)
    app = application(made, Place("embedded", "http://127.0.0.1:1", "us-east-1"))
    bounds = {
        f"__{name}:date:iso": f"{pd.Timestamp(ms, unit='ms'):%Y-%m-%dT%H:%M:%S}.000Z"
        for name, ms in (("from", ALL.start_ms), ("to", ALL.end_ms))
    }
    frames: dict[str, list[pd.DataFrame]] = {}
    for _, target in targets("api.json"):
        query = {one["key"]: one["value"] for one in target["url_options"]["params"]}
        for name, value in (VALUES | bounds).items():
            query = {key: text.replace(f"${{{name}}}", value) for key, text in query.items()}
        path = target["url"].removeprefix("${address:raw}")
        status, _, answer = get(app, path, urlencode(query))
        assert status == 200, answer
        frames.setdefault(path, []).append(columnar(answer, target))
    (fleet,), expected = frames["/v1/fleet"], stored.engine.run(presets.fleet(ALL)).frame
    assert fleet["time"].tolist() == [START_MS + place * WINDOW_MS for place in range(WINDOWS)]
    for name in ("min", "mean", "max"):
        assert fleet[name].tolist() == pytest.approx(expected[f"{name}_c"].astype(float).tolist(), abs=1e-12)
    (one,), row = frames["/v1/sensor"], stored.engine.run(presets.sensor(SENSORS[2], ALL)).frame
    assert one["p95"].tolist() == row["p95_c"].astype(float).tolist()
    assert frames["/v1/windows"][1]["late"].tolist() == [3] * WINDOWS
    (latest,) = frames["/v1/latest"]
    assert latest["sensor"].tolist() == list(SENSORS[:2])
