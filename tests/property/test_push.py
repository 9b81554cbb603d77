"""What is pushed follows from the set of changes and from all values of a site, not from the way they came."""

import json
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.push.changes import changes_of
from analytics.push.messages import FRAME_BYTES_MAX, messages_of, value_item
from analytics.push.site_tally import site_tally, untallied
from windrow.live.newest import NewestValue, item_of, site_of
from windrow.quantities import TEMPERATURE, UNIT_CHARACTERS_MAX, Quantity
from windrow.reading import SENSOR_ID_CHARACTERS_MAX
from windrow.rules.load import load_rules

NOW_MS = 1_795_169_100_000
HUMIDITY = Quantity("humidity", "%")
SENSORS = ("a/b/1", "a/b/2", "a/1", "b", "c/", "/x", "ö/1")
RULES = load_rules(
    """
    [[rule]]
    name = "hot"
    above = 0.05
    clear = 0.03

    [[rule]]
    name = "off"
    sensors = "a/*"
    outside = [-0.01, 0.01]

    [[rule]]
    name = "damp"
    quantity = "humidity"
    below = 0

    [[rule]]
    name = "fast"
    rate = 0
    """
)

values = st.builds(
    NewestValue,
    sensor_id=st.sampled_from(SENSORS),
    quantity=st.sampled_from([TEMPERATURE, HUMIDITY]),
    event_time_ms=st.integers(NOW_MS, NOW_MS + 3),
    sequence=st.integers(0, 2),
    value_milli=st.integers(-60, 60),
)


def record(value: NewestValue, *, is_gone: bool = False) -> dict[str, Any]:
    """A record of the table's stream."""
    if is_gone:
        return {"eventName": "REMOVE", "dynamodb": {"OldImage": item_of(value)}}
    return {"eventName": "MODIFY", "dynamodb": {"NewImage": item_of(value), "OldImage": item_of(value)}}


@given(found=st.lists(st.tuples(values, st.booleans())), again=st.lists(st.integers(0, 9)), order=st.randoms())
def test_changes_are_those_of_the_set_of_records(
    found: list[tuple[NewestValue, bool]], again: list[int], order: Any
) -> None:
    """Records that come again or in another order say the same; the newest of each series wins, by a recount."""
    records = [record(value, is_gone=is_gone) for value, is_gone in found]
    shuffled = records + [records[place] for place in again if place < len(records)]
    order.shuffle(shuffled)
    changes = changes_of(shuffled)
    assert changes == changes_of(records)
    newest: dict[tuple[str, Quantity], NewestValue] = {}
    for value, is_gone in found:
        series = (value.sensor_id, value.quantity)
        if not is_gone and (series not in newest or newest[series].order < value.order):
            newest[series] = value
    assert set(changes.values) == set(newest.values())
    assert len(changes.values) == len(newest)
    touched = defaultdict(set)
    for value, _ in found:
        touched[value.sensor_id.rpartition("/")[0]].add((value.quantity.name, value.quantity.unit))
    assert changes.touched == touched
    assert changes.is_empty == (not found)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"eventName": "MODIFY"},
        {"eventName": "MODIFY", "dynamodb": None},
        {"eventName": "INSERT", "dynamodb": {"NewImage": {"site": {"S": "a"}}}},
        {"eventName": "MODIFY", "dynamodb": {"NewImage": item_of(NewestValue("a/1", HUMIDITY, NOW_MS, 0, 2**40))}},
    ],
)
def test_a_record_of_no_value_is_counted_and_skipped(broken: dict[str, Any]) -> None:
    """What no later try can read does not hold up the others."""
    value = NewestValue("a/1", TEMPERATURE, NOW_MS, 0, 21_500)
    changes = changes_of([broken, record(value)])
    assert (changes.values, changes.unreadable) == ((value,), 1)


def of_site(found: list[NewestValue], site: str) -> list[NewestValue]:
    """The items of a site: one for each series."""
    newest: dict[tuple[str, str], NewestValue] = {}
    for value in found:
        if site_of(value.sensor_id) == site and (value.key not in newest or newest[value.key].order < value.order):
            newest[value.key] = value
    return list(newest.values())


