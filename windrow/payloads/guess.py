"""A proposal for a contract, from sample payloads: what their names and values suggest, for a person to check."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from windrow.payloads.decode import decode
from windrow.payloads.load import load_contract
from windrow.payloads.readymade import READY_MADE
from windrow.payloads.times import TimeForm
from windrow.payloads.units import DECIMAL, map_between
from windrow.payloads.usual import probable_unit, says_none, temperature_unit, usual_unit
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
    "dateutc",
    "time_utc",
    "at",
    "t",
)
_IDS = (
    "sensor_id", "device_id", "sensor", "device", "deviceid", "sensorid", "dev_eui", "deveui", "mac", "serial",
    "serialno", "serial_number", "node", "device_name", "devicename", "dev", "src", "station_id", "id", "_id", "name",
)  # fmt: skip
# The beginning of a field's name, and its quantity.
_QUANTITIES = {
    "temp": "temperature",
    "tmp": "temperature",
    "atmp": "temperature",
    "hum": "humidity",
    "rh": "humidity",
    "press": "pressure",
    "baro": "pressure",
    "co2": "co2",
    "rco2": "co2",
    "lux": "illuminance",
    "volt": "voltage",
    "batt": "battery_voltage",
}
_WHOLE_NAMES = {"tc": "temperature", "tf": "temperature"}
_VALUES = frozenset({"value", "val"})
"""What a field is called whose parent is named like the quantity."""
_BATTERY_VOLTAGE = re.compile(r"volt|v$")
_BARE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_DEPTH_MAX = 6


@dataclass(frozen=True, slots=True)
class _Value:
    """Where a quantity's values are, and in which unit; unit_path: where each payload says it, if it does.

    missing: values in the samples by which the device probably says that it has none.
    """

    path: str
    unit: str
    is_said: bool
    unit_path: str | None = None
    missing: tuple[str, ...] = ()

    def questions(self, quantity: str) -> Iterator[str]:
        """Yield what a person should check; nothing about the unit if the payload itself says it."""
        if self.unit_path:
            yield f"{quantity}: is {self.path} in the unit that {self.unit_path} says?"
        elif not self.is_said:
            yield f"{quantity}: is {self.path} in {self.unit}?"
        if self.missing:
            yield f"{quantity}: does {' or '.join(self.missing)} say that there is no value?"

    def lines(self, quantity: str) -> list[str]:
        """Return the table of the contract."""
        named = [f"unit_path = {json.dumps(self.unit_path)}"] if self.unit_path else []
        unit = f"unit = {json.dumps(self.unit, ensure_ascii=False)}"
        named += [f"missing = [{', '.join(self.missing)}]"] if self.missing else []
        return ["", f"[payload.quantity.{quantity}]", f"path = {json.dumps(self.path)}", unit, *named]


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
    quantities, odd = _values(common, prefix, inner if each else tops)
    if sensor is None or not quantities:
        return None
    time = _named(common, _TIMES)
    form, remark = _form(common[time]) if time else ("", "")
    if time and _last(time).endswith("utc"):
        remark = ""
    remarks = [one for name, value in quantities.items() for one in value.questions(name)]
    remarks += [*odd, remark] if remark else odd
    if not form:
        remarks.append("no field looks like a time, so the arrival is taken: a producer's retry makes another reading")
    lines = ["[[payload]]", *([f"each = {json.dumps(each)}"] if each else []), f"sensor_id = {json.dumps(sensor)}"]
    lines.append(f"time = {{ path = {json.dumps(time)}, {form} }}" if form else 'time = { form = "arrival" }')
    for name, value in quantities.items():
        lines += value.lines(name)
    return Guess("\n".join(lines) + "\n", tuple(remarks))


def _values(
    common: dict[str, object], prefix: str, samples: Sequence[dict[str, object]]
) -> tuple[dict[str, _Value], list[str]]:
    """Return where each quantity is, and what is left out and why: no number of it, no unit, or one more of it."""
    found: dict[str, _Value] = {}
    left_out: list[str] = []
    for path, number in common.items():
        quantity = _quantity(path)
        if quantity is None or not _is_number(number) or (prefix and path.startswith(prefix)):
            continue
        said = _unit_in_name(path, quantity)
        texts = [str(one[path]) for one in samples if _is_number(one[path])]
        missing = {text: none for text in texts if (none := says_none(quantity, said or usual_unit(quantity), text))}
        text = next((one for one in texts if one not in missing), str(number))
        unit = said or probable_unit(quantity, text)
        if quantity == "battery_voltage" and not _may_be_volts(path, text):
            left_out.append(f"{path} is left out: nothing says that {text} is a voltage")
        elif unit is None:
            left_out.append(f"{path} is left out: {text} is no {quantity} in {usual_unit(quantity)}")
        elif quantity in found:
            left_out.append(
                f"{path} is left out: {quantity} is {found[quantity].path}; another sensor needs a [[payload]]"
            )
        else:
            unit_path = None if said else _unit_path(path, quantity, common)
            found[quantity] = _Value(path, unit, said is not None, unit_path, tuple(dict.fromkeys(missing.values())))
    return found, left_out


def _is_number(value: object) -> bool:
    return isinstance(value, JsonNumber) or (isinstance(value, str) and DECIMAL.fullmatch(value) is not None)


def _may_be_volts(path: str, text: str) -> bool:
    """Whether a battery's value is a voltage rather than a percentage or a flag: it is called so, or has a fraction."""
    return _BATTERY_VOLTAGE.search(_last(path)) is not None or "." in text


