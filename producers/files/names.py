"""The names of columns: what people call sensors, times, quantities and units."""

import re
from collections.abc import Sequence

from windrow.payloads.units import is_known

# The columns' texts by name.
Samples = dict[str, list[str]]

SENSORS = (
    "sensor_id", "device_id", "sensor", "device", "sensorid", "deviceid", "dev_eui", "deveui", "mac", "serial",
    "station", "station_id", "node", "entity_id", "probe", "logger", "location", "room", "id", "name",
)  # fmt: skip
TIMES = (
    "event_time", "timestamp", "ts", "datetime", "date_time", "date time", "time", "date", "created_at", "received_at",
    "measured_at", "last_changed", "at", "t",
)  # fmt: skip
DATES, CLOCKS = ("date", "day", "datum"), ("time", "clock", "hour", "zeit", "uhrzeit")
VALUES = ("value", "val", "reading", "measurement", "state", "_value")
# The beginning of a name, its quantity and the usual unit; what follows is a label, such as a number.
_QUANTITIES = (
    (re.compile(r"temperature|temp|t(?=[\W_]*\d|$)"), "temperature", "C"),
    (re.compile(r"relative_humidity|humidity|hum|rh"), "humidity", "%"),
    (re.compile(r"pressure|press|baro(?:meter)?"), "pressure", "hPa"),
    (re.compile(r"co2"), "co2", "ppm"),
    (re.compile(r"illuminance|lux"), "illuminance", "lx"),
    (re.compile(r"battery_voltage|voltage|volt"), "voltage", "V"),
)
_UNITS = (
    re.compile(r"[(\[]\s*([^()\[\]]{1,12}?)\s*[)\]]"),
    re.compile(r",\s*(\S{1,12})"),
    re.compile(r"(?<=\w)\s+(°\S)"),
    re.compile(r"_(c|f|k|celsius|fahrenheit|kelvin)$", re.IGNORECASE),
)


def plain(name: str) -> str:
    """Return a column's name for comparison: the last step of a path, in small letters, without unit or remark."""
    last = name.rpartition(".")[2].strip('"') if "." in name and " " not in name.rpartition(".")[0] else name
    return re.split(r"[(\[,:]", last)[0].strip().lower().replace("-", "_")


def named(samples: Samples, names: Sequence[str]) -> list[str]:
    """Return the columns with one of `names`, in the order of `names`."""
    return [column for name in names for column in samples if plain(column) == name]


def quantity_of(column: str) -> str | None:
    """Return the quantity that a column's name begins with, None if it is none."""
    return next((name for pattern, name, _ in _QUANTITIES if pattern.match(plain(column))), None)


def usual_unit(quantity: str) -> str:
    """Return the unit in which most write a quantity; "1" if nothing is usual."""
    return next((unit for _, name, unit in _QUANTITIES if name == quantity), "1")


def label_of(column: str) -> str:
    """Return what a column's name says beside its quantity: `RH_1` and `T1` are of the same sensor, `1`."""
    name = plain(column)
    for pattern, _, _ in _QUANTITIES:
        match = pattern.match(name)
        if match:
            return re.sub(r"_[cfk]$", "", name[match.end() :]).strip("_ -#") or column
    return column


def unit_in(column: str) -> str | None:
    """Return the unit that a column's name says: `Temp, °F (S/N: 1)`, `temp (C)`, `temperature_f`."""
    found = (text for pattern in _UNITS for text in pattern.findall(column))
    return next((text for text in found if is_known(text)), None)
