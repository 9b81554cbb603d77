"""Payload contracts: what payloads of public forms become, and what is wrong with a contract that cannot be used."""

import datetime
import json
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windrow.lake.by_digest import digest_of
from windrow.payloads.decode import decode
from windrow.payloads.load import load_contract, load_stored, stored_form
from windrow.payloads.readymade import READY_MADE
from windrow.payloads.table import ContractError
from windrow.payloads.values import DecodedPayload
from windrow.reading import READINGS_PER_RECORD_MAX, Reason
from windrow.wire.json.strict import PAYLOAD_BYTES_MAX, BadReading, parse_reading

CASES = Path(__file__).parent.parent / "golden" / "payloads"
ARRIVAL_MS = 1_795_168_800_000

NESTED = """
[[payload]]
sensor_id = "device_id"
time = { path = "ts", form = "epoch_s" }
[payload.quantity.temperature]
path = "data.temp"
unit = "C"
[payload.quantity.humidity]
path = "data.humidity"
unit = "%"
"""
FLAT = """
[[payload]]
sensor_id = "id"
sequence = "n"
time = { path = "at", form = "epoch_ms" }
[payload.quantity.temperature]
path = "t"
unit = "C"
missing = [-127, -888.88, "unavailable"]
min = -40
max = 85
[payload.quantity.humidity]
path = "h"
unit = "%"
"""


def lines(name: str) -> list[bytes]:
    return (CASES / name).read_bytes().splitlines(keepends=True)


def objects(name: str) -> list[Any]:
    """The payloads of a file as Python's own reader of decimals has them."""
    return [json.loads(line, parse_float=Decimal) for line in lines(name)]


