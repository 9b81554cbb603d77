"""Series: joined and split again, one by one and as columns; what is none is seen in every way of looking at it."""

import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.property.strategies import alleged_sensor_ids, quantities, readings, sensor_ids
from windrow.columns.strings import Strings
from windrow.quantities import (
    MILLI_MAX,
    MILLI_MIN,
    SEPARATOR,
    TEMPERATURE,
    Quantity,
    join_series,
    name_of,
    parts_of,
    series_of,
    split_series,
)
from windrow.reading import BadReading, Reading, Readings, Reason, are_series, check_sensor_id, is_sound
from windrow.wire.block.block import decode_block, encode_block, to_json_payloads
from windrow.wire.json.encode import encode_readings
from windrow.wire.json.strict import parse_reading, parse_readings

HUMIDITY = Quantity("humidity", "%")
pairs = st.lists(st.tuples(sensor_ids, quantities), max_size=12)
alleged_series = st.one_of(
    st.builds(series_of, alleged_sensor_ids, quantities),
    st.lists(alleged_sensor_ids, min_size=1, max_size=4).map(SEPARATOR.join),
    st.builds(lambda sensor_id, name, unit: f"{sensor_id}\x1f{name}\x1f{unit}", sensor_ids, st.text(), st.text()),
).filter(lambda text: not any("\ud800" <= character <= "\udfff" for character in text))


def is_series(text: str) -> bool:
    """What a series is, one by one."""
    try:
        check_sensor_id(parts_of(text)[0])
    except BadReading:
        return False
    return True


def test_a_temperature_is_the_bare_id() -> None:
    """So a fleet of thermometers is what it always was."""
    assert series_of("roof") == "roof"
    assert parts_of("roof") == ("roof", TEMPERATURE)
    assert series_of("roof", HUMIDITY) == "roof\x1fhumidity\x1f%"
    assert [name_of(one) for one in ("roof", "roof\x1fhumidity\x1f%", "a\x1fb")] == ["roof", "roof humidity", "a\x1fb"]


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("", "%"),
        ("Humidity", "%"),
        ("2m", "C"),
        ("relative humidity", "%"),
        ("x" * 64, "%"),
        ("humidity", ""),
        ("humidity", "x" * 33),
        ("humidity", " %"),
        ("humidity", "% "),
        ("humidity", "a\x1fb"),
        ("humidity", "a\nb"),
        ("humidity", "\ud800"),
        ("temperature", "F"),
    ],
)
def test_what_is_no_quantity_is_refused(name: str, unit: str) -> None:
    """Neither a name nor a unit can hold the separator, so a series is split in one way only."""
    with pytest.raises(ValueError, match=r"quantity|unit"):
        Quantity(name, unit)


@pytest.mark.parametrize(
    "series", ["a\x1f", "a\x1fhumidity", "a\x1fhumidity\x1f%\x1f", "a\x1ftemperature\x1fC", "\x1f\x1f"]
)
def test_what_is_no_series_is_a_bad_id(series: str) -> None:
    """A temperature with its quantity spelled out is none: two spellings would be two series."""
    assert parts_of(series) == (series, TEMPERATURE)
    with pytest.raises(BadReading, match="control character"):
        check_sensor_id(series)
    assert are_series(Strings.of([series, "a"])).tolist() == [False, True]


@given(pairs)
def test_series_are_split_as_they_were_joined(parts: Sequence[tuple[str, Quantity]]) -> None:
    """One by one and as columns alike; and equal series are equal parts."""
    joined = [series_of(*pair) for pair in parts]
    assert [parts_of(series) for series in joined] == parts
    columns = split_series(Strings.of(joined))
    assert columns.sensor_ids.to_list() == [sensor_id for sensor_id, _ in parts]
    assert [columns.quantities[kind] for kind in columns.kind.tolist()] == [quantity for _, quantity in parts]
    assert join_series(columns.sensor_ids, columns.names, columns.units).to_list() == joined
    assert len(set(joined)) == len(set(parts))


@given(pairs)
def test_the_series_of_a_sensor_stand_together(parts: Sequence[tuple[str, Quantity]]) -> None:
    """In the order of series sensors ascend, and of each the temperature comes first."""
    series = [parts_of(one.decode()) for one in sorted({series_of(*pair).encode() for pair in parts})]
    assert series == sorted(
        set(parts), key=lambda pair: (pair[0].encode(), pair[1] != TEMPERATURE, pair[1].name, pair[1].unit.encode())
    )


