"""Fleets on which Flink and windrow differ, each sensor named after the one thing that happens to it."""

from collections.abc import Iterator
from random import Random

from producers.faults import MALFORMED
from tests.counterparts.flink_fleet import MINUTE, SECOND, START_MS, Sent
from windrow.reading import Readings
from windrow.window import WINDOW_MS
from windrow.wire.json.encode import encode_readings

SENSORS, WINDOWS, INTERVAL_MS = 8, 6, 10_000
"""Of each kind."""
KINDS = ("steady", "late", "conflict", "ahead")
FAR_AHEAD_MS = 4_102_444_800_000  # the year 2100

Moment = tuple[str, int]
"""A sensor, and when it measures."""


def faulty(random: Random) -> Iterator[Sent]:
    """Yield payloads of KINDS: too late for Flink, two values of one identity, and from the year 2100.

    One more sensor for each way to break a payload is named after its place in MALFORMED, as in `broken-3`.
    """
    for kind in KINDS:
        for moment in _moments(kind, random):
            payload = _payload(moment, random)
            yield _on_time(moment, payload, random)
            if random.random() < 0.05:
                yield from _fault(kind, moment, random)
    for place, malformation in enumerate(MALFORMED):
        for moment in _moments(f"broken-{place}", random, sensors=1):
            yield _on_time(moment, _payload(moment, random), random)
            if random.random() < 0.05:
                broken = malformation.apply(_payload((moment[0], moment[1] + 1), random))
                yield _on_time(moment, broken, random)


def _fault(kind: str, moment: Moment, random: Random) -> Iterator[Sent]:
    sensor, time_ms = moment
    if kind == "late":
        late = (sensor, time_ms + 1)
        yield Sent(time_ms + random.randrange(12 * MINUTE, 20 * MINUTE), sensor, _payload(late, random))
    elif kind == "conflict":
        again = _payload(moment, random, milli=60_000)  # greater than any other value
        yield Sent(time_ms + random.randrange(3 * SECOND, MINUTE), sensor, again)
    elif kind == "ahead":
        yield _on_time(moment, _payload((sensor, FAR_AHEAD_MS), random), random)


def repeated(random: Random) -> Iterator[Sent]:
    """Yield steady payloads, some of them again two to four minutes later."""
    for moment in _moments("again", random):
        payload = _payload(moment, random)
        yield _on_time(moment, payload, random)
        if random.random() < 0.05:
            yield Sent(moment[1] + random.randrange(2 * MINUTE, 4 * MINUTE), moment[0], payload)


def with_a_fast_clock(random: Random, *, ahead_ms: int) -> Iterator[Sent]:
    """Yield payloads of which some are up to three minutes late; one more sensor's clock is ahead by so much."""
    for moment in _moments("steady", random):
        payload = _payload(moment, random)
        if random.random() < 0.1:
            yield Sent(moment[1] + random.randrange(2 * MINUTE, 3 * MINUTE), moment[0], payload)
        else:
            yield _on_time(moment, payload, random)
    if ahead_ms:
        for _, time_ms in _moments("clock", random, sensors=1):
            yield Sent(time_ms, "clock 0", _payload(("clock 0", time_ms + ahead_ms), random))


def many(random: Random, *, sensors: int, readings: int) -> Iterator[Sent]:
    """Yield that many readings of as many sensors, in time, over four windows: to see what each takes."""
    step_ms = 4 * WINDOW_MS / readings
    for first in range(0, readings, 10_000):
        rows = [
            (f"site-{n % 10}/sensor-{n % sensors:06}", START_MS + int(n * step_ms), n // sensors, n * 37 % 50_000)
            for n in range(first, min(first + 10_000, readings))
        ]
        for row, payload in zip(rows, encode_readings(Readings.of(rows)), strict=True):
            yield Sent(row[1] + random.randrange(2 * SECOND), row[0], payload)


def _moments(kind: str, random: Random, *, sensors: int = SENSORS) -> Iterator[Moment]:
    for sensor in range(sensors):
        for start_ms in range(START_MS, START_MS + WINDOWS * WINDOW_MS, INTERVAL_MS):
            yield f"{kind} {sensor}", start_ms + random.randrange(INTERVAL_MS - 1)


def _payload(moment: Moment, random: Random, *, milli: int | None = None) -> bytes:
    value = random.randrange(-40_000, 50_000) if milli is None else milli
    (payload,) = encode_readings(Readings.of([(*moment, 0, value)]))
    return payload


def _on_time(moment: Moment, payload: bytes, random: Random) -> Sent:
    return Sent(moment[1] + random.randrange(2 * SECOND), moment[0], payload)
