"""What gateways send, with the truth about it: sound readings in every spelling, and every kind of bad payload.

The truths are written down by hand; nothing here asks the code under test.
"""

import hashlib
import json
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from random import Random

import pyarrow

from tests.oracle import Fact, timestamp

Truth = Fact | str
"""The reading that a payload is, or the reason why it is none."""

MAGIC = b"\xf3\x89\x9a\xc2"
BLOCK_HEAD = b"\x93windrow\x01"
HOSTILE_IDS = (
    "../../x",
    "'; DROP TABLE readings; --",
    'say "hi"',
    "a",
    "a~",
    "a\u00a0",
    "\u202eabc\u202c",
    "e\u0301",
    "\u00e9",
    "x" * 128,
    "\u65e5\u672c" * 64,
    "\\",
    "%2e%2e%2f",
    " ",
    "\U0001f321",
    "a/b",
    "\u2028",
)


def _parts(series: str) -> list[str]:
    """The sensor id, and the quantity and its unit if it names them; anything else is all id."""
    parts = series.split("\x1f")
    return parts if len(parts) == 3 else [series]


def plain(fact: Fact) -> bytes:
    """A reading as our producers spell it."""
    series, time_ms, sequence, milli = fact
    sensor_id, *quantity = _parts(series)
    value = f"{'-' if milli < 0 else ''}{abs(milli) // 1000}.{abs(milli) % 1000:03}"
    name = json.dumps(sensor_id, ensure_ascii=False)
    measured = f'"quantity":"{quantity[0]}","unit":"{quantity[1]}","value":{value}' if quantity else ""
    fields = measured or f'"temperature":{value}'
    return f'{{"sensor_id":{name},"event_time":{time_ms},{fields},"sequence":{sequence}}}'.encode()


def spelled(fact: Fact, random: Random) -> bytes:
    """The same reading in another legal spelling."""
    series, time_ms, sequence, milli = fact
    sensor_id, *quantity = _parts(series)
    exact = Fraction(milli, 1000)
    in_their_unit = [f"{milli}e-3", f"{milli}000E-6", _decimal(exact)]
    in_others = [(_decimal(exact * 9 / 5 + 32), "F"), (_decimal(exact + Fraction("273.15")), "K")]
    if quantity:
        measured = [
            f'"value" : {random.choice(in_their_unit)}',
            f'"quantity":"{quantity[0]}"',
            f'"unit":"{quantity[1]}"',
        ]
    else:
        value, unit = random.choice([*((value, "C") for value in in_their_unit), *in_others])
        measured = [f'"temperature" : {value}', f'"unit":"{unit}"']
    fields = [
        *measured,
        f'"sequence":{sequence}',
        f'"sensor_id":{json.dumps(sensor_id)}',
        '"note":{"deep":[1,2,{"x":null}]}',
        f'"event_time": {_time(time_ms, random)}',
    ]
    random.shuffle(fields)
    return ("{ " + ",\n".join(fields) + "}").encode()


def _decimal(value: Fraction) -> str:
    """The exact decimal of a fraction whose denominator divides a power of ten."""
    scaled = value * 10**6
    assert scaled.denominator == 1
    return f"{'-' if scaled < 0 else ''}{abs(scaled.numerator) // 10**6}.{abs(scaled.numerator) % 10**6:06}"


def _time(time_ms: int, random: Random) -> str:
    if random.random() < 0.5:
        return str(time_ms)
    # Digits beyond the millisecond are cut off.
    return f'"{timestamp(time_ms).isoformat(timespec="milliseconds")}{random.choice(["", "9", "999"])}Z"'


def malformed(fact: Fact, random: Random) -> tuple[bytes, str]:
    """A payload that is no reading, and the reason."""
    return random.choice(every_malformed(fact))