@given(found=st.lists(values), site=st.sampled_from(["a/b", "a", "", "ö"]), order=st.randoms())
def test_a_tally_is_a_recount_of_all_values_of_the_site(found: list[NewestValue], site: str, order: Any) -> None:
    """Sensors, sum, extremes and limits are those of the items, in whichever order the table answers them."""
    items = of_site(found, site)
    order.shuffle(items)
    told = {one["quantity"]: one for one in site_tally(site, items, [("temperature", "C"), ("humidity", "%")], RULES)}
    assert sorted(told) == ["humidity", "temperature"]
    for quantity in (TEMPERATURE, HUMIDITY):
        own = [one.value_milli for one in items if one.quantity == quantity]
        expected: dict[str, Any] = {"site": site, "quantity": quantity.name, "unit": quantity.unit, "sensors": len(own)}
        if own:
            beyond = [_is_beyond(one) for one in items if one.quantity == quantity]
            expected |= {"readings": len(own), "mean": round(sum(own) / (1000 * len(own)), 12)}
            expected |= {"min": min(own) / 1000, "max": max(own) / 1000, "beyond": sum(beyond)}
        assert told[quantity.name] == expected


def _is_beyond(value: NewestValue) -> bool:
    """The rules above, once more."""
    if value.quantity == HUMIDITY:
        return value.value_milli < 0
    return value.value_milli > 50 or (value.sensor_id.startswith("a/") and not -10 <= value.value_milli <= 10)


def test_a_site_that_is_too_large_says_so() -> None:
    """It has a bound in place of numbers."""
    assert list(untallied("a", [("temperature", "C")])) == [
        {"site": "a", "quantity": "temperature", "unit": "C", "more_than": 10_000}
    ]


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=SENSOR_ID_CHARACTERS_MAX)
items = st.lists(st.fixed_dictionaries({"sensor_id": texts, "value_milli": st.integers()}), max_size=40)


@given(found=items, tallies=items, times=st.sampled_from([1, 20]))
def test_messages_together_have_everything_once_and_each_is_a_frame(
    found: list[Any], tallies: list[Any], times: int
) -> None:
    """Joined again they are what went in, in its order, and no message is larger than a frame."""
    parts = {"values": found * times, "tally": tallies * times}
    messages = messages_of(parts)
    joined = defaultdict(list)
    for message in messages:
        assert len(message) <= FRAME_BYTES_MAX
        for name, own in json.loads(message).items():
            assert own
            joined[name] += own
    assert joined == {name: own for name, own in parts.items() if own}


def test_messages_are_filled() -> None:
    """A message ends where the next item has no room: they are as few as can be but for one of each kind."""
    value = value_item(NewestValue("x" * 100, TEMPERATURE, NOW_MS, 0, 21_500))
    each = len(json.dumps(value, separators=(",", ":")).encode()) + 1
    messages = messages_of({"values": [value] * 1000})
    assert len(messages) == -(-1000 // ((FRAME_BYTES_MAX - len('{"values":[]}')) // each))


@pytest.mark.parametrize("letter", ["x", "é"])
def test_a_message_is_full_to_the_byte(letter: str) -> None:
    """Two items are one message as long as that is a frame, and two as soon as it would be more."""
    for count in range(FRAME_BYTES_MAX // len(letter.encode()) - 60, FRAME_BYTES_MAX // len(letter.encode())):
        parts = {"values": [{"v": "short"}], "tally": [{"t": letter * count}]}
        whole = json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()
        messages = messages_of(parts) if len(whole) <= FRAME_BYTES_MAX + 20 else []
        assert all(len(message) <= FRAME_BYTES_MAX for message in messages)
        if len(whole) <= FRAME_BYTES_MAX - 3:  # three commas are reckoned that such a message does not have
            assert messages == [whole]


def test_the_longest_value_fits_and_what_does_not_is_refused() -> None:
    """Ids and units of the longest characters are far smaller than a frame; a larger item is a mistake in here."""
    longest = NewestValue("😀" * SENSOR_ID_CHARACTERS_MAX, Quantity("q" * 63, "😀" * UNIT_CHARACTERS_MAX), NOW_MS, 0, 1)
    (message,) = messages_of({"values": [value_item(longest)]})
    assert len(message) < 2_000
    with pytest.raises(ValueError, match="more than a frame"):
        messages_of({"values": [{"sensor_id": "x" * FRAME_BYTES_MAX}]})
