"""The gateways of a stage that upload by tokens: each is a client of the stage's user pool, and an object in the lake.

The object says for which sensors it writes; the client has the secret. Without either it can upload nothing.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from botocore.exceptions import ClientError

from windrow.aws.clients import client, readable_errors
from windrow.errors import NotFound, UsageError, WindrowError
from windrow.lake.gateway_api import GatewayCredentials
from windrow.lake.gateways import (
    METADATA_BYTES_MAX,
    PREFIX_CHARACTERS_MAX,
    PREFIXES_MAX,
    SCOPE,
    Gateway,
    is_gateway_name,
)
from windrow.lake.layout import GATEWAYS, gateway_key
from windrow.lake.uploads import sensors_metadata
from windrow.stage import Stage

CLIENT_PREFIX = "gateway "
"""How the names of their clients begin, so that nobody takes the page's for one."""
TOKEN_HOURS = 24
"""How long a token lives, the longest that there is: each new one is paid for."""
CLIENTS_AT_ONCE = 60


def check_gateway(name: str, sensors: Sequence[str]) -> None:
    """Check a gateway that is to be added; UsageError names what is wrong."""
    if not is_gateway_name(name):
        raise UsageError(f"{name!r} is no name of a gateway", hint="letters, digits, _ . and -, at most 64")
    if not sensors or len(sensors) > PREFIXES_MAX:
        raise UsageError(f"{len(sensors)} prefixes of sensors", hint=f"give 1 to {PREFIXES_MAX}")
    for prefix in sensors:
        if not prefix or len(prefix) > PREFIX_CHARACTERS_MAX or not prefix.isprintable():
            message = f"{prefix!r} is no prefix of sensor ids"
            raise UsageError(message, hint=f"1 to {PREFIX_CHARACTERS_MAX} printable characters")
    if len(sensors_metadata(sensors)) > METADATA_BYTES_MAX:
        raise UsageError(
            "the prefixes together are too long", hint=f"at most {METADATA_BYTES_MAX:,} bytes, percent-encoded"
        )


def add(stage: Stage, name: str, sensors: Sequence[str]) -> GatewayCredentials:
    """Make the gateway's client, and say for which sensors it writes; UsageError if there is one of this name."""
    check_gateway(name, sensors)
    pool = _pool_of(stage)
    with readable_errors(stage.place):
        cognito = client("cognito-idp", stage.place)
        if any(one["ClientName"] == CLIENT_PREFIX + name for one in _clients(cognito, pool)):
            raise UsageError(f"there is a gateway {name!r}", hint=f"run: windrow gateways remove {name}")
        made = cognito.create_user_pool_client(
            UserPoolId=pool,
            ClientName=CLIENT_PREFIX + name,
            GenerateSecret=True,
            ExplicitAuthFlows=["ALLOW_REFRESH_TOKEN_AUTH"],  # by default it could sign users in, too
            AllowedOAuthFlowsUserPoolClient=True,
            AllowedOAuthFlows=["client_credentials"],
            AllowedOAuthScopes=[SCOPE],
            AccessTokenValidity=TOKEN_HOURS,
            TokenValidityUnits={"AccessToken": "hours"},
        )["UserPoolClient"]
        gateway = Gateway(name=name, client=made["ClientId"], sensors=tuple(sensors))
        stage.lake.put(gateway_key(gateway.client), gateway.to_json())
    return GatewayCredentials(
        name=name,
        url=stage.gateways_url,
        token_url=f"{stage.sign_in_url}/oauth2/token",
        client_id=made["ClientId"],
        client_secret=made["ClientSecret"],
        sensors=gateway.sensors,
    )


def remove(stage: Stage, name: str) -> None:
    """Delete the gateway, whose tokens end at once; NotFound if there is none of this name."""
    pool = _pool_of(stage)
    with readable_errors(stage.place):
        cognito = client("cognito-idp", stage.place)
        found = {one["ClientId"] for one in _clients(cognito, pool) if one["ClientName"] == CLIENT_PREFIX + name}
        found |= {one.client for one in gateways(stage) if one.name == name}
        if not found:
            raise NotFound(f"stage {stage.name!r} has no gateway {name!r}", hint="run: windrow gateways list")
        for one in sorted(found):
            stage.lake.delete(gateway_key(one))  # first: without it a token is worth nothing
            try:
                cognito.delete_user_pool_client(UserPoolId=pool, ClientId=one)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceNotFoundException":
                    raise


def gateways(stage: Stage) -> list[Gateway]:
    """Return all gateways, by name."""
    _pool_of(stage)
    found = []
    for listed in stage.lake.list_objects(GATEWAYS):
        stored = stage.lake.get(listed.key)
        if stored is not None:
            found.append(Gateway.from_json(stored.body))
    return sorted(found, key=lambda one: (one.name, one.client))


def _clients(cognito: Any, pool: str) -> Iterator[dict[str, Any]]:
    request: dict[str, Any] = {"UserPoolId": pool, "MaxResults": CLIENTS_AT_ONCE}
    while True:
        page = cognito.list_user_pool_clients(**request)
        yield from page["UserPoolClients"]
        if not page.get("NextToken"):
            return
        request["NextToken"] = page["NextToken"]


def _pool_of(stage: Stage) -> str:
    if not stage.user_pool or not stage.gateways_url:
        hint = f"deploy it with both: windrow deploy --stage {stage.name} --set Web=on --set Uploads=bucket"
        raise WindrowError(f"stage {stage.name!r} has no uploads by tokens", hint=hint)
    return stage.user_pool