def milli(value: Decimal | int) -> int:
    return int((Decimal(value) * 1000).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def rows(decoded: DecodedPayload) -> list[tuple[object, ...]]:
    return [
        (one.sensor_id, one.quantity, one.unit, one.event_time_ms, one.sequence, one.value_milli)
        for one in decoded.readings
    ]


def decoded_by(text: str, payload: bytes | dict[str, Any]) -> DecodedPayload:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return decode(load_contract(text), body, arrival_ms=ARRIVAL_MS)


def reasons(decoded: DecodedPayload) -> list[tuple[Reason, str]]:
    return [(one.reason, one.where) for one in decoded.refusals]


def test_a_unit_of_its_own_is_no_longer_than_rows_hold() -> None:
    """Refused with the contract, not found out reading by reading."""
    with pytest.raises(ContractError, match="is no unit"):
        load_contract(FLAT.replace('unit = "%"', f'unit = "{"u" * 33}"\nto = "{"u" * 33}"'))


def test_nested_values_and_float_seconds_are_read_exactly() -> None:
    """Twelve temperatures and twelve humidities, equal to what decimals computed beside it say."""
    found = [row for line in lines("nested_payload.jsonl") for row in rows(decoded_by(NESTED, line))]
    expected = [
        (one["device_id"], quantity, unit, milli(one["ts"]), 0, milli(one["data"][field]))
        for one in objects("nested_payload.jsonl")
        for quantity, unit, field in (("temperature", "C", "temp"), ("humidity", "%", "humidity"))
    ]
    assert len(expected) == 24
    assert found == expected


def test_an_id_that_is_a_number_is_its_digits() -> None:
    """Sensor 42, and the value as it is written."""
    text = '[[payload]]\nsensor_id = "sensor_id"\ntime = { path = "timestamp", form = "epoch_ms" }\n'
    text += '[payload.quantity.temperature]\npath = "temperature"\nunit = "C"\n'
    (line,) = lines("numeric_id_payload.jsonl")
    assert rows(decoded_by(text, line)) == [("42", "temperature", "C", 1_795_168_800_123, 0, 71_320)]


def test_telegraf_is_ready_made() -> None:
    """Its metrics, alone as its Kinesis output writes them, and the same ones as a batch."""
    contract = 'use = "telegraf"'
    found = [row for line in lines("telegraf_payload.jsonl") for row in rows(decoded_by(contract, line))]
    parsed = objects("telegraf_payload.jsonl")
    expected = [
        (one["tags"]["device"], quantity, unit, one["timestamp"], 0, milli(one["fields"][quantity]))
        for one in parsed
        for quantity, unit in (("temperature", "C"), ("humidity", "%"))
    ]
    assert len(expected) == 24
    assert {sensor for sensor, *_ in found} == {"gh-00", "gh-01", "gh-02"}
    assert found == expected
    batch = b'{"metrics":[' + b",".join(line.strip() for line in lines("telegraf_payload.jsonl")) + b"]}\n"
    assert rows(decoded_by(contract, batch)) == expected


def test_an_uplink_of_a_network_server_is_read() -> None:
    """Eight temperatures of two sensors, nanoseconds cut to milliseconds, the frame counter as sequence."""
    found = [
        row for line in lines("uplink_payload.jsonl") for row in rows(decoded_by('use = "the-things-stack"', line))
    ]
    start = datetime.datetime(2026, 11, 20, 10, 0, 14, tzinfo=datetime.UTC)
    expected = [
        (
            one["end_device_ids"]["device_id"],
            "temperature",
            "C",
            int((start + datetime.timedelta(minutes=minute)).timestamp()) * 1000 + 742,
            one["uplink_message"]["f_cnt"],
            milli(one["uplink_message"]["decoded_payload"]["Temperature"]),
        )
        for minute, one in enumerate(objects("uplink_payload.jsonl"))
    ]
    assert len(expected) == 8
    assert found == expected


def test_a_record_of_lines_needs_its_framing() -> None:
    """Two readings with it; without it one refusal that says so."""
    record = (CASES / "record_of_lines.bin").read_bytes()
    windrow = READY_MADE["windrow"]
    found = rows(decoded_by(f'framing = "lines"\n{windrow}', record))
    assert [(row[0], row[-1]) for row in found] == [("a", 20_500), ("b", 20_600)]
    refused = decoded_by(windrow, record)
    assert not refused.readings
    assert [(one.reason, "framing" in one.detail) for one in refused.refusals] == [(Reason.NOT_JSON, True)]
    with pytest.raises(BadReading, match="framing"):
        parse_reading(record)


@pytest.mark.parametrize(
    ("framing", "payload", "bad"),
    [
        ("lines", b'{"id":1,"at":1,"t":1}\nnot json\n\n{"id":3,"at":1,"t":3}\r\n', [(Reason.NOT_JSON, "line 2")]),
        ("lines", b'{"id":1,"at":1,"t":1}\n{"id":2}\n{"id":3,"at":1,"t":3}', [(Reason.MISSING_FIELD, "line 2")]),
        ("lines", b'{"id":1,"at":1,"t":1}\n\xff\n{"id":3,"at":1,"t":3}', [(Reason.NOT_UTF8, "line 2")]),
        ("concatenated", b'{"id":1,"at":1,"t":1}[] {"id":3,"at":1,"t":3} ', [(Reason.NO_CONTRACT, "object 2")]),
        ("array", b'[{"id":1,"at":1,"t":1},5,{"id":3,"at":1,"t":3}]', [(Reason.NO_CONTRACT, "element 1")]),
    ],
)
def test_a_bad_one_in_a_frame_does_not_affect_its_neighbours(
    framing: str, payload: bytes, bad: list[tuple[Reason, str]]
) -> None:
    """Both neighbours count, and the bad one is told with its place."""
    decoded = decoded_by(f'framing = "{framing}"\n{FLAT}', payload)
    assert [(one.sensor_id, one.value_milli) for one in decoded.readings] == [("1", 1_000), ("3", 3_000)]
    assert reasons(decoded) == bad


def test_a_broken_object_ends_its_concatenation() -> None:
    """What precedes it counts; behind it nothing can be told apart, and the refusal says so."""
    decoded = decoded_by(f'framing = "concatenated"\n{FLAT}', b'{"id":1,"at":1,"t":1}{"id":}{"id":3,"at":1,"t":3}')
    assert [one.sensor_id for one in decoded.readings] == ["1"]
    assert [(one.reason, "object 2 and what follows" in one.detail) for one in decoded.refusals] == [
        (Reason.NOT_JSON, True)
    ]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (-127, Reason.MISSING_VALUE),
        ("-127.0", Reason.MISSING_VALUE),
        (-888.88, Reason.MISSING_VALUE),
        ("unavailable", Reason.MISSING_VALUE),
        ("broken", Reason.VALUE),
        (True, Reason.VALUE),
        (-40.0005, None),
        (-40.001, Reason.VALUE_RANGE),
        (85.001, Reason.VALUE_RANGE),
        (1e30, Reason.VALUE_RANGE),
        ("85", None),
    ],
)
def test_a_quantity_without_a_value_does_not_affect_the_other(value: object, reason: Reason | None) -> None:
    """The humidity counts in any case; the temperature is refused with its own reason."""
    decoded = decoded_by(FLAT, {"id": "a", "at": 5, "t": value, "h": 50})
    assert [one.quantity for one in decoded.readings] == (["humidity"] if reason else ["temperature", "humidity"])
    assert reasons(decoded) == ([(reason, "temperature")] if reason else [])


