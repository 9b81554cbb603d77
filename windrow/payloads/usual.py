"""The units in which people write quantities without saying so, and what values in them are between."""

import re

from windrow.reading import BadReading, exact_decimal

_UNITS: dict[str, tuple[tuple[str, int, int], ...]] = {
    "humidity": (("%", 0, 100),),
    "pressure": (("hPa", 300, 1100), ("inHg", 20, 33), ("kPa", 50, 110), ("Pa", 30_000, 110_000)),
    "co2": (("ppm", 0, 100_000),),
    "illuminance": (("lx", 0, 200_000),),
    "voltage": (("V", 0, 500), ("mV", 500, 500_000)),
    "battery_voltage": (("V", 0, 15), ("mV", 500, 15_000)),
}
"""By quantity: units, the most usual first, each with the least and the most value in it that can be expected."""

SENTINELS = (
    "-55", "-85", "85", "-99", "99", "-99.9", "99.9", "-127", "127", "-200", "-888.88", "888.88", "-999", "999",
    "-999.9", "999.9", "-9999", "9999", "-6999", "6999", "-7999", "7999", "-327.68", "327.67", "-3276.8", "3276.7",
    "-32768", "32767", "6553.5", "65535",
)  # fmt: skip
"""Values by which devices and loggers say that something is wrong, of those that could be a value of some sensor."""
# The end of a temperature's name that says its unit: tempf, temp1f, Temp_F_Avg, tempinf, AirTC_Avg, tC, temperatureF.
_TEMPERATURE = re.compile(
    r"(?:temperature|temp|tmp|air_?t|(?<![a-z])t)(?P<label>(?:in|out)?[\W_]*\d*)[\W_]*(?:deg(?:rees?)?[\W_]*)?"
    r"(?P<unit>celsius|fahrenheit|kelvin|[cfk])(?P<statistic>[\W_]*(?:\d+|avg|mean|min|max|smp)?)",
    re.IGNORECASE,
)

_COLD, _HOT = -99, 300


def usual_unit(quantity: str) -> str:
    """Return the unit in which most write a quantity; C for temperatures, "1" if nothing is usual."""
    return "C" if quantity == "temperature" else _UNITS.get(quantity, (("1", 0, 0),))[0][0]


def temperature_unit(name: str) -> tuple[str, str] | None:
    """Return the unit that the name of a temperature ends with, in it or in words, and the name without it.

    None if it says none: `temp`, `temp_kitchen`.
    """
    found = next((one for one in _TEMPERATURE.finditer(name) if one.end() == len(name)), None)
    if found is None:
        return None
    return found["unit"].upper()[0], name[: found.start("unit")].rstrip("_ -°") + found["statistic"]


def probable_unit(quantity: str, number: str) -> str | None:
    """Return the first unit in which a number can be expected of a quantity: the usual one where nothing is known.

    None if there is none, or the number is too long or too large to compute with.
    """
    units = _UNITS.get(quantity)
    if units is None:
        return usual_unit(quantity)
    try:
        value = exact_decimal(number)
    except BadReading:
        return None
    return next((unit for unit, least, most in units if least <= value <= most), None)


def says_none(quantity: str, unit: str, number: str) -> str | None:
    """Return the value of SENTINELS that a number is, if it can hardly be a value in `unit`; None for any other.

    Temperatures: at most -99 or at least 300, in whatever unit. Others: outside of what is usual in the unit.
    """
    try:
        value = exact_decimal(number)
    except BadReading:
        return None
    found = next((one for one in SENTINELS if exact_decimal(one) == value), None)
    if quantity == "temperature":
        return found if value <= _COLD or value >= _HOT else None
    usual = next(((least, most) for one, least, most in _UNITS.get(quantity, ()) if one == unit), None)
    return found if usual and not usual[0] <= value <= usual[1] else None
