"""Live=push on the embedded stack where IAM is enforced, two stages side by side: sockets, and who hears what."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import websocket

from infra import api_code, embedded
from infra import stack as stacks
from infra.destroy import apply as destroy
from infra.destroy import plan_destruction
from infra.plan import DeploymentOptions, plan_deployment
from tests.emulator.access_tokens import access_token
from windrow.aws.clients import client
from windrow.deployment import stack_name
from windrow.live.newest import NewestValue, item_of
from windrow.quantities import TEMPERATURE
from windrow.stage import Stage

ANY_FREE_PORT = 0
WAIT_SECONDS_MAX = 240.0
MANY = 1_000
OPENERS = 16
"""Threads that open so many; the stack's server is one process."""


@dataclass(frozen=True)
class Pushing:
    """Two stages that push, on one embedded stack."""

    home: Path
    here: Stage
    there: Stage

    def change(self, stage: Stage, sensor_id: str, milli: int) -> None:
        """A newer value of a sensor in the stage's table."""
        item = item_of(NewestValue(sensor_id, TEMPERATURE, time.time_ns() // 1_000_000, 0, milli))
        client("dynamodb", stage.place).put_item(TableName=f"{stack_name(stage.name)}-latest", Item=item)

    def connections(self, stage: Stage) -> list[dict[str, Any]]:
        """The items of the stage's table of connections."""
        found: list[dict[str, Any]] = []
        pages = client("dynamodb", stage.place).get_paginator("scan")
        for page in pages.paginate(TableName=f"{stack_name(stage.name)}-connections"):
            found += page["Items"]
        return found

    @contextmanager
    def connected(self, stage: Stage, query: str = "", **claims: object) -> Iterator[websocket.WebSocket]:
        """A socket of a viewer; `claims` are what the token says otherwise."""
        protocols = ["windrow-v1", access_token(self.home, stage, **claims)]
        url = f"{stage.socket_url}{query}"
        with closing(websocket.create_connection(url, subprotocols=protocols, timeout=WAIT_SECONDS_MAX)) as opened:
            yield opened


@pytest.fixture(scope="module")
def pushing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushing]:
    """Two stages with Live=push on an embedded stack of their own."""
    home = tmp_path_factory.mktemp("windrow-push")
    embedded.up(home, port=ANY_FREE_PORT, enforces_iam=True)
    try:
        place = embedded.place(home)
        options = DeploymentOptions(shard_count=1, is_scheduled=False, parameters={"Web": "on", "Live": "push"})

        def deployed(name: str) -> Stage:
            api = api_code.code_for(place, name, options, functions_wheels=None, home=home)
            return stacks.apply(plan_deployment(place, name, options, api=api), lambda _: None).stage

        yield Pushing(home, deployed("here"), deployed("there"))
    finally:
        embedded.down(home)


def until(is_so: Callable[[], object]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def heard(opened: websocket.WebSocket) -> Any:
    """The next message."""
    return json.loads(opened.recv())


def values_of(message: Any) -> list[tuple[str, int]]:
    return [(one["sensor_id"], one["value_milli"]) for one in message["values"]]


def test_a_change_is_heard_by_who_wants_it_and_only_in_its_stage(pushing: Pushing) -> None:
    """With the tally of its site; the subprotocol is chosen, and the token is none."""
    with ExitStack() as stack:
        all_sites, one_site, other_site, other_stage = (
            stack.enter_context(pushing.connected(stage, query))
            for stage, query in (
                (pushing.here, ""),
                (pushing.here, "?site=a"),
                (pushing.here, "?site=b"),
                (pushing.there, ""),
            )
        )
        assert all_sites.getsubprotocol() == "windrow-v1"
        pushing.change(pushing.here, "a/1", 21_000)
        for opened in (all_sites, one_site):
            message = heard(opened)
            assert values_of(message) == [("a/1", 21_000)]
            numbers = {"sensors": 1, "readings": 1, "mean": 21.0, "min": 21.0, "max": 21.0, "beyond": 0}
            assert message["tally"] == [{"site": "a", "quantity": "temperature", "unit": "C", **numbers}]
        pushing.change(pushing.here, "b/1", 5_000)
        pushing.change(pushing.there, "a/9", 9_000)
        assert values_of(heard(all_sites)) == values_of(heard(other_site)) == [("b/1", 5_000)]
        assert values_of(heard(other_stage)) == [("a/9", 9_000)]
        one_site.send('{"action": "anything"}')  # which nothing comes of
        pushing.change(pushing.here, "a/2", 23_000)
        assert heard(one_site)["tally"][0]["mean"] == 22.0
    until(lambda: not pushing.connections(pushing.here) and not pushing.connections(pushing.there))


REFUSED: dict[str, dict[str, object]] = {
    "expired": {"exp": 5},
    "foreign": {"iss": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_other"},
    "of identity": {"token_use": "id"},
    "of another client": {"client_id": "another"},
    "without the scope": {"scope": "openid"},
    "of no group": {"cognito:groups": []},
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_a_token_that_differs_in_one_thing_opens_nothing(pushing: Pushing, wrong: str) -> None:
    """Each is refused before there is a socket, and nothing is kept of it."""
    with (
        pytest.raises(websocket.WebSocketBadStatusException) as refused,
        pushing.connected(pushing.here, **REFUSED[wrong]),
    ):
        pytest.fail("it was let in")
    assert refused.value.status_code == 403
    assert pushing.connections(pushing.here) == []


def test_what_is_no_token_of_this_stage_opens_nothing(pushing: Pushing) -> None:
    """None at all, in the address, forged, or that of the stage beside."""
    good = access_token(pushing.home, pushing.here)
    of_other = access_token(pushing.home, pushing.there)
    forged = good[:-8] + good[-8:][::-1]
    url = pushing.here.socket_url
    offers = [(url, None), (f"{url}?token={good}", None), (f"{url}?token={good}", ["windrow-v1"])]
    offers += [(url, ["windrow-v1"]), (url, [good]), (url, ["windrow-v1", forged]), (url, ["windrow-v1", of_other])]
    statuses = []
    for address, protocols in offers:
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            websocket.create_connection(address, subprotocols=protocols, timeout=WAIT_SECONDS_MAX)
        statuses.append(refused.value.status_code)
    assert statuses == [401, 401, 403, 403, 403, 403, 403]
    assert pushing.connections(pushing.here) == []


def test_a_connection_is_closed_when_its_token_expires(pushing: Pushing) -> None:
    """At the next change; the others hear of that."""
    with pushing.connected(pushing.here) as stays, pushing.connected(pushing.here, exp=int(time.time()) + 3) as ends:
        until(lambda: any(int(one["expires_s"]["N"]) <= time.time() for one in pushing.connections(pushing.here)))
        pushing.change(pushing.here, "a/1", 20_000)
        assert values_of(heard(stays)) == [("a/1", 20_000)]
        assert ends.recv_data() == (websocket.ABNF.OPCODE_CLOSE, (1000).to_bytes(2))
        until(lambda: len(pushing.connections(pushing.here)) == 1)


@pytest.mark.slow
def test_a_thousand_sockets_that_are_opened_and_dropped_leave_nothing(pushing: Pushing) -> None:
    """Dropped without a word, as by a network that is gone; afterwards a change is heard as before."""
    protocols = ["windrow-v1", access_token(pushing.home, pushing.here)]
    numbers = iter(range(MANY))
    errors: list[Exception] = []
    lock = threading.Lock()

    def open_and_drop() -> None:
        while True:
            with lock:
                if next(numbers, None) is None:
                    return
            try:
                opened = websocket.create_connection(
                    pushing.here.socket_url, subprotocols=protocols, timeout=WAIT_SECONDS_MAX
                )
                opened.sock.close()
            except (OSError, websocket.WebSocketException) as error:
                errors.append(error)

    openers = [threading.Thread(target=open_and_drop) for _ in range(OPENERS)]
    for one in openers:
        one.start()
    for one in openers:
        one.join()
    assert errors == []
    until(lambda: not pushing.connections(pushing.here))
    with pushing.connected(pushing.here) as opened:
        pushing.change(pushing.here, "a/1", 19_000)
        assert values_of(heard(opened)) == [("a/1", 19_000)]


def test_no_log_has_a_token(pushing: Pushing) -> None:
    """Neither of the functions nor of the API; who connects and who is refused is in one of them."""
    logs = client("logs", pushing.here.place)
    token = access_token(pushing.home, pushing.here)
    with pushing.connected(pushing.here), pytest.raises(websocket.WebSocketBadStatusException):
        websocket.create_connection(pushing.here.socket_url, subprotocols=["windrow-v1", "x.y.z"])
    groups = [one["logGroupName"] for one in logs.describe_log_groups()["logGroups"] if "-here-" in one["logGroupName"]]
    said = ""
    for group in groups:
        said += "".join(one["message"] for one in logs.filter_log_events(logGroupName=group)["events"])
    assert "refused" in said
    head, claims, _ = token.split(".")
    assert head not in said
    assert claims[:100] not in said


def test_destroying_takes_all_of_it(pushing: Pushing) -> None:
    """The tables and the API; the stage beside keeps its own."""
    destroy(plan_destruction(pushing.here.place, "there", deletes_data=False), lambda _: None)
    tables = client("dynamodb", pushing.here.place).list_tables()["TableNames"]
    assert sorted(tables) == ["windrow-here-connections", "windrow-here-latest"]
    apis = [one["Name"] for one in client("apigatewayv2", pushing.here.place).get_apis()["Items"]]
    assert sorted(apis) == ["windrow-here", "windrow-here-live"]
