"""The units in which people write quantities without saying so, and what values in them are between."""

from windrow.reading import BadReading, exact_decimal

_UNITS: dict[str, tuple[tuple[str, int, int], ...]] = {
    "humidity": (("%", 0, 100),),
    "pressure": (("hPa", 300, 1100), ("kPa", 30, 110), ("Pa", 30_000, 110_000)),
    "co2": (("ppm", 0, 100_000),),
    "illuminance": (("lx", 0, 200_000),),
    "voltage": (("V", 0, 500), ("mV", 500, 500_000)),
    "battery_voltage": (("V", 0, 15), ("mV", 500, 15_000)),
}
"""By quantity: units, the most usual first, each with the least and the most value in it that can be expected."""


def usual_unit(quantity: str) -> str:
    """Return the unit in which most write a quantity; C for temperatures, "1" if nothing is usual."""
    return "C" if quantity == "temperature" else _UNITS.get(quantity, (("1", 0, 0),))[0][0]


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
