"""The door of the WebSocket API: whose token opens a connection, and what is kept of it."""

import time
from typing import Any

import pytest

from analytics import sockets_handler
from analytics.api.tokens import BadToken, TokenCheck
from analytics.push.connections import CONNECTION_SECONDS_MAX, Connection, ConnectionTable
from analytics.push.handshake import admitted, opened, policy_of
from tests.unit.tables_in_memory import TablesInMemory
from tests.unit.test_api_tokens import CLAIMS, FOREIGN, KEYS, NOW, token
from tests.unit.test_api_tokens import check as pool_check
from windrow.errors import UsageError
from windrow.settings import SocketSettings

OF_VIEWER = CLAIMS | {"client_id": "page", "scope": "openid results/read", "cognito:groups": ["viewer"]}
ARN = "arn:aws:execute-api:us-east-1:123456789012:api1/live/$connect"


def offering(*protocols: str, header: str = "Sec-WebSocket-Protocol") -> dict[str, Any]:
    """An event of the authorizer."""
    return {"type": "REQUEST", "methodArn": ARN, "headers": {"Host": "x", header: ", ".join(protocols)}}


def connecting(query: dict[str, str] | None = None, kind: str = "CONNECT") -> dict[str, Any]:
    """An event of a route."""
    context = {"connectionId": "c1", "eventType": kind, "authorizer": {"expires_s": str(NOW + 60)}}
    return {"requestContext": context, "queryStringParameters": query}


