"""Posting messages to connections, many at a time and for a bounded time, whatever becomes of each."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from analytics.push.connections import Connection, ConnectionTable

THREADS = 32
PUSH_SECONDS_MAX = 20.0
"""When no further message is posted: the newest values of a later batch are worth more than the rest of this one."""


class Gone(Exception):  # noqa: N818 - the domain's noun
    """A connection that is closed, or not open yet."""


class Skipped(Exception):  # noqa: N818 - the domain's noun
    """A message that could not be posted, for any other reason."""


class Posts(Protocol):
    """What posts to connections and closes them."""

    def post(self, connection_id: str, message: bytes) -> None:
        """Send a message; Gone or Skipped if it cannot be."""

    def close(self, connection_id: str) -> None:
        """Close a connection; Gone or Skipped if it cannot be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushReport:
    """How many messages were posted and skipped, and how many connections were found gone, or expired and closed."""

    posted: int = 0
    skipped: int = 0
    gone: int = 0
    closed: int = 0

    def __add__(self, other: "PushReport") -> "PushReport":
        """Return both together."""
        return PushReport(
            posted=self.posted + other.posted,
            skipped=self.skipped + other.skipped,
            gone=self.gone + other.gone,
            closed=self.closed + other.closed,
        )


class ManagementApi:
    """Posts by API Gateway's @connections. `api` is botocore's client apigatewaymanagementapi, or answers like it."""

    def __init__(self, api: Any) -> None:
        """Make no request."""
        self._api = api

    def post(self, connection_id: str, message: bytes) -> None:
        """Send a message; Gone or Skipped if it cannot be."""
        self._ask(self._api.post_to_connection, ConnectionId=connection_id, Data=message)

    def close(self, connection_id: str) -> None:
        """Close a connection; Gone or Skipped if it cannot be."""
        self._ask(self._api.delete_connection, ConnectionId=connection_id)

    @staticmethod
    def _ask(ask: Callable[..., object], **request: object) -> None:
        try:
            ask(**request)
        except ClientError as error:
            said = error.response["Error"]["Code"]
            raise (Gone if said == "GoneException" else Skipped)(said) from error
        except BotoCoreError as error:
            raise Skipped(str(error)) from error


def push(
    posts: Posts,
    table: ConnectionTable,
    connections: Sequence[Connection],
    messages_for: Callable[[Connection], Sequence[bytes]],
    *,
    now_s: int,
    seconds_max: float = PUSH_SECONDS_MAX,
    clock: Callable[[], float] = time.monotonic,
) -> PushReport:
    """Post to each connection its messages in their order, close those that have expired, forget those that are gone.

    A connection that takes no message gets none of the rest. After `seconds_max` what is left is skipped.
    """
    until = clock() + seconds_max

    def serve(connection: Connection) -> PushReport:
        if connection.expires_s <= now_s:
            return _close(posts, table, connection)
        messages = messages_for(connection)
        for place, message in enumerate(messages):
            left = len(messages) - place
            if clock() >= until:
                return PushReport(posted=place, skipped=left)
            try:
                posts.post(connection.connection_id, message)
            except Gone:
                if not connection.may_be_opening(now_s):
                    table.delete(connection.connection_id)
                return PushReport(posted=place, gone=1)
            except Skipped:
                return PushReport(posted=place, skipped=left)
        return PushReport(posted=len(messages))

    with ThreadPoolExecutor(THREADS) as threads:
        return sum(threads.map(serve, connections), PushReport())


def _close(posts: Posts, table: ConnectionTable, connection: Connection) -> PushReport:
    """Close a connection whose token has expired; it is forgotten unless that must be tried again."""
    try:
        posts.close(connection.connection_id)
    except Gone:
        pass
    except Skipped:
        return PushReport(skipped=1)
    table.delete(connection.connection_id)
    return PushReport(closed=1)