def every_malformed(fact: Fact) -> list[tuple[bytes, str]]:
    """Every kind of bad payload there is, each with its reason; different facts give different payloads."""
    series, time_ms, sequence, milli = fact
    sensor_id = series.replace("\x1f", "/")
    name, value = json.dumps(sensor_id, ensure_ascii=False), f"{milli}e-3"

    def json_of(
        sensor: str = name,
        time: str = str(time_ms),
        temperature: str = value,
        unit: str = '"C"',
        seq: str = str(sequence),
    ) -> bytes:
        return (
            f'{{"sensor_id":{sensor},"event_time":{time},"temperature":{temperature},"unit":{unit},"sequence":{seq}}}'
        ).encode()

    sound = json_of()
    return [
        (sound[: len(sound) // 2].decode(errors="ignore").encode(), "not_json"),
        (b"", "not_json"),
        (sound + sound, "not_json"),
        (json_of(temperature="NaN"), "not_json"),
        (json_of(temperature="-Infinity"), "not_json"),
        (sound[:-1] + b',"x":"\xff"}', "not_utf8"),
        (b"[" + sound + b"]", "not_an_object"),
        (b"null", "not_an_object"),
        (b"{}", "missing_field"),
        (sound.replace(b'"event_time"', b'"time"'), "missing_field"),
        (sound[:-1] + b',"unit":"C"}', "duplicate_key"),
        (sound[:-1] + b',"x":' + b"[" * 20 + b"]" * 20 + b"}", "too_deep"),
        (sound[:-1] + b',"x":"' + b"y" * 65_536 + b'"}', "payload_too_long"),
        (json_of(sensor="7"), "sensor_id"),
        (json_of(sensor='""'), "sensor_id"),
        (json_of(sensor='"' + "s" * 129 + '"'), "sensor_id"),
        (json_of(sensor='"\\ud800"'), "sensor_id"),
        (json_of(time='"yesterday"'), "event_time"),
        (json_of(time=f"{time_ms}.5"), "event_time"),
        (json_of(time="9" * 80), "event_time"),
        (json_of(temperature='"21.4"'), "temperature"),
        (json_of(temperature="null"), "temperature"),
        (json_of(temperature="-273.151"), "temperature_range"),
        (json_of(temperature="1e400"), "temperature_range"),
        (json_of(temperature="10000.001"), "temperature_range"),
        (json_of(unit='"R"'), "unit"),
        (json_of(unit="null"), "unit"),
        (json_of(seq="-1"), "sequence"),
        (json_of(seq=str(2**63)), "sequence"),
        (json_of(seq='"1"'), "sequence"),
        (json_of(sensor='"\\u0000"'), "sensor_id"),
        (json_of(sensor='"a\\u001f"'), "sensor_id"),
        (json_of(sensor='"a\\u001fhumidity\\u001f%"'), "sensor_id"),
        (sound.replace(b'"temperature"', b'"quantity":"Humidity","value"'), "quantity"),
        (sound.replace(b'"temperature"', b'"quantity":"humidity","value":"1","x"'), "value"),
        (sound.replace(b'"temperature"', b'"quantity":"humidity","value":2147483.648,"x"'), "value_range"),
        (json_of(sensor='"a\x7fb"'), "sensor_id"),
        (json_of(sensor='"\u0080b"'), "sensor_id"),
        (json_of(sensor='"a\\u0085"'), "sensor_id"),
        (json_of(sensor='"a\u009f"'), "sensor_id"),
    ]


def damaged(body: bytes, *, at: int, flip: int = 0x01) -> tuple[bytes, str]:
    """An aggregated record with one byte changed, and the reason why no part of it counts."""
    changed = body[:at] + bytes([body[at] ^ flip]) + body[at + 1 :]
    if at >= len(MAGIC):
        return changed, "aggregate_digest"
    try:  # without the magic it is a plain record
        changed.decode()
    except UnicodeDecodeError:
        return changed, "not_utf8"
    return changed, "not_json"


def sealed(protobuf: bytes) -> bytes:
    """An aggregated record with a sound MD5 around any bytes."""
    return MAGIC + protobuf + hashlib.md5(protobuf, usedforsecurity=False).digest()


def is_block(payload: bytes) -> bool:
    """Whether it is an Arrow block."""
    return payload.startswith(BLOCK_HEAD)


@lru_cache(maxsize=10_000)
def facts_of_block(payload: bytes) -> list[Fact]:
    """The readings of a sound block, as another reader of Arrow finds them."""
    table = pyarrow.ipc.open_stream(payload[len(BLOCK_HEAD) :]).read_all()
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    sequences = columns.get("sequence", [0] * table.num_rows)
    return list(zip(columns["sensor_id"], columns["event_time_ms"], sequences, columns["value_milli"], strict=True))


def walk(record: bytes) -> list[bytes]:
    """The payloads of a sound record, by a walk of its own over the protobuf's wire format.

    AggregatedRecord: field 3 is a Record, whose field 3 is its data (aggregation-format.md of the KPL).
    """
    if not record.startswith(MAGIC):
        return [record]
    return [fields_of(one)[3][0] for one in fields_of(record[len(MAGIC) : -16]).get(3, [])]


def fields_of(message: bytes) -> dict[int, list[bytes]]:
    """The length-delimited fields of a message, by number."""
    fields: dict[int, list[bytes]] = {}
    for number, value in _walk(message):
        if isinstance(value, bytes):
            fields.setdefault(number, []).append(value)
    return fields


def index_of(message: bytes, number: int) -> int | None:
    """The value of the varint field `number`, None when the message has none."""
    return next((value for found, value in _walk(message) if found == number and isinstance(value, int)), None)


def _walk(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Each field's number and value, in the wire's order; there are varints and length-delimited ones alone."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        value, at = _varint(message, at)
        if tag & 7 == 2:
            yield tag >> 3, message[at : at + value]
            at += value
        else:
            yield tag >> 3, value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
