"""How a browser opens its connection: with an access token, which it can send in no header but one.

A page can set no headers of a WebSocket, and an address would be logged. So it names two subprotocols, as
`Sec-WebSocket-Protocol: windrow-v1, <token>` (RFC 6455, section 1.9; a token's characters are those of a subprotocol),
and the first one is chosen.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from analytics.api.groups import OPERATOR, VIEWER
from analytics.api.tokens import BadToken, Grant
from analytics.push.connections import CONNECTION_SECONDS_MAX, Connection
from windrow.errors import UsageError
from windrow.reading import SENSOR_ID_CHARACTERS_MAX

SUBPROTOCOL = "windrow-v1"
HEADER = "Sec-WebSocket-Protocol"
SCOPE = "results/read"
EXPIRES = "expires_s"
"""What the authorizer says of a connection that it lets in, besides who it is."""
SITE = "site"


class Tokens(Protocol):
    """What checks access tokens, as analytics.api.tokens.TokenCheck does."""

    def grant_of(self, authorization: str) -> Grant:
        """Return what a header `Authorization` grants; BadToken if that is nothing."""


def admitted(event: Mapping[str, Any], tokens: Tokens, *, client: str) -> Grant:
    """Return what the token of a $connect grants; BadToken if it may not hear live values.

    It must be an access token of a user in one of the groups, that was given to `client` with SCOPE.
    """
    offered = [one.strip() for one in _header(event).split(",")]
    if len(offered) != 2 or offered[0] != SUBPROTOCOL:
        raise BadToken(f"offer the subprotocols {SUBPROTOCOL} and an access token")
    grant = tokens.grant_of(f"Bearer {offered[1]}")
    if grant.client != client:
        raise BadToken("the token was given to another client")
    if SCOPE not in grant.scopes or not grant.groups & {VIEWER, OPERATOR}:
        raise BadToken("the token does not allow to see the results")
    return grant


def policy_of(event: Mapping[str, Any], grant: Grant | None, *, now_s: int) -> dict[str, Any]:
    """Return a Lambda authorizer's answer: that the connection is let in until the token expires; None refuses it."""
    until_s = now_s if grant is None else int(min(grant.expires_s, now_s + CONNECTION_SECONDS_MAX))
    effect = "Deny" if grant is None else "Allow"
    statement = {"Effect": effect, "Action": "execute-api:Invoke", "Resource": event["methodArn"]}
    return {
        "principalId": "nobody" if grant is None else "user",
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {EXPIRES: str(until_s)},
    }


def opened(event: Mapping[str, Any], *, now_s: int) -> Connection:
    """Return the connection of a $connect that was let in; UsageError if it asks for what is no site."""
    context = event["requestContext"]
    site = (event.get("queryStringParameters") or {}).get(SITE)
    if site is not None and len(site) >= SENSOR_ID_CHARACTERS_MAX:
        raise UsageError(f"a site has fewer than {SENSOR_ID_CHARACTERS_MAX} characters")
    return Connection(
        connection_id=context["connectionId"],
        site=site,
        opened_s=now_s,
        expires_s=int(context["authorizer"][EXPIRES]),
    )


def _header(event: Mapping[str, Any]) -> str:
    """Return the subprotocols that are offered; HTTP's names of headers have no case."""
    for name, value in (event.get("headers") or {}).items():
        if name.lower() == HEADER.lower():
            return str(value)
    return ""