def test_a_quantity_that_is_absent_is_refused_only_if_it_is_required_or_the_last() -> None:
    """Null is as good as absent."""
    payload = {"id": "a", "at": 5, "t": None, "h": 50}
    assert not decoded_by(FLAT, payload).refusals
    required = FLAT.replace("max = 85", "max = 85\nrequired = true")
    assert reasons(decoded_by(required, payload)) == [(Reason.MISSING_FIELD, "temperature")]
    assert reasons(decoded_by(FLAT, {"id": "a", "at": 5})) == [(Reason.MISSING_FIELD, "")]


@pytest.mark.parametrize(
    ("unit", "written", "expected"),
    [
        ("F", "70", 21_111),
        ("°F", "-40", -40_000),
        ("Fahrenheit", "32.0009", 0),
        ("K", "273.15", 0),
        ("Celsius", "20.5", 20_500),
        ("f", "70.7", 21_500),
        ("deg F", "70.7", 21_500),
        ("Degrees Celsius", "20.5", 20_500),
        ("0.1 °C", "205", 20_500),
        ("0.1 °F", "707", 21_500),
        ("1/100 C", "-2053", -20_530),
    ],
)
def test_units_are_known_by_name_and_converted_exactly(unit: str, written: str, expected: int) -> None:
    """Rounded once, half to even, as a default payload's temperature is."""
    text = FLAT.replace('path = "t"\nunit = "C"', f'path = "t"\nunit = "{unit}"')
    (reading,) = decoded_by(text, f'{{"id": "a", "at": 5, "t": {written}}}'.encode()).readings
    assert (reading.unit, reading.value_milli) == ("C", expected)


def test_values_may_be_parts_of_a_unit() -> None:
    """Rows have the unit itself; a part of a unit that nobody knows is refused, and a nought of one."""
    text = FLAT.replace('path = "h"\nunit = "%"', 'path = "h"\nunit = "0.1 %"')
    (_, humidity) = decoded_by(text, {"id": "a", "at": 5, "t": 50, "h": 455}).readings
    assert (humidity.unit, humidity.value_milli) == ("%", 45_500)
    for unit in ("0.1 furlongs", "0 %", "0.0 %"):
        with pytest.raises(ContractError, match="no unit is called"):
            load_contract(text.replace("0.1 %", unit))


