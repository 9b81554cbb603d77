"""A small lake and its results in memory, made by the core itself, and the local engine over them."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from analytics.cache import ObjectCache
from analytics.local import LocalEngine
from tests.rows_file import encode_rollup
from tests.simulation.simulated_s3 import S3State, SimulatedStore
from windrow.lake.layout import rows_key
from windrow.lake.store import CountingStore
from windrow.quantities import Quantity
from windrow.reading import Reading, Readings
from windrow.rows.partial import partials_of
from windrow.rows.rollup import roll
from windrow.timestamps import parse_rfc3339_ms
from windrow.window import WINDOW_MS

START_MS = parse_rfc3339_ms("2026-11-20T23:50:00Z")
WINDOWS = 4  # two on either side of midnight
HUMIDITY = Quantity("humidity", "%")
SENSORS = ("aisle/1", "aisle/2", "o'brien")


class StoredResults:
    """Two buckets that count their requests, and an engine over them with a cache in `folder`."""

    def __init__(self, folder: Path) -> None:
        state = S3State()
        self.lake = CountingStore(SimulatedStore(state.apply, "lake"))
        self.results = CountingStore(SimulatedStore(state.apply, "results"))
        self.cache = ObjectCache(folder)
        self.engine = LocalEngine(lake=self.lake, results=self.results, cache=self.cache)

    def store(self, readings: Iterable[Reading]) -> None:
        """Roll the readings and store their rows."""
        for partial in partials_of(Readings.of(readings)):
            self.results.put(rows_key(partial.window), encode_rollup(roll(partial)))


def measured(one: Reading) -> tuple[str, str, str, int, int, int]:
    """A reading with the columns of analytics.oracle.READING_COLUMNS."""
    return (
        *(one.sensor_id, one.quantity.name, one.quantity.unit),
        *(one.event_time_ms, one.sequence, one.value_milli),
    )


def some_humidities() -> list[Reading]:
    """The humidities of two of SENSORS, at the times and with the sequences of their temperatures."""
    return [
        replace(one, value_milli=40_000 + one.value_milli // 2, quantity=HUMIDITY)
        for one in some_readings()
        if one.sensor_id in SENSORS[:2]
    ]


def some_readings() -> list[Reading]:
    """Thirty readings for each of SENSORS in each of WINDOWS from START_MS, some below zero."""
    return [
        Reading(
            sensor_id,
            START_MS + window * WINDOW_MS + 10_000 * step + 7 * place,
            step,
            (window * 7_919 + step * 104_729 + place * 1_299_709) % 45_001 - 15_000,
        )
        for window in range(WINDOWS)
        for place, sensor_id in enumerate(SENSORS)
        for step in range(30)
    ]
