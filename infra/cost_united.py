"""What united sets and late readings add to the bill: objects that each roll keeps, and what a late roll takes."""

from dataclasses import dataclass

from infra.cost_traffic import WINDOWS_PER_MONTH, Traffic
from infra.prices import PriceTable
from infra.shape import Shape
from infra.stream_bill import HOURS_PER_MONTH

UNITED_ABOVE_PARTIALS = 4
"""Windows of more partials have a united set, as dispatcher.united has it."""
READINGS_HELD = 1 << 18
RANGES_MAX = 128
"""How dispatcher.spill cuts a window into ranges of sensors."""
TICK_MINUTES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class United:
    """The united sets of a fleet: objects a window, and bytes of a month's windows. Both are 0 where there are none."""

    ranges: float
    bytes_per_month: float


def united(sent: Traffic, table: PriceTable) -> United:
    """Return the united sets of what is sent, if every window is rolled once."""
    if sent.partials / WINDOWS_PER_MONTH <= UNITED_ABOVE_PARTIALS:
        return United(ranges=0, bytes_per_month=0)
    readings = sent.readings / WINDOWS_PER_MONTH
    sensors = min(sent.fleet.sensors, readings)
    ranges = 1 if readings <= READINGS_HELD else min(2 * readings // READINGS_HELD + 1, RANGES_MAX, sensors)
    bytes_per_window = (
        ranges * table.figure("united_fixed_bytes")
        + sensors * table.figure("united_sensor_bytes")
        + readings * table.figure("united_bytes")
    )
    return United(ranges=ranges, bytes_per_month=bytes_per_window * WINDOWS_PER_MONTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class LateRolls:
    """Rolls of old windows in a month, and what each takes: requests and seconds of the dispatcher's function."""

    rolls: float
    lists: float
    gets: float
    puts: float
    seconds: float


def late_rolls(sent: Traffic, shape: Shape, table: PriceTable) -> LateRolls:
    """Return the most that late readings cause, if in every hour they belong to so many old windows as the fleet says.

    Each is rolled at most once in LateRollMinutes, and never more often than the schedule runs. A window without a
    united set reads its few partials.
    """
    minutes = max(shape.number("LateRollMinutes"), TICK_MINUTES)
    rolls = sent.fleet.late_windows * HOURS_PER_MONTH * 60 / minutes if sent.ticks else 0.0
    lists, puts = table.figure("late_lists"), table.figure("late_puts")
    gets = table.figure("late_gets")
    request_seconds = (lists + gets + puts) * table.figure("s3_request_seconds")
    cpu = sent.fleet.sensors * table.figure("late_cpu_seconds")
    return LateRolls(rolls=rolls, lists=lists, gets=gets, puts=puts, seconds=request_seconds + cpu)
