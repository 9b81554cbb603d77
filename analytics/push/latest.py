"""The table of the newest values, as far as tallies read it."""

from typing import Any

from analytics.push.connections import pages_of
from analytics.push.site_tally import SITE_SERIES_MAX
from windrow.live.newest import NO_SITE, SITE, NewestValue, value_of


class LatestTable:
    """The table of the newest values. `dynamodb` is a client of botocore, or one that answers like it."""

    def __init__(self, dynamodb: Any, name: str) -> None:
        """Make no request."""
        self._dynamodb = dynamodb
        self._name = name

    def of_site(self, site: str, *, now_s: int) -> list[NewestValue] | None:
        """Return all values of a site that have not expired; None if they are more than SITE_SERIES_MAX.

        They are read consistently: what the stream has told of is among them. ValueError for an item that is no value.
        """
        found: list[NewestValue] = []
        items = pages_of(
            self._dynamodb.query,
            TableName=self._name,
            KeyConditionExpression="#site = :site",
            ExpressionAttributeNames={"#site": SITE},
            ExpressionAttributeValues={":site": {"S": site or NO_SITE}},
            ConsistentRead=True,
        )
        for item in items:
            value = value_of(item)
            if value.expires_s > now_s:  # the table may take days to forget an item
                found.append(value)
            if len(found) > SITE_SERIES_MAX:
                return None
        return found
