"""Payloads under contracts, usual and odd ones, from a seed: they compare the ways of reading them."""

import json
import random
from collections.abc import Callable, Sequence

from tests.property.wire import ODD_IDS, OTHERS, SEQUENCES, TEMPERATURES, TIMES, WORDS, damage

FLAT = """
[[payload]]
sensor_id = "id"
sequence = "n"
time = { path = "at", form = "epoch_ms" }
[payload.quantity.temperature]
path = "t"
unit = "C"
missing = [-127, 999.9]
"""
NESTED = """
[[payload]]
when = [{ path = "type", equals = "no" }]
sensor_id = "other"
time = { form = "arrival" }
[payload.quantity.humidity]
path = "h"
unit = "%"
[[payload]]
when = [{ path = "data" }, { path = "type", equals = "climate" }, { path = "error", exists = false }]
sensor_id = "{site}/{device.id}"
time = { path = "ts", form = "epoch_s" }
[payload.quantity.temperature]
path = "data.temp"
unit = "F"
min = -40
max = 85.5
[payload.quantity.humidity]
path = "data.rh || data.humidity"
unit = "%"
"""
UNITS = """
framing = "lines"
[[payload]]
sensor_id = "mac"
time = { path = "time", form = "rfc3339" }
sequence = "seq"
[payload.quantity.temperature]
path = "temp"
unit = "C"
unit_path = "temp_unit"
[payload.quantity.pressure]
path = "readings[1]"
unit = "inHg"
to = "hPa"
[payload.quantity.speed]
path = "wind"
unit = "km/h"
to = "m/s"
"""
EPOCH = """
framing = "concatenated"
[[payload]]
sensor_id = "serial"
time = { path = "t", form = "epoch" }
[payload.quantity.temperature]
path = "v"
unit = "K"
[payload.quantity.battery]
path = "mv"
unit = "mV"
to = "V"
required = true
"""
ARRIVAL = """
[[payload]]
sensor_id = "a"
time = { form = "arrival" }
[payload.quantity.temperature]
path = "b"
unit = "C"
[[payload]]
use = "windrow"
"""
TELEGRAF = 'framing = "lines"\nuse = "telegraf"\n[[payload]]\nuse = "the-things-stack"\n'
SAMPLES = """
[[payload]]
when = [{ path = "buffer" }]
each = "buffer"
sensor_id = "{$.gateway}/{probe || name}"
sequence = "n"
time = { path = "at", form = "epoch" }
[payload.quantity.temperature]
path = "t"
unit = "C"
missing = [-127, "none"]
[payload.quantity.humidity]
path = "more[-1]"
unit = "1"
to = "%"
[[payload]]
sensor_id = "gateway"
time = { path = "at", form = "iso8601", zone = "Europe/Berlin" }
sequence = "n"
[payload.quantity.temperature]
path = "t"
unit = "F"
required = true
[payload.quantity.pressure]
path = "p"
unit = "Pa"
to = "hPa"
unit_path = "p_unit"
"""
PACKS = """
[[payload]]
use = "senml"
[[payload]]
use = "windrow"
when = [{ path = "sensor_id" }]
[[payload]]
sensor_id = "id"
time = { path = "at", form = "pattern", pattern = "%d.%m.%Y %H:%M:%S", zone = "UTC" }
[payload.quantity.temperature]
path = "t"
unit = "K"
"""

TEXTS = """
[[payload]]
when = [{ path = "xs[3]", exists = false }]
sensor_id = "{id}-{line}"
sequence = "n"
time = { path = "at", form = "epoch_ms" }
[payload.quantity.temperature]
path = "t"
unit = "C"
missing = [-127, "none"]
[payload.quantity.humidity]
path = "h"
unit = "%"
[[payload]]
sensor_id = "id"
time = { path = "at", form = "epoch" }
[payload.quantity.temperature]
path = "t"
unit = "F"
missing = [0]
[payload.quantity.speed]
path = "xs[4]"
unit = "m/s"
"""
BUFFERS = """
[[payload]]
when = [{ path = "data" }]
each = "data.samples"
sensor_id = "{$.device}/{name}"
sequence = "$.n"
time = { path = "at", form = "rfc3339" }
[payload.quantity.temperature]
path = "t"
unit = "K"
unit_path = "$.unit"
[payload.quantity.humidity]
path = "more[1] || h"
unit = "%"
[[payload]]
each = "values"
sensor_id = "device"
time = { path = "$.at", form = "epoch_ms" }
[payload.quantity.humidity]
path = "h"
unit = "%"
"""

Rng = random.Random


def _id(rng: Rng) -> str:
    return json.dumps(rng.choice(("a", "roof-7", "Fühler", "x" * 60)) + str(rng.randrange(5)), ensure_ascii=False)


def _number(rng: Rng) -> str:
    return f"{rng.uniform(-60, 90):.{rng.choice((0, 1, 3, 3, 3, 5))}f}"


def _flat(rng: Rng) -> str:
    at = 1_795_169_000_000 + rng.randrange(10**9)
    return f'{{"id":{_id(rng)},"at":{at},"t":{_number(rng)},"n":{rng.randrange(10**6)},"ok":{rng.choice(WORDS)}}}'


