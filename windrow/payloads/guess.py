"""A proposal for a contract, from sample payloads: what their names and values suggest, for a person to check."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from windrow.payloads.decode import decode
from windrow.payloads.load import load_contract
from windrow.payloads.readymade import READY_MADE
from windrow.payloads.times import TimeForm
from windrow.payloads.usual import probable_unit, usual_unit
from windrow.payloads.zones import zone_named
from windrow.reading import BadReading
from windrow.wire.json.values import JsonNumber, parse_value

_TIMES = (
    "event_time",
    "timestamp",
    "ts",
    "time",
    "datetime",
    "date",
    "received_at",
    "created_at",
    "measured_at",
    "at",
    "t",
)
_IDS = (
    "sensor_id", "device_id", "sensor", "device", "deviceid", "sensorid", "dev_eui", "deveui", "mac", "serial", "node",
    "device_name", "devicename", "dev", "src", "id", "name",
)  # fmt: skip
# The beginning of a field's name, and its quantity.
_QUANTITIES = {
    "temp": "temperature",
    "hum": "humidity",
    "rh": "humidity",
    "press": "pressure",
    "baro": "pressure",
    "co2": "co2",
    "lux": "illuminance",
    "volt": "voltage",
    "batt": "battery_voltage",
}
_BARE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_DEPTH_MAX = 6


@dataclass(frozen=True, slots=True)
class Guess:
    """A proposed contract, and what a person should check in it; `text` is empty if there is nothing to propose."""

    text: str
    remarks: tuple[str, ...]


def guess(payloads: Sequence[bytes], *, arrival_ms: int) -> Guess:
    """Propose a contract for `payloads`; a ready-made one if it reads all of them."""
    for name in READY_MADE:
        contract = load_contract(f'use = "{name}"')
        decoded = [decode(contract, payload, arrival_ms=arrival_ms) for payload in payloads]
        if decoded and all(one.readings and not one.refusals for one in decoded):
            return Guess(f'use = "{name}"\n', ())
    try:
        values = [parse_value(payload) for payload in payloads]
    except BadReading as error:
        return Guess("", (f"not every sample is one JSON value: {error.detail}",))
    for each, prefix in [("", ""), *((path, "$.") for path in _arrays(values))]:
        proposed = _proposal(values, each, prefix)
        if proposed is not None:
            return proposed
    return Guess("", (_what_is_missing(values),))


def _proposal(values: Sequence[object], each: str, prefix: str) -> Guess | None:
    """Return what the fields of the payloads, or of the elements at `each`, suggest; None without id and quantity."""
    tops = [dict(_leaves(value)) for value in values]
    inner = [dict(_leaves(element)) for value in values for element in _at(value, each)] if each else []
    common = _common(inner) if each else _common(tops)
    if each:
        common |= {prefix + path: value for path, value in _common(tops).items()}
    sensor = _named(common, _IDS)
    quantities: dict[str, tuple[str, str]] = {}
    odd: list[str] = []
    for path, value in common.items():
        quantity = _quantity(path)
        if quantity and isinstance(value, JsonNumber) and not (prefix and path.startswith(prefix)):
            unit = probable_unit(quantity, value)
            if unit is None:
                odd.append(f"{path} is left out: {value} is no {quantity} in {usual_unit(quantity)}")
            else:
                quantities.setdefault(quantity, (path, unit))
    if sensor is None or not quantities:
        return None
    time = _named(common, _TIMES)
    form, remark = _form(common[time]) if time else ("", "")
    remarks = [f"{name}: is {path} in {unit}?" for name, (path, unit) in quantities.items()]
    remarks += [*odd, remark] if remark else odd
    if not form:
        remarks.append("no field looks like a time, so the arrival is taken: a producer's retry makes another reading")
    lines = ["[[payload]]", *([f"each = {json.dumps(each)}"] if each else []), f"sensor_id = {json.dumps(sensor)}"]
    lines.append(f"time = {{ path = {json.dumps(time)}, {form} }}" if form else 'time = { form = "arrival" }')
    for name, (path, unit) in quantities.items():
        lines += ["", f"[payload.quantity.{name}]", f"path = {json.dumps(path)}", f'unit = "{unit}"']
    return Guess("\n".join(lines) + "\n", tuple(remarks))


def _what_is_missing(values: Sequence[object]) -> str:
    """Return what a person has to find in the payloads: an id, or a quantity, or both."""
    common = _common([dict(_leaves(value)) for value in values])
    found = [path for path, value in common.items() if _quantity(path) and isinstance(value, JsonNumber)]
    if found and _named(common, _IDS) is None:
        return f"no field is named like an id beside {', '.join(found)[:200]}; write its path yourself"
    return "no field is named like an id and a quantity; write the paths yourself"


def _quantity(path: str) -> str | None:
    return next((one for key, one in _QUANTITIES.items() if _last(path).startswith(key)), None)


def _leaves(value: object, path: str = "", depth: int = 0) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and depth < _DEPTH_MAX:
        for name, child in value.items():
            step = name if _BARE.fullmatch(name) else json.dumps(name)
            yield from _leaves(child, f"{path}.{step}" if path else step, depth + 1)
    elif isinstance(value, str) and path:
        yield path, value


def _arrays(values: Sequence[object]) -> list[str]:
    """Return the fields of the first payload that are arrays of objects."""
    first = values[0] if values else None
    fields = first.items() if isinstance(first, dict) else ()
    return [
        name if _BARE.fullmatch(name) else json.dumps(name)
        for name, value in fields
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value)
    ]


def _at(value: object, field: str) -> list[object]:
    name = json.loads(field) if field.startswith('"') else field
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _common(all_leaves: Sequence[dict[str, object]]) -> dict[str, object]:
    """Return the fields that all have, with the first one's values."""
    if not all_leaves:
        return {}
    return {path: value for path, value in all_leaves[0].items() if all(path in one for one in all_leaves)}


def _named(common: dict[str, object], names: Sequence[str]) -> str | None:
    """Return the field with the first of `names` that there is; of several, the one nearest to the top."""
    for name in names:
        # The id of a value, beside it, is not that of its sensor.
        found = [path for path in common if _last(path) == name and not _quantity(path.rpartition(".")[0])]
        if found:
            return min(found, key=lambda path: path.count("."))
    return None


def _last(path: str) -> str:
    return path.removeprefix("$.").rpartition(".")[2].strip('"').lower().replace("-", "_").replace(" ", "_")


def _form(value: object) -> tuple[str, str]:
    """Return how a time is written, as fields of a contract, and what to check in it; nothing if it is none."""
    forms = ["rfc3339", "iso8601", "epoch"]
    for form in forms:
        try:
            instant_ms = TimeForm(form).parse_ms(value, arrival_ms=0)
        except BadReading:
            continue
        if form != "epoch":
            return f'form = "{form}"', ""
        digits = len(str(value).partition(".")[0].lstrip("-"))
        exact = next(
            name
            for most, name in ((11, "epoch_s"), (14, "epoch_ms"), (17, "epoch_us"), (99, "epoch_ns"))
            if digits <= most
        )
        return f'form = "{exact}"', "" if instant_ms > 10**11 else "the time lies before 1973: is it a time?"
    try:
        TimeForm("iso8601", zone=zone_named("UTC")).parse_ms(value, arrival_ms=0)
    except BadReading:
        return "", ""
    return 'form = "iso8601", zone = "UTC"', "the times name no zone: is it UTC?"
