"""The newest value of a series, and the item of the table LatestValues that keeps it.

Of two values of a series the newer one is that of the later event time, then of the greater sequence, then the greater
one. That is a total order, so whichever way values come, more than once or in another order, the same one stays:

    newer(a, b) == newer(b, a)        newer(a, newer(b, c)) == newer(newer(a, b), c)        newer(a, a) == a

An item's key is the site, the partition key, and the series, the sort key: quantity U+001F unit U+001F sensor id. No id
and no unit holds a U+001F, and no quantity does, so it is unambiguous; all of a quantity stand together in a site.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from windrow.quantities import SEPARATOR, Quantity
from windrow.reading import check_event_time_ms, check_sensor_id, check_sequence, check_value_milli

NO_SITE = SEPARATOR
"""The partition key of sensors without a site: DynamoDB takes no empty key, and no site holds this character."""
KEPT_SECONDS = 86_400
"""How long after its event time a value is kept. Who is silent for longer is in the rows, as `/v1/latest` shows."""
SITE, SERIES, EXPIRES = "site", "series", "expires_s"
"""The attributes that the table knows: its partition key, its sort key, and its time to live."""
# Names are given beside the expression, because `sequence` is a reserved word of DynamoDB.
_IS_NEWER = (
    "attribute_not_exists(#series) OR #time < :time OR (#time = :time AND (#sequence < :sequence"
    " OR (#sequence = :sequence AND #value < :value)))"
)
_NAMES = {"#series": SERIES, "#time": "event_time_ms", "#sequence": "sequence", "#value": "value_milli"}

Item = dict[str, dict[str, str]]
"""An item as DynamoDB has it: `{"site": {"S": "a"}, "event_time_ms": {"N": "5"}}`."""


@dataclass(frozen=True, slots=True)
class NewestValue:
    """The newest value of a series that was heard of, in thousandths of the quantity's unit."""

    sensor_id: str
    quantity: Quantity
    event_time_ms: int
    sequence: int
    value_milli: int

    @property
    def order(self) -> tuple[int, int, int]:
        """What decides which of two values of a series is the newer one: the greater."""
        return self.event_time_ms, self.sequence, self.value_milli

    @property
    def key(self) -> tuple[str, str]:
        """The partition key and the sort key of the item."""
        series = SEPARATOR.join((self.quantity.name, self.quantity.unit, self.sensor_id))
        return site_of(self.sensor_id) or NO_SITE, series

    @property
    def expires_s(self) -> int:
        """When the item may be deleted, in seconds since 1970."""
        return self.event_time_ms // 1_000 + KEPT_SECONDS


def site_of(sensor_id: str) -> str:
    """Return the site of a sensor: what stands before the last `/` of its id, or nothing."""
    return sensor_id.rpartition("/")[0]


def item_of(value: NewestValue) -> Item:
    """Return the item that keeps a value."""
    site, series = value.key
    return {
        SITE: {"S": site},
        SERIES: {"S": series},
        "sensor_id": {"S": value.sensor_id},
        "quantity": {"S": value.quantity.name},
        "unit": {"S": value.quantity.unit},
        "event_time_ms": {"N": str(value.event_time_ms)},
        "sequence": {"N": str(value.sequence)},
        "value_milli": {"N": str(value.value_milli)},
        EXPIRES: {"N": str(value.expires_s)},
    }


def value_of(item: Mapping[str, Mapping[str, Any]]) -> NewestValue:
    """Return the value that an item keeps; ValueError if it is no item that `item_of` makes."""
    try:
        value = checked_value(
            sensor_id=item["sensor_id"]["S"],
            quantity=Quantity(item["quantity"]["S"], item["unit"]["S"]),
            event_time_ms=int(item["event_time_ms"]["N"]),
            sequence=int(item["sequence"]["N"]),
            value_milli=int(item["value_milli"]["N"]),
        )
        key = item[SITE]["S"], item[SERIES]["S"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"an item of the latest values lacks {error}") from error
    if key != value.key:
        raise ValueError(f"an item of the latest values has the key {ascii(key)[:200]}, not {ascii(value.key)[:200]}")
    return value


def checked_value(
    *, sensor_id: str, quantity: Quantity, event_time_ms: int, sequence: int, value_milli: int
) -> NewestValue:
    """Return the value of these fields; BadReading, a ValueError, names the first that no reading could have."""
    check_sensor_id(sensor_id)
    check_event_time_ms(event_time_ms)
    check_sequence(sequence)
    check_value_milli(value_milli, written_as=str(value_milli), quantity=quantity)
    return NewestValue(sensor_id, quantity, event_time_ms, sequence, value_milli)


def put_if_newer(value: NewestValue) -> dict[str, Any]:
    """Return the arguments of a PutItem, but for the table, that keeps a value unless one as new is there."""
    item = item_of(value)
    return {
        "Item": item,
        "ConditionExpression": _IS_NEWER,
        "ExpressionAttributeNames": _NAMES,
        "ExpressionAttributeValues": {
            ":time": item["event_time_ms"],
            ":sequence": item["sequence"],
            ":value": item["value_milli"],
        },
    }