def _nested(rng: Rng) -> str:
    name = rng.choice(("rh", "humidity"))
    data = f'{{"temp": {_number(rng)}, "{name}": {rng.uniform(0, 100):.2f}, "light": {rng.choice(WORDS)}}}'
    ts = f"{1_795_168_800 + rng.randrange(1000)}.{rng.randrange(10**6):06}"
    device = f'{{"id": {rng.choice((_id(rng), str(rng.randrange(99))))}}}'
    rssi = f'{{"db": -{rng.randrange(99)}}}'
    return f'{{"type": "climate", "site": "n", "device": {device}, "ts": {ts}, "data": {data}, "rssi": {rssi}}}'


def _units(rng: Rng) -> str:
    unit = rng.choice(('"C"', '"°F"', '"K"', "null"))
    readings = f"[{rng.randrange(9)},{rng.uniform(28, 31):.4f},{rng.choice(WORDS)}]"
    time = f"2026-11-20T10:{rng.randrange(60):02}:{rng.randrange(60):02}Z"
    wind = f',"wind":{rng.uniform(0, 99):.1f}' if rng.random() < 0.7 else ""
    return (
        f'{{"mac":{_id(rng)},"time":"{time}","temp":{_number(rng)},"temp_unit":{unit},"readings":{readings}{wind}}}\n'
    )


def _epoch(rng: Rng) -> str:
    size = rng.choice((1, 10**3, 10**6, 10**9))
    t = f"{(1_795_168_800 * size) + rng.randrange(size * 10)}"
    return (
        f'{{"serial":{rng.randrange(10**9)},"t":{t},"v":{rng.uniform(200, 300):.2f},"mv":{rng.randrange(-500, 5000)}}}'
    )


def _arrival(rng: Rng) -> str:
    own = f'{{"sensor_id":{_id(rng)},"event_time":1795169000000,"temperature":{_number(rng)}}}'
    return rng.choice((f'{{"a":{_id(rng)},"b":{_number(rng)}}}', own))


def _telegraf(rng: Rng) -> str:
    fields = f'{{"humidity":{rng.uniform(0, 100):.1f},"temperature":{_number(rng)}}}'
    tags = f'{{"device":{_id(rng)},"host":"edge"}}'
    metric = f'{{"fields":{fields},"name":"climate","tags":{tags},"timestamp":{1_795_168_800 + rng.randrange(999)}}}'
    return metric + "\n" if rng.random() < 0.9 else metric + "\n" + metric + "\n"


def _any_number(rng: Rng) -> str:
    """A number in any form: with an exponent, or in a text."""
    number = _number(rng)
    return rng.choice((number, f"{float(number) * 10:.4f}e-1", f"{float(number):.3E}", f'"{number}"', f'" {number} "'))


def _samples(rng: Rng) -> str:
    gateway = rng.choice(('"roof\\u00e9"', '"a\\"b"', '"plain"', "17"))
    more = f"[{', '.join(str(rng.randrange(9)) for _ in range(rng.randrange(1, 5)))}]"
    if rng.random() < 0.3:
        at = f'"2026-11-20{rng.choice("T ")}10:{rng.randrange(60):02}:07{rng.choice(("Z", "+02", "", ".5"))}"'
        unit = rng.choice(("", ',"p_unit":"kPa"', ',"p_unit":null'))
        pressure = f',"p":{rng.randrange(90_000, 110_000)}{unit}' if rng.random() < 0.7 else ""
        return f'{{"gateway":{gateway},"at":{at},"t":{_any_number(rng)}{pressure},"n":{rng.randrange(99)},"xs":{more}}}'
    samples = []
    for _ in range(rng.choice((1, 2, 3, 20))):
        at = f"{1_795_168_800 + rng.randrange(1000)}{rng.choice(('', '.5', '000'))}"
        name = f'"{rng.choice(("probe", "name"))}":{_id(rng)}'
        value = f'"t":{_any_number(rng)}' if rng.random() < 0.8 else f'"more":{more}'
        samples.append(f'{{{name},"at":{at},{value},"n":{rng.choice((str(rng.randrange(99)), "null"))}}}')
    return f'{{"gateway":{gateway},"buffer":[{",".join(samples)}],"note":"a\\\\"}}'


def _packs(rng: Rng) -> str:
    if rng.random() < 0.2:
        return _arrival(rng).replace('"a":', '"id":').replace('"b":', '"at":"20.11.2026 10:05:07","t":')
    bases = ("1.795168800e+09", "1795168800", "1795168800.25", "-5", "0")
    base = f'"bn":{_id(rng)},"bt":{rng.choice(bases)},"bu":"{rng.choice(("Cel", "%RH"))}"'
    base += rng.choice(("", ',"bv":20', ',"bv":-1.5e0', ',"bver":5'))
    records = []
    for number in range(rng.choice((1, 2, 3, 20))):
        time = f',"t":{rng.choice((str(number), f"-{number}.5", "1e1"))}' if rng.random() < 0.8 else ""
        unit = f',"u":"{rng.choice(("Cel", "K", "lon", "%RH"))}"' if rng.random() < 0.4 else ""
        value = rng.choice((f'"v":{_number(rng)}', f'"v":{_number(rng)}', '"v":2.15e1', '"vs":"x"'))
        records.append(f'{{{base + "," if number == 0 else ""}"n":"{rng.choice("ab")}",{value}{time}{unit}}}')
    return f"[{', '.join(records)}]"


