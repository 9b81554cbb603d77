"""The names of columns: what people call sensors, times, quantities and units."""

import re
import unicodedata
from collections.abc import Sequence

from windrow.payloads.units import is_known
from windrow.payloads.usual import temperature_unit

# The columns' texts by name.
Samples = dict[str, list[str]]

SENSORS = (
    "sensor_id", "device_id", "sensor", "device", "sensorid", "deviceid", "dev_eui", "deveui", "mac", "serial",
    "station", "station_id", "node", "entity_id", "probe", "logger", "stations_id", "sensor_index", "serial_number",
    "sensor_name", "device_name", "location", "room", "id", "name",
)  # fmt: skip
TIMES = (
    "event_time", "timestamp", "ts", "datetime", "date_time", "date time", "time", "_time", "date", "created_at",
    "received_at", "measured_at", "last_changed", "time_stamp", "dateutc",
    "date_utc", "time_utc", "timestamp_utc", "utc", "utc_time", "at", "t",
)  # fmt: skip
DATES, CLOCKS = ("date", "day", "datum", "fecha"), ("time", "clock", "hour", "zeit", "uhrzeit", "heure", "hora")
VALUES = ("value", "val", "reading", "measurement", "state", "_value")
# Columns that say of each row what its value is of, as tables with a row for each value have them.
QUANTITIES = (
    "quantity", "parameter", "_field", "field", "metric", "variable", "property", "attribute", "observed_property",
    "measurement", "_measurement", "measurement_type", "sensor_type", "type", "kind", "name",
)  # fmt: skip
# The beginning of a name and its quantity; what follows is a label, such as a number.
_QUANTITIES = (
    (
        re.compile(
            r"(?:(?:air|ambient|room|luft)_?)?(?:temperature|temp)|(?:celsius|fahrenheit)$|tmp(?=[cfk]?$)"
            r"|air_?t(?=[cf]?(?:_|$))|t(?=[\W_]*\d|_?[cf]?(?:_(?:avg|mean|min|max|smp))?$)"
        ),
        "temperature",
    ),
    (re.compile(r"(?:(?:relative|rel|air)_)?(?:humidity|hum)|rh|relh|luftfeucht"), "humidity"),
    (re.compile(r"(?:(?:air|atmospheric|barometric)_)?(?:pressure|press)|baro(?:meter)?|luftdruck"), "pressure"),
    (re.compile(r"co2"), "co2"),
    (re.compile(r"illuminance|lux"), "illuminance"),
    (re.compile(r"battery_voltage|voltage|volt"), "voltage"),
)
# What a column holds that is called by its unit alone, `[°C]`.
_OF_UNIT = {"°C": "temperature", "℃": "temperature", "°F": "temperature", "℉": "temperature", "%RH": "humidity"}
# What an id may end with that is no temperature, beside the quantities above.
_OTHER_ENDS = frozenset(
    {"battery", "current", "energy", "linkquality", "moisture", "motion", "occupancy", "power", "rssi", "uptime"}
)
_WORD = re.compile(r"[^\W_]+")
_UNITS = (
    re.compile(r"[(\[]\s*([^()\[\]]{1,12}?)\s*[)\]]"),
    re.compile(r",\s*(\S{1,12})"),
    re.compile(r"(?<=\w)\s+(°\S)"),
    re.compile(r"_(c|f|k|celsius|fahrenheit|kelvin)$", re.IGNORECASE),
)


def plain(name: str) -> str:
    """Return a column's name for comparison: a path's last step, in small letters, without accents, unit or remark."""
    last = name.rpartition(".")[2].strip('"') if "." in name and " " not in name.rpartition(".")[0] else name
    bare = re.split(r"[(\[,:]", last)[0].strip().lower().replace("-", "_")
    return "".join(letter for letter in unicodedata.normalize("NFKD", bare) if not unicodedata.combining(letter))


def named(samples: Samples, names: Sequence[str]) -> list[str]:
    """Return the columns with one of `names`, in the order of `names`."""
    return [column for name in names for column in samples if name in {plain(column), plain(column).replace(" ", "_")}]


def quantity_of(column: str) -> str | None:
    """Return the quantity that a column's name begins with, or that its unit alone tells; None if it is none."""
    name = plain(column).replace(" ", "_")
    if not name:
        return _OF_UNIT.get(unit_in(column) or "")
    return next((quantity for pattern, quantity in _QUANTITIES if pattern.match(name)), None)


def is_name_of_quantity(text: str) -> bool:
    """Whether a text is a quantity's name and nothing else."""
    return any(pattern.fullmatch(plain(text).replace(" ", "_")) for pattern, _ in _QUANTITIES)


def names_another_quantity(sensor_id: str) -> bool:
    """Whether an id says that its sensor measures something, and no temperature: `kitchen_humidity`."""
    words = _WORD.findall(sensor_id.lower())
    # Short words may be anything: a press has sensors too.
    found = {
        quantity_of(word) for word in words if is_name_of_quantity(word) and (len(word) > 5 or word in {"temp", "co2"})
    }
    return "temperature" not in found and (bool(found) or not _OTHER_ENDS.isdisjoint(words[-1:]))


def label_of(column: str) -> str:
    """Return what a column's name says beside its quantity: `RH_1` and `T1` are of the same sensor, `1`."""
    name = plain(column).replace(" ", "_")
    for pattern, quantity in _QUANTITIES:
        match = pattern.match(name)
        if match:
            said = temperature_unit(name) if quantity == "temperature" else None
            rest = said[1][match.end() :] if said else re.sub(r"_[cfk]$", "", name[match.end() :])
            return rest.strip("_ -#") or column
    return column


def without_unit(column: str) -> str:
    """Return the name of a column of temperatures without the unit in it: `temp_c` and `Temp (°F)` are of one."""
    name = plain(column).replace(" ", "_")
    said = temperature_unit(name)
    return said[1] if said else name


def unit_in(column: str) -> str | None:
    """Return the unit that a column's name says: `Temp, °F (S/N: 1)`, `temp (C)`, `temperature_f`, `tempf`, `TempF`."""
    found = (text for pattern in _UNITS for text in pattern.findall(column))
    said: str | None = next((text for text in found if is_known(text)), None)
    if said is not None:
        return said
    by_end = temperature_unit(plain(column).replace(" ", "_"))
    return by_end[0] if by_end else None
