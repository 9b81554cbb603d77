"""DynamoDB's tables in memory, as far as live values use them: items by key, and answers in pages."""

from collections.abc import Mapping
from typing import Any

PAGE_ITEMS = 3


class TablesInMemory:
    """Answers as botocore's client does. Items are kept by the attributes of `keys`, for each table."""

    def __init__(self, keys: Mapping[str, tuple[str, ...]]) -> None:
        self._keys = keys
        self.items: dict[str, dict[tuple[str, ...], dict[str, Any]]] = {name: {} for name in keys}
        self.asked: list[str] = []

    def put_item(self, *, TableName: str, Item: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - botocore's names
        self.items[TableName][self._key(TableName, Item)] = Item
        return {}

    def delete_item(self, *, TableName: str, Key: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        self.items[TableName].pop(self._key(TableName, Key), None)
        return {}

    def scan(self, *, TableName: str, **more: Any) -> dict[str, Any]:  # noqa: N803
        self.asked.append(TableName)
        return self._page(list(self.items[TableName].values()), **more)

    def query(self, *, TableName: str, **more: Any) -> dict[str, Any]:  # noqa: N803
        assert more.pop("KeyConditionExpression") == "#site = :site"
        assert more.pop("ExpressionAttributeNames") == {"#site": "site"}
        assert more.pop("ConsistentRead") is True
        site = more.pop("ExpressionAttributeValues")[":site"]
        assert site["S"], "DynamoDB takes no empty key"
        self.asked.append(TableName)
        return self._page([one for one in self.items[TableName].values() if one["site"] == site], **more)

    @staticmethod
    def _page(items: list[dict[str, Any]], ExclusiveStartKey: int = 0) -> dict[str, Any]:  # noqa: N803
        end = ExclusiveStartKey + PAGE_ITEMS
        more = {"LastEvaluatedKey": end} if end < len(items) else {}
        return {"Items": items[ExclusiveStartKey:end], **more}

    def _key(self, table: str, item: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(item[name]["S"] for name in self._keys[table])
