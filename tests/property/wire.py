"""Payloads as fleets write them, and as they should not, from a seed: they compare the fast and the strict reader."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

IDS = (
    "site-07/sensor-000123",
    "a",
    "roof-7",
    "f47ac10b-58cc-4372-a567-0e02b2c3d479",
    "Fühler-Süd",
    "温度計-12",
    "x" * 24,
)
ODD_IDS = (
    '""', '"\\u0072oof"', '"a\\"b"', '"\\ud800"', f'"{"x" * 128}"', f'"{"x" * 129}"', f'"{"é" * 64}"',
    f'"{"é" * 65}"',
    f'"{"日" * 128}"', '"tab\there"', '"nul\0"', '"del\x7f"', "7", "null", '"\\u00e9"', '"\\u0000"', '"a\\u0085"',
    '"\u0085"', '"a\u009f"', '"a\u00a0"', '"a"b"', '"/\\/"',
)  # fmt: skip
TIMES = (
    "0", "-1", "00", "01", "1795169100000.0", "1795169100000e0", "253402300799999", "253402300800000",
    "9" * 19, "9" * 20,
    "9" * 40, "true", '"2026-11-20T10:05:00Z"', '"2026-11-20T10:05:00.1Z"', '"2026-11-20T10:05:00.123999Z"',
    '"2026-11-20T10:05:00.Z"', '"2026-11-20T10:05:60Z"', '"2026-11-20T24:05:00Z"', '"2026-02-29T10:05:00.123Z"',
    '"2024-02-29T10:05:00.123Z"', '"1900-02-29T10:05:00.123Z"', '"2000-02-29T10:05:00.123Z"',
    '"0000-01-01T00:00:00.123Z"', '"0000-12-31 23:59:59.9-03:30"',
    '"9999-12-31 23:59:59.9-03:30"', '"9999-12-31 20:29:59.9-03:30"', '"0001-01-01T00:00:00.5+05:30"',
    '"0001-01-01T05:30:00.5+05:30"',
    '"0001-01-01T00:00:00.000+00:01"', '"9999-12-31T23:59:59.999-00:01"', '"2026-11-31T10:05:00.123Z"',
    '"2026-13-01T10:05:00.123Z"', '"2026-11-00T10:05:00.123Z"', '"2026-00-20T10:05:00.123Z"',
    '"2026-11-20t10:05:00.123z"',
    '"2026-11-20 10:05:00.123Z"', '"2026-11-20T10:05:00.123+02:00"', '"2026-11-20T10:05:00.12345678901234567890Z"',
    '"2026-11-20T10:05:00.9999999999999999999Z"', '"2026/11/20T10:05:00.123Z"', '"2026-11-20T10:05:00.123"',
    '"２026-11-20T10:05:00.123Z"', '"2026-11-20T10:05:00.12/Z"', '"2026-11-20T10:0:00.123Z"',
    '"2026-11-20T10:05:0:.123Z"',
)  # fmt: skip
TEMPERATURES = (
    "0", "-0", "-0.0", "0.0005", "0.0015", "0.00050000000000001", "0.0004999999999999", "-0.0005", "-0.0015",
    "21", "-21",
    "21.4", "21.43", "21.4375", "21.4385", "21.437000000000001", "21.436999999999998", "0.30000000000000004", "1e1",
    "2.5E-3", "1e400", "-1e999", "1e1000", "01", "-01", "00", "+1", "1.", ".5", "-", "--1", "-.5", "1.2.3",
    "NaN", "Infinity",
    "-Infinity", "null", '"21.4"', "true", "-273.15", "-273.150", "-273.1505", "-273.1506", "-273.151", "10000",
    "10000.0005", "10000.0006", "10000.001", "99999999", "123456789", "9" * 17, "9" * 19, "9" * 20,
    "18446744073709551.637",
    "9223372036854775.808", "-459.67", "-459.670", "18032", "18032.0009", "32.00045", "32.0004500000001", "33",
    "70.700000000000003", "0." + "1" * 16, "0." + "1" * 17, "1." + "0" * 16 + "1", "0." + "0" * 30, "273.1505",
    "273.1515",
    "294.58699999999999", "10273.15", "10273.1505", "10273.1515", "21.4:7", "21/4", "1_0",
    "18446744073709553", "36893488147419104", "300.1234567890123456", "2000.1234567890123456", "12345.1234567890123456",
)  # fmt: skip
SEQUENCES = (
    "0", "00", "-0", "-1", "1.0", "1e3", "9223372036854775807", "9223372036854775808", "9999999999999999999",
    "10000000000000000000", "18446744073709551617", "9" * 30, "null", '"1"', "12345678", "123456789",
    "1234567890123456",
    "12345678901234567",
)  # fmt: skip
UNITS = ('"C"', '"F"', '"K"', '"c"', '"\\u0043"', "null", '""')
OTHERS = (
    "true",
    "null",
    '"x"',
    '"é"',
    '"a\\n"',
    "3.25",
    "-1e5",
    "[1,2]",
    '{"a":{"a":1}}',
    '{"a":1,"a":1}',
    '"' + "y" * 140 + '"',
    "nul",
    "falsé",
    "truefalse",
    "[]",
    "[1, 2.5]",
    "[1 ,2]",
    "[1,2, 3]",
    "[01]",
    "[1.]",
    "[-]",
    "[1,]",
    "[,1]",
    "[1,,2]",
    "[1,2",
    "[1]2]",
    "[1e5]",
    "[1,[2],3]",
    '["1"]',
    "[" + ",".join("7" * 64) + "]",
    "[" + ",".join("7" * 65) + "]",
    "[" + ",".join("7" * 66) + "]",
    "[" + "7" * 20 + ",1]",
    '"\\u00e9\\"\\\\\\/\\b\\f\\n\\r\\t"',
    '"\\x41"',
    '"\\u12"',
    '"\\u00zz"',
    '"\\ud800"',
    '"\\"',
    '"' + "\\/" * 8 + '"',
    '"' + "\\/" * 9 + '"',
    "1E+05",
    "1e",
    "1e+",
    "1.e5",
    "-0.5e-3",
    "1e" + "0" * 20,
    "1e5e5",
)


WORDS = ("true", "false", "null")


@dataclass(frozen=True, slots=True)
class Style:
    """How one make of producer writes its readings."""

    names: tuple[str, ...]
    comma: str = ","
    colon: str = ":"
    margin: str = ""
    time: str = "epoch"
    unit: str = "C"
    decimals: int = 3

    def spell(self, values: dict[str, str]) -> bytes:
        """Make a payload from raw JSON values by field."""
        pairs = (f'"{name}"{self.colon}{values[name]}' for name in self.names)
        return f"{self.margin}{{{self.margin}{self.comma.join(pairs)}{self.margin}}}{self.margin}".encode()

    def values(self, rng: random.Random) -> dict[str, str]:
        """Draw usual values of every field."""
        milliseconds = rng.randrange(1_000)
        times = {
            "epoch": str(1_795_169_000_000 + rng.randrange(10**9)),
            "seconds": f'"2026-11-20T10:{rng.randrange(60):02}:{rng.randrange(60):02}Z"',
            "milliseconds": f'"2026-{rng.randrange(1, 13):02}-20T10:05:00.{milliseconds:03}Z"',
            "isoformat": f'"2026-11-20T{rng.randrange(24):02}:05:00.{milliseconds * 997:06}+00:00"',
            "ahead": f'"{rng.randrange(1, 10_000):04}-12-01T00:59:59.{milliseconds:03}+05:30"',
            "offset": f'"2024-02-{rng.randrange(1, 30):02} 23:59:59.{rng.randrange(10)}-03:30"',
        }
        degrees = rng.choice((rng.uniform(-40, 60), rng.uniform(-300, 300), rng.uniform(0, 12_000), rng.uniform(-1, 1)))
        return {
            "sensor_id": json.dumps(rng.choice(IDS) + rng.choice(("", str(rng.randrange(300)))), ensure_ascii=False),
            "event_time": times[self.time],
            "temperature": repr(degrees) if self.decimals > 9 else f"{degrees:.{self.decimals}f}",
            "unit": f'"{self.unit}"',
            "sequence": str(rng.randrange(10 ** rng.randrange(1, 20))),
            "site": json.dumps(rng.choice(("north", "south", ""))),
            "battery": rng.choice(("3.61", "-1", "0", "1795169000123")),
            "spectrum": "["
            + ",".join(rng.choice(("0", "-7", "12.25", "-0.5")) for _ in range(rng.randrange(1, 9)))
            + "]",
            "axes": "[" + ", ".join(str(rng.randrange(-99, 99)) for _ in range(rng.randrange(1, 4))) + "]",
            "topic": json.dumps(rng.choice(("a/b", "°C", 'say "x"', "\\")) * rng.randrange(1, 4)).replace("/", "\\/"),
            "gain": f"{rng.uniform(-1, 1):.{rng.randrange(4)}e}",
            "flags": f'{{"ok":[{rng.choice(WORDS)}],"rssi": {{"é":{-rng.randrange(120)}}},"on":{rng.choice(WORDS)}}}',
        }


OURS = Style(("sensor_id", "event_time", "temperature", "sequence"))
STYLES = (
    OURS,
    Style(OURS.names, comma=", ", colon=": "),  # Python's json.dumps
    Style(("temperature", "sequence", "event_time", "sensor_id"), time="milliseconds"),  # JavaScript, its own order
    Style(("sensor_id", "event_time", "temperature"), time="seconds"),
    Style(("event_time", "sensor_id", "temperature", "unit"), time="isoformat", unit="F", decimals=17),
    Style(
        ("unit", "event_time", "temperature", "sensor_id", "sequence"), unit="K", decimals=2, comma=",\n  ", margin="\n"
    ),
    Style(("site", "sensor_id", "battery", "event_time", "flags", "temperature"), time="offset", decimals=0),
    Style(("event_time", "temperature", "sensor_id"), time="ahead", decimals=2),
    Style(("sensor_id", "temperature", "battery", "event_time", "site", "unit"), decimals=1),
    Style(("spectrum", "sensor_id", "event_time", "temperature")),
    Style(("sensor_id", "axes", "topic", "gain", "event_time", "temperature", "spectrum"), comma=", ", colon=": "),
)


def batch(seed: int, styles: Sequence[Style], *, size: int, odd: float, damaged: float) -> list[bytes]:
    """Make payloads of these styles; some have an odd value in one field, and some have damaged bytes."""
    rng = random.Random(seed)
    payloads = []
    for _ in range(size):
        style = rng.choice(styles)
        values = style.values(rng)
        if rng.random() < odd:
            name = rng.choice(style.names)
            values[name] = rng.choice(_odd_values(name))
        payload = style.spell(values)
        payloads.append(damage(rng, payload) if rng.random() < damaged else payload)
    return payloads


def damage(rng: random.Random, payload: bytes) -> bytes:
    """Damage the payload by one or two small changes."""
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(len(payload) + 1)
        more = rng.choice(
            (b" ", b"0", b"9", b"-", b".", b'"', b"\\", b",", b"e1", b"\x00", b"\xff", "é".encode(), b"\n")
        )
        flipped = bytes([payload[at] ^ 1 << rng.randrange(8)]) if at < len(payload) else b"}"
        payload = rng.choice(
            (
                payload[:at] + more + payload[at:],
                payload[:at] + payload[at + 1 :],
                payload[:at] + flipped + payload[at + 1 :],
                payload[:at],
                payload.replace(b"{", b'{"sequence":1,', 1),
                payload + payload[:at],
                payload.replace(b"e", b"E", 1),
            )
        )
        if not payload:
            break
    return payload


def _odd_values(name: str) -> Sequence[str]:
    by_name = {
        "sensor_id": ODD_IDS,
        "event_time": TIMES,
        "temperature": TEMPERATURES,
        "sequence": SEQUENCES,
        "unit": UNITS,
    }
    return by_name.get(name, OTHERS)