def _unit_in_name(path: str, quantity: str) -> str | None:
    """Return the unit that a field's name ends with: `temperature_F`, `tempf`, `pressure_hPa`; None if it says none."""
    name = _last_step(path)
    if quantity == "temperature" and (found := temperature_unit(name.replace(" ", "_"))):
        return found[0]
    unit = name.rpartition("_")[2]
    return unit if unit != name and not unit.isdigit() and _is_unit_of(unit, quantity) else None


def _unit_path(path: str, quantity: str, common: dict[str, object]) -> str | None:
    """Return where a payload says the unit of a value, in a text beside it or above it."""
    parent = path.rpartition(".")[0]
    found = [
        other
        for other, text in common.items()
        if "unit" in _last(other) and not isinstance(text, JsonNumber) and _is_unit_of(str(text), quantity)
    ]
    beside = [other for other in found if other.rpartition(".")[0] == parent]
    above = [other for other in found if f"{parent}.".startswith(f"{other.rpartition('.')[0]}.".removeprefix("."))]
    return next(iter([*beside, *above]), None)


def _is_unit_of(unit: str, quantity: str) -> bool:
    try:
        map_between(unit, usual_unit(quantity))
    except ValueError:
        return False
    return True


def _what_is_missing(values: Sequence[object]) -> str:
    """Return what a person has to find in the payloads: an id, or a quantity, or both."""
    common = _common([dict(_leaves(value)) for value in values])
    found = [path for path, value in common.items() if _quantity(path) and _is_number(value)]
    if found and _named(common, _IDS) is None:
        return f"no field is named like an id beside {', '.join(found)[:200]}; write its path yourself"
    return "no field is named like an id and a quantity; write the paths yourself"


def _quantity(path: str) -> str | None:
    name = _last(path)
    if name in _VALUES:
        name = _last(path.rpartition(".")[0])
    if name in _WHOLE_NAMES:
        return _WHOLE_NAMES[name]
    return next((one for key, one in _QUANTITIES.items() if name.startswith(key)), None)


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
    return _last_step(path).lower().replace("-", "_").replace(" ", "_")


def _last_step(path: str) -> str:
    return path.removeprefix("$.").rpartition(".")[2].strip('"')


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
