"""What excursions say: to people in words, and to machines as JSON."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from windrow.payloads.values import plain_milli
from windrow.quantities import TEMPERATURE
from windrow.rules.changes import Change, ChangeKind
from windrow.rules.excursion import Excursion
from windrow.rules.rows import ExcursionRow
from windrow.rules.rule import Condition, Rule, Severity
from windrow.timestamps import format_rfc3339, format_sql

CHANGES_NAMED_MAX = 50
"""How many changes a message names; SNS takes 256 KB."""
TEXT_CHARACTERS_MAX = 500
_MINUTE_MS = 60_000
_WORDS = {
    ChangeKind.RANG: "",
    ChangeKind.CLEARED: "CLEARED: ",
    ChangeKind.LOST: "LOST, no readings any more: ",
    ChangeKind.CORRECTED: "CORRECTED by late readings: ",
    ChangeKind.WITHDRAWN: "WITHDRAWN, late readings show otherwise: ",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message about the changes of one rule: for people `subject` and `text`, for machines `document`, JSON."""

    rule: str
    severity: Severity
    subject: str
    text: str
    document: str


def message_of(rule: Rule, excursion: Excursion) -> str:
    """Return the rule's text about an excursion, its fields filled in."""
    compared = {Condition.RATE: "change per hour", Condition.STUCK: "change", Condition.SPREAD: "off the median"}
    minutes = f"{excursion.held_ms / _MINUTE_MS:.1f}"
    statistic = f"beyond for {minutes} minutes" if rule.held_ms else rule.statistic.value.replace("_", " ")
    return rule.say(
        {
            "rule": rule.name,
            "severity": rule.severity.value,
            "sensor_id": excursion.sensor_id,
            "quantity": excursion.quantity.name,
            "unit": "°C" if excursion.quantity == TEMPERATURE else excursion.quantity.unit,
            "statistic": compared.get(rule.condition, statistic),
            "extreme": plain_milli(excursion.extreme_milli),
            "limit": _limit_of(rule, excursion.extreme_milli),
            "began": _for_people(excursion.began_ms),
            "minutes": minutes,
        }
    )


def fields_of(rule: Rule, change: Change) -> dict[str, Any]:
    """Return a change as JSON has it; `id` names it however often it is told, `before` is what had been told."""
    text = _WORDS[change.kind] + message_of(rule, change.row.excursion)
    if change.row.ended_ms is not None and change.kind is not ChangeKind.WITHDRAWN:
        text += f" (until {_for_people(change.row.ended_ms)})"
    if change.before is not None:
        text += f"; told before: {_period_of(change.before)}"
    told = {"id": change.change_id, "change": change.kind.value, "revision": change.revision}
    before = {"before": facts_of(change.before)} if change.before is not None else {}
    return told | facts_of(change.row) | {"text": text[:TEXT_CHARACTERS_MAX]} | before


def message_about(rule: str, severity: Severity, changes: Sequence[Mapping[str, Any]]) -> Message:
    """Return the message about changes of one rule, as `fields_of` gives them; beyond CHANGES_NAMED_MAX it counts."""
    counts = Counter(change["change"] for change in changes)
    counted = ", ".join(f"{counts[kind]:,} {kind}" for kind in ChangeKind if counts[kind])
    named, more = changes[:CHANGES_NAMED_MAX], len(changes) - CHANGES_NAMED_MAX
    lines = [change["text"] for change in named]
    if more > 0:
        lines.append(f"and {more:,} more: see the table excursions")
    document = {
        "rule": rule,
        "severity": severity.value,
        "counts": dict(counts),
        "changes": list(named),
        "left_out": max(0, more),
    }
    return Message(
        rule=rule,
        severity=severity,
        subject=f"{severity.value.upper()} {rule}: {counted}",
        text="\n".join(lines) + "\n",
        document=json.dumps(document, ensure_ascii=False),
    )


def facts_of(row: ExcursionRow) -> dict[str, Any]:
    """Return what is told of a row that has rung, as JSON has it."""
    excursion = row.excursion
    return {
        "sensor_id": excursion.sensor_id,
        "quantity": excursion.quantity.name,
        "unit": excursion.quantity.unit,
        "state": excursion.state.value,
        "began": format_rfc3339(excursion.began_ms),
        "rang": format_rfc3339(excursion.rang_ms),
        "ended": None if excursion.ended_ms is None else format_rfc3339(excursion.ended_ms),
        "extreme": excursion.extreme_milli / 1_000,
        "beyond_unit_minutes": round(excursion.beyond_milli_ms / (1_000 * _MINUTE_MS), 3),
        "windows": excursion.windows,
        **({"held_minutes": round(excursion.held_ms / _MINUTE_MS, 3)} if excursion.held_ms else {}),
    }


def _period_of(row: ExcursionRow) -> str:
    began = f"since {_for_people(row.began_ms)}"
    return began if row.ended_ms is None else f"{began}, until {_for_people(row.ended_ms)}"


def _for_people(instant_ms: int) -> str:
    return f"{format_sql(instant_ms)[:16]} UTC"


def _limit_of(rule: Rule, extreme_milli: int) -> str:
    """Return the limit that the extreme is beyond; of STUCK, which has none, 0."""
    low, high = rule.limits.low_milli, rule.limits.high_milli
    limit = low if low is not None and extreme_milli < low else high
    return plain_milli(0 if limit is None else limit)
