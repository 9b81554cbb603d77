"""Rules from their file: TOML, read and checked, with errors that name the line."""

import re
import tomllib
from typing import Any, NoReturn

from windrow.payloads.quantity import FileNumber, milli_of
from windrow.payloads.table import ContractError, Lines, Table
from windrow.rules.rule import TEXT_FIELDS, Band, Condition, Rule, Severity, Statistic

RULES_MAX = 200
MINUTE_MS = 60_000
WINDOWS_MAX = 288
"""A rule waits for a day at most, before it rings and before it clears."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
HELD_MINUTES_MAX = 1_440
"""As long as WINDOWS_MAX windows."""
HOLD_MINUTES = 10
"""How long a reading holds its value by default: a logger that sends every five minutes may miss one."""
HOLD_MINUTES_MAX = 60
"""Shorter than the LOST_WINDOWS after which an excursion is lost."""
_HELD = frozenset({Condition.ABOVE, Condition.BELOW, Condition.OUTSIDE})
_NO_STATISTIC = frozenset({Condition.RATE, Condition.STUCK})


def load_rules(text: str, *, name: str = "rules") -> tuple[Rule, ...]:
    """Return the rules of a TOML text, in its order; ContractError names the line in the file `name`.

    [[rule]]
    name = "freezer-warm"
    sensors = "freezer/*"      # any sensor by default
    quantity = "temperature"   # by default
    above = -15                # or below, outside = [low, high], rate, spread: in the quantity's unit; or stuck = true
    clear = -17                # the limit by default; for outside [low, high]
    statistic = "max"          # mean by default
    windows = 3                # in a row until it rings, 1 by default; or, with above, below and outside,
                               # minutes = 20: more than that beyond the limit, to the millisecond, from readings
    hold_minutes = 10          # with minutes: a reading holds its value until the next one, at most for so long
    clear_windows = 2          # in a row until it clears, 1 by default
    severity = "critical"      # info, warning or critical
    text = "{sensor_id} is at {extreme} {unit}"
    """
    lines = Lines(text, name=name)
    try:
        tree: dict[str, Any] = tomllib.loads(text, parse_float=FileNumber)
    except tomllib.TOMLDecodeError as error:
        raise ContractError(f"{name}: {error}") from error
    top = Table(tree, (), lines)
    tables = top.tables("rule")
    top.done()
    if not 1 <= len(tables) <= RULES_MAX:
        top.refuse("rule", f"comes {len(tables)} times; there are 1 to {RULES_MAX} rules, each a [[rule]]")
    rules: dict[str, Rule] = {}
    for table in tables:
        rule = _rule(table)
        if rules.setdefault(rule.name, rule) is not rule:
            table.refuse("name", f"{rule.name} is the name of another rule too")
    return tuple(rules.values())


def _rule(table: Table) -> Rule:
    name = table.take("name", str)
    if not _NAME.fullmatch(name):
        table.refuse(
            "name", f"{name[:80]!r} must be small letters, digits, - and _, at most 63, a letter or digit first"
        )
    condition = _condition(table)
    limits, clear_limits = _bands(table, condition)
    if condition in _NO_STATISTIC and table.has("statistic"):
        table.refuse("statistic", f"goes without {condition}: it looks at each row's first and last value and extremes")
    held_ms, hold_ms_max = _held_ms(table, condition)
    rule = Rule(
        name=name,
        condition=condition,
        sensors=table.take("sensors", str, default="*"),
        quantity=table.take("quantity", str, default="temperature"),
        statistic=Statistic(table.choose("statistic", Statistic, default=Statistic.MEAN)),
        limits=limits,
        clear_limits=clear_limits,
        windows=_windows(table, "windows"),
        clear_windows=_windows(table, "clear_windows"),
        held_ms=held_ms,
        hold_ms_max=hold_ms_max,
        severity=Severity(table.choose("severity", Severity, default=Severity.WARNING)),
        text=_text(table),
    )
    table.done()
    return rule


def _condition(table: Table) -> Condition:
    given = [condition for condition in Condition if table.has(condition)]
    if len(given) != 1:
        found = ", ".join(given) or "none of them"
        table.refuse("", f"needs one of {', '.join(Condition)}, not {found}")
    return given[0]


def _bands(table: Table, condition: Condition) -> tuple[Band, Band]:
    """Return within which values all is well, and within which it is well again."""
    if condition is Condition.STUCK:
        if table.take("stuck", bool) is not True:
            table.refuse("stuck", "must be true")
        if table.has("clear"):
            table.refuse("clear", "goes without stuck: any change clears it")
        return Band(), Band()
    limits = _band(table, condition, condition)
    clear_limits = _band(table, condition, "clear") if table.has("clear") else limits
    if _is_wider(clear_limits, limits):
        table.refuse("clear", "lies beyond the limit: it would clear where it rings")
    return limits, clear_limits


def _band(table: Table, condition: Condition, name: str) -> Band:
    value = table.take_any(name)
    if condition is Condition.OUTSIDE:
        if not isinstance(value, list) or len(value) != 2:
            table.refuse(name, "must be an array of two numbers: [low, high]")
        low, high = (milli_of(table, name, one) for one in value)
        if low > high:
            table.refuse(name, "must be [low, high]; here low is greater than high")
        return Band(low, high)
    milli = milli_of(table, name, value)
    if condition in (Condition.RATE, Condition.SPREAD):
        if milli < 0:
            table.refuse(name, "must not be negative: it bounds a change or a distance, up and down")
        return Band(-milli, milli)
    return Band(high_milli=milli) if condition is Condition.ABOVE else Band(low_milli=milli)


def _is_wider(inner: Band, outer: Band) -> bool:
    is_lower = outer.low_milli is not None and inner.low_milli is not None and inner.low_milli < outer.low_milli
    is_higher = outer.high_milli is not None and inner.high_milli is not None and inner.high_milli > outer.high_milli
    return is_lower or is_higher


def _windows(table: Table, name: str) -> int:
    windows = table.take(name, int, default=1)
    if not 1 <= windows <= WINDOWS_MAX:
        table.refuse(name, f"must be 1 to {WINDOWS_MAX}, not {windows}")
    return windows


def _held_ms(table: Table, condition: Condition) -> tuple[int, int]:
    """Return for how long a value must be beyond the limit, and how long a reading holds; 0 if windows are counted."""
    if not table.has("minutes"):
        if table.has("hold_minutes"):
            table.refuse("hold_minutes", "goes with minutes only")
        return 0, 0
    if condition not in _HELD:
        table.refuse("minutes", f"goes with {', '.join(sorted(_HELD))} only, not with {condition}")
    for other in ("windows", "statistic"):
        if table.has(other):
            table.refuse(other, "goes without minutes: these are counted from readings, not from rows")
    held_ms = _minutes_ms(table, "minutes", most=HELD_MINUTES_MAX)
    hold_ms_max = HOLD_MINUTES * MINUTE_MS
    if table.has("hold_minutes"):
        hold_ms_max = _minutes_ms(table, "hold_minutes", most=HOLD_MINUTES_MAX)
    return held_ms, hold_ms_max


def _minutes_ms(table: Table, name: str, *, most: int) -> int:
    milli = milli_of(table, name, table.take_any(name))
    if not 0 < milli <= most * 1_000:
        table.refuse(name, f"must be more than 0, and at most {most}")
    return milli * MINUTE_MS // 1_000


def _text(table: Table) -> str:
    text = table.take("text", str, default=Rule.text)
    for field in re.findall(r"\{([^{}]*)\}", text):
        if field not in TEXT_FIELDS:
            _refuse_field(table, field)
    if re.search(r"[{}]", re.sub(r"\{\w+\}", "", text)):
        table.refuse("text", "has a brace without its other one")
    return text


def _refuse_field(table: Table, field: str) -> NoReturn:
    table.refuse("text", f"has no field {field[:40]!r}; there are {', '.join(TEXT_FIELDS)}")
