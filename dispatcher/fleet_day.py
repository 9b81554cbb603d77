"""A day of the fleet, hour by hour: what its picture shows of each quantity, folded from the rows of its hours."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from windrow.columns.arrays import Int64s
from windrow.quantities import Quantity, split_series
from windrow.rows.rollup import Rollup

LOW_PERCENT, MIDDLE_PERCENT, HIGH_PERCENT = 5, 50, 95
"""The shares of the sensors whose hourly means are below the lower end of the band, its middle, its upper end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetHour:
    """One quantity in one hour: so many sensors and readings, the extremes of these, and means of sensors.

    All values are thousandths of the quantity's unit. low, middle and high are nearest ranks among the sensors' means
    in this hour, so each is the mean of a sensor.
    """

    sensors: int
    readings: int
    min_milli: int
    low_milli: int
    middle_milli: int
    high_milli: int
    max_milli: int


FleetDay = dict[Quantity, dict[int, FleetHour]]
"""Of each quantity the hours with readings, by their start in ms; quantities ascend, and so do hours."""


def fleet_day(hours: Iterable[tuple[int, Iterable[Rollup]]]) -> FleetDay:
    """Fold the rows of hours, each given by its start in ms and in pieces; one hour's means are in memory at a time."""
    found: FleetDay = {}
    for start_ms, pieces in hours:
        for quantity, hour in _fleet_hour(pieces).items():
            found.setdefault(quantity, {})[start_ms] = hour
    return {quantity: dict(sorted(found[quantity].items())) for quantity in sorted(found)}


def means_milli(rows: Rollup) -> Int64s:
    """Return the mean of each row in thousandths, rounded once, half to even: int64[k]."""
    whole, rest = np.divmod(rows.sum_milli, rows.readings)
    is_up = (2 * rest > rows.readings) | ((2 * rest == rows.readings) & (whole % 2 == 1))
    rounded: Int64s = whole + is_up
    return rounded


def _fleet_hour(pieces: Iterable[Rollup]) -> dict[Quantity, FleetHour]:
    readings: dict[Quantity, int] = {}
    extremes: dict[Quantity, list[int]] = {}
    means: dict[Quantity, list[Int64s]] = {}
    for rows in pieces:
        parts, mean = split_series(rows.sensor_ids), means_milli(rows)
        for kind, quantity in enumerate(parts.quantities):
            of_it = parts.kind == kind
            if not of_it.any():
                continue
            readings[quantity] = readings.get(quantity, 0) + int(rows.readings[of_it].sum())
            extremes.setdefault(quantity, []).extend(
                (int(rows.min_milli[of_it].min()), int(rows.max_milli[of_it].max()))
            )
            means.setdefault(quantity, []).append(mean[of_it])
    return {
        quantity: _hour_of(np.sort(np.concatenate(means[quantity])), readings[quantity], extremes[quantity])
        for quantity in means
    }


def _hour_of(means: Int64s, readings: int, extremes: list[int]) -> FleetHour:
    low, middle, high = (
        int(means[-(-percent * len(means) // 100) - 1]) for percent in (LOW_PERCENT, MIDDLE_PERCENT, HIGH_PERCENT)
    )
    return FleetHour(
        sensors=len(means),
        readings=readings,
        min_milli=min(extremes),
        low_milli=low,
        middle_milli=middle,
        high_milli=high,
        max_milli=max(extremes),
    )