def test_a_unit_may_come_with_the_value() -> None:
    """Each payload's own unit counts; one of another kind is refused."""
    text = FLAT.replace('path = "t"\n', 'path = "t"\nunit_path = "u"\n')
    assert [
        [one.value_milli for one in decoded_by(text, {"id": "a", "at": 5, "t": 50, **unit}).readings]
        for unit in ({}, {"u": "°F"}, {"u": "kelvin"})
    ] == [[50_000], [10_000], []]
    assert reasons(decoded_by(text, {"id": "a", "at": 5, "t": 50, "u": "hPa"})) == [(Reason.UNIT, "temperature")]


@pytest.mark.parametrize(
    ("form", "written", "expected_ms"),
    [
        ('form = "epoch_s"', "1795168800.1235", 1_795_168_800_124),
        ('form = "epoch_s"', '"1.7951688E9"', 1_795_168_800_000),
        ('form = "epoch_s"', '"1.7951688075999999E9"', 1_795_168_807_600),
        ('form = "epoch_ms"', "1795168800123.5", 1_795_168_800_124),
        ('form = "epoch_us"', "1795168800123500", 1_795_168_800_124),
        ('form = "epoch_ns"', "1795168800122500000", 1_795_168_800_122),
        ('form = "epoch"', "1795168800", 1_795_168_800_000),
        ('form = "epoch"', "1795168800000000000", 1_795_168_800_000),
        ('form = "rfc3339"', '"2026-11-20T10:00:00.9999Z"', 1_795_168_800_999),
        ('form = "iso8601"', '"20261120T100000+0100"', 1_795_165_200_000),
        ('form = "iso8601"', '"2026-11-20 10:00:00,25Z"', 1_795_168_800_250),
        ('form = "iso8601", zone = "Europe/Berlin"', '"2026-07-01T12:00"', 1_782_900_000_000),
        (
            'form = "pattern", pattern = "%m/%d/%y %I:%M:%S %p", zone = "UTC"',
            '"11/20/26 12:02:00 AM"',
            1_795_132_920_000,
        ),
        ('form = "pattern", pattern = "%d %b %Y %H:%M %z"', '"20 November 2026 10:00 +00:00"', 1_795_168_800_000),
        ('form = "pattern", pattern = "%d.%m.%Y %T", zone = "-05:00"', '"20.11.2026 05:00:00"', 1_795_168_800_000),
    ],
)
def test_times_of_all_forms_are_read_exactly(form: str, written: str, expected_ms: int) -> None:
    """Numbers round half to even, texts of a clock are cut, zones have their summer."""
    text = FLAT.replace('form = "epoch_ms"', form)
    decoded = decoded_by(text, f'{{"id": "a", "at": {written}, "t": 1}}'.encode())
    assert [one.event_time_ms for one in decoded.readings] == [expected_ms]


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ('form = "epoch_s"', '"soon"'),
        ('form = "epoch_s"', "true"),
        ('form = "epoch_s"', "1e300"),
        ('form = "epoch_s"', f'"{"9" * 70}"'),
        ('form = "rfc3339"', "1795168800"),
        ('form = "iso8601"', '"2026-11-20T10:00:00"'),
        ('form = "iso8601"', '"2026-11-31T10:00:00Z"'),
        ('form = "iso8601", zone = "Europe/Berlin"', '"2026-10-25T02:30:00"'),
        ('form = "iso8601", zone = "Europe/Berlin"', '"2026-03-29T02:30:00"'),
        ('form = "pattern", pattern = "%Y-%m-%d %I%p", zone = "UTC"', '"2026-11-20 13PM"'),
    ],
)
def test_a_time_that_means_no_instant_is_refused(form: str, written: str) -> None:
    """Clocks that show an hour twice or never are told, not guessed."""
    text = FLAT.replace('form = "epoch_ms"', form)
    decoded = decoded_by(text, f'{{"id": "a", "at": {written}, "t": 1}}'.encode())
    assert not decoded.readings
    assert reasons(decoded) == [(Reason.EVENT_TIME, "")]


