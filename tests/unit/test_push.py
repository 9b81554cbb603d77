"""Pushing live values: who hears what, and what becomes of connections that take nothing."""

import json
from collections import defaultdict
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from analytics import push_handler
from analytics.push import latest as latest_tables
from analytics.push.changes import Changes, changes_of
from analytics.push.connections import CONNECTION_SECONDS_MAX, OPENING_SECONDS_MAX, Connection, ConnectionTable
from analytics.push.latest import LatestTable
from analytics.push.posting import ManagementApi, PushReport, push
from analytics.push_handler import StagePush
from tests.lambda_context import LambdaContext
from tests.unit.tables_in_memory import TablesInMemory
from windrow.live.newest import KEPT_SECONDS, NewestValue, item_of
from windrow.quantities import TEMPERATURE, Quantity
from windrow.rules.load import load_rules

NOW_S = 1_795_169_100
HUMIDITY = Quantity("humidity", "%")
RULES = load_rules('[[rule]]\nname = "hot"\nabove = 30\n')


class Sockets:
    """API Gateway's connections: what each got, and which calls fail with what."""

    def __init__(self) -> None:
        self.got: dict[str, list[bytes]] = defaultdict(list)
        self.closed: list[str] = []
        self.fails: dict[str, Exception] = {}

    def post_to_connection(self, *, ConnectionId: str, Data: bytes) -> None:  # noqa: N803 - botocore's names
        if ConnectionId in self.fails:
            raise self.fails[ConnectionId]
        self.got[ConnectionId].append(Data)

    def delete_connection(self, *, ConnectionId: str) -> None:  # noqa: N803
        if ConnectionId in self.fails:
            raise self.fails[ConnectionId]
        self.closed.append(ConnectionId)


def gone() -> ClientError:
    return ClientError({"Error": {"Code": "GoneException"}, "ResponseMetadata": {"HTTPStatusCode": 410}}, "Post")


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}}, "Post")


class World:
    """A stage's tables and sockets, and what pushes between them."""

    def __init__(self) -> None:
        self.tables = TablesInMemory({"latest": ("site", "series"), "connections": ("connection_id",)})
        self.sockets = Sockets()
        self.connections = ConnectionTable(self.tables, "connections")
        self.stage = StagePush(
            latest=LatestTable(self.tables, "latest"),
            connections=self.connections,
            posts=ManagementApi(self.sockets),
            rules=RULES,
        )

    def connect(self, name: str, site: str | None = None, *, opened_s: int = NOW_S - 60, left_s: int = 60) -> None:
        self.connections.put(Connection(connection_id=name, site=site, opened_s=opened_s, expires_s=NOW_S + left_s))

    @property
    def connected(self) -> set[str]:
        return {one.connection_id for one in self.connections.all()}

    def change(self, *values: NewestValue) -> Changes:
        for value in values:
            self.tables.put_item(TableName="latest", Item=item_of(value))
        return changes_of([{"eventName": "MODIFY", "dynamodb": {"NewImage": item_of(one)}} for one in values])

    def heard(self, name: str) -> dict[str, list[Any]]:
        joined = defaultdict(list)
        for message in self.sockets.got[name]:
            for part, items in json.loads(message).items():
                joined[part] += items
        return joined


@pytest.fixture
def world() -> World:
    return World()


def value(sensor_id: str, milli: int, quantity: Quantity = TEMPERATURE, age_s: int = 0) -> NewestValue:
    return NewestValue(sensor_id, quantity, (NOW_S - age_s) * 1_000, 0, milli)


