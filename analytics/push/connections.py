"""The connections of browsers, in the stage's table: one item each, until it is closed or its token expires."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from windrow.live.newest import NO_SITE

CONNECTION_SECONDS_MAX = 2 * 3600
"""API Gateway ends a connection after so long ("Quotas for WebSocket APIs": connection duration)."""
OPENING_SECONDS_MAX = 30
"""How long a connection may take to be open after its item is there: $connect runs before (29 s at most)."""
_KEY = "connection_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A connection: the site that it wants to hear of, None for all, and since and until when it may hear."""

    connection_id: str
    site: str | None
    opened_s: int
    expires_s: int

    def wants(self, site: str) -> bool:
        """Whether it is to hear of `site`."""
        return self.site is None or self.site == site

    def may_be_opening(self, now_s: int) -> bool:
        """Whether API Gateway may not know it yet, because its $connect has not ended."""
        return now_s - self.opened_s < OPENING_SECONDS_MAX


class ConnectionTable:
    """The table of connections. `dynamodb` is a client of botocore, or one that answers like it."""

    def __init__(self, dynamodb: Any, name: str) -> None:
        """Make no request."""
        self._dynamodb = dynamodb
        self._name = name

    def put(self, connection: Connection) -> None:
        """Keep a connection; the table forgets it by itself after it has expired."""
        self._dynamodb.put_item(TableName=self._name, Item=_item_of(connection))

    def delete(self, connection_id: str) -> None:
        """Forget a connection, if it is there."""
        self._dynamodb.delete_item(TableName=self._name, Key={_KEY: {"S": connection_id}})

    def all(self) -> Iterator[Connection]:
        """Yield every connection, also those that have expired and are not deleted yet."""
        yield from map(_connection_of, pages_of(self._dynamodb.scan, TableName=self._name))


def pages_of(ask: Callable[..., Mapping[str, Any]], **request: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the items of all pages that `ask`, a Scan or a Query, answers."""
    while True:
        answer = ask(**request)
        yield from answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def _item_of(connection: Connection) -> dict[str, dict[str, str]]:
    item = {
        _KEY: {"S": connection.connection_id},
        "opened_s": {"N": str(connection.opened_s)},
        "expires_s": {"N": str(connection.expires_s)},
    }
    return item if connection.site is None else item | {"site": {"S": connection.site or NO_SITE}}


def _connection_of(item: Mapping[str, Mapping[str, str]]) -> Connection:
    site = item["site"]["S"] if "site" in item else None
    return Connection(
        connection_id=item[_KEY]["S"],
        site="" if site == NO_SITE else site,
        opened_s=int(item["opened_s"]["N"]),
        expires_s=int(item["expires_s"]["N"]),
    )
