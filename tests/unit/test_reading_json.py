"""JSON readings: which are valid, why others are not, and exact decimals."""

import json
from decimal import ROUND_HALF_EVEN, Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property.strategies import batches
from windrow.reading import EXPONENT_MAX, NUMBER_CHARACTERS_MAX, BadReading, Reading, Readings, Reason
from windrow.wire.json.encode import encode_readings
from windrow.wire.json.strict import (
    PAYLOAD_BYTES_MAX,
    parse_reading,
    parse_readings,
)
from windrow.wire.json.values import NESTING_MAX

TIME_MS = 1_763_640_300_000


def payload(**fields: str) -> bytes:
    """A payload of raw JSON values; a field that is given replaces the default one."""
    spelled = {"sensor_id": '"roof-7"', "event_time": str(TIME_MS), "temperature": "21.437"} | fields
    return ("{" + ",".join(f'"{name}":{value}' for name, value in spelled.items() if value) + "}").encode()


def reason_of(body: bytes) -> Reason:
    with pytest.raises(BadReading) as caught:
        parse_reading(body)
    assert caught.value.detail
    return caught.value.reason


@pytest.mark.parametrize(
    ("spelled", "unit", "milli"),
    [
        *(("21.437", "C", 21_437), ("-0.0", "C", 0), ("-0", "C", 0), ("1e1", "C", 10_000), ("2.5E-3", "C", 2)),
        *(("0.0005", "C", 0), ("0.0015", "C", 2), ("-0.0005", "C", 0), ("-0.0015", "C", -2), ("1e-400", "C", 0)),
        *(("0.00050000000000000000000000000000000000000000000001", "C", 1), ("-273.15", "C", -273_150)),
        *(("10000", "C", 10_000_000), ("10000.0005", "C", 10_000_000), ("-273.1505", "C", -273_150)),
        *(("70.7", "F", 21_500), ("-459.67", "F", -273_150), ("32.00045", "F", 0), ("33", "F", 556)),
        *(("0", "K", -273_150), ("294.587", "K", 21_437), ("273.1505", "K", 0), ("273.1515", "K", 2)),
    ],
)
def test_temperatures_are_exact_and_rounded_once_half_to_even(spelled: str, unit: str, milli: int) -> None:
    """The decimal as written counts, in every unit."""
    assert parse_reading(payload(temperature=spelled, unit=f'"{unit}"')).value_milli == milli


@given(st.decimals(min_value=-273, max_value=10_000, places=7))
def test_celsius_agrees_with_decimal_rounding(degrees: Decimal) -> None:
    """The standard library's decimal rounding is the oracle."""
    expected = (degrees * 1000).quantize(Decimal(1), ROUND_HALF_EVEN, Context(prec=50))
    assert parse_reading(payload(temperature=str(degrees))).value_milli == int(expected)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b' {"sensor_id" : "roof-7",\n"event_time": 1763640300000, "temperature":\t21.437 }\r\n', 0),
        (b'{"temperature":21.437,"sequence":9,"event_time":"2025-11-20T12:05:00Z","sensor_id":"roof-7"}', 9),
        (payload(sequence="9223372036854775807", note='{"any":["thing",null,true]}'), 2**63 - 1),
        (payload(sensor_id='"\\u0072oof-7"'), 0),
    ],
)
def test_layout_order_and_other_fields_do_not_matter(body: bytes, expected: int) -> None:
    """Any JSON text of the same reading gives the same reading."""
    assert parse_reading(body) == Reading("roof-7", TIME_MS, expected, 21_437)