@pytest.mark.parametrize("written", ["-1", "1.0", '"\\ud800"', '"٣"', "[1]", f"{2**63}"])
def test_a_sequence_that_is_no_integer_of_63_bits_is_refused(written: str) -> None:
    """With a detail that any terminal can show, whatever the device sent."""
    decoded = decoded_by(FLAT, f'{{"id": "a", "at": 5, "t": 1, "n": {written}}}'.encode())
    assert reasons(decoded) == [(Reason.SEQUENCE, "")]
    assert decoded.refusals[0].detail.isascii()


def test_a_sensor_may_be_named_by_the_contract() -> None:
    """A device that sends no id is the only one of its stage."""
    text = FLAT.replace('sensor_id = "id"', """sensor_id = "'roof'" """)
    assert [one.sensor_id for one in decoded_by(text, {"at": 5, "t": 1}).readings] == ["roof"]


def test_the_arrival_may_be_the_time() -> None:
    """A payload without a clock counts when its record arrived."""
    text = FLAT.replace('{ path = "at", form = "epoch_ms" }', '{ form = "arrival" }')
    assert [one.event_time_ms for one in decoded_by(text, {"id": "a", "t": 1}).readings] == [ARRIVAL_MS]


def test_samples_in_an_array_share_what_the_payload_says_once() -> None:
    """`$.` reaches the payload from an element, and a bad element does not affect the others."""
    text = """
    [[payload]]
    each = "samples"
    sensor_id = "{$.site}/{$.device}"
    time = { path = "t", form = "epoch_s" }
    sequence = "n"
    [payload.quantity.humidity]
    path = "v[?k=='rh'].x | [0]"
    unit = "1"
    to = "%"
    """
    samples = [{"t": 1, "n": 7, "v": [{"k": "t", "x": 1}, {"k": "rh", "x": 0.5}]}, {"t": "x"}, {"t": 2, "v": []}]
    decoded = decoded_by(text, {"site": "north", "device": 4, "samples": samples})
    assert rows(decoded) == [("north/4", "humidity", "%", 1_000, 7, 50_000)]
    assert reasons(decoded) == [(Reason.EVENT_TIME, "samples[1]"), (Reason.MISSING_FIELD, "samples[2]")]
    assert reasons(decoded_by(text, {"site": "north", "device": 4})) == [(Reason.MISSING_FIELD, "")]


def test_a_payload_is_read_by_the_first_kind_that_means_it() -> None:
    """Tests on fields choose; a payload that is of no kind is told so."""
    other = FLAT.replace('sensor_id = "id"', 'sensor_id = "other"\nwhen = [{ path = "kind", equals = 2 }]')
    first = FLAT.replace('sensor_id = "id"', 'sensor_id = "id"\nwhen = [{ path = "kind", exists = false }]')
    text = other + first
    base = {"id": "a", "other": "b", "at": 5, "t": 1}
    assert [one.sensor_id for one in decoded_by(text, base | {"kind": 2}).readings] == ["b"]
    assert [one.sensor_id for one in decoded_by(text, base).readings] == ["a"]
    assert reasons(decoded_by(text, base | {"kind": 3})) == [(Reason.NO_CONTRACT, "")]


