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


def _array(rng: random.Random, sensor_id: str, time_ms: int, sequence: int, milli: int) -> str:
    values = ",".join(str(rng.randrange(100)) for _ in range(rng.randrange(1, 12)))
    return (
        f'{{"sensor_id":"{sensor_id}","event_time":{time_ms},"temperature":{milli / 1000:.3f},"sequence":{sequence},'
        f'"spectrum":[{values}]}}'
    )


def _escaped(rng: random.Random, sensor_id: str, time_ms: int, sequence: int, milli: int) -> str:
    return (
        f'{{"sensor_id":"{sensor_id}","event_time":{time_ms},"temperature":{milli / 1000:.3f},"sequence":{sequence},'
        f'"topic":"site\\/{rng.randrange(100)}"}}'
    )


def _texts(rng: random.Random, sensor_id: str, time_ms: int, sequence: int, milli: int) -> str:
    return (
        f'{{"device":"{sensor_id}","ts":"{time_ms}","celsius":"{milli / 1000:.3f}","count":{sequence},'
        f'"gain":{rng.random():.3e}}}'
    )


def _pack(rng: random.Random, sensor_id: str, time_ms: int, sequence: int, milli: int) -> str:
    base = f'"bn":"{sensor_id}","bt":{time_ms / 1000:.3f}{sequence % 1000:03},"bu":"Cel"'
    records = (
        f'"v":{(milli + rng.randrange(999)) / 1000:.2f},"t":-{PACK_SECONDS * number}'
        for number in range(1, PACK_READINGS)
    )
    return f'[{{{base},"v":{milli / 1000:.2f}}},{{{"},{".join(records)}}}]'


def _samples(rng: random.Random, sensor_id: str, time_ms: int, sequence: int, milli: int) -> str:
    samples = (
        f'"ts":{time_ms - 1000 * PACK_SECONDS * number},"t":{(milli + rng.randrange(999)) / 1000:.2f}'
        for number in range(PACK_READINGS)
    )
    return f'{{"device":"{sensor_id}","n":{sequence},"samples":[{{{"},{".join(samples)}}}]}}'


PACK_READINGS, PACK_SECONDS = 10, 10
DEFAULT = 'use = "windrow"\n'
ARRAYS, ESCAPES = Form(DEFAULT, _array, 1), Form(DEFAULT, _escaped, 1)
TEXTS = Form(FLAT.contract, _texts, 1)
SENML = Form('use = "senml"\n', _pack, PACK_READINGS)
EACH = Form(
    """
[[payload]]
each = "samples"
sensor_id = "$.device"
sequence = "$.n"
time = { path = "ts", form = "epoch_ms" }
[payload.quantity.temperature]
path = "t"
unit = "C"
""",
    _samples,
    PACK_READINGS,
)


def varying_event(*, sensors: int) -> Any:
    """The parsed event of READINGS readings in the default form, from -20 to 40 °C."""
    fleet = readings(sensors)
    milli = np.random.default_rng(7).integers(-20_000, 40_000, READINGS).astype(np.int32)
    fleet = replace(fleet, value_milli=milli)
    return event_in_aggregates(fleet, encode_readings(fleet))


def form_event(form: Form, *, sensors: int, payloads: int = READINGS) -> Any:
    """The parsed event of `payloads` payloads of a form, from -20 to 40 °C."""
    rng = random.Random(7)  # noqa: S311 - not for secrets
    fleet = readings(sensors, count=payloads)
    ids = fleet.sensor_ids.to_list()
    spelled = [
        form.spell(rng, ids[sensor], time_ms, sequence, rng.randrange(-20_000, 40_000)).encode()
        for sensor, time_ms, sequence in zip(
            fleet.sensor.tolist(), fleet.event_time_ms.tolist(), fleet.sequence.tolist(), strict=True
        )
    ]
    return event_in_aggregates(fleet, spelled)
