"""Rules from their file: what they mean, and which line is wrong; and what an excursion says."""

from dataclasses import replace

import pytest

from windrow.payloads.table import ContractError
from windrow.quantities import TEMPERATURE, Quantity, series_of
from windrow.rows.held import HeldLimit, Side, Watch
from windrow.rules.excursion import Excursion, ExcursionState
from windrow.rules.load import RULES_MAX, load_rules
from windrow.rules.messages import message_of
from windrow.rules.rule import Band, Condition, Rule, Severity, Statistic, watches_of

SIDES = ((Side.ABOVE, 8_000), (Side.BELOW, 2_000))
START_MS = 1_763_640_300_000


def rules_of(fields: str) -> tuple[Rule, ...]:
    return load_rules(f'[[rule]]\nname = "one"\n{fields}\n', name="rules.toml")


def excursion(rule: Rule, extreme_milli: int) -> Excursion:
    return Excursion(
        rule.name,
        "freezer/7",
        TEMPERATURE,
        START_MS,
        START_MS + 300_000,
        None,
        ExcursionState.LASTS,
        extreme_milli,
        0,
        1,
    )


def test_a_rule_with_all_its_fields():
    """Limits are thousandths; what is not said has its default."""
    (rule,) = rules_of(
        'sensors = "freezer/*"\nquantity = "pressure"\nabove = -15.5\nclear = -17\nstatistic = "max"\nwindows = 3\n'
        'clear_windows = 2\nseverity = "critical"\ntext = "{sensor_id} {extreme}"'
    )
    assert rule == Rule(
        name="one",
        condition=Condition.ABOVE,
        sensors="freezer/*",
        quantity="pressure",
        statistic=Statistic.MAX,
        limits=Band(high_milli=-15_500),
        clear_limits=Band(high_milli=-17_000),
        windows=3,
        clear_windows=2,
        severity=Severity.CRITICAL,
        text="{sensor_id} {extreme}",
    )


@pytest.mark.parametrize(
    ("fields", "condition", "limits", "clear_limits"),
    [
        ("above = 8", Condition.ABOVE, Band(None, 8_000), Band(None, 8_000)),
        ("below = 2\nclear = 2.5", Condition.BELOW, Band(2_000, None), Band(2_500, None)),
        ("outside = [2, 8]\nclear = [3, 7]", Condition.OUTSIDE, Band(2_000, 8_000), Band(3_000, 7_000)),
        ("rate = 10", Condition.RATE, Band(-10_000, 10_000), Band(-10_000, 10_000)),
        ("spread = 4\nclear = 3", Condition.SPREAD, Band(-4_000, 4_000), Band(-3_000, 3_000)),
        ("stuck = true\nwindows = 12", Condition.STUCK, Band(), Band()),
    ],
)
def test_each_condition(fields: str, condition: Condition, limits: Band, clear_limits: Band):
    """It clears at its limit unless it says where."""
    (rule,) = rules_of(fields)
    assert (rule.condition, rule.limits, rule.clear_limits) == (condition, limits, clear_limits)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("", "needs one of above, below, outside, rate, stuck, spread, not none of them"),
        ("above = 8\nbelow = 2", "not above, below"),
        ("above = 8\nclear = 9", "line 4: rule[0].clear lies beyond the limit"),
        ("below = 2\nclear = 1", "lies beyond the limit"),
        ("outside = [2, 8]\nclear = [1, 7]", "lies beyond the limit"),
        ("outside = [8, 2]", "low is greater than high"),
        ("outside = 8", "must be an array of two numbers"),
        ("above = true", "must be a number"),
        ('above = "8"', "must be a number"),
        ("above = 0.0001", "whole number of thousandths"),
        ("above = 3e9", "whole number of thousandths"),
        ("above = inf", "is no number that can be used"),
        ("rate = -1", "must not be negative"),
        ("stuck = false", "must be true"),
        ("stuck = true\nclear = 1", "goes without stuck"),
        ('rate = 1\nstatistic = "max"', "goes without rate"),
        ('above = 8\nstatistic = "p90"', "must be one of mean, "),
        ("above = 8\nwindows = 0", "must be 1 to 288"),
        ("above = 8\nminutes = 0", "line 4: rule[0].minutes must be more than 0, and at most 1440"),
        ("above = 8\nminutes = 1440.001", "must be more than 0, and at most 1440"),
        ("above = 8\nminutes = 20\nwindows = 2", "line 5: rule[0].windows goes without minutes"),
        ('above = 8\nminutes = 20\nstatistic = "max"', "statistic goes without minutes"),
        ("above = 8\nminutes = 20\nhold_minutes = 60.001", "hold_minutes must be more than 0, and at most 60"),
        ("above = 8\nminutes = 20\nhold_minutes = 0", "line 5: rule[0].hold_minutes must be more than 0"),
        ("above = 8\nhold_minutes = 5", "hold_minutes goes with minutes only"),
        ("rate = 8\nminutes = 20", "minutes goes with above, below, outside only, not with rate"),
        ("stuck = true\nminutes = 20", "not with stuck"),
        ("above = 8\nclear_windows = 289", "must be 1 to 288"),
        ('above = 8\nseverity = "bad"', "must be one of info, warning, critical"),
        ('above = 8\ntext = "{sensor}"', "has no field 'sensor'"),
        ('above = 8\ntext = "{sensor_id"', "a brace without its other one"),
        ("above = 8\nwindow = 2", "line 4: rule[0].window is no field here; is windows meant?"),
    ],
)
def test_a_wrong_rule_is_refused(fields: str, message: str):
    """With the line, where there is one, and what is wrong."""
    with pytest.raises(ContractError, match=r"rules\.toml") as caught:
        rules_of(fields)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "comes 0 times"),
        ('rule = "one"', "must be an array"),
        ('[[rule]]\nname = "One"\nabove = 1', "must be small letters"),
        ("[[rule]]\nabove = 1", "needs name"),
        ('[[rule]]\nname = "a"\nabove = 1\n[[rule]]\nname = "a"\nbelow = 1', "the name of another rule too"),
        ("".join(f'[[rule]]\nname = "r{n}"\nabove = 1\n' for n in range(RULES_MAX + 1)), "comes 201 times"),
        ("[[rule]", "rules.toml: "),
    ],
)
def test_a_wrong_file_is_refused(text: str, message: str):
    """Also where no rule is to blame."""
    with pytest.raises(ContractError, match="rules") as caught:
        load_rules(text, name="rules.toml")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "sensor_id", "is_watched"),
    [
        ("*", "", True),
        ("freezer/*", "freezer/7", True),
        ("freezer/*", "my freezer/7", False),
        ("freezer/?", "freezer/17", False),
        ("a.c", "abc", False),
        ("a*c", "a\nc", True),
        ("[ab]", "a", False),
    ],
)
def test_a_pattern_matches_whole_ids(pattern: str, sensor_id: str, *, is_watched: bool):
    """Only * and ? mean anything but themselves."""
    assert Rule("one", Condition.ABOVE, sensors=pattern).watches(sensor_id) is is_watched


