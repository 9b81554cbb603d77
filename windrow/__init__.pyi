# What type checkers and editors see of windrow/__init__.py, which imports each of these on first use.
from analytics.library import Windrow
from producers import Producer, SpoolFull, Wire
from windrow.errors import PermanentError, WindrowError
from windrow.quantities import Quantity
from windrow.reading import BadReading, Reading, Readings
from windrow_operations.connecting import connect

__all__ = [
    "BadReading",
    "PermanentError",
    "Producer",
    "Quantity",
    "Reading",
    "Readings",
    "SpoolFull",
    "Windrow",
    "WindrowError",
    "Wire",
    "connect",
]

_HOMES: dict[str, str]