def test_each_connection_hears_of_its_sites(world: World) -> None:
    """Of all, of one, of the sensors that have no site, of one where nothing happens."""
    for name, site in (("all", None), ("a", "a"), ("none", ""), ("c", "c")):
        world.connect(name, site)
    world.change(value("a/0", 20_000), value("a/9", 5_000, HUMIDITY))
    changes = world.change(value("a/1", 31_000), value("b", 7_000))
    report = world.stage.push(changes, now_s=NOW_S)
    assert report == PushReport(posted=3)
    named = {name: [one["sensor_id"] for one in world.heard(name)["values"]] for name in ("all", "a", "none", "c")}
    assert named == {"all": ["b", "a/1"], "a": ["a/1"], "none": ["b"], "c": []}
    assert world.heard("a")["values"] == [
        {
            "sensor_id": "a/1",
            "quantity": "temperature",
            "unit": "C",
            "event_time_ms": NOW_S * 1000,
            "value_milli": 31_000,
        }
    ]
    numbers = {"sensors": 2, "readings": 2, "mean": 25.5, "min": 20.0, "max": 31.0, "beyond": 1}
    assert world.heard("a")["tally"] == [{"site": "a", "quantity": "temperature", "unit": "C", **numbers}]
    assert [one["site"] for one in world.heard("all")["tally"]] == ["", "a"]


def test_nothing_is_read_but_the_connections_if_nobody_is_there(world: World) -> None:
    """And not even these if nothing changed."""
    assert world.stage.push(world.change(value("a/1", 1)), now_s=NOW_S) == PushReport()
    assert world.tables.asked == ["connections"]
    world.connect("all")
    assert world.stage.push(changes_of([]), now_s=NOW_S) == PushReport()
    assert world.tables.asked == ["connections"]


def test_a_site_that_nobody_wants_is_not_read(world: World) -> None:
    """A query for each site and batch is what pushing costs most."""
    world.connect("a", "a")
    world.stage.push(world.change(value("a/1", 1), value("b/1", 1)), now_s=NOW_S)
    assert world.tables.asked == ["connections", "latest"]


def test_expired_values_are_not_tallied(world: World) -> None:
    """The table deletes them when it comes to it; when it does, the site is told without them."""
    world.connect("a", "a")
    old = value("a/0", 99_000, age_s=KEPT_SECONDS)
    world.change(old)
    world.stage.push(world.change(value("a/1", 1_000)), now_s=NOW_S)
    (told,) = world.heard("a")["tally"]
    assert (told["sensors"], told["max"]) == (1, 1.0)
    world.tables.items["latest"].clear()
    world.sockets.got.clear()
    removed = changes_of([{"eventName": "REMOVE", "dynamodb": {"OldImage": item_of(old)}}])
    world.stage.push(removed, now_s=NOW_S)
    assert world.heard("a") == {"tally": [{"site": "a", "quantity": "temperature", "unit": "C", "sensors": 0}]}