def test_a_rule_watches_its_quantity_alone():
    """In whatever unit; a temperature unless it says something else."""
    pressure, humidity = (series_of("roof", Quantity(*one)) for one in (("pressure", "hPa"), ("humidity", "%")))
    assert Rule("one", Condition.ABOVE, quantity="pressure").watches(pressure)
    assert not Rule("one", Condition.ABOVE, quantity="pressure").watches("roof")
    assert not Rule("one", Condition.ABOVE, quantity="pressure").watches(humidity)
    assert not Rule("one", Condition.ABOVE).watches(pressure)


def test_a_message_names_the_limit_that_was_passed():
    """The lower or the upper one; and a text of one's own."""
    (rule,) = rules_of("outside = [2, 8]")
    assert message_of(rule, excursion(rule, 1_500)) == (
        "freezer/7: temperature (mean) reached 1.5 °C, limit 2 °C, since 2025-11-20 12:05 UTC"
    )
    assert "reached 9 °C, limit 8 °C" in message_of(rule, excursion(rule, 9_000))
    (own,) = rules_of('above = 8\ntext = "{rule}/{severity}: {sensor_id} {quantity} {unit} {statistic} {began}"')
    assert message_of(own, excursion(own, 9_000)).startswith("one/warning: freezer/7 temperature °C mean 2025-11-20 ")


def test_a_rule_that_counts_minutes_names_its_limits():
    """One for each side, for its sensors alone; parts of a minute to the 60 ms. Others ask for no held times."""
    (rule,) = rules_of('outside = [2, 8]\nminutes = 0.001\nsensors = "f*"')
    assert rule.held_ms == 60
    watches = tuple(Watch(HeldLimit("temperature", side, milli, 600_000), "f*") for side, milli in SIDES)
    assert watches_of([rule, rule]) == watches
    assert watches_of(rules_of("above = 8")) == ()
    assert [one.side for one in rules_of("below = 2\nminutes = 5")[0].held_limits] == [Side.BELOW]


def test_a_message_says_for_how_many_minutes():
    """By itself, and as a field."""
    (rule,) = rules_of("above = 8\nminutes = 20")
    told = replace(excursion(rule, 9_000), held_ms=1_290_000)
    assert "temperature (beyond for 21.5 minutes) reached 9 °C, limit 8 °C" in message_of(rule, told)
    (own,) = rules_of('above = 8\nminutes = 20\ntext = "{minutes} min"')
    assert message_of(own, told) == "21.5 min"