@given(st.lists(alleged_series, max_size=12))
@example(["a\x1fhumidity\x1f%", "a", "a\x1f", "\x1fhumidity\x1f%", "x" * 129 + "\x1fhumidity\x1f%"])
def test_columns_of_series_are_judged_as_each_is(texts: Sequence[str]) -> None:
    """Whatever stands beside it."""
    assert are_series(Strings.of(texts)).tolist() == [is_series(text) for text in texts]


@given(st.lists(readings(), min_size=1, max_size=20))
def test_every_wire_form_keeps_the_quantity(batch: Sequence[Reading]) -> None:
    """JSON, read together and one by one, and a block."""
    columns = Readings.of(batch)
    payloads = encode_readings(columns)
    assert [parse_reading(payload) for payload in payloads] == list(batch)
    assert list(parse_readings(payloads).readings) == list(batch)
    decoded = decode_block(encode_block(columns))
    assert list(decoded) == list(batch)
    assert is_sound(decoded).all()
    assert to_json_payloads(columns, np.arange(len(columns))) == payloads


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"quantity": "humidity", "value": 55.09}, Reason.MISSING_FIELD),
        ({"quantity": "humidity", "unit": "%"}, Reason.MISSING_FIELD),
        ({"quantity": "humidity", "unit": 1, "value": 55.09}, Reason.UNIT),
        ({"quantity": "humidity", "unit": " ", "value": 55.09}, Reason.UNIT),
        ({"quantity": "a unit", "unit": "%", "value": 55.09}, Reason.QUANTITY),
        ({"quantity": None, "unit": "%", "value": 55.09}, Reason.QUANTITY),
        ({"quantity": "humidity", "unit": "%", "value": "55"}, Reason.VALUE),
        ({"quantity": "pressure", "unit": "Pa", "value": 2_147_483.648}, Reason.VALUE_RANGE),
        ({"quantity": "temperature", "unit": "%", "value": 20}, Reason.UNIT),
        ({"quantity": "temperature", "value": 10_001}, Reason.TEMPERATURE_RANGE),
        ({"value": 20}, Reason.MISSING_FIELD),
    ],
)
def test_a_bad_payload_of_a_quantity_has_its_reason(fields: dict[str, object], reason: Reason) -> None:
    """And a value without 32 bits of thousandths says what to do."""
    payload = json.dumps({"sensor_id": "a", "event_time": 1_763_640_300_000} | fields).encode()
    with pytest.raises(BadReading) as refused:
        parse_reading(payload)
    assert refused.value.reason is reason
    assert reason is not Reason.VALUE_RANGE or "choose a larger unit" in refused.value.detail


@pytest.mark.parametrize(
    ("fields", "milli"),
    [
        ({"quantity": "temperature", "value": 212, "unit": "F"}, 100_000),
        ({"temperature": 21.5, "quantity": "humidity", "value": 55}, 21_500),
    ],
)
def test_a_temperature_is_one_however_it_is_said(fields: dict[str, object], milli: int) -> None:
    """A payload with `temperature` is a temperature, whatever else it holds."""
    payload = json.dumps({"sensor_id": "a", "event_time": 1_763_640_300_000} | fields).encode()
    assert parse_reading(payload) == Reading("a", 1_763_640_300_000, 0, milli)


def test_an_id_cannot_pretend_to_be_a_series() -> None:
    """In JSON the separator in an id is a control character; only a block may hold a series, and says so."""
    payload = b'{"sensor_id":"a\\u001fhumidity\\u001f%","event_time":1763640300000,"temperature":21}'
    found = parse_readings([payload] * 40)
    assert not len(found.readings)
    assert {bad.reason for bad in found.bad} == {Reason.SENSOR_ID}


def test_each_quantity_has_its_own_limits() -> None:
    """Absolute zero is one for temperatures; the others have 32 bits."""
    rows = [("a", 0, 0, milli, quantity) for milli in (MILLI_MIN, MILLI_MAX) for quantity in (TEMPERATURE, HUMIDITY)]
    assert is_sound(Readings.of(rows)).tolist() == [False, True, False, True]