def test_ids_are_not_normalised() -> None:
    """Composed and decomposed letters are different sensors."""
    assert parse_reading(payload(sensor_id='"é"')).sensor_id == "é"
    assert parse_reading(payload(sensor_id='"e\\u0301"')).sensor_id == "e\u0301"


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0)])
def test_a_control_character_is_no_part_of_an_id(code: int) -> None:
    """The error names it with its position. Below U+0020 JSON has escapes only; the others may stand unescaped."""
    spellings = [f"\\u{code:04x}"] if code < 0x20 else [f"\\u{code:04x}", chr(code)]
    for spelled in spellings:
        with pytest.raises(BadReading) as caught:
            parse_reading(payload(sensor_id=f'"ré{spelled}7\\u0000"'))
        assert caught.value.reason is Reason.SENSOR_ID
        assert caught.value.detail == f"control character U+{code:04X} at character 2"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        *((b"", Reason.NOT_JSON), (b"hello", Reason.NOT_JSON), (b"{}{}", Reason.NOT_JSON), (b"\xff", Reason.NOT_UTF8)),
        (payload()[:-1], Reason.NOT_JSON),
        (payload() + payload(), Reason.NOT_JSON),
        (b"\xef\xbb\xbf" + payload(), Reason.NOT_JSON),
        (payload(temperature="NaN"), Reason.NOT_JSON),
        (payload(temperature="-Infinity"), Reason.NOT_JSON),
        (payload(temperature="1."), Reason.NOT_JSON),
        (payload(temperature="+1"), Reason.NOT_JSON),
        (payload(temperature="01"), Reason.NOT_JSON),
        (b"[" + payload() + b"]", Reason.NOT_AN_OBJECT),
        *((b"null", Reason.NOT_AN_OBJECT), (b"1", Reason.NOT_AN_OBJECT), (b'"x"', Reason.NOT_AN_OBJECT)),
        (b'{"sensor_id":"a","sensor_id":"b"}', Reason.DUPLICATE_KEY),
        (payload(note='{"a":1,"a":1}'), Reason.DUPLICATE_KEY),
        (b"{}", Reason.MISSING_FIELD),
        (payload(sensor_id=""), Reason.MISSING_FIELD),
        (payload(event_time=""), Reason.MISSING_FIELD),
        (payload(temperature=""), Reason.MISSING_FIELD),
        *((payload(sensor_id=value), Reason.SENSOR_ID) for value in ('""', "7", "null", '"\\ud800"', '["a"]')),
        *(
            (payload(event_time=v), Reason.EVENT_TIME)
            for v in ("1.5", "1e12", "true", "null", '"soon"', '"2026-11-20"')
        ),
        *((payload(event_time=v), Reason.EVENT_TIME) for v in ("9" * 20, "-" + "9" * 20, "9" * 65)),
        *((payload(temperature=v), Reason.TEMPERATURE) for v in ('"21.4"', "true", "null", "{}", "9" * 5000)),
        (payload(temperature="1e-1000"), Reason.TEMPERATURE),
        *((payload(temperature=v), Reason.TEMPERATURE_RANGE) for v in ("1e400", "-273.151", "10000.001", "-1e999")),
        *((payload(unit=v), Reason.UNIT) for v in ('"c"', '"Celsius"', "null", "1", '""', "[]")),
        *((payload(sequence=v), Reason.SEQUENCE) for v in ("-1", "9223372036854775808", "1.0", '"1"', "null", "1e3")),
    ],
)
def test_what_breaks_the_definition_is_bad_with_its_reason(body: bytes, reason: Reason) -> None:
    """Each fault has its own reason."""
    assert reason_of(body) == reason


def test_limits_hold_to_the_character() -> None:
    """The longest legal id, number, exponent, payload and nesting are read, and one more is not."""
    assert parse_reading(payload(sensor_id=f'"{"😀" * 128}"')).sensor_id == "😀" * 128
    assert reason_of(payload(sensor_id=f'"{"x" * 129}"')) == Reason.SENSOR_ID
    longest = "0." + "1" * (NUMBER_CHARACTERS_MAX - 2)
    assert parse_reading(payload(temperature=longest)).value_milli == 111
    assert reason_of(payload(temperature=longest + "1")) == Reason.TEMPERATURE
    assert parse_reading(payload(temperature=f"1e-{EXPONENT_MAX}")).value_milli == 0
    room = PAYLOAD_BYTES_MAX - len(payload(note='""'))
    assert parse_reading(payload(note=f'"{"x" * room}"')).sensor_id == "roof-7"
    assert reason_of(payload(note=f'"{"x" * (room + 1)}"')) == Reason.PAYLOAD_TOO_LONG
    assert parse_reading(payload(note="[" * (NESTING_MAX - 1) + "]" * (NESTING_MAX - 1))).sensor_id == "roof-7"
    assert reason_of(payload(note="[" * NESTING_MAX + "]" * NESTING_MAX)) == Reason.TOO_DEEP
    assert reason_of(payload(note="[" * 30_000 + "]" * 30_000)) == Reason.TOO_DEEP


@given(st.lists(st.one_of(st.binary(max_size=40), st.just(payload()), st.text().map(lambda t: json.dumps(t).encode()))))
def test_a_bad_payload_never_touches_its_neighbours(payloads: list[bytes]) -> None:
    """Every payload is either a reading or bad, each at its own position."""
    parsed = parse_readings(payloads)
    positions = sorted([*parsed.source.tolist(), *(bad.index for bad in parsed.bad)])
    assert positions == list(range(len(payloads)))
    assert {payloads[index] for index in parsed.source} <= {payload()}
    assert parsed.source.tolist() == [index for index, body in enumerate(payloads) if body == payload()]


@given(batches())
def test_encoding_is_the_inverse_of_parsing(readings: list[Reading]) -> None:
    """Every reading survives the wire."""
    parsed = parse_readings(encode_readings(Readings.of(readings)))
    assert list(parsed.readings) == readings
    assert not parsed.bad
