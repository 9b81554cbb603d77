"""What goes wrong with simulated readings, each fault with its rate and its expected outcome.

Faults of the sensor; the truth holds what it reports, right or wrong:

dropout     A sensor is silent for ten minutes. The truth does not hold what it would have measured.
stuck       A sensor repeats one measurement for fifteen minutes.
spikes      A reading is off by 20 to 80 degrees.
skewed      A sensor's clock is wrong by up to two minutes, and so are the times of all its readings.

Faults on the way; except for malformed readings the truth is the same as without them:

malformed   A broken payload is sent in place of the reading, in the same aggregate. It must become exactly one row of
            quarantine, and the truth does not hold the reading.
duplicates  The reading is sent again, in another record. It must count once.
echoes      The same bytes are sent twice in a row, usually in one record. They must count once.
late        The reading is sent a second to a day after its time. It must count in its own window.
shuffled    The reading changes places with others of its batch. This must change nothing.
truncated   A truncated copy of an aggregate or a block is sent before it. It must become one row of quarantine.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Rates from 0 to 1: the part of all readings that each fault happens to, independently of the others.

    `skewed` is a part of the sensors, `truncated` of the aggregates and blocks. A malformed reading is neither late nor
    sent twice. Raises ValueError naming the rate outside 0..1.
    """

    malformed: float = 0.0
    duplicates: float = 0.0
    late: float = 0.0
    shuffled: float = 0.0
    dropout: float = 0.0
    stuck: float = 0.0
    spikes: float = 0.0
    skewed: float = 0.0
    echoes: float = 0.0
    truncated: float = 0.0

    def __post_init__(self) -> None:
        """Check that every rate is within 0..1."""
        for rate in dataclasses.fields(self):
            value = getattr(self, rate.name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"the rate of {rate.name} must be from 0 to 1, not {value}")


# A little of everything; the results must be the same as without.
SOME = Faults(
    malformed=0.001,
    duplicates=0.01,
    late=0.01,
    shuffled=0.1,
    dropout=0.01,
    stuck=0.01,
    spikes=0.001,
    skewed=0.02,
    echoes=0.005,
    truncated=0.02,
)


@dataclass(frozen=True, slots=True)
class Malformation:
    """A way to break a payload: `apply` takes the payload of a sound reading."""

    name: str
    apply: Callable[[bytes], bytes]


def _replacing(part: bytes, other: bytes) -> Callable[[bytes], bytes]:
    return lambda payload: payload.replace(part, other, 1)


def _value_field(payload: bytes) -> bytes:
    """Return the name of the field with the value, in a payload of any quantity."""
    return b"temperature" if b'"temperature"' in payload else b"value"


def _without_value(payload: bytes) -> bytes:
    return payload.replace(b'"' + _value_field(payload) + b'"', b'"celsius"', 1)


def _values(text: bytes) -> Callable[[bytes], bytes]:
    """Replace the value."""
    return lambda payload: _fields_after(_value_field(payload), text)(payload)


def _fields_after(name: bytes, text: bytes) -> Callable[[bytes], bytes]:
    """Replace the value of field `name`, which is neither the first field nor quoted."""

    def apply(payload: bytes) -> bytes:
        before, _, rest = payload.partition(b'"' + name + b'":')
        end = min(place for place in (rest.find(b","), rest.find(b"}")) if place >= 0)
        return before + b'"' + name + b'":' + text + rest[end:]

    return apply


def _below_any(payload: bytes) -> bytes:
    """Below absolute zero, or below what 32 bits of thousandths hold."""
    return _values(b"-273.151" if _value_field(payload) == b"temperature" else b"-2147483.649")(payload)


# Every kind of payload that the consumer must refuse. Seeds depend on the order: only append.
MALFORMED = (
    Malformation("truncated", lambda payload: payload[: len(payload) // 2]),
    Malformation("empty", lambda _: b""),
    Malformation("not JSON", lambda _: b"temperature=21.4;unit=C"),
    Malformation("not UTF-8", _replacing(b"site-", b"site\xff")),
    Malformation("not an object", lambda payload: b"[" + payload + b"]"),
    Malformation("two objects", lambda payload: payload + b"\n" + payload),
    Malformation("nested too deep", lambda _: b"[" * 5_000),
    Malformation("a field twice", _replacing(b"{", b'{"unit":"C","unit":"C",')),
    Malformation("no sensor", _replacing(b'"sensor_id"', b'"sensor"')),
    Malformation("no temperature", _without_value),
    Malformation("no event time", _replacing(b'"event_time"', b'"time"')),
    Malformation("a sensor id too long", _replacing(b"site-", b"site-" + b"0" * 128)),
    Malformation("temperature as text", _values(b'"21.4"')),
    Malformation("temperature not finite", _values(b"NaN")),
    Malformation("temperature below absolute zero", _below_any),
    Malformation("temperature beyond any float", _values(b"1e400")),
    Malformation("unknown unit", _replacing(b"{", b'{"unit":"R",')),
    Malformation("a time that is none", _fields_after(b"event_time", b'"yesterday"')),
    Malformation("a negative sequence", _fields_after(b"sequence", b"-1")),
    Malformation("a sequence beyond 63 bits", _fields_after(b"sequence", b"9223372036854775808")),
    # These two are sound JSON; the record's arrival makes them too late and too early.
    Malformation("a time long past", _fields_after(b"event_time", b"0")),
    Malformation("a time far ahead", _fields_after(b"event_time", b"253402300799999")),
)