def test_senml_packs_are_read_with_their_base_fields() -> None:
    """The examples of RFC 8428, sections 5.1.2 and 5.1.3, and times relative to the arrival."""
    contract = 'use = "senml"'
    pack = b"""[{"bn":"urn:dev:ow:10e2073a01080063:","bt":1.320067464e+09,"bu":"%RH","v":21.2},{"t":10,"v":21.3},
      {"u":"lon","v":24.30621},{"u":"Cel","n":"voc","v":7.5},{"n":"label","vs":"Machine Room"}]"""
    name = "urn:dev:ow:10e2073a01080063:"
    assert rows(decoded_by(contract, pack)) == [
        (name, "humidity", "%", 1_320_067_464_000, 0, 21_200),
        (name, "humidity", "%", 1_320_067_474_000, 0, 21_300),
        (f"{name}voc", "temperature", "C", 1_320_067_464_000, 0, 7_500),
    ]
    relative = b'[{"bn":"a","bu":"K","bv":273.15,"t":-1.5,"v":1},{"v":"2"},{"x_":1,"v":1}]'
    decoded = decoded_by(contract, relative)
    assert rows(decoded) == [("a", "temperature", "C", ARRIVAL_MS - 1_500, 0, 1_000)]
    assert reasons(decoded) == [(Reason.VALUE, "record 1"), (Reason.VALUE, "record 2")]
    near = b'[{"bn":"a","bu":"Cel","bt":268435455,"v":1},{"t":1,"v":2}]'
    assert [one.event_time_ms for one in decoded_by(contract, near).readings] == [
        ARRIVAL_MS + 268_435_455_000,
        268_435_456_000,
    ]
    assert reasons(decoded_by(contract, b'[{"n":"a","vb":true}]')) == [(Reason.MISSING_FIELD, "")]


def test_the_default_form_is_a_ready_made_contract() -> None:
    """It reads what the strict reader reads, and refuses it for the same reason."""
    good = b'{"sensor_id": "a", "event_time": 5, "temperature": 70, "unit": "F", "sequence": 3}'
    assert rows(decoded_by('use = "windrow"', good)) == [("a", "temperature", "C", 5, 3, 21_111)]
    assert reasons(decoded_by('use = "windrow"', good.replace(b"70", b'"x"'))) == [(Reason.TEMPERATURE, "")]


def test_a_ready_made_contract_may_be_changed_in_part() -> None:
    """What the own table says counts; a quantity that both have is merged."""
    text = '[[payload]]\nuse = "telegraf"\nsensor_id = "{tags.host}/{tags.device}"\n'
    text += '[payload.quantity.temperature]\nunit = "F"\n'
    found = rows(decoded_by(text, lines("telegraf_payload.jsonl")[0]))
    assert [(row[0], row[1], row[5]) for row in found] == [
        ("gateway-7/gh-00", "temperature", -5_833),
        ("gateway-7/gh-00", "humidity", 40_000),
    ]


@pytest.mark.parametrize("name", READY_MADE)
def test_what_is_stored_means_the_same(name: str) -> None:
    """A contract survives its stored form, and the same contract has the same digest."""
    text = f'use = "{name}"'
    stored = stored_form(text)
    assert load_stored(stored) == load_contract(text)
    assert digest_of(stored) == digest_of(stored_form(f'# a comment\nuse = "{name}"\n'))


