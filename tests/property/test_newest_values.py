"""The newest value of a series: its item holds all of it, and in any order a table ends with the newest."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ministack.services.dynamodb import _evaluate_condition

from tests.property.strategies import quantities, sensor_ids
from windrow.live.newest import NO_SITE, Item, NewestValue, item_of, put_if_newer, site_of, value_of
from windrow.quantities import SEPARATOR, TEMPERATURE
from windrow.reading import SEQUENCE_MAX
from windrow.timestamps import INSTANT_MS_MAX, INSTANT_MS_MIN


@st.composite
def newest_values(draw: st.DrawFn) -> NewestValue:
    """Any value that a reading may have."""
    quantity = draw(quantities)
    return NewestValue(
        sensor_id=draw(sensor_ids),
        quantity=quantity,
        event_time_ms=draw(st.integers(INSTANT_MS_MIN, INSTANT_MS_MAX)),
        sequence=draw(st.integers(0, SEQUENCE_MAX)),
        value_milli=draw(st.integers(quantity.min_milli, quantity.max_milli)),
    )


of_one_series = st.builds(
    NewestValue,
    st.just("a/b"),
    st.just(TEMPERATURE),
    event_time_ms=st.integers(0, 2),
    sequence=st.integers(0, 2),
    value_milli=st.integers(-1, 1),
)


def put(table: dict[tuple[str, str], Item], value: NewestValue) -> bool:
    """Put a value as DynamoDB would; whether it is there now. MiniStack judges the condition."""
    request: dict[str, Any] = put_if_newer(value)
    item = request["Item"]
    key = item["site"]["S"], item["series"]["S"]
    is_to_be_put = _evaluate_condition(
        request["ConditionExpression"],
        table.get(key, {}),
        request["ExpressionAttributeValues"],
        request["ExpressionAttributeNames"],
    )
    assert is_to_be_put in {True, False}
    if is_to_be_put:
        table[key] = item
    return bool(is_to_be_put)


@given(newest_values())
def test_an_item_holds_all_of_a_value(value: NewestValue):
    """And it is within what DynamoDB takes: no empty key, at most 2,048 and 1,024 bytes of keys, 38 digits."""
    item = item_of(value)
    assert value_of(item) == value
    site, series = (item[name]["S"] for name in ("site", "series"))
    assert site == (value.sensor_id.rpartition("/")[0] or NO_SITE)
    assert 1 <= len(site.encode()) <= 2_048
    assert 1 <= len(series.encode()) <= 1_024
    assert int(item["expires_s"]["N"]) == value.event_time_ms // 1_000 + 86_400


@given(newest_values(), newest_values())
def test_two_series_never_have_the_same_key(one: NewestValue, other: NewestValue):
    """The key names the sensor, the quantity and its unit; a value in another unit has a place of its own."""
    same = (one.sensor_id, one.quantity) == (other.sensor_id, other.quantity)
    assert (one.key == other.key) == same
    assert one.key[1].split(SEPARATOR) == [one.quantity.name, one.quantity.unit, one.sensor_id]


@given(st.lists(of_one_series, min_size=1, max_size=8).flatmap(lambda values: st.permutations(values + values)))
def test_the_table_ends_with_the_newest_in_any_order(values: list[NewestValue]):
    """However often and in whichever order they come; and what is as new as what is there is not put again."""
    table: dict[tuple[str, str], Item] = {}
    for value in values:
        before = {key: value_of(item).order for key, item in table.items()}
        assert put(table, value) == (value.key not in before or before[value.key] < value.order)
    (item,) = table.values()
    newest = max((one.event_time_ms, one.sequence, one.value_milli) for one in values)
    assert value_of(item).order == newest


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("sensor_id", {"S": ""}),
        ("sensor_id", {"S": "c"}),
        ("sensor_id", {"N": "1"}),
        ("quantity", {"S": "No Quantity"}),
        ("unit", {"S": "F"}),
        ("event_time_ms", {"N": "1.5"}),
        ("sequence", {"N": "-1"}),
        ("value_milli", {"N": "-273151"}),
        ("site", {"S": "b"}),
        ("series", {"S": "a/b"}),
        ("value_milli", None),
        ("site", None),
    ],
)
def test_what_is_no_item_is_refused(name: str, attribute: dict[str, str] | None):
    """An attribute that is missing, of another type, beyond its limits, or not what the key says."""
    item = item_of(NewestValue("a/b", TEMPERATURE, 0, 0, 0))
    value_of(item)
    changed = {key: one for key, one in item.items() if key != name} | ({name: attribute} if attribute else {})
    with pytest.raises(ValueError, match=r"."):
        value_of(changed)


@pytest.mark.parametrize(
    ("sensor_id", "site"), [("a/b/c", "a/b"), ("a/b", "a"), ("b", ""), ("/b", ""), ("a/", "a"), ("a//b", "a/")]
)
def test_a_site_is_what_stands_before_the_last_slash(sensor_id: str, site: str):
    """By the rule of the tally, which has no site for a sensor without a slash."""
    assert site_of(sensor_id) == site
