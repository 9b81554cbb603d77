"""A rule as values: which series it watches, what it asks of them, and when it rings and clears."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from windrow.quantities import parts_of


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


TEXT_FIELDS = ("rule", "severity", "sensor_id", "quantity", "unit", "statistic", "extreme", "limit", "began")
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
    severity: Severity = Severity.WARNING
    text: str = DEFAULT_TEXT

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        parts = (".*" if part == "*" else "." if part == "?" else re.escape(part) for part in self.sensors)
        return re.compile("".join(parts), re.DOTALL)

    def watches(self, series: str) -> bool:
        """Whether the rule is about this series: its quantity, in whatever unit, and its sensor."""
        sensor_id, quantity = parts_of(series)
        return quantity.name == self.quantity and self._pattern.fullmatch(sensor_id) is not None

    def say(self, fields: Mapping[str, str]) -> str:
        """Return the rule's text with TEXT_FIELDS filled in."""
        return re.sub(r"\{(\w+)\}", lambda match: fields[match[1]], self.text)