def test_a_stored_contract_keeps_decimals_and_zones() -> None:
    """Its decimals are those of the file, and its zone is a table of its own."""
    text = FLAT.replace('form = "epoch_ms"', 'form = "iso8601", zone = "Europe/Berlin"')
    assert b"changes_s" in stored_form(text)
    assert b'{"decimal":"-888.88"}' in stored_form(text)
    assert load_stored(stored_form(text)) == load_contract(text)


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ('unit = "C"', "unit = ", r"line 7, column 8"),
        ('unit = "C"', 'unit = "Celcius"', r"line 7: payload\[0\].quantity.temperature.unit .*no unit is called"),
        ('unit = "%"', 'unit = "%"\nunti = 1', r"line 14: .*humidity.unti is no field here; is unit meant"),
        ('path = "t"', 'path = "t["', r"line 6: .*is not a path"),
        ('path = "t"', 'path = "to_number(t)"', r"line 6: .*function expression is not used here"),
        ('sensor_id = "id"', 'sensor_id = "{id"', r"line 2: .*brace"),
        ('sensor_id = "id"\n', "", r"line 1: payload\[0\] needs sensor_id"),
        ("epoch_ms", "epoch", None),
        ("epoch_ms", "unix", r"line 4: payload\[0\].time.form must be one of"),
        ('form = "epoch_ms"', 'form = "epoch_ms", zone = "UTC"', r"line 4: .*needs no zone"),
        ('form = "epoch_ms"', 'form = "iso8601", zone = "Mars/Base"', r"line 4: .*no time zone"),
        ('form = "epoch_ms"', 'form = "pattern", pattern = "%Y-%m-%d"', r"line 4: .*%H %I"),
        ('form = "epoch_ms"', 'form = "pattern", pattern = "%d.%m.%Y %H"', r"line 4: .*a zone is needed"),
        ("min = -40", "min = 90", r"line 9: .*greater than max"),
        ("min = -40", "min = 1e999999999", r"line 9: .*no number that can be used"),
        ("min = -40", "min = nan", r"line 9: .*no number that can be used"),
        ("min = -40", "min = 3000000", r"line 9: .*thousandths"),
        ("quantity.humidity", "quantity.Humidity", r"line 11: .*no name of a quantity"),
        ("[[payload]]", 'framing = "csv"\n[[payload]]', r"line 1: framing must be one of"),
        ("[[payload]]", 'use = "telegraph"\n[[payload]]', r"line 1: use must name a ready-made"),
        ("[[payload]]", "[payload]", r"line 1: payload must be an array of tables"),
        ("[[payload]]", '[[payload]]\ndecoder = "senml"', r"temperature.path is no field here"),
    ],
)
def test_a_wrong_contract_is_refused_with_its_line(before: str, after: str, complaint: str | None) -> None:
    """The message names the line in the file, the field, and what is wrong."""
    text = FLAT.lstrip().replace(before, after)
    assert text != FLAT.lstrip()
    if complaint is None:
        load_contract(text)
        return
    with pytest.raises(ContractError, match=complaint):
        load_contract(text, name="payloads.toml")


def test_too_long_a_payload_is_refused_and_its_neighbour_is_not() -> None:
    """The bound holds for each line, not for the record."""
    good = b'{"id":1,"at":1,"t":1}'
    long = b'{"x":"' + b"x" * PAYLOAD_BYTES_MAX + b'"}'
    decoded = decoded_by(f'framing = "lines"\n{FLAT}', long + b"\n" + good)
    assert len(decoded.readings) == 1
    assert reasons(decoded) == [(Reason.PAYLOAD_TOO_LONG, "line 1")]
    assert reasons(decoded_by(FLAT, long)) == [(Reason.PAYLOAD_TOO_LONG, "")]


@pytest.mark.slow
def test_readings_of_one_record_are_bounded() -> None:
    """A record of a megabyte of tiny elements does not grow without limit."""
    payload = b"[" + b"1," * (READINGS_PER_RECORD_MAX + 1) + b"1]"
    decoded = decoded_by(f'framing = "array"\n{FLAT}', payload)
    assert decoded.refusals[-1].reason == Reason.TOO_MANY_READINGS
    assert len(decoded.refusals) <= READINGS_PER_RECORD_MAX + 2


NAMES = st.sampled_from(["id", "at", "t", "h", "n", "metrics"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner),
    max_leaves=12,
)


@pytest.mark.slow
@given(value=JSON, name=st.sampled_from(sorted(READY_MADE)), junk=st.binary(max_size=8))
def test_whatever_a_payload_is_it_becomes_something(value: object, name: str, junk: bytes) -> None:
    """Nothing is raised, and nothing vanishes: every payload has a reading or a reason."""
    for text in (FLAT, f'use = "{name}"', f'framing = "concatenated"\n{FLAT}', f'framing = "array"\n{FLAT}'):
        for body in (json.dumps(value).encode(), junk, json.dumps(value).encode() + junk):
            decoded = decoded_by(text, body)
            assert decoded.readings or decoded.refusals
