"""Units by name, and the exact linear maps between those of one kind.

A unit's map into the base unit of its kind is `base = value * factor + offset`. Factors are exact by definition (NIST
SP 811, appendix B: 1 inHg as 3386.389 Pa is its conventional value).
"""

import re
from dataclasses import dataclass
from fractions import Fraction

DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""A number as devices write it, in JSON or in a text."""
_SCALED = re.compile(
    r"(?P<over>1/)?(?P<number>\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})[ *]*(?P<unit>[^\d\s*].*)", re.ASCII | re.DOTALL
)
_DEGREES = re.compile(r"(?:deg(?:rees?)?|°)[\s._]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LinearMap:
    """The map from a value to thousandths of another unit: `milli = value * factor + offset`, exactly."""

    factor: Fraction
    offset: Fraction

    def milli(self, value: Fraction) -> int:
        """Return the thousandths that `value` is, rounded once, half to even."""
        return round(value * self.factor + self.offset)


# kind: {symbol: (names beside the symbol, factor, offset)}; the first symbol is the base unit.
_KINDS: dict[str, dict[str, tuple[str, str, str]]] = {
    "temperature": {
        "C": ("°C ℃ degC deg_C Cel celsius centigrade", "1", "0"),
        "F": ("°F ℉ degF deg_F [degF] fahrenheit", "5/9", "-160/9"),
        "K": ("kelvin", "1", "-273.15"),
    },
    "ratio": {
        "%": ("%RH percent pct %EL", "1", "0"),
        "1": ("/ ratio fraction", "100", "0"),
        "ppm": ("parts_per_million", "0.0001", "0"),
        "ppb": ("parts_per_billion", "0.0000001", "0"),
    },
    "pressure": {
        "hPa": ("mbar millibar hectopascal", "1", "0"),
        "Pa": ("pascal", "0.01", "0"),
        "kPa": ("kilopascal", "10", "0"),
        "bar": ("", "1000", "0"),
        "mmHg": ("torr", "1.33322387415", "0"),
        "inHg": ("", "33.86389", "0"),
        "psi": ("", "68.9475729316836", "0"),
    },
    "length": {
        "m": ("metre meter", "1", "0"),
        "mm": ("millimetre millimeter", "0.001", "0"),
        "cm": ("centimetre centimeter", "0.01", "0"),
        "km": ("kilometre kilometer", "1000", "0"),
        "in": ("inch", "0.0254", "0"),
        "ft": ("foot feet", "0.3048", "0"),
    },
    "speed": {
        "m/s": ("mps", "1", "0"),
        "km/h": ("kmh kph", "5/18", "0"),
        "mph": ("", "0.44704", "0"),
        "kn": ("kt knot", "463/900", "0"),
    },
    "voltage": {"V": ("volt", "1", "0"), "mV": ("millivolt", "0.001", "0")},
    "current": {"A": ("ampere amp", "1", "0"), "mA": ("milliampere", "0.001", "0")},
    "power": {"W": ("watt", "1", "0"), "kW": ("kilowatt", "1000", "0"), "mW": ("milliwatt", "0.001", "0")},
    "energy": {"kWh": ("", "1", "0"), "Wh": ("", "0.001", "0"), "J": ("joule", "1/3600000", "0")},
    "frequency": {"Hz": ("hertz", "1", "0"), "kHz": ("", "1000", "0"), "1/min": ("rpm", "1/60", "0")},
    "illuminance": {"lx": ("lux", "1", "0")},
    "mass concentration": {"µg/m3": ("ug/m3 µg/m³ μg/m³ ug/m³", "1", "0"), "mg/m3": ("mg/m³", "1000", "0")},
    "sound": {"dB": ("decibel", "1", "0")},
    "signal": {"dBm": ("", "1", "0")},
    "angle": {"deg": ("° degree degrees", "1", "0")},
    "flow": {"l/min": ("L/min", "1", "0"), "m3/h": ("m³/h", "50/3", "0"), "m3/s": ("m³/s", "60000", "0")},
    "volume": {"l": ("L litre liter", "1", "0"), "m3": ("m³", "1000", "0"), "ml": ("mL", "0.001", "0")},
    "mass": {"kg": ("kilogram", "1", "0"), "g": ("gram", "0.001", "0"), "lb": ("pound", "0.45359237", "0")},
    "count": {"count": ("pcs none", "1", "0")},
}


def symbol_of(name: str) -> str:
    """Return the symbol of the unit called `name` (`Celsius` is C); ValueError if there is none.

    Symbols are taken as written, because m is not M; words in any case, with or without a plural s.
    """
    found = _SYMBOLS.get(name) or _WORDS.get(name.lower()) or _WORDS.get(name.lower().removesuffix("s"))
    if found is None and (degrees := _DEGREES.match(name)):
        found = _TEMPERATURES.get(name[degrees.end() :].lower())
    if found is None:
        raise ValueError(f"no unit is called {name[:40]!r}; known are {', '.join(_KIND_OF)}")
    return found


def is_known(name: str) -> bool:
    """Whether a unit, or a part or a multiple of one, is called `name`."""
    try:
        symbol_of(unscaled(name)[1])
    except ValueError:
        return False
    return True


def unscaled(name: str) -> tuple[Fraction, str]:
    """Return how much of which unit one step of `name` is: a tenth of °C for `0.1 °C` and for `1/10 °C`, one of °C."""
    found = _SCALED.fullmatch(name)
    if found is None or name in _SYMBOLS:
        return Fraction(1), name
    size = Fraction(found["number"])
    if not size:
        return Fraction(1), name
    return 1 / size if found["over"] else size, found["unit"]


def map_between(source: str, target: str) -> LinearMap:
    """Return the map from the unit `source` to thousandths of `target`, both by any name; ValueError if there is none.

    `source` may be a part or a multiple of a unit, as in `0.1 °C`. A unit that no table knows may be mapped to itself.
    """
    if source == target:
        return LinearMap(Fraction(1000), Fraction(0))
    step, source = unscaled(source)
    source, target = symbol_of(source), symbol_of(target)
    if _KIND_OF[source] != _KIND_OF[target]:
        raise ValueError(f"{source} is a unit of {_KIND_OF[source]}, {target} of {_KIND_OF[target]}")
    units = _KINDS[_KIND_OF[source]]
    (_, factor, offset), (_, target_factor, target_offset) = units[source], units[target]
    scale = 1000 / Fraction(target_factor)
    return LinearMap(step * Fraction(factor) * scale, (Fraction(offset) - Fraction(target_offset)) * scale)


def maps_to(target: str) -> dict[str, LinearMap]:
    """Return the map to thousandths of `target` from every unit of its kind, by every name that it has."""
    kind = _KIND_OF[symbol_of(target)]
    names = {**_SYMBOLS, **_WORDS}
    return {name: map_between(symbol, target) for name, symbol in names.items() if _KIND_OF[symbol] == kind}


_KIND_OF = {symbol: kind for kind, units in _KINDS.items() for symbol in units}
_NAMES = {
    name: symbol for units in _KINDS.values() for symbol, (names, _, _) in units.items() for name in names.split()
}
_SYMBOLS = {symbol: symbol for symbol in _KIND_OF} | _NAMES
_WORDS = {name.lower(): symbol for name, symbol in _NAMES.items() if len(name) > 3} | {"c": "C", "f": "F", "k": "K"}
_TEMPERATURES = {
    name.lower(): symbol for name, symbol in {**_SYMBOLS, **_WORDS}.items() if symbol in _KINDS["temperature"]
}