@pytest.mark.parametrize("group", ["viewer", "operator"])
@pytest.mark.parametrize("header", ["Sec-WebSocket-Protocol", "sec-websocket-protocol"])
def test_a_token_of_the_page_opens_a_connection(group: str, header: str) -> None:
    """Of either group, however the header is written."""
    event = offering("windrow-v1", token(OF_VIEWER | {"cognito:groups": [group]}), header=header)
    grant = admitted(event, pool_check(), client="page")
    answer = policy_of(event, grant, now_s=NOW)
    assert answer["policyDocument"]["Statement"] == [
        {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": ARN}
    ]
    assert answer["context"] == {"expires_s": str(NOW + 60)}


REFUSED = {
    "expired": {"exp": NOW},
    "foreign": {"iss": "https://cognito-idp.eu-central-1.amazonaws.com/other"},
    "of identity": {"token_use": "id"},
    "of another client": {"client_id": "another"},
    "without the scope": {"scope": "openid"},
    "of a gateway": {"scope": "uploads/write"},
    "of no group": {"cognito:groups": []},
    "of another group": {"cognito:groups": ["others"]},
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_a_token_that_differs_in_one_thing_is_refused(wrong: str) -> None:
    """The same ones that the HTTP API refuses, and its function."""
    with pytest.raises(BadToken):
        admitted(offering("windrow-v1", token(OF_VIEWER | REFUSED[wrong])), pool_check(), client="page")


@pytest.mark.parametrize(
    "offered",
    [
        [],
        [""],
        ["windrow-v1"],
        ["windrow-v1", ""],
        ["windrow-v1", "x.y.z"],
        ["windrow-v1", token(OF_VIEWER, by=FOREIGN)],
        [token(OF_VIEWER)],
        [token(OF_VIEWER), "windrow-v1"],
        ["windrow-v2", token(OF_VIEWER)],
        ["windrow-v1", token(OF_VIEWER), token(OF_VIEWER)],
    ],
)
def test_what_offers_no_token_of_the_pool_is_refused(offered: list[str]) -> None:
    """None, a forged one, one in another place."""
    with pytest.raises(BadToken):
        admitted(offering(*offered), pool_check(), client="page")
    with pytest.raises(BadToken):
        admitted({"methodArn": ARN, "headers": None}, pool_check(), client="page")


def test_an_address_with_a_token_is_refused() -> None:
    """It would be logged on its way."""
    event = offering() | {"queryStringParameters": {"token": token(OF_VIEWER), "access_token": token(OF_VIEWER)}}
    with pytest.raises(BadToken):
        admitted(event, pool_check(), client="page")


def test_a_connection_lasts_as_long_as_its_token_and_no_longer_than_api_gateway_lets_it() -> None:
    """So nothing that expires later is kept than what can be connected."""
    for left_s, lasts_s in ((60.0, 60), (1e9, CONNECTION_SECONDS_MAX), (float("inf"), CONNECTION_SECONDS_MAX)):
        grant = admitted(offering("windrow-v1", token(OF_VIEWER | {"exp": NOW + left_s})), pool_check(), client="page")
        assert policy_of(offering(), grant, now_s=NOW)["context"] == {"expires_s": str(NOW + lasts_s)}


@pytest.mark.parametrize("site", [None, "", "a/b", "x" * 127])
def test_a_connection_is_for_one_site_or_for_all(site: str | None) -> None:
    """The site that is asked for, if one is."""
    query = None if site is None else {"site": site}
    assert opened(connecting(query), now_s=NOW) == Connection(
        connection_id="c1", site=site, opened_s=NOW, expires_s=NOW + 60
    )
    assert opened(connecting({"other": "x"}), now_s=NOW).site is None


def test_what_is_longer_than_a_sensors_id_is_no_site() -> None:
    """An id of 128 characters leaves 127 for its site."""
    with pytest.raises(UsageError):
        opened(connecting({"site": "x" * 128}), now_s=NOW)


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> TablesInMemory:
    """What the function asks, in place of AWS: the table of connections, and the pool's keys."""
    tables = TablesInMemory({"connections": ("connection_id",)})
    monkeypatch.setattr(sockets_handler, "_table", lambda: ConnectionTable(tables, "connections"))
    monkeypatch.setattr(sockets_handler, "_tokens", lambda: TokenCheck(issuer=CLAIMS["iss"], fetch=KEYS.encode))
    monkeypatch.setattr(
        sockets_handler, "_settings", lambda: SocketSettings(connections_table="c", sign_in_client="page")
    )
    return tables


def test_the_function_keeps_a_connection_until_it_is_closed(
    tables: TablesInMemory, caplog: pytest.LogCaptureFixture
) -> None:
    """And chooses the subprotocol that is no token: a browser wants one of those that it offered. Both are logged."""
    answer = sockets_handler.handle(connecting({"site": "a"}), None)
    assert answer == {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "windrow-v1"}}
    assert list(tables.items["connections"]) == [("c1",)]
    assert sockets_handler.handle(connecting(kind="DISCONNECT"), None) == {"statusCode": 200}
    assert tables.items["connections"] == {}
    assert [(one.message, vars(one)["connection"]) for one in caplog.records] == [("connected", "c1"), ("left", "c1")]


def test_the_function_keeps_nothing_of_what_it_refuses(tables: TablesInMemory) -> None:
    """A site that is none is told; it was let in."""
    assert sockets_handler.handle(connecting({"site": "x" * 500}), None)["statusCode"] == 400
    assert tables.items["connections"] == {}


def test_the_function_tells_nothing_of_a_token(tables: TablesInMemory, caplog: pytest.LogCaptureFixture) -> None:
    """What it lets in and what it refuses is decided by the token, which is in no line of its log."""
    good = token(OF_VIEWER | {"exp": int(time.time()) + 60})
    bad = token(OF_VIEWER | {"exp": 5})
    effects = []
    for one in (good, bad):
        answer = sockets_handler.handle(offering("windrow-v1", one), None)
        effects.append(answer["policyDocument"]["Statement"][0]["Effect"])
    assert effects == ["Allow", "Deny"]
    logged = "".join(str(vars(one)) for one in caplog.records)
    assert "expired" in logged
    for one in (good, bad):
        assert not any(part in logged for part in one.split("."))
    assert tables.items["connections"] == {}