def test_a_site_beyond_the_bound_is_not_tallied(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading ends at the page that goes beyond it; its values are pushed all the same."""
    monkeypatch.setattr(latest_tables, "SITE_SERIES_MAX", 4)
    world.connect("a", "a")
    world.change(*(value(f"a/{number}", 1_000) for number in range(9)))
    world.stage.push(world.change(value("a/0", 2_000)), now_s=NOW_S)
    (told,) = world.heard("a")["tally"]
    assert told == {"site": "a", "quantity": "temperature", "unit": "C", "more_than": 10_000}
    assert len(world.heard("a")["values"]) == 1
    assert world.tables.asked == ["connections", *["latest"] * 2]


def test_exactly_as_many_as_the_bound_are_tallied(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is how many there may be."""
    monkeypatch.setattr(latest_tables, "SITE_SERIES_MAX", 4)
    world.connect("a", "a")
    world.stage.push(world.change(*(value(f"a/{number}", 1_000) for number in range(4))), now_s=NOW_S)
    assert world.heard("a")["tally"][0]["sensors"] == 4


def test_what_one_connection_does_harms_no_other(world: World) -> None:
    """One that is gone is forgotten; what fails otherwise is skipped and kept."""
    failures = {
        "gone": gone(),
        "slow": refused("LimitExceededException"),
        "forbidden": refused("ForbiddenException"),
        "silent": ReadTimeoutError(endpoint_url="https://example.com"),
    }
    for name in (*failures, "fine"):
        world.connect(name)
    world.sockets.fails = failures  # type: ignore[assignment]
    report = world.stage.push(world.change(value("a/1", 1)), now_s=NOW_S)
    assert report == PushReport(posted=1, skipped=3, gone=1)
    assert world.connected == {"slow", "forbidden", "silent", "fine"}
    assert world.heard("fine")["values"]


def test_a_connection_that_is_opening_is_not_forgotten(world: World) -> None:
    """API Gateway says 410 of it until its $connect has ended, which runs after its item is there."""
    world.sockets.fails = {"new": gone(), "old": gone()}
    world.connect("new", opened_s=NOW_S - OPENING_SECONDS_MAX + 1)
    world.connect("old", opened_s=NOW_S - OPENING_SECONDS_MAX)
    world.stage.push(world.change(value("a/1", 1)), now_s=NOW_S)
    assert world.connected == {"new"}


def test_an_expired_connection_is_closed_and_hears_nothing(world: World) -> None:
    """From the instant on at which its token expires; what cannot be closed now is closed at the next change."""
    for name, left_s in (("expired", 0), ("left", 0), ("stuck", 0), ("valid", 1)):
        world.connect(name, left_s=left_s)
    world.sockets.fails = {"left": gone(), "stuck": refused("LimitExceededException")}
    report = world.stage.push(world.change(value("a/1", 1)), now_s=NOW_S)
    assert report == PushReport(posted=1, skipped=1, closed=2)
    assert world.sockets.closed == ["expired"]
    assert set(world.sockets.got) == {"valid"}
    assert world.connected == {"stuck", "valid"}


def test_an_expired_connection_is_closed_though_nothing_is_for_it(world: World) -> None:
    """It is at a site where nothing happens."""
    world.connect("expired", "elsewhere", left_s=0)
    world.stage.push(world.change(value("a/1", 1)), now_s=NOW_S)
    assert world.sockets.closed == ["expired"]


def test_posting_ends_in_time(world: World) -> None:
    """What is left then is counted; messages keep their order and none is sent after one that failed."""
    ticks = iter([0.0, 1.0, 2.0, 3.0, 4.0])
    one = Connection(connection_id="one", site=None, opened_s=0, expires_s=NOW_S + 1)
    messages = [b"1", b"2", b"3", b"4"]
    told = push(
        ManagementApi(world.sockets),
        world.connections,
        [one],
        lambda _: messages,
        now_s=NOW_S,
        seconds_max=3,
        clock=lambda: next(ticks),
    )
    assert told == PushReport(posted=2, skipped=2)
    assert world.sockets.got["one"] == [b"1", b"2"]


def test_the_table_keeps_a_connection_as_it_is(world: World) -> None:
    """Also one of the sensors without a site, whose name DynamoDB would take for none; none is longer than AWS's."""
    found = [
        Connection(connection_id=str(place), site=site, opened_s=5, expires_s=5 + CONNECTION_SECONDS_MAX)
        for place, site in enumerate([None, "", "a", "a/b", "ö"])
    ]
    for one in found:
        world.connections.put(one)
    assert list(world.connections.all()) == found
    assert all(item.get("site", {"S": "x"})["S"] for item in world.tables.items["connections"].values())
    for one in found:
        world.connections.delete(one.connection_id)
    world.connections.delete("nobody")
    assert list(world.connections.all()) == []


def test_the_function_pushes_what_a_batch_says(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And tells the numbers; a record that is none is counted."""
    world.connect("all", left_s=10**9)
    monkeypatch.setattr(push_handler, "_stage_push", lambda: world.stage)
    monkeypatch.setattr(push_handler.metrics, "namespace", "windrow")
    image = item_of(value("a/1", 1_000))
    event = {"Records": [{"eventName": "INSERT", "dynamodb": {"NewImage": image}}, {"eventName": "INSERT"}]}
    told = push_handler.handle(event, LambdaContext())  # type: ignore[arg-type]
    assert told == {
        "MessagesPosted": 1,
        "MessagesSkipped": 0,
        "ConnectionsGone": 0,
        "ConnectionsClosed": 0,
        "ChangesUnreadable": 1,
    }
    assert world.heard("all")["values"][0]["value_milli"] == 1_000
    printed = capsys.readouterr().out
    assert ("MessagesPosted" in printed, "ChangesUnreadable" in printed) == (True, True)
    assert "MessagesSkipped" not in printed  # a metric that is told is paid for
