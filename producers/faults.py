"""What goes wrong with simulated readings, each fault with its rate and its expected outcome.

With the sensor; the truth holds what it says, right or wrong:

dropout     A sensor is silent for ten minutes. The truth does not hold what it would have measured.
stuck       A sensor says for fifteen minutes what it measured at their beginning.
spikes      A reading is off by 20 to 80 degrees.
skewed      A sensor's clock is wrong by up to two minutes, and so are the times of all its readings.

On the way; the truth is the same as without:

malformed   A broken payload is sent in the reading's place, in the midst of its aggregate. Exactly one row of
            quarantine must come of it, and the truth does not hold the reading.
duplicates  The reading is sent again, in another record. It must count once.
echoes      The same bytes are sent twice in a row, as a rule in the same record. They must count once.
late        The reading is sent a second to a day after its time. It must count in its own window.
shuffled    The reading changes places with others of its batch. Nothing must come of it.
truncated   Before an aggregate or a block a cut copy of it is sent. One row of quarantine must come of that.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Rates from 0 to 1, each the part of all readings that the fault befalls, independently of the others.

    `skewed` is the part of all sensors, `truncated` that of all aggregates. A malformed reading is neither late nor
    sent twice. Raises ValueError naming a rate that is none.
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
        """Check that every rate is one."""
        for rate in dataclasses.fields(self):
            value = getattr(self, rate.name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"the rate of {rate.name} must be from 0 to 1, not {value}")


# Some of everything, for those who want to see that nothing comes of it.
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
class Malformed:
    """A way to break a payload: `apply` takes the payload of a sound reading."""

    name: str
    apply: Callable[[bytes], bytes]


def _replacing(part: bytes, other: bytes) -> Callable[[bytes], bytes]:
    return lambda payload: payload.replace(part, other, 1)


def _fields_after(name: bytes, text: bytes) -> Callable[[bytes], bytes]:
    """Replace the value of field `name`, which is neither the first field nor quoted."""

    def apply(payload: bytes) -> bytes:
        before, _, rest = payload.partition(b'"' + name + b'":')
        end = min(place for place in (rest.find(b","), rest.find(b"}")) if place >= 0)
        return before + b'"' + name + b'":' + text + rest[end:]

    return apply


# Every kind of a payload that the consumer must refuse. Their order is part of the format of a seed: only append.
MALFORMED = (
    Malformed("truncated", lambda payload: payload[: len(payload) // 2]),
    Malformed("empty", lambda _: b""),
    Malformed("not JSON", lambda _: b"temperature=21.4;unit=C"),
    Malformed("not UTF-8", _replacing(b"site-", b"site\xff")),
    Malformed("not an object", lambda payload: b"[" + payload + b"]"),
    Malformed("two objects", lambda payload: payload + b"\n" + payload),
    Malformed("nested too deep", lambda _: b"[" * 5_000),
    Malformed("a field twice", _replacing(b"{", b'{"unit":"C","unit":"C",')),
    Malformed("no sensor", _replacing(b'"sensor_id"', b'"sensor"')),
    Malformed("no temperature", _replacing(b'"temperature"', b'"celsius"')),
    Malformed("no event time", _replacing(b'"event_time"', b'"time"')),
    Malformed("a sensor id too long", _replacing(b"site-", b"site-" + b"0" * 128)),
    Malformed("temperature as text", _fields_after(b"temperature", b'"21.4"')),
    Malformed("temperature not finite", _fields_after(b"temperature", b"NaN")),
    Malformed("temperature below absolute zero", _fields_after(b"temperature", b"-273.151")),
    Malformed("temperature beyond any float", _fields_after(b"temperature", b"1e400")),
    Malformed("unknown unit", _replacing(b"{", b'{"unit":"R",')),
    Malformed("a time that is none", _fields_after(b"event_time", b'"yesterday"')),
    Malformed("a negative sequence", _fields_after(b"sequence", b"-1")),
    Malformed("a sequence beyond 63 bits", _fields_after(b"sequence", b"9223372036854775808")),
    # These two are sound JSON; the record's arrival makes them too late and too early.
    Malformed("a time long past", _fields_after(b"event_time", b"0")),
    Malformed("a time far ahead", _fields_after(b"event_time", b"253402300799999")),
)
