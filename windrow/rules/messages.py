"""What an excursion says to people."""

from windrow.payloads.values import plain_milli
from windrow.quantities import TEMPERATURE
from windrow.rules.excursion import Excursion
from windrow.rules.rule import Condition, Rule
from windrow.timestamps import format_sql


def message_of(rule: Rule, excursion: Excursion) -> str:
    """Return the rule's text about an excursion, its fields filled in."""
    compared = {Condition.RATE: "change per hour", Condition.STUCK: "change", Condition.SPREAD: "off the median"}
    return rule.say(
        {
            "rule": rule.name,
            "severity": rule.severity.value,
            "sensor_id": excursion.sensor_id,
            "quantity": excursion.quantity.name,
            "unit": "°C" if excursion.quantity == TEMPERATURE else excursion.quantity.unit,
            "statistic": compared.get(rule.condition, rule.statistic.value.replace("_", " ")),
            "extreme": plain_milli(excursion.extreme_milli),
            "limit": _limit_of(rule, excursion.extreme_milli),
            "began": f"{format_sql(excursion.began_ms)[:16]} UTC",
        }
    )


def _limit_of(rule: Rule, extreme_milli: int) -> str:
    """Return the limit that the extreme is beyond; of STUCK, which has none, 0."""
    low, high = rule.limits.low_milli, rule.limits.high_milli
    limit = low if low is not None and extreme_milli < low else high
    return plain_milli(0 if limit is None else limit)
