"""What simulated sensors can measure.

Other quantities follow from the temperature that a sensor shows, so what is wrong with a sensor is wrong with all of
them; and no two quantities have equal values, so one that is taken for another is noticed.
"""

from collections.abc import Callable

import numpy as np

from windrow.columns.arrays import Int32s, Int64s
from windrow.columns.strings import Strings
from windrow.quantities import TEMPERATURE, Quantity, with_suffixes

HUMIDITY = Quantity("humidity", "%")
PRESSURE = Quantity("pressure", "hPa")


def _temperatures(shown: Int64s) -> Int64s:
    return shown


def _humidities(shown: Int64s) -> Int64s:
    """The warmer, the drier: from 95 % at 0 °C, never outside 5 to 100 %."""
    return np.clip(95_000 - 2 * shown, 5_000, 100_000)


def _pressures(shown: Int64s) -> Int64s:
    """About that of the standard atmosphere, a little more where it is warm."""
    return 1_013_250 + shown // 8


SIMULATED: dict[str, tuple[Quantity, Callable[[Int64s], Int64s]]] = {
    "temperature": (TEMPERATURE, _temperatures),
    "humidity": (HUMIDITY, _humidities),
    "pressure": (PRESSURE, _pressures),
}
"""Name -> the quantity, and its thousandths as a function of the m°C that the sensor shows; ascending as series do."""


def series_of_sensors(sensor_ids: Strings, quantities: tuple[str, ...]) -> Strings:
    """Return the series of k sensors, all of the first one, then those of the next: k * len(quantities)."""
    if quantities == (TEMPERATURE.name,):
        return sensor_ids
    suffixes = Strings.of([SIMULATED[name][0].suffix for name in quantities])
    count, each = len(sensor_ids), len(quantities)
    return with_suffixes(sensor_ids.take(np.repeat(np.arange(count), each)), suffixes, np.tile(np.arange(each), count))


def measured_milli(shown: Int32s, quantities: tuple[str, ...]) -> Int32s:
    """Return the thousandths of every quantity of n samples, all of the first one, then those of the next."""
    if quantities == (TEMPERATURE.name,):
        return shown
    values = [SIMULATED[name][1](shown.astype(np.int64)) for name in quantities]
    return np.stack(values, axis=1).reshape(-1).astype(np.int32)
