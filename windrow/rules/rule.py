"""A rule as values: which series it watches, what it asks of them, and when it rings and clears."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from windrow.quantities import SEPARATOR, TEMPERATURE, parts_of
from windrow.rows.held import HeldLimit, Side, Watch, sensors_pattern


class Condition(StrEnum):
    """What a rule asks of a series, window by window. Limits are inclusive: what equals a limit is within it."""

    ABOVE = "above"
    BELOW = "below"
    OUTSIDE = "outside"
    RATE = "rate"  # changes by more than the limit per hour, up or down, since the row before
    STUCK = "stuck"  # no change at all within the window, nor since the row before
    SPREAD = "spread"  # differs by more than the limit from the median of its site


class Statistic(StrEnum):
    """The number of a row that is compared."""

    MEAN = "mean"
    TIME_WEIGHTED_MEAN = "time_weighted_mean"
    MIN = "min"
    MAX = "max"
    LAST = "last"
    P05 = "p05"
    P25 = "p25"
    P50 = "p50"
    P75 = "p75"
    P95 = "p95"
    P99 = "p99"


class Severity(StrEnum):
    """How much it matters; each severity can be told somewhere else."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


TEXT_FIELDS = ("rule", "severity", "sensor_id", "quantity", "unit", "statistic", "extreme", "limit", "began", "minutes")
"""What the text of a rule may name in braces."""
DEFAULT_TEXT = "{sensor_id}: {quantity} ({statistic}) reached {extreme} {unit}, limit {limit} {unit}, since {began}"


@dataclass(frozen=True, slots=True)
class Band:
    """The values `low <= v <= high`, in thousandths; None is no bound."""

    low_milli: int | None = None
    high_milli: int | None = None


@dataclass(frozen=True)
class Rule:
    """A limit on one quantity of the sensors whose id matches `sensors`, where * stands for any characters, ? for one.

    Beyond `limits` in `windows` windows in a row it rings; within `clear_limits`, which lie within `limits`, in
    `clear_windows` windows in a row it clears. Limits are in thousandths of the quantity's unit; for RATE per hour, for
    SPREAD of the difference from the median. STUCK has none.

    A rule with `held_ms` counts time and not windows: it rings when the values were beyond `limits` for more than that
    altogether, in windows in a row of which each has some of it. A reading holds its value until the next one, at most
    for `hold_ms_max`. Its `windows` and `statistic` are not looked at.
    """

    name: str
    condition: Condition
    sensors: str = "*"
    quantity: str = "temperature"
    statistic: Statistic = Statistic.MEAN
    limits: Band = field(default_factory=Band)
    clear_limits: Band = field(default_factory=Band)
    windows: int = 1
    clear_windows: int = 1
    held_ms: int = 0
    hold_ms_max: int = 0
    severity: Severity = Severity.WARNING
    text: str = DEFAULT_TEXT

    def watches(self, series: str) -> bool:
        """Whether the rule is about this series: its quantity, in whatever unit, and its sensor."""
        if SEPARATOR in series:
            sensor_id, quantity = parts_of(series)
        else:  # a bare id, of which a million are asked for
            sensor_id, quantity = series, TEMPERATURE
        if quantity.name != self.quantity:
            return False
        return self.sensors == "*" or sensors_pattern(self.sensors).fullmatch(sensor_id) is not None

    @property
    def held_limits(self) -> tuple[HeldLimit, ...]:
        """The limits beyond which the rule counts the time, one or two; none if it counts windows."""
        sides = ((Side.BELOW, self.limits.low_milli), (Side.ABOVE, self.limits.high_milli)) if self.held_ms else ()
        return tuple(
            HeldLimit(self.quantity, side, milli, self.hold_ms_max) for side, milli in sides if milli is not None
        )

    def say(self, fields: Mapping[str, str]) -> str:
        """Return the rule's text with TEXT_FIELDS filled in."""
        return re.sub(r"\{(\w+)\}", lambda match: fields[match[1]], self.text)


def watches_of(rules: Iterable[Rule]) -> tuple[Watch, ...]:
    """Return what is to be kept of each window's held times so that `rules` can judge it, ascending."""
    return tuple(sorted({Watch(limit, rule.sensors) for rule in rules for limit in rule.held_limits}))
