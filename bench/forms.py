"""Events of payloads that are not all of one length, or not of the default form."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench.event import READINGS, event_in_aggregates, readings
from windrow.wire.json.encode import encode_readings


@dataclass(frozen=True, slots=True)
class Form:
    """A form of payloads: its contract, how one is written, and how many readings it is."""

    contract: str
    spell: Callable[[random.Random, str, int, int, int], str]
    readings: int


def _flat(rng: random.Random, sensor_id: str, time_ms: int, sequence: int, milli: int) -> str:
    volts = rng.randrange(280, 360) / 100
    return f'{{"device":"{sensor_id}","ts":{time_ms},"celsius":{milli / 1000:.3f},"count":{sequence},"batt":{volts}}}'


def _nested(rng: random.Random, sensor_id: str, time_ms: int, sequence: int, milli: int) -> str:
    data = f'{{"temperature":{milli / 1000:.2f},"humidity":{rng.uniform(20, 100):.2f}}}'
    radio = f'{{"rssi":{-rng.randrange(30, 120)},"snr":{rng.uniform(-5, 12):.1f}}}'
    return f'{{"device":"{sensor_id}","time":{time_ms / 1000:.3f}{sequence % 1000:03},"data":{data},"radio":{radio}}}'


FLAT = Form(
    """
[[payload]]
sensor_id = "device"
sequence = "count"
time = { path = "ts", form = "epoch_ms" }
[payload.quantity.temperature]
path = "celsius"
unit = "C"
""",
    _flat,
    1,
)
NESTED = Form(
    """
[[payload]]
sensor_id = "device"
time = { path = "time", form = "epoch_s" }
[payload.quantity.temperature]
path = "data.temperature"
unit = "C"
[payload.quantity.humidity]
path = "data.humidity"
unit = "%"
""",
    _nested,
    2,
)


def varying_event(*, sensors: int) -> Any:
    """The parsed event of READINGS readings in the default form, from -20 to 40 °C."""
    fleet = readings(sensors)
    milli = np.random.default_rng(7).integers(-20_000, 40_000, READINGS).astype(np.int32)
    fleet = replace(fleet, value_milli=milli)
    return event_in_aggregates(fleet, encode_readings(fleet))


def form_event(form: Form, *, sensors: int) -> Any:
    """The parsed event of READINGS payloads of a form, from -20 to 40 °C."""
    rng = random.Random(7)  # noqa: S311 - not for secrets
    fleet = readings(sensors)
    ids = fleet.sensor_ids.to_list()
    payloads = [
        form.spell(rng, ids[sensor], time_ms, sequence, rng.randrange(-20_000, 40_000)).encode()
        for sensor, time_ms, sequence in zip(
            fleet.sensor.tolist(), fleet.event_time_ms.tolist(), fleet.sequence.tolist(), strict=True
        )
    ]
    return event_in_aggregates(fleet, payloads)