def _texts(rng: Rng) -> str:
    at = f'"{1_795_169_000_000 + rng.randrange(10**9)}"'
    xs = ", ".join(f"{rng.uniform(-1, 1):.{rng.randrange(3)}f}" for _ in range(rng.randrange(1, 6)))
    ys = ",".join(str(rng.randrange(99)) for _ in range(rng.randrange(1, 6)))
    topic = rng.choice(("a\\/b", 'say \\"x\\"'))
    head = f'"id":{_id(rng)},"line":"{rng.randrange(9)}","at":{at},"topic":"{topic}"'
    arrays = f'"xs":[{xs}],"ys":[{ys}]'
    return f'{{{head},"t":"{_number(rng)}",{arrays},"gain":{rng.random():.3e},"h":"{rng.randrange(99)}","n":7}}'


def _buffers(rng: Rng) -> str:
    count = rng.choice((2, 2, 3))
    if rng.random() < 0.4:
        values = ",".join(f'{{"device":{_id(rng)},"h":{rng.uniform(0, 100):.1f}}}' for _ in range(count))
        return f'{{"at":{1_795_169_000_000 + rng.randrange(10**6)},"values":[{values}]}}'
    samples = []
    has_array = rng.random() < 0.5
    for number in range(count):
        at = f'"2026-11-20T10:{rng.randrange(60):02}:{rng.randrange(60):02}Z"'
        more = f',"more":[1,{rng.randrange(99)}]' if has_array else ("", f',"h":{rng.randrange(99)}')[number % 2]
        samples.append(f'{{"name":"{"ab"[number % 2]}","at":{at},"t":{rng.uniform(200, 300):.2f}{more}}}')
    unit = rng.choice(('"K"', '"°F"'))
    return f'{{"device":{_id(rng)},"n":{rng.randrange(99)},"unit":{unit},"data":{{"samples":[{",".join(samples)}]}}}}'


def _meters(rng: Rng) -> str:
    bases = ("1795168800.25", "1795168800.0005", "-5.5", "268435400.9995", "268435460.0004", "1795168800")
    records = ",".join(
        f'{{"n":"{name}","u":"{unit}","v":{_number(rng)},"t":{rng.choice(("0", "-60", "-1", str(rng.randrange(99))))}}}'
        for name, unit in (("/t", "Cel"), ("/h", "%RH"), ("/where", "lon"), ("/k", "K"))
    )
    if rng.random() < 0.5:
        return f'[{{"bn":{_id(rng)},"bt":{rng.choice(bases)},"bver":10}},{records}]'
    times = ",".join(f'{{"v":{_number(rng)},"t":{rng.choice(("1795168800.0015", "-0.5"))}}}' for _ in range(2))
    return f'[{{"bn":{_id(rng)},"bu":"Cel","v":{_number(rng)}}},{times},{{"vs":"ok","t":5}}]'


KINDS: dict[str, tuple[str, Callable[[Rng], str]]] = {
    "flat": (FLAT, _flat),
    "nested": (NESTED, _nested),
    "units": (UNITS, _units),
    "epoch": (EPOCH, _epoch),
    "arrival": (ARRIVAL, _arrival),
    "telegraf": (TELEGRAF, _telegraf),
    "samples": (SAMPLES, _samples),
    "packs": (PACKS, _packs),
    "meters": (PACKS, _meters),
    "texts": (TEXTS, _texts),
    "buffers": (BUFFERS, _buffers),
}
ODD = (*ODD_IDS, *TEMPERATURES, *TIMES, *SEQUENCES, *OTHERS, "-127", "-127.0", "999.9", '"F"', '"climate"', "{}", "[]")


def batch(seed: int, kind: str, *, size: int, odd: float, damaged: float) -> list[bytes]:
    """Make payloads of a kind; some have an odd value in some place, and some have damaged bytes."""
    rng = random.Random(seed)
    make = KINDS[kind][1]
    payloads = []
    for _ in range(size):
        text = make(rng)
        if rng.random() < odd:
            text = _with_odd_value(rng, text)
        payload = text.encode()
        payloads.append(damage(rng, payload) if rng.random() < damaged else payload)
    return payloads


def _with_odd_value(rng: Rng, text: str) -> str:
    """Replace the value behind one of the colons, or drop its field."""
    values: Sequence[str] = ODD
    colons = [at for at, character in enumerate(text) if character == ":" and text[at - 1] == '"']
    at = rng.choice(colons) + 1
    end = next((place for place in range(at, len(text)) if text[place] in ",}"), len(text))
    return text[:at] + rng.choice(values) + text[end:]
