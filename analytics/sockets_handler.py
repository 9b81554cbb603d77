"""The Lambda function at the door of the WebSocket API: who may connect, and which connections there are."""

import os
import time
from functools import cache
from typing import Any

from windrow.cold_start import importing

with importing():
    from aws_lambda_powertools import Logger

    from analytics.api.pool import token_check
    from analytics.api.tokens import BadToken, TokenCheck
    from analytics.push.connections import ConnectionTable
    from analytics.push.handshake import HEADER, SUBPROTOCOL, admitted, opened, policy_of
    from windrow.aws.clients import client
    from windrow.errors import UsageError
    from windrow.settings import SocketSettings
    from windrow.stage import Stage

REQUEST, CONNECT = "REQUEST", "CONNECT"
"""The type of an authorizer's event, and of the event of $connect; the other one that comes is that of $disconnect."""

logger = Logger()


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Answer an event of the authorizer, of $connect or of $disconnect. Neither tokens nor headers are logged."""
    if event.get("type") == REQUEST:
        return authorize(event)
    connection_id = event["requestContext"]["connectionId"]
    if event["requestContext"]["eventType"] != CONNECT:
        _table().delete(connection_id)
        logger.info("left", extra={"connection": connection_id})
        return {"statusCode": 200}
    try:
        connection = opened(event, now_s=int(time.time()))
    except UsageError as error:
        return {"statusCode": 400, "body": str(error)}
    _table().put(connection)
    logger.info("connected", extra={"connection": connection_id})
    return {"statusCode": 200, "headers": {HEADER: SUBPROTOCOL}}


def authorize(event: dict[str, Any]) -> dict[str, Any]:
    """Return whether the connection is let in."""
    try:
        grant = admitted(event, _tokens(), client=_settings().sign_in_client)
    except BadToken as refusal:
        logger.info("refused", extra={"reason": str(refusal)})
        return policy_of(event, None, now_s=int(time.time()))
    return policy_of(event, grant, now_s=int(time.time()))


@cache
def _settings() -> SocketSettings:
    return SocketSettings.from_environment(os.environ)


@cache
def _stage() -> Stage:
    return Stage.of_function(os.environ)


@cache
def _tokens() -> TokenCheck:
    """Return what checks tokens, which keeps the pool's keys for the next events."""
    return token_check(_stage())


@cache
def _table() -> ConnectionTable:
    return ConnectionTable(client("dynamodb", _stage().place), _settings().connections_table)
